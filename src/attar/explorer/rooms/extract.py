"""Extract: filter, detect, condense one picture, with every knob."""

import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from attar.explorer.answers import Answerer, Context, Reply
from attar.explorer.arithmetic import STAGES, explain, strongest
from attar.explorer.asked import Asked
from attar.explorer.kernel_edits import EDITS, name_of, named, read_kernel, rows_of, write
from attar.explorer.levels import Scale, reach_of
from attar.explorer.pictures import Picture, Pictures
from attar.explorer.recipes import keras_program, python_program
from attar.explorer.views import shown, view_of
from attar.extraction import Extraction, extract
from attar.images import LUMA
from attar.stats import ExtractionStats, measure, measure_map

__all__ = ["ANSWERS", "Wish", "wish_of"]

_MOST_TEXT = 4000  # of a kernel: 121 weights with all their digits
_MOST_BIAS = 1e6
_MOST_STEP = 64  # of a window or a stride
_MOST_PLACE = 1 << 24


class Wish(NamedTuple):
    """What is to be extracted: the question without what it wants to see of it.

    Attributes
    ----------
    picture : Picture
    gray : bool
        Read a colour picture as gray.
    kernel : str
        As it was written.
    chosen : dict
        The arguments of `attar.extract`, the kernel as an array.
    key : str
        The same for the same wish.
    """

    picture: Picture
    gray: bool
    kernel: str
    chosen: dict[str, Any]
    key: str

    def pixels(self) -> NDArray[np.float32]:
        """Return the image as it is filtered."""
        pixels = self.picture.pixels
        if not self.gray or pixels.ndim == 2:
            return pixels
        gray: NDArray[np.float32] = (pixels @ np.array(LUMA)).astype(np.float32)
        return gray


def wish_of(asked: Asked, pictures: Pictures) -> Wish:
    """Read what is asked for."""
    image, kernel = asked.text("image"), asked.text("kernel", most=_MOST_TEXT)
    gray = asked.choice("read", ("color", "gray"), "color") == "gray"
    size = asked.count("pool_size", 2, most=_MOST_STEP)
    chosen: dict[str, Any] = {
        "bias": asked.number("bias", 0.0, least=-_MOST_BIAS, most=_MOST_BIAS),
        "conv_stride": asked.count("conv_stride", 1, most=_MOST_STEP),
        "conv_padding": asked.choice("conv_padding", ("same", "valid"), "same"),
        "activation": asked.choice("activation", ("relu", "none"), "relu"),
        "pool": asked.choice("pool", ("max", "average", "none"), "max"),
        "pool_size": size,
        "pool_stride": asked.count("pool_stride", size, most=_MOST_STEP),
        "pool_padding": asked.choice("pool_padding", ("same", "valid"), "same"),
    }
    key = json.dumps([image, gray, kernel, chosen])
    chosen["kernel"] = read_kernel(kernel)
    return Wish(pictures[image], gray, kernel, chosen, key)


def _pixels(wish: Wish, context: Context) -> NDArray[np.float32]:
    """Return the image. It is kept: the gray of a large picture takes as long as all the rest."""
    source = wish.picture.key, wish.gray
    if context.kept.get("source") != source:
        context.kept["source"], context.kept["pixels"] = source, wish.pixels()
    pixels: NDArray[np.float32] = context.kept["pixels"]
    return pixels


def _extraction(wish: Wish, context: Context) -> Extraction:
    """Return the extraction: the last one again where nothing but the view has changed."""
    if context.kept.get("key") != wish.key:
        context.kept["extraction"] = extract(_pixels(wish, context), **wish.chosen)
        context.kept["key"] = wish.key
    found: Extraction = context.kept["extraction"]
    return found


def _stats(found: Extraction, context: Context) -> ExtractionStats:
    """Return the numbers of an extraction; those of the image are measured once."""
    if context.kept.get("measured") != context.kept["source"]:
        context.kept["image_stats"] = measure_map(found.image)
        context.kept["measured"] = context.kept["source"]
    # In the place of the image stands a map that is measured anyway.
    numbers = measure(found.condense, found.filter, found.detect, found.condense)
    return dataclasses.replace(numbers, image=context.kept["image_stats"])


def maps(asked: Asked, context: Context) -> Reply:
    """Answer with the panels as a view shows them, and the numbers of the extraction."""
    wish = wish_of(asked, context.pictures)
    found = _extraction(wish, context)
    view = view_of(asked)
    assert found.filter is not None
    assert found.detect is not None
    shared = reach_of(found.detect, found.condense)
    after: Scale = "signed" if wish.chosen["activation"] == "none" else "active"
    panels: dict[str, tuple[Scale, float]] = {
        "image": ("image", 1.0),
        "filter": ("signed", reach_of(found.filter)),
        "detect": (after, shared),
        "condense": (after, shared),
    }
    if asked.flag("image_known"):  # it changes with the picture and the view alone
        del panels["image"]
    facts, arrays = {}, {}
    # Most of the time of an answer goes into reducing large maps, for which NumPy frees the lock.
    with ThreadPoolExecutor(len(panels) + 1) as pool:
        numbers = pool.submit(_stats, found, context)
        drawn = {}
        for name, (scale, reach) in panels.items():
            values = getattr(found, name)
            flat = values[..., 0] if values.ndim == 3 and values.shape[2] == 1 else values
            drawn[name] = pool.submit(shown, flat, view, scale, reach)
        for name, panel in drawn.items():
            arrays[name], facts[name] = panel.result()
    kernel = wish.chosen["kernel"]
    fields = {
        "maps": facts,
        "stats": numbers.result().as_dict(),
        "kernel": {"rows": rows_of(kernel), "name": name_of(kernel)},
        "color": wish.picture.pixels.ndim == 3,
    }
    return Reply(fields, arrays)


def probe(asked: Asked, context: Context) -> Reply:
    """Answer with how one number came about."""
    wish = wish_of(asked, context.pictures)
    pixels = _pixels(wish, context)
    at = asked.inner("at")
    stage = at.choice("stage", (*STAGES, "strongest"))
    if stage == "strongest":
        stage, cell = "condense", strongest(pixels, wish.chosen)
    else:
        # A place that is held on to may lie outside once a knob made the maps smaller.
        cell = (
            at.count("row", least=0, most=_MOST_PLACE),
            at.count("column", least=0, most=_MOST_PLACE),
        )
    found = explain(pixels, wish.chosen, stage, cell)
    numbers = (found.total, wish.chosen["bias"], found.filter, found.detect, found.condense)
    fields = {
        "stage": stage,
        "cell": found.cell,
        "patch": found.patch._asdict(),
        "condensed": found.condensed,
        "window": found.window._asdict(),
        "winner": found.winner,
        "box": found.box._asdict(),
        "size": pixels.shape[:2],
    }
    # As arrays, since JSON knows neither NaN nor infinity.
    arrays = {
        "numbers": np.array(numbers),
        "channel_sums": np.array(found.channel_sums),
        "patch": found.patch_values,
        "kernel": wish.chosen["kernel"],
        "products": found.products,
        "window": found.window_values,
    }
    return Reply(fields, arrays)


def kernel(asked: Asked, context: Context) -> Reply:
    """Answer with a kernel after a button was pressed, and the names that there are."""
    weights = read_kernel(asked.text("kernel", most=_MOST_TEXT))
    edit = asked.choice("do", tuple(EDITS), "read")
    changed = EDITS[edit](weights, asked)
    return Reply({"kernel": write(changed), "rows": rows_of(changed), "names": list(named())})


def recipe(asked: Asked, context: Context) -> Reply:
    """Answer with the programs that make what is shown."""
    wish = wish_of(asked, context.pictures)
    arguments = wish.picture, wish.gray, wish.kernel, wish.chosen
    return Reply({"python": python_program(*arguments), "keras": keras_program(*arguments)})


ANSWERS: dict[str, Answerer] = {
    "extract.maps": maps,
    "extract.probe": probe,
    "extract.kernel": kernel,
    "extract.recipe": recipe,
}

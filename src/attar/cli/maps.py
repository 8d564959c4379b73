"""``attar maps``: the feature maps of a model on a picture."""

import dataclasses
import difflib
import json
import math
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from cyclopts import Group, Parameter
from numpy.typing import NDArray

from attar.cli.shell import (
    DONE,
    FILES,
    OWN_SUFFIX,
    SOME_FAILED,
    aligned,
    check_max_pixels,
    counts,
    percent,
    picture_file,
    reason,
)
from attar.errors import ArgumentError, AttarError, ShapeError
from attar.preparation import Preparation, fitted
from attar.tables import memory, shape_text

if TYPE_CHECKING:
    from attar.sequential import Sequential

__all__ = ["maps"]

Array = NDArray[Any]

_SCHEMA = "attar.maps/1"
_CHANNELS_OF_ALL = 8  # of each layer, on a contact sheet
_TRACE_BYTES = 4 << 30  # every map is kept while a model is traced

_WHAT = Group("What to draw", sort_key=1)
_PREPARE = Group("What the model sees", sort_key=2)


def maps(
    model: Annotated[str, Parameter(name="MODEL", show_default=False)],
    image: Annotated[str | None, Parameter(name="IMAGE", show_default=False)] = None,
    /,
    *,
    layer: Annotated[str | None, Parameter(group=_WHAT, metavar="NAME")] = None,
    every: Annotated[bool, Parameter(name="--all", group=_WHAT, show_default=False)] = False,
    channels: Annotated[int | None, Parameter(group=_WHAT, metavar="N")] = None,
    gamma: Annotated[float, Parameter(group=_WHAT)] = 1.0,
    size: Annotated[str | None, Parameter(group=_PREPARE, metavar="HxW")] = None,
    scale: Annotated[float, Parameter(group=_PREPARE)] = 1.0,
    mean: Annotated[
        str | None, Parameter(group=_PREPARE, metavar="R,G,B", allow_leading_hyphen=True)
    ] = None,
    bgr: Annotated[bool, Parameter(group=_PREPARE, show_default=False)] = False,
    output: Annotated[
        str | None, Parameter(name=["--output", "-o"], group=FILES, metavar="FILE|FOLDER|PATTERN")
    ] = None,
    as_json: Annotated[bool, Parameter(name="--json", group=FILES, show_default=False)] = False,
    max_pixels: Annotated[int, Parameter(group=FILES, metavar="N")] = 200_000_000,
) -> int:
    """Draw the feature maps of a trained model on a picture.

    Without --layer and --all the layers are listed, with the shapes of their maps.

        attar maps vgg16.keras
        attar maps vgg16.keras photo.jpg --layer block2_pool --scale 255 -o maps.png
        attar maps vgg16.keras photo.jpg --all --gamma 0.5

    Parameters
    ----------
    model
        A .keras, .onnx or .safetensors file; the last as attar's model.save writes it.
    image
        A picture. It is read as RGB in 0 to 1, as gray where the model takes one channel.
    layer
        The layer whose maps are drawn, side by side.
    every
        Draw the strongest maps of every layer, as a contact sheet.
    channels
        So many of the strongest maps of a layer. Default: all; 8 of each with --all.
    gamma
        Below 1 it brightens what is faint.
    size
        Resize the picture to this height x width. Default: the size that the model takes;
        where it takes any, the picture stays as it is.
    scale
        What the numbers of the picture are multiplied by; 255 for a model that was trained on
        0 to 255.
    mean
        What is subtracted then: a number for red, green, blue, or one for all.
    bgr
        Give the channels to the model as blue, green, red, as the first VGG models take them.
    output
        Where the picture goes, replacing a file of that name: .png .svg .pdf, or a folder;
        {stem} and {layer} in the name are filled in. Default: {stem}-{layer}-attar.png in the
        current folder.
    as_json
        Print one JSON document with shape, dead space and maximum of every channel.
    max_pixels
        Refuse pictures of more pixels than this, before they are decoded.
    """
    if layer is not None and every:
        raise ArgumentError("maps: --layer and --all are both given; choose one")
    if (layer is not None or every) and image is None:
        raise ArgumentError("maps: which image? attar maps MODEL IMAGE")
    if channels is not None and channels < 1:
        raise ArgumentError(f"--channels is {channels}; accepted is a number of at least 1")
    if not 0 < gamma < math.inf:
        raise ArgumentError(f"--gamma is {gamma:g}; accepted are numbers above 0")
    check_max_pixels(max_pixels)
    from attar.sequential import read_model

    opened = read_model("maps", model)
    recipe = _recipe(opened, size, scale, mean, bgr)
    names = opened.graph.names()
    if layer is not None and layer not in names:
        raise ArgumentError(_unknown(layer, opened))
    title = layer or Path(model).name
    target = None
    if image is not None and (every or layer is not None):
        target = _target(output, image, model, "all" if layer is None else layer)

    try:
        seen = None if image is None else _see(opened, image, recipe, max_pixels)
        if target is None or seen is None:
            found = _layers(opened, (1, *(recipe.shape if seen is None else seen.input.shape[1:])))
        else:
            found = _draw(opened, seen, layer, target, channels, gamma, title)
    except (AttarError, OSError, MemoryError) as error:
        where = model if image is None else image
        print(f"attar: {where}: {reason(error, where)}", file=sys.stderr)
        return SOME_FAILED
    if as_json:
        document = _document(model, image, recipe, seen, found, target)
        print(json.dumps(document, indent=2, allow_nan=False))
    else:
        print(_report(model, image, seen, found, target), end="")
    return DONE


@dataclasses.dataclass(frozen=True, slots=True)
class _Recipe:
    """What is done to a picture before the model sees it."""

    shape: tuple[int | None, int | None, int]  # of the model's input; None where the size is free
    fixed: bool  # whether it is the model that asks for this size
    preparation: Preparation


@dataclasses.dataclass(frozen=True, slots=True)
class _Seen:
    """A picture as it was read, and as the model takes it."""

    image: Array  # (H, W, C) in [0, 1], resized
    input: Array  # (1, H, W, C)
    read_size: tuple[int, int]
    fixed: bool

    @property
    def resized(self) -> bool:
        return self.read_size != self.image.shape[:2]


@dataclasses.dataclass(frozen=True, slots=True)
class _Layer:
    """What is said about the maps of one layer."""

    name: str
    shape: tuple[int | None, ...]  # without the batch
    dead_space: list[float] | None = None  # of each channel
    maximum: list[float] | None = None


def _recipe(
    model: "Sequential", size: str | None, scale: float, mean: str | None, bgr: bool
) -> _Recipe:
    """Check the options against each other and against what the model takes."""
    shape = model.input_shape or (None, None, None, 3)
    if len(shape) != 4 or shape[3] not in (1, 3):
        raise ArgumentError(
            f"maps: the model takes {shape_text(shape)}; pictures are ? × height × width × 3, or 1"
        )
    height, width, channels = shape[1], shape[2], shape[3]
    if size is not None:
        asked = counts("--size", size)
        asked = (asked, asked) if isinstance(asked, int) else asked
        if height not in (None, asked[0]) or width not in (None, asked[1]):
            raise ArgumentError(
                f"--size is {size!r}; the model takes {shape_text(shape[1:3])}, and nothing else"
            )
        height, width = asked
    if not math.isfinite(scale) or scale == 0:
        raise ArgumentError(f"--scale is {scale:g}; accepted are numbers other than 0")
    if bgr and channels == 1:
        raise ArgumentError("--bgr: the model takes one channel, gray")
    means = _numbers("--mean", "0" if mean is None else mean)
    if len(means) not in (1, channels):
        raise ArgumentError(f"--mean has {len(means)} numbers; the model takes {channels} channels")
    preparation = Preparation(scale, means, bgr=bgr)
    return _Recipe((height, width, channels), size is None, preparation)


def _numbers(option: str, text: str) -> tuple[float, ...]:
    """Parse ``1.5`` or ``1.5,2,3``."""
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = (math.nan,)
    if not all(map(math.isfinite, numbers)):
        raise ArgumentError(
            f"{option} is {text!r}; accepted are numbers, as in 123.68,116.779,103.939"
        )
    return numbers


def _unknown(layer: str, model: "Sequential") -> str:
    """Return what is wrong with the name of a layer: which are close, and which there are."""
    close = difflib.get_close_matches(layer, model.graph.names(), n=3, cutoff=0.5)
    meant = f"; did you mean {' or '.join(close)}?" if close else "."
    listed = "\n".join(_table(_layers(model, model.input_shape or (None, None, None, 3))))
    return f"maps: the model has no layer {layer!r}{meant} It has\n{listed}"


def _target(output: str | None, image: str, model: str, layer: str) -> Path:
    """Return where the picture goes."""
    pattern = picture_file(output, f"{{stem}}-{{layer}}{OWN_SUFFIX}.png")
    # Layers of ONNX models have names such as /features/0/Conv.
    plain = re.sub(r"[^\w.-]+", "_", layer).strip("_.") or "layer"
    words = {"{stem}": Path(image).stem, "{layer}": plain}
    target = Path(re.sub(r"\{stem\}|\{layer\}", lambda found: words[found[0]], pattern))
    for name, what in ((image, "image"), (model, "model")):
        if target.resolve() == Path(name).resolve():
            raise ArgumentError(
                f"--output: {target} is the {what} and would be overwritten; choose another name"
            )
    return target


def _see(model: "Sequential", path: str, recipe: _Recipe, max_pixels: int) -> _Seen:
    """Read a picture and make of it what the model takes."""
    from attar.images import read_image

    height, width, channels = recipe.shape
    image = read_image(path, color="gray" if channels == 1 else "rgb", max_pixels=max_pixels)
    read_size = (image.shape[0], image.shape[1])
    size = (height or read_size[0], width or read_size[1])
    _check_memory(model, (1, *size, channels))
    image = fitted(image, *size, channels)
    return _Seen(image, recipe.preparation.apply(image), read_size, recipe.fixed)


def _check_memory(model: "Sequential", shape: tuple[int, ...]) -> None:
    """Refuse a picture whose maps would take all memory, before they do."""
    numbers = sum(math.prod(size or 1 for size in answer) for answer in model.graph.shapes(shape))
    needed = numbers * np.dtype(np.float32).itemsize
    if needed > _TRACE_BYTES:
        raise ShapeError(
            f"the maps of all layers would take {memory(needed)} for {shape_text(shape[1:3])} "
            f"pixels, and the limit is {memory(_TRACE_BYTES)}; say a smaller --size"
        )


def _layers(model: "Sequential", shape: tuple[int | None, ...]) -> list[_Layer]:
    """Return the layers with the shapes of their maps, as far as they are known."""
    shapes = model.graph.shapes(shape)
    return [
        _Layer(name, shape[1:]) for name, shape in zip(model.graph.names(), shapes, strict=True)
    ]


def _draw(
    model: "Sequential",
    seen: _Seen,
    layer: str | None,
    target: Path,
    channels: int | None,
    gamma: float,
    title: str,
) -> list[_Layer]:
    """Trace the picture, write the figure, and return what there is to say about the layers."""
    from attar import figures
    from attar.files import atomic_path

    trace = model.trace(seen.input, until=layer)
    if layer is None:
        figure = figures.contact_sheet(
            trace,
            image=seen.image,
            channels=_CHANNELS_OF_ALL if channels is None else channels,
            gamma=gamma,
            title=title,
        )
    else:
        trace = {layer: trace[layer]}
        figure = figures.feature_maps(trace[layer], channels=channels, gamma=gamma, title=title)
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(target) as temporary:
        figures.write(figure, temporary)
    return [_measured(name, values[0]) for name, values in trace.items()]


def _measured(name: str, values: Array) -> _Layer:
    pixels = values.reshape(-1, values.shape[-1])
    dead_space = 1 - np.count_nonzero(pixels, axis=0) / len(pixels)
    # fmax steps over NaN.
    return _Layer(name, values.shape, dead_space.tolist(), np.fmax.reduce(pixels).tolist())


def _report(
    model: str, image: str | None, seen: _Seen | None, found: list[_Layer], target: Path | None
) -> str:
    """Return what a person reads."""
    lines = [model if image is None else f"{image} → {model}"]
    if seen is not None:
        lines.append(f"  image {shape_text(seen.read_size)}")
        if seen.resized:
            why = ", the size that the model takes" if seen.fixed else ""
            lines[-1] += f", resized to {shape_text(seen.image.shape[:2])}{why}"
    lines += _table(found)
    if target is not None:
        lines.append(f"  → {target}")
    return "\n".join([*lines, ""])


def _table(found: list[_Layer]) -> list[str]:
    rows = []
    for layer in found:
        numbers = ("", "")
        if layer.dead_space is not None:
            dead = sum(part == 1 for part in layer.dead_space)
            space = sum(layer.dead_space) / len(layer.dead_space)
            numbers = f"dead space {percent(space)}", f"dead maps {dead} of {len(layer.dead_space)}"
        rows.append((f"  {layer.name}", shape_text(layer.shape), *numbers))
    return aligned(rows)


def _document(
    model: str,
    image: str | None,
    recipe: _Recipe,
    seen: _Seen | None,
    found: list[_Layer],
    target: Path | None,
) -> dict[str, Any]:
    """Return the JSON document. Its shape changes only together with the schema's number."""
    return {
        "schema": _SCHEMA,
        "model": model,
        "image": image,
        "size": None if seen is None else list(seen.read_size),
        "input": {
            "shape": list(recipe.shape if seen is None else seen.input.shape[1:]),
            "resized": seen is not None and seen.resized,
            "scale": recipe.preparation.scale,
            "mean": list(recipe.preparation.mean),
            "bgr": recipe.preparation.bgr,
        },
        "layers": [
            {"name": layer.name, "shape": list(layer.shape), "channels": _channels(layer)}
            for layer in found
        ],
        "output": None if target is None else str(target),
    }


def _channels(layer: _Layer) -> list[dict[str, Any]] | None:
    """Return the numbers of each channel."""
    if layer.dead_space is None or layer.maximum is None:
        return None
    return [
        {"dead_space": dead_space, "maximum": _plain(maximum)}
        for dead_space, maximum in zip(layer.dead_space, layer.maximum, strict=True)
    ]


def _plain(value: float) -> float | str | None:
    """Return a number as strict JSON takes it: an infinity is text, as in `attar extract`."""
    if math.isnan(value):
        return None
    return str(value) if math.isinf(value) else value

"""Extract: filter, detect, condense one picture, with every knob."""

import json
from typing import Any

import numpy as np

from attar.explorer.answers import Answerer, Context, Reply
from attar.explorer.asked import Asked
from attar.explorer.levels import Scale, reach_of
from attar.explorer.views import shown, view_of
from attar.extraction import Extraction, extract

__all__ = ["ANSWERS", "extraction_of"]

_STAGES: dict[str, Scale] = {
    "image": "image",
    "filter": "signed",
    "detect": "active",
    "condense": "active",
}


def options(asked: Asked) -> dict[str, Any]:
    """Read the arguments of `attar.extract`."""
    return {
        "kernel": np.array(asked.rows("kernel", most=11), np.float32),
        "bias": asked.number("bias", 0.0),
        "conv_stride": asked.count("conv_stride", 1, most=64),
        "conv_padding": asked.choice("conv_padding", ("same", "valid"), "same"),
        "activation": asked.choice("activation", ("relu", "none"), "relu"),
        "pool": asked.choice("pool", ("max", "average", "none"), "max"),
        "pool_size": asked.count("pool_size", 2, most=64),
        "pool_stride": asked.count("pool_stride", asked.count("pool_size", 2, most=64), most=64),
        "pool_padding": asked.choice("pool_padding", ("same", "valid"), "same"),
    }


def extraction_of(asked: Asked, context: Context) -> Extraction:
    """Return the extraction that is asked for: the last one again, where nothing changed."""
    chosen = options(asked)
    key = asked.text("image"), json.dumps({**chosen, "kernel": chosen["kernel"].tolist()})
    if context.kept.get("key") != key:
        pixels = context.pictures[key[0]].pixels
        context.kept["extraction"] = extract(pixels, **chosen)
        context.kept["key"] = key
    found: Extraction = context.kept["extraction"]
    return found


def maps(asked: Asked, context: Context) -> Reply:
    """Answer with the four panels as a view shows them, and the numbers of the extraction."""
    found = extraction_of(asked, context)
    view = view_of(asked)
    assert found.filter is not None
    assert found.detect is not None
    shared = reach_of(found.detect, found.condense)
    reaches = {
        "image": 1.0,
        "filter": reach_of(found.filter),
        "detect": shared,
        "condense": shared,
    }
    facts, arrays = {}, {}
    for name, scale in _STAGES.items():
        values = getattr(found, name)
        flat = values[..., 0] if values.ndim == 3 and values.shape[2] == 1 else values
        arrays[name], facts[name] = shown(flat, view, scale, reaches[name])
    return Reply({"maps": facts, "stats": found.stats.as_dict()}, arrays)


ANSWERS: dict[str, Answerer] = {"extract.maps": maps}

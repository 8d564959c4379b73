"""What a model answers: probabilities, logits, a map, or a vector of something else."""

from __future__ import annotations

import numpy as np

from attar.models.calls import IMAGE, Call
from attar.models.protocol import Array, Described, OutputKind

__all__ = ["kind_of_output", "places_of"]

# Kinds that leave numbers as they are, in the words of every framework.
_SHAPES = (
    "flatten",
    "reshape",
    "squeeze",
    "identity",
    "dropout",
    "view",
    "cast",
    "permute",
    "copy",
)
_SUM_TOLERANCE = 1e-3  # of probabilities in float16 as well


def places_of(answer: Array) -> int:
    """Return in how many places of the image there is an answer.

    Examples
    --------
    >>> places_of(np.zeros((8, 1, 1, 10), np.float32)), places_of(np.zeros((8, 10), np.float32))
    (1, 1)
    """
    return int(np.prod(answer.shape[1:-1]))


def kind_of_output(described: Described, output: int, answer: Array) -> OutputKind:
    """Tell by what is computed last, and by the answer to some images.

    Parameters
    ----------
    described : Described
    output : int
        Index of the output.
    answer : ndarray
        For images that are not all alike.

    Returns
    -------
    {"probabilities", "logits", "map", "vector"}
        Probabilities lie in [0, 1] and add up to 1, or come out of a sigmoid. Logits come out of a
        dense layer or a convolution. A map has more than one place.
    """
    if answer.ndim < 2 or places_of(answer) > 1:
        return "map"
    flat = answer.reshape(len(answer), -1)
    last = _last_that_counts(described.calls, described.outputs[output])
    kind = "" if last is None else last.kind.lower()
    if bool(np.isfinite(flat).all()) and flat.min() >= 0 and flat.max() <= 1 + _SUM_TOLERANCE:
        sums = flat.sum(axis=1)
        if flat.shape[1] > 1 and np.allclose(sums, 1, rtol=0, atol=_SUM_TOLERANCE):
            return "probabilities"
        if "sigmoid" in kind:
            return "probabilities"
    if last is not None and (last.task == "filter" or "logsoftmax" in kind.replace("_", "")):
        return "logits"
    return "vector"


def _last_that_counts(calls: tuple[Call, ...], index: int) -> Call | None:
    while index != IMAGE:
        call = calls[index]
        plain = any(word in call.kind.lower() for word in _SHAPES)
        # A bias that is added by a call of its own.
        biased = call.kind in ("Add", "add") and len(call.inputs) == 1
        if not plain and not biased:
            return call
        index = call.inputs[0]
    return None

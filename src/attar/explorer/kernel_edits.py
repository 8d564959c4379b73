"""Kernels as the page holds them: text that stands in its address, and what its buttons do to them.

A kernel is the name of one (``edge``), the recipe of one (``gaussian:5:1.5`` is size and standard
deviation, ``random:3:7`` is size and seed), or its rows (``-1,0,1;-2,0,2;-1,0,1``).
"""

import re
from collections.abc import Callable, Mapping
from typing import cast

import numpy as np
from numpy.typing import NDArray

from attar import kernels
from attar.errors import ArgumentError
from attar.explorer.asked import Asked

__all__ = ["EDITS", "MOST_SIDE", "code_of", "name_of", "named", "read_kernel", "rows_of", "write"]

Kernel = NDArray[np.float32]

MOST_SIDE = 11
_MOST_WEIGHT = 1e6  # so that every number of the page stays finite in float32
_MOST_SEED = 1_000_000
_MOST_STD = 100.0
_MOST_LINE = 60  # characters of rows in a program before each has a line of its own
# Nothing else reaches the parser, which would read a file of the name.
_ROWS = re.compile(r"[-+0-9.eE,;\s]+")
_RECIPE = re.compile(r"(gaussian|random):(\d{1,2}):(\d{1,7}(?:\.\d{1,6})?)")


def named() -> "Mapping[str, Kernel]":
    """Return the named kernels: the module is a mapping, which mypy cannot see."""
    return cast("Mapping[str, Kernel]", kernels)


def read_kernel(text: str) -> Kernel:
    """Turn the text of a kernel into its weights, float32 (height, width).

    Raises
    ------
    ArgumentError
        The text is no kernel, or one with more than 11 rows or columns.

    Examples
    --------
    >>> read_kernel("1,0;0,-1").tolist()
    [[1.0, 0.0], [0.0, -1.0]]
    >>> read_kernel("random:3:7").shape
    (3, 3)
    """
    text = text.strip()
    recipe = _recipe(text)
    if text in named():
        weights = named()[text]
    elif recipe is not None:
        weights = _cook(*recipe)
    elif _ROWS.fullmatch(text):
        with np.errstate(over="ignore"):
            weights = kernels.parse_kernel(text).astype(np.float32)
    else:
        raise ArgumentError(
            f"kernel: {text!r:.60} is none; accepted are {', '.join(named())}, "
            'gaussian:5:1.5, random:3:7 and rows such as "0 -1 0; -1 5 -1; 0 -1 0"'
        )
    if max(weights.shape) > MOST_SIDE:
        raise ArgumentError(
            f"kernel: it has {weights.shape[0]} rows and {weights.shape[1]} columns; "
            f"accepted are up to {MOST_SIDE} of each"
        )
    if np.abs(weights).max() > _MOST_WEIGHT:
        raise ArgumentError(f"kernel: accepted are weights from -{_MOST_WEIGHT:g} to it")
    return weights


def _recipe(text: str) -> tuple[str, int, str] | None:
    found = _RECIPE.fullmatch(text)
    return (found[1], int(found[2]), found[3]) if found else None


def _cook(kind: str, size: int, number: str) -> Kernel:
    if not 1 <= size <= MOST_SIDE:
        raise ArgumentError(f"kernel: its size is {size}; accepted are 1 to {MOST_SIDE}")
    if kind == "gaussian":
        if not 0 < float(number) <= _MOST_STD:
            raise ArgumentError(f"kernel: std is {number}; accepted are numbers up to {_MOST_STD}")
        return kernels.gaussian(size, float(number))
    if not number.isdigit() or int(number) > _MOST_SEED:
        raise ArgumentError(f"kernel: the seed is {number}; accepted are 0 to {_MOST_SEED}")
    return kernels.random(size, seed=int(number))


def rows_of(weights: Kernel) -> list[list[float]]:
    """Return the weights in the fewest digits that give the same float32.

    Examples
    --------
    >>> rows_of(np.array([[0.1, 1 / 3]], np.float32))
    [[0.1, 0.33333334]]
    """
    return [[float(str(weight)) for weight in row] for row in weights]


def write(weights: Kernel) -> str:
    """Return the text of a kernel: its name where it has one.

    Examples
    --------
    >>> write(np.array([[1, 0.5], [0, -1]], np.float32)), write(kernels.edge + 0)
    ('1,0.5;0,-1', 'edge')
    """
    return name_of(weights) or ";".join(
        ",".join(f"{weight:.9g}" for weight in row) for row in rows_of(weights)
    )


def name_of(weights: Kernel) -> str | None:
    """Return the name of the kernel with these weights."""
    for name, others in named().items():
        if np.array_equal(weights, others):
            return name
    return None


def code_of(text: str) -> str:
    """Return the Python expression of a kernel, for a program that imports attar.

    Examples
    --------
    >>> code_of("edge"), code_of("random:3:7"), code_of("1 2")
    ('attar.kernels.edge', 'attar.kernels.random(3, seed=7)', '[[1.0, 2.0]]')
    """
    weights = read_kernel(text)
    recipe = _recipe(text.strip())
    if recipe is not None:
        kind, size, number = recipe
        return f"attar.kernels.{kind}({size}, {'seed=' * (kind == 'random')}{float(number):g})"
    name = name_of(weights)
    if name:
        return f"attar.kernels.{name}"
    rows = rows_of(weights)
    one_line = repr(rows)
    if len(one_line) <= _MOST_LINE:
        return one_line
    return "[\n" + "".join(f"        {row},\n" for row in rows) + "    ]"


# ---------------------------------------------------------------- what buttons do


def normalised(weights: Kernel) -> Kernel:
    """Divide the weights by their sum; where that is 0, by the sum of their sizes.

    Examples
    --------
    >>> normalised(np.array([[1, 3]], np.float32)).tolist()
    [[0.25, 0.75]]
    >>> normalised(np.array([[-1, 1]], np.float32)).tolist()
    [[-0.5, 0.5]]
    """
    exact = weights.astype(np.float64)
    total, sizes = exact.sum(), np.abs(exact).sum()
    # What rounding leaves of a sum that is 0 on paper would blow the weights up.
    divisor = total if abs(total) > 1e-6 * sizes else sizes
    return (exact / (divisor or 1.0)).astype(np.float32)


def resized(weights: Kernel, height: int, width: int) -> Kernel:
    """Cut off rows and columns, or add such of zeros, around the weight that lies on the pixel.

    Examples
    --------
    >>> resized(np.array([[1, 2, 3]], np.float32), 3, 1).tolist()
    [[0.0], [2.0], [0.0]]
    """
    changed = np.zeros((height, width), np.float32)
    pairs = []
    for old, new in zip(weights.shape, changed.shape, strict=True):
        shift = (new - 1) // 2 - (old - 1) // 2
        first, last = max(0, shift), min(new, old + shift)
        pairs.append((slice(first, last), slice(first - shift, last - shift)))
    (to_rows, from_rows), (to_columns, from_columns) = pairs
    changed[to_rows, to_columns] = weights[from_rows, from_columns]
    return changed


EDITS: dict[str, Callable[[Kernel, Asked], Kernel]] = {
    "read": lambda weights, asked: weights,
    "normalise": lambda weights, asked: normalised(weights),
    "rotate": lambda weights, asked: np.rot90(weights, -1),
    "flip": lambda weights, asked: 0 - weights,  # of 0 this is 0, not -0
    "resize": lambda weights, asked: resized(
        weights, asked.count("height", most=MOST_SIDE), asked.count("width", most=MOST_SIDE)
    ),
}

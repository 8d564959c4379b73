"""Named filters, and the kernels that people write down.

`attar.kernels` is a module and a mapping: ``sorted(attar.kernels)`` lists the names,
``attar.kernels["edge"]`` and ``attar.kernels.edge`` are the same read-only float32 array of
shape (kh, kw). A kernel is laid over the image as it is written here, without flipping
(cross-correlation), as in every convnet.

Examples
--------
>>> from attar import kernels
>>> kernels["edge"]
array([[-1., -1., -1.],
       [-1.,  8., -1.],
       [-1., -1., -1.]], dtype=float32)
>>> kernels.edge is kernels["edge"], "blur" in kernels
(True, True)
>>> kernels.gaussian(5, 1.0).shape
(5, 5)
"""

import difflib
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from attar.errors import ArgumentError, DTypeError, ShapeError

__all__ = ["gaussian", "parse_kernel", "random"]

Kernel = npt.NDArray[np.float32]


def gaussian(size: int, std: float) -> Kernel:
    """Make a Gaussian blur kernel: positive weights that sum to 1.

    Parameters
    ----------
    size : int
        Rows and columns, at least 1. The centre of an even size lies between two pixels.
    std : float
        Standard deviation in pixels, above 0.

    Returns
    -------
    numpy.ndarray
        float32, shape (size, size), symmetric.

    Raises
    ------
    ArgumentError
        `size` is not an int of at least 1, or `std` is not a finite number above 0.

    Examples
    --------
    >>> gaussian(3, 1.0).round(3)
    array([[0.075, 0.124, 0.075],
           [0.124, 0.204, 0.124],
           [0.075, 0.124, 0.075]], dtype=float32)
    """
    _check_size("gaussian", size)
    if not isinstance(std, int | float | np.integer | np.floating) or not 0 < std < np.inf:
        raise ArgumentError(f"gaussian: std is {std!r}; use a finite number of pixels above 0")
    # Distances count from the nearest pixel: the factor that is left out cancels in the sum, and
    # without it a narrow bell on an even size would be 0 everywhere.
    distance = np.abs(np.arange(size) - (size - 1) / 2)
    nearest = distance.min()
    with np.errstate(over="ignore", under="ignore"):
        scaled = (distance - nearest) * (distance + nearest) / 2 / std / std
        bell = np.exp(-scaled)
        bell /= bell.sum()
        return np.outer(bell, bell).astype(np.float32)


def random(size: int, *, seed: int) -> Kernel:
    """Make a kernel of normally distributed weights, the same for the same seed.

    Parameters
    ----------
    size : int
        Rows and columns, at least 1.
    seed : int
        Any int from 0.

    Returns
    -------
    numpy.ndarray
        float32, shape (size, size), mean 0 and standard deviation 1 over many kernels.

    Raises
    ------
    ArgumentError
        `size` is not an int of at least 1, or `seed` is not an int of at least 0.

    Examples
    --------
    >>> bool((random(3, seed=7) == random(3, seed=7)).all())
    True
    """
    _check_size("random", size)
    if not isinstance(seed, int | np.integer) or isinstance(seed, bool) or seed < 0:
        raise ArgumentError(f"random: seed is {seed!r}; use an int of at least 0")
    return np.random.default_rng(seed).standard_normal((size, size), dtype=np.float32)


def parse_kernel(kernel: str | os.PathLike[str] | npt.ArrayLike) -> npt.NDArray[Any]:
    """Turn what a person wrote into a kernel.

    Parameters
    ----------
    kernel : str, os.PathLike or array_like
        One of: a name in `attar.kernels`; rows of numbers such as ``"-1 0 1; -2 0 2; -1 0 1"``,
        with spaces or commas between numbers and semicolons or new lines between rows; the path
        of a .npy file; an array of shape (kh, kw), or (kh, kw, C, K) for C channels in and K
        feature maps out.

    Returns
    -------
    numpy.ndarray
        Shape (kh, kw) or (kh, kw, C, K). Floats keep their dtype; ints and text become float32.
        A named kernel is read-only.

    Raises
    ------
    ArgumentError
        The name is unknown, the text is not rows of numbers of one length, the file cannot be
        read, or a weight is NaN or infinite.
    DTypeError
        The weights are not real numbers.
    ShapeError
        The array has no weights, or is not of rank 2 or 4.

    Examples
    --------
    >>> parse_kernel("-1 0 1; -2 0 2; -1 0 1")
    array([[-1.,  0.,  1.],
           [-2.,  0.,  2.],
           [-1.,  0.,  1.]], dtype=float32)
    >>> parse_kernel("egde")
    Traceback (most recent call last):
    attar.errors.ArgumentError: kernel: there is no kernel named 'egde'; did you mean 'edge'?
    sorted(attar.kernels) lists all, or write rows such as "0 -1 0; -1 5 -1; 0 -1 0"
    """
    if isinstance(kernel, str):
        return _parse_text(kernel)
    if isinstance(kernel, os.PathLike):
        return _check_weights(_load(os.fspath(kernel)), f"kernel {os.fspath(kernel)}")
    try:
        weights = np.asarray(kernel)
    except ValueError as error:  # rows of unequal length
        raise ShapeError(f"kernel: its rows differ in length ({error})") from None
    return _check_weights(weights, "kernel")


def _parse_text(text: str) -> npt.NDArray[Any]:
    name = text.strip()
    if name in _NAMED:
        return _NAMED[name]
    if name.lower().endswith(".npy"):
        return _check_weights(_load(name), f"kernel {name}")
    if not name:
        raise ArgumentError(
            "kernel: the text is empty; give a name, rows of numbers or a .npy file"
        )
    if name[0].isalpha() and name.lower()[:3] not in {"nan", "inf"}:
        near = difflib.get_close_matches(name.lower(), _NAMED, n=3)
        hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
        raise ArgumentError(
            f"kernel: there is no kernel named {name!r}; {hint}sorted(attar.kernels) lists all, "
            'or write rows such as "0 -1 0; -1 5 -1; 0 -1 0"'
        )
    lines = name.strip("; \n").replace("\n", ";").split(";")
    rows = [_parse_row(line, number) for number, line in enumerate(lines, 1)]
    for number, row in enumerate(rows, 1):
        if len(row) != len(rows[0]):
            raise ArgumentError(
                f"kernel: row {number} has {len(row)} weights and row 1 has {len(rows[0])}; "
                "every row needs as many"
            )
    with np.errstate(over="ignore"):  # 1e39 becomes infinite, which is refused by name
        return _check_weights(np.array(rows, np.float32), "kernel")


def _parse_row(line: str, number: int) -> list[float]:
    words = line.replace(",", " ").split()
    if not words:
        raise ArgumentError(f"kernel: row {number} is empty; separate rows with one semicolon")
    try:
        return [float(word) for word in words]
    except ValueError:
        raise ArgumentError(
            f"kernel: row {number} is {line.strip()!r}, which is not all numbers; "
            'write rows such as "0 -1 0; -1 5 -1; 0 -1 0"'
        ) from None


def _load(path: str) -> npt.NDArray[Any]:
    try:
        # Pickles run code when they are loaded.
        with Path(path).open("rb") as file:
            return np.lib.format.read_array(file, allow_pickle=False)
    except FileNotFoundError:
        raise ArgumentError(f"kernel: there is no file {path}") from None
    except Exception as error:  # damaged headers raise nearly anything
        reason = getattr(error, "strerror", None) or error
        raise ArgumentError(f"kernel: {path} is not a readable .npy array ({reason})") from error


def _check_weights(weights: npt.NDArray[Any], what: str) -> npt.NDArray[Any]:
    if weights.ndim not in {2, 4} or weights.size == 0:
        raise ShapeError(
            f"{what}: the shape is {weights.shape}; use (kh, kw), or (kh, kw, C, K) for C channels "
            "in and K feature maps out, each at least 1"
        )
    if weights.dtype.kind in "iu":
        weights = weights.astype(np.float32)
    elif weights.dtype.kind != "f" and weights.dtype.name != "bfloat16":
        raise DTypeError(f"{what}: the dtype is {weights.dtype}; use ints or floats")
    if not np.isfinite(weights).all():
        raise ArgumentError(f"{what}: a weight is NaN or infinite in {weights.dtype}")
    return weights


def _check_size(operation: str, size: int) -> None:
    if not isinstance(size, int | np.integer) or isinstance(size, bool) or size < 1:
        raise ArgumentError(f"{operation}: size is {size!r}; use an int of at least 1")


def _frozen(rows: npt.ArrayLike, divisor: float = 1) -> Kernel:
    kernel = (np.asarray(rows, np.float64) / divisor).astype(np.float32, order="C")
    kernel.flags.writeable = False
    return kernel


# A Sobel, Prewitt or Scharr kernel is named after the side that has to be brighter for it to
# answer with a positive number.
_SOBEL: Final = [[-1, -2, -1], [0, 0, 0], [1, 2, 1]]
_PREWITT: Final = [[-1, -1, -1], [0, 0, 0], [1, 1, 1]]
_SCHARR: Final = [[-3, -10, -3], [0, 0, 0], [3, 10, 3]]
_BINOMIAL_5: Final = [1, 4, 6, 4, 1]
_NAMED: Final[dict[str, Kernel]] = {
    "identity": _frozen([[0, 0, 0], [0, 1, 0], [0, 0, 0]]),
    "edge": _frozen([[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]]),
    "laplacian": _frozen([[0, 1, 0], [1, -4, 1], [0, 1, 0]]),
    "log": _frozen(
        [[0, 0, 1, 0, 0], [0, 1, 2, 1, 0], [1, 2, -16, 2, 1], [0, 1, 2, 1, 0], [0, 0, 1, 0, 0]]
    ),
    "sharpen": _frozen([[0, -1, 0], [-1, 5, -1], [0, -1, 0]]),
    "emboss": _frozen([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]]),
    "blur": _frozen([[1, 2, 1], [2, 4, 2], [1, 2, 1]], 16),
    "blur_5": _frozen(np.outer(_BINOMIAL_5, _BINOMIAL_5), 256),
    "box": _frozen(np.ones((3, 3)), 9),
    **{
        f"{side}_{name}": _frozen(np.rot90(rows, turns))
        for name, rows in {"sobel": _SOBEL, "prewitt": _PREWITT, "scharr": _SCHARR}.items()
        for turns, side in enumerate(["bottom", "right", "top", "left"])
    },
}


def __getattr__(name: str) -> Kernel:
    try:
        return _NAMED[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None


class _Kernels(ModuleType, Mapping[str, Kernel]):
    """What makes the module a mapping from names to kernels: it is the module's class."""

    __hash__ = ModuleType.__hash__
    # A module is itself and no other, whatever an equal mapping holds.
    __eq__ = ModuleType.__eq__

    def __getitem__(self, name: str) -> Kernel:
        return _NAMED[name]

    def __iter__(self) -> Iterator[str]:
        return iter(_NAMED)

    def __len__(self) -> int:
        return len(_NAMED)

    def __dir__(self) -> list[str]:
        return sorted([*super().__dir__(), *_NAMED])


sys.modules[__name__].__class__ = _Kernels

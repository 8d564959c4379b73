"""The options of an extraction, checked and written one way."""

import contextlib
import dataclasses
import operator
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias, TypeVar, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attar import kernels
from attar.errors import ArgumentError, DTypeError, ShapeError

__all__ = ["ExtractionSpec", "Padding", "resolve"]

Padding: TypeAlias = (
    Literal["same", "valid"] | tuple[tuple[int, int], tuple[int, int]]  # ((top, bottom), (l, r))
)
_T = TypeVar("_T")

_ACTIVATIONS: dict[str, Literal["relu"] | None] = {"relu": "relu", "none": None}
_POOLS: dict[str, Literal["max", "average"] | None] = {
    "max": "max",
    "average": "average",
    "avg": "average",
    "none": None,
}


@dataclasses.dataclass(frozen=True, slots=True)
class ExtractionSpec:
    """The parameters of an extraction, resolved: what was done, written one way.

    Attributes
    ----------
    kernel : str or None
        The name of the kernel where it was given by name.
    kernel_shape : tuple of int
        ``(kh, kw)`` or ``(kh, kw, C, K)``.
    bias : tuple of float or None
        One number per filter, or None.
    conv_stride, pool_size, pool_stride : tuple of int
        ``(vertical, horizontal)``, in pixels of the map that the step reads.
    conv_padding, pool_padding : {"same", "valid"} or ((top, bottom), (left, right))
        Padding of the image, and of the detected map.
    activation : {"relu"} or None
        The detect step.
    pool : {"max", "average"} or None
        The condense step.

    Examples
    --------
    >>> spec = resolve("edge", (3, 3), pool_size=(2, 1))
    >>> spec.pool_size, spec.pool_stride, spec.pool_padding
    ((2, 1), (2, 1), 'same')
    """

    kernel: str | None
    kernel_shape: tuple[int, ...]
    bias: tuple[float, ...] | None
    conv_stride: tuple[int, int]
    conv_padding: Padding
    activation: Literal["relu"] | None
    pool: Literal["max", "average"] | None
    pool_size: tuple[int, int]
    pool_stride: tuple[int, int]
    pool_padding: Padding

    def as_dict(self) -> dict[str, Any]:
        """Return the parameters as plain values that `json.dumps` takes."""
        return dataclasses.asdict(self)


def resolve(
    kernel: object,
    kernel_shape: tuple[int, ...],
    *,
    bias: ArrayLike | None = None,
    conv_stride: int | Sequence[int] = 1,
    conv_padding: str | Sequence[Sequence[int]] = "same",
    activation: str | None = "relu",
    pool: str | None = "max",
    pool_size: int | Sequence[int] = 2,
    pool_stride: int | Sequence[int] | None = None,
    pool_padding: str | Sequence[Sequence[int]] = "same",
) -> ExtractionSpec:
    """Check the options of `extract` without an image, and write them one way.

    Raises
    ------
    ArgumentError, ShapeError, DTypeError
        As `extract` does for its options.
    """
    size = _pair("pool_size", pool_size)
    names = cast(
        "Mapping[str, NDArray[Any]]", kernels
    )  # The module is a mapping, which mypy cannot see.
    name = kernel.strip() if isinstance(kernel, str) else None
    return ExtractionSpec(
        kernel=name if name in names else None,
        kernel_shape=kernel_shape,
        bias=_bias(bias, kernel_shape[3] if len(kernel_shape) == 4 else 1),
        conv_stride=_pair("conv_stride", conv_stride),
        conv_padding=_padding("conv_padding", conv_padding),
        activation=_choice("activation", activation, _ACTIVATIONS),
        pool=_choice("pool", pool, _POOLS),
        pool_size=size,
        pool_stride=size if pool_stride is None else _pair("pool_stride", pool_stride),
        pool_padding=_padding("pool_padding", pool_padding),
    )


def _pair(name: str, value: object) -> tuple[int, int]:
    """Return a stride or a window as two counts of at least 1."""
    numbers: tuple[int, ...] = ()
    # Tried, not asked for: every NumPy array has __index__, and most of them refuse the call.
    with contextlib.suppress(TypeError):
        numbers = tuple(operator.index(number) for number in value)  # type: ignore[attr-defined]
    with contextlib.suppress(TypeError):
        numbers = (operator.index(value),) * 2  # type: ignore[arg-type]
    if len(numbers) != 2 or min(numbers) < 1:
        raise ArgumentError(
            f"extract: {name} is {value!r}; accepted are a whole number of at least 1, or two "
            "of them (vertical, horizontal)"
        )
    return numbers[0], numbers[1]


def _padding(name: str, value: object) -> Padding:
    if isinstance(value, str):
        if value.lower() == "same":
            return "same"
        if value.lower() == "valid":
            return "valid"
    else:
        try:
            (top, bottom), (left, right) = (
                (operator.index(before), operator.index(after))
                for before, after in value  # type: ignore[attr-defined]
            )
            if min(top, bottom, left, right) >= 0:
                return (top, bottom), (left, right)
        except (TypeError, ValueError):
            pass
    raise ArgumentError(
        f'extract: {name} is {value!r}; accepted are "same", "valid" and '
        "((top, bottom), (left, right)) in whole numbers of at least 0"
    )


def _choice(name: str, value: object, choices: Mapping[str, _T]) -> _T:
    if value is None:
        return choices["none"]
    if isinstance(value, str) and value.lower() in choices:
        return choices[value.lower()]
    raise ArgumentError(f"extract: {name} is {value!r}; accepted are {', '.join(choices)} and None")


def _bias(bias: Any, filters: int) -> tuple[float, ...] | None:
    if bias is None:
        return None
    try:
        numbers = np.asarray(bias, dtype=float)
    except (TypeError, ValueError) as error:
        raise DTypeError(f"extract: bias is {bias!r}; accepted are numbers") from error
    if numbers.ndim > 1 or numbers.size not in (1, filters):
        raise ShapeError(
            f"extract: bias has shape {numbers.shape}; accepted are a number and ({filters},), "
            "one for each filter"
        )
    return tuple(np.broadcast_to(numbers, filters).tolist())

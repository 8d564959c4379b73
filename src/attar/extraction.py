"""`extract`: filter an image with a kernel, detect what responds, condense it.

The three steps of a convnet's base on one image, with everything a person wants to look at
afterwards: the maps, their numbers and their picture.
"""

import base64
import contextlib
import dataclasses
import functools
import html
import io
import json
import math
import operator
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attar import kernels, nn
from attar.errors import ArgumentError, DTypeError, ShapeError
from attar.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Extraction", "ExtractionSpec", "ExtractionStats", "MapStats", "extract"]

Array: TypeAlias = NDArray[Any]
Padding: TypeAlias = (
    Literal["same", "valid"] | tuple[tuple[int, int], tuple[int, int]]  # ((top, bottom), (l, r))
)
_T = TypeVar("_T")

PICTURE_SUFFIXES = (".png", ".svg", ".pdf")
SUFFIXES = (*PICTURE_SUFFIXES, ".npy", ".npz")

# What an integer image is divided by: its white.
_WHITE = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}
_ACTIVATIONS: dict[str, Literal["relu"] | None] = {"relu": "relu", "none": None}
_POOLS: dict[str, Literal["max", "average"] | None] = {
    "max": "max",
    "average": "average",
    "avg": "average",
    "none": None,
}
_NOTEBOOK_DPI = 100


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
    >>> spec = extract(np.eye(4, dtype="float32"), [[1.0]], pool_size=(2, 1)).spec
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


@dataclasses.dataclass(frozen=True, slots=True)
class MapStats:
    """The numbers of one map, over all of its images and filters.

    Attributes
    ----------
    size : tuple of int
        ``(height, width)`` in pixels.
    minimum, maximum : float or None
        The extreme values, NaN left out. None when nothing is left.
    dead_space : float or None
        The fraction that is exactly 0, in [0, 1]. None for an empty map.
    active_fraction : float or None
        ``1 - dead_space``. A NaN counts as active: it is not 0.

    Examples
    --------
    >>> extract(np.eye(4, dtype="float32"), [[1.0]]).stats.condense
    MapStats(size=(2, 2), minimum=0.0, maximum=1.0, dead_space=0.5, active_fraction=0.5)
    """

    size: tuple[int, int]
    minimum: float | None
    maximum: float | None
    dead_space: float | None
    active_fraction: float | None


@dataclasses.dataclass(frozen=True, slots=True)
class ExtractionStats:
    """The numbers of an extraction. What was not computed is None.

    Attributes
    ----------
    image, filter, detect, condense : MapStats or None
        One per stage. `filter` and `detect` are None where ``stages=False`` skipped them.
    intensification : float or None
        Active fraction of `condense` over active fraction of `detect`: 4 means that a pixel
        of the condensed map is four times as likely to hold a feature. None when nothing is
        active, or when `detect` is None.

    Examples
    --------
    >>> extract(np.eye(4, dtype="float32"), [[1.0]]).stats.intensification
    2.0
    """

    image: MapStats
    filter: MapStats | None
    detect: MapStats | None
    condense: MapStats
    intensification: float | None

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers as nested dicts of plain values that strict JSON takes.

        JSON has no infinity, so infinite values are the strings ``"inf"`` and ``"-inf"``,
        which `float` reads back.

        Examples
        --------
        >>> stats = extract(np.eye(4, dtype="float32"), [[1.0]]).stats
        >>> stats.as_dict()["detect"]["dead_space"]
        0.75
        """
        return {key: _finite(value) for key, value in dataclasses.asdict(self).items()}


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Extraction:
    """What `extract` found: every map of the sequence, its numbers and its picture.

    The arrays are read-only, since `stats` and the picture are computed from them later:
    take ``result.condense.copy()`` to change one.

    Attributes
    ----------
    image : ndarray, float
        The image as it was filtered, in the shape in which it was given.
    kernel : ndarray, the dtype of `image`
        ``(kh, kw)`` or ``(kh, kw, C, K)``, as given.
    filter, detect : ndarray or None
        The image after convolution, and that after the activation. None with ``stages=False``.
    condense : ndarray
        The result: ``(H', W')`` for an ``(H, W)`` image and one filter, otherwise
        ``(H', W', K)``, with the batch axis in front where the image has one.
    spec : ExtractionSpec
        The parameters, resolved.

    Examples
    --------
    >>> result = extract(np.eye(4, dtype="float32"), [[1.0]])
    >>> result
    <Extraction image 4 × 4 → filter 4 × 4 → detect 4 × 4 → condense 2 × 2, float32>
    >>> result.detect.flags.writeable
    False
    """

    image: Array
    kernel: Array
    filter: Array | None
    detect: Array | None
    condense: Array
    spec: ExtractionSpec

    @functools.cached_property
    def stats(self) -> ExtractionStats:
        """The numbers of the maps, computed when first read."""
        layout = self.image.ndim
        # One computation where a step was left out and two stages are the same array.
        known: dict[int, MapStats] = {}

        def measure(values: Array) -> MapStats:
            return known.setdefault(id(values), _map_stats(values, batched=layout == 4))

        before = None if self.detect is None else measure(self.detect)
        after = measure(self.condense)
        return ExtractionStats(
            image=measure(self.image),
            filter=None if self.filter is None else measure(self.filter),
            detect=before,
            condense=after,
            intensification=_intensification(before, after),
        )

    def figure(self, **options: Any) -> "Figure":
        """Draw the sequence: `attar.figures.stages` of this result.

        Parameters
        ----------
        **options
            Passed to `attar.figures.stages`, such as ``index=`` and ``channel=``.

        Returns
        -------
        matplotlib.figure.Figure
            A figure that no window or pyplot state knows of.

        Examples
        --------
        >>> figure = extract(np.eye(4, dtype="float32"), [[1.0]]).figure()
        >>> [panel.get_label() for panel in figure.axes[:2]]
        ['input', 'filter']
        """
        from attar import figures

        return figures.stages(self, **options)

    def save(self, path: str | os.PathLike[str], **options: Any) -> Path:
        """Write the result to a file; its suffix says what is written.

        ========================  ======================================================
        ``.png`` ``.svg`` ``.pdf``  the picture of the sequence
        ``.npy``                  the condensed map, for `numpy.load`
        ``.npz``                  every map there is under its stage's name, ``kernel``,
                                  and ``json``: the spec and the stats as JSON text
        ========================  ======================================================

        The file appears whole or not at all, and replaces one of the same name.

        Parameters
        ----------
        path : str or os.PathLike
            The file to write. Its folder has to exist.
        **options
            For a picture: passed to `attar.figures.stages`.

        Returns
        -------
        pathlib.Path
            `path`.

        Raises
        ------
        ArgumentError
            The suffix is none of these, its folder does not exist, or `options` were given for
            an array.
        OSError
            The file cannot be written.

        Examples
        --------
        >>> import tempfile
        >>> result = extract(np.eye(4, dtype="float32"), [[1.0]])
        >>> path = result.save(Path(tempfile.mkdtemp()) / "maps.npz")
        >>> with np.load(path) as maps:
        ...     sorted(maps)
        ['condense', 'detect', 'filter', 'image', 'json', 'kernel']
        """
        path = Path(path)
        suffix = path.suffix.lower()
        if suffix not in SUFFIXES:
            raise ArgumentError(
                f"save: the suffix of {path.name!r} does not say what to write; "
                f"accepted are {', '.join(SUFFIXES)}"
            )
        if suffix in PICTURE_SUFFIXES:
            from attar import figures

            picture = self.figure(**options)
            with atomic_path(path) as temporary:
                figures.write(picture, temporary)
            return path
        if options:
            raise ArgumentError(
                f"save: {', '.join(sorted(options))} applies to pictures "
                f"({', '.join(PICTURE_SUFFIXES)}), not to {suffix}"
            )
        # An open file, since NumPy adds a suffix of its own to a name that ends in ".NPY".
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            if suffix == ".npy":
                np.save(file, self.condense, allow_pickle=False)
            else:
                np.savez(file, **self._arrays())
        return path

    def _arrays(self) -> dict[str, Any]:
        """Return the contents of a ``.npz``."""
        facts = {"spec": self.spec.as_dict(), "stats": self.stats.as_dict()}
        maps = {
            "image": self.image,
            "filter": self.filter,
            "detect": self.detect,
            "condense": self.condense,
            "kernel": self.kernel,
        }
        known = {name: values for name, values in maps.items() if values is not None}
        return known | {"json": np.array(json.dumps(facts, allow_nan=False))}

    def __repr__(self) -> str:
        stages = (
            ("image", self.image),
            ("filter", self.filter),
            ("detect", self.detect),
            ("condense", self.condense),
        )
        steps = " → ".join(
            f"{name} {' × '.join(map(str, values.shape))}"
            for name, values in stages
            if values is not None
        )
        return f"<Extraction {steps}, {self.image.dtype}>"

    def _repr_html_(self) -> str:
        from attar import figures

        png = io.BytesIO()
        figures.write(self.figure(dpi=_NOTEBOOK_DPI), png)
        source = base64.b64encode(png.getvalue()).decode("ascii")
        summary = html.escape(repr(self).strip("<>"))
        rows = "".join(
            f"<tr><th style='text-align:left'>{html.escape(name)}</th>"
            + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells)
            + "</tr>"
            for name, *cells in _table(self.stats)
        )
        return (
            f"<figure style='margin:0'><img alt='{summary}' style='max-width:100%' "
            f"src='data:image/png;base64,{source}'></figure>"
            "<table><tr><th></th><th>size</th><th>range</th><th>dead space</th></tr>"
            f"{rows}</table>"
        )


def extract(
    image: ArrayLike,
    kernel: str | os.PathLike[str] | ArrayLike,
    *,
    bias: ArrayLike | None = None,
    conv_stride: int | Sequence[int] = 1,
    conv_padding: str | Sequence[Sequence[int]] = "same",
    activation: str | None = "relu",
    pool: str | None = "max",
    pool_size: int | Sequence[int] = 2,
    pool_stride: int | Sequence[int] | None = None,
    pool_padding: str | Sequence[Sequence[int]] = "same",
    stages: bool = True,
) -> Extraction:
    """Filter an image with a kernel, detect the feature, condense the map.

    Convolution (cross-correlation, as in every deep-learning library), ReLU and pooling,
    with the rules of ``tf.nn``: ``"same"`` padding puts the odd pixel at the bottom and the
    right.

    Parameters
    ----------
    image : array_like, (H, W), (H, W, C) or (N, H, W, C)
        float32 and float64 are kept as they are, NaN included. uint8 is divided by 255 and
        uint16 by 65535, to float32 in [0, 1].
    kernel : str, os.PathLike or array_like, (kh, kw) or (kh, kw, C, K)
        The name of a kernel in `attar.kernels`, its numbers as text
        (``"0 1 0; 1 -4 1; 0 1 0"``), a file, or an array. It is cast to the dtype of the
        image. A ``(kh, kw)`` kernel on C channels is applied to each channel and the results
        are averaged: one map, as a convnet's filter gives, in the range that the gray image
        would give, so that one threshold and one bias fit both.
    bias : array_like, scalar or (K,), optional
        Added after the convolution.
    conv_stride, pool_stride : int or (int, int), default 1 and `pool_size`
        Step of the kernel and of the window: one number, or (vertical, horizontal).
    conv_padding, pool_padding : {"same", "valid"} or ((top, bottom), (left, right))
        Names in any case. Padding is 0 under a kernel; a pooling window does not see it.
    activation : {"relu", "none"} or None, default "relu"
        ``none`` detects nothing: the filtered map is condensed as it is, sign included.
    pool : {"max", "average", "avg", "none"} or None, default "max"
        ``none`` leaves the detected map in its size.
    pool_size : int or (int, int), default 2
        The window of the condense step.
    stages : bool, default True
        Keep the filtered and the detected map. False runs the three steps as one pass that
        never writes them, which is faster and takes a fraction of the memory.

    Returns
    -------
    Extraction
        The maps, with the dtype of the image.

    Raises
    ------
    ArgumentError
        An option is none of the values above.
    ShapeError
        The shapes do not fit: a rank other than 2, 3 or 4, a kernel for another number of
        channels, a window that is larger than the map.
    DTypeError
        The image is of another dtype.

    Examples
    --------
    A step from dark to bright, found and condensed:

    >>> step = np.array([[0, 0, 0, 1, 1, 1]] * 2, dtype=np.float32)
    >>> result = extract(step, [[-1.0, 1.0]])
    >>> result.detect
    array([[0., 0., 1., 0., 0., 0.],
           [0., 0., 1., 0., 0., 0.]], dtype=float32)
    >>> result.condense
    array([[0., 1., 0.]], dtype=float32)
    >>> result.stats.detect.dead_space, result.stats.intensification
    (0.8333333333333334, 2.0)
    """
    pixels = _as_image(image)
    weights = _as_kernel(kernel, pixels.dtype)
    filters = _as_filters(weights, pixels)
    spec = resolve(
        kernel,
        weights.shape,
        bias=bias,
        conv_stride=conv_stride,
        conv_padding=conv_padding,
        activation=activation,
        pool=pool,
        pool_size=pool_size,
        pool_stride=pool_stride,
        pool_padding=pool_padding,
    )
    batch = pixels.reshape(
        (1,) * (pixels.ndim < 4) + pixels.shape + (1,) * (pixels.ndim < 3),
    )
    offsets = None if spec.bias is None else np.array(spec.bias, dtype=pixels.dtype)
    run = _stages if stages else _fused
    maps = [
        None if found is None else _in_layout_of(pixels, found)
        for found in run(batch, filters, offsets, spec)
    ]
    filtered, detected, condensed = maps
    assert condensed is not None
    return Extraction(_read_only(pixels), _read_only(weights), filtered, detected, condensed, spec)


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
    names = cast("Mapping[str, Array]", kernels)  # The module is a mapping, which mypy cannot see.
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


def _stages(
    batch: Array, filters: Array, bias: Array | None, spec: ExtractionSpec
) -> tuple[Array | None, Array | None, Array]:
    """Run filter, detect and condense one after the other, and keep each map."""
    filtered = nn.conv2d(
        batch, filters, spec.conv_stride, _nn_padding(spec.conv_padding), bias=bias
    )
    detected = filtered if spec.activation is None else nn.relu(filtered)
    if spec.pool is None:
        return filtered, detected, detected
    condensed = nn.pool(
        detected,
        spec.pool_size,
        _nn_pooling(spec),
        strides=spec.pool_stride,
        padding=_nn_padding(spec.pool_padding),
    )
    return filtered, detected, condensed


def _fused(
    batch: Array, filters: Array, bias: Array | None, spec: ExtractionSpec
) -> tuple[Array | None, Array | None, Array]:
    """Run the three steps as one pass."""
    whole = spec.pool is None
    condensed = nn.extract(
        batch,
        filters,
        bias,
        strides=spec.conv_stride,
        padding=_nn_padding(spec.conv_padding),
        activation=spec.activation,
        # A window of one pixel leaves the map as it is.
        window_shape=(1, 1) if whole else spec.pool_size,
        pooling_type=_nn_pooling(spec),
        pool_strides=(1, 1) if whole else spec.pool_stride,
        pool_padding="VALID" if whole else _nn_padding(spec.pool_padding),
    )
    return None, None, condensed


def _nn_padding(padding: Padding) -> Any:
    return padding.upper() if isinstance(padding, str) else padding


def _nn_pooling(spec: ExtractionSpec) -> Literal["MAX", "AVG"]:
    return "AVG" if spec.pool == "average" else "MAX"


def _as_image(image: object) -> Array:
    """Return the image as a floating-point array of rank 2, 3 or 4."""
    pixels = _as_array(image)
    # Files hold either byte order; the arithmetic needs the processor's.
    pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    if pixels.dtype in _WHITE:
        # The quotient, not a product with the reciprocal: 255 / 255 has to be 1 exactly.
        pixels = pixels.astype(np.float32) / np.float32(_WHITE[pixels.dtype])
    if pixels.dtype not in (np.float32, np.float64):
        raise DTypeError(
            f"extract: the image has dtype {pixels.dtype}; accepted are float32, float64, "
            "uint8 (divided by 255) and uint16 (divided by 65535)"
        )
    if pixels.ndim not in (2, 3, 4):
        raise ShapeError(
            f"extract: the image has shape {pixels.shape}; accepted are (H, W), (H, W, C) "
            "and (N, H, W, C)"
        )
    return pixels


def _as_array(values: object) -> Array:
    """Return `values` as an array, without a copy where it is one of another library."""
    if hasattr(values, "__dlpack__") and not isinstance(values, np.ndarray):
        # Not np.asarray: on a tensor that takes one Python call per pixel or makes a copy.
        try:
            return np.from_dlpack(values)
        except (BufferError, RuntimeError, TypeError, ValueError):
            pass  # On another device, or with a gradient: the library's own error follows.
    try:
        return np.asarray(values)
    except ValueError as error:  # rows of different lengths
        raise ShapeError(f"extract: the image is not an array: {error}") from error


def _as_kernel(kernel: Any, dtype: np.dtype[Any]) -> Array:
    parsed = kernels.parse_kernel(os.fspath(kernel) if isinstance(kernel, os.PathLike) else kernel)
    # The cast of an array that has the dtype already still copies: the result is frozen.
    return np.array(parsed, dtype=dtype)


def _as_filters(weights: Array, pixels: Array) -> Array:
    """Return the kernel as the (kh, kw, C, K) filters for this image."""
    channels = 1 if pixels.ndim == 2 else pixels.shape[-1]
    if weights.ndim == 2:
        # max: an image with no channels at all is refused by nn, not by a division by zero.
        shared = (weights / max(channels, 1)).astype(weights.dtype)[:, :, None, None]
        return np.repeat(shared, channels, axis=2)
    if weights.shape[2] != channels:
        raise ShapeError(
            f"extract: the kernel of shape {weights.shape} is for {weights.shape[2]} "
            f"channel(s) and the image of shape {pixels.shape} has {channels}; accepted are "
            f"(kh, kw) and (kh, kw, {channels}, K)"
        )
    return weights


def _in_layout_of(pixels: Array, found: Array) -> Array:
    """Return an (N, H, W, K) map with the axes that the image was given with."""
    if pixels.ndim < 4:
        found = found[0]
    if pixels.ndim == 2 and found.shape[-1] == 1:
        found = found[..., 0]
    return _read_only(found)


def _read_only(values: Array) -> Array:
    view = values.view()  # The caller's own array stays writable.
    view.flags.writeable = False
    return view


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


def _map_stats(values: Array, *, batched: bool) -> MapStats:
    height, width = values.shape[1:3] if batched else values.shape[:2]
    if not values.size:
        return MapStats((height, width), None, None, None, None)
    # fmin and fmax step over NaN, and unlike nanmin they neither copy nor warn.
    lowest, highest = float(np.fmin.reduce(values, None)), float(np.fmax.reduce(values, None))
    active = int(np.count_nonzero(values))
    return MapStats(
        size=(height, width),
        minimum=None if math.isnan(lowest) else lowest,
        maximum=None if math.isnan(highest) else highest,
        dead_space=(values.size - active) / values.size,
        active_fraction=active / values.size,
    )


def _intensification(before: MapStats | None, after: MapStats) -> float | None:
    if before is None or not before.active_fraction or after.active_fraction is None:
        return None
    return after.active_fraction / before.active_fraction


def _finite(value: Any) -> Any:
    """Return `value` with every infinity in it as text."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    return str(value) if isinstance(value, float) and math.isinf(value) else value


def _table(stats: ExtractionStats) -> list[tuple[str, str, str, str]]:
    """Return the rows of the table that a notebook shows: stage, size, range, dead space."""
    stages = (
        ("image", stats.image),
        ("filter", stats.filter),
        ("detect", stats.detect),
        ("condense", stats.condense),
    )
    rows = []
    for name, one in stages:
        if one is None:
            continue
        span = "" if one.minimum is None else f"{one.minimum:.3g} … {one.maximum:.3g}"
        # The dead space of an image or of a signed map says nothing about features.
        empty = name in ("image", "filter") or one.dead_space is None
        dead = "" if empty else f"{one.dead_space:.1%}"
        rows.append((name, f"{one.size[0]} × {one.size[1]}", span, dead))
    if stats.intensification is not None:
        rows.append(("intensification", f"{stats.intensification:.2f}×", "", ""))
    return rows

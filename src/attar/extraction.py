"""`extract`: filter an image with a kernel, detect what responds, condense it.

The three steps of a convnet's base on one image, with everything a person wants to look at
afterwards: the maps, their numbers and their picture.
"""

import base64
import dataclasses
import functools
import html
import io
import json
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attar import nn
from attar.array_files import ARRAY_SUFFIXES, write_array
from attar.arrays import from_caller
from attar.by_rows import condense_by_rows, is_by_rows, measure_by_rows
from attar.errors import ArgumentError
from attar.files import atomic_path
from attar.on_disk import is_on_disk
from attar.operands import (
    NN_POOLING,
    as_bias,
    as_filters,
    as_floats,
    as_kernel,
    nn_arguments,
    nn_padding,
    wrong_rank,
)
from attar.rasters import Raster
from attar.spec import ExtractionSpec, resolve
from attar.stats import ExtractionStats, MapStats, measure, stats_of, table_rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Extraction", "ExtractionSpec", "ExtractionStats", "MapStats", "extract"]

Array: TypeAlias = NDArray[Any]

PICTURE_SUFFIXES = (".png", ".svg", ".pdf")
SUFFIXES = (*PICTURE_SUFFIXES, *ARRAY_SUFFIXES, ".npz")

_NOTEBOOK_DPI = 100


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Extraction:
    """What `extract` found: every map of the sequence, its numbers and its picture.

    The arrays are read-only, since `stats` and the picture are computed from them later:
    take ``result.condense.copy()`` to change one.

    Attributes
    ----------
    image : ndarray, float
        The image as it was filtered, in the shape in which it was given. Of a memory map, a Zarr
        array or an `attar.rasters.Raster` that was read by rows (``stages=False``) it is that
        itself: nothing is in memory, and uint8 and uint16 are not scaled. `stats` then reads it
        once more, by rows; there is no picture.
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
        if is_by_rows(self.image) or is_by_rows(self.condense):
            image, condensed = measure_by_rows(self.image), measure_by_rows(self.condense)
            return stats_of(image, None, None, condensed)
        return measure(self.image, self.filter, self.detect, self.condense)

    def _require_pixels(self, operation: str) -> None:
        """Refuse to draw or copy what is read by rows."""
        if is_by_rows(self.image) or is_by_rows(self.condense):
            raise ArgumentError(
                f"{operation}: the image or its condensed map is on disk and is read by rows; "
                "extract from a part of it, image[:1000, :1000].copy(), to see that, or save the "
                "condensed map as .npy or .zarr"
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

        self._require_pixels("figure")
        return figures.stages(self, **options)

    def save(self, path: str | os.PathLike[str], **options: Any) -> Path:
        """Write the result to a file; its suffix says what is written.

        ========================  ======================================================
        ``.png`` ``.svg`` ``.pdf``  the picture of the sequence
        ``.npy``                  the condensed map, for `numpy.load`
        ``.zarr``                 the condensed map, as a Zarr array in chunks
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
        if suffix == ".zarr" or (suffix == ".npy" and is_on_disk(self.condense)):
            write_array(path, self.condense)
            return path
        if suffix == ".npz":
            self._require_pixels("save")
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

        summary = html.escape(repr(self).strip("<>"))
        if is_by_rows(self.image) or is_by_rows(self.condense):
            return f"<p>{summary}, read by rows</p>"
        png = io.BytesIO()
        figures.write(self.figure(dpi=_NOTEBOOK_DPI), png)
        source = base64.b64encode(png.getvalue()).decode("ascii")
        rows = "".join(
            f"<tr><th style='text-align:left'>{html.escape(name)}</th>"
            + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells)
            + "</tr>"
            for name, *cells in table_rows(self.stats)
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
    out: Any = None,
) -> Extraction:
    """Filter an image with a kernel, detect the feature, condense the map.

    Convolution (cross-correlation, as in every deep-learning library), ReLU and pooling,
    with the rules of ``tf.nn``: ``"same"`` padding puts the odd pixel at the bottom and the
    right.

    Parameters
    ----------
    image : array_like, (H, W), (H, W, C) or (N, H, W, C)
        float32 and float64 arrays are kept as they are, NaN included; nested lists of floats
        become float32. uint8 is divided by 255 and uint16 by 65535, to float32 in [0, 1].
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
        never writes them, which is faster and takes a fraction of the memory. A memory map, a Zarr
        array or an `attar.rasters.Raster` is then read some rows at a time, so that it may be
        larger than memory; `Extraction.image` stays what was given.
    out : array, memory map or Zarr array, optional
        Where to write the condensed map, with ``stages=False``. It has the dtype of the image as
        it is filtered: float32 for uint8 and uint16.

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
    if out is not None and stages:
        raise ArgumentError("extract: out is for the condensed map alone; pass stages=False too")
    options: dict[str, Any] = {
        "bias": bias,
        "conv_stride": conv_stride,
        "conv_padding": conv_padding,
        "activation": activation,
        "pool": pool,
        "pool_size": pool_size,
        "pool_stride": pool_stride,
        "pool_padding": pool_padding,
    }
    if stages and not isinstance(image, np.ndarray) and isinstance(image, Raster):
        raise ArgumentError("extract: a raster is read by rows; pass stages=False too")
    if not stages and (is_by_rows(image) or is_on_disk(out)):
        weights, condensed, spec = condense_by_rows(image, kernel, out, options)
        return Extraction(_read_only(image), weights, None, None, _read_only(condensed), spec)
    pixels = _as_image(image)
    weights = as_kernel(kernel, pixels.dtype)
    filters = as_filters(weights, pixels.shape)
    spec = resolve(kernel, weights.shape, **options)
    batch = pixels.reshape(
        (1,) * (pixels.ndim < 4) + pixels.shape + (1,) * (pixels.ndim < 3),
    )
    offsets = as_bias(spec, pixels.dtype)
    run = _stages if stages else partial(_fused, out=_as_batch(out, pixels.ndim))
    filtered, detected, condensed = (
        None if found is None else _in_layout_of(pixels, found)
        for found in run(batch, filters, offsets, spec)
    )
    assert condensed is not None
    return Extraction(_read_only(pixels), _read_only(weights), filtered, detected, condensed, spec)


def _stages(
    batch: Array, filters: Array, bias: Array | None, spec: ExtractionSpec
) -> tuple[Array | None, Array | None, Array]:
    """Run filter, detect and condense one after the other, and keep each map."""
    filtered = nn.conv2d(batch, filters, spec.conv_stride, nn_padding(spec.conv_padding), bias=bias)
    detected = filtered if spec.activation is None else nn.relu(filtered)
    if spec.pool is None:
        return filtered, detected, detected
    condensed = nn.pool(
        detected,
        spec.pool_size,
        NN_POOLING[spec.pool],
        strides=spec.pool_stride,
        padding=nn_padding(spec.pool_padding),
    )
    return filtered, detected, condensed


def _fused(
    batch: Any, filters: Array, bias: Array | None, spec: ExtractionSpec, out: Any = None
) -> tuple[Array | None, Array | None, Array]:
    """Run the three steps as one pass."""
    return None, None, nn.extract(batch, filters, bias, **nn_arguments(spec), out=out)


def _as_image(image: object) -> Array:
    """Return the image as a floating-point array of rank 2, 3 or 4."""
    pixels, _ = from_caller("extract", "image", image)
    pixels = as_floats(pixels)
    if pixels.ndim not in (2, 3, 4):
        raise wrong_rank(pixels.shape)
    return pixels


def _as_batch(out: Any, rank: int) -> Any:
    """View the array for an answer with all four axes, or None."""
    if not isinstance(out, np.ndarray) or rank == 4:
        return out
    return out[None] if out.ndim == 3 else out[None, :, :, None]


def _in_layout_of(pixels: Array, found: Array) -> Array:
    """Return an (N, H, W, K) map with the axes that the image was given with."""
    if pixels.ndim < 4:
        found = found[0]
    if pixels.ndim == 2 and found.shape[-1] == 1:
        found = found[..., 0]
    view: Array = _read_only(found)
    return view


def _read_only(values: Any) -> Any:
    if not isinstance(values, np.ndarray):  # what is on disk, or is read by rows
        return values
    view = values.view()  # The caller's own array stays writable.
    view.flags.writeable = False
    return view

"""What is extracted from every image of a data set, and what the answers are kept as."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from attar.errors import ArgumentError, ModelNotFoundError, ShapeError
from attar.kernels import parse_kernel
from attar.spec import ExtractionSpec, resolve

__all__ = ["BatchConfig", "Color", "Format", "LayerOfModel", "Reduce", "ThreeSteps", "differences"]

Color: TypeAlias = Literal["gray", "luma", "rgb"]
Reduce: TypeAlias = Literal["none", "gap", "gmp", "spp"]
Format: TypeAlias = Literal["parquet", "zarr", "npy"]

LARGEST_SHARD = 1 << 16  # images


@dataclass(frozen=True)
class ThreeSteps:
    """Filter, detect, condense, as `attar.extract` does them.

    Attributes
    ----------
    kernel : str or nested tuples of float
        A name in `attar.kernels`, or the weights, (kh, kw) or (kh, kw, C, K).
    spec : ExtractionSpec
        The options, resolved.
    """

    kernel: Any
    spec: ExtractionSpec

    @classmethod
    def of(cls, kernel: Any = "edge", **options: Any) -> ThreeSteps:
        """Check the arguments of `attar.extract` without an image.

        Examples
        --------
        >>> ThreeSteps.of("edge", pool_size=4).spec.pool_stride
        (4, 4)
        """
        weights = parse_kernel(os.fspath(kernel) if isinstance(kernel, os.PathLike) else kernel)
        spec = resolve(kernel, weights.shape, **options)
        return cls(spec.kernel or _as_tuples(weights.tolist()), spec)

    def options(self) -> dict[str, Any]:
        """Return the keyword arguments for `attar.extract`."""
        options = self.spec.as_dict()
        del options["kernel"], options["kernel_shape"]
        return options

    def as_dict(self) -> dict[str, Any]:
        """Return plain values that `json.dumps` takes."""
        return {"kernel": self.kernel, **self.options()}


@dataclass(frozen=True)
class LayerOfModel:
    """What one layer of a trained model answers.

    Attributes
    ----------
    file : str
        The model: an absolute path, which every worker must be able to read.
    digest : str
        SHA-256 of its bytes.
    layer : str
        Name of the layer.
    options : mapping
        Further arguments of `attar.open_model`.
    """

    file: str
    digest: str
    layer: str
    options: Mapping[str, Any]

    @classmethod
    def of(cls, file: str | os.PathLike[str], layer: str, **options: Any) -> LayerOfModel:
        """Look at a file of a model; it is opened where it is used."""
        path = Path(file)
        if not path.is_file():
            raise ModelNotFoundError(f"batch: there is no model at {path}")
        with path.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
        given = {name: value for name, value in options.items() if value not in (None, False)}
        return cls(str(path.resolve()), digest, layer, given)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values that `json.dumps` takes."""
        return {"model": self.file, "sha256": self.digest, "layer": self.layer, **self.options}


@dataclass(frozen=True)
class BatchConfig:
    """What is extracted from every image, and what the answers are kept as.

    Attributes
    ----------
    base : ThreeSteps or LayerOfModel
    color : {"gray", "luma", "rgb"}
        What a kernel sees of a picture. A model takes the channels that it takes.
    size : (height, width) or None
        Every image is resized to it before anything else.
    reduce : {"none", "gap", "gmp", "spp"}
        What becomes of a condensed map, (H, W, K): itself; the mean of each of its channels, (K,);
        the maximum; the maxima of a spatial pyramid of 1, 2 × 2 and 4 × 4 bins, (21 K,).
    format : {"parquet", "zarr", "npy"}
    max_pixels : int
        Pictures of more pixels are refused before they are decoded.
    shard_images : int
        Images of a shard.

    Examples
    --------
    >>> config = BatchConfig(ThreeSteps.of("edge"), reduce="gap")
    >>> BatchConfig.from_dict(config.as_dict()) == config
    True
    """

    base: ThreeSteps | LayerOfModel
    color: Color = "gray"
    size: tuple[int, int] | None = None
    reduce: Reduce = "none"
    format: Format = "parquet"
    max_pixels: int = 200_000_000
    shard_images: int = 256

    def __post_init__(self) -> None:
        for name, known in (("color", Color), ("reduce", Reduce), ("format", Format)):
            value = getattr(self, name)
            if value not in get_args(known):
                raise ArgumentError(
                    f"batch: {name} is {value!r}; accepted are {', '.join(get_args(known))}"
                )
        _check_count("max_pixels", self.max_pixels, 2**63 - 1)
        _check_count("shard_images", self.shard_images, LARGEST_SHARD)
        if self.size is not None:
            if not isinstance(self.size, Sequence) or len(self.size) != 2:
                raise ArgumentError(f"batch: size is {self.size!r}; accepted is (height, width)")
            for side in self.size:
                _check_count("size", side, 1 << 20)

        shape = self.base.spec.kernel_shape if isinstance(self.base, ThreeSteps) else ()
        channels = 3 if self.color == "rgb" else 1
        if len(shape) == 4 and shape[2] != channels:
            raise ShapeError(
                f"batch: the kernel of shape {shape} is for {shape[2]} channel(s), and color "
                f"{self.color!r} has {channels}; accepted are (kh, kw) and (kh, kw, {channels}, K)"
            )

    def as_dict(self) -> dict[str, Any]:
        """Return plain values that `json.dumps` takes."""
        return {
            **self.base.as_dict(),
            "color": self.color if isinstance(self.base, ThreeSteps) else None,
            "size": self.size,
            "reduce": self.reduce,
            "format": self.format,
            "max_pixels": self.max_pixels,
            "shard_images": self.shard_images,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> BatchConfig:
        """Return what `as_dict` was made of; lists, as JSON gives them, count as tuples."""
        given = {name: _as_tuples(value) for name, value in values.items()}
        own = {
            name: given.pop(name)
            for name in ("size", "reduce", "format", "max_pixels", "shard_images")
        }
        color = given.pop("color")
        base: ThreeSteps | LayerOfModel
        if "model" in given:
            base = LayerOfModel(
                given.pop("model"), given.pop("sha256"), given.pop("layer"), options=given
            )
        else:
            kernel = given.pop("kernel")
            base = ThreeSteps.of(kernel if isinstance(kernel, str) else np.array(kernel), **given)
            color = color or "gray"
        return cls(base, **({"color": color} if color else {}), **own)


def differences(there: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Say in what two configurations differ, a sentence's part for each.

    Where a model lies makes no difference; what it is does.

    Examples
    --------
    >>> gap = BatchConfig(ThreeSteps.of("edge"), reduce="gap").as_dict()
    >>> gmp = BatchConfig(ThreeSteps.of("emboss"), reduce="gmp").as_dict()
    >>> differences(gap, gmp)
    ["kernel ('edge' there, 'emboss' now)", "reduce ('gap' there, 'gmp' now)"]
    """
    found = []
    both = there.keys() & now.keys()
    for name in dict.fromkeys([*there, *now]):
        old, new = _as_tuples(there.get(name)), _as_tuples(now.get(name))
        if old == new or (name == "model" and name in both):
            continue
        found.append(f"{name} ({_shown(old)} there, {_shown(new)} now)")
    return found


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _check_count(name: str, value: object, most: int) -> None:
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or not 1 <= value <= most:
        raise ArgumentError(
            f"batch: {name} is {value!r}; accepted are whole numbers from 1 to {most}"
        )


def _as_tuples(value: Any) -> Any:
    return tuple(map(_as_tuples, value)) if isinstance(value, list | tuple) else value

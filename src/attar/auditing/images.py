"""The images of an audit: from files, an array or drawn, read one after the other, of one size."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from attar import features
from attar.errors import ArgumentError, DTypeError, ImageError, ImageNotFoundError, ShapeError
from attar.images import list_images, read_image
from attar.preparation import fitted

__all__ = ["Images", "Size", "images_of"]

Array: TypeAlias = NDArray[Any]
Kind: TypeAlias = Literal["files", "array", "shapes"]

OPERATION = "audit"
_SHAPES = 64  # how many are drawn where no images are given
_SHAPES_SIDE = 64  # their size, where the model takes any


class Size(NamedTuple):
    """What a model takes; None where any number will do."""

    height: int | None
    width: int | None
    channels: int


@dataclass(frozen=True)
class Images:
    """The images of an audit, in their order.

    Attributes
    ----------
    kind : {"files", "array", "shapes"}
        "shapes" are drawn, because there were no images.
    source : str
        What was named.
    names : tuple of str
        One for each.
    available : int
        How many there were before `max_images` left some out.
    shape : (int, int, int)
        Height, width, channels: all are given this size. What has other proportions loses some of
        its border.
    picked : tuple of int
        Which of those available they are.
    files : tuple of Path
        Empty unless they are files.
    folders : tuple of str
        Of a folder that was named: the folders right below it that hold pictures, sorted. Those of
        pictures that were left out, too.
    own_labels : ndarray, optional
        What stands beside the images of an archive.
    """

    kind: Kind
    source: str
    names: tuple[str, ...]
    available: int
    shape: tuple[int, int, int]
    _read: Callable[[int], Array]
    _hash: Callable[[], str]
    picked: tuple[int, ...]
    files: tuple[Path, ...] = ()
    folders: tuple[str, ...] = ()
    own_labels: Array | None = None

    def __len__(self) -> int:
        return len(self.names)

    def read(self, index: int) -> Array:
        """Return an image, float32 (H, W, C) in [0, 1].

        Raises
        ------
        ImageError (a ValueError)
            The file is no picture, or is damaged.
        """
        image = self._read(index)
        if image.ndim == 2:
            image = image[:, :, None]
        if image.shape == self.shape:
            return np.ascontiguousarray(image, dtype=np.float32)
        return _covering(image, *self.shape)

    def digest(self) -> str:
        """Return what tells these images from others: a hash of what they hold."""
        return self._hash()


def images_of(source: Any, size: Size, *, max_images: int | None, seed: int) -> Images:
    """Find the images that were named.

    Parameters
    ----------
    source : path, glob, array, sequence of these paths, or None
        A picture, a folder of pictures, a pattern such as ``"photos/*.jpg"``, a ``.npy`` or
        ``.npz`` file, or an array (N, H, W, C) or (N, H, W): float in [0, 1] or uint8. None draws
        shapes.
    size : Size
        What the model takes.
    max_images : int, optional
        Take so many of them, evenly spread over all.
    seed : int
        Of the shapes.

    Raises
    ------
    ArgumentError, ShapeError (both ValueError), DTypeError (a TypeError)
    ImageError (a ValueError), ImageNotFoundError (a FileNotFoundError)
        There is none.

    Examples
    --------
    >>> found = images_of(np.zeros((10, 8, 8), np.uint8), Size(None, None, 3), max_images=5, seed=0)
    >>> found.names, found.shape
    (('0', '2', '4', '6', '8'), (8, 8, 3))
    """
    if max_images is not None and (isinstance(max_images, bool) or max_images < 1):
        raise ArgumentError(f"{OPERATION}: max_images must be at least 1, got {max_images}")
    if source is None:
        return _drawn(size, _SHAPES if max_images is None else max_images, seed)
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        if path.suffix.lower() in (".npy", ".npz") and not path.is_dir():
            return _array(*_load(path), os.fspath(source), size, max_images)
        return _files(source, size, max_images)
    if isinstance(source, Sequence) and all(isinstance(one, str | os.PathLike) for one in source):
        return _files(source, size, max_images)
    return _array(np.asarray(source), None, "an array", size, max_images)


def _chosen(count: int, max_images: int | None) -> list[int]:
    """Return which of them are taken: spread evenly, since folders are sorted by class."""
    taken = count if max_images is None else min(count, max_images)
    return [i * count // taken for i in range(taken)]


# ------------------------------------------------------------------------ files


def _files(source: Any, size: Size, max_images: int | None) -> Images:
    named = [source] if isinstance(source, str | os.PathLike) else list(source)
    paths: list[Any] = []
    for name in named:
        # What is there is meant as it is: a folder may have brackets in its name.
        if not Path(name).exists() and glob.has_magic(os.fspath(name)):
            # Not Path.glob: a pattern may be absolute, or begin with "..".
            found = sorted(glob.glob(os.fspath(name), recursive=True))  # noqa: PTH207
            if not found:
                raise ImageNotFoundError(f"no picture at {os.fspath(name)}: nothing matches")
            paths += found
        else:
            paths.append(name)
    files = list_images(paths)
    indices = _chosen(len(files), max_images)
    picked = tuple(files[i] for i in indices)
    root = Path(named[0]) if len(named) == 1 and Path(named[0]).is_dir() else Path()
    names = [file.relative_to(root) if file.is_relative_to(root) else file for file in picked]
    below = {file.relative_to(root).parts[:-1] for file in files} if root != Path() else set()

    def read(index: int) -> Array:
        return read_image(picked[index], color="gray" if size.channels == 1 else "rgb")

    if size.channels not in (1, 3):
        raise ShapeError(
            f"{OPERATION}: the model takes {size.channels} channels, and pictures have 1 or 3; "
            f"pass an array (N, H, W, {size.channels})"
        )
    return Images(
        "files",
        ", ".join(os.fspath(name) for name in named),
        tuple(name.as_posix() for name in names),
        len(files),
        _one_size(size, _first_shape(read, picked)),
        read,
        lambda: _hash_files(picked, names),
        tuple(indices),
        files=picked,
        folders=tuple(sorted({parts[0] for parts in below if parts})),
    )


def _first_shape(read: Callable[[int], Array], files: tuple[Path, ...]) -> tuple[int, ...]:
    """Return the shape of the first picture that can be read."""
    for i in range(len(files)):
        try:
            return read(i).shape
        except ImageError as error:
            last = error
    raise ImageError(f"{OPERATION}: none of {len(files)} pictures can be read; the last: {last}")


def _hash_files(files: Sequence[Path], names: Sequence[Path]) -> str:
    whole = hashlib.sha256()
    for file, name in zip(files, names, strict=True):
        try:
            with file.open("rb") as opened:
                inner = hashlib.file_digest(opened, "sha256").hexdigest()
        except OSError:
            inner = "unreadable"
        whole.update(f"{name.as_posix()}\0{inner}\n".encode("utf-8", "surrogateescape"))
    return whole.hexdigest()


# ------------------------------------------------------------------------ arrays

_KEYS = (("images", "labels"), ("x_test", "y_test"), ("x", "y"), ("x_train", "y_train"))


def _load(path: Path) -> tuple[Array, Array | None]:
    """Return the images of a file of NumPy, and the labels that an archive has beside them."""
    try:
        # Pickles run code: NumPy refuses them.
        if path.suffix.lower() == ".npy":
            array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
            return array, None
        # Opened here: NumPy leaves a damaged archive open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as loaded:
            for key, beside in _KEYS:
                if key in loaded:
                    return loaded[key], loaded.get(beside)
            names = ", ".join(loaded) or "none"
            if len(loaded.files) == 1:
                return loaded[loaded.files[0]], None
    except FileNotFoundError:
        raise ImageNotFoundError(f"cannot read {path}: there is no such file") from None
    except (OSError, ValueError, EOFError) as error:
        raise ImageError(f"cannot read {path}: it is no array of NumPy ({error})") from None
    except Exception as error:  # a damaged archive: zipfile and zlib have errors of their own
        raise ImageError(f"cannot read {path}: it is damaged ({error})") from None
    raise ImageError(
        f"cannot read {path}: it holds the arrays {names}; name the images {_KEYS[0][0]!r}, and "
        f"their classes {_KEYS[0][1]!r}"
    )


def _array(
    array: Array, labels: Array | None, source: str, size: Size, max_images: int | None
) -> Images:
    if array.dtype != np.uint8 and array.dtype.kind != "f":
        raise DTypeError(f"{OPERATION}: images must be float in [0, 1] or uint8, got {array.dtype}")
    channels = 1 if array.ndim == 3 else array.shape[-1]
    fits = channels == size.channels or {channels, size.channels} == {1, 3}
    if array.ndim not in (3, 4) or 0 in array.shape or not fits:
        hint = ""
        if array.ndim == 4 and array.shape[1] in (1, 3):
            hint = "; channels come last: images.transpose(0, 2, 3, 1)"
        raise ShapeError(
            f"{OPERATION}: images must be (N, H, W, {size.channels}) or (N, H, W), got "
            f"{array.shape}{hint}"
        )
    picked = _chosen(len(array), max_images)

    def read(index: int) -> Array:
        image = np.asarray(array[picked[index]])
        if image.dtype == np.uint8:
            return image * np.float32(1 / 255)
        # So written, NaN fails too.
        if not (image.min() >= 0 and image.max() <= 1):
            raise ImageError(
                f"its numbers run from {image.min():g} to {image.max():g}; floats must be in "
                "[0, 1]: divide by 255, or pass uint8"
            )
        return image.astype(np.float32, copy=False)

    def digest() -> str:
        whole = hashlib.sha256(f"{array.dtype.str} {array.shape[1:]}".encode())
        for i in picked:
            whole.update(np.ascontiguousarray(array[i]).tobytes())
        return whole.hexdigest()

    return Images(
        "array",
        source,
        tuple(map(str, picked)),
        len(array),
        _one_size(size, array.shape[1:3]),
        read,
        digest,
        tuple(picked),
        own_labels=None if labels is None else np.asarray(labels)[picked],
    )


# ------------------------------------------------------------------------ shapes


def _drawn(size: Size, count: int, seed: int) -> Images:
    channels = size.channels
    height, width = size.height or _SHAPES_SIDE, size.width or _SHAPES_SIDE
    if min(height, width) < 8:
        raise ArgumentError(
            f"{OPERATION}: which images? Shapes are drawn for models of 8 × 8 pixels or more; "
            f"this takes {height} × {width}"
        )

    def draw(index: int) -> Array:
        return _shape(height, width, channels, index, seed)

    names = tuple(f"{_SHAPE_NAMES[i % len(_SHAPE_NAMES)]} {i}" for i in range(count))
    drawn_so = f"{height} × {width} × {channels}, {count}, seed {seed}"
    return Images(
        "shapes",
        "drawn shapes",
        names,
        count,
        (height, width, channels),
        draw,
        lambda: drawn_so,
        tuple(range(count)),
    )


_SHAPE_NAMES = ("circle", "disc", "car")


def _shape(height: int, width: int, channels: int, index: int, seed: int) -> Array:
    """Draw one: a bright feature of chance colour, size and place on dim noise."""
    random = np.random.default_rng([seed, index])
    noise = features.random_map((height, width), seed=int(random.integers(2**32)))
    side = int(random.integers(min(height, width) // 3, 2 * min(height, width) // 3 + 1))
    kind = _SHAPE_NAMES[index % len(_SHAPE_NAMES)]
    if kind == "car":
        feature = features.car(side)
    else:
        feature = features.circle(side, r_shrink=1, filled=kind == "disc")
    top, left = random.integers(height - side + 1), random.integers(width - side + 1)
    cover = np.zeros((height, width, 1), np.float32)
    cover[top : top + side, left : left + side, 0] = feature
    colour = random.uniform(0.6, 1, channels).astype(np.float32)
    dim = random.uniform(0.1, 0.4, channels).astype(np.float32)
    return cover * colour + (1 - cover) * dim * noise[:, :, None]


def _one_size(size: Size, first: Sequence[int]) -> tuple[int, int, int]:
    """Return the size that all images get: that of the first, but for what a model never sees.

    Measures resize to what the model takes, after they have cropped or moved an image where that is
    better done before. For that, twice the model's size is plenty.
    """
    height, width = first[:2]
    own = [
        2 * takes / side
        for takes, side in zip((size.height, size.width), (height, width), strict=True)
        if takes is not None
    ]
    factor = min(1.0, max(own, default=1.0))
    return max(1, round(height * factor)), max(1, round(width * factor)), size.channels


def _covering(image: Array, height: int, width: int, channels: int) -> Array:
    """Return an image in another size: its middle, so that nothing in it changes its proportions.

    Examples
    --------
    >>> row = np.arange(6, dtype=np.float32).reshape(1, 6, 1).repeat(2, axis=0)
    >>> _covering(row, 1, 1, 1).ravel(), _covering(row, 2, 2, 1)[0].ravel()
    (array([2.5], dtype=float32), array([2., 3.], dtype=float32))
    """
    tall, wide = image.shape[:2]
    if tall * width <= wide * height:
        tall, wide = height, max(width, round(wide * height / tall))
    else:
        tall, wide = max(height, round(tall * width / wide)), width
    top, left = (tall - height) // 2, (wide - width) // 2
    return np.ascontiguousarray(
        fitted(image, tall, wide, channels)[top : top + height, left : left + width]
    )

"""The right classes of the images of an audit, where they are known."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from attar.auditing.images import OPERATION, Images
from attar.errors import ArgumentError, DTypeError, ImageError

__all__ = ["Labels", "labels_of"]

Array: TypeAlias = NDArray[Any]


class Labels(NamedTuple):
    """The right classes, and where they are known from.

    Attributes
    ----------
    values : ndarray of int64, (N,), or None
        None where they are not known.
    says : str
        Where from, or why not.
    """

    values: Array | None
    says: str


def labels_of(images: Images, given: Any, classes: int | None) -> Labels:
    """Find the classes of images.

    Parameters
    ----------
    images : Images
    given : path, sequence of int, False, or None
        A ``.npy`` file or numbers, one for each image that there is; a ``.csv`` file of rows
        ``file,label``; False for none. None takes what stands beside the images of an ``.npz``
        file, or folders: one for each class of the model, in the order of their names, or named by
        the number of their class.
    classes : int or None
        How many the model tells apart; None where its output is no classes.

    Raises
    ------
    ArgumentError (a ValueError), DTypeError (a TypeError), ImageError (a ValueError)
    """
    if given is False:
        return Labels(None, "none: labels=False")
    if classes is None:
        if given is not None:
            raise ArgumentError(f"{OPERATION}: labels: the output of the model is no classes")
        return Labels(None, "none: the output of the model is no classes")
    if given is None:
        if images.own_labels is not None:
            return Labels(_checked(images.own_labels, images, classes), "beside the images")
        return _of_folders(images, classes)
    if isinstance(given, str | os.PathLike):
        path = Path(given)
        if path.suffix.lower() == ".csv":
            return Labels(_of_table(path, images, classes), os.fspath(given))
        if path.suffix.lower() != ".npy":
            raise ArgumentError(
                f"{OPERATION}: labels must be a .npy or .csv file or numbers, got "
                f"{os.fspath(given)!r}"
            )
        try:
            values = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise ImageError(f"cannot read {path}: {error}") from None
        return Labels(_checked(_taken(values, images), images, classes), os.fspath(given))
    return Labels(_checked(_taken(np.asarray(given), images), images, classes), "given")


def _taken(values: Array, images: Images) -> Array:
    """Return those of the images that `max_images` left."""
    if values.ndim == 1 and len(values) == images.available:
        return values[list(images.picked)]
    return values


def _checked(values: Array, images: Images, classes: int) -> Array:
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]  # as Keras has them
    if values.dtype.kind not in "iu":
        raise DTypeError(f"{OPERATION}: labels must be whole numbers, got {values.dtype}")
    if values.shape != (len(images),):
        raise ArgumentError(
            f"{OPERATION}: labels must be one for each of {images.available} images, got the shape "
            f"{values.shape}"
        )
    if values.size and not 0 <= values.min() <= values.max() < classes:
        raise ArgumentError(
            f"{OPERATION}: labels run from {values.min()} to {values.max()}; the model has the "
            f"classes 0 to {classes - 1}"
        )
    return values.astype(np.int64)


def _of_folders(images: Images, classes: int) -> Labels:
    """Return the classes that folders say, where they can be meant as classes."""
    heads = [Path(name).parts[0] if len(Path(name).parts) > 1 else "" for name in images.names]
    if images.kind != "files" or "" in heads or len(images.folders) < 2:
        return Labels(None, "none were given")
    folders = images.folders
    if all(name.isdecimal() for name in folders) and max(map(int, folders)) < classes:
        return Labels(np.array([int(head) for head in heads], np.int64), "numbers of folders")
    if len(folders) != classes:
        return Labels(
            None,
            f"none: {len(folders)} folders cannot be the {classes} classes of the model; give "
            "labels",
        )
    numbers = {name: i for i, name in enumerate(folders)}
    return Labels(np.array([numbers[head] for head in heads], np.int64), "names of folders")


def _of_table(path: Path, images: Images, classes: int) -> Array:
    """Return the classes that rows ``file,label`` say, by number or by name."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as opened:
            rows = [row for row in csv.reader(opened) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ImageError(f"cannot read {path}: {error}") from None
    if any(len(row) != 2 for row in rows):
        wrong = next(row for row in rows if len(row) != 2)
        raise ArgumentError(
            f"{OPERATION}: rows of {path} must be file,label, got {','.join(wrong)!r}"
        )
    if rows and rows[0][0].strip().lower() in ("file", "filename", "image", "name", "path"):
        rows = rows[1:]
    said = {os.path.normpath(name.strip()): label.strip() for name, label in rows}
    found = [
        _row_of(name, file, said) for name, file in zip(images.names, images.files, strict=True)
    ]
    missing = [name for name, label in zip(images.names, found, strict=True) if label is None]
    if missing or not images.files:
        what = f"{len(missing)} images, of them {missing[0]!r}" if missing else "images of an array"
        raise ArgumentError(f"{OPERATION}: {path} has no row for {what}")
    texts = [str(label) for label in found]
    return _checked(np.array(_numbered(texts, set(said.values()), classes)), images, classes)


def _row_of(name: str, file: Path, said: dict[str, str]) -> str | None:
    """Return what is said of a file: by its name in the folder, its path, or its last name."""
    for key in (name, os.path.normpath(file), file.name):
        if key in said:
            return said[key]
    return None


def _numbered(texts: Sequence[str], every: set[str], classes: int) -> list[int]:
    if all(text.isdecimal() for text in every):
        return [int(text) for text in texts]
    if len(every) != classes:
        raise ArgumentError(
            f"{OPERATION}: labels are {len(every)} names, and the model has {classes} classes; "
            "give the numbers of the classes"
        )
    numbers = {name: i for i, name in enumerate(sorted(every))}
    return [numbers[text] for text in texts]

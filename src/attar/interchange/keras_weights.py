"""Where the weights of a Keras model are: in its layers, or in the HDF5 part of a file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from attar.arrays import Array
from attar.errors import AttarError, ModelError
from attar.interchange.limits import Budget, check_dims, shown

if TYPE_CHECKING:
    import h5py

__all__ = [
    "FileSource",
    "ObjectSource",
    "Source",
    "check_dataset",
    "check_groups",
    "hdf5_errors",
]

OPERATION = "from_keras"


class Source(Protocol):
    """A layer or a model where its weights are."""

    def inner(self, key: str, name: str) -> Source:
        """Return a layer of a model: by its place in a file, or by its name."""

    def weights(self) -> list[Array]:
        """Return the weights of a layer, in Keras' order."""


class ObjectSource:
    """A layer or a model in memory."""

    def __init__(self, layer: Any) -> None:
        self._layer = layer

    def inner(self, key: str, name: str) -> Source:
        """Return the layer of this name."""
        return ObjectSource(self._layer.get_layer(name))

    def weights(self) -> list[Array]:
        """Return copies of the weights."""
        if not self._layer.built:
            raise ModelError(
                f"{OPERATION}: the layer {shown(self._layer.name)} has no weights yet; build the "
                "model (model.build((None, H, W, C)))"
            )
        return [np.asarray(weight) for weight in self._layer.get_weights()]


class FileSource:
    """A layer or a model in an HDF5 file: a group, of which only plain arrays are read."""

    def __init__(self, group: h5py.Group, budget: Budget, path: str = "") -> None:
        self._group = group
        self._budget = budget
        self._path = path

    def inner(self, key: str, name: str) -> Source:
        """Return the layer of this key, such as ``conv2d_1``."""
        return FileSource(self._group, self._budget, f"{self._path}layers/{key}/")

    def weights(self) -> list[Array]:
        """Return the arrays ``vars/0``, ``vars/1``, ..., none where there is no such group."""
        group = self._group
        for part in f"{self._path}vars".split("/"):
            child = _member(group, part, self._path)
            if child is None:
                return []
            group = child
        return [self._weight(group, str(i)) for i in range(min(len(group), 64))]

    def _weight(self, group: h5py.Group, name: str) -> Array:
        import h5py

        what = f"the weight {shown(f'{self._path}vars/{name}')}"
        dataset = _member(group, name, f"{self._path}vars/")
        if not isinstance(dataset, h5py.Dataset) or dataset.shape is None:
            raise ModelError(f"{OPERATION}: {what} is not there, or is no array")
        sizes = check_dims(OPERATION, what, dataset.shape)
        is_count = sizes == () and dataset.dtype.kind in "iu"  # of images that a mean is of
        if dataset.dtype != np.dtype("<f4") and not is_count:
            raise ModelError(
                f"{OPERATION}: {what} is {dataset.dtype}; float32 is read. Save the model with "
                "float32 weights"
            )
        stored_bytes = check_dataset(OPERATION, what, dataset)
        self._budget.spend(stored_bytes, what)
        return np.asarray(dataset[()])


def check_dataset(operation: str, what: str, dataset: h5py.Dataset) -> int:
    """Return the bytes of an array as Keras writes them: as they are, in this file.

    What is in other files, put together from others, compressed or left out to be filled in, may be
    larger than what is there.
    """
    sizes = check_dims(operation, what, dataset.shape)
    stored_bytes = int(dataset.id.get_storage_size())
    if (
        dataset.is_virtual
        or dataset.external
        or dataset.chunks is not None
        or stored_bytes != dataset.nbytes
    ):
        raise ModelError(
            f"{operation}: {what} has the shape {sizes}, but its numbers do not lie in the "
            f"file as they are ({stored_bytes} bytes do); save the model with Keras"
        )
    return stored_bytes


def check_groups(operation: str, root: h5py.Group, budget: Budget) -> None:
    """Refuse a file of weights that holds anything but groups and plain arrays of numbers.

    What lies in two places, or in itself, is refused as well: walking there may have no end.
    """
    import h5py

    seen: set[int] = set()
    waiting = [("", root)]
    while waiting:
        path, group = waiting.pop()
        for name in group:
            member = _member(group, name, path, operation)
            what = f"the weight {shown(path + name)}"
            address = h5py.h5o.get_info(member.id).addr
            if address in seen:
                raise ModelError(f"{operation}: {what} is a link to another place")
            seen.add(address)
            if isinstance(member, h5py.Group):
                waiting.append((f"{path}{name}/", member))
            elif not isinstance(member, h5py.Dataset) or member.shape is None:
                raise ModelError(f"{operation}: {what} is no array")
            elif member.dtype.kind not in "fiub":
                raise ModelError(f"{operation}: {what} is {member.dtype}; numbers are read")
            else:
                budget.spend(check_dataset(operation, what, member), what)


def _member(group: h5py.Group, name: str, path: str, operation: str = OPERATION) -> Any:
    """Return what a group holds under a name, or None; links are not followed."""
    import h5py

    if not isinstance(group, h5py.Group):
        raise ModelError(f"{operation}: {shown(path)} in the weights is not a group")
    kind = group.get(name, getclass=True, getlink=True)
    if kind is None:
        return None
    if kind is not h5py.HardLink:
        raise ModelError(
            f"{operation}: {shown(path + name)} in the weights is a link to another place; links "
            "are not followed"
        )
    return group[name]


@contextmanager
def hdf5_errors(operation: str = OPERATION) -> Iterator[None]:
    """Say of h5py's errors, which are of many kinds, what they mean here."""
    try:
        yield
    except AttarError:
        raise
    except (OSError, RuntimeError, LookupError, ValueError, TypeError, OverflowError) as error:
        raise ModelError(f"{operation}: the weights are damaged: {shown(str(error))}") from error

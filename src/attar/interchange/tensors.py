"""Tensors of ONNX files as arrays, once it is checked that their numbers are really there."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from attar.arrays import Array
from attar.errors import ModelError
from attar.interchange.limits import Budget, check_dims, inside, shown

if TYPE_CHECKING:
    import onnx

__all__ = ["Tensors"]

# TensorProto.DataType, and the field that holds the numbers where raw_data does not.
_TYPES: dict[int, tuple[np.dtype[Any], str]] = {
    1: (np.dtype("<f4"), "float_data"),
    2: (np.dtype("u1"), "int32_data"),
    3: (np.dtype("i1"), "int32_data"),
    6: (np.dtype("<i4"), "int32_data"),
    7: (np.dtype("<i8"), "int64_data"),
    9: (np.dtype("?"), "int32_data"),
    10: (np.dtype("<f2"), ""),
    11: (np.dtype("<f8"), "double_data"),
}
_EXTERNAL = 1  # TensorProto.DataLocation


class Tensors:
    """What a model's tensors hold.

    Parameters
    ----------
    operation : str
    folder : Path or None
        Where the model is; files that it names must be there. None where it may name none.
    budget : Budget
    """

    def __init__(self, operation: str, folder: Path | None, budget: Budget) -> None:
        self._operation = operation
        self._folder = folder
        self._budget = budget
        self._files: set[Path] = set()

    def array(self, tensor: onnx.TensorProto) -> Array:
        """Return the numbers of a tensor.

        Raises
        ------
        ModelError (a ValueError)
            Its sizes are negative, or are not those of its data; its data is in a file that is
            missing, too short or in another folder; its type is not known.
        """
        what = f"the tensor {shown(tensor.name)}"
        sizes = check_dims(self._operation, what, tensor.dims)
        if tensor.data_type not in _TYPES:
            raise ModelError(
                f"{self._operation}: {what} has the data type {tensor.data_type}, which is not "
                "read; convert the model to float32"
            )
        dtype, field = _TYPES[tensor.data_type]
        size_bytes = math.prod(sizes) * dtype.itemsize
        if tensor.data_location == _EXTERNAL:
            return self._external(tensor, what, dtype, size_bytes).reshape(sizes)
        if tensor.HasField("raw_data"):
            found_bytes = len(tensor.raw_data)
            if found_bytes != size_bytes:
                raise self._wrong_size(what, sizes, size_bytes, found_bytes)
            return np.frombuffer(tensor.raw_data, dtype).reshape(sizes)
        numbers = getattr(tensor, field) if field else ()
        if len(numbers) != math.prod(sizes):
            raise self._wrong_size(what, sizes, size_bytes, len(numbers) * dtype.itemsize)
        try:
            return np.array(numbers, dtype).reshape(sizes)
        except OverflowError as error:
            raise ModelError(f"{self._operation}: {what} has numbers out of range") from error

    def _wrong_size(
        self, what: str, sizes: tuple[int, ...], size_bytes: int, found_bytes: int
    ) -> ModelError:
        return ModelError(
            f"{self._operation}: {what} has the shape {sizes}, {size_bytes} bytes, but "
            f"{found_bytes} bytes of data"
        )

    def _external(
        self, tensor: onnx.TensorProto, what: str, dtype: np.dtype[Any], size_bytes: int
    ) -> Array:
        if self._folder is None:
            raise ModelError(
                f"{self._operation}: {what} is in another file; one file is read here. Save the "
                "model with its weights inside (save_as_external_data=False)"
            )
        entries = {entry.key: str(entry.value) for entry in tensor.external_data[:16]}
        file = inside(self._operation, self._folder, entries.get("location", ""))
        try:
            offset = int(entries.get("offset") or 0)
            length = int(entries.get("length") or size_bytes)
        except ValueError:
            raise ModelError(
                f"{self._operation}: {what} is at offset {shown(entries.get('offset'))} of a file, "
                f"with length {shown(entries.get('length'))}; both must be whole numbers"
            ) from None
        file_bytes = file.stat().st_size
        if length != size_bytes or offset < 0 or offset + size_bytes > file_bytes:
            raise ModelError(
                f"{self._operation}: {what} needs {size_bytes} bytes at offset {offset} (the model "
                f"says {length}), and {shown(file.name)} has {file_bytes} bytes"
            )
        if file not in self._files:
            self._files.add(file)
            self._budget.grow(file_bytes)
        self._budget.spend(size_bytes, what)
        return np.fromfile(file, dtype, size_bytes // dtype.itemsize, offset=offset)

"""What a file from outside may be: sizes, counts and paths, checked before they cost anything.

A model file says how large its arrays are, where they lie and how many layers there are. Each of
these can be a lie. The rule here is that nothing is allocated, opened or followed because a file
says so: first it is compared with what is really there. So reading costs memory and time in
proportion to the bytes on the disk, whatever they claim.
"""

from __future__ import annotations

import json
import os
import reprlib
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from attar.errors import ModelError, ModelNotFoundError

__all__ = [
    "Budget",
    "check_archive",
    "check_dims",
    "check_protobuf",
    "file_of",
    "inside",
    "list_of",
    "parse_json",
    "read_entry",
    "shown",
    "shown_path",
]

FILE_BYTES = 4 << 30
STRUCTURE_BYTES = 16 << 20  # of what is not weights: JSON, the graph of an ONNX model
MESSAGES = 500_000  # of an ONNX model: nodes, their attributes, tensors
LAYERS = 20_000
DIMENSION = 2**31 - 1

ARCHIVE_ENTRIES = 1_000
DIRECTORY_BYTES = 1 << 20  # of the table at the end of a zip archive; zipfile reads it whole

# How much larger than its file a model may be. Tied weights are written once and used twice;
# compressed weights of a trained network hardly shrink.
EXPANSION = 4
EXPANSION_FLOOR_BYTES = 64 << 20


def shown(value: object, length: int = 80) -> str:
    """Return what came from outside as a message can show it: quoted, and not longer than a line.

    Examples
    --------
    >>> shown("conv1")
    "'conv1'"
    >>> len(shown("x" * 10**6))
    80
    """
    text = repr(value[:length]) if isinstance(value, str | bytes) else _BRIEF.repr(value)
    return text if len(text) <= length else f"{text[: length - 3]}..."


def shown_path(file: Path) -> str:
    """Return a path as a message can show it."""
    return shown(str(file), 1000)


_BRIEF = reprlib.Repr()  # of a few levels and entries: a file's lists may be long and deep
_BRIEF.maxstring = 60


def file_of(operation: str, path: Any) -> Path:
    """Return the path of a model if it is a regular file of a size that can be read.

    Raises
    ------
    ModelNotFoundError (a FileNotFoundError)
        There is nothing at the path.
    ModelError (a ValueError)
        It is a folder, a device or a pipe, or it is empty or larger than 4 GiB.
    """
    if not isinstance(path, str | os.PathLike):
        raise ModelError(f"{operation}: path must be a path, got {type(path).__name__}")
    file = Path(path)
    try:
        status = file.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise ModelNotFoundError(f"{operation}: there is no file {shown_path(file)}") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{operation}: {shown_path(file)} cannot be opened: {error}") from error
    if not stat.S_ISREG(status.st_mode):
        raise ModelError(f"{operation}: {shown_path(file)} is not a file")
    if status.st_size == 0:
        raise ModelError(f"{operation}: {shown_path(file)} is empty")
    if status.st_size > FILE_BYTES:
        raise ModelError(
            f"{operation}: {shown_path(file)} has {status.st_size} bytes; "
            f"models of up to {FILE_BYTES} bytes are read"
        )
    return file


def inside(operation: str, folder: Path, location: str) -> Path:
    """Return the path of a file that a model names, if it lies in the folder of the model.

    Symbolic links are followed first: what counts is where the bytes are.

    Examples
    --------
    >>> inside("from_onnx", Path("models"), "../secret.bin")
    Traceback (most recent call last):
    attar.errors.ModelError: from_onnx: the model's weights are in '../secret.bin', outside of its
    folder; a model may name only files beside it
    """
    root = Path(os.path.realpath(folder))
    target = Path(os.path.realpath(root / location)) if "\0" not in location else None
    if target is None or not location or not target.is_relative_to(root) or target == root:
        raise ModelError(
            f"{operation}: the model's weights are in {shown(location)}, outside of its folder; "
            "a model may name only files beside it"
        )
    return file_of(operation, target)


def list_of(operation: str, entry: dict[str, Any], key: str) -> list[Any]:
    """Return a list of the JSON of a model, of no more entries than a model has layers.

    Examples
    --------
    >>> list_of("load", {"layers": 3}, "layers")
    Traceback (most recent call last):
    attar.errors.ModelError: load: layers must be a list of up to 20000, got 3
    """
    value = entry.get(key)
    if not isinstance(value, list) or len(value) > LAYERS:
        raise ModelError(f"{operation}: {key} must be a list of up to {LAYERS}, got {shown(value)}")
    return value


class Budget:
    """The bytes of weights that a model may have, given the size of its files.

    Many tensors may name the same bytes, each of which is small. Their sum is what is allocated.

    Parameters
    ----------
    operation : str
        For the message.
    file_bytes : int
        The size of the model's files together.

    Examples
    --------
    >>> budget = Budget("from_onnx", 1000)
    >>> budget.spend(10**12, "the weights of 'conv1'")
    Traceback (most recent call last):
    attar.errors.ModelError: from_onnx: with the weights of 'conv1' the model's arrays take
    1000000000000 bytes, far more than its file has (1000 bytes)
    """

    def __init__(self, operation: str, file_bytes: int) -> None:
        self._operation = operation
        self._file_bytes = file_bytes
        self._spent_bytes = 0

    def grow(self, file_bytes: int) -> None:
        """Count another file of the model."""
        self._file_bytes += file_bytes

    def spend(self, count_bytes: int, what: str) -> None:
        """Take bytes out of the budget, or refuse."""
        self._spent_bytes += count_bytes
        if self._spent_bytes > EXPANSION_FLOOR_BYTES + EXPANSION * self._file_bytes:
            raise ModelError(
                f"{self._operation}: with {what} the model's arrays take {self._spent_bytes} "
                f"bytes, far more than its file has ({self._file_bytes} bytes)"
            )


def check_dims(operation: str, what: str, dims: Any, rank: int = 8) -> tuple[int, ...]:
    """Return the sizes of an array as a tuple of whole numbers of at least 0.

    Examples
    --------
    >>> check_dims("from_onnx", "the initializer 'w'", [64, -3, 3, 3])
    Traceback (most recent call last):
    attar.errors.ModelError: from_onnx: the initializer 'w' has the shape (64, -3, 3, 3); sizes
    must be 0 to 2147483647
    """
    sizes = tuple(int(size) for size in dims[: rank + 1])
    if len(sizes) > rank:
        raise ModelError(f"{operation}: {what} has more than {rank} axes")
    if not all(0 <= size <= DIMENSION for size in sizes):
        raise ModelError(
            f"{operation}: {what} has the shape {sizes}; sizes must be 0 to {DIMENSION}"
        )
    return sizes


def parse_json(operation: str, what: str, text: bytes | str) -> dict[str, Any]:
    """Return a JSON object; text that is too long, too deep or not JSON is refused."""
    if len(text) > STRUCTURE_BYTES:
        raise ModelError(
            f"{operation}: {what} has {len(text)} bytes; up to {STRUCTURE_BYTES} are read"
        )
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:  # also text that is not UTF-8
        raise ModelError(f"{operation}: {what} is not JSON: {shown(str(error))}") from error
    if not isinstance(value, dict):
        raise ModelError(f"{operation}: {what} must be a JSON object, got {type(value).__name__}")
    return value


# -------------------------------------------------------------------------------- archives


def check_archive(operation: str, file: BinaryIO) -> zipfile.ZipFile:
    """Open a zip archive whose entries are few, named plainly, and not much larger than the file.

    Raises
    ------
    ModelError (a ValueError)
        It is not a zip archive or is cut off; it has more than 1000 entries; an entry leads
        outside (``..``, absolute), comes twice, is encrypted or packed with anything but deflate;
        or the entries together are much larger than the archive, as in a zip bomb.
    """
    file_bytes = file.seek(0, os.SEEK_END)
    _check_directory(operation, file, file_bytes)
    try:
        archive = zipfile.ZipFile(file)
        entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
        raise ModelError(
            f"{operation}: the file is not a whole zip archive, as a .keras file is: {error}"
        ) from error
    if len(entries) > ARCHIVE_ENTRIES:
        raise ModelError(
            f"{operation}: the archive has {len(entries)} entries; up to {ARCHIVE_ENTRIES} are read"
        )
    names = set()
    for entry in entries:
        path = PurePosixPath(entry.filename)
        if path.is_absolute() or ".." in path.parts or "\\" in entry.filename:
            raise ModelError(
                f"{operation}: the archive has the entry {shown(entry.filename)}, "
                "which leads outside of it"
            )
        if entry.filename in names:
            raise ModelError(
                f"{operation}: the archive has the entry {shown(entry.filename)} twice"
            )
        if entry.flag_bits & 1:
            raise ModelError(f"{operation}: the entry {shown(entry.filename)} is encrypted")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ModelError(
                f"{operation}: the entry {shown(entry.filename)} must be stored or deflated"
            )
        names.add(entry.filename)
    total_bytes = sum(entry.file_size for entry in entries)
    if total_bytes > min(FILE_BYTES, EXPANSION_FLOOR_BYTES + EXPANSION * file_bytes):
        raise ModelError(
            f"{operation}: the archive has {file_bytes} bytes and would unpack to {total_bytes}; "
            "that is a zip bomb, or not a model"
        )
    return archive


def _check_directory(operation: str, file: BinaryIO, file_bytes: int) -> None:
    # Where zipfile looks for the end record (APPNOTE.TXT 4.3.16), before it reads what that names.
    file.seek(max(0, file_bytes - (22 + 65535)))
    tail = file.read()
    record = tail.rfind(b"PK\x05\x06")
    if record < 0 or len(tail) - record < 22:
        raise ModelError(
            f"{operation}: the file is not a zip archive, as a .keras file is, or it is cut off"
        )
    entries = int.from_bytes(tail[record + 10 : record + 12], "little")
    size_bytes = int.from_bytes(tail[record + 12 : record + 16], "little")
    if tail[max(0, record - 20) : record].startswith(b"PK\x06\x07"):  # zip64: over 4 GiB
        raise ModelError(f"{operation}: the archive is one for more than {FILE_BYTES} bytes")
    if entries > ARCHIVE_ENTRIES or size_bytes > DIRECTORY_BYTES:
        raise ModelError(
            f"{operation}: the archive has {entries} entries in a table of {size_bytes} bytes; up "
            f"to {ARCHIVE_ENTRIES} entries and {DIRECTORY_BYTES} bytes are read"
        )


def read_entry(operation: str, archive: zipfile.ZipFile, name: str, most_bytes: int) -> bytes:
    """Return an entry of a checked archive."""
    try:
        entry = archive.getinfo(name)
    except KeyError:
        raise ModelError(
            f"{operation}: the archive has no {name}, which every .keras file has"
        ) from None
    if entry.file_size > most_bytes:
        raise ModelError(
            f"{operation}: {name} has {entry.file_size} bytes; up to {most_bytes} are read"
        )
    try:
        return archive.read(entry)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
        raise ModelError(f"{operation}: {name} is damaged: {shown(str(error))}") from error
    except NotImplementedError as error:  # of an archive that needs what zipfile has not
        raise ModelError(f"{operation}: {name} cannot be unpacked: {error}") from error


# --------------------------------------------------------------------------- protocol buffers

# The messages of an ONNX model that may be many, by the field of their parent (onnx.proto), and
# the fields of a tensor that hold its numbers. Everything else counts as structure.
_MESSAGES = {
    "Model": {7: "Graph"},
    "Graph": {1: "Node", 5: "Tensor"},
    "Node": {5: "Attribute"},
    "Attribute": {5: "Tensor"},
    "Tensor": {},
}
_NUMBERS = {4, 9, 10}  # float_data, raw_data, double_data


def check_protobuf(operation: str, data: bytes) -> None:
    """Refuse a serialized ONNX model that would take far more memory parsed than on the disk.

    An empty message takes two bytes in a file and some hundred once it is parsed. So what is not
    weights is counted here, without parsing: it may be 16 MiB, and half a million messages.

    Raises
    ------
    ModelError (a ValueError)
        The file is cut off, is no protocol buffer, or has more than that beside its weights.
    """
    structure_bytes = messages = 0
    open_messages = [("Model", 0, len(data))]
    while open_messages:
        message, position, end = open_messages.pop()
        while position < end:
            start = position
            key, position = _varint(operation, data, position, end)
            field, wire = key >> 3, key & 7
            length = 0
            if wire == 0:
                _, position = _varint(operation, data, position, end)
            elif wire in (1, 5):
                position += 8 if wire == 1 else 4
            elif wire == 2:
                length, position = _varint(operation, data, position, end)
                position += length
            if field == 0 or wire not in (0, 1, 2, 5) or position > end:
                raise _cut_off(operation)
            child = _MESSAGES[message].get(field) if wire == 2 else None
            structure_bytes += position - start
            if child is not None or (wire == 2 and message == "Tensor" and field in _NUMBERS):
                structure_bytes -= length
            if structure_bytes > STRUCTURE_BYTES or messages > MESSAGES:
                raise ModelError(
                    f"{operation}: the model has more than {STRUCTURE_BYTES} bytes or {MESSAGES} "
                    "parts beside its weights; no graph needs that many"
                )
            if child is not None:
                messages += 1
                open_messages.append((message, position, end))
                message, position, end = child, position - length, position


def _varint(operation: str, data: bytes, position: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while position < end and shift < 70:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise _cut_off(operation)


def _cut_off(operation: str) -> ModelError:
    return ModelError(f"{operation}: the file is not an ONNX model, or it is cut off")

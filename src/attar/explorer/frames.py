"""Messages that carry arrays: a JSON header, then the bytes of the arrays.

``uint32 length | header as UTF-8 JSON | padding to 8 bytes | arrays, each padded to 8 bytes``,
little endian. The header names the arrays with their dtypes, shapes and offsets. The page reads
them as views, without a copy; so does the process that runs models. Nothing in a frame can be code.
"""

import json
import math
import struct
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from attar.errors import ArgumentError

__all__ = ["pack", "unpack"]

Array: TypeAlias = NDArray[Any]

_LENGTH = struct.Struct("<I")
_ALIGNMENT = 8  # of the largest dtype
_DTYPES = ("uint8", "int32", "uint32", "float16", "float32", "float64")


def pack(header: Mapping[str, Any], arrays: Mapping[str, Array] | None = None) -> bytes:
    """Return a frame.

    Parameters
    ----------
    header : mapping
        Plain values; ``"arrays"`` is written by this function.
    arrays : mapping of str to ndarray, optional
        Of dtype uint8, int32, uint32, float16, float32 or float64.

    Examples
    --------
    >>> frame = pack({"id": 3}, {"map": np.arange(6, dtype=np.uint8).reshape(2, 3)})
    >>> header, arrays = unpack(frame)
    >>> header, arrays["map"].tolist()
    ({'id': 3}, [[0, 1, 2], [3, 4, 5]])
    """
    listed, parts, offset = [], [], 0
    for name, values in (arrays or {}).items():
        if values.dtype.name not in _DTYPES:
            raise ArgumentError(f"frames.pack: {name} is {values.dtype}; accepted are {_DTYPES}")
        data = np.ascontiguousarray(values).tobytes()
        listed.append(
            {"name": name, "dtype": values.dtype.name, "shape": values.shape, "offset": offset}
        )
        parts += [data, bytes(-len(data) % _ALIGNMENT)]
        offset += len(data) + -len(data) % _ALIGNMENT
    text = json.dumps({**header, "arrays": listed}, allow_nan=False).encode()
    text += b" " * (-(len(text) + _LENGTH.size) % _ALIGNMENT)
    return b"".join([_LENGTH.pack(len(text)), text, *parts])


def unpack(frame: bytes) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return the header of a frame, and its arrays as read-only views of its bytes.

    Raises
    ------
    ArgumentError
        It is no frame, or is cut short.
    """
    try:
        (length,) = _LENGTH.unpack_from(frame)
        start = _LENGTH.size + length
        header = json.loads(frame[_LENGTH.size : start])
        arrays = {}
        for each in header.pop("arrays"):
            shape = tuple(each["shape"])
            if each["dtype"] not in _DTYPES or min((*shape, each["offset"])) < 0:
                raise ValueError(each)
            arrays[each["name"]] = np.frombuffer(
                frame, each["dtype"], math.prod(shape), start + each["offset"]
            ).reshape(shape)
    except (struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArgumentError(f"frames.unpack: {len(frame)} bytes are no whole frame") from error
    return header, arrays

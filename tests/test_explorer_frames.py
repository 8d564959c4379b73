"""Messages that carry arrays: there and back, in the browser too, and what is no message."""

import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from attar.errors import ArgumentError
from attar.explorer.frames import pack, unpack

DTYPES = ("uint8", "int32", "uint32", "float16", "float32", "float64")
ARRAYS = {
    "levels": np.arange(6, dtype=np.uint8).reshape(2, 3),
    "numbers": np.array([-1.5, np.nan, np.inf, 0.0], np.float32),
    "double": np.array([[1 / 3]]),
    "count": np.array([1 << 31], np.uint32),
    "empty": np.zeros((0, 4), np.float32),
    "single": np.array(7, np.int32),
}


@given(
    st.dictionaries(
        st.text(max_size=5),
        st.sampled_from(DTYPES).flatmap(
            lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0, max_side=4))
        ),
        max_size=4,
    ),
    st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=9), max_size=3),
)
def test_what_goes_in_comes_out(arrays, header):
    header.pop("arrays", None)
    found, back = unpack(pack(header, arrays))
    assert found == header
    assert list(back) == list(arrays)
    for name, values in arrays.items():
        assert (back[name].dtype, back[name].shape) == (values.dtype, values.shape)
        assert back[name].tobytes() == values.tobytes()


def test_every_array_begins_where_its_numbers_may():
    frame = pack({"odd": "狗"}, ARRAYS)
    (length,) = struct.unpack_from("<I", frame)
    assert (4 + length) % 8 == 0
    for each in json.loads(frame[4 : 4 + length])["arrays"]:
        assert each["offset"] % 8 == 0


def test_views_are_read_only_and_copies_of_strided_arrays_are_whole():
    strided = np.arange(24, dtype=np.float32).reshape(4, 6)[::-2, ::3]
    _, back = unpack(pack({}, {"map": strided}))
    assert np.array_equal(back["map"], strided)
    with pytest.raises(ValueError, match="read-only"):
        back["map"][0, 0] = 1


@pytest.mark.parametrize("values", [np.zeros(2, complex), np.zeros(2, bool), np.array(["a"])])
def test_other_dtypes_are_refused(values):
    with pytest.raises(ArgumentError, match=rf"odd is {values.dtype}; accepted are"):
        pack({}, {"odd": values})


def header_of(**changes):
    each = {"name": "map", "dtype": "uint8", "shape": [2], "offset": 0, **changes}
    text = json.dumps({"arrays": [each]}).encode()
    return struct.pack("<I", len(text)) + text + b"\x01\x02"


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\x01",
        struct.pack("<I", 100) + b"{}",
        struct.pack("<I", 2) + b"{}",
        struct.pack("<I", 4) + b"null",
        struct.pack("<I", 2) + b"\xff\xff",
        struct.pack("<I", 13) + b'{"arrays": 5}',
        header_of(shape=[3]),
        header_of(shape=[-1]),
        header_of(shape=[1 << 40]),
        header_of(shape=["2"]),
        header_of(shape=2),
        header_of(offset=1),
        header_of(offset=-4),
        header_of(offset=None),
        header_of(dtype="object"),
        header_of(dtype="O"),
        header_of(dtype=["uint8"]),
        header_of(name=None, shape=[1, 3]),
    ],
)
def test_what_is_no_whole_frame_is_refused(frame):
    with pytest.raises(ArgumentError, match=f"{len(frame)} bytes are no whole frame"):
        unpack(frame)


def test_the_page_reads_the_same(explore):
    page = explore("extract?image=circle")
    page.wait_for_selector("main.room-extract")
    usable = {name: each for name, each in ARRAYS.items() if each.dtype != np.float16}
    found = page.evaluate(
        """async (bytes) => {
            const {unpack} = await import("/static/base/frames.js");
            const {header, arrays} = unpack(Uint8Array.from(bytes).buffer);
            return [header.id, Object.entries(arrays).map(([name, {data, shape}]) =>
                [name, data.constructor.name, [...data].map(String), [...shape]])];
        }""",
        list(pack({"id": 5}, usable)),
    )
    kinds = {"uint8": "Uint8Array", "float32": "Float32Array", "float64": "Float64Array"}
    kinds |= {"uint32": "Uint32Array", "int32": "Int32Array"}
    assert found[0] == 5
    for (name, kind, data, shape), (key, values) in zip(found[1], usable.items(), strict=True):
        assert (name, kind, tuple(shape)) == (key, kinds[values.dtype.name], values.shape)
        read = np.array([float(each.replace("Infinity", "inf")) for each in data], values.dtype)
        assert np.array_equal(read, values.ravel(), equal_nan=values.dtype.kind == "f")

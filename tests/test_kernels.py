"""Named filters, Gaussian and random kernels, and what people write down."""

import importlib
from collections.abc import Mapping
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attar import kernels
from attar.errors import ArgumentError, DTypeError, ShapeError
from attar.kernels import gaussian, parse_kernel, random

LESSON = {
    "edge": [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]],
    "bottom_sobel": [[-1, -2, -1], [0, 0, 0], [1, 2, 1]],
    "emboss": [[-2, -1, 0], [-1, 1, 1], [0, 1, 2]],
    "sharpen": [[0, -1, 0], [-1, 5, -1], [0, -1, 0]],
    "blur": [[0.0625, 0.125, 0.0625], [0.125, 0.25, 0.125], [0.0625, 0.125, 0.0625]],
}


@pytest.mark.parametrize("name", LESSON)
def test_the_lessons_kernels(name):
    np.testing.assert_array_equal(kernels[name], LESSON[name])


def test_module_is_a_mapping():
    assert isinstance(kernels, Mapping)
    assert isinstance(kernels, ModuleType)
    assert set(LESSON) < set(kernels)
    assert sorted(kernels) == sorted(kernels.keys())
    assert len(kernels) == len(list(kernels)) == len(dict(kernels.items()))
    assert "edge" in kernels
    assert "gaussian" not in kernels
    assert kernels.edge is kernels["edge"]
    assert kernels.get("nothing") is None
    assert "edge" in dir(kernels)
    assert importlib.import_module("attar.kernels")["edge"] is kernels["edge"]
    with pytest.raises(KeyError, match="nothing"):
        kernels["nothing"]
    with pytest.raises(AttributeError, match=r"attar\.kernels.*'nothing'"):
        _ = kernels.nothing
    # A module is hashable and equal to itself alone, which a mapping is not.
    assert {kernels: 1}[kernels] == 1
    assert kernels != dict(kernels)


@pytest.mark.parametrize("name", sorted(kernels))
def test_every_named_kernel(name):
    kernel = kernels[name]
    assert kernel.dtype == np.float32
    assert kernel.ndim == 2
    assert kernel.flags.c_contiguous
    with pytest.raises(ValueError, match="read-only"):
        kernel[0, 0] = 1
    total = 1 if name in {"identity", "sharpen", "blur", "blur_5", "box", "emboss"} else 0
    assert kernel.sum(dtype=np.float64) == pytest.approx(total, abs=1e-6)


@pytest.mark.parametrize("family", ["sobel", "prewitt", "scharr"])
def test_a_directional_kernel_answers_to_the_side_it_is_named_after(family):
    bright = {side: np.zeros((3, 3)) for side in ("bottom", "top", "left", "right")}
    bright["bottom"][2] = bright["top"][0] = bright["left"][:, 0] = bright["right"][:, 2] = 1
    for side, image in bright.items():
        answers = {other: float((kernels[f"{other}_{family}"] * image).sum()) for other in bright}
        assert answers[side] == max(answers.values()) > 0
        assert sorted(answers.values())[1:3] == [0, 0]


def test_known_directional_rows():
    assert kernels["right_prewitt"].tolist() == [[-1, 0, 1]] * 3
    assert kernels["left_sobel"].tolist() == [[1, 0, -1], [2, 0, -2], [1, 0, -1]]
    assert kernels["top_scharr"].tolist() == [[3, 10, 3], [0, 0, 0], [-3, -10, -3]]


@given(st.integers(1, 12), st.floats(1e-300, 1e300))
def test_gaussian_is_positive_symmetric_and_sums_to_one(size, std):
    kernel = gaussian(size, std)
    assert kernel.shape == (size, size)
    assert kernel.dtype == np.float32
    assert kernel.sum(dtype=np.float64) == pytest.approx(1, abs=1e-6)
    assert (kernel >= 0).all()
    np.testing.assert_array_equal(kernel, kernel.T)
    np.testing.assert_array_equal(kernel, kernel[::-1, ::-1])


@pytest.mark.parametrize(("size", "std"), [(3, 1.0), (4, 0.7), (7, 2.5)])
def test_gaussian_against_its_formula(size, std):
    at = np.arange(size) - (size - 1) / 2
    expected = np.exp(-(at[:, None] ** 2 + at**2) / (2 * std**2))
    np.testing.assert_allclose(gaussian(size, std), expected / expected.sum(), rtol=1e-6)


@pytest.mark.parametrize("size", [0, -1, 2.5, "3", None, True])
def test_sizes_that_are_refused(size):
    with pytest.raises(ArgumentError, match=r"gaussian: size is .*; use an int of at least 1"):
        gaussian(size, 1.0)
    with pytest.raises(ArgumentError, match=r"random: size is"):
        random(size, seed=0)


@pytest.mark.parametrize("std", [0, -1.0, float("nan"), float("inf"), "1", None])
def test_stds_that_are_refused(std):
    with pytest.raises(ArgumentError, match=r"gaussian: std is .*above 0"):
        gaussian(3, std)


def test_random_repeats_with_its_seed():
    np.testing.assert_array_equal(random(5, seed=1), random(5, seed=1))
    assert (random(5, seed=1) != random(5, seed=2)).any()
    assert random(5, seed=1).dtype == np.float32
    weights = random(200, seed=3)
    assert abs(weights.mean()) < 0.02
    assert abs(weights.std() - 1) < 0.02
    for seed in (-1, 0.5, None, True):
        with pytest.raises(ArgumentError, match="random: seed is"):
            random(3, seed=seed)


ROWS = np.array([[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]], np.float32)


@pytest.mark.parametrize(
    "text",
    [
        "-1 -1 -1; -1 8 -1; -1 -1 -1",
        "-1,-1,-1;-1,8,-1;-1,-1,-1",
        "-1, -1, -1\n-1, 8.0, -1\n-1, -1, -1\n",
        "  -1 -1 -1;\n-1 8e0 -1;\n-1 -1 -1;\n".replace(";\n", "\n"),
        "-1 -1 -1; -1 8 -1; -1 -1 -1;",
        " edge ",
    ],
)
def test_texts_that_are_the_edge_kernel(text):
    kernel = parse_kernel(text)
    assert kernel.dtype == np.float32
    np.testing.assert_array_equal(kernel, ROWS)


def test_one_row_and_one_number():
    assert parse_kernel("1 2 1").shape == (1, 3)
    assert parse_kernel("5").tolist() == [[5]]
    assert parse_kernel(".5 -.5").tolist() == [[0.5, -0.5]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("egde", r"no kernel named 'egde'; did you mean 'edge'.*sorted\(attar\.kernels\)"),
        ("Blur", "did you mean 'blur'"),
        ("zzzz", r"named 'zzzz'; sorted\(attar\.kernels\)"),
        ("", "text is empty"),
        ("  ; ", "row 1 is empty"),
        ("1 2; 3", "row 2 has 1 weights and row 1 has 2"),
        ("1 2\n3 4\n5", "row 3 has 1"),
        ("1 2; 3 x", r"row 2 is '3 x', which is not all numbers"),
        ("1 2;; 3 4", "row 2 is empty"),
        ("1 nan", "NaN or infinite"),
        ("nan", "NaN or infinite"),
        ("inf 1", "NaN or infinite"),
        ("1e39 1", "NaN or infinite"),
    ],
)
def test_texts_that_are_refused(text, message):
    with pytest.raises(ArgumentError, match=message):
        parse_kernel(text)


def test_arrays_keep_floats_and_turn_ints_into_float32():
    assert parse_kernel([[1, 2], [3, 4]]).dtype == np.float32
    assert parse_kernel(np.ones((3, 3), np.uint8)).dtype == np.float32
    for dtype in (np.float16, np.float32, np.float64):
        assert parse_kernel(np.ones((3, 3), dtype)).dtype == dtype
    assert parse_kernel(np.ones((3, 3, 2, 4))).shape == (3, 3, 2, 4)


@pytest.mark.parametrize("shape", [(), (3,), (3, 3, 1), (1, 1, 1, 1, 1), (0, 3), (3, 3, 0, 1)])
def test_shapes_that_are_refused(shape):
    with pytest.raises(ShapeError, match=r"kernel: the shape is \(.*use \(kh, kw\)"):
        parse_kernel(np.ones(shape))


def test_other_arrays_that_are_refused():
    with pytest.raises(ShapeError, match="rows differ in length"):
        parse_kernel([[1, 2], [3]])
    for weights in ([[True]], [[1j]], [["a"]], [[None]]):
        with pytest.raises(DTypeError, match="use ints or floats"):
            parse_kernel(weights)
    for bad in (np.nan, np.inf, -np.inf):
        with pytest.raises(ArgumentError, match="NaN or infinite"):
            parse_kernel([[1.0, bad]])


def test_npy_files(tmp_path):
    file = tmp_path / "mine.npy"
    np.save(file, np.arange(36.0).reshape(3, 3, 2, 2))
    for path in (file, str(file)):
        np.testing.assert_array_equal(parse_kernel(path), np.arange(36.0).reshape(3, 3, 2, 2))

    np.save(file, np.ones(3))
    with pytest.raises(ShapeError, match=r"mine\.npy: the shape is \(3,\)"):
        parse_kernel(file)
    np.save(file, np.array([[{}]], dtype=object), allow_pickle=True)
    with pytest.raises(
        ArgumentError, match=r"mine\.npy is not a readable \.npy array.*allow_pickle"
    ):
        parse_kernel(file)
    for data in (b"", b"not an array", b"\x93NUMPY\x01\x00v\x00{'descr'"):
        file.write_bytes(data)
        with pytest.raises(ArgumentError, match=r"mine\.npy is not a readable"):
            parse_kernel(file)
    with pytest.raises(ArgumentError, match=r"no file .*none\.npy"):
        parse_kernel(str(tmp_path / "none.npy"))
    (tmp_path / "folder.npy").mkdir()
    with pytest.raises(ArgumentError, match="Is a directory"):
        parse_kernel(tmp_path / "folder.npy")

"""The images of an audit and their classes: which, in which order and size; what is refused."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import attar
from attar.auditing.images import Size, images_of
from attar.auditing.labels import labels_of
from attar.errors import ArgumentError, DTypeError, ImageError, ShapeError

ANY = Size(None, None, 3)
RNG = np.random.default_rng(5)


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def folder(*names, size=(12, 16)):
    from pathlib import Path

    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        attar.write_image(name, RNG.integers(0, 256, (*size, 3), np.uint8))


def take(source, size=ANY, *, max_images=None, seed=0):
    return images_of(source, size, max_images=max_images, seed=seed)


class TestFiles:
    def test_a_folder_in_the_order_of_its_names(self):
        folder("p/b/1.png", "p/a/2.png", "p/a/1.png")
        found = take("p")
        assert found.names == ("a/1.png", "a/2.png", "b/1.png")
        assert found.folders == ("a", "b")
        assert found.shape == (12, 16, 3)
        assert_array_equal(found.read(2), attar.read_image("p/b/1.png"))

    def test_a_pattern_and_a_list(self):
        folder("p/1.png", "p/2.png", "q/1.jpg")
        assert take("*/1.*").names == ("p/1.png", "q/1.jpg")
        assert take(["q/1.jpg", "p"]).names == ("q/1.jpg", "p/1.png", "p/2.png")

    def test_a_folder_whose_name_looks_like_a_pattern(self):
        folder("p[1]/1.png")
        assert take("p[1]").names == ("1.png",)

    def test_what_is_not_there(self):
        with pytest.raises(ImageError, match=r"\*\.png: nothing matches"):
            take("*.png")
        with pytest.raises(ImageError, match="no picture at p"):
            take("p")

    def test_gray_where_the_model_takes_one_channel(self):
        folder("p/1.png")
        assert_array_equal(
            take("p", Size(None, None, 1)).read(0)[:, :, 0],
            attar.read_image("p/1.png", color="gray"),
        )

    def test_other_sizes_lose_a_border_and_keep_their_proportions(self):
        folder("p/1.png", size=(10, 10))
        wide = np.zeros((20, 40, 3))
        wide[:, 10:30] = 1  # the middle
        attar.write_image("p/2.png", wide)
        found = take("p")
        assert found.read(1).shape == (10, 10, 3)
        assert found.read(1)[:, 1:-1].min() == 1  # but where the filter reaches over the edge

    def test_a_model_of_one_size_is_given_up_to_twice_of_it(self):
        folder("p/1.png", size=(60, 80))
        assert take("p", Size(15, 15, 3)).shape == (30, 40, 3)
        assert take("p", Size(50, 50, 3)).shape == (60, 80, 3)

    def test_the_size_is_that_of_the_first_that_can_be_read(self, tmp_path):
        folder("p/2.png", size=(9, 7))
        (tmp_path / "p" / "1.png").write_bytes(b"nothing")
        found = take("p")
        assert found.shape == (9, 7, 3)
        with pytest.raises(ImageError, match=r"1\.png"):
            found.read(0)

    def test_none_can_be_read(self, tmp_path):
        (tmp_path / "1.png").write_bytes(b"nothing")
        with pytest.raises(ImageError, match="none of 1 pictures can be read"):
            take("1.png")

    def test_a_model_of_four_channels_takes_arrays(self):
        folder("p/1.png")
        with pytest.raises(ShapeError, match=r"pass an array \(N, H, W, 4\)"):
            take("p", Size(None, None, 4))

    def test_the_digest_is_of_what_the_files_hold(self):
        folder("p/1.png", "p/2.png")
        before = take("p").digest()
        assert take("p").digest() == before
        assert take("p", max_images=1).digest() != before
        folder("p/2.png")  # other pixels, of the same size
        assert take("p").digest() != before


class TestArrays:
    @pytest.mark.parametrize("name", ["a.npy", "a.npz"])
    def test_a_file_of_numpy(self, name):
        array = RNG.integers(0, 256, (5, 8, 9), np.uint8)
        np.save(name, array) if name == "a.npy" else np.savez(name, x=array, y=np.arange(5))
        found = take(name, Size(None, None, 1))
        assert (found.kind, len(found), found.shape) == ("array", 5, (8, 9, 1))
        assert_allclose(found.read(3)[:, :, 0], array[3] / 255, atol=1e-7)
        assert (found.own_labels is None) == (name == "a.npy")

    def test_gray_becomes_colour(self):
        found = take(np.ones((2, 4, 4), np.float32) / 2)
        assert_array_equal(found.read(0), np.full((4, 4, 3), 0.5))

    def test_some_are_spread_over_all(self):
        found = take(np.arange(10, dtype=np.uint8).reshape(10, 1, 1), max_images=3)
        assert found.picked == (0, 3, 6)
        assert [round(255 * float(found.read(i)[0, 0, 0])) for i in range(3)] == [0, 3, 6]
        assert found.available == 10

    def test_numbers_that_are_no_picture_are_told_when_they_are_read(self):
        found = take(np.array([0.5, 80, np.nan]).reshape(3, 1, 1, 1) * np.ones((3, 4, 4, 3)))
        found.read(0)
        for i in (1, 2):
            with pytest.raises(ImageError, match="divide by 255"):
                found.read(i)

    @pytest.mark.parametrize(
        ("array", "error", "message"),
        [
            (np.zeros((2, 3, 8, 8), np.float32), ShapeError, r"transpose\(0, 2, 3, 1\)"),
            (np.zeros((8, 8), np.float32), ShapeError, "must be"),
            (np.zeros((0, 8, 8, 3), np.float32), ShapeError, "must be"),
            (np.zeros((2, 8, 8, 3), np.int64), DTypeError, "got int64"),
        ],
    )
    def test_what_is_refused(self, array, error, message):
        with pytest.raises(error, match=message):
            take(array)

    def test_files_that_are_no_arrays(self, tmp_path):
        (tmp_path / "a.npy").write_bytes(b"nothing")
        np.savez("b.npz", one=np.zeros(1), two=np.zeros(1))
        np.save("c.npy", np.array([{}], object), allow_pickle=True)
        for name, message in (("a", "no array"), ("c", "no array"), ("missing", "no such file")):
            with pytest.raises(ImageError, match=message):
                take(f"{name}.npy")
        with pytest.raises(ImageError, match="holds the arrays one, two; name the images 'images'"):
            take("b.npz")

    def test_how_many(self):
        with pytest.raises(ArgumentError, match="max_images must be at least 1, got 0"):
            take(np.zeros((2, 4, 4)), max_images=0)


class TestShapes:
    def test_they_are_drawn_for_the_size_and_the_seed(self):
        found = take(None, Size(20, 30, 3), max_images=6)
        assert (found.kind, found.shape, found.names[:3]) == (
            "shapes",
            (20, 30, 3),
            ("circle 0", "disc 1", "car 2"),
        )
        pictures = [found.read(i) for i in range(6)]
        assert all(one.min() >= 0 and one.max() <= 1 for one in pictures)
        assert all((a != b).any() for a, b in zip(pictures, pictures[3:], strict=False))
        assert_array_equal(take(None, Size(20, 30, 3), max_images=6).read(4), pictures[4])
        assert (take(None, Size(20, 30, 3), max_images=6, seed=1).read(4) != pictures[4]).any()

    def test_a_model_that_is_too_small_for_them(self):
        with pytest.raises(ArgumentError, match="which images"):
            take(None, Size(4, 4, 1))


class TestLabels:
    def test_folders_in_the_order_of_their_names(self):
        folder("p/cat/1.png", "p/dog/1.png", "p/dog/2.png")
        found = labels_of(take("p"), None, 2)
        assert found.values.tolist() == [0, 1, 1]
        assert found.says == "names of folders"

    def test_numbers_of_folders(self):
        folder("p/7/1.png", "p/10/1.png")
        assert labels_of(take("p"), None, 1000).values.tolist() == [10, 7]

    def test_folders_that_can_be_no_classes(self):
        folder("p/cat/1.png", "p/dog/1.png")
        assert labels_of(take("p"), None, 3).values is None
        assert "2 folders cannot be the 3 classes" in labels_of(take("p"), None, 3).says

    def test_classes_of_folders_do_not_depend_on_which_images_are_taken(self):
        folder("p/a/1.png", "p/b/1.png", "p/c/1.png")
        found = take("p", max_images=2)
        assert found.names == ("a/1.png", "b/1.png")
        assert labels_of(found, None, 3).values.tolist() == [0, 1]

    def test_false_is_none(self):
        folder("p/cat/1.png", "p/dog/1.png")
        assert labels_of(take("p"), False, 2).values is None

    def test_beside_the_images(self):
        np.savez("a.npz", images=np.zeros((4, 2, 2), np.uint8), labels=[[3], [2], [1], [0]])
        found = labels_of(take("a.npz", max_images=2), None, 4)
        assert found.values.tolist() == [3, 1]

    @pytest.mark.parametrize("given", [[2, 0, 1, 0], "labels.npy"])
    def test_given(self, given):
        np.save("labels.npy", np.array([2, 0, 1, 0]))
        images = take(np.zeros((4, 2, 2), np.uint8))
        assert labels_of(images, given, 3).values.tolist() == [2, 0, 1, 0]
        half = take(np.zeros((4, 2, 2), np.uint8), max_images=2)
        assert labels_of(half, given, 3).values.tolist() == [2, 1]

    @pytest.mark.parametrize(
        "rows",
        [
            "file,label\na/1.png,dog\nb/1.png,cat\n",
            "p/a/1.png,1\np/b/1.png,0\n",
            "./a/1.png,1\nb/1.png, 0",
        ],
    )
    def test_a_table(self, rows, tmp_path):
        folder("p/a/1.png", "p/b/1.png")
        (tmp_path / "labels.csv").write_text(rows)
        assert labels_of(take("p"), "labels.csv", 2).values.tolist() == [1, 0]

    @pytest.mark.parametrize(
        ("given", "error", "message"),
        [
            ([0, 1], ArgumentError, "one for each of 4 images"),
            ([0, 1, 2, 3], ArgumentError, "run from 0 to 3; the model has the classes 0 to 2"),
            ([0, 1, -1, 0], ArgumentError, "run from -1"),
            ([0.0, 1, 1, 0], DTypeError, "whole numbers"),
            ("labels.txt", ArgumentError, "must be a .npy or .csv file"),
            ("missing.npy", ImageError, "cannot read missing.npy"),
            ("missing.csv", ImageError, "cannot read missing.csv"),
        ],
    )
    def test_what_is_refused(self, given, error, message):
        with pytest.raises(error, match=message):
            labels_of(take(np.zeros((4, 2, 2), np.uint8)), given, 3)

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            ("1.png,0\n", "no row for 1 images, of them '2.png'"),
            ("1.png,0,0\n2.png,0\n", "must be file,label, got '1.png,0,0'"),
            ("1.png,cat\n2.png,cat\n", "labels are 1 names, and the model has 2 classes"),
        ],
    )
    def test_tables_that_are_refused(self, rows, message, tmp_path):
        folder("p/1.png", "p/2.png")
        (tmp_path / "labels.csv").write_text(rows)
        with pytest.raises(ArgumentError, match=message):
            labels_of(take("p"), "labels.csv", 2)

    def test_a_model_without_classes(self):
        images = take(np.zeros((4, 2, 2), np.uint8))
        assert labels_of(images, None, None).values is None
        with pytest.raises(ArgumentError, match="the output of the model is no classes"):
            labels_of(images, [0, 1, 2, 3], None)

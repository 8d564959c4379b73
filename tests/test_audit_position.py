"""Positions read from layers: probes against plain code, and models that know by design."""

import json
import math

import numpy as np
import pytest
import torch
from torch import nn

import attar
from attar.auditing.measure import Block
from attar.auditing.position import Position, PositionSection
from attar.auditing.probes import cosine_sums, held_out, read
from attar.errors import ArgumentError, ShapeError

from .audited import measured, opened, passes_counted, pictures
from .rnet import rnet

# ------------------------------------------------------------------------------------------- probes


def ridge_by_features(learnt, targets, asked):
    """Ridge regression in the features themselves; how much, by the definition of GCV."""
    middle, mean = learnt.mean(0), targets.mean(0)
    rows, wanted = learnt - middle, targets - mean
    length = (rows**2).sum() / len(rows)
    errors = {}
    for power in range(-4, 3):
        ridge = 10.0**power * length * np.eye(rows.shape[1])
        hat = rows @ np.linalg.inv(rows.T @ rows + ridge) @ rows.T
        missed = wanted - hat @ wanted
        freedom = len(rows) - 1 - np.trace(hat)
        errors[power] = (missed**2).sum() / freedom**2
    ridge = 10.0 ** min(errors, key=errors.get) * length * np.eye(rows.shape[1])
    weights = np.linalg.inv(rows.T @ rows + ridge) @ rows.T @ wanted
    return (asked - middle) @ weights + mean


def test_the_probe_is_ridge_regression():
    generator = np.random.default_rng(0)
    for noise in (0.0, 0.5, 3.0):
        rows = generator.standard_normal((40, 7))
        targets = rows @ generator.standard_normal((7, 2)) + noise * generator.standard_normal(
            (40, 2)
        )
        found = read(rows[:30], targets[:30], rows[30:])
        np.testing.assert_allclose(
            found, ridge_by_features(rows[:30], targets[:30], rows[30:]), rtol=1e-6
        )


def test_what_is_tried_was_not_learnt():
    """Noise can be learnt by heart, and is not read from what was held out."""
    generator = np.random.default_rng(1)
    rows, targets = generator.standard_normal((60, 200)), generator.standard_normal((60, 1))
    folds = np.arange(60) % 4
    found = held_out(rows, targets, folds)
    assert ((found - targets) ** 2).sum() > 0.7 * (targets**2).sum()
    for fold in range(4):
        out = folds == fold
        np.testing.assert_allclose(found[out], read(rows[~out], targets[~out], rows[out]))


def test_rows_that_are_all_the_same_tell_nothing():
    rows = np.full((10, 5), 3.0) + 1e-7 * np.random.default_rng(0).random((10, 5))
    targets = np.arange(10.0)[:, None]
    np.testing.assert_array_equal(read(rows, targets, rows[:3]), np.full((3, 1), 4.5))


def test_sums_are_weighted_by_cosines():
    maps = np.random.default_rng(0).random((2, 5, 3, 2)).astype(np.float32)
    found = cosine_sums(maps, 4)  # three places have three waves
    expected = np.zeros((2, 4, 3, 2))
    for k in range(4):
        for m in range(3):
            for y in range(5):
                for x in range(3):
                    weight = math.cos(math.pi * k * (y + 0.5) / 5) * math.cos(
                        math.pi * m * (x + 0.5) / 3
                    )
                    expected[:, k, m] += maps[:, y, x] * weight / 15
    np.testing.assert_allclose(found, expected.reshape(2, -1), atol=1e-6)
    np.testing.assert_allclose(found[:, :2], maps.mean(axis=(1, 2)), atol=1e-6)


# --------------------------------------------------------------------------------- where discs are


def seen_by(measure, images):
    """The pictures that a model is shown."""
    shown = []

    class Watching(nn.Module):
        def forward(self, x):
            shown.append(x.numpy().copy())
            return x * 1

    model = attar.open_model(Watching(), size=images.shape[1])
    shown.clear()
    part = measure.work(model, Block(images, None, 0))
    return np.concatenate(shown).transpose(0, 2, 3, 1), part


@pytest.mark.parametrize("ground", ["plain", "image"])
def test_the_discs_are_where_it_says(ground):
    images = pictures(2, 48)
    images[1] = images[1] * 0.3 + 0.7  # bright: its disc is black
    shown, part = seen_by(Position(ground=ground), images)
    shown = shown.reshape(2, 50, 48, 48, 3)
    for image, drawn, places, ink in zip(images, shown, part["places"], (None, 0), strict=True):
        ink = float(image.mean() < 0.5) if ink is None else ink
        under = image if ground == "image" else image.mean(axis=(0, 1)) + 0 * image
        for one, (y, x) in zip(drawn, places, strict=True):
            changed = np.argwhere(np.abs(one - under).max(axis=2) > 1e-5)
            assert (one[y + 3, x + 3] == ink).all()  # 7 pixels across
            assert (changed.min(axis=0) >= (y, x)).all()
            assert (changed.max(axis=0) <= (y + 6, x + 6)).all()
            assert len(changed) > 20


def test_places_are_everywhere_and_seeded_for_each_image():
    images = pictures(6, 48)
    _, part = seen_by(Position(), images)
    _, last = seen_by(Position(), images)
    np.testing.assert_array_equal(part["places"], last["places"])
    assert len({places.tobytes() for places in part["places"]}) == 6
    learnt = part["places"][:, :32].reshape(-1, 2)
    assert learnt.min() <= 1
    assert learnt.max() >= 40
    assert part["places"].max() <= 48 - 7
    # The same image in another block is given the same places.
    alone = Position().work(attar.open_model(nn.ReLU(), size=48), Block(images[4:], None, 4))
    np.testing.assert_array_equal(alone["places"][0], part["places"][4])
    assert not np.array_equal(seen_by(Position(seed=1), images)[1]["places"], part["places"])


def test_ladders_on_small_images_stand_anywhere():
    _, part = seen_by(Position(), pictures(12, 24))
    ladders = part["places"][:, 32:].reshape(-1, 6, 2)
    assert set(np.ptp(ladders, axis=1).ravel()) == {10}  # half of the 22 places
    assert len(set(ladders.min(axis=1).ravel().tolist())) > 8


# ---------------------------------------------------------------------------------- what is known


def reading_places():
    """A dense layer whose answer is the middle of what is bright, and one that cannot tell."""
    dense, blind = nn.Linear(48 * 48, 2), nn.Linear(48 * 48, 2)
    with torch.no_grad():
        y, x = torch.meshgrid(torch.arange(48.0), torch.arange(48.0), indexing="ij")
        dense.weight[:] = torch.stack([y.flatten(), x.flatten()])
        blind.weight[:] = 1.0
    return dense, blind


@pytest.fixture(scope="module")
def images():
    return pictures(6, 48, 1, seed=3) * 0.4  # dark: maxima keep a white disc


def test_a_dense_layer_that_reads_places_is_found(images):
    dense, blind = reading_places()
    for layer, knows in ((dense, True), (blind, False)):
        model = attar.open_model(nn.Sequential(nn.Flatten(), layer), size=48, scale=1)
        found = measured(Position(), model, images).layers[-1]
        assert found.placed is None
        if knows:
            assert found.best.r2 > 0.999
            assert found.best.error < 0.5
            assert min(found.best.curve.accuracy) == 1
        else:
            assert found.best.r2 < 0.1


def test_a_circular_mean_knows_nothing(images):
    circular = nn.Conv2d(1, 6, 3, padding=1, padding_mode="circular")
    section = measured(
        Position(), opened(circular, nn.ReLU(), nn.AdaptiveAvgPool2d(1), size=48), images
    )
    relu, mean = section.layer("1"), section.layer("2")
    assert relu.best.r2 > 0.95
    assert relu.pooled.r2 < 0.1
    assert mean.best.r2 < 0.1
    assert mean.best.error > 0.9 * section.chance_error
    assert np.average(mean.best.curve.accuracy, weights=mean.best.curve.pairs) == pytest.approx(
        0.5, abs=0.1
    )


def test_padding_tells_means_where_a_feature_is(images):
    """Islam, Jia and Bruce (2020): zeros around a map are seen from far inside."""
    found = []
    for mode in ("zeros", "circular"):
        net = []
        for channels in (1, 8, 8, 8):
            net += [nn.Conv2d(channels, 8, 5, padding=2, padding_mode=mode), nn.ReLU()]
        model = opened(*net, nn.AdaptiveAvgPool2d(1), size=48)
        found.append(measured(Position(), model, images).layers[-1].best)
    zeros, circular = found
    assert zeros.r2 > circular.r2 + 0.1
    assert zeros.curve.accuracy[-1] > 0.65
    assert circular.curve.accuracy[-1] == pytest.approx(0.5, abs=0.05)


def test_pools_destroy_positions_over_small_distances_only():
    """The curve of the claim: about chance far inside a window, all of it beyond."""
    model = opened(nn.MaxPool2d(2), nn.MaxPool2d(2), nn.MaxPool2d(3), size=96)
    section = measured(Position(), model, pictures(12, 96, 1) * 0.4)
    fine, middle, coarse = (
        dict(zip(layer.best.curve.distances, layer.best.curve.accuracy, strict=True))
        for layer in section.layers
    )
    assert fine[1] > middle[1] > coarse[1]
    assert coarse[1] < 0.65
    for curve, window in ((fine, 2), (middle, 4), (coarse, 12)):
        assert min(accuracy for apart, accuracy in curve.items() if apart > window) > 0.9
    assert {1, 2, 3, 4, 6, 7, 8, 12, 14, 15, 16, 24, 28, 30, 31} == set(fine)  # of the ladder


def test_the_numbers_are_those_of_plain_loops(images):
    model = opened(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.MaxPool2d(4), size=48)
    measure = Position()
    part = measure.work(model, Block(images, None, 0))
    section = measure.combine(model, [part])
    index = [layer.name for layer in section.layers].index("2")
    where, told = part["places"], part["read"][index, 0]
    assert part["read"].min() == 0  # nothing is read outside of the image
    assert part["read"].max() == 48 - 7
    squared = spread = distance = 0.0
    count = 0
    tries = {}
    for image in range(len(images)):
        middle = [sum(float(p[a]) for p in where[image, :32]) / 32 for a in range(2)]
        for p, q in zip(where[image, :32], told[image, :32], strict=True):
            squared += sum((float(q[a]) - float(p[a])) ** 2 for a in range(2))
            spread += sum((float(p[a]) - middle[a]) ** 2 for a in range(2))
            distance += math.hypot(*(float(q[a]) - float(p[a]) for a in range(2)))
            count += 1
        for ladder in range(3):
            at = range(32 + 6 * ladder, 38 + 6 * ladder)
            for i in at:
                for j in at:
                    for a in range(2):
                        apart = int(where[image, j, a]) - int(where[image, i, a])
                        if i < j and apart:
                            step = float(told[image, j, a]) - float(told[image, i, a])
                            right = 0.5 if abs(step) < 1e-4 else float((step > 0) == (apart > 0))
                            tries.setdefault(abs(apart), []).append(right)
    found = section.layers[index].placed
    assert found.r2 == pytest.approx(1 - squared / spread)
    assert found.error == pytest.approx(distance / count)
    assert found.curve.distances == tuple(sorted(tries))
    for d, accuracy, pairs in zip(*vars(found.curve).values(), strict=True):
        assert (pairs, accuracy) == (len(tries[d]), pytest.approx(sum(tries[d]) / pairs))


def test_the_real_rnet_knows_places_in_its_dense_layer_and_not_in_its_answer():
    data = pytest.importorskip("skimage.data")
    faces = np.repeat(data.lfw_subset()[:6, ..., None], 3, axis=3).astype(np.float32)
    model = attar.open_model(rnet(), scale=255, mean=127.5, std=128, output=1)
    section = measured(Position(), model, faces)
    assert section.size == (24, 24)
    assert section.feature == 3
    assert section.layer("prelu1").best.r2 > 0.7
    assert section.layer("dense4").best.r2 > 0.4
    assert section.layer("softmax5_1").best.r2 < 0.2


def test_blocks_add_up_and_numbers_are_plain(images):
    model = opened(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 46 * 46, 3), size=48)
    measure = Position(places=12)
    whole, parts = measured(measure, model, images), measured(measure, model, images, blocks=3)
    assert [layer.name for layer in whole.layers] == ["0", "1", "3"]  # not the map in disguise
    assert whole.images == parts.images == 6
    for a, b in zip(whole.layers, parts.layers, strict=True):
        assert a.best.r2 == pytest.approx(b.best.r2, abs=1e-4)
        assert a.best.curve.pairs == b.best.curve.pairs
    written = json.dumps(whole.as_dict(), allow_nan=False)
    assert PositionSection.from_dict(json.loads(written)) == whole
    assert json.dumps(measure.settings())
    assert passes_counted(measure, model, images) == 6 * measure.passes(model)


def test_what_it_refuses():
    with pytest.raises(ArgumentError, match="places must be at least 8, got 4"):
        Position(places=4)
    with pytest.raises(ArgumentError, match="waves must be at least 2"):
        Position(waves=1)
    with pytest.raises(ArgumentError, match="ground must be 'plain' or 'image', got 'sea'"):
        Position(ground="sea")
    with pytest.raises(ArgumentError, match="position: there is no part"):
        Position().combine(opened(nn.ReLU()), [])
    with pytest.raises(ShapeError, match="at least 4 × 4 pixels, got 3 × 3"):
        measured(Position(), opened(nn.ReLU(), size=3), pictures(1, 3))

"""Channels that do nothing: counted again by plain loops; planted ones are found."""

import json
import math

import numpy as np
import pytest
import torch
from torch import nn

import attar
from attar.auditing.measure import Block
from attar.auditing.moments import FEWEST, SKETCHES, WIDE, Moments, signs
from attar.auditing.places import Line
from attar.auditing.space import Space, SpaceSection
from attar.errors import ArgumentError

from .audited import measured, opened, passes_counted, pictures
from .rnet import rnet
from .vgg16 import vgg16_keras

# ------------------------------------------------------------------------------------ recomputed


def by_loops(maps, nearly_dead_below=0.001):
    """Verdicts on maps (N, H, W, C), value by value."""
    images, rows, columns, channels = maps.shape
    found = {"dead": [], "nearly_dead": [], "always_on": [], "constant": []}
    zeros, values = 0, images * rows * columns
    for c in range(channels):
        active, seen = 0, set()
        for n in range(images):
            for y in range(rows):
                for x in range(columns):
                    value = float(maps[n, y, x, c])
                    active += value != 0
                    seen.add(value)
        zeros += values - active
        if active == 0:
            found["dead"].append(c)
        elif active / values < nearly_dead_below:
            found["nearly_dead"].append(c)
        if active == values:
            found["always_on"].append(c)
        if active and len(seen) == 1:
            found["constant"].append(c)
    return found, zeros / (values * channels)


def correlation(a, b):
    """Pearson's, by its definition."""
    a, b = a.ravel().astype(float).tolist(), b.ravel().astype(float).tolist()
    middle_a, middle_b = math.fsum(a) / len(a), math.fsum(b) / len(b)
    both = math.fsum((x - middle_a) * (y - middle_b) for x, y in zip(a, b, strict=True))
    alone = [
        math.fsum((x - middle) ** 2 for x in values)
        for values, middle in ((a, middle_a), (b, middle_b))
    ]
    return both / math.sqrt(alone[0] * alone[1])


def planted():
    """Eight filters: 0 and 1 ordinary, 2 dead, 3 twice 0, 4 −1 and more than 0, 5 rarely active.

    6 is the same everywhere, 7 always on.
    """
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 8, 3)
    with torch.no_grad():
        weight, bias = conv.weight, conv.bias
        weight[:2] -= weight[:2].mean((1, 2, 3), keepdim=True)  # active in half of all places
        bias[:2] = 0
        weight[2], bias[2] = -weight[2].abs(), -1
        weight[3], bias[3] = 2 * weight[0], 0
        weight[4], bias[4] = -weight[1], 5
        weight[6], bias[6] = 0, 0.5
        weight[7], bias[7] = weight[7].abs(), 0.1
    return conv


@pytest.fixture(scope="module")
def images():
    return pictures(4, 20)


@pytest.fixture(scope="module")
def model(images):
    conv = planted()
    with torch.no_grad():
        conv.bias[5] = 0
        answers = conv(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))[:, 5]
        # Active in one of 1296 places.
        conv.bias[5] = -answers.flatten().topk(2).values.mean()
    return attar.open_model(nn.Sequential(conv, nn.ReLU(), nn.MaxPool2d(2)).eval(), size=20)


def test_planted_faults_are_found(model, images):
    section = measured(Space(), model, images)
    layer = section.layer("1")
    assert layer.dead == (2,)
    assert layer.nearly_dead == (5,)
    assert layer.constant == (6,)
    assert set(layer.always_on) == {4, 6, 7}
    assert [(each.channel, each.of) for each in layer.duplicates] == [(3, 0)]
    assert layer.duplicates[0].correlation == pytest.approx(1, abs=1e-6)
    assert layer.exact
    assert layer.compared == 8 - 3  # not the dead one, the constant one, the one with one value
    assert (section.images, layer.places) == (4, 4 * 18 * 18)
    # Fields of 3 × 3: every third place of 18 sees pixels of its own.
    assert layer.independent_places == 4 * 6 * 6
    # Before the ReLU nothing is dead; and one that falls as another rises is its duplicate too.
    before = section.layer("0")
    assert not before.rectified
    assert before.dead == before.always_on == ()
    assert {(each.channel, each.of): round(each.correlation, 4) for each in before.duplicates} == {
        (3, 0): 1,
        (4, 1): -1,
    }
    assert section.dead_fraction == section.duplicate_fraction == 1 / 8  # of the ReLU's


def test_the_verdicts_are_those_of_plain_loops(model, images):
    section = measured(Space(), model, images)
    for name, maps in model.run(images).items():
        layer = section.layer(name)
        found, zeros = by_loops(maps)
        assert layer.zero_fraction == pytest.approx(zeros, abs=1e-12)
        assert list(layer.dead) == found["dead"]
        assert list(layer.nearly_dead) == found["nearly_dead"]
        assert list(layer.constant) == found["constant"]
        if layer.rectified:
            assert list(layer.always_on) == found["always_on"]
        told = {each.channel: each for each in layer.duplicates}
        for c in range(8):
            if np.ptp(maps[..., c]) == 0 or np.count_nonzero(maps[..., c]) < FEWEST:
                assert c not in told
                continue
            before = [
                o
                for o in range(c)
                if np.ptp(maps[..., o]) and np.count_nonzero(maps[..., o]) >= FEWEST
            ]
            alike = {o: correlation(maps[..., o], maps[..., c]) for o in before}
            matches = [o for o, value in alike.items() if abs(value) >= 0.999]
            assert (c in told) == bool(matches)
            if matches:
                assert told[c].of == matches[0]
                assert told[c].correlation == pytest.approx(alike[matches[0]], abs=1e-6)


def test_what_a_pool_makes_of_dead_space(model, images):
    (pool,) = measured(Space(), model, images).pools
    before, after = (maps.astype(float) for maps in model.run(images, ["1", "2"]).values())
    assert (pool.name, pool.before) == ("2", "1")
    assert pool.zeros_before == pytest.approx((before == 0).mean())
    assert pool.zeros_after == pytest.approx((after == 0).mean())
    assert pool.intensification == pytest.approx((after != 0).mean() / (before != 0).mean())
    assert pool.strength == pytest.approx(after.mean() / before.mean())
    assert pool.intensification > 1


def test_what_shares_out_is_not_counted_as_detecting():
    conv = planted()
    model = attar.open_model(nn.Sequential(conv, nn.ReLU(), nn.Softmax(dim=1)).eval(), size=20)
    section = measured(Space(), model, pictures(2, 20))
    assert section.layer("2").task == "detect"
    assert section.dead_fraction == len(section.layer("1").dead) / 8 > 0


def test_settings_move_the_verdicts(model, images):
    generous = measured(Space(nearly_dead_below=0.9), model, images).layer("1")
    assert {0, 1, 3, 5} <= set(generous.nearly_dead)
    strict = measured(Space(duplicate_from=0.3), model, images).layer("1")
    assert len(strict.duplicates) > 1


def test_how_little_a_dead_channel_may_still_be_active():
    """With so many independent places, that fraction would stay unseen once in twenty times."""
    layer = measured(Space(), opened(nn.Conv2d(3, 2, 3), size=20), pictures(3, 20)).layer("0")
    assert (1 - layer.unseen) ** layer.independent_places == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("places", "stride", "field"), [(18, 1, 3), (7, 2, 5), (3, 4, 24), (5, 2, 2)]
)
def test_independent_places_share_no_pixel(places, stride, field):
    line = Line(24, places, stride, field)
    count, end = 0, -1
    for place in range(places):  # as many as fit, from the first on
        if place * stride >= end:
            count, end = count + 1, place * stride + field
    assert line.independent == count


# ------------------------------------------------------------------------------------------ moments


@pytest.mark.parametrize("wide", [False, True])
def test_moments_add_up(wide):
    generator = np.random.default_rng(0)
    values = generator.standard_normal((90, 6)).astype(np.float32) + 1000  # far from 0
    random = signs(generator, 90) if wide else None

    def of(start, stop):
        return Moments.of(values[start:stop], None if random is None else random[:, start:stop])

    whole, together = of(0, 90), of(0, 1).and_(of(1, 40).and_(of(40, 90)))
    for name in ("count", "active", "minimum", "maximum", "mean", "weight"):
        np.testing.assert_allclose(getattr(together, name), getattr(whole, name), rtol=1e-12)
    np.testing.assert_allclose(together.spread, whole.spread, atol=1e-8)
    exact = values.astype(np.float64)
    if wide:
        np.testing.assert_allclose(whole.spread, random @ (exact - exact.mean(0)), atol=1e-8)
    else:
        np.testing.assert_allclose(whole.spread, np.cov(exact.T) * 89, rtol=1e-9)


def test_signs_are_fair():
    drawn = signs(np.random.default_rng(1), 1000)
    assert drawn.shape == (SKETCHES, 1000)
    assert set(np.unique(drawn)) == {-1, 1}
    assert abs(drawn.mean()) < 0.01
    other = np.corrcoef(drawn)[np.triu_indices(SKETCHES, 1)]
    assert np.sqrt((other**2).mean()) == pytest.approx(1 / np.sqrt(1000), rel=0.05)


def test_duplicates_of_a_wide_layer_are_found_by_random_sums():
    width = WIDE + 60
    torch.manual_seed(0)
    conv = nn.Conv2d(3, width, 3)
    with torch.no_grad():
        conv.weight[300], conv.bias[300] = 3 * conv.weight[17], 0.1
        conv.weight[310] = -conv.weight[18]
        # Alike, but not by enough: a correlation of about 0.99.
        conv.weight[312] = conv.weight[19] + 0.1 * conv.weight[20]
    model = attar.open_model(conv, size=20)
    images = np.random.default_rng(0).random((4, 20, 20, 3), np.float32)
    section = measured(Space(), model, images, blocks=2)
    (layer,) = section.layers
    assert not layer.exact
    maps = model.run(images)[layer.name].reshape(-1, width).astype(np.float64)
    exact = np.corrcoef(maps.T)
    # What is surely above or below the threshold is told rightly.
    told = {(each.channel, each.of) for each in layer.duplicates}
    assert {(300, 17), (310, 18)} <= told
    assert all(abs(exact[pair]) > 0.998 for pair in told)
    assert (312, 19) not in told
    assert 0.9 < exact[312, 19] < 0.998
    for each in layer.duplicates:
        assert each.correlation == pytest.approx(exact[each.channel, each.of], abs=1e-3)


def test_few_values_say_nothing_about_likeness():
    model = opened(nn.Flatten(), nn.Linear(12, 2000), nn.ReLU(), size=2)
    few = measured(Space(), model, np.random.default_rng(0).random((3, 2, 2, 3), np.float32))
    assert few.layer("2").compared == 0
    assert few.layer("2").duplicates == ()
    assert few.layer("2").independent_places == 3


# ----------------------------------------------------------------------------------------- the rest


def test_blocks_add_up_and_numbers_are_plain(model, images):
    measure = Space()
    whole, parts = measured(measure, model, images), measured(measure, model, images, blocks=3)
    assert whole.images == parts.images == 4
    for a, b in zip(whole.layers, parts.layers, strict=True):
        assert a.dead == b.dead
        assert a.nearly_dead == b.nearly_dead
        assert a.places == b.places
        assert [each.channel for each in a.duplicates] == [each.channel for each in b.duplicates]
    written = json.dumps(whole.as_dict(), allow_nan=False)
    assert SpaceSection.from_dict(json.loads(written)) == whole
    assert json.dumps(measure.settings())
    assert passes_counted(measure, model, images) == 4 * measure.passes(model)


def test_a_part_stays_small():
    model = opened(nn.Conv2d(3, 600, 3), nn.ReLU(), nn.Conv2d(600, 256, 3), nn.ReLU(), size=16)
    part = Space().work(model, Block(pictures(2, 16), None, 0))
    assert sum(array.nbytes for array in part.values()) < 4 * (1 << 19)


def test_the_real_vgg16_has_dead_channels_on_three_photographs():
    data = pytest.importorskip("skimage.data")
    photos = np.stack(
        [
            attar.images.resize_image(one.astype(np.float32) / 255, 48, 48)
            for one in (data.chelsea(), data.coffee(), data.astronaut())
        ]
    )
    model = attar.open_model(vgg16_keras(), preparation="vgg")
    section = measured(Space(), model, photos)
    maps = model.run(photos, ["block2_conv2", "block3_conv3", "block3_pool"])
    for name, map in maps.items():
        assert section.layer(name).dead == tuple(np.flatnonzero(~map.any(axis=(0, 1, 2))))
    assert section.layer("block2_conv2").dead  # a trained net has some
    assert section.images == 3
    assert [pool.name for pool in section.pools] == [f"block{i}_pool" for i in range(1, 6)]
    assert all(pool.intensification > 1 for pool in section.pools)


def test_the_real_rnet_has_none():
    data = pytest.importorskip("skimage.data")
    faces = np.repeat(data.lfw_subset()[:20, ..., None], 3, axis=3).astype(np.float32)
    section = measured(
        Space(), attar.open_model(rnet(), scale=255, mean=127.5, std=128, output=1), faces
    )
    assert section.dead_fraction == 0
    # Its two answers add up to 1: by their nature the one is the other turned round.
    assert section.layer("softmax5_1").duplicates[0].correlation == pytest.approx(-1, abs=1e-6)


def test_what_it_refuses():
    with pytest.raises(ArgumentError, match=r"nearly_dead_below must be in \[0, 1\], got 2"):
        Space(nearly_dead_below=2)
    with pytest.raises(ArgumentError, match="duplicate_from must be"):
        Space(duplicate_from=-0.1)
    with pytest.raises(ArgumentError, match="space: there is no part"):
        Space().combine(opened(nn.ReLU()), [])

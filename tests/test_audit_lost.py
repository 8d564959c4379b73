"""Where shifts are lost: recomputed by plain loops; planted faults are found, and named rightly."""

import json
import math

import numpy as np
import pytest
import torch
from torch import nn

import attar
import attar.torch as at
from attar import features
from attar.auditing.lost import Lost, LostSection
from attar.auditing.places import Line
from attar.errors import ArgumentError

from .audited import measured, opened, passes_counted, pictures
from .rnet import rnet
from .vgg16 import vgg16_keras

EXACT = 2e-6  # what float32 leaves of a convolution that is computed in another place

# ------------------------------------------------------------------------------------ recomputed


def by_loops(model, layer, image, shift, stride, field, size):
    """Relative L2 and 1 − cosine of the whole, the interior and the border, place by place."""
    moved = features.shift(image, *shift, mode="circular")
    still, behind = (model.run(each[None], [layer])[layer][0] for each in (image, moved))
    rows, columns, channels = still.shape
    sums = {region: np.zeros(3) for region in ("whole", "interior", "border")}

    def at(y, x, c):
        """Value between places."""
        top, left = math.floor(y), math.floor(x)
        value = 0.0
        for row, down in ((top, 1 - (y - top)), (top + 1, y - top)):
            for column, across in ((left, 1 - (x - left)), (left + 1, x - left)):
                if down * across:
                    value += down * across * float(still[row, column, c])
        return value

    def clean(place, places, by, axis_stride):
        """Whether a place sees no padding, nothing new, and neither does where it was."""
        slack = size - (places - 1) * axis_stride - field
        first = math.floor((slack - axis_stride + 1) / 2)
        last = math.ceil((slack + axis_stride - 1) / 2)
        before = place - by / axis_stride
        for one, low in ((place, by), (math.floor(before), 0), (math.ceil(before), 0)):
            if one * axis_stride + first < low or one * axis_stride + last + field > size:
                return False
        return True

    for y in range(rows):
        for x in range(columns):
            was = y - shift[0] / stride, x - shift[1] / stride
            if min(was) < 0:
                continue
            inside = clean(y, rows, shift[0], stride) and clean(x, columns, shift[1], stride)
            for c in range(channels):
                a, b = at(*was, c), float(behind[y, x, c])
                sums["whole"] += (a - b) ** 2, a * a, b * b
                sums["interior" if inside else "border"] += (a - b) ** 2, a * a, b * b
    found = {}
    for region, (apart, before, after) in sums.items():
        if before + after == 0:
            found[region] = (None, None)
            continue
        cosine = (before + after - apart) / 2 / math.sqrt(before * after)
        found[region] = (math.sqrt(apart / ((before + after) / 2)), 1 - cosine)
    return found


@pytest.mark.parametrize("distance", [1, 2, 3])
def test_the_numbers_are_those_of_plain_loops(distance):
    model = opened(
        nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.Conv2d(3, 2, 3, stride=3, padding=1), size=20
    )
    images = pictures(2, 20, 2)
    section = measured(Lost(distances=[distance]), model, images)
    assert section.shifts == ((distance, 0), (0, distance), (distance, distance))
    for layer, stride, field in (("1", 1, 3), ("2", 3, 5)):
        expected = {region: [] for region in ("whole", "interior", "border")}
        for image in images:
            for shift in section.shifts:
                one = by_loops(model, layer, image, shift, stride, field, 20)
                for region, pair in one.items():
                    expected[region].append(pair)
        errors = section.layer(layer).equivariance
        for region, pairs in expected.items():
            relative, cosine = np.mean(pairs, axis=0)
            assert getattr(errors, region) == pytest.approx(relative, abs=1e-5), region
            assert getattr(errors, f"{region}_cosine") == pytest.approx(cosine, abs=1e-5), region


def test_invariance_compares_place_by_place():
    model = opened(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(2 * 14 * 14, 3), size=16)
    images = pictures(3, 16, 1)
    section = measured(Lost(distances=[2]), model, images)
    apart = {name: [] for name in ("0", "2")}
    for image in images:
        for shift in section.shifts:
            moved = features.shift(image, *shift, mode="circular")
            for name, (a, b) in model.run(np.stack([image, moved])).items():
                if name in apart:
                    both = ((a**2).sum() + (b**2).sum()) / 2
                    apart[name].append(math.sqrt(((a - b) ** 2).sum() / both))
    for name, errors in apart.items():
        assert section.layer(name).invariance.whole == pytest.approx(np.mean(errors), abs=1e-5)
    assert section.layer("2").equivariance is None
    assert section.layer("2").error == section.layer("2").invariance.whole


# --------------------------------------------------------------------------------- what sees what


def chains():
    """Random chains of windows: (size, [(window, stride, pad before, pad after)])."""
    generator = np.random.default_rng(0)
    for _ in range(300):
        size, chain = int(generator.integers(20, 60)), []
        places = size
        for _ in range(generator.integers(1, 6)):
            window, stride = int(generator.integers(1, 5)), int(generator.integers(1, 4))
            rule = generator.choice(["valid", "same", "symmetric"])
            before = after = 0
            if rule == "symmetric":
                before = after = int(generator.integers(0, window // 2 + 1))
            if rule == "same":
                window += stride == 1 and window % 2 == 0  # what `Line.begins` does not count
                missing = max(0, (math.ceil(places / stride) - 1) * stride + window - places)
                before, after = missing // 2, missing - missing // 2
            if places + before + after < window:
                break
            chain.append((window, stride, before, after))
            places = (places + before + after - window) // stride + 1
        yield size, chain


def test_places_that_are_called_clean_see_no_padding():
    """What a layer does not say, where its fields begin, is bounded rightly."""
    found_clean = 0
    for size, chain in chains():
        begin, step, field, places = 0, 1, 1, size
        for window, stride, before, after in chain:
            begin -= before * step
            field += (window - 1) * step
            step *= stride
            places = (places + before + after - window) // stride + 1
        line = Line(size, places, step, field)
        low, high = line.begins
        assert low <= begin <= high, (size, chain)
        assert high - low <= step + 1
        for place in np.flatnonzero(line.inside(2, size - 3)):
            found_clean += 1
            assert begin + place * step >= 2
            assert begin + place * step + field <= size - 3
    assert found_clean > 1000


# --------------------------------------------------------------------------------- planted faults


def circular(*channels):
    return nn.Conv2d(*channels, 3, padding=1, padding_mode="circular")


def test_a_circular_net_loses_nothing():
    model = opened(circular(3, 8), nn.ReLU(), circular(8, 8), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    section = measured(Lost(), model, pictures(2))
    assert section.costliest is None
    assert sum(section.causes.values()) == 0
    for layer in section.layers:
        assert layer.error < EXACT, layer.name
        assert layer.cause is None


def test_a_circular_net_with_a_pool_loses_by_its_stride_alone():
    model = opened(
        circular(3, 8), nn.ReLU(), nn.MaxPool2d(2), circular(8, 8), nn.AdaptiveAvgPool2d(1)
    )
    section = measured(Lost(), model, pictures(2))
    assert (section.costliest, section.layer("2").cause) == ("2", "aliasing")
    assert section.causes["padding"] == section.causes["position"] == 0
    for layer in section.layers:
        for shift, error in zip(section.shifts, layer.by_shift, strict=True):
            if shift[0] % 2 == shift[1] % 2 == 0:
                assert error < EXACT, (layer.name, shift)
    assert section.layer("3").padding < EXACT
    assert section.layer("2").aliasing > 0.05
    assert section.layer("4").error < 0.1 * section.layer("2").error


def test_a_dense_layer_that_reads_places_is_named():
    images = pictures(4)
    reading = opened(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.LeakyReLU(), nn.Linear(8 * 30 * 30, 5)
    )
    section = measured(Lost(), reading, images)
    assert (section.costliest, section.layer("4").cause) == ("4", "position")
    assert section.layer("4").position == pytest.approx(section.layer("4").added, abs=EXACT)
    assert section.layer("4").added == pytest.approx(section.layer("4").error, abs=EXACT)
    assert section.layer("4").position > 0.1
    # The map in another shape knows no more than the map, and is not blamed.
    assert section.layer("2").error is None
    assert section.layer("3").cause is None
    assert section.layer("1").error < EXACT

    pooled = opened(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)
    )
    assert measured(Lost(), pooled, images).layer("4").error < 0.1 * section.layer("4").error


def test_a_blur_before_the_stride_aliases_less():
    images = pictures(4)
    strided = opened(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.MaxPool2d(2))
    blurred = opened(nn.Conv2d(3, 8, 3), nn.ReLU(), at.MaxBlurPool2d(2))
    plain, better = (measured(Lost(), model, images).layer("2") for model in (strided, blurred))
    assert plain.cause == "aliasing"
    assert plain.split == better.split == "place"
    assert better.aliasing < 0.7 * plain.aliasing


def test_padding_that_leaks_is_told_from_aliasing():
    padded = nn.Conv2d(3, 8, 3, padding=1)
    section = measured(Lost(), opened(padded, nn.ReLU()), pictures(3) + 1)  # far from 0
    layer = section.layer("0")
    assert (section.costliest, layer.cause) == ("0", "padding")
    assert layer.equivariance.interior < EXACT < 0.01 < layer.equivariance.border
    assert layer.aliasing < EXACT
    assert layer.padding == pytest.approx(layer.equivariance.border, abs=EXACT)
    # Of 32 × 32 places the first row and column that came in are left out, and a rim is unclean.
    assert 0.6 < layer.interior < 0.95


def test_maps_without_a_field_are_split_by_shift():
    section = measured(Lost(), opened(circular(3, 4), nn.MaxPool2d(2)), pictures(2))
    pool = section.layer("1")
    assert (pool.split, pool.stride, pool.interior) == ("shift", (2, 2), None)
    assert pool.aliasing > 0.05
    assert pool.padding < EXACT


def test_an_activation_of_its_own_is_counted_with_its_filter():
    """ONNX and PyTorch have it as a layer, Keras within the convolution: the blame is the same."""
    from attar import layers

    fused = attar.Sequential(
        [
            layers.Input((32, 32, 3)),
            layers.Conv2D(6, 3, padding="same", activation="relu", name="filter"),
            layers.MaxPool2D(name="condense"),
        ]
    )
    apart = attar.Sequential(
        [
            layers.Input((32, 32, 3)),
            layers.Conv2D(6, 3, padding="same", name="filter"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(name="detect"),
            layers.MaxPool2D(name="condense"),
        ]
    )
    weights = [layer.get_weights() for layer in fused.layers]
    for layer in apart.layers:
        if layer.name == "filter":
            layer.set_weights(next(each for each in weights if each))
    one, other = (
        measured(Lost(), attar.open_model(model), pictures(2)) for model in (fused, apart)
    )
    for name in ("filter", "condense"):
        assert one.layer(name).added == pytest.approx(other.layer(name).added, abs=1e-3)
        assert one.layer(name).cause == other.layer(name).cause
    assert one.costliest == other.costliest
    assert other.layer("filter").added != pytest.approx(other.layer("filter").error, abs=1e-3)
    assert [other.layer(name).part_of for name in ("filter", "norm", "detect", "condense")] == [
        None, "filter", "filter", None,
    ]  # fmt: skip
    assert other.layer("detect").added is other.layer("detect").cause is None
    assert other.layer("detect").error > 0


class Ramp(nn.Module):
    """A layer that is brighter on the right."""

    def forward(self, x):
        return x * torch.linspace(0.1, 1, x.shape[3])


def test_a_map_that_depends_on_places_is_no_aliasing():
    """What is wrong in the interior at multiples of the stride is neither stride nor padding."""
    section = measured(Lost(), opened(nn.MaxPool2d(2), Ramp()), pictures(2))
    pool, ramp = section.layers
    assert (pool.cause, ramp.cause, section.costliest) == ("aliasing", "other", "1")
    errors = {True: [], False: []}
    for shift, error in zip(section.shifts, ramp.by_shift, strict=True):
        errors[shift[0] % 2 == shift[1] % 2 == 0].append(error)
    assert np.mean(errors[True]) > 0.1
    # A pool sees no padding: its border is as its interior.
    assert ramp.aliasing < np.mean(errors[False]) - 0.5 * np.mean(errors[True])


class Branches(nn.Module):
    """The sum of a clean path and one that leaks."""

    def __init__(self):
        super().__init__()
        self.leaky, self.join = nn.Conv2d(3, 3, 5, padding=2), nn.Conv2d(3, 3, 1)

    def forward(self, x):
        return self.join(x + self.leaky(x))


def test_what_a_sum_takes_is_not_blamed_on_it():
    torch.manual_seed(0)
    section = measured(Lost(), attar.open_model(Branches(), size=32), pictures(2) + 1)
    assert section.costliest == "leaky"
    assert section.layer("leaky").cause == "padding"
    assert section.layer("add").added <= 0


# --------------------------------------------------------------------------------------- the rest


def test_the_real_rnet_reads_places_in_its_dense_layer():
    data = pytest.importorskip("skimage.data")
    faces = np.repeat(data.lfw_subset()[:3, ..., None], 3, axis=3).astype(np.float32)
    model = attar.open_model(rnet(), scale=255, mean=127.5, std=128, output=1)
    section = measured(Lost(), model, faces)
    assert section.size == (24, 24)
    assert max(max(shift) for shift in section.shifts) == 6  # a quarter of the image
    assert (section.costliest, section.layer("dense4").cause) == ("dense4", "position")
    assert section.layer("prelu1").error < EXACT * 10  # no padding, no stride
    assert section.layer("pool1").cause == "aliasing"


def test_the_real_vgg16_leaks_by_padding_from_its_first_layer():
    data = pytest.importorskip("skimage.data")
    cat = attar.images.resize_image(data.chelsea().astype(np.float32) / 255, 48, 48)
    model = attar.open_model(vgg16_keras((48, 48, 3)), preparation="vgg")
    section = measured(Lost(distances=(1, 2)), model, cat[None])
    first = section.layer("block1_conv1")
    assert (first.cause, first.aliasing) == ("padding", pytest.approx(0, abs=1e-4))
    assert section.layer("block1_pool").cause == "aliasing"
    assert section.layer("block5_conv1").cause in (None, "unknown")  # it sees the whole image


def test_blocks_add_up_and_numbers_are_plain():
    model = opened(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
    images = pictures(5)
    measure = Lost(distances=(1, 2, 20))  # 20 is too far for them
    whole, parts = measured(measure, model, images), measured(measure, model, images, blocks=3)
    assert whole.shifts[-1] == (2, 2)
    assert whole.images == parts.images == 5
    for a, b in zip(whole.layers, parts.layers, strict=True):
        assert a.error == pytest.approx(b.error, abs=1e-6)
        assert a.aliasing == pytest.approx(b.aliasing, abs=1e-6)
    written = json.dumps(whole.as_dict(), allow_nan=False)
    assert LostSection.from_dict(json.loads(written)) == whole
    assert json.dumps(measure.settings())
    assert passes_counted(measure, model, images) == 5 * measure.passes(model)


def test_other_modes():
    model = opened(nn.Conv2d(3, 4, 3), nn.ReLU())
    for mode in ("zero", "reflect", "replicate"):
        section = measured(Lost(distances=(1, 2), mode=mode), model, pictures(1))
        assert section.layer("1").equivariance.interior < EXACT
        assert section.mode == mode


def test_a_dead_map_counts_for_nothing():
    conv = nn.Conv2d(3, 2, 3)
    model = opened(conv, nn.ReLU())
    with torch.no_grad():
        conv.weight.zero_()
        conv.bias.zero_()
    section = measured(Lost(distances=(1,)), model, pictures(1))
    assert section.layer("1").error is None
    assert section.costliest is None


def test_what_it_refuses():
    for distances in ((), (0,), (1.5,), (2, 2)):
        with pytest.raises(ArgumentError, match="distances must be different whole numbers"):
            Lost(distances=distances)
    with pytest.raises(ArgumentError, match="mode must be"):
        Lost(mode="wrap")
    with pytest.raises(ArgumentError, match="lost: there is no part"):
        Lost().combine(opened(nn.ReLU()), [])

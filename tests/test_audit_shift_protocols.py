"""What papers measure, repeated: the same ranges, as often, on the same pixels."""

import numpy as np
import pytest

import attar
from attar import layers
from attar.auditing.measure import Block
from attar.auditing.protocols import PROTOCOLS, passes, trials
from attar.auditing.shift import Shift
from attar.images import resize_image
from attar.models.inputs import ModelInput
from attar.preparation import Preparation


def takes(height=None, width=None):
    return ModelInput(None, height, width, 3, "NHWC", Preparation(), "", "")


def pictures(*shape):
    return np.random.default_rng([*shape]).random(shape, np.float32)


def model_at(height, width):
    """One that changes its mind: a stride, and dense layers that read positions."""
    model = attar.Sequential(
        [
            layers.Input((height, width, 3)),
            layers.Conv2D(4, 3, strides=2, activation="relu"),
            layers.MaxPooling2D(4),
            layers.Flatten() if height else layers.GlobalMaxPooling2D(),
            layers.Dense(6),
        ]
    )
    chance = np.random.default_rng(2)
    model.set_weights([chance.standard_normal(one.shape) for one in model.get_weights()])
    return attar.open_model(model, output_kind="logits")


def rows(protocol, *size):
    return [
        (each.mode, each.size, each.margin, each.low, each.high, each.pairs, each.published)
        for each in trials(protocol, takes(*size))
    ]


def test_at_the_size_of_imagenet():
    full, whole = (224, 224), (256, 256)
    assert rows("zhang2019", *full) == [("crop", full, 32, 0, 32, 5, True)]
    assert rows("aps", *full) == [("circular", full, 32, -32, 32, 1, True)]
    # Its code rolls the 256 × 256 pixels from which the crops are cut.
    assert rows("lps", *full) == [
        ("crop", full, 32, 0, 32, 1, True),
        ("circular", full, 32, -32, 32, 1, False),
    ]
    assert rows("lps") == [
        ("crop", full, 32, 0, 32, 1, True),
        ("circular", whole, 0, -32, 32, 1, True),
    ]
    assert [each[-1] for name in PROTOCOLS for each in rows(name, 192, 224)] == [False] * 4


def test_at_the_size_of_cifar():
    small = (32, 32)
    expected = [("circular", small, 0, -3, 3, 1, True), ("zero", small, 0, -3, 3, 1, True)]
    assert rows("aps", *small) == rows("lps", *small) == expected
    assert rows("zhang2019", *small) == [("crop", small, 3, 0, 3, 5, False)]
    assert [each[-1] for each in rows("aps", 28, 28)] == [False, False]


def test_passes():
    counts = [[passes(name, takes(side, side)) for name in PROTOCOLS] for side in (224, 32)]
    assert counts == [[10, 2, 4], [10, 4, 4]]


def middle(image, height, width):
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return image[top : top + height, left : left + width]


def plain(model, images, protocol, seed, size, far):
    """Agreement of pairs, by NumPy's own roll, pad and slices; the numbers drawn are given."""
    small = far == 3
    found = {}
    for i, image in enumerate(images):
        if not small:
            # Resize(256), CenterCrop(256): the shorter side, then the middle.
            image = middle(
                resize_image(image, size + far, int(1.5 * (size + far))), *[size + far] * 2
            )
        for mode in ("crop", "circular", "zero"):
            if (mode == "zero") != small and mode != "circular":
                continue
            low = 0 if mode == "crop" else -far
            pairs = 5 if protocol == "zhang2019" else 1
            drawn = np.random.default_rng([seed, i]).integers(low, far, size=(pairs, 2, 2))
            for pair in drawn.tolist():
                told = []
                for down, right in pair:
                    if mode == "crop":
                        moved = image[down : down + size, right : right + size]
                    elif mode == "circular":
                        moved = np.roll(middle(image, size, size), (down, right), (0, 1))
                    else:
                        padded = np.pad(image, ((3, 3), (3, 3), (0, 0)))
                        moved = padded[down + 3 : down - 3, right + 3 : right - 3]
                    told.append(int(model.predict(moved[None])[0].argmax()))
                found.setdefault(mode, []).append(told[0] == told[1])
    return {mode: np.mean(agree) for mode, agree in found.items()}


@pytest.mark.parametrize(("side", "far"), [(96, 32), (32, 3)])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_pairs_are_what_plain_code_finds(protocol, side, far):
    model = model_at(side, side)
    shape = (32, 32) if side == 32 else (140, 210)
    images = pictures(6, *shape, 3)
    measure = Shift(modes=(protocol,), seed=7)
    ticks = []
    part = measure.work(model, Block(images, None, 0, ticks.append))
    assert sum(ticks) == 6 * measure.passes(model)
    section = measure.combine(model, [part])
    assert section.modes == ()
    if protocol == "zhang2019" and far == 3:
        (found,) = section.protocols  # no paper's; crops of what is 3 pixels larger
        assert (found.mode, found.lowest, found.highest, found.published) == ("crop", 0, 2, False)
        return
    expected = plain(model, images, protocol, 7, side, far)
    for found in section.protocols:
        assert found.consistency.value == pytest.approx(expected[found.mode]), found
        assert (found.images, found.size) == (6, (side, side))
        assert found.highest == far - 1  # randint leaves the upper end out
        assert found.lowest == (0 if found.mode == "crop" else -far)
    assert {found.mode for found in section.protocols} <= set(expected)
    assert (
        len(section.protocols) == {"zhang2019": 1, "aps": 1 if far == 32 else 2, "lps": 2}[protocol]
    )


def test_a_model_of_any_size_sees_the_size_of_the_paper():
    model = model_at(None, None)
    section_of = Shift(modes=("lps",))
    part = section_of.work(model, Block(pictures(2, 60, 80, 3), None, 0))
    crop, circular = section_of.combine(model, [part]).protocols
    assert (crop.size, circular.size) == ((224, 224), (256, 256))


def test_offsets_are_each_images_own():
    """And do not depend on the block that it comes in."""
    model, measure = model_at(32, 32), Shift(modes=("aps", "zhang2019"))
    images = pictures(8, 32, 32, 3)
    whole = measure.work(model, Block(images, None, 0))
    for first in (0, 5):
        some = measure.work(model, Block(images[first : first + 3], None, first))
        for name in ("aps_circular", "aps_zero", "zhang2019_crop"):
            assert np.array_equal(some[name], whole[name][first : first + 3])
    same = np.repeat(images[:1], 60, axis=0)
    agree = measure.work(model, Block(same, None, 0))["aps_zero"]
    assert 0 < agree.mean() < 1  # one image, sixty pairs of shifts

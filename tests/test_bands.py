"""Convolutions in bands: the answer of the convolutions one by one."""

from itertools import pairwise

import numpy as np
import pytest

from attar.nn.bands import InBands
from attar.nn.fused import FusedConv, Pool

from .cases import random

POOLS = [
    None,
    None,
    Pool("MAX", (2, 2), (2, 2)),
    Pool("MAX", (3, 3), (2, 2), "SAME"),
    Pool("AVG", (2, 3), (1, 2), ((1, 0), (1, 1))),
]


def draw(rng, precision):
    """Convolutions that fit behind each other, and the shapes of their maps."""
    shapes = [tuple(int(rng.integers(1, most)) for most in (3, 70, 30, 20))]
    convs = []
    for _ in range(int(rng.integers(2, 5))):
        window = (3, 3) if rng.random() < 0.5 else tuple(int(k) for k in rng.integers(1, 6, 2))
        count = int(rng.choice([1, 4, 9, 16, 33]))
        filters = rng.standard_normal((*window, shapes[-1][3], count)).astype(np.float32)
        conv = FusedConv(
            filters,
            rng.standard_normal(count).astype(np.float32),
            strides=(1, 1) if rng.random() < 0.6 else (2, 1),
            dilations=(1, 1) if rng.random() < 0.7 else (3, 1),
            padding="SAME" if rng.random() < 0.6 else ((2, 0), (1, 1)),
            activation="relu" if rng.random() < 0.5 else None,
            pool=POOLS[int(rng.integers(len(POOLS)))],
            precision=precision,
        )
        try:
            shapes.append(conv.output_shape(shapes[-1]))
        except ValueError:  # no room for the window
            continue
        convs.append(conv)
    return convs, shapes


def one_by_one(convs, x):
    for conv in convs:
        out = np.full(conv.output_shape(x.shape), np.nan, np.float32)
        conv.run(x, out)
        x = out
    return x


@pytest.mark.parametrize("precision", ["exact", "fast"])
def test_bands_are_the_convolutions_one_by_one(precision):
    rng = np.random.default_rng(7)
    tried = 0
    while tried < 150:
        convs, shapes = draw(rng, precision)
        if len(convs) < 2:
            continue
        tried += 1
        x = random(shapes[0], np.float32, tried)
        expected = one_by_one(convs, x)
        bands = InBands(convs, x.shape, int(rng.integers(1, 40_000)))
        for _ in range(2):  # the second time over what the first has left
            out = np.full(expected.shape, np.nan, np.float32)
            bands.run(x, out)
            if precision == "exact":
                np.testing.assert_array_equal(out, expected)
            else:
                scale = abs(expected).max()
                np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-5 * scale)


def test_every_row_is_computed_once():
    conv = FusedConv(random((3, 3, 8, 8), np.float32), padding="SAME")
    bands = InBands([conv] * 4, (1, 200, 16, 8), 4096)
    for stage in range(4):
        rows = [c.resolved for c in bands._calls if c.stage == stage]
        heights = [c.target.stop - c.target.start for c in bands._calls if c.stage == stage]
        assert sum(heights) == 200
        assert len(rows) > 10


def test_bands_take_the_memory_that_they_name():
    conv = FusedConv(random((3, 3, 16, 16), np.float32), padding="SAME", precision="exact")
    shape = (1, 400, 50, 16)
    sizes = [InBands([conv, conv], shape, most).workspace_bytes for most in (1 << 20, 1 << 18)]
    whole = 400 * 50 * 16 * 4
    kernel = conv.workspace(shape)
    assert all(later < earlier for earlier, later in pairwise([whole + kernel, *sizes]))
    assert sizes[0] <= (1 << 20) * 1.1 + kernel

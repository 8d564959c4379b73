"""The cases that every operation is run through: shapes, windows, strides, padding, odd sizes."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

SAME, VALID = "SAME", "VALID"


@dataclass(frozen=True)
class Conv:
    shape: tuple[int, int, int, int]  # N, H, W, C
    filters: tuple[int, int, int, int]  # kh, kw, C / groups, K
    strides: tuple[int, int] = (1, 1)
    padding: Any = SAME
    dilations: tuple[int, int] = (1, 1)

    @property
    def options(self) -> dict[str, Any]:
        return {"strides": self.strides, "padding": self.padding, "dilations": self.dilations}


@dataclass(frozen=True)
class Pool:
    window: tuple[int, ...] = (2, 2)
    strides: tuple[int, ...] = (2, 2)
    padding: Any = SAME
    dilations: tuple[int, ...] | None = None
    flags: dict[str, bool] = field(default_factory=dict)

    @property
    def options(self) -> dict[str, Any]:
        return {
            "window_shape": self.window,
            "strides": self.strides,
            "padding": self.padding,
            "dilations": self.dilations,
            **self.flags,
        }


CONVS = {
    # gray and few filters: lanes hold pixels
    "gray 3x3": Conv((1, 61, 83, 1), (3, 3, 1, 1)),
    "gray 3x3 even": Conv((1, 64, 96, 1), (3, 3, 1, 1)),
    "gray 3x3 wide": Conv((1, 9, 700, 1), (3, 3, 1, 1)),
    "gray 3x3 tall": Conv((1, 500, 5, 1), (3, 3, 1, 1)),
    "gray 3x3 valid": Conv((2, 37, 41, 1), (3, 3, 1, 1), padding=VALID),
    "gray 5x5": Conv((1, 45, 77, 1), (5, 5, 1, 1)),
    "gray 5x5 explicit": Conv((1, 33, 70, 1), (5, 5, 1, 1), padding=((3, 0), (1, 4))),
    "gray 2x4": Conv((1, 29, 31, 1), (2, 4, 1, 1)),
    "gray 1x1": Conv((1, 13, 17, 1), (1, 1, 1, 1)),
    "gray 11x1": Conv((1, 40, 19, 1), (11, 1, 1, 1)),
    "gray stride 2": Conv((1, 53, 67, 1), (3, 3, 1, 1), strides=(2, 2)),
    "gray stride 3x1": Conv((1, 50, 40, 1), (5, 5, 1, 1), strides=(3, 1)),
    "gray stride over window": Conv((1, 30, 90, 1), (2, 2, 1, 1), strides=(5, 4), padding=VALID),
    "gray dilated": Conv((1, 41, 59, 1), (3, 3, 1, 1), dilations=(2, 3)),
    "gray dilated stride": Conv((1, 41, 59, 1), (3, 3, 1, 1), strides=(2, 2), dilations=(3, 2)),
    "gray to 3": Conv((1, 31, 47, 1), (3, 3, 1, 3)),
    "gray to 7 (7x7)": Conv((1, 31, 47, 1), (7, 7, 1, 7)),
    "rgb 3x3": Conv((1, 57, 71, 3), (3, 3, 3, 1)),
    "rgb 5x5": Conv((2, 33, 40, 3), (5, 5, 3, 1), padding=VALID),
    "rgb to 3": Conv((1, 40, 36, 3), (3, 3, 3, 3)),
    "5 channels to 2, 2x3": Conv((2, 19, 23, 5), (2, 3, 5, 2)),
    "one pixel": Conv((1, 1, 1, 1), (1, 1, 1, 1)),
    "one pixel 3x3": Conv((1, 1, 1, 2), (3, 3, 2, 1)),
    "one row": Conv((1, 1, 50, 1), (3, 3, 1, 1)),
    "filter as large as image": Conv((1, 7, 9, 2), (7, 9, 2, 3), padding=VALID),
    # many filters: lanes hold filters where channels come last
    "rgb to 64": Conv((1, 21, 27, 3), (3, 3, 3, 64)),
    "rgb to 40 stride 2": Conv((1, 33, 29, 3), (7, 7, 3, 40), strides=(2, 2)),
    "17 to 19": Conv((2, 11, 13, 17), (3, 3, 17, 19)),
    "32 to 33 dilated": Conv((1, 15, 14, 32), (3, 3, 32, 33), dilations=(2, 2)),
    "1x1 64 to 48": Conv((1, 9, 10, 64), (1, 1, 64, 48)),
    "explicit, many": Conv((1, 10, 12, 8), (3, 2, 8, 24), padding=((0, 0), (2, 1), (0, 3), (0, 0))),
    # groups
    "2 groups": Conv((1, 14, 15, 6), (3, 3, 3, 8)),
    "2 groups of many": Conv((1, 14, 15, 8), (3, 3, 4, 40)),
    "depthwise": Conv((1, 16, 21, 5), (3, 3, 1, 5)),
    "depthwise x2, stride 2": Conv((2, 16, 21, 4), (5, 5, 1, 8), strides=(2, 2)),
}

POOLS = {
    "2x2/2": Pool(),
    "2x2/2 valid": Pool(padding=VALID),
    "3x3/2": Pool((3, 3), (2, 2)),
    "3x3/2 valid": Pool((3, 3), (2, 2), VALID),
    "3x3/1": Pool((3, 3), (1, 1)),
    "2x3/1x2": Pool((2, 3), (1, 2)),
    "1x1/1": Pool((1, 1), (1, 1)),
    "1x1/2": Pool((1, 1), (2, 2)),
    "4x4/4": Pool((4, 4), (4, 4)),
    "3x2/5x3 stride over window": Pool((3, 2), (5, 3), VALID),
    "7x5/3x2": Pool((7, 5), (3, 2)),
    "13x13/1": Pool((13, 13), (1, 1)),
    "3x3/2 explicit": Pool((3, 3), (2, 2), ((1, 1), (0, 2))),
    "3x3/2 dilated": Pool((3, 3), (2, 2), VALID, dilations=(2, 2)),
    "2x2/1 dilated": Pool((2, 2), (1, 1), SAME, dilations=(3, 2)),
    "3x3/2 ceil": Pool((3, 3), (2, 2), ((1, 1), (1, 1)), flags={"ceil_mode": True}),
    "2x2/3 ceil": Pool((2, 2), (3, 3), VALID, flags={"ceil_mode": True}),
    "3x3/2 include pad": Pool((3, 3), (2, 2), ((1, 1), (1, 1)), flags={"count_include_pad": True}),
    "2x4/2 ceil include pad": Pool(
        (2, 4), (2, 2), ((1, 1), (2, 2)), flags={"ceil_mode": True, "count_include_pad": True}
    ),
}

POOL_SHAPES = [
    (1, 37, 41, 1),
    (1, 64, 600, 1),
    (2, 21, 23, 3),
    (1, 17, 16, 20),
    (1, 15, 18, 64),
    (3, 14, 13, 17),
]

# What extract() pools with; some border its windows on padding, some skip or share rows.
EXTRACT_POOLS = [
    "2x2/2",
    "2x2/2 valid",
    "3x3/2",
    "3x3/1",
    "2x3/1x2",
    "3x2/5x3 stride over window",
    "3x3/2 explicit",
]


def fits(pool: Pool, sizes: tuple[int, int]) -> bool:
    """Whether an unpadded pool has room in maps of this size."""
    dilations = pool.dilations or (1, 1)
    return all(
        pool.padding == SAME or (window - 1) * dilation + 1 <= size
        for window, dilation, size in zip(pool.window, dilations, sizes, strict=True)
    )


def random(shape: tuple[int, ...], dtype: Any = np.float32, seed: int = 0) -> np.ndarray:
    """Numbers of both signs with some exact zeros, as images and maps have them."""
    generator = np.random.default_rng([seed, *shape])
    values = generator.standard_normal(shape)
    values[generator.random(shape) < 0.05] = 0
    return values.astype(dtype)

"""The work that is measured: one table, one row each. Add a row here and every peer runs it."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

EDGE = ((-1.0, -1.0, -1.0), (-1.0, 8.0, -1.0), (-1.0, -1.0, -1.0))


@dataclass(frozen=True)
class Workload:
    """Filter, detect and condense: one image, one kernel, SAME padding, no bias, float32.

    `operation` names the method of a `Peer` that does it; a peer without it is reported as such.
    """

    name: str
    description: dict[str, str]
    """For the reader, by language: ``en`` and ``zh``."""
    image_shape: tuple[int, int, int, int]
    """(N, H, W, C)."""
    kernel_shape: tuple[int, int, int, int]
    """(kh, kw, C, K)."""
    window: int = 2
    stride: int = 2
    """Of the pooling window; the filter moves by one pixel."""
    operation: str = "extract"
    informational: bool = False
    """Measured and shown, but nothing is promised about it."""
    kernel_values: tuple[tuple[float, ...], ...] | None = field(default=None, repr=False)
    """The values of a gray kernel; None draws them."""

    @property
    def output_shape(self) -> tuple[int, int, int, int]:
        """(N, H', W', K)."""
        n, height, width, _ = self.image_shape
        return n, -(-height // self.stride), -(-width // self.stride), self.kernel_shape[3]

    @property
    def bytes_moved(self) -> int:
        """Read the image once, write the answer once: no implementation can move less."""
        return 4 * (int(np.prod(self.image_shape)) + int(np.prod(self.output_shape)))

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of the direct convolution."""
        n, height, width, _ = self.image_shape
        return n * height * width * int(np.prod(self.kernel_shape))

    def draw(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the image in [0, 1] and the kernel, the same ones at every call."""
        rng = np.random.default_rng(2024)
        image = rng.random(self.image_shape, dtype=np.float32)
        if self.kernel_values is not None:
            kernel = np.array(self.kernel_values, np.float32).reshape(self.kernel_shape)
        else:
            taps = int(np.prod(self.kernel_shape[:3]))
            kernel = rng.standard_normal(self.kernel_shape, dtype=np.float32) / np.sqrt(taps)
            kernel = kernel.astype(np.float32)
        return image, kernel


ROWS = (
    Workload(
        "P1",
        {"en": "gray 4096², 3×3, 2×2 max", "zh": "灰度 4096²，3×3，2×2 最大池化"},
        (1, 4096, 4096, 1),
        (3, 3, 1, 1),
        kernel_values=EDGE,
    ),
    Workload(
        "P2",
        {"en": "gray 400², 3×3, 2×2 max", "zh": "灰度 400²，3×3，2×2 最大池化"},
        (1, 400, 400, 1),
        (3, 3, 1, 1),
        kernel_values=EDGE,
    ),
    Workload(
        "P1-rgb",
        {
            "en": "RGB 1920×1080 → 1 map, 3×3, 2×2 max",
            "zh": "RGB 1920×1080 → 1 张特征图，3×3，2×2 最大池化",
        },
        (1, 1080, 1920, 3),
        (3, 3, 3, 1),
        informational=True,
    ),
    Workload(
        "P1-5x5",
        {"en": "gray 4096², 5×5, 3×3/2 max", "zh": "灰度 4096²，5×5，3×3/2 最大池化"},
        (1, 4096, 4096, 1),
        (5, 5, 1, 1),
        window=3,
        informational=True,
    ),
    Workload(
        "P6",
        {
            "en": "RGB 1920×1080 → 64 maps, 3×3, 2×2 max",
            "zh": "RGB 1920×1080 → 64 张特征图，3×3，2×2 最大池化",
        },
        (1, 1080, 1920, 3),
        (3, 3, 3, 64),
        informational=True,
    ),
)


def select(names: list[str] | None) -> list[Workload]:
    """Return the rows of these names, in the table's order; all of them for None."""
    if names is None:
        return list(ROWS)
    unknown = set(names) - {row.name for row in ROWS}
    if unknown:
        known = " ".join(row.name for row in ROWS)
        raise ValueError(f"no row is named {' '.join(sorted(unknown))}; the rows are {known}")
    return [row for row in ROWS if row.name in names]

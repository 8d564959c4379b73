"""The work that is measured: one table, one row each. Add a row here and every peer runs it."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

EDGE = ((-1.0, -1.0, -1.0), (-1.0, 8.0, -1.0), (-1.0, -1.0, -1.0))

Pads = tuple[tuple[int, int], ...]
"""Cells of padding before and after, for each spatial axis."""


def same_padding(size: int, window: int, stride: int) -> tuple[int, int]:
    """Return the "SAME" padding before and after: TensorFlow's rule, the odd pixel after."""
    total = max((-(-size // stride) - 1) * stride + window - size, 0)
    return total // 2, total - total // 2


@dataclass(frozen=True)
class Work:
    """One row: arrays that are drawn, an operation on them, and how much has to be moved.

    `operation` names the method of a `Peer` that does it, called with the work and what `draw`
    returns; a peer without it is reported as such. It is also the row's group in reports.
    """

    operation: ClassVar[str]
    name: str
    _: dataclasses.KW_ONLY
    informational: bool = False
    """Measured and shown, but nothing is promised about it."""
    report: str | None = None
    """The public report of a slow library that the row is taken from: ``owner/repository#number``.

    A number alone is of a repository named like its owner: ``pytorch#28733``.
    """
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Peers that are not run, by key, and why."""

    @property
    def description(self) -> dict[str, str]:
        """For the reader, by language: ``en`` and ``zh``."""
        raise NotImplementedError

    @property
    def dtype(self) -> str:
        """The type of every array."""
        raise NotImplementedError

    @property
    def bytes_moved(self) -> int:
        """Read what is given once, write the answer once: no implementation can move less."""
        raise NotImplementedError

    @property
    def multiply_adds(self) -> int | None:
        """Multiply-adds of the direct computation; None where it has none to speak of."""
        return None

    @property
    def link(self) -> str | None:
        """Where the public report is."""
        if self.report is None:
            return None
        repository, _, number = self.report.partition("#")
        return f"https://github.com/{REPOSITORIES[repository]}/issues/{number}"

    def draw(self) -> tuple[NDArray[Any], ...]:
        """Return the arrays to work on, the same ones at every call."""
        raise NotImplementedError

    def describe(self) -> dict[str, Any]:
        """Return what a kept run says about the work."""
        own = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.repr}
        del own["name"]
        return own | {
            "operation": self.operation,
            "description": self.description,
            "dtype": self.dtype,
            "link": self.link,
            "multiply_adds": self.multiply_adds,
        }


REPOSITORIES = {
    "pytorch": "pytorch/pytorch",
    "tensorflow": "tensorflow/tensorflow",
    "onnxruntime": "microsoft/onnxruntime",
    "oneDNN": "uxlfoundation/oneDNN",
}
"""Where the reports are."""


@dataclass(frozen=True)
class ImageWork(Work):
    """Work on a batch of images, float32, that is described in words."""

    words: dict[str, str] = field(repr=False)
    """The description."""
    image_shape: tuple[int, int, int, int]
    """(N, H, W, C)."""

    @property
    def description(self) -> dict[str, str]:
        """What was given as `words`."""
        return self.words

    @property
    def dtype(self) -> str:
        """Always float32."""
        return "float32"


@dataclass(frozen=True)
class Extraction(ImageWork):
    """Filter, detect and condense: one image, one kernel, SAME padding, no bias, float32."""

    operation = "extract"
    kernel_shape: tuple[int, int, int, int]
    """(kh, kw, C, K)."""
    window: int = 2
    stride: int = 2
    """Of the pooling window; the filter moves by one pixel."""
    kernel_values: tuple[tuple[float, ...], ...] | None = field(default=None, repr=False)
    """The values of a gray kernel; None draws them."""

    @property
    def output_shape(self) -> tuple[int, int, int, int]:
        """(N, H', W', K)."""
        n, height, width, _ = self.image_shape
        return n, -(-height // self.stride), -(-width // self.stride), self.kernel_shape[3]

    @property
    def bytes_moved(self) -> int:
        """The image and the answer."""
        return 4 * (math.prod(self.image_shape) + math.prod(self.output_shape))

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of the direct convolution."""
        n, height, width, _ = self.image_shape
        return n * height * width * math.prod(self.kernel_shape)

    def draw(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the image in [0, 1] and the kernel."""
        rng = np.random.default_rng(2024)
        image = rng.random(self.image_shape, dtype=np.float32)
        if self.kernel_values is not None:
            kernel = np.array(self.kernel_values, np.float32).reshape(self.kernel_shape)
        else:
            taps = int(np.prod(self.kernel_shape[:3]))
            kernel = rng.standard_normal(self.kernel_shape, dtype=np.float32) / np.sqrt(taps)
            kernel = kernel.astype(np.float32)
        return image, kernel


@dataclass(frozen=True)
class Pooling(Work):
    """The maximum, mean or 2-norm of windows; padding never wins and never counts."""

    operation = "pool"
    shape: tuple[int, ...]
    """Of the input, in the order of `layout`: as it lies in memory, without gaps."""
    window: tuple[int, ...]
    strides: tuple[int, ...]
    padding: str | Pads = "VALID"
    """``"SAME"``, ``"VALID"`` or pairs."""
    kind: str = "MAX"
    """``"MAX"``, ``"AVG"`` or ``"LP"`` (the 2-norm)."""
    layout: str = "NCHW"
    """Of the input and of the answer: with the channels second or last."""
    number: str = "float32"
    """The dtype."""
    dilations: tuple[int, ...] | None = None
    """None: the taps of a window lie side by side."""

    @property
    def description(self) -> dict[str, str]:
        """The kind, the window over its stride, the padding, the shape and its layout."""
        window = "×".join(map(str, self.window))
        steps = "×".join(map(str, self.strides if len(set(self.strides)) > 1 else self.strides[:1]))
        text = f"{window}/{steps}"
        if self.dilations:
            text += f" *{self.dilations[0]}"
        pad = {"VALID": "", "SAME": " SAME"}.get(str(self.padding), f" pad {self.pads[0][0]}")
        shape = "×".join(map(str, self.shape))
        number = "" if self.number == "float32" else f" {self.number}"
        what = f"{shape} {self.layout}{number}"
        return {
            language: f"{_KINDS[language][self.kind]} {text}{pad}{comma}{what}"
            for language, comma in (("en", ", "), ("zh", "，"))
        }

    @property
    def dtype(self) -> str:
        """The dtype of input and answer."""
        return self.number

    @property
    def numpy_dtype(self) -> np.dtype[Any]:
        """The dtype, for arrays; bfloat16 is that of ml_dtypes."""
        if self.number == "bfloat16":
            import ml_dtypes

            return np.dtype(ml_dtypes.bfloat16)
        return np.dtype(self.number)

    @property
    def dims(self) -> int:
        """How many spatial axes there are."""
        return len(self.window)

    @property
    def channels_first(self) -> bool:
        """Whether the channels are the second axis."""
        return self.layout[1] == "C"

    @property
    def spatial_axes(self) -> tuple[int, ...]:
        """Where they are in `shape`."""
        first = 2 if self.channels_first else 1
        return tuple(range(first, first + self.dims))

    @property
    def sizes(self) -> tuple[int, ...]:
        """Of the spatial axes."""
        return tuple(self.shape[axis] for axis in self.spatial_axes)

    @property
    def channels(self) -> int:
        """How many there are."""
        return self.shape[1 if self.channels_first else -1]

    @property
    def steps(self) -> tuple[int, ...]:
        """From tap to tap."""
        return self.dilations or (1,) * self.dims

    @property
    def extents(self) -> tuple[int, ...]:
        """Inputs from the first to the last tap of one window."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.window, self.steps, strict=True))

    @property
    def pads(self) -> Pads:
        """The padding, resolved."""
        if self.padding == "VALID":
            return ((0, 0),) * self.dims
        if self.padding == "SAME":
            axes = zip(self.sizes, self.extents, self.strides, strict=True)
            return tuple(same_padding(*axis) for axis in axes)
        assert not isinstance(self.padding, str), self.padding
        return self.padding

    @property
    def symmetric(self) -> bool:
        """Whether each axis has as much padding before as after."""
        return all(before == after for before, after in self.pads)

    @property
    def padded(self) -> bool:
        """Whether there is any padding."""
        return any(before or after for before, after in self.pads)

    @property
    def side_by_side(self) -> bool:
        """Whether the windows divide the input: no overlap, no gap, no rest, no padding."""
        whole = all(size % k == 0 for size, k in zip(self.sizes, self.window, strict=True))
        return self.window == self.strides and not self.padded and not self.dilations and whole

    @property
    def whole(self) -> bool:
        """Whether one window covers everything."""
        return self.window == self.sizes and not self.padded and not self.dilations

    @property
    def output_sizes(self) -> tuple[int, ...]:
        """Of the spatial axes of the answer."""
        axes = zip(self.sizes, self.pads, self.extents, self.strides, strict=True)
        return tuple((size + sum(pad) - extent) // step + 1 for size, pad, extent, step in axes)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Of the answer."""
        n, channels, sizes = self.shape[0], self.channels, self.output_sizes
        return (n, channels, *sizes) if self.channels_first else (n, *sizes, channels)

    @property
    def bytes_moved(self) -> int:
        """The input and the answer."""
        return self.numpy_dtype.itemsize * (math.prod(self.shape) + math.prod(self.output_shape))

    def draw(self) -> tuple[NDArray[Any], ...]:
        """Return the input: normal, so that a zero of padding would win somewhere; or any bytes."""
        return (_numbers(self.shape, self.numpy_dtype),)


@dataclass(frozen=True)
class PoolingGradient(Pooling):
    """The way back: from the gradient of the answer to that of the input.

    What the way there may keep (winners, the input, the answer) is made before the clock starts.
    It is not in `bytes_moved` either: what it is, and how large, is each library's own choice.
    """

    operation = "pool_grad"

    def draw(self) -> tuple[NDArray[Any], ...]:
        """Return the input, whose windows have no ties, and the gradient of the answer."""
        n, *rest = self.shape
        size = math.prod(rest)
        if size > 1 << 24:
            raise ValueError(f"{self.name}: float32 cannot hold {size} different numbers evenly")
        image = np.random.default_rng(2024).permutation(size).astype(np.float32)
        batch = np.stack([np.roll(image, 7919 * index) for index in range(n)])
        return batch.reshape(self.shape), _numbers(self.output_shape, self.numpy_dtype)


@dataclass(frozen=True)
class Stage:
    """A convolution with bias and ReLU, padded by half a filter; then, perhaps, a max pool."""

    filters: int
    size: int = 3
    stride: int = 1
    pool: int = 0
    """The window, 0 for none. It moves by two; a window of three is padded by one."""

    @property
    def pad(self) -> int:
        """Zeros on every side of the image."""
        return self.size // 2

    @property
    def pool_pad(self) -> int:
        """Cells on every side of the map."""
        return self.pool // 2 if self.pool % 2 else 0

    def sizes(self, size: int) -> tuple[int, int]:
        """Return how large an axis is after the convolution and after the pool."""
        filtered = (size + 2 * self.pad - self.size) // self.stride + 1
        if not self.pool:
            return filtered, filtered
        return filtered, (filtered + 2 * self.pool_pad - self.pool) // 2 + 1


@dataclass(frozen=True)
class Base(ImageWork):
    """The base of a convnet, or a part of it: stages one after the other, float32.

    Weights are drawn so that maps neither grow nor fade; each library packs them before the clock
    starts.
    """

    operation = "base"
    stages: tuple[Stage, ...]

    def describe(self) -> dict[str, Any]:
        """Return what a kept run says about the work: of the stages, their numbers."""
        return super().describe() | {"stages": [dataclasses.asdict(stage) for stage in self.stages]}

    @property
    def shapes(self) -> list[tuple[int, int, int, int]]:
        """Of the image and of what each stage gives, (N, H, W, C)."""
        shapes = [self.image_shape]
        for stage in self.stages:
            n, height, width, _ = shapes[-1]
            shapes.append((n, stage.sizes(height)[1], stage.sizes(width)[1], stage.filters))
        return shapes

    @property
    def weights(self) -> int:
        """Numbers of all kernels and biases."""
        return sum(
            stage.filters * (stage.size**2 * shape[3] + 1)
            for stage, shape in zip(self.stages, self.shapes, strict=False)
        )

    @property
    def bytes_moved(self) -> int:
        """The image, the weights and the answer."""
        return 4 * (math.prod(self.image_shape) + self.weights + math.prod(self.shapes[-1]))

    @property
    def multiply_adds_of_stages(self) -> list[int]:
        """Multiply-adds of the direct computation of each convolution."""
        return [
            n * stage.sizes(height)[0] * stage.sizes(width)[0] * stage.filters
            * stage.size**2 * channels
            for stage, (n, height, width, channels) in zip(self.stages, self.shapes, strict=False)
        ]  # fmt: skip

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of the direct computation."""
        return sum(self.multiply_adds_of_stages)

    def draw(self) -> tuple[NDArray[np.float32], ...]:
        """Return the image in [0, 1), and of each stage the kernel (kh, kw, C, K) and the bias."""
        rng = np.random.default_rng(2024)
        arrays = [rng.random(self.image_shape, dtype=np.float32)]
        for stage, (*_, channels) in zip(self.stages, self.shapes, strict=False):
            shape = (stage.size, stage.size, channels, stage.filters)
            kernel = rng.standard_normal(shape, dtype=np.float32)
            arrays.append(kernel * np.float32(np.sqrt(2 / math.prod(shape[:3]))))
            arrays.append(0.1 * rng.standard_normal(stage.filters, dtype=np.float32))
        return tuple(array.astype(np.float32) for array in arrays)


@dataclass(frozen=True)
class TrainingStep(Base):
    """Forwards, backwards to all weights, and a step of stochastic gradient descent.

    The answer is the gradients of the weights, one behind the other. The step has a rate of 0, so
    that every call does the same work.
    """

    operation = "train"

    @property
    def bytes_moved(self) -> int:
        """The image, the gradient of the answer, the weights and their gradients."""
        return super().bytes_moved + 4 * self.weights

    @property
    def multiply_adds(self) -> int:
        """Those of the way there, and as many for each of two gradients; the image gets none."""
        first, *others = self.multiply_adds_of_stages
        return 2 * first + 3 * sum(others)

    def draw(self) -> tuple[NDArray[np.float32], ...]:
        """Return what `Base` draws, and last the gradient of the answer."""
        gradient = _numbers(self.shapes[-1], np.dtype(np.float32))
        return *super().draw(), gradient


@dataclass(frozen=True)
class PoolingStep(PoolingGradient):
    """The way there and the way back, by a layer that trains."""

    operation = "pool_train"


_KINDS = {
    "en": {"MAX": "max", "AVG": "average", "LP": "2-norm"},
    "zh": {"MAX": "最大", "AVG": "平均", "LP": "2-范数"},
}
_DRAWN = 4_194_301  # prime: rows of an array that repeats them do not line up


def _numbers(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    rng = np.random.default_rng(2024)
    count = min(_DRAWN, math.prod(shape))
    if dtype.kind == "u":
        drawn = rng.integers(0, np.iinfo(dtype).max, count, dtype, endpoint=True)
    else:
        drawn = rng.standard_normal(count, dtype=np.float32).astype(dtype)
    return np.resize(drawn, shape)


EXTRACTIONS = (
    Extraction(
        "P1",
        {"en": "gray 4096², 3×3, 2×2 max", "zh": "灰度 4096²，3×3，2×2 最大池化"},
        (1, 4096, 4096, 1),
        (3, 3, 1, 1),
        kernel_values=EDGE,
    ),
    Extraction(
        "P2",
        {"en": "gray 400², 3×3, 2×2 max", "zh": "灰度 400²，3×3，2×2 最大池化"},
        (1, 400, 400, 1),
        (3, 3, 1, 1),
        kernel_values=EDGE,
    ),
    Extraction(
        "P1-rgb",
        {
            "en": "RGB 1920×1080 → 1 map, 3×3, 2×2 max",
            "zh": "RGB 1920×1080 → 1 张特征图，3×3，2×2 最大池化",
        },
        (1, 1080, 1920, 3),
        (3, 3, 3, 1),
        informational=True,
    ),
    Extraction(
        "P1-5x5",
        {"en": "gray 4096², 5×5, 3×3/2 max", "zh": "灰度 4096²，5×5，3×3/2 最大池化"},
        (1, 4096, 4096, 1),
        (5, 5, 1, 1),
        window=3,
        informational=True,
    ),
)

_AREA = "its time grows with the window's area: minutes here"
_DIRECT = dict.fromkeys(("torch", "torch_channels_last", "tensorflow"), _AREA)


def _pool(
    name: str,
    shape: tuple[int, ...],
    window: int,
    stride: int,
    padding: str | int = "VALID",
    *,
    layout: str = "NCHW",
    work: type[Pooling] = Pooling,
    **more: Any,
) -> Pooling:
    """Return a row with the same window and stride along every axis; `padding` may be a number."""
    dims = len(shape) - 2
    pads = padding if isinstance(padding, str) else ((padding, padding),) * dims
    return work(name, shape, (window,) * dims, (stride,) * dims, pads, layout=layout, **more)


_MAPS, _MAPS_LAST = (32, 64, 112, 112), (32, 112, 112, 64)
_PLANES = (1, 16, 512, 512)

POOLINGS = (
    _pool("P3", (1, 16, 3000, 2000), 3, 2, report="pytorch#28733"),
    _pool("P4", _MAPS, 2, 2),
    _pool("P4-nhwc", _MAPS_LAST, 2, 2, layout="NHWC"),
    _pool("P4-u8", _MAPS, 2, 2, number="uint8"),
    _pool("P4-bf16", _MAPS, 2, 2, number="bfloat16"),
    _pool("P4-avg", _MAPS, 2, 2, kind="AVG"),
    _pool("P4-lp", _MAPS, 2, 2, kind="LP", informational=True),
    _pool("P5", _PLANES, 31, 1, "SAME"),
    _pool("P5-3", _PLANES, 3, 1, "SAME"),
    _pool("P5-101", _PLANES, 101, 1, "SAME", left_out=_DIRECT),
    _pool("P5-u8", _PLANES, 31, 1, "SAME", number="uint8"),
    _pool("P5-avg", _PLANES, 31, 1, "SAME", kind="AVG"),
    _pool("resnet", (10, 64, 112, 112), 3, 2, 1, report="pytorch#51393"),
    _pool("resnet-nhwc", (10, 112, 112, 64), 3, 2, 1, layout="NHWC", report="pytorch#51393"),
    # The report has a batch of 64: 840 MB.
    _pool("k3", (4, 80, 80, 512), 3, 1, "SAME", report="pytorch#123047"),
    _pool("k7", (4, 80, 80, 512), 7, 1, "SAME", report="pytorch#123047"),
    _pool("k15", (4, 80, 80, 512), 15, 1, "SAME", report="pytorch#123047"),
    # Channels last, windows side by side. The report gives no shape: this is a picture in 4K.
    _pool("rgb", (1, 2160, 3840, 3), 2, 2, layout="NHWC", report="tensorflow#57828"),
    # The reports have batches of 100 and 10: 1.6 GB each.
    _pool("1d-128", (10, 100, 40960), 128, 1, layout="NCW", report="onnxruntime#3548"),
    _pool(
        "64x64",
        (1, 10, 2048, 2048),
        64,
        1,
        report="onnxruntime#5254",
        left_out=_DIRECT | {"onnxruntime": _AREA},
    ),
    _pool("yolo", (1, 256, 20, 20), 13, 1, 6, report="oneDNN#1289"),
    # The report is twice as deep.
    _pool("3d", (1, 64, 16, 112, 112), 3, 2, 1, layout="NCDHW", report="pytorch#60618"),
    _pool("3d-ndhwc", (1, 16, 112, 112, 64), 3, 2, 1, layout="NDHWC", report="pytorch#60618"),
    _pool("9x9", (1, 1, 2048, 2048), 9, 1, "SAME"),
    _pool("9x9-u8", (1, 1, 2048, 2048), 9, 1, "SAME", number="uint8"),
    _pool("5x5-u8", (1, 1, 4096, 4096), 5, 1, "SAME", number="uint8"),
    _pool("blocks", (1, 1, 4096, 4096), 4, 4),
    _pool("blocks-avg", (1, 1, 4096, 4096), 4, 4, kind="AVG"),
    _pool("global", (32, 2048, 7, 7), 7, 7, kind="AVG"),
    _pool("global-nhwc", (32, 7, 7, 2048), 7, 7, kind="AVG", layout="NHWC"),
)

GRADIENTS = (
    _pool("B-max2", _MAPS, 2, 2, work=PoolingGradient),
    _pool("B-max2-nhwc", _MAPS_LAST, 2, 2, layout="NHWC", work=PoolingGradient),
    _pool("B-max3", _MAPS, 3, 2, 1, work=PoolingGradient),
    _pool("B-avg2", _MAPS, 2, 2, kind="AVG", work=PoolingGradient),
    _pool("B-avg3", _MAPS, 3, 1, "SAME", kind="AVG", work=PoolingGradient),
)


def _base(
    name: str,
    shape: tuple[int, int, int, int],
    stages: Sequence[Stage],
    en: str,
    zh: str,
    work: type[Base] = Base,
) -> Base:
    return work(name, {"en": en, "zh": zh}, shape, tuple(stages))


def _block(filters: int, convolutions: int) -> tuple[Stage, ...]:
    """Return a block of VGG: 3×3 convolutions, the last of them pooled 2×2."""
    return (Stage(filters),) * (convolutions - 1) + (Stage(filters, pool=2),)


_VGG16 = (*_block(64, 2), *_block(128, 2), *_block(256, 3), *_block(512, 3), *_block(512, 3))

BASES = (
    _base("P6", (1, 1080, 1920, 3), [Stage(64, pool=2)],
          "3×3, 3 → 64 maps on 1920×1080, 2×2 max",
          "3×3，3 → 64 张特征图，1920×1080，2×2 最大池化"),
    _base("P7", (1, 224, 224, 64), [Stage(64, pool=2)],
          "3×3, 64 → 64 maps on 224², 2×2 max", "3×3，64 → 64 张特征图，224²，2×2 最大池化"),
    _base("P8", (1, 224, 224, 3), _VGG16, "VGG16 base on 224²", "VGG16 卷积基，224²"),
    _base("P8-batch8", (8, 224, 224, 3), _VGG16,
          "VGG16 base on 8 × 224²", "VGG16 卷积基，8 × 224²"),
    _base("P8-32", (8, 32, 32, 3), _VGG16, "VGG16 base on 8 × 32²", "VGG16 卷积基，8 × 32²"),
    _base("vgg1", (1, 224, 224, 3), _block(64, 2), "VGG16 block 1", "VGG16 第 1 块"),
    _base("vgg1-1080p", (1, 1080, 1920, 3), _block(64, 2),
          "VGG16 block 1 on 1920×1080", "VGG16 第 1 块，1920×1080"),
    _base("vgg2", (1, 112, 112, 64), _block(128, 2), "VGG16 block 2", "VGG16 第 2 块"),
    _base("vgg3", (1, 56, 56, 128), _block(256, 3), "VGG16 block 3", "VGG16 第 3 块"),
    _base("vgg4", (1, 28, 28, 256), _block(512, 3), "VGG16 block 4", "VGG16 第 4 块"),
    _base("vgg5", (1, 14, 14, 512), _block(512, 3), "VGG16 block 5", "VGG16 第 5 块"),
    _base("stem", (1, 224, 224, 3), [Stage(64, 7, 2, pool=3)],
          "ResNet stem: 7×7/2, 3 → 64 maps on 224², 3×3/2 max",
          "ResNet 首层：7×7/2，3 → 64 张特征图，224²，3×3/2 最大池化"),
    _base("5x5", (1, 56, 56, 64), [Stage(64, 5)],
          "5×5, 64 → 64 maps on 56²", "5×5，64 → 64 张特征图，56²"),
    _base("1x1", (1, 56, 56, 256), [Stage(64, 1)],
          "1×1, 256 → 64 maps on 56²", "1×1，256 → 64 张特征图，56²"),
    _base("1x1-wide", (8, 28, 28, 128), [Stage(512, 1)],
          "1×1, 128 → 512 maps on 8 × 28²", "1×1，128 → 512 张特征图，8 × 28²"),
)  # fmt: skip

STEPS = (
    _pool("T-max2", _MAPS, 2, 2, work=PoolingStep),
    _pool("T-max2-nhwc", _MAPS_LAST, 2, 2, layout="NHWC", work=PoolingStep),
    _pool("T-max3", _MAPS, 3, 2, 1, work=PoolingStep),
    _pool("T-avg2", _MAPS, 2, 2, kind="AVG", work=PoolingStep),
)

_SMALL_VGG = (*_block(32, 2), *_block(64, 2), *_block(128, 2))

TRAININGS = (
    _base("T-extract", (8, 224, 224, 3), [Stage(64, pool=2)],
          "3×3, 3 → 64 maps on 8 × 224², 2×2 max", "3×3，3 → 64 张特征图，8 × 224²，2×2 最大池化",
          work=TrainingStep),
    _base("T-vgg-32", (32, 32, 32, 3), _SMALL_VGG, "small VGG on 32 × 32²", "小型 VGG，32 × 32²",
          work=TrainingStep),
    _base("T-vgg-224", (4, 224, 224, 3), _SMALL_VGG, "small VGG on 4 × 224²", "小型 VGG，4 × 224²",
          work=TrainingStep),
)  # fmt: skip

ROWS: tuple[Work, ...] = EXTRACTIONS + BASES + POOLINGS + GRADIENTS + STEPS + TRAININGS
GROUPS = tuple(dict.fromkeys(row.operation for row in ROWS))
"""The operations: what ``--group`` takes."""


def select(names: list[str] | None, groups: list[str] | None = None) -> list[Work]:
    """Return the rows of these names and of these groups, in the table's order.

    All rows for None and None.
    """
    if names is None and groups is None:
        return list(ROWS)
    for what, asked, known in (
        ("row", names or (), [row.name for row in ROWS]),
        ("group", groups or (), GROUPS),
    ):
        if unknown := set(asked) - set(known):
            raise ValueError(
                f"no {what} is named {' '.join(sorted(unknown))}; the {what}s are {' '.join(known)}"
            )
    return [row for row in ROWS if row.name in (names or ()) or row.operation in (groups or ())]

"""PyTorch modules, traced and read: where their strides are, and what is known of each."""

from __future__ import annotations

import operator
from collections import Counter
from typing import Any, TypeAlias

from torch import fx, nn
from torch.nn import functional

from attar.repairing.kinds import Kind, behind
from attar.repairing.plan import IMAGE, Role, Step
from attar.repairing.torch_layers import DenseAvgPool2d, DenseMaxPool2d
from attar.repairing.wording import window_text

__all__ = ["Pair", "Strided", "free_name", "steps_of"]

Pair: TypeAlias = tuple[int, int]

_DETECT_MODULES = (
    nn.CELU, nn.ELU, nn.GELU, nn.Hardshrink, nn.Hardsigmoid, nn.Hardswish, nn.Hardtanh,
    nn.LeakyReLU, nn.LogSigmoid, nn.Mish, nn.PReLU, nn.ReLU, nn.ReLU6, nn.RReLU, nn.SELU, nn.SiLU,
    nn.Sigmoid, nn.Softplus, nn.Softshrink, nn.Softsign, nn.Tanh, nn.Tanhshrink, nn.Threshold,
)  # fmt: skip
_NORMALIZE_MODULES = (nn.BatchNorm2d, nn.Identity, nn.Dropout, nn.Dropout2d)
_VECTOR_MODULES = (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.Flatten, nn.Linear)
_REGRID_MODULES = (
    nn.ConvTranspose2d, nn.FractionalMaxPool2d, nn.MaxUnpool2d, nn.PixelShuffle, nn.PixelUnshuffle,
    nn.Upsample, nn.Unflatten,
)  # fmt: skip
_DETECT = {
    "celu", "clamp", "elu", "gelu", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "mish",
    "prelu", "relu", "relu6", "relu_", "selu", "sigmoid", "silu", "softplus", "softsign", "tanh",
}  # fmt: skip
_VECTOR = {
    "adaptive_avg_pool2d", "adaptive_max_pool2d", "amax", "dim", "flatten", "linear", "matmul",
    "mean", "shape", "size", "sum",
}  # fmt: skip
_REGRID = {
    "interpolate", "pixel_shuffle", "pixel_unshuffle", "reshape", "unflatten", "upsample", "view",
}  # fmt: skip
_OTHER_DIMS = (nn.Conv1d, nn.Conv3d, nn.MaxPool1d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool3d)
_LP = (nn.LPPool1d, nn.LPPool2d)


class Strided:
    """A call with a stride: a convolution or a pool, a module or a function."""

    def __init__(self, kind: str, module: Any, options: dict[str, Any]) -> None:
        self.kind, self.module = kind, module
        self.window: Pair = _pair(options["kernel_size"])
        stride = options.get("stride")
        self.stride = self.window if stride is None or stride == () else _pair(stride)
        padding = options.get("padding", 0)
        self.padding = (0, 0) if isinstance(padding, str) else _pair(padding)
        self.options = options

    @property
    def is_filter(self) -> bool:
        """Whether it is a convolution."""
        return self.kind == "Conv2d"

    @property
    def is_pixelwise(self) -> bool:
        """Whether it is one of 1 × 1 without padding."""
        return self.is_filter and self.window == (1, 1) and self.padding == (0, 0)

    def text(self, stride: Pair) -> str:
        """Name it with its window and this stride."""
        return window_text(self.kind, self.window, stride)

    def dense_text(self, kind: Kind) -> str:
        """Name it without its stride; empty where nothing of it is left."""
        if not self.is_filter and (kind.name == "average" or self._is_nothing()):
            return ""
        return self.text((1, 1))

    def _is_nothing(self) -> bool:
        return self.window == (1, 1) and self.padding == (0, 0)

    def why_left(self, kind: Kind, calls: int) -> str:
        """Say why the stride must stay; nothing where it need not."""
        options = self.options
        if self.is_filter:
            if calls > 1 and kind.name == "polyphase":
                return f"it is called {calls} times, and each call would choose a phase of its own"
            return "it is called as a function" if self.module is None else ""
        if self.kind == "AvgPool2d" and kind.name == "average":
            return "it is a mean already"
        if options.get("return_indices"):
            return "the places of its maxima are asked for"
        if _pair(options.get("dilation", 1)) != (1, 1):
            return "it is dilated"
        if self._counts_padding and self._rounds_up:
            return "it counts padding, and where it rounds up the padding is not known"
        return ""

    def take_out_stride(self, traced: fx.GraphModule, node: fx.Node, kind: Kind) -> None:
        """Change the call to one without a stride."""
        if self.is_filter:
            self.module.stride = (1, 1)
            return
        dense = self._dense(kind)
        if node.op == "call_function":
            name = free_name(traced, node.name)
            traced.add_submodule(name, dense)
            given = node.args[0] if node.args else node.kwargs["input"]
            node.op, node.target, node.args, node.kwargs = "call_module", name, (given,), {}
        else:
            dense.train(traced.get_submodule(str(node.target)).training)
            traced.set_submodule(str(node.target), dense)

    def _dense(self, kind: Kind) -> nn.Module:
        if kind.name == "average":
            return nn.AvgPool2d(
                self.window, self.stride, self.padding, self._rounds_up, count_include_pad=False
            )
        if self._is_nothing():
            return nn.Identity()
        (top, left), (bottom, right) = self.padding, (each[0] for each in self._behind(kind))
        windows = (self.window, (left, right, top, bottom), kind.wraps)
        if self.kind == "MaxPool2d":
            return DenseMaxPool2d(*windows)
        divisor = self.options.get("divisor_override")
        if divisor is None and self._counts_padding:
            divisor = self.window[0] * self.window[1]
        return DenseAvgPool2d(*windows, divisor)

    def surplus(self, kind: Kind) -> Pair:
        """Return how many rows and columns of the map no stride would count."""
        if self.is_filter or self._is_nothing():
            return (0, 0)
        (_, rows), (_, columns) = self._behind(kind)
        return rows, columns

    def _behind(self, kind: Kind) -> list[tuple[int, int]]:
        if self._counts_padding and not kind.wraps:
            return [(pad, 0) for pad in self.padding]
        return [
            behind(kind, size, step, (pad, pad), self._rounds_up)
            for size, step, pad in zip(self.window, self.stride, self.padding, strict=True)
        ]

    @property
    def _rounds_up(self) -> bool:
        return bool(self.options.get("ceil_mode", False))

    @property
    def _counts_padding(self) -> bool:
        """Whether it is a mean that counts padding, of which there is some."""
        counts = self.kind == "AvgPool2d" and self.options.get("count_include_pad", True)
        return bool(counts) and any(self.padding)


_POOL_ARGUMENTS = {
    "MaxPool2d": ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices"),
    "AvgPool2d": (
        "kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override",
    ),
}  # fmt: skip
# Those that a forward calls reach a trace as what chooses between them.
_POOL_FUNCTIONS = {
    "max_pool2d": "MaxPool2d",
    "boolean_dispatch": "MaxPool2d",
    "max_pool2d_with_indices": "MaxPool2d",
    "avg_pool2d": "AvgPool2d",
}


def _pair(value: Any) -> Pair:
    if isinstance(value, list | tuple):
        return int(value[0]), int(value[-1])
    return int(value), int(value)


def steps_of(
    traced: fx.GraphModule, kind: Kind
) -> tuple[list[fx.Node], list[Step], dict[int, Strided]]:
    """Write the calls down that depend on the image, and those that have a stride."""
    places: dict[fx.Node, int] = {}
    nodes: list[fx.Node] = []
    steps: list[Step] = []
    strided: dict[int, Strided] = {}
    calls = Counter(str(node.target) for node in traced.graph.nodes if node.op == "call_module")
    answering = {
        node for last in traced.graph.nodes if last.op == "output" for node in last.all_input_nodes
    }
    for node in traced.graph.nodes:
        if node.op == "placeholder":
            places[node] = IMAGE
        taken = tuple(dict.fromkeys(places[one] for one in node.all_input_nodes if one in places))
        if not taken or node.op == "output":
            continue
        places[node] = len(steps)
        module = traced.get_submodule(str(node.target)) if node.op == "call_module" else None
        name = str(node.target) if module is not None else node.name
        found = _strided_of(node, module)
        other = _why_other(node, module)
        if found is not None and found.stride != (1, 1):
            strided[len(steps)] = found
            step = Step(
                name, found.kind, taken, "stride", found.stride,
                is_filter=found.is_filter, is_pixelwise=found.is_pixelwise,
                left=found.why_left(kind, calls[name]),
                answers=node in answering,
            )  # fmt: skip
        elif other:
            stride, left = other
            text = type(module).__name__ if module is not None else "slice"
            strided[len(steps)] = Strided(text, module, {"kernel_size": 1, "stride": stride})
            step = Step(name, text, taken, "stride", stride, left=left)
        else:
            text = type(module).__name__ if module is not None else node.name
            step = Step(name, text, taken, _role(node, module), answers=node in answering)
        nodes.append(node)
        steps.append(step)
    return nodes, steps, strided


def _why_other(node: fx.Node, module: Any) -> tuple[Pair, str] | None:
    """Return the stride of what is not among what is replaced, and why; None where it has none."""
    if isinstance(module, (*_OTHER_DIMS, *_LP)):
        stride = module.stride or module.kernel_size
        most = max(stride) if isinstance(stride, tuple) else stride
        left = "it does not work along height and width"
        if isinstance(module, nn.LPPool2d):
            left = "a norm is not among what is replaced"
        return None if most == 1 else ((most, most), left)
    steps = _steps_of_slice(node)
    if steps == (1, 1):
        return None
    return steps, "it leaves places out as a slice, which is not among what is replaced"


def _steps_of_slice(node: fx.Node) -> Pair:
    """Return the strides of a slice of (N, C, H, W)."""
    if node.target is not operator.getitem or not isinstance(node.args[1], tuple):
        return 1, 1
    parts = [*node.args[1], slice(None), slice(None), slice(None), slice(None)][2:4]
    height, width = (
        part.step if isinstance(part, slice) and isinstance(part.step, int) else 1 for part in parts
    )
    return height, width


def _strided_of(node: fx.Node, module: Any) -> Strided | None:
    for kind, parent in (("Conv2d", nn.Conv2d), ("MaxPool2d", nn.MaxPool2d)):
        if isinstance(module, parent):
            return Strided(kind, module, vars(module))
    if isinstance(module, nn.AvgPool2d):
        return Strided("AvgPool2d", module, vars(module))
    if node.op != "call_function":
        return None
    name = getattr(node.target, "__name__", "")
    if name == "conv2d":
        stride = node.args[3] if len(node.args) > 3 else node.kwargs.get("stride", 1)
        return Strided("Conv2d", None, {"kernel_size": 1, "stride": stride})
    if name == "fn" or name in _POOL_FUNCTIONS:
        pool = _POOL_FUNCTIONS.get(name) or _dispatched(node.target)
        if pool is not None:
            options = dict(zip(_POOL_ARGUMENTS[pool], node.args[1:], strict=False))
            return Strided(pool, None, {**options, **node.kwargs})
    return None


def _dispatched(target: Any) -> str | None:
    """Tell a pool that returns the places of its maxima, or not, as it is asked."""
    return "MaxPool2d" if target is functional.max_pool2d else None


def _role(node: fx.Node, module: Any) -> Role:
    if module is not None:
        for kinds, role in _MODULE_ROLES:
            if isinstance(module, kinds):
                return role
        return "keep"
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    if node.target is operator.getitem:
        parts = node.args[1] if isinstance(node.args[1], tuple) else (node.args[1],)
        skips = any(isinstance(part, slice) and part.step not in (None, 1) for part in parts)
        return "regrid" if skips else "keep"
    if node.target is getattr:
        return "vector"
    for names, role in _FUNCTION_ROLES:
        if name in names:
            return role
    return "keep"


_MODULE_ROLES: tuple[tuple[tuple[type[nn.Module], ...], Role], ...] = (
    (_DETECT_MODULES, "detect"),
    (_NORMALIZE_MODULES, "normalize"),
    (_VECTOR_MODULES, "vector"),
    (_REGRID_MODULES, "regrid"),
)
_FUNCTION_ROLES: tuple[tuple[set[str], Role], ...] = (
    (_DETECT, "detect"),
    (_VECTOR, "vector"),
    (_REGRID, "regrid"),
)


def free_name(module: fx.GraphModule, wish: str) -> str:
    """Return this name, or with a number behind it if the module has it."""
    names = {name for name, _ in module.named_modules()}
    name, times = wish, 1
    while name in names or hasattr(module, name):
        times += 1
        name = f"{wish}_{times}"
    return name

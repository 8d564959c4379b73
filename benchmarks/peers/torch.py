"""PyTorch under inference_mode, its tensors contiguous or channels_last."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers import (
    Peer,
    Way,
    in_blocks,
    nchw_to_nhwc,
    to_channels_first,
    to_channels_last,
    torch_training,
)
from benchmarks.rows import (
    Base,
    Extraction,
    Pooling,
    PoolingGradient,
    PoolingStep,
    TrainingStep,
    same_padding,
)

MKLDNN_TAPS = 256
"""Of the largest window that is given to oneDNN: of 961 taps it took longer than PyTorch's own."""


class Torch(Peer):
    """Contiguous NCHW tensors."""

    name = "PyTorch"

    def load(self, threads: int) -> Mapping[str, str]:
        """Import torch and set its threads."""
        import torch

        torch.set_num_threads(threads)
        self.torch = torch
        return {"torch": torch.__version__}

    def extract(
        self, workload: Extraction, image: NDArray[np.float32], kernel: NDArray[np.float32]
    ) -> Mapping[str, Way]:
        """Run the three functions, the detection in place (less memory to move)."""
        torch, functional = self.torch, self.torch.nn.functional
        layout = self._layout()
        x = torch.from_numpy(image).permute(0, 3, 1, 2).contiguous(memory_format=layout)
        weight = torch.from_numpy(kernel).permute(3, 2, 0, 1).contiguous(memory_format=layout)
        margin = tuple(size // 2 for size in workload.kernel_shape[:2])
        condense = self._condense(workload)

        def three_steps() -> Any:
            with torch.inference_mode():
                return condense(functional.conv2d(x, weight, padding=margin).relu_())

        def detect_last() -> Any:
            # max and ReLU commute: the same numbers, and ReLU on a quarter of the map.
            with torch.inference_mode():
                return condense(functional.conv2d(x, weight, padding=margin)).relu_()

        def read(answer: Any) -> NDArray[Any]:
            return nchw_to_nhwc(answer.numpy())

        ways = {"relu_ in place": Way(three_steps, read)}
        if workload.stride == workload.window:
            ways["pool, then relu_"] = Way(detect_last, read)
        return ways

    def base(
        self, workload: Base, image: NDArray[np.float32], *weights: NDArray[np.float32]
    ) -> Mapping[str, Way]:
        """Run the modules; with channels first also as oneDNN packs them for inference."""
        torch, nn = self.torch, self.torch.nn
        modules: list[Any] = []
        for stage, kernel, bias in zip(workload.stages, weights[::2], weights[1::2], strict=True):
            channels = kernel.shape[2]
            conv = nn.Conv2d(channels, stage.filters, stage.size, stage.stride, stage.pad)
            with torch.no_grad():
                conv.weight.copy_(torch.from_numpy(kernel).permute(3, 2, 0, 1))
                conv.bias.copy_(torch.from_numpy(bias))
            modules += [conv, nn.ReLU(inplace=True)]
            if stage.pool:
                modules.append(nn.MaxPool2d(stage.pool, 2, stage.pool_pad))
        layout = self._layout()
        model = nn.Sequential(*modules).eval().to(memory_format=layout)
        x = torch.from_numpy(image).permute(0, 3, 1, 2).contiguous(memory_format=layout)

        def read(answer: Any) -> NDArray[Any]:
            return nchw_to_nhwc(answer.numpy())

        def way(model: Any, turn: Callable[[Any], Any], back: Callable[[Any], Any]) -> Way:
            def call() -> Any:
                with torch.inference_mode():
                    return back(model(turn(x)))

            return Way(call, read)

        ways = {"modules": way(model, lambda x: x, lambda y: y)}
        if self._is_first():
            from torch.utils import mkldnn

            packed = mkldnn.to_mkldnn(model)
            ways["to_mkldnn"] = way(packed, lambda x: x.to_mkldnn(), lambda y: y.to_dense())
        return ways

    def pool(self, workload: Pooling, x: NDArray[Any]) -> Mapping[str, Way]:
        """Pool in this peer's layout, to which the row's is converted, and back, inside the call.

        The peer whose layout is the row's may also reduce blocks, without a pool.
        """
        torch, lib = self.torch, self.torch.nn.functional
        given = self._tensor(workload, x)
        there, back = self._conversions(workload)
        calls: dict[str, Callable[[Any], Any]] = {}
        pooling = self._pooling(workload)
        calls["pool"] = lambda x: back(pooling(there(x)))
        at_home = self._is_first() == workload.channels_first
        if at_home and workload.side_by_side and workload.kind != "LP":
            shape, axes = in_blocks(workload)
            reduce = torch.amax if workload.kind == "MAX" else torch.mean
            to_row, from_row = self._orders(workload)

            def reduce_blocks(x: Any) -> Any:
                blocks = x.permute(to_row).view(shape)
                return reduce(blocks, axes).view(workload.output_shape).permute(from_row)

            calls["reduce blocks"] = reduce_blocks
        if at_home and workload.side_by_side and workload.kind == "MAX":
            calls["maximum of views"] = lambda x: self._maximum_of_views(workload, x)
        if workload.whole and workload.kind == "AVG":
            whole = getattr(lib, f"adaptive_avg_pool{workload.dims}d")
            calls["adaptive"] = lambda x: back(whole(there(x), 1))
        ways = {name: self._way(workload, given, call) for name, call in calls.items()}
        mkldnn = getattr(torch, f"mkldnn_max_pool{workload.dims}d", None)
        if at_home and workload.channels_first and workload.kind == "MAX" and mkldnn:
            ways |= self._mkldnn(workload, given, mkldnn)
        return ways

    def pool_grad(
        self, workload: PoolingGradient, x: NDArray[Any], gradient: NDArray[Any]
    ) -> Mapping[str, Way]:
        """Go back through a graph that is kept, or call the operation that does it."""
        torch, aten = self.torch, self.torch.ops.aten
        if workload.dims != 2 or workload.kind == "LP" or not self._takes(workload):
            raise NotImplementedError("written for maxima and means in two dimensions")
        there, back = self._conversions(workload)
        given = self._tensor(workload, gradient)
        kept = there(self._tensor(workload, x)).detach().requires_grad_()
        answer = self._pooling(workload)(kept)
        window, steps = list(workload.window), list(workload.strides)
        pads = [before for before, _ in workload.pads]

        def by_graph(gradient: Any) -> Any:
            (found,) = torch.autograd.grad(answer, kept, there(gradient), retain_graph=True)
            return back(found)

        if workload.kind == "AVG":

            def by_operation(gradient: Any) -> Any:
                return aten.avg_pool2d_backward.default(
                    gradient, kept, window, steps, pads, False, False, None
                )

        else:
            _, winners = torch.nn.functional.max_pool2d(
                kept.detach(), window, steps, pads, return_indices=True
            )

            def by_operation(gradient: Any) -> Any:
                return aten.max_pool2d_with_indices_backward.default(
                    gradient, kept, window, steps, pads, [1, 1], False, winners
                )

        def operation(gradient: Any) -> Any:
            with torch.no_grad():
                return back(by_operation(there(gradient)))

        read = self._reader(workload)
        return {
            "autograd.grad": Way(lambda: by_graph(given), read),
            "operation": Way(lambda: operation(given), read),
        }

    def train(self, workload: TrainingStep, *arrays: NDArray[np.float32]) -> Mapping[str, Way]:
        """Take a step with modules."""
        way = torch_training.step(workload, arrays, self._layout(), lambda model: model)
        return {"modules": way}

    def pool_train(
        self, workload: PoolingStep, x: NDArray[Any], gradient: NDArray[Any]
    ) -> Mapping[str, Way]:
        """Go there and back with a module; the peer whose layout is the row's."""
        own = self._is_first() == workload.channels_first
        way = torch_training.pool_step(workload, x, gradient, own, lambda layer: layer)
        return {"module": way}

    def _is_first(self) -> bool:
        """Whether this peer's own layout has the channels first."""
        return True

    def _format(self, workload: Pooling) -> Any:
        """Return this peer's memory format for tensors of the row."""
        return self.torch.contiguous_format

    def _tensor(self, workload: Pooling, x: NDArray[Any]) -> Any:
        """Return the array as a tensor (N, C, …) over the same memory."""
        torch = self.torch
        if workload.number == "bfloat16":
            tensor = torch.from_numpy(x.view(np.uint16)).view(torch.bfloat16)
        else:
            tensor = torch.from_numpy(x)
        return tensor.permute(self._orders(workload)[1])

    def _orders(self, workload: Pooling) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the orders of axes that lead from (N, C, …) to the row's layout, and back."""
        if workload.channels_first:
            return (same := tuple(range(workload.dims + 2))), same
        return to_channels_last(workload.dims), to_channels_first(workload.dims)

    def _conversions(self, workload: Pooling) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
        """Return what lays a tensor (N, C, …) out as this peer likes it, and as the row has it."""
        own = self._format(workload)
        to_row, from_row = self._orders(workload)
        return (
            lambda x: x.contiguous(memory_format=own),
            lambda x: x.permute(to_row).contiguous().permute(from_row),
        )

    def _takes(self, workload: Pooling) -> bool:
        """Whether its pools take this padding: on both sides, and half a window at most."""
        pairs = zip(workload.pads, workload.window, strict=True)
        return workload.symmetric and all(2 * before <= k for (before, _), k in pairs)

    def _pooling(self, workload: Pooling) -> Callable[[Any], Any]:
        """Return the pool of a tensor (N, C, …)."""
        lib, dims = self.torch.nn.functional, workload.dims
        window, steps = workload.window, workload.strides
        pads = tuple(before for before, _ in workload.pads)
        if workload.kind == "MAX":
            pool = getattr(lib, f"max_pool{dims}d")
            if self._takes(workload):
                return lambda x: pool(x, window, steps, pads, workload.steps)
            around = [cells for pair in reversed(workload.pads) for cells in pair]
            lowest = 0 if workload.number == "uint8" else float("-inf")
            return lambda x: pool(
                lib.pad(x, around, value=lowest), window, steps, 0, workload.steps
            )
        if workload.dilations:
            raise NotImplementedError("only its maximum has dilations")
        if workload.kind == "LP":
            if workload.padded:
                raise NotImplementedError("lp_pool has no padding")
            norm = getattr(lib, f"lp_pool{dims}d")
            return lambda x: norm(x, 2, window if dims > 1 else window[0], steps)
        if not self._takes(workload):
            raise NotImplementedError("its mean takes half a window of padding, on both sides")
        mean = getattr(lib, f"avg_pool{dims}d")
        return lambda x: mean(x, window, steps, pads, count_include_pad=False)

    def _maximum_of_views(self, workload: Pooling, x: Any) -> Any:
        """Return the maxima along one axis after the other, of every k-th row, column, …."""
        torch = self.torch
        for axis, k in enumerate(workload.window, 2):
            index = [slice(None)] * axis
            first, *others = (x[(*index, slice(i, None, k))] for i in range(k))
            for view in others:
                first = torch.maximum(first, view)
            x = first
        return self._conversions(workload)[1](x)

    def _mkldnn(self, workload: Pooling, given: Any, pool: Any) -> Mapping[str, Way]:
        """Call oneDNN's own pool, on a tensor of its kind that lies as the row says."""
        torch = self.torch
        if workload.number not in ("float32", "bfloat16") or not self._takes(workload):
            return {}
        if math.prod(workload.window) > MKLDNN_TAPS:
            return {}
        x = given.to_mkldnn()
        pads = [before for before, _ in workload.pads]

        def call() -> Any:
            with torch.inference_mode():
                return pool(x, workload.window, workload.strides, pads, workload.steps)

        read = self._reader(workload)
        return {"mkldnn": Way(call, lambda answer: read(answer.to_dense()))}

    def _way(self, workload: Pooling, given: Any, function: Callable[[Any], Any]) -> Way:
        def call() -> Any:
            with self.torch.inference_mode():
                return function(given)

        return Way(call, self._reader(workload))

    def _reader(self, workload: Pooling) -> Callable[[Any], NDArray[Any]]:
        to_row, _ = self._orders(workload)

        def read(answer: Any) -> NDArray[Any]:
            answer = answer.permute(to_row)
            if workload.number == "bfloat16":
                bits = answer.view(self.torch.uint16).numpy()
                return bits.view(workload.numpy_dtype)
            return answer.numpy()

        return read

    def _layout(self) -> Any:
        return self.torch.contiguous_format

    def _condense(self, workload: Extraction) -> Callable[[Any], Any]:
        functional = self.torch.nn.functional
        window, stride = workload.window, workload.stride
        pairs = [same_padding(size, window, stride) for size in workload.image_shape[1:3]]
        if all(before == 0 for before, _ in pairs):  # ceil_mode is SAME then
            return lambda x: functional.max_pool2d(x, window, stride, ceil_mode=True)
        (top, bottom), (left, right) = pairs
        if top == bottom and left == right:
            return lambda x: functional.max_pool2d(x, window, stride, padding=(top, left))
        around = (left, right, top, bottom)
        return lambda x: functional.max_pool2d(functional.pad(x, around), window, stride)


class TorchChannelsLast(Torch):
    """The same with both tensors in channels_last."""

    name = "PyTorch channels_last"

    def _layout(self) -> Any:
        return self.torch.channels_last

    def _is_first(self) -> bool:
        return False

    def _format(self, workload: Pooling) -> Any:
        formats = {2: self.torch.channels_last, 3: self.torch.channels_last_3d}
        if workload.dims not in formats:
            raise NotImplementedError("PyTorch has no channels_last for one dimension")
        return formats[workload.dims]

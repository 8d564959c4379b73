"""PyTorch: conv2d, relu, max_pool2d under inference_mode, contiguous and channels_last."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.oracle import same_padding
from benchmarks.peers import Peer, Way, nchw_to_nhwc
from benchmarks.rows import Workload


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
        self, workload: Workload, image: NDArray[np.float32], kernel: NDArray[np.float32]
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

    def _layout(self) -> Any:
        return self.torch.contiguous_format

    def _condense(self, workload: Workload) -> Callable[[Any], Any]:
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

"""scipy.ndimage's filters: windows that move by one, on one thread (it has no others)."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers import Peer, Way
from benchmarks.rows import Pooling


class SciPy(Peer):
    """maximum_filter and uniform_filter of the whole array."""

    name = "SciPy"

    def load(self, threads: int) -> Mapping[str, str]:
        """Import scipy.ndimage."""
        import scipy
        import scipy.ndimage

        self.ndimage = scipy.ndimage
        return {"scipy": scipy.__version__}

    def pool(self, workload: Pooling, x: NDArray[Any]) -> Mapping[str, Way]:
        """Filter into an array that is kept; of windows that leave the input, take the rest."""
        if max(workload.strides) > 1 or workload.dilations:
            raise NotImplementedError("its windows move by one, and have no gaps")
        if workload.kind == "LP" or workload.number == "bfloat16":
            raise NotImplementedError("it has no filter for this")
        window = [1] * x.ndim
        inside = [slice(None)] * x.ndim
        for axis, k, (before, _), outputs in zip(
            workload.spatial_axes,
            workload.window,
            workload.pads,
            workload.output_sizes,
            strict=True,
        ):
            window[axis] = k
            first = k // 2 - before  # the filter's window begins k // 2 before its output
            inside[axis] = slice(first, first + outputs)
            if first < 0 or first + outputs > x.shape[axis]:
                raise NotImplementedError("its answer has no room for windows so far outside")
        out = np.zeros(x.shape, x.dtype)
        seen = tuple(inside)
        call = self._maximum if workload.kind == "MAX" else self._mean
        return {"filter": Way(call(x, tuple(window), out, seen), lambda answer: answer)}

    def _maximum(
        self, x: NDArray[Any], window: tuple[int, ...], out: NDArray[Any], inside: Any
    ) -> Callable[[], NDArray[Any]]:
        lowest = np.iinfo(x.dtype).min if x.dtype.kind in "iu" else -np.inf

        def call() -> NDArray[Any]:
            self.ndimage.maximum_filter(x, window, output=out, mode="constant", cval=lowest)
            return out[inside]

        return call

    def _mean(
        self, x: NDArray[Any], window: tuple[int, ...], out: NDArray[Any], inside: Any
    ) -> Callable[[], NDArray[Any]]:
        ones = np.ones((1, *x.shape[1:]), np.float64)  # what a window holds beside the padding
        share = self.ndimage.uniform_filter(ones, window, mode="constant").astype(x.dtype)

        def call() -> NDArray[Any]:
            self.ndimage.uniform_filter(x, window, output=out, mode="constant")
            np.divide(out, share, out=out)
            return out[inside]

        return call

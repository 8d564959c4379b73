"""OpenCV and NumPy as a skilled user of both combines them; every buffer is allocated once.

`OpenCV` calls the library on whole planes. `OpenCVStrips` is what an expert could build on top.

Tried and slower everywhere, so not among the ways: ReLU before the maximum (they commute), halving
by `cv2.dilate` then `cv2.resize(INTER_NEAREST)`, by `cv2.split`, by `cv2.reduce(REDUCE_MAX)`.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.oracle import same_padding
from benchmarks.peers import Peer, Way
from benchmarks.rows import Workload

Plane = NDArray[np.float32]


class OpenCV(Peer):
    """filter2D with a zero border, then the maximum of the window, then ReLU: whole planes."""

    name = "OpenCV + NumPy"

    def load(self, threads: int) -> Mapping[str, str]:
        """Import cv2 and set its threads."""
        import cv2

        cv2.setNumThreads(threads)
        self.cv2 = cv2
        self.threads = threads
        return {"opencv": cv2.__version__}

    def extract(
        self, workload: Workload, image: NDArray[np.float32], kernel: NDArray[np.float32]
    ) -> Mapping[str, Way]:
        """Offer several ways to condense."""
        planes, kernels, out = self._prepare(workload, image, kernel)
        _, height, width, _ = workload.image_shape
        filtered, scratch = np.zeros((2, height, width), np.float32)

        def whole(condense: Callable[[Plane, Plane], Any]) -> Way:
            def call() -> Plane:
                self.cv2.setNumThreads(self.threads)
                self._filter(planes, kernels, filtered, scratch)
                condense(filtered, out)
                return out

            return Way(call, lambda answer: answer[None, :, :, None])

        ways = {"dilate": whole(self._by_dilation(workload))}
        if self._halves_evenly(workload):
            ways["NumPy maximum of strided views"] = whole(self._by_numpy(height, width))
            ways["cv2.max of rows, NumPy of columns"] = whole(self._by_rows(height, width))
            ways["cv2.max of rows and channels"] = whole(self._by_channels(height, width))
        return ways

    def _prepare(
        self, workload: Workload, image: NDArray[np.float32], kernel: NDArray[np.float32]
    ) -> tuple[list[Plane], list[Plane], Plane]:
        """Return the planes of the image, those of the kernel, and room for the answer."""
        if workload.kernel_shape[3] != 1 or workload.image_shape[0] != 1:
            raise NotImplementedError("filter2D makes one map of one image")
        channels = range(image.shape[3])
        planes = [np.ascontiguousarray(image[0, :, :, c]) for c in channels]
        kernels = [np.ascontiguousarray(kernel[:, :, c, 0]) for c in channels]
        return planes, kernels, np.zeros(workload.output_shape[1:3], np.float32)

    def _halves_evenly(self, workload: Workload) -> bool:
        """Return whether the windows are 2×2, side by side, and none is cut off."""
        _, height, width, _ = workload.image_shape
        return workload.window == workload.stride == 2 and height % 2 == width % 2 == 0

    def _filter(
        self, planes: list[Plane], kernels: list[Plane], filtered: Plane, scratch: Plane
    ) -> None:
        cv2 = self.cv2
        for c, (plane, kernel) in enumerate(zip(planes, kernels, strict=True)):
            target = scratch if c else filtered
            cv2.filter2D(plane, -1, kernel, dst=target, borderType=cv2.BORDER_CONSTANT)
            if c:
                cv2.add(filtered, scratch, dst=filtered)

    def _by_dilation(self, workload: Workload) -> Callable[[Plane, Plane], Any]:
        cv2, window, stride = self.cv2, workload.window, workload.stride
        _, height, width, _ = workload.image_shape
        anchor = (same_padding(width, window, stride)[0], same_padding(height, window, stride)[0])
        element = np.ones((window, window), np.uint8)
        dilated = np.zeros((height, width), np.float32)

        def condense(filtered: Plane, out: Plane) -> None:
            cv2.dilate(filtered, element, dst=dilated, anchor=anchor)
            np.maximum(dilated[::stride, ::stride], 0, out=out)

        return condense

    def _by_numpy(self, height: int, width: int) -> Callable[[Plane, Plane], Any]:
        halves = np.zeros((height // 2, width), np.float32)

        def condense(filtered: Plane, out: Plane) -> None:
            np.maximum(filtered[0::2], filtered[1::2], out=halves)
            np.maximum(halves[:, 0::2], halves[:, 1::2], out=out)
            np.maximum(out, 0, out=out)

        return condense

    def _by_rows(self, height: int, width: int) -> Callable[[Plane, Plane], Any]:
        cv2 = self.cv2
        halves = np.zeros((height // 2, width), np.float32)

        def condense(filtered: Plane, out: Plane) -> None:
            # Two rows beside each other are one row of a matrix twice as wide: no copy for cv2.
            pairs = filtered.reshape(height // 2, 2 * width)
            cv2.max(pairs[:, :width], pairs[:, width:], dst=halves)
            np.maximum(halves[:, 0::2], halves[:, 1::2], out=out)
            cv2.max(out, 0.0, dst=out)

        return condense

    def _by_channels(self, height: int, width: int) -> Callable[[Plane, Plane], Any]:
        cv2 = self.cv2
        halves = np.zeros((height // 2, width), np.float32)
        even, odd = np.zeros((2, height // 2, width // 2), np.float32)

        def condense(filtered: Plane, out: Plane) -> None:
            rows = len(filtered) // 2
            pairs = filtered.reshape(rows, 2 * width)
            cv2.max(pairs[:, :width], pairs[:, width:], dst=halves[:rows])
            columns = halves[:rows].reshape(rows, width // 2, 2)  # even and odd, as two channels
            cv2.extractChannel(columns, 0, dst=even[:rows])
            cv2.extractChannel(columns, 1, dst=odd[:rows])
            cv2.max(even[:rows], odd[:rows], dst=out)
            cv2.max(out, 0.0, dst=out)

        return condense


class OpenCVStrips(OpenCV):
    """Strips of rows that stay in the cache, each filtered and condensed by one worker.

    cv2 runs on one thread; the workers are the threads. The hardest peer there is, and no call of
    a library: the blocking, the halo and the workers are made by hand.
    """

    name = "OpenCV, strips by hand"
    hand_built = True

    def load(self, threads: int) -> Mapping[str, str]:
        """Import cv2 and start as many workers as cv2 has threads."""
        versions = super().load(threads)
        self.workers = ThreadPoolExecutor(threads)
        return versions

    def extract(
        self, workload: Workload, image: NDArray[np.float32], kernel: NDArray[np.float32]
    ) -> Mapping[str, Way]:
        """Offer two heights of a strip."""
        planes, kernels, out = self._prepare(workload, image, kernel)
        if not self._halves_evenly(workload):
            raise NotImplementedError("the strips are written for 2×2 windows on even sizes")
        return {
            f"strips of {rows} rows": self._strips(planes, kernels, out, rows) for rows in (64, 256)
        }

    def _strips(self, planes: list[Plane], kernels: list[Plane], out: Plane, rows: int) -> Way:
        """Return the way by strips of `rows` (even): each worker filters and condenses its own."""
        height, width = planes[0].shape
        halo = len(kernels[0]) // 2
        starts = range(0, height, rows)

        def worker(index: int) -> Callable[[], None]:
            filtered, scratch = np.zeros((2, rows + 2 * halo, width), np.float32)
            condense = self._by_channels(rows, width)

            def call() -> None:
                for start in starts[index :: self.threads]:
                    end = min(start + rows, height)
                    first, last = max(start - halo, 0), min(end + halo, height)
                    with_halo = filtered[: last - first]
                    strip = [plane[first:last] for plane in planes]
                    self._filter(strip, kernels, with_halo, scratch[: last - first])
                    condense(with_halo[start - first : end - first], out[start // 2 : end // 2])

            return call

        calls = [worker(index) for index in range(self.threads)]

        def run() -> Plane:
            self.cv2.setNumThreads(1)  # the workers are the threads
            for done in [self.workers.submit(call) for call in calls]:
                done.result()
            return out

        return Way(run, lambda answer: answer[None, :, :, None])

"""OpenCV and NumPy as a skilled user of both combines them; every buffer is allocated once.

`OpenCV` calls the library on whole planes. `OpenCVStrips` is what an expert could build on top.

Tried and slower everywhere, so not among the ways: ReLU before the maximum (they commute), halving
by `cv2.dilate` then `cv2.resize(INTER_NEAREST)`, by `cv2.split`, by `cv2.reduce(REDUCE_MAX)`.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers import Peer, Way
from benchmarks.rows import Extraction, Pooling, same_padding

Plane = NDArray[Any]

MOST_CHANNELS = 128
"""Of one matrix, in OpenCV 5."""


class Strip(NamedTuple):
    """Some rows of a plane, and the rows of the answer that are made of them."""

    source: Plane
    target: Plane
    kept: tuple[slice, slice]
    """Which values of the filtered source are the target."""
    rows: tuple[int, int]
    """Of the answer: from the first, up to the last."""


class Scratch:
    """Room of any shape, made once."""

    def __init__(self) -> None:
        self.rooms: dict[tuple[int, ...], Plane] = {}

    def like(self, plane: Plane) -> Plane:
        """Return the room of this plane's shape."""
        if plane.shape not in self.rooms:
            self.rooms[plane.shape] = np.zeros(plane.shape, plane.dtype)
        return self.rooms[plane.shape]


def _on_strips(
    apply: Callable[[Plane, Plane], Any], share: Plane | None = None
) -> Callable[[Strip], None]:
    """Return the function that filters a strip, keeps what is asked for, and scales it."""
    scratch = Scratch()

    def run(strip: Strip) -> None:
        if strip.source.shape == strip.target.shape:  # every value is kept
            apply(strip.source, strip.target)
        else:
            filtered = scratch.like(strip.source)
            apply(strip.source, filtered)
            np.copyto(strip.target, filtered[strip.kept])
        if share is not None:
            first, last = strip.rows if len(share) > 1 else (0, 1)
            np.multiply(strip.target, share[first:last], out=strip.target)

    return run


class OpenCV(Peer):
    """Whole planes: filter2D, the maximum of the window, ReLU; or dilate and boxFilter."""

    name = "OpenCV + NumPy"

    def load(self, threads: int) -> Mapping[str, str]:
        """Import cv2 and set its threads."""
        import cv2

        cv2.setNumThreads(threads)
        self.cv2 = cv2
        self.threads = threads
        return {"opencv": cv2.__version__}

    def extract(
        self, workload: Extraction, image: NDArray[np.float32], kernel: NDArray[np.float32]
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
        self, workload: Extraction, image: NDArray[np.float32], kernel: NDArray[np.float32]
    ) -> tuple[list[Plane], list[Plane], Plane]:
        """Return the planes of the image, those of the kernel, and room for the answer."""
        if workload.kernel_shape[3] != 1 or workload.image_shape[0] != 1:
            raise NotImplementedError("filter2D makes one map of one image")
        channels = range(image.shape[3])
        planes = [np.ascontiguousarray(image[0, :, :, c]) for c in channels]
        kernels = [np.ascontiguousarray(kernel[:, :, c, 0]) for c in channels]
        return planes, kernels, np.zeros(workload.output_shape[1:3], np.float32)

    def _halves_evenly(self, workload: Extraction) -> bool:
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

    def _by_dilation(self, workload: Extraction) -> Callable[[Plane, Plane], Any]:
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

    def pool(self, workload: Pooling, x: NDArray[Any]) -> Mapping[str, Way]:
        """Filter plane by plane, then keep every s-th value; or take strided views of it all."""
        ways = {}
        answer = np.zeros(workload.output_shape, x.dtype)
        for name, prepare in self._filters(workload, x).items():
            run, strips = prepare(), self._cut(workload, x, answer, 1)

            def call(run: Any = run, strips: Any = strips) -> NDArray[Any]:
                self.cv2.setNumThreads(self.threads)
                for strip in strips:
                    run(strip)
                return answer

            ways[name] = Way(call)
        return self._any(ways | self._strided_ways(workload, x))

    def _any(self, ways: dict[str, Way]) -> dict[str, Way]:
        if not ways:
            raise NotImplementedError("it has no filter for these dimensions, windows or dtype")
        return ways

    def _cut(
        self, workload: Pooling, x: NDArray[Any], answer: NDArray[Any], parts: int
    ) -> list[Strip]:
        """Cut every plane into as many strips of rows, each with the rows that its windows see.

        A plane is (H, W), or (H, W, C) of channels last; in one dimension all rows are one plane.
        """
        height, k, step, (before, _) = (
            (axes[0] for axes in (workload.sizes, workload.window, workload.strides, workload.pads))
            if workload.dims == 2
            else (x.shape[0] * x.shape[1], 1, 1, (0, 0))
        )
        columns, columns_step = workload.output_sizes[-1], workload.strides[-1]
        across = slice(0, (columns - 1) * columns_step + 1, columns_step)
        if workload.channels_first:
            planes = x.reshape(-1, height, workload.sizes[-1])
            answers = answer.reshape(len(planes), -1, columns)
        else:
            planes, answers = x, answer
        strips = []
        rows = answers.shape[1]
        for plane, target in zip(planes, answers, strict=True):
            for part in range(parts):
                first, last = rows * part // parts, rows * (part + 1) // parts
                above = max(first * step - before, 0)
                below = min((last - 1) * step - before + k, height)
                # The filter writes at the anchor: output o is at o * step of the plane.
                below = max(below, (last - 1) * step + 1)
                down = slice(first * step - above, (last - 1) * step - above + 1, step)
                strips.append(
                    Strip(plane[above:below], target[first:last], (down, across), (first, last))
                )
        return strips

    def _filters(
        self, workload: Pooling, x: NDArray[Any]
    ) -> dict[str, Callable[[], Callable[[Strip], None]]]:
        """Return what makes the functions that work on a strip, each with scratch of its own."""
        flat = workload.dims == 1 and workload.channels_first
        if workload.number == "bfloat16" or workload.dilations:
            return {}
        if not workload.channels_first and workload.channels > MOST_CHANNELS:
            return {}
        if workload.kind == "LP" or not (flat or workload.dims == 2):
            return {}
        window, pads = workload.window, workload.pads
        if flat:
            window, pads = (1, *window), ((0, 0), *pads)
        cv2, anchor = self.cv2, (pads[1][0], pads[0][0])
        if workload.kind == "MAX":
            element = np.ones(window, np.uint8)
            tall, wide = element[:, :1].copy(), element[:1].copy()

            def at_once(source: Plane, into: Plane) -> None:
                cv2.dilate(source, element, dst=into, anchor=anchor)

            def separable() -> Callable[[Plane, Plane], None]:
                scratch = Scratch()

                def apply(source: Plane, into: Plane) -> None:
                    between = scratch.like(source)
                    cv2.dilate(source, wide, dst=between, anchor=(anchor[0], 0))
                    cv2.dilate(between, tall, dst=into, anchor=(0, anchor[1]))

                return apply

            return {
                "dilate": lambda: _on_strips(at_once),
                "two dilations": lambda: _on_strips(separable()),
            }
        if x.dtype.kind != "f":
            return {}
        options = {"anchor": anchor, "borderType": cv2.BORDER_CONSTANT}
        share = self._share(workload, x, window, options)

        def box(source: Plane, into: Plane) -> None:
            cv2.boxFilter(source, -1, window[::-1], dst=into, normalize=share is None, **options)

        def area(strip: Strip) -> None:
            shrunk = strip.target.shape[1::-1]
            cv2.resize(strip.source, shrunk, dst=strip.target, interpolation=cv2.INTER_AREA)

        filters = {"boxFilter": lambda: _on_strips(box, share)}
        # resize takes four channels at most.
        if workload.side_by_side and not flat and (workload.channels_first or x.shape[3] <= 4):
            filters["resize, INTER_AREA"] = lambda: area
        return filters

    def _share(
        self,
        workload: Pooling,
        x: NDArray[Any],
        window: tuple[int, ...],
        options: dict[str, Any],
    ) -> NDArray[Any] | None:
        """Return one over the values that each window sees; None where all see a whole one."""
        if not workload.padded:
            return None
        sizes = workload.sizes if workload.dims == 2 else (1, *workload.sizes)
        seen = self.cv2.boxFilter(np.ones(sizes), -1, window[::-1], normalize=False, **options)
        if workload.dims == 2:
            seen = seen[:: workload.strides[0]]
        seen = seen[:, :: workload.strides[-1]][:, : workload.output_sizes[-1]]
        share = (1 / seen).astype(x.dtype)
        return share if workload.channels_first else share[..., None]

    def _strided_ways(self, workload: Pooling, x: NDArray[Any]) -> dict[str, Way]:
        """Combine every s-th row, column, … with NumPy, one axis after the other."""
        if workload.number == "bfloat16" or workload.padded or workload.dilations:
            return {}
        if workload.kind == "LP" or max(workload.window) > 4:
            return {}
        if workload.kind == "AVG" and x.dtype.kind != "f":
            return {}
        combine = np.maximum if workload.kind == "MAX" else np.add
        passes = []
        shape = list(x.shape)
        for axis, k, step, outputs in zip(
            workload.spatial_axes,
            workload.window,
            workload.strides,
            workload.output_sizes,
            strict=True,
        ):
            shape[axis] = outputs
            before = (slice(None),) * axis
            views = [(*before, slice(i, i + (outputs - 1) * step + 1, step)) for i in range(k)]
            passes.append((views, np.zeros(shape, x.dtype)))
        share = x.dtype.type(1 / np.prod(workload.window))

        def call() -> NDArray[Any]:
            source = x
            for (first, *others), out in passes:
                if others:
                    combine(source[first], source[others[0]], out=out)
                else:
                    np.copyto(out, source[first])
                for view in others[1:]:
                    combine(out, source[view], out=out)
                source = out
            if workload.kind == "AVG":
                np.multiply(source, share, out=source)
            return source

        return {f"NumPy {combine.__name__} of strided views": Way(call)}


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
        self, workload: Extraction, image: NDArray[np.float32], kernel: NDArray[np.float32]
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

    def pool(self, workload: Pooling, x: NDArray[Any]) -> Mapping[str, Way]:
        """Give each worker planes of its own; where there are too few, strips of their rows."""
        answer = np.zeros(workload.output_shape, x.dtype)
        planes = len(self._cut(workload, x, answer, 1)) if workload.dims < 3 else 0
        parts = 1 if planes >= self.threads else self.threads
        ways = {}
        for name, prepare in self._filters(workload, x).items():
            strips = self._cut(workload, x, answer, parts)
            shares = [(prepare(), strips[index :: self.threads]) for index in range(self.threads)]

            def work(run: Any, strips: Any) -> None:
                for strip in strips:
                    run(strip)

            def call(shares: Any = shares, work: Any = work) -> NDArray[Any]:
                self.cv2.setNumThreads(1)  # the workers are the threads
                for done in [self.workers.submit(work, *share) for share in shares]:
                    done.result()
                return answer

            ways[f"{name}, {'planes' if parts == 1 else 'strips'} shared out"] = Way(call)
        return self._any(ways)

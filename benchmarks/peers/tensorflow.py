"""TensorFlow: tf.nn inside tf.function, with and without XLA."""

import contextlib
import math
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers import Peer, Way, in_blocks, to_channels_first, to_channels_last
from benchmarks.rows import Base, Extraction, Pooling, PoolingGradient

XLA_TAPS = 64
"""Of the largest window that XLA pools: of 128 and 961 it took 4 and 19 times the plain graph."""


@contextlib.contextmanager
def hushed() -> Iterator[None]:
    """Keep what C++ writes to stderr back, and show it only if the body raises.

    TensorFlow greets before it reads TF_CPP_MIN_LOG_LEVEL; no variable stops that.
    """
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except BaseException:
            kept.seek(0)
            os.write(stderr, kept.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


class TensorFlow(Peer):
    """conv2d, relu and pool in one graph."""

    name = "TensorFlow"

    def load(self, threads: int) -> Mapping[str, str]:
        """Import tensorflow and set its threads, which it allows only before the first call."""
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        with hushed():
            import tensorflow as tf

            tf.config.set_visible_devices([], "GPU")
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        tf.get_logger().setLevel("ERROR")  # it warns of functions made in a loop, as ours are
        self.tf = tf
        return {"tensorflow": tf.__version__}

    def extract(
        self, workload: Extraction, image: NDArray[np.float32], kernel: NDArray[np.float32]
    ) -> Mapping[str, Way]:
        """Run the lesson's three calls."""
        tf = self.tf
        x, weight = tf.constant(image), tf.constant(kernel)
        window = (workload.window, workload.window)
        strides = (workload.stride, workload.stride)

        def three_steps(image: Any, kernel: Any) -> Any:
            image_filter = tf.nn.conv2d(image, kernel, strides=1, padding="SAME")
            image_detect = tf.nn.relu(image_filter)
            return tf.nn.pool(image_detect, window, "MAX", strides=strides, padding="SAME")

        graph = tf.function(three_steps)
        compiled = tf.function(three_steps, jit_compile=True)
        return {
            "tf.function": Way(lambda: graph(x, weight), lambda answer: answer.numpy()),
            "jit_compile": Way(lambda: compiled(x, weight), lambda answer: answer.numpy()),
        }

    def base(
        self, workload: Base, image: NDArray[np.float32], *weights: NDArray[np.float32]
    ) -> Mapping[str, Way]:
        """Run the stages in one graph, the weights constants of it."""
        tf = self.tf
        x, constants = tf.constant(image), [tf.constant(array) for array in weights]

        def stages(x: Any) -> Any:
            for i, stage in enumerate(workload.stages):
                pads = [[0, 0], [stage.pad] * 2, [stage.pad] * 2, [0, 0]]
                x = tf.nn.conv2d(x, constants[2 * i], stage.stride, pads)
                x = tf.nn.relu(tf.nn.bias_add(x, constants[2 * i + 1]))
                if stage.pool:
                    pads = [[0, 0], [stage.pool_pad] * 2, [stage.pool_pad] * 2, [0, 0]]
                    x = tf.nn.max_pool2d(x, stage.pool, 2, pads if stage.pool_pad else "VALID")
            return x

        graph, compiled = tf.function(stages), tf.function(stages, jit_compile=True)
        return {
            "tf.function": Way(lambda: graph(x), lambda answer: answer.numpy()),
            "jit_compile": Way(lambda: compiled(x), lambda answer: answer.numpy()),
        }

    def pool(self, workload: Pooling, x: NDArray[Any]) -> Mapping[str, Way]:
        """Pool channels last, which is all that its CPU kernels do, or reduce blocks."""
        tf = self.tf
        if workload.kind == "LP":
            raise NotImplementedError("tf.nn.pool has no norms")
        data = tf.constant(x)
        functions = {"pool": self._channels_last(workload, self._pooling(workload))}
        if not isinstance(workload.padding, str) and workload.dims == 2:  # XLA wants it so
            padded = self._pooling(workload, pad_first=True)
            functions["pad, then pool"] = self._channels_last(workload, padded)
        if workload.side_by_side:
            reduce = tf.reduce_max if workload.kind == "MAX" else tf.reduce_mean
            shape, axes = in_blocks(workload)

            def reduce_blocks(x: Any) -> Any:
                return tf.reshape(reduce(tf.reshape(x, shape), axes), workload.output_shape)

            functions["reduce blocks"] = reduce_blocks
        ways = {}
        for name, function in functions.items():
            ways[f"{name}, tf.function"] = self._way(tf.function(function), data)
            if name == "reduce blocks" or math.prod(workload.window) <= XLA_TAPS:
                compiled = tf.function(function, jit_compile=True)
                ways[f"{name}, jit_compile"] = self._way(compiled, data)
        return ways

    def pool_grad(
        self, workload: PoolingGradient, x: NDArray[Any], gradient: NDArray[Any]
    ) -> Mapping[str, Way]:
        """Call the operation that its gradients are made of; input and answer are kept."""
        tf = self.tf
        if workload.dims != 2 or workload.kind == "LP":
            raise NotImplementedError("written for maxima and means in two dimensions")
        shape = (workload.shape[0], *workload.sizes, workload.channels)
        options: dict[str, Any] = {
            "ksize": [1, *workload.window, 1],
            "strides": [1, *workload.strides, 1],
        }
        if workload.kind == "AVG":
            if not isinstance(workload.padding, str):
                raise NotImplementedError("AvgPoolGrad takes no pairs of padding")
            options["padding"] = workload.padding

            def backward(gradient: Any) -> Any:
                return tf.raw_ops.AvgPoolGrad(orig_input_shape=shape, grad=gradient, **options)

        else:
            options["padding"] = workload.padding
            if not isinstance(workload.padding, str):
                options["padding"] = "EXPLICIT"
                options["explicit_paddings"] = [0, 0, *np.ravel(workload.pads).tolist(), 0, 0]
            kept = tf.constant(x)
            if workload.channels_first:
                kept = tf.transpose(kept, to_channels_last(2))
            pooled = self._pooling(workload)(kept)

            def backward(gradient: Any) -> Any:
                return tf.raw_ops.MaxPoolGrad(
                    orig_input=kept, orig_output=pooled, grad=gradient, **options
                )

        function = self._channels_last(workload, backward)
        data = tf.constant(gradient)
        return {
            "tf.function": self._way(tf.function(function), data),
            "jit_compile": self._way(tf.function(function, jit_compile=True), data),
        }

    def _way(self, function: Callable[[Any], Any], data: Any) -> Way:
        return Way(lambda: function(data), lambda answer: answer.numpy())

    def _pooling(self, workload: Pooling, pad_first: bool = False) -> Callable[[Any], Any]:
        """Return the function of a tensor with channels last."""
        tf = self.tf
        padding: Any = workload.padding
        around: Any = None
        if not isinstance(padding, str):  # pairs: for max_pool2d its own, otherwise a tf.pad
            if workload.kind == "AVG":
                raise NotImplementedError("a mean would count the padding")
            padding, around = "VALID", [[0, 0], *map(list, workload.pads), [0, 0]]
            if workload.dims == 2 and not pad_first:
                return lambda x: tf.nn.max_pool2d(x, workload.window, workload.strides, around)
        lowest = workload.numpy_dtype.type("-inf") if workload.number != "uint8" else 0

        def pool(x: Any) -> Any:
            if around is not None:
                x = tf.pad(x, around, constant_values=lowest)
            return tf.nn.pool(
                x,
                workload.window,
                workload.kind,
                strides=workload.strides,
                padding=padding,
                dilations=workload.dilations,
            )

        return pool

    def _channels_last(
        self, workload: Pooling, function: Callable[[Any], Any]
    ) -> Callable[[Any], Any]:
        """Return the function of a tensor of the row's layout, with what that costs."""
        if not workload.channels_first:
            return function
        tf = self.tf
        there, back = to_channels_last(workload.dims), to_channels_first(workload.dims)
        return lambda x: tf.transpose(function(tf.transpose(x, there)), back)

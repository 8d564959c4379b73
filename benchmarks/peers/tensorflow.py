"""TensorFlow: tf.nn inside tf.function, with and without XLA."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers import Peer, Way
from benchmarks.rows import Workload


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
        self.tf = tf
        return {"tensorflow": tf.__version__}

    def extract(
        self, workload: Workload, image: NDArray[np.float32], kernel: NDArray[np.float32]
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

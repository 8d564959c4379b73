"""Filter, detect, condense as functions, with tf.nn's names, argument order and meaning.

Arrays are float32 or float64, from NumPy or anything with ``__dlpack__`` on the CPU; the answer
comes back as what the input was. Every function takes ``out``, an array to write the answer to.
``name`` is accepted where tf.nn has it, so that calls need no change, and has no effect.
"""

from attar.nn.convolution import conv2d, extract, relu
from attar.nn.pooling import pool

__all__ = ["conv2d", "extract", "pool", "relu"]

"""Filter, detect, condense as functions, with tf.nn's names, argument order and meaning.

Arrays come from NumPy or anything with ``__dlpack__`` on the CPU; the answer comes back as what the
input was. Kernels are for float32 and float64, maxima and `relu` for every real dtype, means and
norms for float16 and bfloat16 too. ``out``, where a function takes it, is an array to write the
answer to. ``name`` is accepted where tf.nn has it, so that calls need no change, and has no effect.
"""

from attar.nn.bins import (
    FractionalPool,
    adaptive_pool,
    fractional_max_pool,
    spatial_pyramid_pool,
)
from attar.nn.convolution import conv2d, extract, relu
from attar.nn.pooling import avg_pool, global_pool, lp_pool, max_pool, pool
from attar.nn.winners import MaxPoolWithArgmax, max_pool_with_argmax, max_unpool

__all__ = [
    "FractionalPool",
    "MaxPoolWithArgmax",
    "adaptive_pool",
    "avg_pool",
    "conv2d",
    "extract",
    "fractional_max_pool",
    "global_pool",
    "lp_pool",
    "max_pool",
    "max_pool_with_argmax",
    "max_unpool",
    "pool",
    "relu",
    "spatial_pyramid_pool",
]

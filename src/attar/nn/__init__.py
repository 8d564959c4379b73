"""Filter, detect, condense as functions, with tf.nn's names, argument order and meaning.

Arrays come from NumPy or anything with ``__dlpack__`` on the CPU; the answer comes back as what the
input was. Kernels are for float32 and float64, maxima and `relu` for every real dtype, means and
norms for float16 and bfloat16 too. ``out``, where a function takes it, is an array to write the
answer to. ``name`` is accepted where tf.nn has it, so that calls need no change, and has no effect.
A function that ends in ``_grad`` gives the gradient of a loss for the input of the function it is
named after, from that for its answer.
"""

from attar.nn.antialias import (
    PolyphasePool,
    blur_pool,
    blur_pool_grad,
    max_blur_pool,
    max_blur_pool_grad,
    polyphase_pool,
    polyphase_pool_grad,
)
from attar.nn.bins import (
    FractionalPool,
    adaptive_pool,
    fractional_max_pool,
    spatial_pyramid_pool,
)
from attar.nn.convolution import (
    conv2d,
    extract,
    relu,
)
from attar.nn.gradients import (
    adaptive_pool_grad,
    avg_pool_grad,
    fractional_max_pool_grad,
    global_pool_grad,
    lp_pool_grad,
    max_pool_grad,
    max_unpool_grad,
    pool_grad,
    relu_grad,
)
from attar.nn.means import (
    gem_pool,
    gem_pool_grad,
    soft_pool,
    soft_pool_grad,
)
from attar.nn.pooling import (
    avg_pool,
    global_pool,
    lp_pool,
    max_pool,
    pool,
)
from attar.nn.training import (
    ExtractGrad,
    ExtractWithWinners,
    conv2d_grad,
    extract_grad,
    extract_with_winners,
)
from attar.nn.winners import (
    MaxPoolWithArgmax,
    max_pool_with_argmax,
    max_unpool,
)

__all__ = [
    "ExtractGrad",
    "ExtractWithWinners",
    "FractionalPool",
    "MaxPoolWithArgmax",
    "PolyphasePool",
    "adaptive_pool",
    "adaptive_pool_grad",
    "avg_pool",
    "avg_pool_grad",
    "blur_pool",
    "blur_pool_grad",
    "conv2d",
    "conv2d_grad",
    "extract",
    "extract_grad",
    "extract_with_winners",
    "fractional_max_pool",
    "fractional_max_pool_grad",
    "gem_pool",
    "gem_pool_grad",
    "global_pool",
    "global_pool_grad",
    "lp_pool",
    "lp_pool_grad",
    "max_blur_pool",
    "max_blur_pool_grad",
    "max_pool",
    "max_pool_grad",
    "max_pool_with_argmax",
    "max_unpool",
    "max_unpool_grad",
    "polyphase_pool",
    "polyphase_pool_grad",
    "pool",
    "pool_grad",
    "relu",
    "relu_grad",
    "soft_pool",
    "soft_pool_grad",
    "spatial_pyramid_pool",
]

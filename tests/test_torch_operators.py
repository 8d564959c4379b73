"""The operators of `attar.torch` as PyTorch sees them: schemas, fakes, derivatives, compilation."""

import pytest
import torch
from torch.library import opcheck

import attar.torch
from attar.torch import definitions, extraction, maxima, means, others

SLIDING = ([3, 2], [2, 1], [1, 0], [1, 2], True)
AVERAGED = ([3, 2], [2, 1], [1, 0], True, False, None)
BLURRED = ([3, 4], [2, 1], "reflect")


def maps(*shape, seed=0, dtype=torch.float64, grad=True):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(*(shape or (2, 2, 6, 5)), generator=generator, dtype=dtype)
    return x.requires_grad_(grad)


def last(x):
    return x.detach().to(memory_format=torch.channels_last).requires_grad_(x.requires_grad)


def arguments():
    """For each operator what it is called with."""
    x = last(maps(2, 3, 6, 5, dtype=torch.float32))
    flow = maps(2, 3, 4, 3, seed=1, dtype=torch.float32)
    with torch.no_grad():
        won = maxima.SLIDING.winners(x, *SLIDING)[1]
        bins = maxima.ADAPTIVE.winners(x, [4, 3])[1]
    p = torch.tensor([3.0], requires_grad=True)
    return {
        maxima.SLIDING.pool: (x, *SLIDING),
        maxima.SLIDING.winners: (x, *SLIDING),
        maxima.SLIDING.indices: (won, x.shape, *SLIDING),
        maxima.SLIDING.grad: (flow, won, x.shape, *SLIDING),
        maxima.ADAPTIVE.pool: (x, [4, 3]),
        maxima.ADAPTIVE.winners: (x, [4, 3]),
        maxima.ADAPTIVE.indices: (bins, x.shape, [4, 3]),
        maxima.ADAPTIVE.grad: (flow, bins, x.shape, [4, 3]),
        means.avg_pool: (x, *AVERAGED),
        torch.ops.attar.avg_pool_grad.default: (
            maps(2, 3, 4, 4, dtype=torch.float32), x.shape, True, *AVERAGED,
        ),
        means.adaptive_avg_pool: (x, [4, 3]),
        torch.ops.attar.adaptive_avg_pool_grad.default: (flow, x.shape, False, [4, 3]),
        means.lp_pool: (x, 2.0, [3, 3], [1, 1]),
        torch.ops.attar.lp_pool_grad.default: (flow, x, 2.0, [3, 3], [1, 1]),
        others.blur_pool: (x, *BLURRED),
        others.blur_pool_grad: (maps(2, 3, 3, 5, dtype=torch.float32), x.shape, *BLURRED),
        others.max_blur_pool: (x, [2, 2], [3, 3], [1, 1], [0, 0], "zeros"),
        torch.ops.attar.max_blur_pool_grad.default: (
            maps(2, 3, 5, 4, dtype=torch.float32), x, [2, 2], [3, 3], [1, 1], [0, 0], "zeros",
        ),
        others.polyphase_pool: (x, [2, 2], "l2"),
        torch.ops.attar.polyphase_pool_grad.default: (
            maps(2, 3, 3, 3, dtype=torch.float32), x, [2, 2], "l2",
        ),
        others.soft_pool: (x, [3, 3], [1, 1], [0, 0]),
        torch.ops.attar.soft_pool_grad.default: (flow, x, [3, 3], [1, 1], [0, 0]),
        others.gem_pool: (x, p, 1e-3),
        others.gem_pool_grad: (maps(2, 3, 1, 1, dtype=torch.float32, grad=False), x.detach(), p.detach(), 1e-3),
    }  # fmt: skip


OPERATORS = arguments()


def name_of(operator):
    return getattr(operator, "overload", operator)._opname


@pytest.mark.parametrize("operator", OPERATORS, ids=name_of)
def test_opcheck(operator):
    opcheck(getattr(operator, "overload", operator), OPERATORS[operator])

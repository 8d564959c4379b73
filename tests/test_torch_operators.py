"""The operators of `attar.torch` as PyTorch sees them: schemas, fakes, derivatives, compilation."""

import pytest
import torch
from torch.library import opcheck

import attar.torch
from attar.torch import definitions, maxima, means, others

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
        maxima.SLIDING.grad: (flow, won, x.shape, True, *SLIDING),
        maxima.ADAPTIVE.pool: (x, [4, 3]),
        maxima.ADAPTIVE.winners: (x, [4, 3]),
        maxima.ADAPTIVE.indices: (bins, x.shape, [4, 3]),
        maxima.ADAPTIVE.grad: (flow, bins, x.shape, False, [4, 3]),
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
        others.gem_pool_grad: (torch.ones(2, 3, 1, 1), x.detach(), p.detach(), 1e-3),
    }  # fmt: skip


OPERATORS = arguments()


def name_of(operator):
    return getattr(operator, "overload", operator)._opname


@pytest.mark.parametrize("operator", OPERATORS, ids=name_of)
def test_opcheck(operator):
    opcheck(getattr(operator, "overload", operator), OPERATORS[operator])


LAYERS = {
    "MaxPool1d": (attar.torch.MaxPool1d(3, 2, 1), (2, 2, 7)),
    "MaxPool2d": (attar.torch.MaxPool2d((3, 2), (2, 1), (1, 0), (1, 2), ceil_mode=True), ()),
    "MaxPool3d": (attar.torch.MaxPool3d(2), (1, 2, 4, 3, 4)),
    "AvgPool1d": (attar.torch.AvgPool1d(3, 2, 1), (2, 2, 7)),
    "AvgPool2d": (attar.torch.AvgPool2d(3, 2, 1, True, False), ()),
    "AvgPool2d, divisor": (attar.torch.AvgPool2d(3, 2, 1, divisor_override=5), ()),
    "AvgPool3d": (attar.torch.AvgPool3d(2), (1, 2, 4, 3, 4)),
    "LPPool1d": (attar.torch.LPPool1d(2, 3, 2), (2, 2, 7)),
    "LPPool2d": (attar.torch.LPPool2d(4, (2, 3)), ()),
    "LPPool3d": (attar.torch.LPPool3d(2, 2), (1, 2, 4, 3, 4)),
    "AdaptiveMaxPool1d": (attar.torch.AdaptiveMaxPool1d(3), (2, 2, 7)),
    "AdaptiveMaxPool2d": (attar.torch.AdaptiveMaxPool2d((4, None)), ()),
    "AdaptiveMaxPool3d": (attar.torch.AdaptiveMaxPool3d(2), (1, 2, 4, 3, 4)),
    "AdaptiveAvgPool1d": (attar.torch.AdaptiveAvgPool1d(3), (2, 2, 7)),
    "AdaptiveAvgPool2d": (attar.torch.AdaptiveAvgPool2d((4, 1)), ()),
    "AdaptiveAvgPool3d": (attar.torch.AdaptiveAvgPool3d(2), (1, 2, 4, 3, 4)),
    "FractionalMaxPool2d": (
        attar.torch.FractionalMaxPool2d(2, 3, _random_samples=torch.rand(2, 2, 2).double()), (),
    ),
    "BlurPool2d": (attar.torch.BlurPool2d(4), ()),
    "MaxBlurPool2d": (attar.torch.MaxBlurPool2d(3, padding=1), ()),
    "PolyphasePool2d": (attar.torch.PolyphasePool2d(2), ()),
    "SoftPool2d": (attar.torch.SoftPool2d(3, 2, 1), ()),
    "GeM": (attar.torch.GeM(eps=0.01).double(), ()),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_first_and_second_derivatives(name):
    layer, shape = LAYERS[name]
    x = maps(*shape) if len(shape) != 0 else last(maps())
    inputs = (x, *layer.parameters())

    def compute(x, *_):
        return layer(x)

    assert torch.autograd.gradcheck(compute, inputs)
    assert torch.autograd.gradgradcheck(compute, inputs)


@pytest.mark.parametrize("name", LAYERS)
def test_the_short_way_and_the_dispatcher_agree_to_the_bit(name, monkeypatch):
    layer, shape = LAYERS[name]

    def derivatives():
        x = maps(*shape)
        answer = layer(x)
        return answer, *torch.autograd.grad(answer.square().sum(), (x, *layer.parameters()))

    short = derivatives()
    monkeypatch.setattr("attar.torch.library.alone", lambda *_: False)
    for a, b in zip(short, derivatives(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("name", LAYERS)
def test_vmap_and_functional_gradients(name):
    layer, shape = LAYERS[name]
    if name == "FractionalMaxPool2d":
        pytest.skip("has its own places for each of a batch")
    x = torch.stack([maps(*shape, seed=seed, grad=False) for seed in range(3)], dim=1)
    each = [layer(part) for part in x.unbind(1)]
    assert torch.equal(torch.func.vmap(layer, in_dims=1)(x), torch.stack(each))

    def loss(part):
        return layer(part).square().sum()

    slopes = torch.func.vmap(torch.func.grad(loss), in_dims=1)(x)
    for part, slope in zip(x.unbind(1), slopes, strict=True):
        torch.testing.assert_close(
            slope, torch.autograd.grad(loss(y := part.clone().requires_grad_()), y)[0]
        )


class Every(torch.nn.Module):
    """Pools of every kind, one after the other."""

    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(
            attar.torch.MaxPool2d(3, 1, 1),
            attar.torch.AvgPool2d(3, 1, 1, count_include_pad=False),
            attar.torch.LPPool2d(2, 2, 1),
            attar.torch.BlurPool2d(3, 1),
            attar.torch.MaxBlurPool2d(2, 1),
            attar.torch.SoftPool2d(2, 1),
            attar.torch.PolyphasePool2d(1),
            attar.torch.AdaptiveMaxPool2d((9, 8)),
            attar.torch.AdaptiveAvgPool2d(6),
            attar.torch.GeM(),
        )

    def forward(self, x):
        return self.layers(x)


def test_compile_in_one_graph_with_derivatives():
    model, x = Every(), last(maps(2, 3, 14, 13, dtype=torch.float32))
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    expected, found = model(x), compiled(x)
    torch.testing.assert_close(found, expected)
    inputs = (x, *model.parameters())
    slopes = torch.autograd.grad(found.square().sum(), inputs)
    for slope, wanted in zip(
        slopes, torch.autograd.grad(expected.square().sum(), inputs), strict=True
    ):
        torch.testing.assert_close(slope, wanted)


def test_export_with_a_batch_of_any_size():
    model = Every().eval()
    batch = torch.export.Dim("batch", min=2, max=64)
    example = maps(3, 3, 14, 13, dtype=torch.float32, grad=False)
    program = torch.export.export(model, (example,), dynamic_shapes={"x": {0: batch}})
    named = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    assert {"attar.max_pool.default", "attar.soft_pool.default"} <= named
    other = maps(5, 3, 14, 13, seed=4, dtype=torch.float32, grad=False)
    with torch.no_grad():
        torch.testing.assert_close(program.module()(other), model(other))


def test_definitions_are_what_the_kernels_compute():
    x = maps(2, 3, 9, 8, grad=False)
    for definition, operator, options in (
        (definitions.soft, others.soft_pool, ([3, 2], [2, 1], [1, 1])),
        (definitions.blur, others.blur_pool, ([3, 4], [2, 1], "reflect")),
        (definitions.blur, others.blur_pool, ([2, 5], [2, 3], "circular")),
        (definitions.blur, others.blur_pool, ([7, 1], [1, 1], "zeros")),
        (definitions.max_blur, others.max_blur_pool, ([2, 3], [3, 3], [2, 2], [1, 1], "reflect")),
        (definitions.polyphase, others.polyphase_pool, ([2, 3], "l1")),
        (definitions.polyphase, others.polyphase_pool, ([2, 3], "l2")),
        (definitions.polyphase, others.polyphase_pool, ([3, 3], "linf")),
    ):
        torch.testing.assert_close(operator(x, *options), definition(x, *options))

"""`Extract2d` beside PyTorch's convolution, ReLU and max pool, forwards and backwards."""

import copy
import io

import pytest
import torch
from torch import nn
from torch.library import opcheck

from attar.errors import ArgumentError
from attar.torch import Extract2d

CASES = {
    "the lesson": ({"padding": "same"}, {}),
    "valid": ({"padding": "valid"}, {}),
    "no bias": ({"bias": False}, {}),
    "even kernel, same": ({"kernel_size": (2, 4), "padding": "same"}, {}),
    "stride, dilation": ({"stride": (2, 1), "dilation": (1, 2), "padding": (1, 3)}, {}),
    "groups": ({"groups": 2, "padding": 1}, {}),
    "depthwise": ({"groups": 4, "out_channels": 8}, {}),
    "no activation": ({}, {"activation": None}),
    "overlapping windows": ({}, {"pool_size": 3, "pool_stride": 2, "pool_padding": 1}),
    "the last window": ({}, {"pool_size": (2, 3), "pool_stride": (3, 2), "ceil_mode": True}),
    "gaps": ({"padding": 2}, {"pool_size": 2, "pool_stride": 3}),
    "no pool": ({"padding": 1}, {"pool": None}),
    "no pool, stride": ({"stride": 2}, {"pool": None}),
    "no pool, no activation": ({"padding": 1}, {"pool": None, "activation": None}),
    "5 x 5": ({"kernel_size": 5, "padding": 2}, {"pool_size": (1, 2)}),
    "more windows than a byte has names": (
        {"padding": 2},
        {"pool_size": (16, 17), "pool_stride": 1},
    ),
}


def pair_of(case, dtype=torch.float32):
    """The layer, and torch.nn's three with the same parameters."""
    filters, pool = CASES[case]
    filters = {"in_channels": 4, "out_channels": 6, "kernel_size": 3, **filters}
    torch.manual_seed(0)
    layer = Extract2d(**filters, **pool, dtype=dtype)
    convolution = nn.Conv2d(**filters, dtype=dtype)
    convolution.load_state_dict(layer.state_dict())
    names = ("pool_size", "kernel_size"), ("pool_stride", "stride"), ("pool_padding", "padding")
    options = {theirs: pool[ours] for ours, theirs in names if ours in pool}
    condense = nn.MaxPool2d(**{"kernel_size": 2, **options}, ceil_mode=pool.get("ceil_mode", False))
    if pool.get("pool", "max") is None:
        condense = nn.Identity()
    detect = nn.Identity() if pool.get("activation", "relu") is None else nn.ReLU()
    return layer, nn.Sequential(convolution, detect, condense)


def images(*shape, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape or (2, 4, 19, 22), generator=generator, dtype=torch.float64).to(dtype)


def run(model, x):
    """The answer and all gradients."""
    leaf = x.detach().requires_grad_()
    answer = model(leaf)
    weights = torch.linspace(-1, 1, answer.numel(), dtype=answer.dtype).view(answer.shape)
    return answer, *torch.autograd.grad(answer, (leaf, *model.parameters()), weights)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even:UserWarning")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("case", CASES)
def test_answers_and_gradients_are_those_of_torch(case, dtype):
    layer, model = pair_of(case, dtype)
    tolerance = 2e-5 if dtype == torch.float32 else 1e-12
    x = images(dtype=dtype)
    last = x.contiguous(memory_format=torch.channels_last)
    for given in (x, x[0], last, x.transpose(2, 3), x.repeat(1, 1, 1, 2)[..., ::2], x.flip(0)[:1]):
        found, wanted = run(layer, given), run(model, given)
        for a, b in zip(found, wanted, strict=True):
            torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance * b.abs().max().item())
        with torch.no_grad():
            torch.testing.assert_close(layer(given), wanted[0], rtol=tolerance, atol=tolerance)
    with torch.no_grad():
        assert layer(last).is_contiguous(memory_format=torch.channels_last)
        assert layer(x).is_contiguous()


@pytest.mark.parametrize(
    "case", ["the lesson", "groups", "overlapping windows", "no activation", "no pool"]
)
def test_first_and_second_derivatives(case):
    layer, _ = pair_of(case, torch.float64)
    inputs = (images(1, 4, 6, 7, dtype=torch.float64).requires_grad_(), *layer.parameters())

    def compute(x, *_):
        return layer(x)

    assert torch.autograd.gradcheck(compute, inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(compute, inputs, fast_mode=True)


def test_opcheck():
    layer, _ = pair_of("overlapping windows")
    x = images(2, 4, 9, 8).contiguous(memory_format=torch.channels_last).requires_grad_()
    options = layer._options()
    operators = torch.ops.attar
    opcheck(operators.extract.default, (x, layer.weight, layer.bias, *options))
    opcheck(operators.extract_winners.default, (x, layer.weight, None, *options))
    with torch.no_grad():
        output, winners = operators.extract_winners(x, layer.weight, layer.bias, *options)
        tensors = (torch.ones_like(output), x.detach(), layer.weight.detach(), winners)
    opcheck(operators.extract_grad.default, (*tensors, [True, True, False], *options))


def test_only_the_gradients_that_are_needed_are_computed(monkeypatch):
    layer, _ = pair_of("the lesson")
    asked = []
    import attar.torch.extraction as room

    real = room.operations.extract_grad
    monkeypatch.setattr(
        room.operations,
        "extract_grad",
        lambda *a, needs, **k: asked.append(needs) or real(*a, needs=needs, **k),
    )
    layer(images()).sum().backward()  # the first layer of a model: nobody asks for the image's
    layer.weight.requires_grad_(False)
    layer(images().requires_grad_()).sum().backward()
    assert asked == [("filters", "bias"), ("input", "bias")]


def test_training_keeps_the_image_and_a_byte_for_each_window():
    kept = []
    layer, _ = pair_of("the lesson")
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        layer(images().requires_grad_())
    sizes = sorted((each.dtype.itemsize, each.numel()) for each in kept)
    assert sizes == sorted(
        [(4, 2 * 4 * 19 * 22), (1, 2 * 6 * 9 * 11), (4, layer.weight.numel()), (4, 6)]
    )


def test_weights_that_change_are_seen():
    layer, model = pair_of("the lesson")
    x = images()
    with torch.no_grad():
        layer(x)
        for change in (
            lambda convolution: convolution.weight.data.mul_(2),  # behind the back of autograd
            lambda convolution: convolution.bias.add_(1),
            lambda convolution: convolution.weight.__setitem__((0, 0, 0, 0), 5.0),
            lambda convolution: setattr(
                convolution, "weight", nn.Parameter(torch.ones(6, 4, 3, 3))
            ),
            lambda convolution: setattr(convolution, "bias", None),
        ):
            change(layer), change(model[0])
            torch.testing.assert_close(layer(x), model(x), rtol=1e-4, atol=1e-4, equal_nan=True)
        layer.double()
        torch.testing.assert_close(layer(x.double()), model.double()(x.double()))


def test_what_is_computed_by_torch():
    layer, model = pair_of("the lesson")
    x = images()
    with torch.autocast("cpu", torch.bfloat16):
        found, wanted = layer(x), model(x)
    assert found.dtype == wanted.dtype == torch.bfloat16
    assert torch.equal(found, wanted)
    assert torch.equal(layer.bfloat16()(x.bfloat16()), model.bfloat16()(x.bfloat16()))
    assert layer.to("meta")(x.bfloat16().to("meta")).shape == found.shape
    layer, model = pair_of("groups")
    assert layer(x[:0]).shape == model(x[:0]).shape
    for refused in (x[:, :3], x.double(), x[0, 0]):
        raised = []
        for each in (layer, model):
            with pytest.raises(RuntimeError) as caught:
                each(refused)
            raised.append(str(caught.value))
        assert raised[0] == raised[1]


def test_a_nan_reaches_its_windows():
    layer, model = pair_of("stride, dilation")
    x = images()
    x[0, 1, 5, 5], x[1, 2, 3, 3] = float("nan"), float("inf")
    with torch.no_grad():
        torch.testing.assert_close(layer(x), model(x), equal_nan=True, rtol=1e-4, atol=1e-4)


def test_arguments_are_those_of_a_convolution():
    torch.manual_seed(3)
    layer = Extract2d(4, 6, 3, 2, 1, bias=True, pool_size=3, pool_stride=1, ceil_mode=True)
    torch.manual_seed(3)
    convolution = nn.Conv2d(4, 6, 3, 2, 1)
    assert isinstance(layer, nn.Conv2d)
    for name, value in convolution.state_dict().items():
        assert torch.equal(layer.state_dict()[name], value)
    assert repr(layer) == (
        "Extract2d(4, 6, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), activation='relu', "
        "pool='max', pool_size=3, pool_stride=1, ceil_mode=True)"
    )
    for option, value in (("activation", "gelu"), ("pool", "avg"), ("padding_mode", "reflect")):
        with pytest.raises(ArgumentError, match=f"Extract2d: {option} must be .*, got '{value}'"):
            Extract2d(3, 4, 3, **{option: value})


def test_a_copy_and_a_saved_layer_answer_the_same():
    layer, _ = pair_of("groups")
    with torch.no_grad():
        answer = layer(images())
        file = io.BytesIO()
        torch.save(layer, file)
        file.seek(0)
        for other in (copy.deepcopy(layer), torch.load(file, weights_only=False)):
            assert torch.equal(other(images()), answer)


def test_compile_in_one_graph_and_export():
    layer, _ = pair_of("the last window")
    x = images().requires_grad_()
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    for a, b in zip(run(compiled, x), run(layer, x), strict=True):
        torch.testing.assert_close(a, b)
    batch = torch.export.Dim("batch", min=2, max=64)
    program = torch.export.export(layer, (images(),), dynamic_shapes={"input": {0: batch}})
    with torch.no_grad():
        other = images(5, 4, 19, 22, seed=2)
        torch.testing.assert_close(program.module()(other), layer(other))


def test_vmap_over_images_and_gradients_of_each():
    layer, _ = pair_of("the lesson", torch.float64)
    x = images(3, 2, 4, 8, 9, dtype=torch.float64)
    parameters = dict(layer.named_parameters())

    def loss(parameters, part):
        return torch.func.functional_call(layer, parameters, (part,)).square().sum()

    slopes = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(parameters, x)
    for i, part in enumerate(x):
        wanted = torch.autograd.grad(layer(part).square().sum(), layer.parameters())
        for name, slope in zip(parameters, wanted, strict=True):
            torch.testing.assert_close(slopes[name][i], slope)


def test_a_small_convnet_trains():
    torch.manual_seed(0)
    model = nn.Sequential(
        Extract2d(1, 8, 3, padding=1), Extract2d(8, 8, 3), nn.Flatten(), nn.Linear(8 * 9, 2)
    )
    x, y = torch.randn(32, 1, 16, 16), torch.arange(32) // 16
    x[:16, :, 4:12] += 1
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    losses = []
    for _ in range(15):
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]

"""PyTorch modules whose strides are replaced: the numbers, the shapes, and what stays."""

import io

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

import attar
from attar.errors import DTypeError, ModelError
from tests.repair_cases import (
    condensed,
    dense_convolution,
    maxima,
    means,
    numbers,
    repaired_pool,
    windows,
)
from tests.rnet import rnet

KINDS = ("blur3", "blur5", "polyphase", "average")


def run(module, x):
    with torch.no_grad():
        return module(torch.from_numpy(np.ascontiguousarray(x))).numpy()


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from(KINDS), st.booleans())
def test_pools_of_any_shape(data, kind, is_mean):
    pairs = st.tuples
    window = data.draw(pairs(st.integers(1, 4), st.integers(1, 4)))
    stride = data.draw(pairs(st.integers(1, 3), st.integers(1, 3)))
    sizes = data.draw(pairs(st.integers(1, 9), st.integers(1, 9)))
    pad = tuple(data.draw(st.integers(0, size // 2)) for size in window)
    ceil_mode = data.draw(st.booleans())
    assume(max(stride) > 1 and not (is_mean and kind == "average"))
    sides = [(side, side) for side in pad]
    every = zip(sizes, window, stride, sides, strict=True)
    assume(all(windows(*each, ceil_mode) > 0 for each in every))
    if is_mean:
        pool = nn.AvgPool2d(window, stride, pad, ceil_mode, count_include_pad=False)
    else:
        pool = nn.MaxPool2d(window, stride, pad, ceil_mode=ceil_mode)
    x = numbers((2, 3, *sizes))
    model = nn.Sequential(pool)
    after = run(attar.repair(model, kind).model, x)
    assert after.shape == run(model, x).shape
    reduce = means if is_mean else maxima
    wanted = repaired_pool(x, window, stride, [*pad, *pad], ceil_mode, kind, reduce)
    np.testing.assert_allclose(after, wanted, atol=1e-5)
    assert model[0] is pool
    assert type(pool) in (nn.AvgPool2d, nn.MaxPool2d)


@pytest.mark.parametrize("divisor", [None, 3])
def test_means_that_count_padding(divisor):
    pool = nn.AvgPool2d(3, 2, 1, divisor_override=divisor)
    x = numbers((2, 3, 8, 9))
    dense = run(nn.AvgPool2d(3, 1, 1, divisor_override=divisor), x)
    for kind in ("blur3", "polyphase"):
        after = run(attar.repair(pool_model(pool), kind).model, x)
        np.testing.assert_allclose(after, condensed(dense, kind, (2, 2)), atol=1e-5)


def pool_model(pool):
    return nn.Sequential(pool)


class Net(nn.Module):
    """Convolutions that go round, a shortcut, a function that pools, dropout that is called."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 1, 1, padding_mode="circular")
        self.conv1 = nn.Conv2d(8, 8, 3, 2, 1, padding_mode="circular", bias=False)
        self.norm1 = nn.BatchNorm2d(8)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(8, 8, 3, 1, 1, padding_mode="circular")
        self.down = nn.Sequential(nn.Conv2d(8, 8, 1, 2), nn.BatchNorm2d(8))
        self.classes = nn.Linear(8, 5)
        self.never_called = nn.Linear(2, 2)
        for norm in (self.norm1, self.down[1]):
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2)

    def forward(self, x):
        x = self.relu(self.stem(x))
        y = self.conv2(self.relu(self.norm1(self.conv1(x))))
        x = functional.relu(y + self.down(x))
        x = functional.max_pool2d(x, 2)
        x = functional.dropout(x, 0.5, self.training)
        return self.classes(functional.adaptive_avg_pool2d(x, 1).flatten(1))


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Net().eval()


def test_convolutions_wait_for_their_activation(net):
    chain = nn.Sequential(net.conv1, net.norm1, net.relu)
    x = numbers((2, 8, 11, 8))
    for kind in KINDS:
        repaired = attar.repair(chain, kind)
        assert repaired.replaced[0].why == "behind 2"
        wide = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="wrap")
        dense = dense_convolution(wide, net.conv1.weight.detach(), [0] * 4)
        with torch.no_grad():
            dense = torch.relu(net.norm1(torch.from_numpy(dense).float())).numpy()
        wanted = condensed(dense, kind, (2, 2))
        np.testing.assert_allclose(run(repaired.model, x), wanted, atol=1e-4)


@pytest.mark.parametrize("sizes", [(16, 16), (32, 8)])
def test_a_shared_phase_forgets_circular_shifts(net, sizes):
    repaired = attar.repair(net, "polyphase", border="circular")
    whys = {each.layer: each.why for each in repaired.replaced}
    assert whys == {
        "conv1": "behind relu",
        "down.0": "before it, phase of conv1",
        "max_pool2d": "behind it",
    }
    x = numbers((5, 3, *sizes))
    answer, plain = run(repaired.model, x), run(net, x)
    changed = 0.0
    for dy in range(5):
        for dx in range(5):
            moved = np.roll(x, (dy, dx), (2, 3))
            after = run(repaired.model, moved)
            np.testing.assert_allclose(after, answer, rtol=1e-4, atol=1e-5)
            assert (after.argmax(1) == answer.argmax(1)).all()
            changed = max(changed, float(np.abs(run(net, moved) - plain).max()))
    assert changed > 0.01


def test_weights_modes_and_the_module_itself_stay(net):
    before = {name: value.clone() for name, value in net.state_dict().items()}
    net.train()
    net.norm1.eval()  # frozen, as for fine-tuning
    repaired = attar.repair(net, "blur3").model
    assert set(repaired.state_dict()) == set(before)
    for name, value in repaired.state_dict().items():
        assert torch.equal(value, before[name]), name
        assert value.data_ptr() != net.state_dict()[name].data_ptr()
    assert net.conv1.stride == (2, 2)
    assert (repaired.training, repaired.norm1.training, repaired.stem.training) == (
        True,
        False,
        True,
    )
    repaired.load_state_dict(net.state_dict())
    # Dropout that a forward calls follows the mode, though it was traced in one.
    x = torch.from_numpy(numbers((2, 3, 16, 16)))
    assert not torch.equal(repaired(x), repaired(x))
    repaired.eval()
    assert torch.equal(repaired(x), repaired(x))


@pytest.mark.parametrize("kind", KINDS)
def test_it_trains_is_pickled_compiled_to_onnx_and_counts_no_gradient_twice(net, kind, tmp_path):
    repaired = attar.repair(net, kind)
    x = torch.from_numpy(numbers((2, 3, 17, 16))).requires_grad_()
    repaired.model.train()
    repaired.model(x).square().sum().backward()
    assert all(each.grad is not None for name, each in repaired.model.named_parameters()
               if not name.startswith("never_called"))  # fmt: skip
    assert x.grad.abs().sum() > 0
    repaired.model.eval()
    repaired.save(tmp_path / "net.pt")
    again = torch.load(tmp_path / "net.pt", weights_only=False)
    assert torch.equal(again(x), repaired.model(x))


@pytest.mark.filterwarnings("ignore")  # of the exporter
@pytest.mark.parametrize("kind", ["blur3", "polyphase"])
def test_a_repaired_module_as_onnx_is_the_onnx_file_repaired(net, kind):
    """Two ways to the same numbers, through two rooms."""

    def exported(module):
        file = io.BytesIO()
        torch.onnx.export(
            module, (torch.zeros(1, 3, 16, 16),), file, dynamo=False, input_names=["x"],
            output_names=["y"],
        )  # fmt: skip
        return file.getvalue()

    one = attar.open_model(exported(attar.repair(net, kind).model), output_kind="vector")
    other = attar.open_model(attar.repair(exported(net), kind).model, output_kind="vector")
    images = np.random.default_rng(0).random((3, 16, 16, 3), np.float32)
    np.testing.assert_allclose(one.predict(images), other.predict(images), atol=1e-4)
    assert not np.allclose(one.predict(images), attar.open_model(net).predict(images), atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_the_real_rnet_keeps_its_shapes_and_its_way_through(kind):
    module = rnet()
    repaired = attar.repair(module, kind)
    assert [each.layer for each in repaired.replaced] == ["pool1", "pool2"]
    x = numbers((2, 3, 24, 24))
    with torch.no_grad():
        given = torch.from_numpy(x)
        for one, other in zip(repaired.model(given), module(given), strict=True):
            assert one.shape == other.shape
        maps = module.prelu1(module.conv1(given)).numpy()
        wanted = repaired_pool(maps, (3, 3), (2, 2), [0] * 4, True, kind)
        inner = repaired.model.pool1(torch.from_numpy(maps))
        if kind not in ("average", "polyphase"):
            inner = repaired.model.pool1_condensed(inner)
            np.testing.assert_allclose(inner.numpy(), wanted, atol=1e-4)


class Several(nn.Module):
    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x[0] if getattr(self.layers[-1], "return_indices", False) else x


class Half(nn.Module):
    def forward(self, x):
        return x[:, :, ::2, ::2]


LEFT = {
    "dilated": (nn.MaxPool2d(2, 2, dilation=2), "it is dilated"),
    "places": (nn.MaxPool2d(2, return_indices=True), "the places of its maxima are asked for"),
    "counted": (nn.AvgPool2d(3, 2, 1, ceil_mode=True),
                "it counts padding, and where it rounds up the padding is not known"),
    "norm": (nn.LPPool2d(2, 2), "a norm is not among what is replaced"),
    "slice": (Half(), "it leaves places out as a slice, which is not among what is replaced"),
}  # fmt: skip


@pytest.mark.parametrize("name", LEFT)
def test_what_stays_is_listed_with_the_reason(name):
    layer, why = LEFT[name]
    module = Several(layer)
    repaired = attar.repair(module, "blur3")
    assert [(each.now, each.why) for each in repaired.replaced] == [("", f"stays: {why}")]
    x = numbers((1, 2, 9, 9))
    np.testing.assert_array_equal(run(repaired.model, x), run(module, x))


def test_a_convolution_that_is_called_twice_has_no_phase_of_its_own():
    conv = nn.Conv2d(2, 2, 3, 2, 1)
    x = numbers((1, 2, 16, 16))
    module = Several(conv, conv)
    repaired = attar.repair(module, "polyphase")
    assert all("it is called 2 times" in each.why for each in repaired.replaced)
    np.testing.assert_array_equal(run(repaired.model, x), run(module, x))
    after = run(attar.repair(module, "blur3").model, x)
    wanted = x
    for _ in range(2):
        dense = dense_convolution(wanted, conv.weight.detach(), [1] * 4)
        dense += conv.bias.detach().numpy()[:, None, None]
        wanted = condensed(dense, "blur3", (2, 2))
    np.testing.assert_allclose(after, wanted, atol=1e-4)


def test_one_axis_stays():
    class Rows(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.pool = nn.Conv1d(3, 4, 3, stride=2), nn.MaxPool1d(2)

        def forward(self, x):
            return self.pool(self.conv(x))

    repaired = attar.repair(Rows(), "blur3")
    assert [each.why for each in repaired.replaced] == [
        "stays: it does not work along height and width"
    ] * 2


def test_modules_that_cannot_be_traced():
    class Decides(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(
        ModelError, match=r"torch\.fx cannot trace Decides .*Export the module as ONNX"
    ):
        attar.repair(Decides(), "blur3")
    with pytest.raises(DTypeError, match=r"repair: model must be a path, .* got builtins.int"):
        attar.repair(3, "blur3")


@pytest.mark.filterwarnings("ignore:`isinstance:FutureWarning")
def test_exported_programs():
    program = torch.export.export(nn.Sequential(nn.MaxPool2d(2)), (torch.zeros(1, 1, 8, 8),))
    with pytest.raises(ModelError, match="the module is an exported program"):
        attar.repair(program.module(), "blur3")


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_compiled_scripts():
    with pytest.raises(ModelError, match="the module is a compiled script"):
        attar.repair(torch.jit.script(nn.Sequential(nn.MaxPool2d(2))), "blur3")

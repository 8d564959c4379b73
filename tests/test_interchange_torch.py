"""PyTorch modules taken over: the same numbers, the modules' names, no change to the module."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from attar import Sequential
from attar.errors import ModelError
from attar.interchange.onnx import read as read_onnx
from attar.interchange.torch import read

from .cases import random


def settle(module, seed=0):
    """Give every parameter and statistic of a module numbers that show."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        if name.endswith("running_var"):
            tensor.data.uniform_(0.5, 2, generator=generator)
        elif tensor.is_floating_point():
            tensor.data.normal_(0, 0.3, generator=generator)
    return module


def expected(module, x):
    modes = [(each, each.training) for each in module.modules()]
    with torch.no_grad(), warnings.catch_warnings(action="ignore"):  # of an even window, "same"
        answer = module.eval()(torch.from_numpy(first(x))).numpy()
    for each, mode in modes:
        each.training = mode
    return answer.transpose(0, 2, 3, 1) if answer.ndim == 4 else answer


def first(x):
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2)) if x.ndim == 4 else x


def close(answer, wanted, tolerance=1e-5):
    assert answer.shape == wanted.shape
    assert np.abs(answer - wanted).max() <= tolerance * max(1, np.abs(wanted).max())


class Calls(nn.Module):
    """A module whose forward is a function of itself and the image."""

    def __init__(self, function, **modules):
        super().__init__()
        self.function = function
        for name, module in modules.items():
            setattr(self, name, module)

    def forward(self, x):
        return self.function(self, x)


class BasicBlock(nn.Module):
    def __init__(self, channels_in, channels, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = None
        if stride != 1 or channels_in != channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x):
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += identity
        return self.relu(out)


class ResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = nn.Sequential(BasicBlock(8, 8), BasicBlock(8, 8))
        self.layer2 = nn.Sequential(BasicBlock(8, 16, 2), BasicBlock(16, 16))
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(16, 10)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer2(self.layer1(x))
        return self.fc(torch.flatten(self.avgpool(x), 1))


def conv(*arguments, **options):
    return nn.Conv2d(*arguments, **options)


SHAPE = (14, 11, 4)
F = functional
CASES = {
    "conv": conv(4, 6, 3),
    "conv all at once": conv(
        4, 6, (3, 2), stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2, bias=False
    ),
    "conv same": conv(4, 6, 4, padding="same"),
    "conv valid": conv(4, 6, 4, padding="valid"),
    "norm": nn.BatchNorm2d(4, eps=1e-2),
    "norm without weights": nn.BatchNorm2d(4, affine=False),
    "pools": nn.Sequential(
        conv(4, 4, 1), nn.MaxPool2d(3, 2, 1, ceil_mode=True), nn.AvgPool2d(3, 1, 1)
    ),
    "pools of 2 numbers": nn.MaxPool2d((2, 3), (1, 2), (1, 0)),
    "mean without padding": nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False),
    "mean with padding": nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=True),
    "adaptive": nn.AdaptiveAvgPool2d((7, 11)),
    "adaptive maximum": nn.AdaptiveMaxPool2d((None, 1)),
    "prelu": nn.Sequential(nn.PReLU(4), nn.PReLU()),
    "activations": nn.Sequential(
        nn.LeakyReLU(0.1), nn.ELU(0.5), nn.SELU(), nn.GELU(), nn.SiLU(), nn.Softsign(), nn.Tanh(),
        nn.Softplus(), nn.Hardswish(), nn.Hardsigmoid(), nn.Sigmoid(),
    ),
    "rectified": nn.Sequential(nn.ReLU6(), nn.Hardtanh(0, 0.5)),
    "softmax": nn.Sequential(nn.Softmax(1), nn.Softmax2d(), nn.Softmax(2)),
    "padding": nn.Sequential(nn.ZeroPad2d((1, 2, 3, 0)), nn.ConstantPad2d(1, 0.0)),
    "flatten": nn.Flatten(),
    "dense": nn.Sequential(
        conv(4, 6, 3, stride=3), nn.Flatten(), nn.Dropout(), nn.Linear(72, 8), nn.BatchNorm1d(8),
        nn.Linear(8, 3, bias=False),
    ),
    "flat norm": nn.Sequential(
        nn.MaxPool2d(4), nn.Flatten(), nn.BatchNorm1d(24), nn.ReLU(), nn.PReLU(24), nn.Linear(24, 5)
    ),
    "of a pixel": nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)),
    "identity": nn.Sequential(nn.Identity(), nn.Dropout2d()),
    "resnet": ResNet(),
    "functions": Calls(
        lambda self, x: F.avg_pool2d(F.max_pool2d(F.relu(self.c(x)), 2, ceil_mode=True), 2),
        c=conv(4, 4, 3),
    ),
    "methods": Calls(lambda self, x: self.c(x).relu().mean((2, 3)).softmax(1), c=conv(4, 4, 3)),
    "view": Calls(lambda self, x: self.f(x.view(x.size(0), -1)), f=nn.Linear(14 * 11 * 4, 3)),
    "view of a shape": Calls(
        lambda self, x: self.f(x.reshape(x.shape[0], x.shape[1] * 14 * 11)),
        f=nn.Linear(14 * 11 * 4, 3),
    ),
    "concatenation": Calls(
        lambda self, x: torch.cat([self.a(x), self.b(x), x], 1), a=conv(4, 2, 1), b=conv(4, 3, 1)
    ),
    "joined vectors": Calls(
        lambda self, x: self.f(torch.cat([torch.flatten(x, 1), x.flatten(1)], 1)),
        f=nn.Linear(2 * 14 * 11 * 4, 3),
    ),
    "arithmetic": Calls(
        lambda self, x: 1 - (self.a(x) - x) * 2 / (4 + 1) + 0.5 * x * x, a=conv(4, 4, 1)
    ),
    "functional weights": Calls(
        lambda self, x: F.conv2d(x, self.c.weight, None, 2), c=conv(4, 4, 3)
    ),
    "squeeze and excite": Calls(
        lambda self, x: x * torch.sigmoid(self.f(x.mean((2, 3)))).view(-1, 4, 1, 1),
        f=nn.Linear(4, 4),
    ),
    "shuffled": Calls(
        lambda self, x: self.c(
            x.view(x.size(0), 2, 2, 14, 11).transpose(1, 2).contiguous().view(-1, 4, 14, 11)
        ),
        c=conv(4, 4, 1),
    ),
    "turned": Calls(
        lambda self, x: self.f(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), f=nn.Linear(4, 5)
    ),
    "padded": Calls(lambda self, x: self.c(F.pad(x, (1, 0, 2, 3))), c=conv(4, 4, 3)),
    "clamped": Calls(lambda self, x: self.c(x).clamp(min=0, max=1), c=conv(4, 4, 1)),
    "other than in training": Calls(
        lambda self, x: F.dropout(self.c(x) if self.training else x, 0.9, self.training),
        c=conv(4, 4, 1),
    ),
    "squeezed": Calls(lambda self, x: F.adaptive_max_pool2d(x, 1).squeeze((2, 3))),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_numbers(name):
    module, shape = settle(CASES[name]).train(), (32, 32, 3) if name == "resnet" else SHAPE
    x = random((2, *shape))
    graph = read(module, shape)
    model = Sequential(graph)
    close(model(x), expected(module, x))
    close(list(model.trace(x).values())[-1], expected(module, x))


def test_the_names_are_those_of_the_modules():
    names = read(ResNet()).names()
    assert names[:4] == ["conv1", "bn1", "relu", "maxpool"]
    assert "layer2.0.downsample.1" in names
    assert names[-3:] == ["avgpool", "flatten", "fc"]
    assert names.count("layer1.0.relu") == names.count("layer1.0.relu:2") == 1


def test_a_module_that_is_called_twice_has_one_set_of_weights():
    module = settle(Calls(lambda self, x: self.c(F.relu(self.c(x))), c=conv(4, 4, 3)))
    graph = read(module)
    assert [len(layer.get_weights()) for layer in graph.layers] == [2, 0]
    assert len(graph) == 3
    x = random((1, *SHAPE))
    close(Sequential(graph)(x), expected(module, x))


def test_a_dense_layer_behind_maps_and_behind_vectors_is_two_layers():
    # Its weights are laid out anew for maps, and as they are for vectors.
    module = settle(
        Calls(lambda self, x: self.f(self.f(torch.flatten(x, 1))), f=nn.Linear(616, 616))
    )
    x = random((1, *SHAPE))
    close(Sequential(read(module, SHAPE))(x), expected(module, x))


def test_the_channels_follow_from_the_first_layers():
    graph = read(nn.Sequential(nn.ReLU(), conv(5, 2, 3)))
    assert graph.input_shape == (None, None, 5)
    assert read(nn.Sequential(nn.Linear(7, 2))).input_shape == (7,)
    with pytest.raises(ModelError, match=r"channels .* cannot be seen .*input_shape=\(H, W, C\)"):
        read(nn.Sequential(nn.Flatten(), nn.Linear(7, 2)))


def test_the_module_stays_as_it_was():
    module = ResNet()
    module.layer1.eval()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    x = random((1, 32, 32, 3))
    model = Sequential(read(module))
    close(model(x), expected(module, x))  # as in evaluation, though it is in training
    assert module.training
    assert not module.layer1[0].bn1.training
    assert module.layer2[0].bn1.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())


def test_weights_are_copies():
    module = settle(conv(4, 2, 1))
    graph = read(module)
    kernel = graph.layers[0].get_weights()[0]
    with torch.no_grad():
        module.weight.zero_()
    assert np.array_equal(graph.layers[0].get_weights()[0], kernel)
    assert kernel.any()


@pytest.mark.parametrize("name", ["resnet", "dense", "view", "squeeze and excite", "shuffled"])
def test_through_onnx(name, tmp_path):
    """The exporter's operators, read as ONNX, give PyTorch's numbers too."""
    shape = (32, 32, 3) if name == "resnet" else SHAPE
    module = settle(CASES[name]).eval()
    x = random((2, *shape))
    path = tmp_path / "model.onnx"
    with warnings.catch_warnings(action="ignore"):  # that another exporter is newer
        torch.onnx.export(
            module, (torch.from_numpy(first(x)),), path, dynamo=False, input_names=["image"],
            dynamic_axes={"image": {0: "N"}},
        )  # fmt: skip
    close(Sequential(read_onnx(path))(x), expected(module, x))


# ---------------------------------------------------------------------- what is not, by name


class Decides(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


def hooked():
    module = nn.Sequential(conv(4, 4, 1))
    module[0].register_forward_hook(lambda *_: None)
    return module


REFUSED = {
    "a module": (
        nn.Sequential(conv(4, 4, 1), nn.LSTM(3, 3)),
        r"the module '1' \(LSTM\) cannot be taken over; cut the module before it",
    ),
    "a module of another's": (
        nn.Sequential(conv(4, 4, 1), nn.InstanceNorm2d(4)), r"'1' \(InstanceNorm2d\)",
    ),
    "a function": (
        Calls(lambda self, x: F.interpolate(self.c(x), (3, 3)), c=conv(4, 4, 1)),
        r"the call 'interpolate' \(interpolate\) cannot be taken over",
    ),
    "a method": (Calls(lambda self, x: x.sort()), r"\(Tensor.sort\) cannot be taken over"),
    "a decision": (Decides(), "Decides cannot be traced .*must not decide by the numbers"),
    "reflection": (conv(4, 4, 3, padding=1, padding_mode="reflect"), "padding_mode='reflect'"),
    "dilated pool": (nn.MaxPool2d(2, dilation=2), "has dilation 2"),
    "indices": (nn.MaxPool2d(2, return_indices=True), "use return_indices=False"),
    "a divisor": (nn.AvgPool2d(2, divisor_override=3), "divisor_override=3"),
    "bins of two sizes": (nn.AdaptiveAvgPool2d(3), "windows of different sizes"),
    "no statistics": (nn.BatchNorm2d(4, track_running_stats=False), "has no running mean"),
    "a threshold": (nn.Softplus(beta=2), "has beta=2"),
    "half precision": (conv(4, 4, 3).half(), r"weight is torch.float16; .*\(.float\(\)\)"),
    "another device": (conv(4, 4, 3, device="meta"), r"is on meta; move the module to the CPU"),
    "hooks": (hooked(), r"'0' \(Conv2d\) has hooks"),
    "two outputs": (
        Calls(lambda self, x: (self.c(x), x), c=conv(4, 4, 1)), "returns tuple; one tensor"
    ),
    "cutting": (
        Calls(lambda self, x: self.c(x)[:, :2], c=conv(4, 4, 1)), "cuts a map with"
    ),
    "dropout for ever": (Calls(lambda self, x: F.dropout(x)), "drops at random in evaluation too"),
    "a mean over channels": (Calls(lambda self, x: x.mean(1)), r"a mean over the axes \(1,\)"),
    "joined batches": (Calls(lambda self, x: torch.cat([x, x])), "joins batches"),
    "the batch merged": (Calls(lambda self, x: x.view(-1, 4)), "the batch in front"),
    "other channels": (conv(5, 4, 3), "does not fit: .*5"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_taken_over_is_named(name):
    module, message = REFUSED[name]
    with pytest.raises(ModelError, match=message):
        read(module, SHAPE)


def test_files_are_not_unpickled(tmp_path):
    path = tmp_path / "model.pt"
    torch.save(ResNet().state_dict(), path)
    with pytest.raises(ModelError, match=r"pickles and can run code; .*weights_only=True"):
        read(path)
    with pytest.raises(ModelError, match=r"takes a torch.nn.Module, got dict"):
        read({})


def test_a_shape_in_the_order_of_pytorch_is_noticed():
    with pytest.raises(ModelError, match=r"\(H, W, C\), got \(3, 32, 64\): .* takes 3 channels"):
        read(ResNet(), (3, 32, 64))


def test_sizes_that_are_needed_are_asked_for():
    with pytest.raises(ModelError, match=r"depends on the size .*pass input_shape=\(H, W, C\)"):
        read(nn.Sequential(conv(4, 4, 1), nn.AdaptiveAvgPool2d(7)))

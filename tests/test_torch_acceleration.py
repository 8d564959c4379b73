"""`accelerate` and `restore`: what changes in a model, and what does not."""

import copy
import io

import numpy as np
import pytest
import torch
from torch import nn

import attar
import attar.torch
from attar.errors import DTypeError
from attar.torch import accelerate, restore

from .vgg16 import BLOCKS, CHANNELS, vgg16_weights


class Net(nn.Module):
    """Shared layers, nested containers, windows that ceil_mode keeps: what real models have."""

    def __init__(self):
        super().__init__()
        relu = nn.ReLU(inplace=True)
        self.base = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            relu,
            nn.MaxPool2d(3, 2, ceil_mode=True),
            nn.Sequential(
                nn.Conv2d(8, 8, 3, padding="same"), relu, nn.AvgPool2d(2, ceil_mode=True)
            ),
            nn.Conv2d(8, 16, (3, 2), stride=(1, 2), groups=2, bias=False),
            nn.MaxPool2d((2, 3), (2, 1), (1, 0)),
        )
        self.pool = nn.MaxPool2d(2, ceil_mode=True)
        self.alias = self.pool
        self.blocks = nn.ModuleDict({"a": nn.ModuleList([self.pool, nn.LPPool2d(2, 1)])})
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 4))

    def forward(self, x):
        x = self.alias(self.base(x))
        for block in self.blocks["a"]:
            x = block(x)
        return self.head(x)


def settled(model):
    torch.manual_seed(0)
    for parameter in model.parameters():
        nn.init.normal_(parameter, 0, 0.3)
    return model


def everything(model):
    """All that restore must bring back."""
    return [
        (name, type(module), id(module), sorted(vars(module)), module.training)
        for name, module in model.named_modules(remove_duplicate=False)
    ]


def test_a_model_answers_the_same_with_the_same_parameters():
    model, x = settled(Net()), torch.randn(2, 3, 45, 47)
    before, parameters = model.eval()(x), dict(model.named_parameters())
    state = list(model.state_dict())
    report = accelerate(model)
    assert [swap.names for swap in report.swapped] == [
        ("base.0", "base.1", "base.2"), ("base.4", "base.5"), ("base.3.0", "base.3.1"),
        ("base.3.2",), ("pool",), ("blocks.a.1",), ("head.0",),
    ]  # fmt: skip
    assert report.left == ()
    with torch.no_grad():
        for layout in (torch.contiguous_format, torch.channels_last):
            torch.testing.assert_close(model(x.contiguous(memory_format=layout)), before)
    assert list(model.state_dict()) == state
    assert all(found is parameters[name] for name, found in model.named_parameters())
    assert not any(module.training for module in model.modules())


def test_a_layer_in_two_places_stays_one_layer():
    model = Net()
    accelerate(model)
    assert model.pool is model.alias is model.blocks["a"][0]
    assert type(model.pool) is attar.torch.MaxPool2d
    assert not isinstance(model.base[3][1], nn.ReLU)  # the one behind the first convolution too
    restore(model)
    assert model.base[1] is model.base[3][1]


def test_restore_brings_everything_back():
    model, x = settled(Net()), torch.randn(2, 3, 45, 47)
    before, text, answer = everything(model), repr(model), model(x)
    accelerate(model)
    with torch.no_grad():
        model(x)
    assert repr(model) != text
    restore(model)
    assert everything(model) == before
    assert repr(model) == text
    torch.testing.assert_close(model(x), answer)
    restore(model)  # nothing to do
    assert everything(model) == before


def test_restore_keeps_the_mode_and_what_was_attars_before():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.MaxPool2d(2), attar.torch.AvgPool2d(2))
    accelerate(model)
    model.eval()
    restore(model)
    assert not any(module.training for module in model.modules())
    assert [type(layer) for layer in model] == [nn.Conv2d, nn.MaxPool2d, attar.torch.AvgPool2d]


def test_a_copy_and_a_loaded_model_can_be_restored():
    model = settled(Net()).eval()
    text, x = repr(model), torch.randn(1, 3, 45, 47)
    accelerate(model)
    with torch.no_grad():
        answer = model(x)  # weights are prepared now, and not a part of the copies
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    for other in (copy.deepcopy(model), torch.load(file, weights_only=False)):
        with torch.no_grad():
            assert torch.equal(other(x), answer)
        restore(other)
        assert repr(other) == text
    assert repr(model) != text


def test_a_second_time_there_is_nothing_to_do():
    model = Net()
    accelerate(model)
    text = repr(model)
    assert accelerate(model).swapped == ()
    assert repr(model) == text


def test_the_model_itself_may_be_a_pool():
    pool = nn.MaxPool2d(2)
    assert str(accelerate(pool)).splitlines()[-1].split() == [
        "the", "model", "MaxPool2d", "MaxPool2d", "of", "attar",
    ]  # fmt: skip
    assert type(pool) is attar.torch.MaxPool2d
    restore(pool)
    assert type(pool) is nn.MaxPool2d


class Doubled(nn.MaxPool2d):
    def forward(self, x):
        return 2 * super().forward(x)


class Reversed(nn.Sequential):
    def forward(self, x):
        for layer in reversed(self):
            x = layer(x)
        return x


def hooked(layer, register="register_forward_hook"):
    getattr(layer, register)(lambda *_: None)
    return layer


def patched(layer):
    layer.forward = nn.Identity().forward
    return layer


def chain(convolution=None, relu=None, pool=None):
    return nn.Sequential(
        convolution or nn.Conv2d(3, 4, 3), relu or nn.ReLU(), pool or nn.MaxPool2d(2)
    )


@pytest.mark.parametrize(
    ("model", "reasons"),
    [
        (nn.Sequential(Doubled(2)), {"0": "is a subclass of MaxPool2d"}),
        (nn.Sequential(patched(nn.AvgPool2d(2))), {"0": "has a forward of its own"}),
        *(
            (nn.Sequential(hooked(nn.AvgPool2d(2), register)), {"0": "has hooks"})
            for register in (
                "register_forward_hook",
                "register_forward_pre_hook",
                "register_full_backward_hook",
                "register_full_backward_pre_hook",
            )
        ),
        (chain(hooked(nn.Conv2d(3, 4, 3))), {"0": "has hooks"}),
        (chain(relu=hooked(nn.ReLU())), {"0": "1 behind it has hooks"}),
        (chain(pool=hooked(nn.MaxPool2d(2))), {"0": "2 behind it has hooks", "2": "has hooks"}),
        (chain(pool=nn.MaxPool2d(2, return_indices=True)), {"0": "2 behind it returns indices"}),
        (chain(pool=nn.MaxPool2d(2, dilation=2)), {"0": "2 behind it is dilated"}),
        (
            chain(nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect")),
            {"0": "has padding_mode='reflect'"},
        ),
        (
            chain(nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3))),
            {"0": "is a subclass of Conv2d"},
        ),
    ],
)
def test_what_is_left_and_why(model, reasons):
    before = everything(model)
    report = accelerate(model)
    assert {each.name: each.reason for each in report.left} == reasons
    for name, reason in reasons.items():
        row = next(line for line in str(report).splitlines() if line.startswith(f"{name} "))
        assert row.endswith(f"left: {reason}")
        assert type(model[int(name)]) in [kind for _, kind, *_ in before]
    assert not any(isinstance(each, attar.torch.Extract2d) for each in model)
    restore(model)
    assert everything(model) == before


def test_a_convolution_in_two_places_is_not_fused():
    convolution = nn.Conv2d(4, 4, 3)
    model = nn.Sequential(convolution, nn.ReLU(), nn.MaxPool2d(2), convolution)
    report = accelerate(model)
    assert [(each.name, each.reason) for each in report.left] == [("0", "is used in 2 places")]
    assert [type(layer).__module__.partition(".")[0] for layer in model] == [
        "torch", "torch", "attar", "torch",
    ]  # fmt: skip


def test_a_container_in_two_places_is_fused_once():
    block = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.MaxPool2d(2))
    model, x = settled(nn.Sequential(block, nn.ReLU(), block)), torch.randn(1, 4, 16, 16)
    answer = model(x)
    assert len(accelerate(model).swapped) == 1
    assert model[0] is model[2]
    with torch.no_grad():
        torch.testing.assert_close(model(x), answer)


def test_a_container_with_an_order_of_its_own_is_not_fused():
    model, x = settled(Reversed(nn.Conv2d(3, 3, 3), nn.MaxPool2d(2))), torch.randn(1, 3, 16, 16)
    answer = model(x)
    assert [swap.before for swap in accelerate(model).swapped] == [("MaxPool2d",)]
    assert torch.equal(model(x), answer)


def test_models_without_pools_and_things_that_are_no_models():
    assert str(accelerate(nn.Linear(2, 2))) == "nothing to accelerate"
    for function in (accelerate, restore):
        with pytest.raises(DTypeError, match=r"takes a torch\.nn\.Module, got list"):
            function([nn.MaxPool2d(2)])


def test_an_accelerated_model_is_compiled_and_traced_by_fx():
    model, x = settled(Net()).eval(), torch.randn(1, 3, 45, 47)
    answer = model(x)
    accelerate(model)
    with torch.no_grad():
        torch.testing.assert_close(torch.fx.symbolic_trace(model)(x), answer)
        compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
        torch.testing.assert_close(compiled(x), answer)


def test_the_real_vgg16():
    layers, channels = [], 3
    for block, count in BLOCKS.items():
        for i in range(count):
            kernel, bias = map(torch.from_numpy, vgg16_weights()[f"{block}_conv{i + 1}"])
            convolution = nn.Conv2d(channels, CHANNELS[block], 3, padding=1)
            convolution.load_state_dict({"weight": kernel.permute(3, 2, 0, 1), "bias": bias})
            layers += [convolution, nn.ReLU(inplace=True)]
            channels = CHANNELS[block]
        layers.append(nn.MaxPool2d(2, 2))
    model = nn.Sequential(*layers).eval()
    image = torch.randn(1, 3, 96, 80) * 60
    with torch.no_grad():
        answer = model(image)
        report = accelerate(model)
        assert [len(swap.names) for swap in report.swapped] == [2, 3] * 2 + [2, 2, 3] * 3
        found = model(image)
    assert (found - answer).abs().max() <= 1e-4 * answer.abs().max()


def test_attar_opens_an_accelerated_model():
    model = settled(chain(pool=nn.MaxPool2d(3, 2, 1))).eval()
    image = torch.randn(1, 3, 20, 22)
    answer = model(image).detach().permute(0, 2, 3, 1)
    accelerate(model)
    opened = attar.Sequential.from_torch(model, input_shape=(20, 22, 3))
    assert np.allclose(opened(image.permute(0, 2, 3, 1).numpy()), answer, atol=1e-5)

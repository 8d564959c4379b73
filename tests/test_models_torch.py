"""PyTorch modules: what is watched is what was there; pickles are for those who trust them."""

import os
import pickle

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import attar
from attar.errors import ModelError

from .cases import random
from .rnet import RNet, rnet


def pictures(count, height, width, channels=3):
    return random((count, height, width, channels)) % 1


def nchw(images):
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))


def nhwc(tensor):
    return tensor.detach().numpy().transpose(0, 2, 3, 1)


# ----------------------------------------------------------------------------- the real R-Net


def test_the_real_rnet():
    module = rnet()
    model = attar.open_model(module, scale=255, mean=127.5, std=128, output=1)
    # Its dense layer takes one size, which it does not say.
    assert (model.input.height, model.input.width) == (24, 24)
    assert "found by trying" in model.input.size_says
    assert model.outputs == ("0", "1")
    assert model.output_kind == "probabilities"
    images = pictures(5, 24, 24)
    given = (nchw(images) * 255 - 127.5) / 128
    with torch.no_grad():
        _, expected = module(given)
        pooled = module.pool1(module.prelu1(module.conv1(given)))
    np.testing.assert_allclose(model.predict(images), expected, atol=1e-6)
    maps = model.run(images)
    assert set(maps) == {name for name, _ in module.named_children()}
    assert list(maps)[:4] == ["conv1", "prelu1", "pool1", "conv2"]
    np.testing.assert_allclose(maps["pool1"], nhwc(pooled), atol=1e-5)
    pool = model.layer("pool1")
    assert pool.output_shape == (11, 11, 28)  # rounded up
    assert (pool.receptive_field, pool.stride) == ((5, 5), (2, 2))
    assert model.layer("conv3").receptive_field == (17, 17)
    assert model.layer("dense4").receptive_field is None  # it reads the places of a flat map
    counted = sum(weight.numel() for weight in module.parameters())
    assert sum(layer.parameters for layer in model.layers) == counted
    with pytest.raises(ModelError, match=r"RNet has 2 outputs \(0, 1\); say which"):
        attar.open_model(module).predict(images)


def test_it_is_known_how_facenet_prepares():
    class Net(RNet):
        __module__ = "facenet_pytorch.models.mtcnn"

    model = attar.open_model(Net(), output=1)
    assert model.preparation.std == (128.0,)
    assert model.input.preparation_says == "known of facenet_pytorch.models.mtcnn"


# --------------------------------------------------------------------------------------- watching


class Block(nn.Module):
    """One ReLU, in place, called three times; a sum without a module; a function."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.norm, self.relu = nn.BatchNorm2d(4), nn.ReLU(inplace=True)

    def forward(self, x):
        y = self.relu(self.norm(self.conv1(x)))
        y = self.conv2(y)
        y += x
        return self.relu(y)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.block = nn.Conv2d(3, 4, 3), Block()
        self.drop, self.dense = nn.Dropout(), nn.Linear(4, 3)

    def forward(self, x):
        x = F.relu_(self.stem(x))
        x = F.max_pool2d(self.block(x), 2)
        return self.dense(self.drop(F.adaptive_avg_pool2d(x, 1).flatten(1)))


def step_by_step(net, x):
    """The same, and nothing overwritten."""
    with torch.no_grad():
        found = {"stem": net.stem(x)}
        found["relu"] = found["stem"].relu()
        found["block.conv1"] = net.block.conv1(found["relu"])
        found["block.norm"] = net.block.norm(found["block.conv1"])
        found["block.relu"] = found["block.norm"].relu()
        found["block.conv2"] = net.block.conv2(found["block.relu"])
        found["block.add"] = found["block.conv2"] + found["relu"]
        found["block.relu:2"] = found["block.add"].relu()
        found["max_pool2d_with_indices"] = F.max_pool2d(found["block.relu:2"], 2)
        found["mean"] = found["max_pool2d_with_indices"].mean((2, 3), keepdim=True)
        found["dense"] = net.dense(found["mean"].flatten(1))
    return found


def test_what_works_in_place_writes_over_nothing_that_was_watched():
    net = Net().eval()
    net.block.norm.running_mean.fill_(0.3)
    model = attar.open_model(net)
    images = pictures(3, 13, 11)
    expected = step_by_step(net, nchw(images))
    assert [layer.name for layer in model.layers] == list(expected)
    for watch in (None, ["block.conv2"], ["stem", "block.norm"]):
        for name, map in model.run(images, watch).items():
            other = expected[name].numpy()
            other = other.transpose(0, 2, 3, 1) if other.ndim == 4 else other
            np.testing.assert_allclose(map, other, atol=1e-5, err_msg=name)
    assert model.layer("block.add").inputs == ("block.conv2", "relu")
    assert model.layer("block.add").receptive_field == (7, 7)
    assert model.layer("block.relu:2").task == "detect"
    assert model.layer("max_pool2d_with_indices").task == "condense"
    assert model.output_kind == "logits"


def test_a_shared_module_has_one_set_of_weights():
    conv = nn.Conv2d(3, 3, 3, padding=1)
    model = attar.open_model(nn.Sequential(conv, nn.ReLU(), conv))
    assert [(layer.name, layer.parameters) for layer in model.layers] == [
        ("0", 84), ("1", 0), ("0:2", 0),
    ]  # fmt: skip
    images = pictures(1, 6, 6)
    maps = model.run(images)
    np.testing.assert_allclose(maps["0:2"], nhwc(conv(conv(nchw(images)).relu())), atol=1e-5)


def test_a_module_stays_as_it_was():
    net = Net().train()
    net.block.eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    modes = [module.training for module in net.modules()]
    images = pictures(4, 12, 12)
    model = attar.open_model(net)
    model.run(images)
    model.predict(images)
    assert modes == [module.training for module in net.modules()]
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name]), name
    with pytest.raises(ModelError, match="fails on images"):
        model._engine.describe(1, 1, 3)
    assert not any(module._forward_hooks for module in net.modules())
    # What is asked twice is answered twice, although Dropout is there.
    np.testing.assert_array_equal(model.predict(images), model.predict(images))


def test_attars_own_modules_are_known():
    import attar.torch as at

    net = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.MaxPool2d(3, 2)).eval()
    plain = attar.open_model(net).layers[-1]
    at.accelerate(net)
    own = attar.open_model(net, size=32)
    assert own.layers[0].kind == "Extract2d"
    assert (own.layers[0].receptive_field, own.layers[0].stride) == ((7, 7), (4, 4))
    assert plain.receptive_field == (7, 7)
    assert own.layers[0].multiply_adds == 15 * 15 * 8 * 27
    pools = {
        at.MaxBlurPool2d(2): ((4, 4), (2, 2)),
        at.BlurPool2d(5, stride=3): ((5, 5), (3, 3)),
        at.PolyphasePool2d(2): ((2, 2), (2, 2)),
        at.SoftPool2d(3, 1): ((3, 3), (1, 1)),
        at.LPPool2d(2, (2, 3)): ((2, 3), (2, 3)),
        at.AvgPool2d(4): ((4, 4), (4, 4)),
        at.MaxPool2d(3, 2, padding=1): ((3, 3), (2, 2)),
    }
    for module, expected in pools.items():
        (layer,) = attar.open_model(nn.Sequential(module)).layers
        assert (layer.receptive_field, layer.stride) == expected, layer
        assert layer.task == "condense"


class Nested(nn.Module):
    def forward(self, x):
        return {"maps": x * 2, "pair": (x, x), "sum": x.sum((2, 3))}


def test_outputs_have_names():
    model = attar.open_model(Nested(), output="sum", size=4)
    assert model.outputs == ("maps", "sum")
    images = pictures(2, 4, 4)
    np.testing.assert_allclose(model.predict(images), images.sum((1, 2)), rtol=1e-5)


class Parts(nn.Module):
    """A map that is put together by writing into it."""

    def __init__(self):
        super().__init__()
        self.conv, self.relu, self.last = nn.Conv2d(3, 3, 1), nn.ReLU(), nn.Conv2d(6, 2, 1)

    def forward(self, x):
        both = torch.zeros(len(x), 6, *x.shape[2:])
        both[:, :3] = self.conv(x)
        both[:, 3:] = x
        both[:, :, 0] += 1
        return self.last(self.relu(both))


def test_maps_that_are_written_by_parts():
    module = Parts()
    model = attar.open_model(module)
    assert {"conv", "relu", "last"} <= {layer.name for layer in model.layers}
    assert model.layer("conv").receptive_field == (1, 1)
    for name in ("relu", "last"):  # what was written where is not told
        assert model.layer(name).receptive_field is None
    images = pictures(2, 8, 8)
    maps = model.run(images)
    np.testing.assert_allclose(maps["last"], nhwc(module(nchw(images))), atol=1e-5)
    np.testing.assert_array_equal(maps["relu"][:, 1:, :, 3:], images[:, 1:])


class Attention(nn.Module):
    """Tokens, whose maps no box describes."""

    def __init__(self):
        super().__init__()
        self.patch, self.attend = (
            nn.Conv2d(3, 8, 4, 4),
            nn.MultiheadAttention(8, 2, batch_first=True),
        )
        self.head = nn.Linear(8, 5)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = x + self.attend(x, x, x, need_weights=False)[0]
        return self.head(x.mean(1))


def test_attention_is_watched_and_has_no_field():
    model = attar.open_model(Attention())
    assert model.layer("patch").receptive_field == (4, 4)
    names = [layer.name for layer in model.layers]
    assert "attend" in names
    assert model.layer("attend").receptive_field is None
    maps = model.run(pictures(3, 16, 16))
    assert maps["attend"].shape == (3, 16, 8)
    assert maps["head"].shape == (3, 5)


def test_an_exported_program_and_a_compiled_script_are_opened(tmp_path):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2)).eval()
    images = pictures(2, 9, 9)
    expected = nhwc(net(nchw(images)))
    # A whole number of images must be told to be free.
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(net, (nchw(images),), dynamic_shapes=({0: batch},))
    torch.export.save(program, tmp_path / "net.pt2")
    with pytest.warns(DeprecationWarning, match="jit"):
        torch.jit.save(torch.jit.trace(net, nchw(images)), tmp_path / "net.pt")
    for file in ("net.pt2", "net.pt"):
        model = attar.open_model(tmp_path / file, trust=True, size=9)
        maps = model.run(images)
        np.testing.assert_allclose(list(maps.values())[-1], expected, atol=1e-5)
        assert model.layers[-1].receptive_field == (4, 4), file


# ------------------------------------------------------------------------------------------- files


class Evil:
    """What runs code when it is opened."""

    def __reduce__(self):
        return os.mkdir, (os.environ["EVIL"],)


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".pt2", ".PT"])
def test_pickles_are_not_opened(suffix, tmp_path, monkeypatch):
    monkeypatch.setenv("EVIL", str(tmp_path / "ran"))
    path = tmp_path / f"model{suffix}"
    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(ModelError, match=r"can run code when it is opened.*trust=True"):
        attar.open_model(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("suffix", [".onnx", ".keras", ".safetensors"])
def test_a_pickle_under_another_name(suffix, tmp_path, monkeypatch):
    monkeypatch.setenv("EVIL", str(tmp_path / "ran"))
    path = tmp_path / f"model{suffix}"
    torch.save(Evil(), path)
    with pytest.raises(ModelError):
        attar.open_model(path)
    assert not (tmp_path / "ran").exists()


def test_pickles_are_opened_for_those_who_trust_them(tmp_path):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    torch.save(net, tmp_path / "net.pt")
    images = pictures(1, 8, 8)
    model = attar.open_model(tmp_path / "net.pt", trust=True)
    np.testing.assert_allclose(model.run(images)["1"], nhwc(net(nchw(images))), atol=1e-6)
    torch.save({"epoch": 3, "model": net}, tmp_path / "net.pth")
    assert len(attar.open_model(tmp_path / "net.pth", trust=True).layers) == 2


@pytest.mark.parametrize(
    ("held", "message"),
    [
        (
            lambda: rnet_weights(),
            r"holds weights \(such as 'conv1.weight'\) and no model: .* class",
        ),
        (lambda: {"state_dict": {}, "epoch": 3}, "holds weights .* and no model"),
        (lambda: [1, 2], "holds list; a torch.nn.Module is accepted"),
    ],
)
def test_weights_alone_are_no_model(held, message, tmp_path):
    torch.save(held(), tmp_path / "weights.pt")
    with pytest.raises(ModelError, match=message):
        attar.open_model(tmp_path / "weights.pt", trust=True)


def rnet_weights():
    return RNet().state_dict()


def test_files_that_are_damaged(tmp_path):
    for name in ("a.pt", "a.pt2"):
        (tmp_path / name).write_bytes(b"damaged")
        with pytest.raises(ModelError, match="PyTorch cannot open"):
            attar.open_model(tmp_path / name, trust=True)
    with pytest.raises(ModelError, match="there is no file"):
        attar.open_model(tmp_path / "missing.pt", trust=True)


# ------------------------------------------------------------------------------------------ refused


class Stubborn(nn.Module):
    def forward(self, x):
        raise RuntimeError("no image is good enough")


def test_modules_that_fail():
    with pytest.raises(ModelError, match=r"takes none of those that were tried.*good enough"):
        attar.open_model(Stubborn())
    with pytest.raises(ModelError, match=r"does not take images of 7 × 9.*good enough"):
        attar.open_model(Stubborn(), size=(7, 9))

    class Nothing(nn.Module):
        def forward(self, x):
            return "text"

    with pytest.raises(ModelError, match="returns no tensor"):
        attar.open_model(Nothing())


def test_a_forward_that_decides_by_numbers():
    class Moody(nn.Module):
        def __init__(self):
            super().__init__()
            self.relu, self.conv = nn.ReLU(), nn.Conv2d(3, 3, 1)

        def forward(self, x):
            return self.conv(x) if x.max() > 0 else self.relu(x)

    model = attar.open_model(Moody())
    assert [layer.name for layer in model.layers] == ["relu"]
    with pytest.raises(ModelError, match="did not come to 'relu' this time"):
        model.run(np.ones((1, 8, 8, 3), np.float32))

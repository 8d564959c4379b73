"""`attar.repair` and `attar repair`: attar's own models, what a repair bought, the shell."""

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import attar
from attar import layers
from attar.errors import ArgumentError, DTypeError, ImageError, ShapeError
from attar.features import shift
from attar.repairing import Replacement
from tests.repair_cases import condensed, dense_convolution, maxima, numbers, repaired_pool

EXAMPLE = Path(__file__).parent.parent / "examples" / "finetune_repaired.py"

# ------------------------------------------------------------------ attar's own models


def own():
    return attar.Sequential(
        [
            layers.Input((17, 14, 3)),
            layers.Conv2D(4, 3, 2, "same", name="conv"),
            layers.ReLU(name="relu"),
            layers.Conv2D(4, 3, 2, "same", activation="relu", name="fused"),
            layers.Conv2D(4, 1, (1, 2), name="pixel"),
            layers.MaxPool2D(2, name="pool"),
        ],
        name="own",
    )


@pytest.mark.parametrize("kind", ["blur3", "blur5", "average"])
def test_attars_own_models(kind):
    model = own()
    x = numbers((2, 17, 14, 3))
    maps = model.trace(x)
    repaired = attar.repair(model, kind)
    after = repaired.model.trace(x)
    assert repaired.model.output_shape == model.output_shape
    assert repaired.framework == "attar"
    assert [each.why for each in repaired.replaced][:3] == ["behind relu", "behind it", "before it"]
    down, across = model.get_layer("conv").windows((2, 17, 14, 3))
    sides = [down.pad_before, across.pad_before, down.pad_after, across.pad_after]
    kernel, bias = model.get_layer("conv").get_weights()
    dense = dense_convolution(np.moveaxis(x, 3, 1), kernel.transpose(3, 2, 0, 1), sides)
    dense = np.maximum(dense + bias[:, None, None], 0)
    found = np.moveaxis(after["conv_condensed"], 3, 1)
    np.testing.assert_allclose(found, condensed(dense, kind, (2, 2)), atol=1e-5)
    found = np.moveaxis(after["pool"], 3, 1)
    given = np.moveaxis(after["pixel"], 3, 1)
    wanted = repaired_pool(given, (2, 2), (2, 2), [0] * 4, False, kind, maxima)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    for one, other in zip(repaired.model.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    for name, map in model.trace(x).items():
        np.testing.assert_array_equal(map, maps[name])


def test_what_attars_layers_do_not_have():
    for options in ({"pool": "polyphase"}, {"pool": "blur3", "border": "circular"}):
        with pytest.raises(ArgumentError, match=r"attar\.Sequential has no layers for .*to_onnx"):
            attar.repair(own(), **options)
    blurred = attar.repair(own()).model
    assert all("blurred already" in each.why for each in attar.repair(blurred).replaced)


# ------------------------------------------------------------------ what it bought


@pytest.fixture(scope="module")
def net():
    """Separates bright from dark, and by which of two columns is bright: that wobbles."""
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, 2, 1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(6 * 16, 3)
    ).eval()


def classes_by(module, images):
    """The classes of pictures that are prepared as the model is told to."""
    prepared = torch.from_numpy((images * 2 - 0.5) / 0.4).permute(0, 3, 1, 2)
    with torch.no_grad():
        return module(prepared).argmax(1).numpy()


def test_numbers_before_and_after_are_those_of_plain_code(net):
    images = np.random.default_rng(0).random((12, 16, 16, 1), np.float32)
    labels = classes_by(net, images)
    labels[:3] = (labels[:3] + 1) % 3  # so that some are wrong
    done = []
    model = attar.open_model(net, size=16, scale=2, mean=0.5, std=0.4, output_kind="logits")
    repaired = attar.repair(
        model, "blur3", images=images, labels=labels, modes=("zero", "circular"), reach=1,
        progress=lambda count, total: done.append((count, total)),
    )  # fmt: skip
    bought = repaired.bought
    assert done[-1][0] == done[-1][1]
    assert bought.images == 12
    for module, measured in ((net, bought.before), (repaired.model, bought.after)):
        unmoved = classes_by(module, images)
        assert measured.accuracy == pytest.approx((unmoved == labels).mean())
        for mode, found in zip(("zero", "circular"), measured.shift.modes, strict=True):
            same = [
                classes_by(module, np.stack([shift(image, dy, dx, mode=mode) for image in images]))
                == unmoved
                for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0)
            ]  # fmt: skip
            assert found.mode == mode
            assert found.classes.consistency.value == pytest.approx(np.mean(same))
        assert measured.latency_ms > 0
    assert bought.before.accuracy == 0.75
    agree = classes_by(net, images) == classes_by(repaired.model, images)
    assert bought.agreement == pytest.approx(agree.mean())
    text = str(repaired)
    assert "blur3: 2 of 2 strides replaced" in text
    for line in ("accuracy", "consistency, zero", "consistency, circular", "latency", "same class"):
        assert line in text
    document = json.loads(repaired.to_json())
    assert document["format"] == 1
    assert document["bought"]["before"]["accuracy"] == 0.75
    assert document["replaced"][0]["was"] == "Conv2d 3 / 2"


def bought(before, after, agreement, consistency):
    """A `Bought` with these numbers and nothing else that an advice reads."""
    from types import SimpleNamespace

    return SimpleNamespace(
        before=SimpleNamespace(accuracy=before), after=SimpleNamespace(accuracy=after),
        agreement=agreement, consistency=lambda: consistency,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("numbers_of", "said"),
    [
        (None, "Its weights were trained for the strides that it had. Measure it with images"),
        ((0.9, 0.7, 0.8, (0.8, 0.9)), "Accuracy fell from 90.0% to 70.0%: its weights"),
        ((0.9, 0.7, 0.8, (0.8, 0.6)),
         "Accuracy fell from 90.0% to 70.0% and consistency fell from 80.0% to 60.0%: its"),
        ((0.9, 0.9, 0.8, (0.8, 0.9)), "Neither accuracy nor consistency fell"),
        ((None, None, 0.8, (0.8, 0.9)),
         "Agreement with what it answered fell from 100.0% to 80.0%"),
        ((None, None, None, None), "Whether its answers are as good, only labels tell"),
    ],
)  # fmt: skip
def test_it_says_when_to_fine_tune(numbers_of, said):
    replaced = (Replacement("pool", "MaxPool 2 / 2", "MaxPool 2 / 1, blur3 / 2", "behind it"),)
    found = None if numbers_of is None else bought(*numbers_of)
    repaired = attar.Repaired(None, "torch", "blur3", "reflect", replaced, found)
    assert said in repaired.advice
    assert ("fine-tune it" in repaired.advice) == ("Neither" not in said)


def test_answers_that_are_no_classes():
    model = attar.Sequential(
        [layers.Input((16, 16, 1)), layers.MaxPool2D(name="pool"), layers.Flatten()]
    )
    opened = attar.open_model(model, output_kind="vector")
    images = np.random.default_rng(0).random((3, 16, 16, 1), np.float32)
    repaired = attar.repair(opened, images=images, modes=("zero",), reach=1)
    assert repaired.bought.agreement is None
    assert "cosine, zero" in str(repaired)


def test_arguments_that_do_not_fit(net, tmp_path):
    images = np.zeros((2, 16, 16, 1), np.float32)
    with pytest.raises(ArgumentError, match="labels are of images; give images as well"):
        attar.repair(net, labels=[0])
    opened = attar.open_model(net, size=16, output_kind="logits")
    with pytest.raises(ArgumentError, match="labels must be one for each of 2 images"):
        attar.repair(opened, images=images, labels=[0])
    with pytest.raises(ShapeError, match="images must be"):
        attar.repair(opened, images=images[0, 0, 0])
    with pytest.raises(ImageError, match="its numbers run from 9 to 9"):
        attar.repair(opened, images=images + np.array([0, 9], np.float32)[:, None, None, None])
    with pytest.raises(DTypeError, match=r"got builtins\.list"):
        attar.repair([])
    repaired = attar.repair(net)
    with pytest.raises(ArgumentError, match=r"written as \.pt or \.pth, got .*net\.onnx"):
        repaired.save(tmp_path / "net.onnx")


# ------------------------------------------------------------------ the shell


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    attar.Sequential(
        [
            layers.Input((16, 16, 1)),
            layers.Conv2D(4, 3, 2, "same", activation="relu", name="conv"),
            layers.MaxPool2D(name="pool"),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    ).to_onnx("net.onnx")
    images = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 1), np.uint8)
    np.savez("test.npz", images=images, labels=np.array([0, 1, 2, 0, 1, 2]))
    return tmp_path


def test_the_shell_repairs_a_file(files, shell):
    status, out, err = shell("repair", "net.onnx")
    assert (status, err) == (0, "")
    assert "blur3: 2 of 2 strides replaced" in out
    assert out.endswith("→ net-attar.onnx\n")
    before, after = (attar.open_model(name) for name in ("net.onnx", "net-attar.onnx"))
    images = np.random.default_rng(1).random((2, 16, 16, 1), np.float32)
    assert not np.array_equal(before.predict(images), after.predict(images))
    assert before.outputs == after.outputs


def test_the_shell_measures(files, shell):
    status, out, err = shell(
        "repair", "net.onnx", "test.npz", "--pool", "polyphase", "--border", "circular", "--reach",
        "1", "--shifts", "circular", "-o", "steady.onnx", "--json",
    )  # fmt: skip
    assert (status, err) == (0, "")
    document = json.loads(out)
    assert (document["pool"], document["border"]) == ("polyphase", "circular")
    assert (document["model"], document["output"]) == ("net.onnx", "steady.onnx")
    assert document["bought"]["images"] == 6
    assert document["bought"]["after"]["accuracy"] is not None
    assert (files / "steady.onnx").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["net.onnx", "--pool", "blur4"], "blur4"),
        (["net.onnx", "-o", "net.onnx"], "net.onnx is the model and would be overwritten"),
        (["net.onnx", "-o", "net.keras"], "a model of onnx is written as .onnx, got 'net.keras'"),
        (["lost.onnx"], "lost.onnx"),
        (["net.pt"], "can run code"),
        (["net.onnx", "test.npz", "--shifts", "sideways"], "sideways"),
        (["net.onnx", "--mean", "a"], "--mean is 'a'"),
        (["net.onnx", "nothing.npz"], "nothing.npz"),
    ],
)
def test_the_shell_says_what_is_wrong_and_writes_nothing(files, shell, arguments, said):
    before = {path.name for path in files.iterdir()}
    status, out, err = shell("repair", *arguments)
    assert (status, out) == (2, "")
    assert said in err
    assert {path.name for path in files.iterdir()} == before


# ------------------------------------------------------------------ the example


def test_the_example_trains_repairs_and_audits(monkeypatch, capsys):
    pytest.importorskip("mlxtend")
    example = runpy.run_path(str(EXAMPLE), run_name="example")
    settings = example["one_round"].__globals__
    monkeypatch.setitem(settings, "EPOCHS", 2)
    monkeypatch.setitem(settings, "MORE_EPOCHS", 1)
    threads = torch.get_num_threads()
    monkeypatch.setattr(sys, "argv", ["finetune_repaired.py", "--count", "20"])
    try:
        example["main"]()
    finally:
        torch.set_num_threads(threads)
    out = capsys.readouterr().out
    assert "3 of 3 strides replaced" in out
    rows = {line[:22].strip(): line[22:].split() for line in out.splitlines()}
    for name in ("trained", "trained on as long", "repaired", "repaired, fine-tuned"):
        assert len(rows[name]) == 3
    assert float(rows["repaired, fine-tuned"][0].rstrip("%")) > 60

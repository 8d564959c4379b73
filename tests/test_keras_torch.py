"""attar.keras on PyTorch: what is kept for gradients, and what its compilers make of it."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")  # before Keras is imported

import keras
import numpy as np
import pytest

from attar import AttarError, nn
from attar import keras as ak

from .cases import random

if keras.backend.backend() != "torch":
    pytest.skip("Keras runs on another backend", allow_module_level=True)

import torch

# NumPy 2 says it of torch.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def image(shape=(2, 9, 11, 3), **options):
    return torch.from_numpy(random(shape, seed=1)).requires_grad_(**options)


def test_a_maximum_keeps_a_byte_for_each_window():
    answer = ak.MaxPooling2D(3, strides=2)(image())
    (winners,) = answer.grad_fn.kept
    assert answer.grad_fn.saved_tensors == ()
    assert winners.dtype == np.uint8
    assert winners.shape == tuple(answer.shape)


def test_where_nothing_is_learnt_nothing_is_kept(monkeypatch):
    def never(*arguments, **options):
        raise AssertionError("winners were looked for")

    monkeypatch.setattr(nn, "max_pool_with_argmax", never)
    assert not ak.MaxPooling2D()(image(requires_grad=False)).requires_grad
    with torch.no_grad():
        assert not ak.MaxPooling2D()(image()).requires_grad


def test_memory_is_shared_both_ways(monkeypatch):
    seen = []

    def watch(x, *arguments):
        seen.extend([x, np.ascontiguousarray(x[:, ::2, ::2])])
        return seen[-1]

    monkeypatch.setattr(nn, "max_pool", watch)
    x = image(requires_grad=False)
    answer = ak.MaxPooling2D()(x)
    assert [a.ctypes.data for a in seen] == [t.data_ptr() for t in (x, answer)]


@pytest.mark.parametrize("make", [ak.MaxPooling2D, ak.LPPool2D, ak.BlurPool2D])
def test_a_view_is_as_good_as_its_copy(make):
    x = image((2, 3, 9, 11)).permute(0, 2, 3, 1)[:, ::2]
    answers = make()(x), make()(x.contiguous())
    assert torch.equal(*answers)
    grads = [torch.autograd.grad(y, x, torch.ones(1).expand(y.shape))[0] for y in answers]
    assert torch.equal(*grads)


@pytest.mark.parametrize("make", [ak.MaxPooling2D, ak.LPPool2D])
def test_a_second_derivative_is_refused(make):
    x = image()
    (grad,) = torch.autograd.grad((make()(x) ** 2).sum(), x, create_graph=True)
    with pytest.raises(AttarError, match="there is no gradient of a gradient"):
        grad.sum().backward()


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")  # dynamo's own
def test_dynamo_breaks_its_graph_around_a_layer():
    layer, x = ak.MaxPooling2D(), image()
    compiled = torch.compile(lambda x: layer(x * 2) + 1, backend="eager")
    torch._dynamo.reset()
    answer = compiled(x)
    assert torch.equal(answer, layer(x * 2) + 1)
    torch.testing.assert_close(
        *(torch.autograd.grad(y.sum(), x)[0] for y in (answer, layer(x * 2) + 1))
    )


def test_an_exported_model_has_the_operations_of_keras():
    model = keras.Sequential([keras.Input((8, 8, 3)), ak.MaxPooling2D(), ak.GlobalAvgPool2D()])
    x = image((1, 8, 8, 3), requires_grad=False)
    exported = torch.export.export(model, (x,))
    assert "max_pool2d" in str(exported.graph)
    torch.testing.assert_close(exported.module()(x), model(x))


def test_keras_finds_the_shape_of_a_layer_around_one_without_numbers(monkeypatch):
    def never(*arguments, **options):
        raise AssertionError("it was computed")

    monkeypatch.setattr(nn, "lp_pool", never)

    class Around(keras.layers.Layer):
        def call(self, inputs):
            return ak.LPPool2D()(inputs) + 1

    symbol = Around()(keras.Input((9, None, 3)))
    assert symbol.shape == (None, 4, None, 3)

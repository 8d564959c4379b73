"""attar.keras on JAX: its transformations. Run by test_keras_backends."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")  # before Keras is imported

import keras
import numpy as np
import pytest

from attar import AttarError, nn
from attar import keras as ak

from .cases import random

if keras.backend.backend() != "jax":
    pytest.skip("Keras runs on another backend", allow_module_level=True)

import jax
from jax import numpy as jnp

X = random((4, 9, 11, 3), seed=1)
KINDS = [ak.MaxPooling2D, lambda: ak.AveragePooling2D(2), ak.LPPool2D, ak.GeM2D]


def total(layer):
    return lambda x: (layer(x) ** 2).sum()


@pytest.mark.parametrize("make", KINDS)
def test_compiled_it_is_the_same(make):
    layer = make()
    plain = jax.value_and_grad(total(layer))(X)
    compiled = jax.jit(jax.value_and_grad(total(layer)))(X)
    for a, b in zip(plain, compiled, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_mapped_over_a_batch_it_is_the_same():
    layer = ak.MaxPooling2D(3, strides=2)
    grad = jax.grad(total(layer))
    one_by_one = jax.vmap(grad)(X[:, None])[:, 0]
    np.testing.assert_array_equal(one_by_one, grad(jnp.asarray(X)))


def test_equal_layers_are_compiled_once():
    traced = []

    @jax.jit
    def run(x):
        traced.append(x)
        return ak.LPPool2D(p=3.0)(x)

    for _ in range(3):
        jax.jit(ak.LPPool2D(p=3.0).__call__)(X)
        run(X)
    assert len(traced) == 1
    from attar.keras.backends.jax import _callback

    before = _callback.cache_info().misses
    ak.LPPool2D(p=3.0)(X)
    assert _callback.cache_info().misses == before


def test_a_gradient_that_nobody_asks_for_is_not_computed(monkeypatch):
    asked, real = [], nn.extract_grad

    def watch(*arguments, needs, **options):
        asked.append(needs)
        return real(*arguments, needs=needs, **options)

    monkeypatch.setattr(nn, "extract_grad", watch)
    layer = ak.Extract2D(5, 3)
    layer.build(X.shape)

    def loss(weights, x):
        return layer.stateless_call(weights, [], x)[0].sum()

    weights = [weight.value for weight in layer.trainable_weights]
    jax.block_until_ready(jax.jit(jax.grad(loss))(weights, X))
    assert asked == [("filters", "bias")]


def test_an_error_comes_where_a_function_is_traced():
    layer = ak.BlurPool2D(7)
    for call in (layer, jax.jit(layer.__call__)):
        with pytest.raises(AttarError, match="needs at least 4 cells"):
            call(X[:, :2, :2])


def test_a_derivative_forwards_or_a_second_one_is_refused():
    layer = ak.LPPool2D()
    with pytest.raises(TypeError, match="custom_vjp"):
        jax.jvp(layer, (X,), (X,))
    with pytest.raises((ValueError, TypeError), match="callback"):
        jax.jit(jax.grad(lambda x: jax.grad(total(layer))(x).sum()))(X)

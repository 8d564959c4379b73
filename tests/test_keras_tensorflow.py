"""attar.keras on TensorFlow: its graphs. Run by test_keras_backends."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")  # before Keras is imported

import keras
import numpy as np
import pytest

from attar import AttarError, nn
from attar import keras as ak

from .cases import random

if keras.backend.backend() != "tensorflow":
    pytest.skip("Keras runs on another backend", allow_module_level=True)

import tensorflow as tf

X = random((4, 9, 11, 3), seed=1)
KINDS = [
    ak.MaxPooling2D,
    lambda: ak.AveragePooling2D(2),
    ak.LPPool2D,
    ak.BlurPool2D,
    lambda: ak.FractionalMaxPool2D(1.5),
]


@pytest.mark.parametrize("make", KINDS)
def test_a_graph_for_images_of_any_size(make):
    layer = make()

    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
            loss = tf.reduce_sum(y**2)
        return y, tape.gradient(loss, x)

    graph = tf.function(run, input_signature=[tf.TensorSpec((None, None, None, 3))])
    for x in (X, X[:2, :6, :8]):
        for a, b in zip(graph(x), run(tf.constant(x)), strict=True):
            np.testing.assert_array_equal(a, b)
    shapes = graph.get_concrete_function().output_shapes
    assert [shape.as_list() for shape in shapes] == [[None, None, None, 3]] * 2


def test_a_gradient_that_nobody_asks_for_is_not_computed(monkeypatch):
    asked, real = [], nn.extract_grad

    def watch(*arguments, needs, **options):
        asked.append(needs)
        return real(*arguments, needs=needs, **options)

    monkeypatch.setattr(nn, "extract_grad", watch)
    layer = ak.Extract2D(5, 3)
    layer.build(X.shape)

    @tf.function
    def run(x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(x))
        return tape.gradient(loss, [weight.value for weight in layer.trainable_weights])

    run(X)
    assert asked == [("filters", "bias")]


def test_sizes_that_are_known_stay_known():
    graph = tf.function(ak.MaxPooling2D().__call__)
    spec = tf.TensorSpec((None, 9, 11, 3))
    assert graph.get_concrete_function(spec).output_shapes.as_list() == [None, 4, 5, 3]


def test_an_error_comes_where_a_graph_is_made():
    layer = ak.BlurPool2D(7)
    with pytest.raises(AttarError, match="needs at least 4 cells"):
        layer(X[:, :2, :2])
    with pytest.raises(Exception, match="needs at least 4 cells"):  # of a type of AutoGraph's
        tf.function(layer.__call__).get_concrete_function(tf.TensorSpec((4, 2, 2, 3)))


def test_a_model_is_not_compiled_by_xla():
    model = keras.Sequential([ak.MaxPooling2D(), keras.layers.Flatten()])
    model.compile(loss="mse")
    assert model.jit_compile is False
    with pytest.warns(UserWarning, match="doesn't support `jit_compile=True`"):
        model.compile(loss="mse", jit_compile=True)
    model.fit(X, np.zeros((4, 60)), verbose=0)
    with pytest.raises(Exception, match="XLA"):
        tf.function(model, jit_compile=True)(X)


def test_a_second_derivative_is_refused():
    x = tf.constant(X)
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(ak.LPPool2D()(x))
        grad = tape.gradient(loss, x)
    with pytest.raises(AttarError, match="there is no gradient of a gradient"):
        outer.gradient(grad, x)


def test_a_pipeline_of_data_may_pool():
    layer = ak.MaxPooling2D()
    (found,) = tf.data.Dataset.from_tensors(X).map(layer)
    np.testing.assert_array_equal(found, layer(X))

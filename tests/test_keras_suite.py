"""Keras' own tests of its pooling layers, with those of attar.keras in their place."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")  # before Keras is imported

import importlib
import unittest

import keras
import pytest

from attar import keras as ak

pytestmark = pytest.mark.filterwarnings("ignore")  # what Keras' tests warn of is Keras' affair

FILES = (
    "max_pooling_test",
    "average_pooling_test",
    "global_max_pooling_test",
    "global_average_pooling_test",
    *(f"adaptive_pooling{dims}d_test" for dims in (1, 2, 3)),
)
# They are skipped on PyTorch by a mark, since there Keras counts padding. attar does not, so
# they run here: a TestCase that is called by hand does not look at marks.


def cases():
    for file in FILES:
        try:
            module = importlib.import_module(f"keras.src.layers.pooling.{file}")
        except ImportError:
            continue
        for suite in unittest.defaultTestLoader.loadTestsFromModule(module):
            yield from (pytest.param(case, id=case.id().split(".", 4)[-1]) for case in suite)


CASES = list(cases())


def test_the_suite_is_there():
    if not CASES:
        pytest.skip("the installed Keras comes without its tests, or without what they need: absl")
    assert len(CASES) > 60


@pytest.mark.parametrize("case", CASES)
def test_of_keras(case, monkeypatch):
    layers = importlib.import_module("keras.src.layers")
    for name in ak.__all__:
        if hasattr(layers, name):
            monkeypatch.setattr(layers, name, getattr(ak, name))
    assert layers.MaxPooling2D is not keras.layers.MaxPooling2D
    case.debug()

"""What layers cost: counted again by hand."""

import json

import numpy as np
import pytest
from torch import nn

import attar
from attar.auditing.cost import Cost, CostSection
from attar.auditing.measure import Block
from attar.errors import ArgumentError

from .audited import measured, opened, passes_counted, pictures
from .vgg16 import vgg16_keras


def test_numbers_by_hand():
    model = opened(
        nn.Conv2d(3, 8, 3), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8 * 7 * 7, 5), size=16
    )
    section = measured(Cost(), model, pictures(2, 16))
    by_name = {layer.name: layer for layer in section.layers}
    conv, pool, dense = by_name["0"], by_name["1"], by_name["3"]
    assert (conv.activation_bytes, pool.activation_bytes) == (14 * 14 * 8 * 4, 7 * 7 * 8 * 4)
    assert conv.multiply_adds == 14 * 14 * 8 * 3 * 3 * 3
    assert dense.multiply_adds == 8 * 7 * 7 * 5
    assert pool.multiply_adds == 0
    assert (conv.parameters, dense.parameters) == (8 * 27 + 8, 392 * 5 + 5)
    assert section.multiply_adds == conv.multiply_adds + dense.multiply_adds
    assert conv.multiply_add_share == conv.multiply_adds / section.multiply_adds
    assert sum(layer.activation_share for layer in section.layers) == pytest.approx(1)
    assert section.parameters == conv.parameters + dense.parameters
    assert CostSection.from_dict(json.loads(json.dumps(section.as_dict()))) == section


def test_the_real_vgg16_at_its_own_size():
    """15.35 billion multiplications: Simonyan and Zisserman's net without its dense layers."""
    model = attar.open_model(vgg16_keras((224, 224, 3)), preparation="vgg")
    section = measured(Cost(), model, np.zeros((1, 50, 60, 3), np.float32))
    assert section.size == (224, 224)
    assert section.multiply_adds == 15_346_630_656
    assert max(section.layers, key=lambda layer: layer.activation_bytes).name == "block1_conv1"
    assert section.layers[0].activation_bytes == 224 * 224 * 64 * 4


def test_the_largest_size_counts():
    model = attar.open_model(nn.Conv2d(3, 2, 3))
    measure = Cost()
    sizes = ((10, 30), (20, 20), (12, 12))
    parts = [
        measure.work(model, Block(np.zeros((1, *size, 3), np.float32), None, 0)) for size in sizes
    ]
    assert measure.combine(model, parts).size == (20, 20)
    assert passes_counted(measure, model, pictures(1)) == measure.passes(model) == 0


def test_what_it_refuses():
    with pytest.raises(ArgumentError, match="cost: there is no part"):
        Cost().combine(opened(nn.ReLU()), [])

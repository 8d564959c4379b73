"""attar.onnx_backend: ONNX's own tests of its operators, and what a model may ask for beside."""

import subprocess
import sys
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.backend.test.loader import load_model_tests
from onnx.backend.test.runner import Runner

from attar import nn, onnx_backend
from attar.errors import ArgumentError, AttarError, DTypeError, ShapeError

from .cases import random

# ----------------------------------------------------------------------- ONNX's own tests

# How many the installed version offers at the least. GlobalLpPool has none; it is tested below.
OFFICIAL = {
    "AveragePool": 20,
    "Conv": 25,
    "GlobalAveragePool": 2,
    "GlobalMaxPool": 2,
    "LpPool": 8,
    "MaxPool": 20,
    "MaxUnpool": 2,
    "Relu": 2,
}

# Tests with an operator of ours that are not run, by the reason.
EXCLUDED = {
    "the graph has operators that are not pools or convolutions (Squeeze, Slice, Cast, Loop, …)": {
        "test_AvgPool1d",
        "test_AvgPool1d_stride",
    },
}
# The expansions of other operators into primitive ones, of which Conv or Relu is one among many.
EXPANDED_FROM = ("test_causal_conv_with_state_", "test_range_")


def official_cases():
    """Every test of the installed onnx that has an operator of ours, with its operators."""
    for kind in ("node", "simple", "pytorch-converted", "pytorch-operator"):
        with warnings.catch_warnings(action="ignore"):  # of NumPy's casts, in tests of Cast
            found = list(load_model_tests(kind=kind))
        for case in found:
            model = case.model
            if model is None:
                model = onnx.load(f"{case.model_dir}/model.onnx")
            kinds = {node.op_type for node in model.graph.node}
            if kinds & onnx_backend._OPERATORS.keys():
                yield case, model, kinds


CASES = {case.name: (case, model, kinds) for case, model, kinds in official_cases()}
NOT_RUN = {
    *(name for names in EXCLUDED.values() for name in names),
    *(name for name in CASES if name.endswith("_expanded") and name.startswith(EXPANDED_FROM)),
}
RUN = sorted(CASES.keys() - NOT_RUN)


def data_sets(case, model):
    """Inputs and answers, from memory or from the files beside the model."""
    if case.data_sets is not None:
        yield from (([*map(as_array, i)], [*map(as_array, o)]) for i, o in case.data_sets)
        return
    for folder in sorted(Path(case.model_dir).glob("test_data_set*")):
        yield tuple(
            [read_tensor(folder / f"{side}_{i}.pb") for i in range(count)]
            for side, count in (
                ("input", len(list(folder.glob("input_*.pb")))),
                ("output", len(list(folder.glob("output_*.pb")))),
            )
        )


def read_tensor(path):
    return numpy_helper.to_array(onnx.TensorProto.FromString(path.read_bytes()))


def as_array(value):
    return numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value


@pytest.mark.parametrize("name", RUN)
def test_official(name):
    case, model, _ = CASES[name]
    assert onnx_backend.is_compatible(model)
    ready = onnx_backend.prepare(model)
    count = 0
    for inputs, expected in data_sets(case, model):
        Runner.assert_similar_outputs(expected, ready.run(inputs), case.rtol, case.atol)
        count += 1
    assert count

"""The maps of a model one at a time: in order, when asked for, and kept while needed."""

import weakref

import numpy as np
import pytest
import torch

from attar import Sequential, errors, layers


def numbers(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def branches():
    """Two layers take the image, and the first map is needed until the last but one."""
    image = layers.Input((9, 9, 2))
    x = layers.Conv2D(2, 3, padding="same", name="first")(image)
    y = layers.ReLU(name="second")(x)
    y = layers.Add(name="third")([y, image])
    y = layers.ReLU(name="fourth")(y)
    return Sequential(layers.ReLU(name="last")(layers.Add(name="fifth")([x, y])))


def test_steps_are_the_trace_one_map_at_a_time():
    model, x = branches(), numbers((2, 9, 9, 2))
    traced = model.trace(x)
    for until in (None, "third"):
        steps = list(model.steps(x, until=until))
        names = list(traced)
        assert [name for name, _ in steps] == names[: names.index(until) + 1 if until else None]
        for name, map in steps:
            np.testing.assert_array_equal(map, traced[name])
    tensors = dict(model.steps(torch.from_numpy(x)))
    assert all(isinstance(tensor, torch.Tensor) for tensor in tensors.values())


def test_steps_are_computed_when_they_are_asked_for(monkeypatch):
    model, x = branches(), numbers((1, 9, 9, 2))
    computed = []
    for layer in model.layers:
        monkeypatch.setattr(
            layer, "call", lambda *a, call=layer.call, n=layer.name: computed.append(n) or call(*a)
        )
    steps = model.steps(x)
    assert computed == []
    next(steps), next(steps)
    assert computed == ["first", "second"]
    steps.close()
    assert next(steps, None) is None
    assert computed == ["first", "second"]
    with pytest.raises(errors.ArgumentError, match=r"Sequential.steps: until must be .*'sixth'"):
        model.steps(x, until="sixth")  # at once, not when the first map is asked for


def test_steps_keep_no_map_that_no_later_layer_needs():
    model, x = branches(), numbers((1, 9, 9, 2))
    needed = {
        "first": {"first"},  # beside the image
        "second": {"first", "second"},
        "third": {"first", "third"},
        "fourth": {"first", "fourth"},
        "fifth": {"fifth"},
        "last": set(),
    }
    seen = {}
    for name, map in model.steps(x):
        seen[name] = weakref.ref(map)
        del map
        assert {name for name, of in seen.items() if of() is not None} == needed[name], name
    image = weakref.ref(x)
    steps = model.steps(x)
    del x
    assert [image() is not None for _ in steps] == [True, True, False, False, False, False]

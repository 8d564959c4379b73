"""A model with pools of another kind: what changes, and what must not."""

import numpy as np
import pytest

from attar import Sequential, errors, layers


def numbers(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def pooled():
    twice = layers.MaxPool2D(3, 2, padding="same", name="twice")
    return Sequential(
        [
            layers.Input((61, 44, 2)),
            layers.Conv2D(3, 3, padding="same", activation="relu"),
            twice,
            twice,
            layers.AveragePooling2D(2, padding=((1, 0), (0, 1)), count_include_pad=True),
            layers.MaxPool2D((3, 2), (1, 1)),
            layers.BatchNormalization(),
            layers.MaxPool2D(3, 2, ceil_mode=True),
            layers.AveragePooling2D(2, (2, 1), name="mean"),
            layers.GlobalMaxPooling2D(),
        ],
        name="pooled",
        precision="exact",
    )


POOLS_OF = {
    "max": ["MaxPooling2D"] * 5,
    "average": ["AveragePooling2D"] * 5,
    "blur": ["MaxBlurPooling2D", "AverageBlurPooling2D", "MaxPooling2D",
             "MaxBlurPooling2D", "AverageBlurPooling2D"],
}  # fmt: skip


@pytest.mark.parametrize("kind", POOLS_OF)
def test_pools_of_another_kind_keep_shapes_names_and_weights(kind):
    model = pooled()
    x = numbers((2, 61, 44, 2))
    before, configs = model.trace(x), [layer.get_config() for layer in model.layers]
    other = model.with_pools(kind)
    pools = [type(one).__name__ for one in other.layers if "Pooling" in type(one).__name__]
    assert pools == [*POOLS_OF[kind], "GlobalMaxPooling2D"]
    assert (other.name, other.precision, other.input_shape) == (
        "pooled",
        "exact",
        (None, 61, 44, 2),
    )
    maps = other.trace(x)
    assert {name: map.shape for name, map in maps.items()} == {
        name: map.shape for name, map in before.items()
    }
    np.testing.assert_array_equal(maps["conv2d"], before["conv2d"])
    for a, b in zip(other.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_allclose(other(x), list(maps.values())[-1], rtol=1e-5, atol=1e-6)
    # The model itself stays as it was, and each has weights of its own from here on.
    assert not set(map_id := [id(one) for one in other.layers]) & {id(one) for one in model.layers}
    assert len(map_id) == len(model.layers)
    assert [layer.get_config() for layer in model.layers] == configs
    other.set_weights([weight + 1 for weight in other.get_weights()])
    for name, map in model.trace(x).items():
        np.testing.assert_array_equal(map, before[name])


def test_pools_that_are_replaced_compute_what_their_layer_computes():
    model = pooled()
    x = numbers((1, 61, 44, 2))
    blurred = model.with_pools("blur")
    maps = blurred.trace(x)
    wanted = layers.MaxBlurPooling2D(3, 2, "same")(maps["conv2d"])
    np.testing.assert_array_equal(maps["twice"], wanted)
    mean = layers.AverageBlurPooling2D(2, (2, 1), size=(3, 1))
    *_, before, _, _ = maps.values()
    np.testing.assert_array_equal(maps["mean"], mean(before))
    assert not np.array_equal(blurred(x), model(x))
    # And back: what was a maximum, and a mean, is one again.
    again = model.with_pools("max").with_pools("blur").with_pools("max")
    np.testing.assert_array_equal(again(x), model.with_pools("max")(x))
    means = model.with_pools("blur").get_layer("average_pooling2d")
    assert means.count_include_pad
    assert model.with_pools("average").get_layer("average_pooling2d").count_include_pad


def test_pools_of_models_that_are_not_built_and_none_of_that_kind():
    lazy = Sequential([layers.Conv2D(4, 3), layers.MaxPool2D()])
    other = lazy.with_pools("average")
    x = numbers((1, 9, 8, 3))
    np.testing.assert_array_equal(other.trace(x)["conv2d"], lazy.trace(x)["conv2d"])
    for kind in ("Blur", None, ["max"]):
        with pytest.raises(
            errors.ArgumentError, match=r"with_pools: kind must be one of 'max', 'average', 'blur'"
        ):
            lazy.with_pools(kind)


def test_blurred_pools_are_kept_in_a_file(tmp_path):
    model = pooled().with_pools("blur")
    x = numbers((1, 61, 44, 2))
    model.save(tmp_path / "model.safetensors")
    again = Sequential.load(tmp_path / "model.safetensors")
    again.precision = "exact"
    np.testing.assert_array_equal(again(x), model(x))
    with pytest.raises(errors.ModelError, match=r"MaxBlurPooling2D\) has no counterpart in ONNX"):
        model.to_onnx(tmp_path / "model.onnx")

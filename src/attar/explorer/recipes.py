"""Programs that make what the page shows: attar's, and Keras'."""

import json
from collections.abc import Mapping
from typing import Any

from attar.explorer.arithmetic import axes_of
from attar.explorer.kernel_edits import code_of
from attar.explorer.pictures import Picture

__all__ = ["keras_program", "python_program"]

_FILES = "from importlib.resources import files"
_SAMPLES = {
    "coffee": 'files("attar") / "explorer" / "static" / "coffee.jpg"',
    "car": "attar.features.car(256)",
    "circle": "attar.features.circle(64)",
    "dots": "attar.features.two_dots(64)",
    "noise": "attar.features.random_map(256, decay_power=1.0, seed=1)",
}
_USUAL = {
    "bias": 0.0,
    "conv_stride": 1,
    "conv_padding": "same",
    "activation": "relu",
    "pool": "max",
    "pool_size": 2,
    "pool_padding": "same",
}
_POOLS = {"max": "MaxPooling2D", "average": "AveragePooling2D"}


def python_program(picture: Picture, gray: bool, kernel: str, chosen: Mapping[str, Any]) -> str:
    """Return the program that makes the extraction with attar; `found` holds it.

    Parameters
    ----------
    picture : Picture
    gray : bool
        Whether a colour picture is read as gray.
    kernel : str
        As `attar.explorer.kernel_edits` reads it.
    chosen : mapping
        The other arguments of `attar.extract`.
    """
    kernel_code = code_of(kernel)
    arguments = ["image", _as_name(kernel_code) or kernel_code]
    arguments += [
        f"{name}={_text(chosen[name])}" for name, usual in _USUAL.items() if chosen[name] != usual
    ]
    if chosen["pool_stride"] != chosen["pool_size"]:
        arguments.append(f"pool_stride={chosen['pool_stride']}")
    inner = "".join(f"    {argument},\n" for argument in arguments)
    return (
        f"{_imports(picture, ['attar'])}\n"
        f"{_image(picture, gray)}\n"
        f"found = attar.extract(\n{inner})\n"
        'found.save("stages.png")\n'
        "print(found.stats)\n"
    )


def keras_program(picture: Picture, gray: bool, kernel: str, chosen: Mapping[str, Any]) -> str:
    """Return the program that makes it with Keras; `condense` holds the condensed map.

    Parameters are those of `python_program`.
    """
    channels = 1 if gray or picture.pixels.ndim == 2 else picture.pixels.shape[2]
    padding, activation = chosen["conv_padding"], chosen["activation"]
    step = f"strides={chosen['conv_stride']}, padding={_text(padding)}"
    active = "" if activation == "none" else f", activation={_text(activation)}"
    layers = [f"keras.layers.Conv2D(1, kernel.shape, {step}{active})", *_pool(picture, chosen)]
    stacked = "".join(f"        {layer},\n" for layer in layers)
    modules = ["attar", "attar.keras"] if "attar.keras" in stacked else ["attar"]
    filters, why = "kernel[:, :, None, None]", ""
    if channels > 1:
        filters = f"np.repeat({filters} / {channels}, {channels}, axis=2)"
        why = "# Each channel is filtered with the kernel, and the answers are averaged.\n"
    return (
        f"{_imports(picture, [*modules, 'keras', 'numpy as np'])}\n"
        f"{_image(picture, gray)}"
        f'kernel = np.array({code_of(kernel)}, "float32")\n'
        "\n"
        "model = keras.Sequential(\n    [\n"
        f"        keras.Input((*image.shape[:2], {channels})),\n{stacked}    ]\n)\n"
        f"{why}filters = {filters}\n"
        f'model.layers[0].set_weights([filters, np.array([{chosen["bias"]!r}], "float32")])\n'
        "\n"
        f"batch = image.reshape(1, *image.shape[:2], {channels})\n"
        "condense = model.predict(batch, verbose=0)[0, :, :, 0]\n"
    )


def _pool(picture: Picture, chosen: Mapping[str, Any]) -> list[str]:
    """Return the layer that condenses, if there is one."""
    if chosen["pool"] == "none":
        return []
    size, stride, padding = (chosen[f"pool_{name}"] for name in ("size", "stride", "padding"))
    home = "keras.layers"
    if chosen["pool"] == "average":
        _, axes = axes_of(picture.pixels, chosen)
        if any(axis.pad_before + axis.pad_after > 0 for axis in axes):
            # On PyTorch, Keras' own layer averages repeated border pixels where the padding is.
            home = "attar.keras"
    return [f"{home}.{_POOLS[chosen['pool']]}({size}, strides={stride}, padding={_text(padding)})"]


def _text(value: object) -> str:
    """Return a value as people write it: texts in double quotes."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def _as_name(code: str) -> str | None:
    """Return a kernel that is a name as `attar.extract` takes it."""
    name = code.removeprefix("attar.kernels.")
    return f'"{name}"' if name != code and "(" not in name else None


def _imports(picture: Picture, modules: list[str]) -> str:
    lines = [f"import {module}\n" for module in modules]
    if picture.key == "coffee":
        lines = [f"{_FILES}\n", "\n", *lines]
    return "".join(lines)


def _image(picture: Picture, gray: bool) -> str:
    code = _SAMPLES.get(picture.key, _text(picture.name))
    if picture.key not in _SAMPLES or picture.key == "coffee":
        turned = ', color="gray"' if gray and picture.pixels.ndim == 3 else ""
        code = f"attar.read_image({code}{turned})"
    return f"image = {code}\n"

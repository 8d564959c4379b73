"""attar's own files: weights as safetensors, the architecture as JSON in their metadata.

Nothing in such a file is code, and nothing in it is run: a layer is a class name of `attar.layers`
with plain arguments.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from attar import layers
from attar.arrays import Array
from attar.errors import ModelError
from attar.files import atomic_path
from attar.graph import Graph, Node
from attar.interchange.assembly import taking_over
from attar.interchange.limits import (
    STRUCTURE_BYTES,
    file_of,
    list_of,
    parse_json,
    shown,
    shown_path,
)

__all__ = ["read", "write"]

ENTRY = "attar"  # of the metadata; one, since safetensors writes several in any order
VERSION = 1


def write(graph: Graph, path: str | os.PathLike[str]) -> None:
    """Write a graph and its weights; the file appears whole or not at all.

    Weights are tensors ``<layer>/<weight>``, such as ``conv2d/kernel``, in attar's layout. The
    metadata has one entry, ``attar``: JSON with ``version``, ``layers`` (class, config), ``nodes``
    (index of the layer, indices of the inputs; -1 is the model's input), ``output`` and
    ``input_shape``. The same model gives the same bytes.

    Parameters
    ----------
    graph : Graph
        With every layer built.
    path : path

    Raises
    ------
    ModelError (a ValueError)
        A layer is not built, or two have one name.
    ArgumentError (a ValueError)
        The folder of the path does not exist.

    Examples
    --------
    >>> import tempfile
    >>> graph = Graph.chain([layers.Dense(2, name="sums")], input_shape=(3,))
    >>> graph.build((None, 3))
    >>> file = Path(tempfile.mkdtemp()) / "model.safetensors"
    >>> write(graph, file)
    >>> bool((read(file).layers[0].get_weights()[0] == graph.layers[0].get_weights()[0]).all())
    True
    """
    from safetensors.numpy import save_file

    names = [layer.name for layer in graph.layers]
    for layer in graph.layers:
        if not layer.built and layer.weight_names():
            raise ModelError(
                f"save: the layer {shown(layer.name)} has no weights yet; build the model "
                "(model.build((None, H, W, C))), or call it on an image"
            )
        if names.count(layer.name) > 1:
            raise ModelError(f"save: two layers have the name {shown(layer.name)}")
    tensors = {
        f"{layer.name}/{weight}": layer.weight(weight)
        for layer in graph.layers
        for weight in layer.weight_names()
    }
    places = {id(layer): i for i, layer in enumerate(graph.layers)}
    architecture = {
        "version": VERSION,
        "layers": [
            {"class": type(layer).__name__, "config": layer.get_config()} for layer in graph.layers
        ],
        "nodes": [[places[id(node.layer)], list(node.inputs)] for node in graph],
        "output": graph.output,
        "input_shape": None if graph.input_shape is None else list(graph.input_shape),
    }
    with atomic_path(path) as temporary:
        temporary.touch()
        mode = temporary.stat().st_mode
        save_file(tensors, temporary, {ENTRY: json.dumps(architecture)})
        temporary.chmod(mode)  # what save_file makes is its owner's alone


def read(path: str | os.PathLike[str]) -> Graph:
    """Read a file that `write` wrote.

    Raises
    ------
    ModelError (a ValueError)
        The file is damaged, is not attar's, or does not say what it holds: a class that is not in
        `attar.layers`, weights that are missing, too many, or of another shape.
    ModelNotFoundError (a FileNotFoundError)
    """
    file = file_of("load", path)
    metadata, tensors = _contents(file)
    if ENTRY not in metadata:
        raise ModelError(
            f"load: {shown_path(file)} holds tensors but no model of attar's; a model is written "
            "by model.save(path)"
        )
    architecture = parse_json("load", "the architecture", metadata[ENTRY])
    if architecture.get("version") != VERSION:
        raise ModelError(
            f"load: {shown_path(file)} has version {shown(architecture.get('version'))} of the "
            f"format; this release reads version {VERSION}"
        )
    with taking_over("load"):
        return _graph(architecture, tensors)


def _contents(file: Path) -> tuple[dict[str, str], dict[str, Array]]:
    from safetensors import SafetensorError, safe_open

    size_bytes = file.stat().st_size
    with file.open("rb") as start:
        header_bytes = int.from_bytes(start.read(8), "little")
    if size_bytes < 8 or header_bytes > size_bytes - 8:
        raise ModelError(f"load: {shown_path(file)} is not a safetensors file, or it is cut off")
    if header_bytes > STRUCTURE_BYTES:
        raise ModelError(
            f"load: {shown_path(file)} has a header of {header_bytes} bytes; up to "
            f"{STRUCTURE_BYTES} are read"
        )
    tensors: dict[str, Array] = {}
    try:
        with safe_open(file, framework="np") as opened:
            metadata = opened.metadata() or {}
            for name in opened.keys():  # noqa: SIM118 -- not a mapping
                dtype = opened.get_slice(name).get_dtype()
                if dtype != "F32":
                    raise ModelError(
                        f"load: the tensor {shown(name)} is {shown(dtype)}; weights are F32"
                    )
                tensors[name] = opened.get_tensor(name)
    except SafetensorError as error:
        raise ModelError(
            f"load: {shown_path(file)} is damaged, or not a safetensors file: {shown(str(error))}"
        ) from error
    return metadata, tensors


def _graph(architecture: dict[str, Any], tensors: dict[str, Array]) -> Graph:
    entries = list_of("load", architecture, "layers")
    made = [_layer(entry, tensors) for entry in entries]
    if tensors:
        raise ModelError(f"load: the tensor {shown(next(iter(tensors)))} belongs to no layer")
    nodes = []
    for entry in list_of("load", architecture, "nodes"):
        place, inputs = entry if isinstance(entry, list) and len(entry) == 2 else (None, None)
        if type(place) is not int or not 0 <= place < len(made) or not isinstance(inputs, list):
            raise ModelError(
                f"load: a node must be [index of a layer, [indices of nodes]], got {shown(entry)}"
            )
        nodes.append(Node(made[place], tuple(inputs)))  # Graph checks that they are whole numbers
    output, shape = architecture.get("output", -1), architecture.get("input_shape")
    if type(output) is not int:
        raise ModelError(f"load: output must be the index of a node, got {shown(output)}")
    if shape is not None and not isinstance(shape, list):
        raise ModelError(f"load: input_shape must be a list, got {shown(shape)}")
    graph = Graph(tuple(nodes), output, None if shape is None else tuple(shape))
    if graph.input_shape is not None:
        graph.build((None, *graph.input_shape))  # layers that do not fit each other say so
    return graph


def _layer(entry: Any, tensors: dict[str, Array]) -> layers.Layer:
    """Make a layer; its tensors are taken out of `tensors`."""
    name = entry.get("class") if isinstance(entry, dict) else None
    config = entry.get("config") if isinstance(entry, dict) else None
    kind = getattr(layers, name) if isinstance(name, str) and name in layers.__all__ else None
    if not isinstance(kind, type) or not issubclass(kind, layers.Layer) or kind is layers.Layer:
        raise ModelError(f"load: {shown(name)} is not a layer of attar.layers")
    if not isinstance(config, dict):
        raise ModelError(f"load: the config of a layer must be an object, got {shown(config)}")
    try:
        layer = kind.from_config(config)
    except (TypeError, ValueError, OverflowError, KeyError) as error:
        raise ModelError(
            f"load: {name} cannot be made from its config: {shown(str(error))}"
        ) from error
    names = [f"{layer.name}/{weight}" for weight in layer.weight_names()]
    missing = [weight for weight in names if weight not in tensors]
    if missing:
        raise ModelError(f"load: the file has no tensor {shown(missing[0])}")
    layer.set_weights([tensors.pop(weight) for weight in names])
    return layer

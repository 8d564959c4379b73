"""Files of models: what is saved comes back to the bit, and files that lie are refused.

Nothing may be allocated, opened or followed because a file says so. The tests of bombs read in a
process of their own with little memory.
"""

import io
import json
import os
import random as chance
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file, save_file

from attar import Sequential, layers
from attar.errors import AttarError, ModelError, ModelNotFoundError
from attar.graph import Graph, Node
from attar.interchange import keras, limits, safetensors
from attar.interchange import onnx as onnx_models

from .cases import random

READ = {
    "model.keras": keras.read,
    "model.onnx": onnx_models.read,
    "model.safetensors": safetensors.read,
}

# ------------------------------------------------------------------------- small whole models


def small_graph():
    graph = Graph.chain(
        [
            layers.Conv2D(4, 3, padding="same", name="filter"),
            layers.ReLU(name="detect"),
            layers.MaxPool2D(name="condense"),
        ],
        input_shape=(8, 8, 3),
    )
    graph.build((None, 8, 8, 3))
    return graph


def small_safetensors(path):
    safetensors.write(small_graph(), path)


def small_onnx(path):
    onnx_models.write(small_graph(), None, path)


KERAS_CONFIG = {
    "module": "keras", "class_name": "Sequential", "registered_name": None,
    "config": {
        "name": "sequential",
        "layers": [
            {
                "module": "keras.layers", "class_name": "InputLayer", "registered_name": None,
                "config": {"name": "input", "batch_shape": [None, 8, 8, 3], "dtype": "float32"},
            },
            {
                "module": "keras.layers", "class_name": "Conv2D", "registered_name": None,
                "config": {"name": "filter", "filters": 4, "kernel_size": [3, 3]},
            },
        ],
    },
}  # fmt: skip


def small_keras(path, weights=None, entries=None, compression=zipfile.ZIP_STORED, config=None):
    """Write the file as Keras does; `weights` fills the group of the convolution otherwise."""
    held = io.BytesIO()
    with h5py.File(held, "w") as file:
        group = file.create_group("layers/conv2d/vars")
        if weights is None:
            group["0"] = random((3, 3, 3, 4))
            group["1"] = random((4,))
        else:
            weights(group)
    files = {
        "metadata.json": b"{}",
        "config.json": json.dumps(config or KERAS_CONFIG).encode(),
        "model.weights.h5": held.getvalue(),
        **(entries or {}),
    }
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in files.items():
            if data is not None:
                archive.writestr(name, data)


WRITE = {
    "model.keras": small_keras,
    "model.onnx": small_onnx,
    "model.safetensors": small_safetensors,
}


@pytest.mark.parametrize("name", READ)
def test_the_small_models_are_whole(name, tmp_path):
    WRITE[name](tmp_path / name)
    assert READ[name](tmp_path / name).names()[0] == "filter"


# ----------------------------------------------------------------------- save, and load again


def test_weights_come_back_to_the_bit(tmp_path):
    graph = small_graph()
    kernel, bias = graph.layers[0].get_weights()
    bits = np.array([0x7FC01234, 0x80000000, 0x00000001, 0xFF800000], np.uint32)
    bias[:] = bits.view(np.float32)  # a NaN with a message, -0.0, the smallest number, -inf
    graph.layers[0].set_weights([kernel, bias])
    safetensors.write(graph, tmp_path / "model.safetensors")
    there = load_file(tmp_path / "model.safetensors")
    assert list(there) == ["filter/bias", "filter/kernel"]
    for again in (
        safetensors.read(tmp_path / "model.safetensors").layers[0].get_weights(),
        [there["filter/kernel"], there["filter/bias"]],
    ):
        assert np.array_equal(again[0].view(np.uint32), kernel.view(np.uint32))
        assert np.array_equal(again[1].view(np.uint32), bits)


def every_layer():
    """A graph with every layer, joined every way."""
    image = layers.Input((12, 10, 4))
    shared = layers.Conv2D(4, 3, padding=((1, 1), (0, 2)), groups=2, name="shared/twice")
    x = layers.PReLU(shared_axes=(1, 2))(shared(layers.BatchNormalization()(shared(image))))
    x = layers.Add()([x, layers.Rescaling([1, 2, 3, 4], 0.1)(image)])
    x = layers.Concatenate()([x, layers.Activation("gelu")(x), layers.LeakyReLU(0.1)(image)])
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, activation="hard_silu")(x)
    x = layers.AveragePooling2D(2, padding="same")(layers.ReLU(6, 0.1, 0.2)(x))
    x = layers.MaxPooling2D(2, 1, ceil_mode=True)(layers.ZeroPadding2D(((1, 0), (0, 1)))(x))
    x = layers.Permute((2, 1, 3))(layers.Dropout(0.5)(layers.ELU(0.3)(x)))
    x = layers.Reshape((-1, 6))(layers.SpatialDropout2D(0.1)(layers.Identity()(x)))
    x = layers.Dense(5, activation="tanh")(layers.Flatten()(layers.Softmax(axis=1)(x)))
    return Sequential(x)


def test_every_layer_comes_back(tmp_path):
    model = every_layer()
    x = random((2, 12, 10, 4))
    model.save(tmp_path / "model.safetensors")
    again = Sequential.load(tmp_path / "model.safetensors")
    assert np.array_equal(again(x), model(x))
    assert again.graph.names() == model.graph.names()
    assert again.graph.input_shape == (12, 10, 4)
    assert [layer.get_config() for layer in again.layers] == [
        layer.get_config() for layer in model.layers
    ]
    again.save(tmp_path / "again.safetensors")
    first, second = (tmp_path / f"{name}.safetensors" for name in ("model", "again"))
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("name", ["model.onnx", "model.safetensors"])
def test_a_file_may_be_read_by_whom_other_new_files_may(name, tmp_path):
    (tmp_path / "other").touch()
    WRITE[name](tmp_path / name)
    assert (tmp_path / name).stat().st_mode == (tmp_path / "other").stat().st_mode


def test_what_has_no_weights_is_not_saved(tmp_path):
    with pytest.raises(ModelError, match="'conv2d' has no weights yet; build the model"):
        safetensors.write(Graph.chain([layers.Conv2D(2, 3)]), tmp_path / "model.safetensors")
    two = [layers.ReLU(name="same"), layers.ReLU(name="same")]
    with pytest.raises(ModelError, match="two layers have the name 'same'"):
        safetensors.write(Graph.chain(two), tmp_path / "model.safetensors")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["model.onnx", "model.safetensors"])
def test_a_file_appears_whole_or_not_at_all(name, tmp_path, monkeypatch):
    path = tmp_path / name
    WRITE[name](path)
    before = path.read_bytes()
    with pytest.raises(AttarError, match=r"the folder .* does not exist"):
        WRITE[name](tmp_path / "nowhere" / name)

    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="no space"):
        WRITE[name](path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [name]


# --------------------------------------------------------------------- what is not a model file


@pytest.mark.parametrize("name", READ)
def test_what_is_not_a_file(name, tmp_path):
    read = READ[name]
    with pytest.raises(ModelNotFoundError, match=rf"there is no file '.*{name}'"):
        read(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        read(str(tmp_path / name / "inside"))
    with pytest.raises(ModelError, match="is not a file"):
        read(tmp_path)
    with pytest.raises(ModelError, match="is not a file"):
        read("/dev/zero")
    os.mkfifo(tmp_path / name)
    with pytest.raises(ModelError, match="is not a file"):
        read(tmp_path / name)
    (tmp_path / f"empty {name}").touch()
    with pytest.raises(ModelError, match="is empty"):
        read(tmp_path / f"empty {name}")
    with pytest.raises(ModelError, match="cannot be opened"):
        read("x" * 5000)
    with pytest.raises(ModelError):
        read("nul\0")


@pytest.mark.parametrize("name", READ)
def test_a_file_that_is_absurdly_large(name, tmp_path):
    with (tmp_path / name).open("wb") as file:
        file.truncate(2**40)  # takes no room
    with pytest.raises(ModelError, match="has 1099511627776 bytes; models of up to"):
        READ[name](tmp_path / name)


@pytest.mark.parametrize("name", READ)
def test_a_file_that_is_cut_off(name, tmp_path):
    WRITE[name](tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    for length in sorted({*range(1, 40), *range(40, len(whole), len(whole) // 60), len(whole) - 1}):
        (tmp_path / name).write_bytes(whole[:length])
        with pytest.raises(ModelError):
            READ[name](tmp_path / name)


@pytest.mark.parametrize("name", READ)
def test_a_file_of_noise(name, tmp_path):
    generator = chance.Random(0)
    for length in (1, 7, 8, 9, 22, 100, 5000):
        for start in (b"", b"PK\x03\x04", b"\x08\x08\x3a", b"PK\x05\x06"):
            (tmp_path / name).write_bytes(start + generator.randbytes(length))
            with pytest.raises(ModelError):
                READ[name](tmp_path / name)


def changed(data, generator):
    data = bytearray(data)
    for _ in range(generator.choice([1, 2, 4, 16])):
        data[generator.randrange(len(data))] = generator.choice([0, 1, 127, 128, 255])
    return bytes(data)


@pytest.mark.parametrize("name", READ)
def test_bytes_that_were_changed(name, tmp_path):
    """Whatever a byte becomes: a model, or a ModelError."""
    path = tmp_path / name
    WRITE[name](path)
    whole = path.read_bytes()
    with zipfile.ZipFile(path) if name == "model.keras" else io.BytesIO() as archive:
        weights = archive.read("model.weights.h5") if name == "model.keras" else b""
    refused = 0
    for seed in range(300):
        generator = chance.Random(seed)
        if name == "model.keras" and seed % 2:  # with its checksum right
            small_keras(path, entries={"model.weights.h5": changed(weights, generator)})
        else:
            path.write_bytes(changed(whole, generator))
        try:
            READ[name](path)
        except ModelError:
            refused += 1
    assert refused > 30


# ------------------------------------------------------------------------------ .keras archives


def entry(name, **options):
    return {"entries": {name: b"x"}, **options}


ARCHIVES = {
    "up": (entry("../evil"), r"the entry '../evil', which leads outside"),
    "up from within": (entry("a/../../evil"), "leads outside"),
    "absolute": (entry("/etc/evil"), "leads outside"),
    "other slashes": (entry("..\\evil"), "leads outside"),
    "another compression": (
        {"compression": zipfile.ZIP_LZMA}, "'metadata.json' must be stored or deflated"
    ),
    "no weights": ({"entries": {"model.weights.h5": None}}, "the archive has no model.weights.h5"),
    "no config": ({"entries": {"config.json": None}}, "the archive has no config.json"),
    "many entries": (
        {"entries": {f"assets/{i}": b"" for i in range(1200)}}, "has 1203 entries in a table"
    ),
    "no JSON": ({"entries": {"config.json": b"{'a': 1}"}}, "config.json is not JSON"),
    "no text": ({"entries": {"config.json": b"\xff\xfe{}"}}, "config.json is not JSON"),
    "deep JSON": ({"entries": {"config.json": b"[" * 10**6}}, "config.json is not JSON"),
    "no object": ({"entries": {"config.json": b"[]"}}, "must be a JSON object, got list"),
    "a number without end": (
        {"entries": {"config.json": b'{"config": ' + b"9" * 10**5 + b"}"}}, "is not JSON"
    ),
    "long JSON": ({"entries": {"config.json": b" " * (17 << 20)}}, "up to 16777216 are read"),
    "no HDF5": ({"entries": {"model.weights.h5": b"\x89HDF\r\n\x1a\n"}}, "the weights are damaged"),
}  # fmt: skip


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_that_lies(name, tmp_path):
    options, message = ARCHIVES[name]
    small_keras(tmp_path / "model.keras", **options)
    with pytest.raises(ModelError, match=message):
        keras.read(tmp_path / "model.keras")


def test_an_archive_with_an_entry_twice(tmp_path):
    path = tmp_path / "model.keras"
    small_keras(path, entries={"config.jsoN": b"{}"})
    path.write_bytes(path.read_bytes().replace(b"config.jsoN", b"config.json"))
    with pytest.raises(ModelError, match=r"has the entry 'config.json' twice"):
        keras.read(path)


def test_an_archive_that_is_encrypted(tmp_path):
    path = tmp_path / "model.keras"
    small_keras(path)
    data = bytearray(path.read_bytes())
    directory = data.find(b"PK\x01\x02")
    data[directory + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(ModelError, match=r"'metadata.json' is encrypted"):
        keras.read(path)


def to(name):
    """Fill the group of the weights by a function of h5py."""

    def add(fill):
        FILLS[name] = fill
        return fill

    return add


FILLS = {}


@to("'layers/conv2d/vars/0' in the weights is a link to another place; links")
def soft_link(group):
    group["elsewhere"] = random((3, 3, 3, 4))
    group["0"] = h5py.SoftLink("/layers/conv2d/vars/elsewhere")
    group["1"] = random((4,))


@to("a link to another place")
def external_link(group):
    group["0"] = h5py.ExternalLink("/etc/passwd", "/")
    group["1"] = random((4,))


@to("do not lie in the file as they are")
def external_numbers(group):
    group.create_dataset("0", (3, 3, 3, 4), "<f4", external=[("/etc/passwd", 0, 432)])
    group["1"] = random((4,))


@to("do not lie in the")
def virtual(group):
    layout = h5py.VirtualLayout((3, 3, 3, 4), "<f4")
    layout[...] = h5py.VirtualSource("/tmp/other.h5", "x", (3, 3, 3, 4))
    group.create_virtual_dataset("0", layout)
    group["1"] = random((4,))


@to("do not lie")
def filled_in(group):
    group.create_dataset("0", (2**20, 2**10, 3, 4), "<f4", chunks=(64, 64, 3, 4))
    group["1"] = random((4,))


@to("numbers do not lie")
def compressed(group):
    group.create_dataset("0", data=np.zeros((3, 3, 3, 4), "<f4"), compression="gzip")
    group["1"] = random((4,))


@to("is float64; float32 is read")
def double(group):
    group["0"] = random((3, 3, 3, 4)).astype(np.float64)
    group["1"] = random((4,))


@to("is no array")
def a_group(group):
    group.create_group("0")
    group["1"] = random((4,))


@to("is not there, or is no array")
def other_names(group):
    group["kernel"] = random((3, 3, 3, 4))
    group["bias"] = random((4,))


@to(r"has 1 weights; it needs 2 \(kernel, bias\)")
def too_few(group):
    group["0"] = random((3, 3, 3, 4))


@to(r"the weight kernel has the shape \(3, 3, 3, 5\), where")
def another_shape(group):
    group["0"] = random((3, 3, 3, 5))
    group["1"] = random((4,))


@to(r"where \(3, 3, 3, 4\) is needed")
def other_channels(group):
    group["0"] = random((3, 3, 2, 4))
    group["1"] = random((4,))


@pytest.mark.parametrize("message", FILLS, ids=[fill.__name__ for fill in FILLS.values()])
def test_weights_that_lie(message, tmp_path):
    small_keras(tmp_path / "model.keras", weights=FILLS[message])
    with pytest.raises(ModelError, match=message):
        keras.read(tmp_path / "model.keras")


# ---------------------------------------------------------------------------------- ONNX models


def conv_model(change=None, dims=("N", 3, 8, 8)):
    """A convolution, and what a test makes of it."""
    kernel = numpy_helper.from_array(random((4, 3, 3, 3)), "kernel")
    nodes = [
        helper.make_node("Conv", ["x", "kernel"], ["filtered"], name="filter"),
        helper.make_node("Relu", ["filtered"], ["y"], name="detect"),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, dims)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "net", [x], [y], [kernel])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    if change is not None:
        change(model)
    return model


def kernel_of(**values):
    def change(model):
        tensor = model.graph.initializer[0]
        for name, value in values.items():
            if name == "dims":
                del tensor.dims[:]
                tensor.dims.extend(value)
            else:
                setattr(tensor, name, value)

    return change


def external(model, **entries):
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=str(value))


def outside(**entries):
    return lambda model: external(model, **entries)


def cyclic(model):
    model.graph.node[0].input[0] = "y"


def out_of_order(model):
    first, second = model.graph.node
    nodes = [onnx.NodeProto.FromString(n.SerializeToString()) for n in (second, first)]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def computed_twice(model):
    model.graph.node.append(helper.make_node("Relu", ["x"], ["filtered"]))


def sparse(model):
    model.graph.sparse_initializer.add()


def nested(model):
    body = helper.make_graph([], "body", [], [])
    for _ in range(15):
        node = helper.make_node("If", ["x"], ["z"], then_branch=body)
        body = helper.make_graph([node], "body", [], [])
    model.graph.node[1].CopyFrom(helper.make_node("If", ["filtered"], ["y"], then_branch=body))


LIES = {
    "negative sizes": (kernel_of(dims=[-4, 3, 3, 3]), r"shape \(-4, 3, 3, 3\); sizes must be 0 to"),
    "two negative sizes": (kernel_of(dims=[-4, -3, 3, 3]), "sizes must be"),
    "absurd sizes": (kernel_of(dims=[2**31 - 1, 3, 3, 3]), "but 432 bytes of data"),
    "sizes that overflow": (kernel_of(dims=[2**62, 4, 3, 3]), "sizes must be 0 to"),
    "many axes": (kernel_of(dims=[1] * 5000), "has more than 8 axes"),
    "too few numbers": (kernel_of(raw_data=b"1234"), "432 bytes, but 4 bytes of data"),
    "another type": (kernel_of(data_type=TensorProto.DOUBLE), "864 bytes, but 432 bytes of data"),
    "a type that is not known": (kernel_of(data_type=99), "has the data type 99"),
    "weights outside": (outside(location="../secret"), "'../secret', outside of its folder"),
    "weights elsewhere": (outside(location="/etc/passwd"), "outside of its folder"),
    "weights behind a link": (outside(location="link"), "'link', outside of its folder"),
    "weights in the folder itself": (outside(location="."), "outside of its folder"),
    "weights nowhere": (outside(), "'', outside of its folder"),
    "weights with a nul": (outside(location="a\0b"), "outside of its folder"),
    "weights that are missing": (outside(location="none.bin"), "there is no file '.*none.bin'"),
    "weights that are too short": (
        outside(location="short.bin"), "needs 432 bytes at offset 0 .*'short.bin' has 100 bytes"
    ),
    "weights behind the end": (
        outside(location="long.bin", offset=10**15), "needs 432 bytes at offset 1000000000000000"
    ),
    "weights before the start": (outside(location="long.bin", offset=-4), "at offset -4"),
    "another length": (outside(location="long.bin", length=4), r"\(the model says 4\)"),
    "an offset of text": (outside(location="long.bin", offset="x"), "must be whole numbers"),
    "a cycle": (cyclic, "takes 'y', which is not computed before it: the graph has a cycle"),
    "out of order": (out_of_order, "the graph has a cycle, or is not in order"),
    "computed twice": (computed_twice, "computes 'filtered', which is there already"),
    "sparse weights": (sparse, "sparse weights are not read"),
    "graphs within graphs": (nested, r"\(If\) cannot be taken over"),
    "no graph": (lambda model: model.ClearField("graph"), "has 0 inputs"),
    "no version": (lambda model: model.ClearField("opset_import"), "version unknown"),
}  # fmt: skip


@pytest.mark.parametrize("name", LIES)
def test_a_model_that_lies(name, tmp_path):
    change, message = LIES[name]
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(bytes(432))
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "short.bin").write_bytes(bytes(100))
    (folder / "long.bin").write_bytes(bytes(5000))
    (folder / "model.onnx").write_bytes(conv_model(change).SerializeToString())
    with pytest.raises(ModelError, match=message):
        onnx_models.read(folder / "model.onnx")


def field(number, content):
    """A field of a protocol buffer."""
    length, size = b"", len(content)
    while size > 127:
        length += bytes([size & 127 | 128])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + content


def test_graphs_that_are_very_deep(tmp_path):
    content = b""
    for _ in range(3000):
        content = field(1, field(5, field(6, content)))  # a node, its attribute, its graph
    (tmp_path / "model.onnx").write_bytes(field(7, content))
    with pytest.raises(ModelError, match="is not an ONNX model, or it is cut off"):
        onnx_models.read(tmp_path / "model.onnx")


INPUTS = {
    (1, 3, -8, 8): r"the input 'x' has the shape \(1, 3, -8, 8\); sizes must be at least 1",
    (1, 3, 0, 8): "sizes must be at least 1",
    (1, 3, 2**40, 8): "sizes must be at least 1",
    (1, 2, 8, 8): "does not fit",
    (1, 3, 2, 2): "does not fit",
    (1, 3, 8): "has rank 3; images",
    (1,) * 5000: "has rank 9; images",
}


@pytest.mark.parametrize("dims", INPUTS, ids=lambda dims: str(dims[:4]))
def test_an_input_that_lies(dims, tmp_path):
    onnx.save(conv_model(dims=dims), tmp_path / "model.onnx")
    with pytest.raises(ModelError, match=INPUTS[dims]):
        onnx_models.read(tmp_path / "model.onnx")


def test_weights_that_are_used_over_and_over(tmp_path, monkeypatch):
    """Each is small, and is in the file once; what they take together is not."""
    monkeypatch.setattr(limits, "EXPANSION_FLOOR_BYTES", 0)

    def chain(model):
        tensor = numpy_helper.from_array(random((3, 3, 9, 9)), "kernel")
        model.graph.initializer[0].CopyFrom(tensor)
        del model.graph.node[:]
        for i in range(8):
            node = helper.make_node("Conv", [f"y{i}" if i else "x", "kernel"], [f"y{i + 1}"])
            node.attribute.append(helper.make_attribute("pads", [4, 4, 4, 4]))
            model.graph.node.append(node)
        model.graph.output[0].name = "y8"

    onnx.save(conv_model(chain), tmp_path / "model.onnx")
    with pytest.raises(ModelError, match=r"arrays take \d+ bytes, far more than its file has"):
        onnx_models.read(tmp_path / "model.onnx")


# ------------------------------------------------------------------------------- attar's own


def packed(path, change=None, tensors=None, text=None):
    """Write the small model with another architecture, other tensors or other text."""
    small_safetensors(path)
    held = load_file(path)
    header = json.loads(path.read_bytes()[8:][: int.from_bytes(path.read_bytes()[:8], "little")])
    told = header["__metadata__"]
    if change is not None:
        architecture = json.loads(told["attar"])
        change(architecture)
        told["attar"] = json.dumps(architecture)
    if tensors is not None:
        tensors(held)
    if text is not None:
        told["attar"] = text
    save_file(held, path, told)


def layer_as(kind, /, **config):
    def change(architecture):
        layer = architecture["layers"][0]
        layer["class"] = kind
        layer["config"] |= config

    return change


def nodes_as(*nodes):
    return lambda architecture: architecture.update(nodes=list(nodes), output=-1)


NEST = []
for _ in range(400):
    NEST = [NEST]

ARCHITECTURES = {
    "a class of Python": (layer_as("os.system"), "'os.system' is not a layer of attar.layers"),
    "the base class": (layer_as("Layer"), "'Layer' is not a layer"),
    "a module": (layer_as("initializers"), "'initializers' is not a layer"),
    "a function": (layer_as("Input"), "'Input' is not a layer"),
    "an attribute": (layer_as("__builtins__"), "'__builtins__' is not a layer"),
    "no class": (layer_as(None), "None is not a layer"),
    "another argument": (layer_as("Conv2D", twist=1), "cannot be made from its config: .*twist"),
    "absurd filters": (layer_as("Conv2D", filters=2**31 - 4), "has the shape .* is needed"),
    "negative filters": (layer_as("Conv2D", filters=-4), "cannot be made from its config"),
    "filters of text": (layer_as("Conv2D", filters="4"), "cannot be made from its config"),
    "a name that is none": (layer_as("Conv2D", name=7), "cannot be made from its config"),
    "arguments that are deep": (layer_as("Conv2D", padding=NEST), "is not JSON|too deep|cannot be"),
    "another name": (layer_as("Conv2D", name="other"), "has no tensor 'other/kernel'"),
    "no config": (lambda a: a["layers"][0].update(config=None), "config of a layer must be"),
    "no layers": (lambda a: a.update(layers={}), "layers must be a list"),
    "no nodes": (lambda a: a.pop("nodes"), "nodes must be a list"),
    "a cycle": (nodes_as([0, [-1]], [1, [2]], [2, [1]]), "a graph must have no cycle"),
    "a node that is not there": (nodes_as([0, [-1]], [1, [9]]), "takes the answer of node 9"),
    "a layer that is not there": (nodes_as([9, [-1]]), "index of a layer"),
    "an index that is none": (nodes_as([0, [-1.5]]), "-1.5"),
    "a node that is none": (nodes_as("x"), "a node must be"),
    "an output that is not there": (lambda a: a.update(output=10**30), "output must be"),
    "an output that is none": (lambda a: a.update(output="2"), "output must be"),
    "negative sizes": (lambda a: a.update(input_shape=[8, -8, 3]), "input_shape"),
    "sizes that are none": (lambda a: a.update(input_shape="8"), "input_shape must be a list"),
    "other channels": (lambda a: a.update(input_shape=[8, 8, 4]), "where .* is needed"),
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_architecture_that_lies(name, tmp_path):
    change, message = ARCHITECTURES[name]
    packed(tmp_path / "model.safetensors", change)
    with pytest.raises(ModelError, match=message):
        safetensors.read(tmp_path / "model.safetensors")


TENSORS = {
    "too many": (lambda held: held.update(more=random((2,))), "'more' belongs to no layer"),
    "too few": (lambda held: held.pop("filter/bias"), "has no tensor 'filter/bias'"),
    "another shape": (
        lambda held: held.update({"filter/bias": random((5,))}), r"\(5,\), where \(4,\) is needed"
    ),
    "another type": (
        lambda held: held.update({"filter/bias": np.zeros(4)}), "'filter/bias' is 'F64'; .* F32"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TENSORS)
def test_tensors_that_do_not_fit(name, tmp_path):
    change, message = TENSORS[name]
    packed(tmp_path / "model.safetensors", tensors=change)
    with pytest.raises(ModelError, match=message):
        safetensors.read(tmp_path / "model.safetensors")


def test_other_files_of_safetensors(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file({"x": random((2,))}, path)
    with pytest.raises(ModelError, match=r"holds tensors but no model of attar's; .*model.save"):
        safetensors.read(path)
    packed(path, lambda architecture: architecture.update(version=2))
    with pytest.raises(ModelError, match="has version 2 of the format; this release reads"):
        safetensors.read(path)
    packed(path, text="{")
    with pytest.raises(ModelError, match="the architecture is not JSON"):
        safetensors.read(path)


def header(entries, data=b""):
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text + data


def test_headers_that_lie(tmp_path):
    path = tmp_path / "model.safetensors"
    tensor = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    for content in (
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 100) + b"{}",
        header({"x": {**tensor, "shape": [2**40]}}, bytes(8)),
        header({"x": {**tensor, "data_offsets": [0, 2**40]}}, bytes(8)),
        header({"x": {**tensor, "data_offsets": [8, 0]}}, bytes(8)),
        header({"x": tensor, "y": tensor}, bytes(8)),  # the same bytes
        header({"x": tensor}, bytes(16)),  # bytes that belong to nobody
        header({"x": {**tensor, "shape": [-2]}}, bytes(8)),
    ):
        path.write_bytes(content)
        with pytest.raises(ModelError, match=r"is damaged|is cut off"):
            safetensors.read(path)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", 2**30) + b"{")
        file.truncate(2**31)
    with pytest.raises(ModelError, match="has a header of 1073741824 bytes; up to"):
        safetensors.read(path)


# ------------------------------------------------------------------------------------- bombs


def zeros(size):
    return bytes(size)


def zip_bomb(path):
    """A gigabyte in a megabyte."""
    small_keras(path, entries={"assets": zeros(1 << 30)}, compression=zipfile.ZIP_DEFLATED)


def quoted_bomb(path):
    """Weights that say they are larger than they are packed."""
    small_keras(
        path, entries={"model.weights.h5": zeros(1 << 29)}, compression=zipfile.ZIP_DEFLATED
    )


def many_nodes(path):
    """An empty node takes two bytes in a file, and some hundred in memory."""
    path.write_bytes(field(7, field(1, b"") * (20 << 20)))


def wide_archive(path):
    """More entries than the table of an archive should have."""
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(60_000):
            archive.writestr(f"{i}", b"")


BOMBS = {
    "zip_bomb": ("model.keras", zip_bomb, "would unpack to"),
    "quoted_bomb": ("model.keras", quoted_bomb, "would unpack to"),
    "wide_archive": ("model.keras", wide_archive, "has 60000 entries"),
    "many_nodes": ("model.onnx", many_nodes, "parts beside its weights"),
}

GUARDED = """
import resource, sys, time
from attar.errors import ModelError
from attar.interchange import keras, onnx
import h5py, onnx as _
read = {{"keras": keras, "onnx": onnx}}[{path!r}.rpartition(".")[2]].read
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (256 << 20),) * 2)
start = time.monotonic()
try:
    read({path!r})
except ModelError as error:
    print(error)
assert time.monotonic() - start < 20
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited as on Linux")
@pytest.mark.parametrize("bomb", BOMBS)
def test_bombs_are_refused_in_little_memory_and_time(bomb, tmp_path):
    name, write, message = BOMBS[bomb]
    write(tmp_path / name)
    code = GUARDED.format(path=str(tmp_path / name))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert message in done.stdout


def test_a_shared_layer_keeps_its_place(tmp_path):
    layer = layers.Conv2D(3, 3, padding="same", name="twice")
    graph = Graph((Node(layer, (-1,)), Node(layer, (0,))), input_shape=(8, 8, 3))
    graph.build((None, 8, 8, 3))
    safetensors.write(graph, tmp_path / "model.safetensors")
    again = safetensors.read(tmp_path / "model.safetensors")
    assert [node.inputs for node in again] == [(-1,), (0,)]
    assert len(again.layers) == 1

"""ONNX models read and written: the numbers of ONNX Runtime, whatever the operators and layouts."""

import functools

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from attar import Sequential, layers
from attar.errors import ArgumentError, ModelError
from attar.graph import Graph, Node
from attar.interchange.onnx import read, write

from .cases import random
from .vgg16 import vgg16_names, vgg16_onnx


class Net:
    """A model in the making: each call adds an operator and returns the name of its answer."""

    def __init__(self, shape=("N", 3, 14, 11), opset=17):
        self.shape = shape
        self.opset = opset
        self.nodes, self.initializers = [], []

    def weight(self, array, dtype=np.float32):
        name = f"w{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.array(array, dtype), name))
        return name

    def random(self, *shape):
        return self.weight(random(shape, seed=len(self.initializers)))

    def __call__(self, kind, *inputs, domain="", outputs=1, **attributes):
        names = [f"{kind.lower()}{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(
            helper.make_node(
                kind, inputs, names, name=f"/net/{kind}_{len(self.nodes)}", domain=domain,
                **attributes,
            )
        )  # fmt: skip
        return names[0]

    def conv(self, x, shape, bias=True, **attributes):
        weights = [self.random(*shape), *([self.random(shape[0])] if bias else [])]
        return self("Conv", x, *weights, **attributes)

    def norm(self, x, channels):
        generator = np.random.default_rng(channels)
        gamma, beta, mean = (generator.standard_normal(channels) for _ in range(3))
        variance = generator.uniform(0.5, 2, channels)
        parts = [self.weight(part) for part in (gamma, beta, mean, variance)]
        return self("BatchNormalization", x, *parts, epsilon=1e-3)

    def model(self, output):
        outputs = [output] if isinstance(output, str) else output
        graph = helper.make_graph(
            self.nodes,
            "net",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, self.shape)],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
            self.initializers,
        )
        opsets = [helper.make_opsetid("", self.opset)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8)

    def save(self, output, path):
        onnx.save(self.model(output), path)
        return path


def image(shape, batch=2):
    """An input of a model: sizes that are not known are 13 and 17."""
    sizes = iter((13, 17))
    return random((batch, *(s if isinstance(s, int) else next(sizes) for s in shape[1:])))


def last(array):
    """Channels of maps to the end."""
    return array.transpose(0, 2, 3, 1) if array.ndim == 4 else array


def run(path, x):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (name,) = (value.name for value in session.get_inputs())
    return session.run(None, {name: np.ascontiguousarray(x)})[0]


# ------------------------------------------------------------------------- what is taken over

CASES = {}


def case(function=None, **options):
    def add(build):
        CASES[build.__name__] = (build, options)
        return build

    return add if function is None else add(function)


def variants(name, build, **options):
    def named(net):
        return build(net)

    CASES[name] = (named, options)


for _name, _shape, _attributes in [
    ("plain", (4, 3, 3, 3), {}),
    ("pads", (4, 3, 3, 3), {"pads": [1, 1, 1, 1]}),
    ("uneven pads", (4, 3, 3, 2), {"pads": [2, 0, 1, 3]}),
    ("strides", (5, 3, 3, 3), {"strides": [2, 3], "pads": [1, 1, 1, 1]}),
    ("dilations", (5, 3, 3, 3), {"dilations": [2, 3]}),
    ("groups", (6, 1, 3, 3), {"group": 3}),
    ("depthwise twice", (6, 1, 3, 5), {"group": 3, "pads": [1, 2, 1, 2]}),
    ("upper", (4, 3, 4, 4), {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    ("lower", (4, 3, 4, 4), {"auto_pad": "SAME_LOWER", "strides": [2, 2]}),
    ("valid", (4, 3, 2, 2), {"auto_pad": "VALID", "kernel_shape": [2, 2]}),
]:
    variants(f"conv {_name}", lambda net, s=_shape, a=_attributes: net.conv("x", s, **a))

for _name, _attributes in [
    ("2x2", {"strides": [2, 2]}),
    ("1 stride", {}),
    ("pads", {"strides": [2, 1], "pads": [1, 0, 0, 1]}),
    ("ceil", {"strides": [2, 2], "pads": [1, 1, 1, 1], "ceil_mode": 1}),
    ("upper", {"strides": [2, 2], "auto_pad": "SAME_UPPER"}),
    ("lower", {"strides": [2, 2], "auto_pad": "SAME_LOWER"}),
]:
    for _kind in ("MaxPool", "AveragePool"):
        variants(
            f"{_kind} {_name}",
            lambda net, k=_kind, a=_attributes: net(k, "x", kernel_shape=[3, 2], **a),
        )
variants(
    "AveragePool with its padding",
    lambda net: net(
        "AveragePool", "x", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1
    ),
)

for _kind, _attributes in [
    ("Relu", {}),
    ("LeakyRelu", {"alpha": 0.1}),
    ("Elu", {"alpha": 0.7}),
    ("Selu", {}),
    ("Sigmoid", {}),
    ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
    ("HardSwish", {}),
    ("Tanh", {}),
    ("Softplus", {}),
    ("Softsign", {}),
    ("Exp", {}),
    ("Softmax", {"axis": 1}),
    ("Softmax", {"axis": -1}),
]:
    variants(f"{_kind} {_attributes}", lambda net, k=_kind, a=_attributes: net(k, "x", **a))
variants("Gelu", lambda net: net("Gelu", "x"), opset=20)


@case
def relu6(net):
    return net("Clip", "x", net.weight(0), net.weight(6))


@case(opset=9)
def relu6_of_old(net):
    return net("Clip", "x", min=0.0, max=0.5)


@case
def prelu_of_channels(net):
    return net("PRelu", "x", net.random(3, 1, 1))


@case
def prelu_of_one(net):
    return net("PRelu", "x", net.weight([0.2]))


@case
def norm_and_residual(net):
    x = net("Relu", net.norm(net.conv("x", (4, 3, 3, 3), False, pads=[1, 1, 1, 1]), 4))
    y = net.norm(net.conv(x, (4, 4, 3, 3), False, pads=[1, 1, 1, 1]), 4)
    return net("Relu", net("Add", y, x))


@case
def merging(net):
    a, b = net.conv("x", (4, 3, 1, 1)), net.conv("x", (4, 3, 1, 1))
    parts = [net(kind, a, b) for kind in ("Sub", "Mul", "Max", "Min", "Mean", "Sum")]
    return net("Concat", net("Sum", *parts), a, axis=1)


@case
def concat_along_the_height(net):
    return net("Concat", "x", net("Relu", "x"), axis=2)


@case
def constants_of_channels(net):
    x = net("Div", net("Sub", "x", net.random(1, 3, 1, 1)), net.weight([[[2]], [[3]], [[4]]]))
    return net(
        "Sub", net.weight(1), net("Mul", net("Add", x, net.weight(0.5)), net.random(3, 1, 1))
    )


@case
def global_pools(net):
    return net("Add", net("GlobalAveragePool", "x"), net("GlobalMaxPool", "x"))


@case
def mean_without_axes_kept(net):
    return net("Gemm", net("ReduceMean", "x", axes=[2, 3], keepdims=0), net.random(3, 4))


@case(opset=18)
def mean_with_axes_as_an_input(net):
    return net("ReduceMean", "x", net.weight([-1, -2], np.int64), keepdims=1)


@case
def squeezed(net):
    return net("Squeeze", net("GlobalMaxPool", "x"), net.weight([2, 3], np.int64))


@case
def flatten_and_gemm(net):
    x = net("Flatten", net.conv("x", (4, 3, 3, 3), strides=[3, 3]))
    weights = net.random(5, 4 * 4 * 3), net.random(5)
    return net("Gemm", x, *weights, transB=1, alpha=0.5, beta=2.0)


@case
def flatten_and_what_lies_between(net):
    x = net("Flatten", net.conv("x", (4, 3, 3, 3), strides=[3, 3]))
    x = net("Mul", net.norm(net("Dropout", net("Relu", x)), 48), net.random(48))
    x = net("PRelu", x, net.random(48))
    return net("Add", net("MatMul", x, net.random(48, 7)), net.random(7))


@case
def a_product_that_is_used_twice(net):
    x = net("MatMul", net("GlobalAveragePool", "x"), net.weight([[1, 2]]))
    x = net("Flatten", x)
    product = net("MatMul", x, net.random(6, 4))
    other = net("Tanh", product)
    return net("Sub", net("Add", product, net.random(4)), other)


@case
def a_branch_that_leads_nowhere(net):
    net("Sigmoid", net.conv("x", (4, 3, 3, 3)))
    return net("Relu", "x")


@case
def flatten_as_the_answer(net):
    return net("Flatten", "x")


@case
def flattened_maps_side_by_side(net):
    x = net("Concat", net("Flatten", "x"), net("Flatten", net("Relu", "x")), axis=1)
    return net("MatMul", x, net.random(2 * 3 * 14 * 11, 5))


@case
def flattened_maps_added(net):
    x = net("Add", net("Flatten", "x"), net("Flatten", net("Relu", "x")))
    return net("MatMul", x, net.random(3 * 14 * 11, 5))


@case
def reshape_to_features(net):
    x = net("Reshape", "x", net.weight([0, -1], np.int64))
    return net("MatMul", x, net.random(3 * 14 * 11, 5))


@case
def reshape_as_an_exporter_computes_it(net):
    batch = net("Gather", net("Shape", "x"), net.weight(0, np.int64), axis=0)
    batch = net("Unsqueeze", batch, net.weight([0], np.int64))
    shape = net("Concat", batch, net.weight([-1], np.int64), axis=0)
    return net("MatMul", net("Reshape", "x", shape), net.random(3 * 14 * 11, 5))


@case(shape=(2, 3, 14, 11))
def reshape_with_the_batch_in_numbers(net):
    shape = net("Cast", net.weight([2, 462], np.int32), to=TensorProto.INT64)
    return net("MatMul", net("Reshape", "x", shape), net.random(462, 5))


@case
def features_back_to_maps(net):
    x = net("Reshape", net("Flatten", "x"), net.weight([-1, 6, 7, 11], np.int64))
    return net.conv(x, (2, 6, 3, 3))


@case
def channels_shuffled(net):
    x = net.conv("x", (6, 3, 1, 1))
    x = net("Reshape", x, net.weight([0, 2, 3, 14, 11], np.int64))
    x = net("Transpose", x, perm=[0, 2, 1, 3, 4])
    return net.conv(net("Reshape", x, net.weight([0, 6, 14, 11], np.int64)), (4, 6, 3, 3))


@case
def squeeze_and_excite(net):
    x = net.conv("x", (8, 3, 1, 1))
    gate = net("Gemm", net("Flatten", net("GlobalAveragePool", x)), net.random(8, 8))
    gate = net("Unsqueeze", net("Sigmoid", gate), net.weight([2, 3], np.int64))
    return net("Mul", x, gate)


@case
def padded(net):
    pads = net.weight([0, 0, 2, 1, 0, 0, 0, 3], np.int64)
    return net.conv(net("Pad", "x", pads), (4, 3, 3, 3))


@case(shape=("N", 14, 11, 3), layout="NHWC")
def channels_last(net):
    x = net("Transpose", net("Sub", "x", net.random(3)), perm=[0, 3, 1, 2])
    x = net("Relu", net.conv(x, (4, 3, 3, 3), strides=[3, 3]))
    x = net("Flatten", net("Transpose", x, perm=[0, 2, 3, 1]))
    return net("Gemm", x, net.random(4 * 4 * 3, 5))


@case(shape=("N", 14, 11, 3), layout="NHWC")
def channels_last_to_the_end(net):
    x = net.conv(net("Transpose", "x", perm=[0, 3, 1, 2]), (4, 3, 3, 3))
    x = net("Transpose", x, perm=[0, 2, 3, 1])
    return net("Softmax", net("Add", net("MatMul", x, net.random(4, 6)), net.random(6)), axis=-1)


@case
def weights_made_of_constants(net):
    kernel = net("Transpose", net.random(3, 3, 3, 4), perm=[3, 2, 0, 1])
    value = numpy_helper.from_array(random((4,)), "")
    scaled = net("Mul", net("Constant", value=value), net("Constant", value_float=0.5))
    return net("Conv", net("Identity", "x"), kernel, scaled)


@case(shape=("N", 3, "H", "W"))
def any_size(net):
    x = net("MaxPool", net.conv("x", (4, 3, 3, 3)), kernel_shape=[3, 3], strides=[2, 2])
    return net("Softmax", net("Flatten", net("GlobalAveragePool", x)))


@case(shape=("N", 20))
def features_alone(net):
    return net("Relu", net("Gemm", "x", net.random(20, 4), net.random(4)))


def build(name, path):
    make, options = CASES[name]
    net = Net(options.get("shape", ("N", 3, 14, 11)), options.get("opset", 17))
    return net, net.save(make(net), path), options.get("layout", "NCHW") == "NCHW"


def ours(graph, x, channels_first):
    return Sequential(graph)(np.ascontiguousarray(last(x) if channels_first else x))


def close(answer, expected, tolerance=1e-5):
    assert answer.shape == expected.shape
    assert np.abs(answer - expected).max() <= tolerance * max(1, np.abs(expected).max())


@pytest.mark.parametrize("name", CASES)
def test_read(name, tmp_path):
    net, path, channels_first = build(name, tmp_path / "net.onnx")
    x = image(net.shape)
    expected = run(path, x)
    close(ours(read(path), x, channels_first), last(expected) if channels_first else expected)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("name", CASES)
def test_write(name, layout, tmp_path):
    net, path, channels_first = build(name, tmp_path / "net.onnx")
    x = image(net.shape)
    graph = read(path)
    expected = ours(graph, x, channels_first)
    again = tmp_path / "again.onnx"
    write(graph, None, again, layout=layout)
    onnx.checker.check_model(onnx.load(again), full_check=True)

    to_last = last(x) if channels_first else x
    fed = to_last.transpose(0, 3, 1, 2) if x.ndim == 4 and layout == "NCHW" else to_last
    answer = run(again, fed)
    close(last(answer) if layout == "NCHW" else answer, expected)
    close(Sequential(read(again))(np.ascontiguousarray(to_last)), expected)


def test_layers_have_the_names_of_the_nodes(tmp_path):
    net = Net()
    output = net("Relu", net.norm(net.conv("x", (4, 3, 1, 1)), 4))
    graph = read(net.save(output, tmp_path / "net.onnx"))
    assert graph.names() == ["net/Conv_0", "net/BatchNormalization_1", "net/Relu_2"]
    assert graph.input_shape == (14, 11, 3)


def test_the_layout_of_images_may_be_said(tmp_path):
    net = Net(("N", 5, 6, 7))
    path = net.save(net("Softmax", "x", axis=-1), tmp_path / "net.onnx")
    x = image(net.shape)
    assert read(path).input_shape == (6, 7, 5)
    graph = read(path, layout="NHWC")
    assert graph.input_shape == (5, 6, 7)
    close(ours(graph, x, False), run(path, x))
    with pytest.raises(ArgumentError, match="layout must be 'NCHW', 'NHWC' or None"):
        read(path, layout="HWC")


def test_a_dense_layer_takes_its_bias_from_the_sum_behind_it(tmp_path):
    net = Net(("N", 5))
    output = net("Add", net.random(4), net("MatMul", "x", net.random(5, 4)))
    graph = read(net.save(output, tmp_path / "net.onnx"))
    assert [layer.weight_names() for layer in graph.layers] == [("kernel", "bias")]


def test_weights_in_a_file_of_their_own(tmp_path):
    net = Net()
    output = net.conv("x", (64, 3, 3, 3))
    path = tmp_path / "net.onnx"
    onnx.save(net.model(output), path, save_as_external_data=True, location="weights.bin")
    assert (tmp_path / "weights.bin").stat().st_size >= 64 * 27 * 4
    x = image(net.shape)
    close(ours(read(path), x, True), last(run(path, x)))


# ---------------------------------------------------------------------- what is not, by name

REFUSED = {
    "an operator that is not known": (
        lambda net: net("Resize", "x", "", net.weight([1, 1, 2, 2])),
        r"the node '/net/Resize_0' \(Resize\) cannot be taken over; cut the model before it",
    ),
    "another domain": (
        lambda net: net("Conv", "x", net.random(4, 3, 1, 1), domain="com.example"),
        r"'/net/Conv_0' is 'Conv' of the domain 'com.example'",
    ),
    "a subgraph": (
        lambda net: net(
            "If", net.weight(True, np.bool_), then_branch=helper.make_graph([], "a", [], []),
            else_branch=helper.make_graph([], "b", [], []),
        ),
        r"\(If\) cannot be taken over",
    ),
    "indices that are used": (
        lambda net: (net("MaxPool", "x", kernel_shape=[2, 2], outputs=2), "maxpool0_1")[1],
        "second output that is used, 'maxpool0_1'",
    ),
    "dilated pool": (
        lambda net: net("MaxPool", "x", kernel_shape=[2, 2], dilations=[2, 2]),
        r"\(MaxPool\) has dilations; pools with dilations of 1",
    ),
    "a clip": (
        lambda net: net("Clip", "x", net.weight(-1), net.weight(1)),
        r"keeps numbers in \[-1.0, 1.0\]; 0 and a maximum are read",
    ),
    "no number": (lambda net: net("Elu", "x", alpha=np.nan), "from_onnx: .*alpha must be finite"),
    "sizes doubled over and over": (
        lambda net: functools.reduce(
            lambda x, _: net("Concat", x, x, axis=1), range(40), net.conv("x", (4, 3, 1, 1))
        ),
        "would answer with the shape",
    ),
    "another sigmoid": (lambda net: net("HardSigmoid", "x"), "has alpha=0.2, beta=0.5; 1/6"),
    "a mean over channels": (
        lambda net: net("ReduceMean", "x", axes=[1]), r"mean over the axes \(1,\)"
    ),
    "reflection": (
        lambda net: net("Pad", "x", net.weight([0, 0, 1, 1, 0, 0, 1, 1], np.int64), mode="reflect"),
        "has mode='reflect'; 'constant' is read",
    ),
    "cropping": (
        lambda net: net("Pad", "x", net.weight([0, 0, -1, 0, 0, 0, 0, 0], np.int64)), "which crops"
    ),
    "padding with another number": (
        lambda net: net(
            "Pad", "x", net.weight([0, 0, 1, 1, 0, 0, 1, 1], np.int64), net.weight(-1)
        ),
        r"pads with -1.0; padding with 0",
    ),
    "the batch moved": (
        lambda net: net("Transpose", "x", perm=[1, 0, 2, 3]), "the batch must stay in front"
    ),
    "the batch merged": (
        lambda net: net("Reshape", "x", net.weight([6, -1], np.int64)),
        "shapes with the batch in front",
    ),
    "kernels that are computed": (
        lambda net: net("Conv", "x", net("Relu", "x")), "has an input that is computed, 'relu0_0'"
    ),
    "a constant of every pixel": (
        lambda net: net("Add", "x", net.random(1, 3, 14, 11)), "one number, or one for each channel"
    ),
    "training": (
        lambda net: net(
            "BatchNormalization", "x", *(net.random(3) for _ in range(4)), training_mode=1
        ),
        "has training_mode=1; 0 is read",
    ),
    "groups that do not fit": (
        lambda net: net("Conv", "x", net.random(4, 2, 1, 1)),
        r"does not fit: .*where \(1, 1, 3, 4\) is needed",
    ),
    "an attribute of the wrong type": (
        lambda net: net("Relu", net("LeakyRelu", "x", alpha=[1])),
        "attribute alpha of the wrong type",
    ),
    "half precision": (
        lambda net: net("Conv", "x", net.weight(random((4, 3, 1, 1)), np.float16)),
        "has weights of float16; convert the model to float32",
    ),
    "no layers": (lambda net: net("Identity", "x"), "the model has no layers"),
    "an answer that is always the same": (
        lambda net: net("Identity", net.weight(1)), "does not depend on its input"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_taken_over_is_named(name, tmp_path):
    make, message = REFUSED[name]
    net = Net()
    with pytest.raises(ModelError, match=message):
        read(net.save(make(net), tmp_path / "net.onnx"))


def test_old_and_unknown_versions_are_refused(tmp_path):
    for opset in (6, 999):
        net = Net(opset=opset)
        with pytest.raises(ModelError, match=rf"version \[{opset}\]; versions 7 to \d+ are read"):
            read(net.save(net("Relu", "x"), tmp_path / "net.onnx"))


def test_several_inputs_and_outputs_are_refused(tmp_path):
    net = Net()
    with pytest.raises(ModelError, match=r"has 2 outputs .*extract_model"):
        read(net.save([net("Relu", "x"), net("Tanh", "x")], tmp_path / "net.onnx"))
    model = net.model("relu0_0")
    model.graph.input.add().CopyFrom(
        helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 3, 4, 4])
    )
    onnx.save(model, tmp_path / "net.onnx")
    with pytest.raises(ModelError, match=r"has 2 inputs \('x', 'z'\)"):
        read(tmp_path / "net.onnx")


# ----------------------------------------------------------------------------- written alone

WRITTEN = {
    "activations": [
        layers.Conv2D(4, 3, padding="same", activation=name)
        for name in (
            "relu", "relu6", "leaky_relu", "elu", "selu", "gelu", "silu", "sigmoid",
            "hard_sigmoid", "hard_silu", "tanh", "softplus", "softsign", "softmax", "exponential",
        )
    ],
    "rectified": [
        layers.ReLU(), layers.ReLU(max_value=2), layers.ReLU(negative_slope=0.1),
        layers.ReLU(max_value=0.3, negative_slope=0.5), layers.LeakyReLU(0.2), layers.ELU(0.4),
    ],
    "same": [
        layers.Conv2D(4, 4, strides=2, padding="same"), layers.MaxPooling2D(3, 2, padding="same"),
        layers.AveragePooling2D(2, 2, padding="same"),
    ],
    "depthwise": [
        layers.DepthwiseConv2D(3, depth_multiplier=2, padding=((0, 1), (2, 0))),
        layers.Conv2D(6, 3, groups=3, dilation_rate=2, use_bias=False),
    ],
    "norms": [
        layers.Rescaling([1, 2, 3], 0.5), layers.BatchNormalization(scale=False, center=False),
        layers.PReLU(shared_axes=(1, 2), alpha_initializer="glorot_uniform"),
        layers.PReLU(alpha_initializer="glorot_uniform"),
    ],
    "shapes": [
        layers.Reshape((7, 22, 3)), layers.ZeroPadding2D(1), layers.Permute((3, 1, 2)),
        layers.Dropout(0.5), layers.Flatten(), layers.Dense(12), layers.Reshape((3, 4)),
        layers.Dense(5, activation="relu"), layers.BatchNormalization(), layers.Softmax(axis=1),
    ],
    "dense on maps": [layers.Dense(5, activation="tanh"), layers.Conv2D(2, 3)],
    "global": [layers.GlobalMaxPooling2D(keepdims=True), layers.GlobalAveragePooling2D()],
}  # fmt: skip


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("name", WRITTEN)
def test_layers_written(name, layout, tmp_path):
    model = Sequential([layers.Input((14, 11, 3)), *map(fresh, WRITTEN[name])])
    x = random((2, 14, 11, 3), seed=3)
    write(model.graph, None, tmp_path / "model.onnx", layout=layout)
    onnx.checker.check_model(onnx.load(tmp_path / "model.onnx"), full_check=True)
    answer = run(tmp_path / "model.onnx", x.transpose(0, 3, 1, 2) if layout == "NCHW" else x)
    close(last(answer) if layout == "NCHW" else answer, model(x))


def fresh(layer):
    return type(layer).from_config({**layer.get_config(), "name": f"layer_{id(layer)}"})


def test_a_layer_that_is_used_twice_is_written_with_one_set_of_weights(tmp_path):
    layer = layers.Conv2D(3, 3, padding="same", name="twice")
    graph = Graph((Node(layer, (-1,)), Node(layer, (0,))), input_shape=(8, 8, 3))
    graph.build((None, 8, 8, 3))
    write(graph, None, tmp_path / "model.onnx")
    assert len(onnx.load(tmp_path / "model.onnx").graph.initializer) == 2
    x = random((1, 8, 8, 3))
    close(last(run(tmp_path / "model.onnx", x.transpose(0, 3, 1, 2))), Sequential(graph)(x))


def test_images_of_any_size(tmp_path):
    chain = [
        layers.Conv2D(4, 3, padding="same"),
        layers.MaxPooling2D(2, 2, padding="same"),
        layers.Conv2D(2, 3, strides=2, padding="same"),
    ]
    model = Sequential(chain)
    model.build((None, 8, 8, 3))
    write(model.graph, (None, None, 3), tmp_path / "model.onnx")
    for size in (8, 13):
        x = random((1, size, size + 3, 3))
        answer = run(tmp_path / "model.onnx", x.transpose(0, 3, 1, 2))
        close(last(answer), Sequential(chain)(x))


def test_what_cannot_be_written_is_named(tmp_path):
    path = tmp_path / "model.onnx"
    built = Graph.chain([layers.ReLU(threshold=1, name="high")], input_shape=(8, 8, 3))
    with pytest.raises(ModelError, match=r"'high' \(ReLU\) has threshold=1.0"):
        write(built, None, path)
    with pytest.raises(ModelError, match=r"'filter' has no weights yet; build the model"):
        write(Graph.chain([layers.Conv2D(2, 3, name="filter")]), (8, 8, 3), path)
    with pytest.raises(ArgumentError, match="the shape of an image is not known"):
        write(Graph.chain([layers.ReLU()]), None, path)
    with pytest.raises(ArgumentError, match="layout must be 'NCHW' or 'NHWC', got 'CHWN'"):
        write(built, None, path, layout="CHWN")
    assert not path.exists()


# ------------------------------------------------------------------------------ a real model


def test_every_map_of_the_real_vgg16(tmp_path):
    path = tmp_path / "vgg16.onnx"
    vgg16_onnx(path)
    model = Sequential.from_onnx(path)
    x = 60 * random((1, 64, 96, 3), seed=1)  # an image less its mean

    everything = onnx.load(path)
    names = vgg16_names()
    del everything.graph.output[:]
    everything.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names
    )
    session = onnxruntime.InferenceSession(everything.SerializeToString())
    expected = dict(zip(names, session.run(None, {"image": last_to_first(x)}), strict=True))

    maps = model.trace(x)
    assert list(expected) == [name for name in maps if name in expected]
    for name, there in expected.items():
        # The node of a convolution gives the name to the map before its ReLU.
        here = maps[f"{name}_relu" if "conv" in name else name]
        close(here, last(there), 1e-4)
    close(model(x), last(expected["block5_pool"]), 1e-4)


def last_to_first(x):
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2))

"""The work as an ONNX model, for the runtimes that take one."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers import to_channels_first, to_channels_last
from benchmarks.rows import Base, Extraction, Pooling


def extract_model(workload: Extraction, kernel: NDArray[np.float32]) -> bytes:
    """Return Conv + Relu + MaxPool with SAME_UPPER padding and fixed shapes, serialised."""
    from onnx import TensorProto, helper, numpy_helper

    n, height, width, channels = workload.image_shape
    _, rows_out, columns_out, maps = workload.output_shape
    kh, kw = workload.kernel_shape[:2]
    nodes = [
        helper.make_node(
            "Conv", ["x", "w"], ["filter"], kernel_shape=[kh, kw], auto_pad="SAME_UPPER"
        ),
        helper.make_node("Relu", ["filter"], ["detect"]),
        helper.make_node(
            "MaxPool",
            ["detect"],
            ["y"],
            kernel_shape=[workload.window] * 2,
            strides=[workload.stride] * 2,
            auto_pad="SAME_UPPER",
        ),
    ]
    weight = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))
    graph = helper.make_graph(
        nodes,
        "extract",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [n, channels, height, width])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [n, maps, rows_out, columns_out])],
        [numpy_helper.from_array(weight, "w")],
    )
    return _serialise(graph)


def base_model(workload: Base, weights: tuple[NDArray[np.float32], ...]) -> bytes:
    """Return Conv + Relu (+ MaxPool) for every stage, with fixed shapes, NCHW, serialised."""
    from onnx import TensorProto, helper, numpy_helper

    nodes, initializers, at = [], [], "x"
    for i, stage in enumerate(workload.stages):
        kernel, bias = weights[2 * i], weights[2 * i + 1]
        filters = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))
        initializers += [numpy_helper.from_array(filters, f"w{i}")]
        initializers += [numpy_helper.from_array(bias, f"b{i}")]
        last = i == len(workload.stages) - 1
        detected = "y" if last and not stage.pool else f"detect{i}"
        nodes += [
            helper.make_node(
                "Conv",
                [at, f"w{i}", f"b{i}"],
                [f"filter{i}"],
                kernel_shape=[stage.size] * 2,
                strides=[stage.stride] * 2,
                pads=[stage.pad] * 4,
            ),
            helper.make_node("Relu", [f"filter{i}"], [detected]),
        ]
        at = detected
        if stage.pool:
            at = "y" if last else f"condense{i}"
            nodes.append(
                helper.make_node(
                    "MaxPool",
                    [detected],
                    [at],
                    kernel_shape=[stage.pool] * 2,
                    strides=[2, 2],
                    pads=[stage.pool_pad] * 4,
                )
            )
    (n, height, width, channels), (_, rows, columns, maps) = workload.shapes[0], workload.shapes[-1]
    graph = helper.make_graph(
        nodes,
        "base",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [n, channels, height, width])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [n, maps, rows, columns])],
        initializers,
    )
    return _serialise(graph)


def pool_model(workload: Pooling, native: bool, whole: bool = False) -> bytes:
    """Return the pooling with fixed shapes, serialised.

    ONNX pools are channels first. With `native` the model's input and output are so, too; else
    they are of the row's layout, with a Transpose on either side where that is channels last.
    `whole` takes the operator for a window that covers everything.
    """
    from onnx import helper

    number = helper.np_dtype_to_tensor_dtype(workload.numpy_dtype)
    n, channels = workload.shape[0], workload.channels
    turned = not native and not workload.channels_first
    shapes = workload.shape, workload.output_shape
    if native:
        shapes = (n, channels, *workload.sizes), (n, channels, *workload.output_sizes)
    attributes = {
        "kernel_shape": workload.window,
        "strides": workload.strides,
        "pads": [before for before, _ in workload.pads] + [after for _, after in workload.pads],
    }
    if workload.dilations:
        attributes["dilations"] = workload.dilations
    operator = {"MAX": "MaxPool", "AVG": "AveragePool", "LP": "LpPool"}[workload.kind]
    if whole and turned:
        nodes = [
            helper.make_node("ReduceMean", ["x"], ["y"], axes=workload.spatial_axes, keepdims=1)
        ]
    elif whole:
        nodes = [helper.make_node("GlobalAveragePool", ["x"], ["y"])]
    elif turned:
        nodes = [
            helper.make_node("Transpose", ["x"], ["first"], perm=to_channels_first(workload.dims)),
            helper.make_node(operator, ["first"], ["pooled"], **attributes),
            helper.make_node("Transpose", ["pooled"], ["y"], perm=to_channels_last(workload.dims)),
        ]
    else:
        nodes = [helper.make_node(operator, ["x"], ["y"], **attributes)]
    graph = helper.make_graph(
        nodes,
        "pool",
        [helper.make_tensor_value_info("x", number, shapes[0])],
        [helper.make_tensor_value_info("y", number, shapes[1])],
    )
    return _serialise(graph, 22 if workload.number == "bfloat16" else 17)


def _serialise(graph: Any, opset: int = 17) -> bytes:
    from onnx import checker, helper

    # Opset 17 and IR 9: old enough for every release of the runtimes that is measured.
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=9 if opset == 17 else 10,
    )
    checker.check_model(model)
    serialised: bytes = model.SerializeToString()
    return serialised

"""The three steps as an ONNX model, for the runtimes that take one."""

import numpy as np
from numpy.typing import NDArray

from benchmarks.rows import Workload


def extract_model(workload: Workload, kernel: NDArray[np.float32]) -> bytes:
    """Return Conv + Relu + MaxPool with SAME_UPPER padding and fixed shapes, serialised."""
    from onnx import TensorProto, checker, helper, numpy_helper

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
    # Opset 17 and IR 9: old enough for every release of the runtimes that is measured.
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    checker.check_model(model)
    serialised: bytes = model.SerializeToString()
    return serialised

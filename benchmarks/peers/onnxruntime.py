"""ONNX Runtime on the CPU, all graph optimisations on."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers import Peer, Way, nchw_to_nhwc
from benchmarks.peers.onnx_model import extract_model
from benchmarks.rows import Workload


class OnnxRuntime(Peer):
    """A plain run, and IO binding with both buffers kept: whichever is faster."""

    name = "ONNX Runtime"

    def load(self, threads: int) -> Mapping[str, str]:
        """Import onnxruntime, and onnx to build the model."""
        import onnx
        import onnxruntime

        self.onnxruntime = onnxruntime
        self.threads = threads
        return {"onnxruntime": onnxruntime.__version__, "onnx": onnx.__version__}

    def extract(
        self, workload: Workload, image: NDArray[np.float32], kernel: NDArray[np.float32]
    ) -> Mapping[str, Way]:
        """Run Conv + Relu + MaxPool, which the optimiser makes two fused NCHWc nodes."""
        ort = self.onnxruntime
        options = ort.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.log_severity_level = 3
        session = ort.InferenceSession(
            extract_model(workload, kernel), options, providers=["CPUExecutionProvider"]
        )
        x = np.ascontiguousarray(image.transpose(0, 3, 1, 2))
        n, rows, columns, maps = workload.output_shape
        y = np.zeros((n, maps, rows, columns), np.float32)
        binding = session.io_binding()
        binding.bind_cpu_input("x", x)
        binding.bind_output("y", "cpu", 0, np.float32, y.shape, y.ctypes.data)

        def bound(_owner: Any = x) -> Any:
            # The binding reads x and writes y without owning them: the way keeps both alive.
            session.run_with_iobinding(binding)
            return y

        return {
            "run": Way(lambda: session.run(None, {"x": x})[0], nchw_to_nhwc),
            "run_with_iobinding": Way(bound, nchw_to_nhwc),
        }

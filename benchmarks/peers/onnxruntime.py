"""ONNX Runtime on the CPU, all graph optimisations on."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers import Peer, Way, nchw_to_nhwc
from benchmarks.peers.onnx_model import base_model, extract_model, pool_model
from benchmarks.rows import Base, Extraction, Pooling


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
        self, workload: Extraction, image: NDArray[np.float32], kernel: NDArray[np.float32]
    ) -> Mapping[str, Way]:
        """Run Conv + Relu + MaxPool, which the optimiser makes two fused NCHWc nodes."""
        x = np.ascontiguousarray(image.transpose(0, 3, 1, 2))
        n, rows, columns, maps = workload.output_shape
        y = np.zeros((n, maps, rows, columns), np.float32)
        return self._ways(extract_model(workload, kernel), x, y, nchw_to_nhwc)

    def base(
        self, workload: Base, image: NDArray[np.float32], *weights: NDArray[np.float32]
    ) -> Mapping[str, Way]:
        """Run the stages, each of them two fused NCHWc nodes."""
        x = np.ascontiguousarray(image.transpose(0, 3, 1, 2))
        n, rows, columns, maps = workload.shapes[-1]
        y = np.zeros((n, maps, rows, columns), np.float32)
        return self._ways(base_model(workload, weights), x, y, nchw_to_nhwc)

    def pool(self, workload: Pooling, x: NDArray[Any]) -> Mapping[str, Way]:
        """Run the pool, between two transpositions where the row has channels last."""
        if workload.number == "bfloat16":
            raise NotImplementedError("its CPU provider has no pools of bfloat16")
        y = np.zeros(workload.output_shape, workload.numpy_dtype)
        ways = dict(self._ways(pool_model(workload, native=False), x, y))
        if workload.whole and workload.kind == "AVG":
            whole = pool_model(workload, native=False, whole=True)
            ways |= {f"{name}, whole": way for name, way in self._ways(whole, x, y).items()}
        return ways

    def _ways(
        self,
        model: bytes,
        x: NDArray[Any],
        y: NDArray[Any],
        read: Callable[[NDArray[Any]], NDArray[Any]] = np.asarray,
    ) -> Mapping[str, Way]:
        ort = self.onnxruntime
        options = ort.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.log_severity_level = 3
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        binding = session.io_binding()
        binding.bind_cpu_input("x", x)
        binding.bind_output("y", "cpu", 0, y.dtype.type, y.shape, y.ctypes.data)

        def bound(_owner: Any = x) -> Any:
            # The binding reads x and writes y without owning them: the way keeps both alive.
            session.run_with_iobinding(binding)
            return y

        return {
            "run": Way(lambda: session.run(None, {"x": x})[0], read),
            "run_with_iobinding": Way(bound, read),
        }

"""OpenVINO on the CPU, for latency, in the precision of the row."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers import Peer, Way, nchw_to_nhwc
from benchmarks.peers.onnx_model import base_model, extract_model, pool_model
from benchmarks.rows import Base, Extraction, Pooling


class OpenVino(Peer):
    """The ONNX model, compiled; NCHW arrays, and NHWC ones transposed inside the model."""

    name = "OpenVINO"

    def load(self, threads: int) -> Mapping[str, str]:
        """Import openvino, and onnx to build the model."""
        import onnx
        import openvino

        self.openvino = openvino
        self.threads = threads
        return {"openvino": openvino.__version__, "onnx": onnx.__version__}

    def extract(
        self, workload: Extraction, image: NDArray[np.float32], kernel: NDArray[np.float32]
    ) -> Mapping[str, Way]:
        """Infer with input and output tensors that are set once."""
        model = extract_model(workload, kernel)
        nchw = np.ascontiguousarray(image.transpose(0, 3, 1, 2))
        return {
            "NCHW": self._way(model, nchw, None, "f32", nchw_to_nhwc),
            "NHWC": self._way(model, image, "NHWC", "f32"),
        }

    def base(
        self, workload: Base, image: NDArray[np.float32], *weights: NDArray[np.float32]
    ) -> Mapping[str, Way]:
        """Infer the stages; it fuses convolution, bias and ReLU."""
        model = base_model(workload, weights)
        nchw = np.ascontiguousarray(image.transpose(0, 3, 1, 2))
        return {
            "NCHW": self._way(model, nchw, None, "f32", nchw_to_nhwc),
            "NHWC": self._way(model, image, "NHWC", "f32"),
        }

    def pool(self, workload: Pooling, x: NDArray[Any]) -> Mapping[str, Way]:
        """Infer the pool; channels last by a layout of the tensors, or by operations."""
        last = None if workload.channels_first else workload.layout
        tensor: Any = x
        precisions = ["f32"]
        read: Callable[[NDArray[Any]], NDArray[Any]] = np.asarray
        if workload.number == "bfloat16":
            tensor, dtype = x.view(np.uint16), x.dtype
            precisions.append("bf16")

            def read(answer: NDArray[Any]) -> NDArray[Any]:
                return answer.view(dtype)

        ways = {}
        for precision in precisions:
            native = pool_model(workload, native=True)
            ways[precision] = self._way(native, tensor, last, precision, read)
            if last:
                turned = pool_model(workload, native=False)
                name = f"{precision}, Transpose"
                ways[name] = self._way(turned, tensor, None, precision, read)
            if workload.whole and workload.kind == "AVG":
                whole = pool_model(workload, native=False, whole=True)
                ways[f"{precision}, whole"] = self._way(whole, tensor, None, precision, read)
        return ways

    def _way(
        self,
        model_bytes: bytes,
        x: NDArray[Any],
        layout: str | None,
        precision: str,
        read: Callable[[NDArray[Any]], NDArray[Any]] = np.asarray,
    ) -> Way:
        """Compile the model; with `layout`, its tensors have that layout and it is adapted."""
        ov = self.openvino
        model = ov.Core().read_model(model_bytes)
        if layout:
            own = layout[0] + "C" + layout[1:-1]
            steps = ov.preprocess.PrePostProcessor(model)
            for end in (steps.input(), steps.output()):
                end.tensor().set_layout(ov.Layout(layout))
                end.model().set_layout(ov.Layout(own))
            model = steps.build()
        compiled = ov.Core().compile_model(
            model,
            "CPU",
            {
                "INFERENCE_NUM_THREADS": self.threads,
                "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_PRECISION_HINT": precision,
            },
        )
        request = compiled.create_infer_request()
        kind = model.input().get_element_type()
        if kind == ov.Type.bf16:
            tensor = ov.Tensor(x, x.shape, kind)
        else:
            tensor = ov.Tensor(x, shared_memory=True)
        request.set_input_tensor(tensor)

        def infer(_owners: Any = (x, model_bytes)) -> Any:
            # The request reads this memory without owning it: the way keeps the arrays alive.
            request.infer()
            return request.get_output_tensor().data

        return Way(infer, read)

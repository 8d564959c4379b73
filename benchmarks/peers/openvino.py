"""OpenVINO on the CPU, for latency, in float32."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers import Peer, Way, nchw_to_nhwc
from benchmarks.peers.onnx_model import extract_model
from benchmarks.rows import Workload


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
        self, workload: Workload, image: NDArray[np.float32], kernel: NDArray[np.float32]
    ) -> Mapping[str, Way]:
        """Infer with input and output tensors that are set once."""
        ov = self.openvino
        model_bytes = extract_model(workload, kernel)
        nchw = np.ascontiguousarray(image.transpose(0, 3, 1, 2))
        ways = {}
        for layout, x in (("NCHW", nchw), ("NHWC", image)):
            model = ov.Core().read_model(model_bytes)
            if layout == "NHWC":
                steps = ov.preprocess.PrePostProcessor(model)
                steps.input().tensor().set_layout(ov.Layout("NHWC"))
                steps.input().model().set_layout(ov.Layout("NCHW"))
                steps.output().tensor().set_layout(ov.Layout("NHWC"))
                steps.output().model().set_layout(ov.Layout("NCHW"))
                model = steps.build()
            compiled = ov.Core().compile_model(
                model,
                "CPU",
                {
                    "INFERENCE_NUM_THREADS": self.threads,
                    "PERFORMANCE_HINT": "LATENCY",
                    "INFERENCE_PRECISION_HINT": "f32",
                },
            )
            request = compiled.create_infer_request()
            request.set_input_tensor(ov.Tensor(x, shared_memory=True))

            def infer(request: Any = request, _owners: Any = (x, model_bytes)) -> Any:
                # The request reads this memory without owning it: the way keeps the arrays alive.
                request.infer()
                return request.get_output_tensor().data

            ways[layout] = Way(infer, nchw_to_nhwc) if layout == "NCHW" else Way(infer)
        return ways

"""attar itself: the default call, and the call into an array that the caller keeps."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers import Peer, Way
from benchmarks.rows import Workload


class Attar(Peer):
    """nn.extract as a user calls it: it allocates its answer."""

    name = "attar"

    def load(self, threads: int) -> Mapping[str, str]:
        """Import attar and set its threads."""
        import attar
        import attar.nn

        attar.set_num_threads(threads)
        self.nn = attar.nn
        return {"attar": attar.__version__}

    def extract(
        self, workload: Workload, image: NDArray[np.float32], kernel: NDArray[np.float32]
    ) -> Mapping[str, Way]:
        """Run the fused three steps."""
        options = self._options(workload)
        return {"extract": Way(lambda: self.nn.extract(image, kernel, **options))}

    def _options(self, workload: Workload) -> dict[str, Any]:
        return {"window_shape": workload.window, "pool_strides": workload.stride}


class AttarOut(Attar):
    """nn.extract with `out`, so that no page of the answer is new."""

    name = "attar, out="

    def extract(
        self, workload: Workload, image: NDArray[np.float32], kernel: NDArray[np.float32]
    ) -> Mapping[str, Way]:
        """Run the fused three steps into one array, again and again."""
        options = self._options(workload)
        out = np.zeros(workload.output_shape, np.float32)
        return {"extract": Way(lambda: self.nn.extract(image, kernel, **options, out=out))}

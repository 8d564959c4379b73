"""scikit-image: block_reduce, for windows that lie side by side."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers import Peer, Way
from benchmarks.rows import Pooling


class ScikitImage(Peer):
    """measure.block_reduce, which is a NumPy reduction over the windows' own axes."""

    name = "scikit-image"

    def load(self, threads: int) -> Mapping[str, str]:
        """Import skimage.measure."""
        import skimage
        import skimage.measure

        self.measure = skimage.measure
        return {"scikit-image": skimage.__version__}

    def pool(self, workload: Pooling, x: NDArray[Any]) -> Mapping[str, Way]:
        """Reduce blocks."""
        if not workload.side_by_side or workload.kind == "LP":
            raise NotImplementedError("block_reduce takes maxima and means of blocks")
        block = [1] * x.ndim
        for axis, k in zip(workload.spatial_axes, workload.window, strict=True):
            block[axis] = k
        reduce = np.max if workload.kind == "MAX" else np.mean
        return {"block_reduce": Way(lambda: self.measure.block_reduce(x, tuple(block), reduce))}

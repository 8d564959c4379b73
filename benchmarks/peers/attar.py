"""attar itself: the default call, and the call into an array that the caller keeps."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers import Peer, Way, torch_training
from benchmarks.rows import (
    Base,
    Extraction,
    Pooling,
    PoolingGradient,
    PoolingStep,
    TrainingStep,
)


class Attar(Peer):
    """attar.nn as a user calls it: it allocates its answer."""

    name = "attar"

    def load(self, threads: int) -> Mapping[str, str]:
        """Import attar and set its threads."""
        import attar
        import attar.nn

        attar.set_num_threads(threads)
        self.nn = attar.nn
        return {"attar": attar.__version__}

    def extract(
        self, workload: Extraction, image: NDArray[np.float32], kernel: NDArray[np.float32]
    ) -> Mapping[str, Way]:
        """Run the fused three steps."""
        options = self._options(workload)
        return {"extract": Way(lambda: self.nn.extract(image, kernel, **options))}

    def base(
        self, workload: Base, image: NDArray[np.float32], *weights: NDArray[np.float32]
    ) -> Mapping[str, Way]:
        """Call the model."""
        model = self._model(workload, weights)
        return {"Sequential": Way(lambda: model(image))}

    def pool(self, workload: Pooling, x: NDArray[Any]) -> Mapping[str, Way]:
        """Call nn.pool."""
        nn, (arguments, options) = self.nn, self._pool_arguments(workload)
        return {"pool": Way(lambda: nn.pool(x, *arguments, **options))}

    def pool_grad(
        self, workload: PoolingGradient, x: NDArray[Any], gradient: NDArray[Any]
    ) -> Mapping[str, Way]:
        """Go back from the winners that the way there has kept, or from the shape."""
        return {"pool_grad": Way(self._gradient_call(workload, x, gradient))}

    def train(self, workload: TrainingStep, *arrays: NDArray[np.float32]) -> Mapping[str, Way]:
        """Take a step with PyTorch's modules, accelerated."""
        import torch

        from attar.torch import accelerate

        formats = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
        return {
            name: torch_training.step(workload, arrays, layout, accelerate)
            for name, layout in formats.items()
        }

    def pool_train(
        self, workload: PoolingStep, x: NDArray[Any], gradient: NDArray[Any]
    ) -> Mapping[str, Way]:
        """Go there and back with a module of attar.torch."""
        from attar.torch import accelerate

        return {"module": torch_training.pool_step(workload, x, gradient, True, accelerate)}

    def _model(self, workload: Base, weights: tuple[NDArray[np.float32], ...]) -> Any:
        from attar import Sequential, layers

        stack: list[Any] = []
        for stage, kernel, bias in zip(workload.stages, weights[::2], weights[1::2], strict=True):
            pads = ((stage.pad,) * 2,) * 2
            conv = layers.Conv2D(
                stage.filters, stage.size, stage.stride, padding=pads, activation="relu"
            )
            conv.set_weights([kernel, bias])
            stack.append(conv)
            if stage.pool:
                stack.append(layers.MaxPool2D(stage.pool, 2, padding=((stage.pool_pad,) * 2,) * 2))
        return Sequential(stack)

    def _options(self, workload: Extraction) -> dict[str, Any]:
        return {"window_shape": workload.window, "pool_strides": workload.stride}

    def _pool_arguments(self, workload: Pooling) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (
            (workload.window, workload.kind, workload.strides, workload.padding),
            {"data_format": workload.layout, "dilations": workload.dilations},
        )

    def _gradient_call(
        self, workload: PoolingGradient, x: NDArray[Any], gradient: NDArray[Any]
    ) -> Callable[[], Any]:
        nn = self.nn
        window = (workload.window, workload.strides, workload.padding, workload.layout)
        if workload.kind == "AVG":
            return functools.partial(nn.avg_pool_grad, gradient, workload.shape, *window)
        kept = nn.max_pool_with_argmax(
            x, *window[:3], data_format=workload.layout, index="window"
        ).argmax
        return functools.partial(nn.max_pool_grad, gradient, workload.shape, *window, winners=kept)


class AttarOut(Attar):
    """The same with `out`, so that no page of the answer is new."""

    name = "attar, out="

    def extract(
        self, workload: Extraction, image: NDArray[np.float32], kernel: NDArray[np.float32]
    ) -> Mapping[str, Way]:
        """Run the fused three steps into one array, again and again."""
        options = self._options(workload)
        out = np.zeros(workload.output_shape, np.float32)
        return {"extract": Way(lambda: self.nn.extract(image, kernel, **options, out=out))}

    def base(
        self, workload: Base, image: NDArray[np.float32], *weights: NDArray[np.float32]
    ) -> Mapping[str, Way]:
        """Run the plan into one array, again and again."""
        plan = self._model(workload, weights).plan(workload.image_shape)
        out = np.zeros(workload.shapes[-1], np.float32)
        return {"plan.run": Way(lambda: plan.run(image, out))}

    def pool(self, workload: Pooling, x: NDArray[Any]) -> Mapping[str, Way]:
        """Call nn.pool, into one array again and again."""
        nn, (arguments, options) = self.nn, self._pool_arguments(workload)
        out = np.zeros(workload.output_shape, workload.numpy_dtype)
        return {"pool": Way(lambda: nn.pool(x, *arguments, **options, out=out))}

    pool_grad = pool_train = train = None  # gradients are always new arrays

"""PyTorch modules, run by PyTorch."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from attar.errors import ModelError
from attar.interchange.limits import shown
from attar.models.inputs import known_preparation
from attar.models.protocol import (
    OPERATION,
    Answers,
    Array,
    Described,
    Takes,
    channels_last,
    missing,
)
from attar.preparation import Preparation

try:
    import torch
except ImportError as error:
    raise missing("torch", "torch", error) from error

from attar.models.torch_recorder import Recorder, tensors_in

__all__ = ["TorchEngine"]

_IMAGES = 2  # that are described at once: so what is of the batch is told from what is not


class TorchEngine:
    """A module, in evaluation mode while it runs here, and otherwise as it was."""

    framework = "torch"

    def __init__(self, module: Any) -> None:
        module = getattr(module, "_orig_mod", module)  # what torch.compile wraps
        if not isinstance(module, torch.nn.Module):
            raise ModelError(f"{OPERATION}: takes a torch.nn.Module, got {type(module).__name__}")
        self.wrapped = module
        self.name = type(module).__name__
        self.outputs: tuple[str, ...] = ()  # known once it has run
        weight = next((each for each in module.parameters() if each.is_floating_point()), None)
        self._like = torch.zeros(0) if weight is None else weight
        channels, says = self._channels()
        self.takes = Takes(None, None, None, channels, "NCHW", says, *self._preparation())
        self._lock = threading.Lock()

    def _channels(self) -> tuple[int | None, str]:
        for name, each in self.wrapped.named_modules():
            if isinstance(count := getattr(each, "in_channels", None), int):
                return count, f"channels by its layer {name}; any size" if name else "any size"
            if hasattr(each, "in_features"):
                break
        return None, "any size"

    def _preparation(self) -> tuple[Preparation | None, str]:
        kind = type(self.wrapped)
        told = getattr(self.wrapped, "pretrained_cfg", None)  # of models of timm
        if isinstance(told, Mapping) and "mean" in told and "std" in told:
            made = Preparation(mean=tuple(told["mean"]), std=tuple(told["std"]))
            return made, "its pretrained_cfg"
        return known_preparation(kind.__module__) or (None, "")

    def describe(self, height: int, width: int, channels: int) -> Described:
        """Tell what is computed for an image of this size."""
        image = torch.zeros(_IMAGES, channels, height, width)
        image = image.to(self._like.device, self._like.dtype)
        recorder = Recorder(self.wrapped, image)
        answer = self._forward(image, recorder)
        found = dict(_outputs(answer))
        if not found:
            raise ModelError(f"{OPERATION}: the module {self.name} returns no tensor")
        self.outputs = tuple(found)
        return Described(
            tuple(recorder.calls), tuple(recorder.place(tensor) for tensor in found.values())
        )

    def run(self, images: Array, watch: Sequence[str], output: int | None) -> Answers:
        """Compute a batch."""
        image = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
        image = image.to(self._like.device, self._like.dtype)
        recorder = Recorder(self.wrapped, image, watch) if watch else None
        answer = self._forward(image, recorder)
        maps = {} if recorder is None else recorder.maps
        for name in watch:
            if name not in maps:
                raise ModelError(
                    f"{OPERATION}: the module {self.name} did not come to {shown(name)} this time; "
                    "its forward decides by the numbers of a map"
                )
        if output is None:
            return Answers({name: maps[name] for name in watch}, None)
        last = [tensor for _, tensor in _outputs(answer)][output].detach().float().cpu().numpy()
        return Answers({name: maps[name] for name in watch}, channels_last(last))

    def _forward(self, image: torch.Tensor, recorder: Recorder | None) -> Any:
        with self._lock, _evaluating(self.wrapped), torch.no_grad():
            try:
                if recorder is None:
                    return self.wrapped(image)
                with recorder.hooked(), recorder:
                    return self.wrapped(image)
            except Exception as error:  # whatever a forward raises
                raise ModelError(
                    f"{OPERATION}: the module {self.name} fails on images of "
                    f"{tuple(image.shape)} (N, C, H, W): {shown(str(error), 300)}"
                ) from error


@contextmanager
def _evaluating(module: torch.nn.Module) -> Iterator[None]:
    modes = [(each, each.training) for each in module.modules()]
    with suppress(NotImplementedError):  # of exported programs, which are as they were exported
        module.eval()
    try:
        yield
    finally:
        for each, mode in modes:
            each.training = mode


def _outputs(answer: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """Give the tensors that a module returns, with their keys or places as names."""
    if isinstance(answer, torch.Tensor):
        yield "output", answer
        return
    fields = getattr(answer, "_fields", None)
    named = answer.items() if isinstance(answer, Mapping) else enumerate(tensors_in(answer))
    for key, tensor in named:
        if isinstance(tensor, torch.Tensor):
            yield fields[key] if fields else str(key), tensor

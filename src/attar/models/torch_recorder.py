"""A PyTorch module while it runs: which operation takes whose answer, under which module.

Operations are seen where they reach PyTorch's dispatcher, so that it does not matter how a
``forward`` is written: modules, functions, ``+``, control flow. Modules are told apart by hooks.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

from attar.models.calls import IMAGE, Call
from attar.models.protocol import Array, channels_last
from attar.models.torch_calls import seen_by, task_of, work_of

__all__ = ["Recorder", "tensors_in"]

_WEIGHTS_AT = {"addmm": 2, "bmm": 1, "convolution": 1, "extract": 1, "linear": 1, "mm": 1}


def tensors_in(value: Any) -> Iterator[torch.Tensor]:
    """Give the tensors in arguments, or in what a module returns."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from tensors_in(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from tensors_in(each)


class Recorder(TorchDispatchMode):
    """Writes down what is computed of an image, and keeps what is watched.

    Parameters
    ----------
    module : torch.nn.Module
    image : torch.Tensor
        (N, C, H, W).
    watch : collection of str
        Names of layers whose answers are copied into `maps` as soon as they are there: an operation
        in place may write over them next.
    """

    def __init__(
        self, module: torch.nn.Module, image: torch.Tensor, watch: Collection[str] = ()
    ) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self.maps: dict[str, Array] = {}
        self._images = len(image)
        self._watch = frozenset(watch)
        self._times: Counter[str] = Counter()
        # Weakly, so that recording keeps no map alive.
        self._places: Any = WeakTensorKeyDictionary()
        self._places[image] = IMAGE
        self._weights: Any = WeakTensorKeyDictionary()
        for weight in (*module.parameters(), *module.buffers()):
            if weight.is_floating_point():
                self._weights[weight] = id(weight)
        # Memory that was written to by parts: which call did, and a tensor so that it stays there.
        self._written: dict[int, tuple[int, torch.Tensor]] = {}
        self._counted: set[int] = set()
        self._module = module
        self._inside: list[tuple[str, bool, int]] = []  # name, whether it is one layer, first call

    def place(self, tensor: Any) -> int:
        """Return which call a tensor is the answer of; -1 where of none."""
        found = self._found(tensor)
        return IMAGE if found is None else found

    def _found(self, tensor: torch.Tensor) -> int | None:
        if self._written and (memory := _memory(tensor)) in self._written:
            return self._written[memory][0]
        place: int | None = self._places.get(tensor)
        return place

    # ------------------------------------------------------------------ modules

    @contextmanager
    def hooked(self) -> Iterator[None]:
        """Follow which module is running."""
        with ExitStack() as stack:
            for name, module in self._module.named_modules():
                # Of a compiled script the modules are gone; its operations are left.
                if name and not isinstance(module, torch.jit.ScriptModule):
                    before = module.register_forward_pre_hook(self._enter(name))
                    behind = module.register_forward_hook(self._leave)
                    stack.callback(before.remove)
                    stack.callback(behind.remove)
            yield

    def _enter(self, name: str) -> Any:
        def enter(module: torch.nn.Module, _arguments: Any) -> None:
            # What PyTorch's own modules call is theirs; that of others may be layers as well.
            own = type(module).__module__.startswith("torch.nn.modules")
            is_whole = own or next(module.children(), None) is None
            self._inside.append((name, is_whole, len(self.calls)))

        return enter

    def _leave(self, module: torch.nn.Module, _arguments: Any, answer: Any) -> None:
        name, _, first = self._inside.pop()
        tensor = next(tensors_in(answer), None)
        i = IMAGE if tensor is None else self.place(tensor)
        # What a module passes on is the answer of whoever made it.
        if tensor is None or i < first or self.calls[i].name:
            return
        unnamed = [j for j in range(first, i) if not self.calls[j].name]
        task = self.calls[i].task
        if task == "other":
            tasks = (self.calls[j].task for j in unnamed)
            task = next((each for each in tasks if each != "other"), task)
        self.calls[i] = dataclasses.replace(
            self.calls[i],
            kind=type(module).__name__,
            task=task,
            parameters=sum(self.calls[j].parameters for j in (*unnamed, i)),
            multiply_adds=sum(self.calls[j].multiply_adds for j in (*unnamed, i)),
        )
        for j in unnamed:
            self.calls[j] = dataclasses.replace(self.calls[j], parameters=0, multiply_adds=0)
        self._name(i, name, tensor)

    def _name(self, i: int, name: str, tensor: torch.Tensor) -> None:
        self._times[name] += 1
        if self._times[name] > 1:
            name = f"{name}:{self._times[name]}"
        if tensor.ndim < 2 or len(tensor) != self._images or not tensor.is_floating_point():
            return
        self.calls[i] = dataclasses.replace(self.calls[i], name=name)
        if name in self._watch:
            copied = np.array(tensor.detach().float().cpu().numpy(), order="C")
            self.maps[name] = channels_last(copied)

    # ------------------------------------------------------------------ operations

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Compute an operation, and write it down if it depends on the image."""
        arguments = list(args)
        inputs, given = [], []
        for tensor in tensors_in(arguments):
            if (place := self._found(tensor)) is not None:
                inputs.append(place)
                given.append(tuple(tensor.shape))
        target = arguments[0] if func._schema.is_mutable else None
        by_parts = inputs and isinstance(target, torch.Tensor) and self._is_part(target)
        answer = func(*args, **(kwargs or {}))
        kind = func._schema.name.rpartition("::")[2].strip("_")
        if inputs:
            self._note(kind, arguments, inputs, given, answer)
            if by_parts:
                last = len(self.calls) - 1
                self.calls[last] = dataclasses.replace(self.calls[last], seen=None)
                self._written[_memory(target)] = (last, target)
            return answer
        for tensor in tensors_in(arguments):  # a weight that is turned is a weight
            if tensor in self._weights:
                for made in tensors_in(answer):
                    self._weights[made] = self._weights[tensor]
        return answer

    def _is_part(self, target: torch.Tensor) -> bool:
        """Whether writing there changes what another tensor holds as well."""
        return target not in self._places or target._is_view() or _memory(target) in self._written

    def _note(
        self, kind: str, arguments: list[Any], inputs: list[int], given: list[Any], answer: Any
    ) -> None:
        weights, count = self._spend(arguments)
        for i, tensor in enumerate(tensors_in(answer)):
            if i and not isinstance(answer, list):
                break  # the indices of a pool, the statistics of a normalization
            shape = tuple(tensor.shape)
            is_map = len(shape) == 4
            held = self._weight_shape(kind, arguments) if weights else None
            call = Call(
                "",
                kind,
                task_of(kind, given[0], shape, len(inputs)),
                tuple(dict.fromkeys(inputs)),
                (*shape[2:], shape[1]) if is_map else shape[1:],
                seen_by(kind, arguments, given, shape),
                0 if i else count,
                0 if i else work_of(kind, arguments, held, shape),
            )
            self._places[tensor] = len(self.calls)
            self.calls.append(call)
            name, is_whole, _ = self._inside[-1] if self._inside else ("", False, 0)
            # Functions that a forward calls by itself are layers as well.
            if not is_whole and (call.task != "other" or weights):
                self._name(len(self.calls) - 1, f"{name}.{kind}" if name else kind, tensor)

    def _spend(self, arguments: list[Any]) -> tuple[bool, int]:
        """Return whether there are weights, and how many numbers in those not counted yet."""
        found = [tensor for tensor in tensors_in(arguments) if tensor in self._weights]
        count = 0
        for tensor in found:
            if self._weights[tensor] not in self._counted:
                self._counted.add(self._weights[tensor])
                count += tensor.numel()
        return bool(found), count

    def _weight_shape(self, kind: str, arguments: list[Any]) -> tuple[int, ...] | None:
        at = _WEIGHTS_AT.get(kind)
        if at is None or at >= len(arguments) or arguments[at] not in self._weights:
            return None
        shape = tuple(arguments[at].shape)
        return shape[::-1] if kind == "linear" else shape


def _memory(tensor: torch.Tensor) -> int:
    """Return where the numbers of a tensor lie, and of all that share them."""
    return int(tensor.untyped_storage().data_ptr())

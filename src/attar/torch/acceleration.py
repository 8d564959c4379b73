"""Put attar's layers into a model that is there already, and take them out again.

A layer keeps its place, its parameters, its mode: it only changes its class, as
`torch.nn.LazyConv2d` does when it learns its shape. So whoever holds it, holds the faster one. In a
`torch.nn.Sequential` a convolution takes along the ReLU and the max pool behind it; in their places
stays something that passes a map on, so that names and numbers of the other layers do not change.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from attar.errors import DTypeError
from attar.tables import table
from attar.torch import layers
from attar.torch.extraction import Extract2d

__all__ = ["Acceleration", "Left", "Swap", "accelerate", "restore"]

_POOLS = {getattr(nn, name): getattr(layers, name) for name in layers.__all__ if hasattr(nn, name)}
_CHAIN = (nn.Conv2d, nn.ReLU, nn.MaxPool2d)
_MARK = "_accelerated_from"
_POOL_OPTIONS = ("activation", "pool", "pool_size", "pool_stride", "pool_padding", "ceil_mode")
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


@dataclass(frozen=True)
class Swap:
    """Layers that were exchanged.

    Attributes
    ----------
    names : tuple of str
        Of the layers in the model; ``""`` is the model itself.
    before : tuple of str
        Their classes.
    after : str
        The class of the layer that does their work now, at the first of the names.
    """

    names: tuple[str, ...]
    before: tuple[str, ...]
    after: str


@dataclass(frozen=True)
class Left:
    """A layer that was left as it was.

    Attributes
    ----------
    name : str
    layer : str
        Its class.
    reason : str
    """

    name: str
    layer: str
    reason: str


@dataclass(frozen=True)
class Acceleration:
    """What `accelerate` did. Print it.

    Attributes
    ----------
    swapped : tuple of Swap
    left : tuple of Left
        Layers that could have been exchanged by their kind, and why they were not.
    """

    swapped: tuple[Swap, ...]
    left: tuple[Left, ...]

    def __str__(self) -> str:
        rows = [
            (", ".join(swap.names) or "the model", " → ".join(swap.before), swap.after)
            for swap in self.swapped
        ]
        rows += [
            (each.name or "the model", each.layer, f"left: {each.reason}") for each in self.left
        ]
        if not rows:
            return "nothing to accelerate"
        return table(("layer", "was", "is"), rows)


class Absorbed(nn.Module):
    """Passes a map on, in the place of a layer whose work an `Extract2d` does."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = (layer,)  # not a layer of the model any more
        self.train(layer.training)

    def forward(self, input: Tensor) -> Tensor:
        """Return the map as it is."""
        return input

    def extra_repr(self) -> str:
        """Show the layer that was here."""
        return repr(self.layer[0])


def accelerate(model: nn.Module) -> Acceleration:
    """Let a model compute its pools with attar, in place.

    Pools of torch.nn become those of `attar.torch`. In every `torch.nn.Sequential` a ``Conv2d``
    and the ``ReLU`` or the ``MaxPool2d`` behind it, or both, become an `Extract2d` in the place of
    the convolution, with the same parameters; what stood behind it passes maps on. Left as they
    are: layers with hooks, subclasses, layers with a forward of their own, and chains of which a
    convolution is used in other places as well.

    Parameters
    ----------
    model : torch.nn.Module

    Returns
    -------
    Acceleration
        What was exchanged, and what was left and why.

    Raises
    ------
    DTypeError (a TypeError)

    Examples
    --------
    >>> model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.AvgPool2d(2))
    >>> print(accelerate(model))
    layer    was                        is
    ──────────────────────────────────────────────────────
    0, 1, 2  Conv2d → ReLU → MaxPool2d  Extract2d
    3        AvgPool2d                  AvgPool2d of attar
    >>> restore(model)
    >>> model[2]
    MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)
    """
    _require_module("accelerate", model)
    names: dict[nn.Module, str] = {}
    for name, module in model.named_modules():
        names[module] = name
    uses = Counter(child for module in names for child in module._modules.values())
    swapped: list[Swap] = []
    left: list[Left] = []
    for sequence, prefix in names.items():
        if isinstance(sequence, nn.Sequential) and _runs_in_order(sequence):
            for chain in _chains(sequence):
                places = tuple(f"{prefix}.{name}".strip(".") for name, _ in chain)
                kinds = tuple(type(module).__name__ for _, module in chain)
                if reason := _why_not_fused(chain, uses):
                    left.append(Left(places[0], kinds[0], reason))
                    continue
                _fuse(sequence, chain)
                swapped.append(Swap(places, kinds, "Extract2d"))
    for name, module in model.named_modules():
        kind = next((kind for kind in _POOLS if isinstance(module, kind)), None)
        if kind is None or type(module) is _POOLS[kind]:
            continue
        if reason := _reason(module, kind):
            left.append(Left(name, type(module).__name__, reason))
            continue
        setattr(module, _MARK, kind)
        module.__class__ = _POOLS[kind]
        swapped.append(Swap((name,), (kind.__name__,), f"{kind.__name__} of attar"))
    return Acceleration(tuple(swapped), tuple(left))


def restore(model: nn.Module) -> None:
    """Undo `accelerate`: each layer is of the class that it was, and where it was.

    Parameters
    ----------
    model : torch.nn.Module
        Also a copy of an accelerated one. Layers of `attar.torch` that were there before stay.

    Raises
    ------
    DTypeError (a TypeError)

    Examples
    --------
    >>> model = nn.Sequential(nn.MaxPool2d(2))
    >>> print(accelerate(model))
    layer  was        is
    ────────────────────────────────────
    0      MaxPool2d  MaxPool2d of attar
    >>> restore(model)
    >>> type(model[0]) is nn.MaxPool2d
    True
    """
    _require_module("restore", model)
    for module in list(model.modules()):
        for name, child in module._modules.items():
            if isinstance(child, Absorbed):
                module._modules[name] = child.layer[0].train(child.training)
    for module in model.modules():
        if (kind := module.__dict__.pop(_MARK, None)) is not None:
            if isinstance(module, Extract2d):
                for option in _POOL_OPTIONS:
                    delattr(module, option)
                module.forget()
            module.__class__ = kind


def _require_module(function: str, model: Any) -> None:
    if not isinstance(model, nn.Module):
        raise DTypeError(
            f"attar.torch.{function}: takes a torch.nn.Module, got {type(model).__name__}"
        )


def _runs_in_order(sequence: nn.Sequential) -> bool:
    inherited = type(sequence).forward is nn.Sequential.forward
    return inherited and "forward" not in sequence.__dict__


def _chains(sequence: nn.Sequential) -> Iterator[list[tuple[str, nn.Module]]]:
    """Yield each convolution that ReLU or a max pool follows, with all that is taken along."""
    items = list(sequence._modules.items())
    for i, (_, module) in enumerate(items):
        if isinstance(module, nn.Conv2d):
            last = i + 1
            if last < len(items) and isinstance(items[last][1], nn.ReLU):
                last += 1
            if last < len(items) and isinstance(items[last][1], nn.MaxPool2d):
                last += 1
            if last > i + 1:
                yield items[i:last]


def _why_not_fused(chain: list[tuple[str, nn.Module]], uses: Counter[nn.Module]) -> str | None:
    convolution, pool = chain[0][1], _pool_of(chain)
    for name, module in chain:
        kind = next(kind for kind in _CHAIN if isinstance(module, kind))
        if type(module) is _POOLS.get(kind):  # accelerated before, or attar's from the beginning
            kind = _POOLS[kind]
        if reason := _reason(module, kind):
            return reason if module is convolution else f"{name} behind it {reason}"
    if uses[convolution] > 1:
        return f"is used in {uses[convolution]} places"
    if convolution.padding_mode != "zeros":
        return f"has padding_mode={convolution.padding_mode!r}"
    if pool is None:
        return None
    if pool.return_indices:
        return f"{chain[-1][0]} behind it returns indices"
    if pool.dilation not in (1, (1, 1)):
        return f"{chain[-1][0]} behind it is dilated"
    return None


def _reason(module: nn.Module, kind: Any) -> str | None:
    """Say why a layer must stay; None if it need not."""
    if type(module) is not kind:
        return f"is a subclass of {kind.__name__}"
    if "forward" in module.__dict__:
        return "has a forward of its own"
    if any(getattr(module, hooks, None) for hooks in _HOOKS):
        return "has hooks"
    return None


def _pool_of(chain: list[tuple[str, nn.Module]]) -> nn.MaxPool2d | None:
    last = chain[-1][1]
    return last if isinstance(last, nn.MaxPool2d) else None


def _fuse(sequence: nn.Sequential, chain: list[tuple[str, nn.Module]]) -> None:
    convolution, pool = chain[0][1], _pool_of(chain)
    setattr(convolution, _MARK, nn.Conv2d)
    convolution.__class__ = Extract2d
    convolution.activation = "relu" if isinstance(chain[1][1], nn.ReLU) else None
    convolution.pool = None if pool is None else "max"
    convolution.pool_size = 1 if pool is None else pool.kernel_size
    convolution.pool_stride = 1 if pool is None else pool.stride
    convolution.pool_padding = 0 if pool is None else pool.padding
    convolution.ceil_mode = pool is not None and pool.ceil_mode
    for name, module in chain[1:]:
        sequence._modules[name] = Absorbed(module)

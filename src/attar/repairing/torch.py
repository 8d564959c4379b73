"""PyTorch modules: traced, and layers of PyTorch put in the places of strides."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional

from attar.errors import DTypeError, ModelError
from attar.interchange.limits import shown
from attar.repairing.kinds import Kind
from attar.repairing.plan import Place, Step, plan_of
from attar.repairing.repaired import Rewritten
from attar.repairing.torch_layers import Blur2d, Phase2d, StrongestPhase2d
from attar.repairing.torch_reading import Pair, Strided, free_name, steps_of
from attar.repairing.wording import replacements

__all__ = ["rewrite"]


def rewrite(module: Any, kind: Kind) -> Rewritten:
    """Return a traced copy of a module in which nothing is left out unseen.

    Raises
    ------
    ModelError (a ValueError)
        The module decides by the numbers of a map, or is a compiled program.
    """
    graph_module = _traced(module)
    nodes, steps, pools = steps_of(graph_module, kind)
    plan = plan_of(steps, kind)
    was = {i: pools[i].text(pools[i].stride) for i in (*plan.places, *plan.left)}
    dense = {i: pools[i].dense_text(kind) for i in plan.places}
    for i in sorted(plan.places):
        pools[i].take_out_stride(graph_module, nodes[i], kind)
    writer = _Writer(graph_module, nodes, steps, kind)
    # By where they go: who chooses a phase comes before those that take it.
    for place in sorted(plan.places.values(), key=lambda place: (place.at, place.step)):
        if not (kind.name == "average" and not steps[place.step].is_filter):
            writer.condense(place, pools[place.step])
    graph_module.graph.lint()
    graph_module.recompile()
    return Rewritten(graph_module, replacements(steps, plan, kind, was, dense))


# ------------------------------------------------------------------ tracing


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        own = m.__module__.startswith(("attar.torch", "attar.repairing"))
        return own or bool(super().is_leaf_module(m, module_qualified_name))


def _traced(module: Any) -> fx.GraphModule:
    module = getattr(module, "_orig_mod", module)  # what torch.compile wraps
    if not isinstance(module, nn.Module):
        raise DTypeError(f"repair: takes a torch.nn.Module, got {type(module).__name__}")
    if isinstance(module, torch.jit.ScriptModule):
        raise ModelError(
            "repair: the module is a compiled script, in which no layer can be replaced; repair "
            "the module that it was made of"
        )
    original, module = module, copy.deepcopy(module)
    try:
        graph = _Tracer().trace(module)
    except Exception as error:  # whatever a forward raises when it is given no numbers
        raise ModelError(
            f"repair: torch.fx cannot trace {type(module).__name__} ({shown(str(error), 200)}); a "
            "forward must not decide by the numbers of a map. Export the module as ONNX, and "
            "repair that"
        ) from error
    if any(isinstance(node.target, torch._ops.OpOverload) for node in graph.nodes):
        raise ModelError(
            "repair: the module is an exported program, in which no layer is left; repair the "
            "module that was exported"
        )
    name = type(original).__name__ if type(original).__name__.isidentifier() else "Repaired"
    traced = fx.GraphModule(module, graph, name)
    _bring_back(module, traced)
    _wake_dropout(traced)
    traced.train(original.training)
    for own, kept in zip(module.modules(), original.modules(), strict=True):
        own.training = kept.training  # of those that are in both
    return traced


def _bring_back(module: nn.Module, traced: fx.GraphModule) -> None:
    """Keep what a forward does not come to, so that the state dict keeps its keys."""
    lacking = module.state_dict().keys() - traced.state_dict().keys()
    for name in sorted({key.rpartition(".")[0] for key in lacking} - {""}):
        traced.add_submodule(name, module.get_submodule(name))


def _wake_dropout(traced: fx.GraphModule) -> None:
    """Let dropout follow the mode: traced, `training=self.training` is whatever it was."""
    kinds: dict[Any, type[nn.Module]] = {
        functional.dropout: nn.Dropout,
        functional.dropout2d: nn.Dropout2d,
    }
    for node in list(traced.graph.nodes):
        if node.op == "call_function" and node.target in kinds:
            share = node.args[1] if len(node.args) > 1 else node.kwargs.get("p", 0.5)
            name = free_name(traced, node.name)
            traced.add_submodule(name, kinds[node.target](share))
            node.op, node.target, node.args, node.kwargs = "call_module", name, node.args[:1], {}


# ------------------------------------------------------------------ writing


class _Writer:
    def __init__(
        self, traced: fx.GraphModule, nodes: list[fx.Node], steps: list[Step], kind: Kind
    ) -> None:
        self._traced, self._nodes, self._steps, self._kind = traced, nodes, steps, kind
        self._choices: dict[int, fx.Node] = {}

    def condense(self, place: Place, pool: Strided) -> None:
        """Put what condenses behind a node, or before it."""
        at, graph = self._nodes[place.at], self._traced.graph
        if place.before:
            given = at.all_input_nodes[0]
            with graph.inserting_before(at):
                at.replace_input_with(given, self._layers(place, pool, given))
            return
        users = list(at.users)
        with graph.inserting_before(at.next):
            answer = self._layers(place, pool, at)
        for user in users:
            user.replace_input_with(at, answer)

    def _layers(self, place: Place, pool: Strided, given: fx.Node) -> fx.Node:
        wish = self._steps[place.step].name
        if self._kind.name != "polyphase":
            return self._call(f"{wish}_condensed", self._layer(pool.stride), given)
        phases = (pool.stride, pool.surplus(self._kind))
        choice = self._choices.get(place.leader)
        if choice is None:
            choice = self._call(f"{wish}_strongest", StrongestPhase2d(*phases), given)
            self._choices[place.leader] = choice
        return self._call(f"{wish}_condensed", Phase2d(*phases), given, choice)

    def _layer(self, stride: Pair) -> nn.Module:
        if self._kind.name == "average":
            return nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False)
        return Blur2d(self._kind, stride)

    def _call(self, wish: str, layer: nn.Module, *given: fx.Node) -> fx.Node:
        name = free_name(self._traced, wish)
        self._traced.add_submodule(name, layer.train(self._traced.training))
        made: fx.Node = self._traced.graph.call_module(name, given)
        return made

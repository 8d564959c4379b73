"""The plan of a model for one input shape: what is fused, in which order, in which memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from attar.arrays import CACHE_LINE, Array, check_out, empty_aligned
from attar.errors import DTypeError, ShapeError
from attar.geometry import Padding
from attar.graph import INPUT, Graph, shape_argument
from attar.layers.activations import Activation, ReLU, activate
from attar.layers.base import Layer
from attar.layers.filters import Conv2D, DepthwiseConv2D
from attar.layers.pools import AveragePooling2D, MaxPooling2D
from attar.layers.scaling import BatchNormalization
from attar.layers.shapes import ZeroPadding2D
from attar.memory import Buffer, largest_at_once, pack
from attar.nn.bands import InBands
from attar.nn.fused import FusedConv, Pool
from attar.nn.layout import require_room
from attar.tables import count, memory, shape_text, table

__all__ = ["Plan", "Step"]

# Of one image's map between two convolutions: a larger one is made and used in bands of about this.
_BAND_BYTES = 2 << 20
_MOST_BANDS = 32
Precision = Literal["fast", "exact"]


@dataclass(frozen=True)
class Step:
    """One operation of a plan.

    Attributes
    ----------
    layers : tuple of str
        Names of the layers that it computes, in order.
    path : str
        The kernel of a fused convolution, or the kernels of several that are computed in bands;
        ``"in place"`` where the layer writes over its input, ``"view"`` where nothing is computed,
        ``"layer"`` otherwise.
    inputs : tuple of int
        Indices of the steps whose answers it takes; -1 is the image.
    output_shape : tuple of int
        Of its answer, batch first.
    offset : int or None
        Where the answer lies in the memory of the plan, in bytes. None where it is the model's
        input or answer.
    place : {"memory", "input", "output"}
        Where the answer lies.
    multiply_adds : int
        For the whole batch.
    workspace_bytes : int
        What the kernel takes beside input and answer.
    """

    layers: tuple[str, ...]
    path: str
    inputs: tuple[int, ...]
    output_shape: tuple[int, ...]
    offset: int | None
    place: Literal["memory", "input", "output"]
    multiply_adds: int
    workspace_bytes: int


class Plan:
    """What a model does with inputs of one shape and dtype, decided once.

    - A convolution takes along the zeros laid around its input, the batch normalization (folded
      into its weights), the ReLU and the pool behind it, where nobody else needs the map in
      between. That map is then never written.
    - Convolutions that follow each other over large maps become one step: some rows of each are
      computed at a time, so that of the maps between only a band is ever there.
    - What remains and works number by number writes over its input where nobody needs that.
    - Maps share one piece of memory. Two that are not needed at the same time may lie in the same
      place.

    Attributes
    ----------
    input_shape, output_shape : tuple of int
        Batch first.
    dtype : numpy.dtype
    steps : tuple of Step
    memory_bytes : int
        The piece of memory that all maps between input and answer share.
    least_bytes : int
        What the maps of some step need at once: the memory of no plan with these steps is smaller.
    workspace_bytes : int
        The largest that a kernel takes beside its input and answer.
    peak_bytes : int
        Memory, workspace and answer. The image is the caller's.
    unfused_bytes : int
        All maps of all layers, as `Sequential.trace` keeps them.

    Examples
    --------
    >>> from attar import Sequential, layers
    >>> model = Sequential([layers.Conv2D(8, 3), layers.ReLU(), layers.MaxPool2D()])
    >>> plan = model.plan((1, 32, 32, 3))
    >>> [step.layers for step in plan.steps]
    [('conv2d', 're_lu', 'max_pooling2d')]
    >>> plan.memory_bytes
    0
    """

    def __init__(
        self,
        graph: Graph,
        input_shape: tuple[int, ...],
        dtype: Any = np.float32,
        *,
        precision: Precision = "fast",
        convolutions: dict[Any, FusedConv] | None = None,
    ) -> None:
        """Make the plan of a built graph.

        `convolutions` is where prepared convolutions are kept, for plans of other shapes to share.
        """
        self.input_shape = tuple(input_shape)
        self.dtype = np.dtype(dtype)
        prepared = {} if convolutions is None else convolutions
        shapes = graph.shapes(input_shape)
        self.output_shape = _known(shapes[graph.output])
        drafts = _drafts(graph, self.input_shape, self.dtype, precision, prepared)
        places = _place(drafts, self.dtype.itemsize)
        buffers = [Buffer(*place) for place in places.buffers]
        offsets, self.memory_bytes = pack(buffers)
        self.least_bytes = largest_at_once(buffers)
        require_room("Sequential.plan", "the memory of the maps", (self.memory_bytes // 4,))
        self.steps = tuple(
            Step(
                draft.layers,
                "view" if draft.compute is None else draft.path(places.in_place[i]),
                draft.inputs,
                draft.output_shape,
                offsets[home] if isinstance(home, int) else None,
                "memory" if isinstance(home, int) else home,
                draft.multiply_adds,
                draft.workspace_bytes,
            )
            for i, (draft, home) in enumerate(zip(drafts, places.homes, strict=True))
        )
        self._computes = [draft.compute for draft in drafts]
        self.workspace_bytes = max(step.workspace_bytes for step in self.steps)
        itemsize = self.dtype.itemsize
        answer = _size(self.output_shape) * itemsize
        self.peak_bytes = self.memory_bytes + self.workspace_bytes + answer
        self.unfused_bytes = itemsize * sum(
            _size(shape)
            for node, shape in zip(graph, shapes, strict=True)
            if not node.layer.is_view
        )
        self._spare: list[list[Array | None]] = []

    def run(self, x: Array, out: Any = None) -> Array:
        """Compute the model's answer.

        Calls from several threads are safe: each has a piece of memory of its own, which is kept
        for the next call.

        Parameters
        ----------
        x : array of the plan's shape and dtype
        out : array of the answer's shape and dtype, optional
            Where to write the answer; it must not overlap `x`.

        Returns
        -------
        NumPy array of `output_shape`: the memory of `out` where that is given.

        Raises
        ------
        ShapeError, ArgumentError (both ValueError), DTypeError (a TypeError)
        """
        if x.shape != self.input_shape:
            raise ShapeError(f"Plan: made for inputs of {self.input_shape}, got {x.shape}")
        if x.dtype != self.dtype:
            raise DTypeError(f"Plan: made for inputs of {self.dtype}, got {x.dtype}")
        if out is None:
            result = empty_aligned(self.output_shape, self.dtype)
        else:
            result = check_out("Plan", out, self.output_shape, self.dtype, x)
        if result.size:
            dense = result if result.flags.c_contiguous else np.empty(result.shape, result.dtype)
            try:
                maps = self._spare.pop()
            except IndexError:
                maps = self._maps()
            self._run(x, dense, maps)
            self._spare.append(maps)
            if dense is not result:
                result[...] = dense
        return result

    def _run(self, x: Array, answer: Array, maps: list[Array | None]) -> None:
        done: list[Array] = []
        for step, compute, kept in zip(self.steps, self._computes, maps, strict=True):
            sources = [x if i == INPUT else done[i] for i in step.inputs]
            if kept is not None:
                target = kept
            elif step.place == "output":
                target = answer.reshape(step.output_shape)
            else:
                target = sources[0].reshape(step.output_shape)
            if compute is not None:
                compute(sources, target)
            done.append(target)

    def _maps(self) -> list[Array | None]:
        """Make the memory, and the views of it that the steps write to."""
        memory = empty_aligned((self.memory_bytes,), np.dtype(np.uint8))
        return [
            None
            if step.offset is None
            else memory[step.offset :][: _size(step.output_shape) * self.dtype.itemsize]
            .view(self.dtype)
            .reshape(step.output_shape)
            for step in self.steps
        ]

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)

    def __str__(self) -> str:
        rows = [
            (
                str(i),
                " + ".join(step.layers),
                step.path,
                shape_text(step.output_shape),
                self._place_text(step),
                count(step.multiply_adds),
            )
            for i, step in enumerate(self.steps)
        ]
        head = ("step", "layers", "path", "answer", "written to", "multiply-adds")
        work = sum(step.multiply_adds for step in self.steps)
        lines = [
            f"Plan for {shape_text(self.input_shape)}, {self.dtype}",
            table(head, rows, right=(0, 5)),
            f"multiply-adds   {count(work)}",
            f"peak memory     {memory(self.peak_bytes)}: maps {memory(self.memory_bytes)}, "
            f"workspace {memory(self.workspace_bytes)}, "
            f"answer {memory(_size(self.output_shape) * self.dtype.itemsize)}",
            f"without fusing  {memory(self.unfused_bytes)}, every map kept",
        ]
        return "\n".join(lines)

    __repr__ = __str__

    def _place_text(self, step: Step) -> str:
        if step.offset is None:
            return step.place
        end = step.offset + _size(step.output_shape) * self.dtype.itemsize
        return f"{memory(step.offset)} – {memory(end)}"


# ------------------------------------------------------------------ what is fused


_Compute = Callable[[Sequence[Array], Array], None]


@dataclass(frozen=True)
class _Draft:
    """A step whose place in memory is not known yet. It is a view where `compute` is None."""

    layers: tuple[str, ...]
    inputs: tuple[int, ...]
    output_shape: tuple[int, ...]
    compute: _Compute | None
    kernel: str | None = None
    conv: FusedConv | None = None  # where the step is nothing but that
    may_be_in_place: bool = False
    multiply_adds: int = 0
    workspace_bytes: int = 0

    def path(self, in_place: bool) -> str:
        return self.kernel or ("in place" if in_place else "layer")


def _drafts(
    graph: Graph,
    input_shape: tuple[int, ...],
    dtype: np.dtype[Any],
    precision: Precision,
    prepared: dict[Any, FusedConv],
) -> list[_Draft]:
    users = graph.users()
    names = graph.names()
    inputs, answers = graph.input_shapes(input_shape), graph.shapes(input_shape)
    steps_of = {INPUT: INPUT}  # nodes to the steps that answer for them
    drafts: list[_Draft] = []
    for i, node in enumerate(graph):
        if i in steps_of:
            continue
        chain = _Chain.at(graph, users, i)
        last = i if chain is None else chain.nodes[-1]
        require_room(graph.nodes[last].layer.where, "the answer", _known(answers[last]))
        covered = [i] if chain is None else chain.nodes
        work = [
            input_shape[0] * graph.nodes[j].layer.multiply_adds(_argument(graph, inputs, j))
            for j in covered
        ]
        common: dict[str, Any] = {
            "layers": tuple(names[j] for j in covered),
            "inputs": tuple(steps_of[j] for j in node.inputs),
            "output_shape": _known(answers[last]),
            "multiply_adds": sum(work),
        }
        for j in covered:
            steps_of[j] = len(drafts)
        if chain is not None:
            key = (tuple(chain.nodes), dtype, precision)
            if key not in prepared:
                prepared[key] = chain.prepare(dtype, precision)
            conv = prepared[key]
            drafts.append(
                _Draft(
                    **common,
                    compute=_convolve(conv, chain.activation_behind),
                    kernel=conv.path(_known(inputs[i][0])),
                    conv=conv if chain.activation_behind is None else None,
                    workspace_bytes=conv.workspace(_known(inputs[i][0])),
                )
            )
        elif node.layer.is_view:
            drafts.append(_Draft(**common, compute=None))
        else:
            drafts.append(
                _Draft(**common, compute=node.layer.compute, may_be_in_place=node.layer.in_place)
            )
    drafts = _in_bands(drafts, input_shape, dtype)
    if _is_the_image(drafts, len(drafts) - 1):
        drafts.append(_copy(drafts))
    return drafts


def _in_bands(
    drafts: list[_Draft], input_shape: tuple[int, ...], dtype: np.dtype[Any]
) -> list[_Draft]:
    """Join convolutions that follow each other over maps too large to be kept whole.

    A pool ends the run: behind it maps are small, and what its rows look at grows by its stride.
    """
    users = [[j for j, other in enumerate(drafts) if i in other.inputs] for i in range(len(drafts))]
    joined: list[_Draft] = []
    steps_of = {INPUT: INPUT}
    i = 0
    while i < len(drafts):
        run = [i]
        while (
            (conv := drafts[run[-1]].conv) is not None
            and conv.pool is None
            and users[run[-1]] == [run[-1] + 1]
            and drafts[run[-1] + 1].conv is not None
            and _image_bytes(drafts[run[-1]], dtype) > _BAND_BYTES
        ):
            run.append(run[-1] + 1)
        source = drafts[i].inputs[0]
        shape = input_shape if source == INPUT else drafts[source].output_shape
        draft = drafts[i] if len(run) == 1 else _band([drafts[j] for j in run], shape, dtype)
        joined.append(replace(draft, inputs=tuple(steps_of[j] for j in draft.inputs)))
        for j in run:
            steps_of[j] = len(joined) - 1
        i = run[-1] + 1
    return joined


def _image_bytes(draft: _Draft, dtype: np.dtype[Any]) -> int:
    return _size(draft.output_shape[1:]) * dtype.itemsize


def _band(drafts: list[_Draft], input_shape: tuple[int, ...], dtype: np.dtype[Any]) -> _Draft:
    # A kernel has to have enough to do to occupy all threads, and rows of large maps are long.
    largest = max(_image_bytes(draft, dtype) for draft in drafts[:-1])
    band_bytes = max(_BAND_BYTES, largest // _MOST_BANDS)
    bands = InBands([d.conv for d in drafts if d.conv is not None], input_shape, band_bytes)
    return _Draft(
        layers=tuple(name for draft in drafts for name in draft.layers),
        inputs=drafts[0].inputs,
        output_shape=drafts[-1].output_shape,
        compute=lambda arrays, out: bands.run(arrays[0], out),
        kernel=f"{bands.path}, in bands",
        multiply_adds=sum(draft.multiply_adds for draft in drafts),
        workspace_bytes=bands.workspace_bytes,
    )


def _known(shape: Sequence[int | None]) -> tuple[int, ...]:
    return tuple(size for size in shape if size is not None)


def _argument(graph: Graph, inputs: list[list[Any]], i: int) -> Any:
    return shape_argument(graph.nodes[i].layer, inputs[i])


def _convolve(conv: FusedConv, activation: str | None) -> _Compute:
    def compute(arrays: Sequence[Array], out: Array) -> None:
        conv.run(arrays[0], out)
        if activation is not None:
            activate(activation, out, out)

    return compute


def _is_the_image(drafts: list[_Draft], i: int) -> bool:
    while i != INPUT and drafts[i].compute is None:
        i = drafts[i].inputs[0]
    return i == INPUT


def _copy(drafts: list[_Draft]) -> _Draft:
    # An answer that is the image is a copy of it: whoever changes one keeps the other.
    def compute(arrays: Sequence[Array], out: Array) -> None:
        out[...] = arrays[0]

    return _Draft((), (len(drafts) - 1,), drafts[-1].output_shape, compute, kernel="copy")


@dataclass
class _Chain:
    """Nodes from a convolution on that become one step."""

    nodes: list[int]
    layer: Conv2D | DepthwiseConv2D
    padding: Padding
    norms: list[BatchNormalization]
    activation: str | None
    pool: Pool | None = None

    @classmethod
    def at(cls, graph: Graph, users: list[list[int]], i: int) -> _Chain | None:
        """Collect the chain that begins with node `i`, if one does."""

        def behind(j: int) -> int | None:
            return users[j][0] if len(users[j]) == 1 else None

        nodes = [i]
        layer = graph.nodes[i].layer
        zeros: ZeroPadding2D | None = None
        if isinstance(layer, ZeroPadding2D) and (follower := behind(i)) is not None:
            zeros, layer = layer, graph.nodes[follower].layer
            nodes.append(follower)
        if not isinstance(layer, Conv2D | DepthwiseConv2D):
            return None
        padding = layer.padding.upper() if isinstance(layer.padding, str) else layer.padding
        if zeros is not None:
            if padding == "SAME":  # which says how much by the size with the zeros
                return None
            own = ((0, 0), (0, 0)) if padding == "VALID" else padding
            padding = tuple(
                (a + c, b + d) for (a, b), (c, d) in zip(own, zeros.padding, strict=True)
            )
        chain = cls(nodes, layer, padding, [], layer.activation)
        while (follower := behind(chain.nodes[-1])) is not None:
            layer, next_one = graph.nodes[follower].layer, behind(follower)
            if chain._takes(layer):
                chain.nodes.append(follower)
            elif next_one is not None and chain._takes_zeros(layer, graph.nodes[next_one].layer):
                chain.nodes += [follower, next_one]
            else:
                break
        return chain

    def _takes(self, layer: Layer) -> bool:
        """Take the layer along, if it can be."""
        if self.activation not in (None, "relu"):
            return False
        if layer.is_view and layer.pixelwise:
            return True
        if isinstance(layer, BatchNormalization):
            if self.activation is not None or self.pool is not None:
                return False
            self.norms.append(layer)
            return True
        if (isinstance(layer, ReLU) and layer.is_plain) or (
            isinstance(layer, Activation) and layer.activation == "relu"
        ):
            # A maximum and the ReLU may change places.
            if self.pool is not None and self.pool.kind != "MAX":
                return False
            self.activation = "relu"
            return True
        if isinstance(layer, MaxPooling2D | AveragePooling2D) and self.pool is None:
            if isinstance(layer, AveragePooling2D) and layer.count_include_pad:
                return False
            padding = layer.padding.upper() if isinstance(layer.padding, str) else layer.padding
            self.pool = Pool(layer.kind, layer.pool_size, layer.strides, padding, layer.ceil_mode)
            return True
        return False

    def _takes_zeros(self, zeros: Layer, pool: Layer) -> bool:
        """Take zeros and a pool along, if the zeros are no more than padding that never wins.

        Behind a ReLU a maximum is never below 0, so that zeros change none that sees a value.
        """
        if not isinstance(zeros, ZeroPadding2D) or not isinstance(pool, MaxPooling2D):
            return False
        if self.activation != "relu" or pool.padding != "valid" or pool.ceil_mode:
            return False
        sides = zip(zeros.padding, pool.pool_size, strict=True)
        if self.pool is not None or any(max(side) >= window for side, window in sides):
            return False
        self.pool = Pool("MAX", pool.pool_size, pool.strides, zeros.padding)
        return True

    @property
    def activation_behind(self) -> str | None:
        """The activation that the convolution itself cannot do."""
        return None if self.activation == "relu" else self.activation

    def prepare(self, dtype: np.dtype[Any], precision: Precision) -> FusedConv:
        """Fold the batch normalizations into the weights."""
        filters = self.layer.filters_as_conv2d(dtype)
        bias = self.layer.weight("bias", dtype) if self.layer.use_bias else None
        if self.norms:
            wide = filters.astype(np.float64)
            offset = np.zeros(filters.shape[-1]) if bias is None else bias.astype(np.float64)
            for norm in self.norms:
                scale, shift = norm.factors(np.float64)
                wide *= scale
                offset = offset * scale + shift
            filters, bias = wide.astype(dtype), offset.astype(dtype)
        return FusedConv(
            filters,
            bias,
            strides=self.layer.strides,
            padding=self.padding,
            dilations=self.layer.dilation_rate,
            activation="relu" if self.activation == "relu" else None,
            pool=self.pool,
            precision=precision,
        )


# ------------------------------------------------------------------ where it lies


@dataclass(frozen=True)
class _Places:
    homes: list[int | Literal["input", "output"]]  # of each step: a buffer, or the caller's
    in_place: list[bool]
    buffers: list[Buffer]


def _place(drafts: list[_Draft], itemsize: int) -> _Places:
    """Decide which steps write to one buffer, and for how long each buffer is needed."""
    last_use = [len(drafts)] * len(drafts)
    for i, draft in enumerate(drafts):
        for j in draft.inputs:
            if j != INPUT:
                last_use[j] = i
    owners: list[int] = []  # of each step: the step that its buffer was made for
    needed: dict[int, int] = {INPUT: len(drafts)}  # up to which step a buffer is
    in_place = [False] * len(drafts)
    for i, draft in enumerate(drafts):
        sources = [INPUT if j == INPUT else owners[j] for j in draft.inputs]
        owner = i
        if draft.compute is None:
            owner = sources[0]
        elif draft.may_be_in_place:
            for j, source in zip(draft.inputs[:2], sources[:2], strict=False):
                if (
                    needed[source] == i
                    and source not in sources[2:]
                    and _size(drafts[j].output_shape) == _size(draft.output_shape)
                ):
                    owner, in_place[i] = source, True
                    break
        owners.append(owner)
        needed[owner] = max(needed.get(owner, 0), last_use[i])
    answer = owners[-1]
    numbers: dict[int, int] = {}
    buffers: list[Buffer] = []
    for owner in dict.fromkeys(owners):
        if owner not in (INPUT, answer):
            numbers[owner] = len(buffers)
            size = _size(drafts[owner].output_shape) * itemsize
            size += -size % CACHE_LINE
            buffers.append(Buffer(size, owner, needed[owner]))
    homes: list[int | Literal["input", "output"]] = [
        "output" if owner == answer else "input" if owner == INPUT else numbers[owner]
        for owner in owners
    ]
    return _Places(homes, in_place, buffers)


def _size(shape: Sequence[int | None]) -> int:
    return math.prod(size or 0 for size in shape)

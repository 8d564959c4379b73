"""`Model`: a model of any framework, with its layers to watch."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from attar.errors import ArgumentError, ModelError
from attar.models.inputs import ModelInput
from attar.models.layers import ModelLayer, layers_of
from attar.models.outputs import kind_of_output, places_of
from attar.models.pieces import Planned, Sizes, planned, scaled, sizes_of
from attar.models.protocol import (
    OPERATION,
    Answers,
    Array,
    Described,
    Engine,
    OutputKind,
)
from attar.models.sizes import Settled
from attar.preparation import Preparation
from attar.tables import count, shape_text, table

__all__ = ["Model", "Piece"]

_BUDGET_BYTES = 256 << 20  # what a piece may take by default
_SIZES = 8  # of images, of which it is remembered what is computed for them


class Piece(NamedTuple):
    """What came of some of the images, for some of the layers.

    Attributes
    ----------
    start, stop : int
        The images [start, stop) of all that came in.
    maps : dict of str to ndarray
        float32; (n, H, W, C) of a map, (n, features) of a vector. Of all layers that are watched,
        or of some of them where not all fit into the budget even for one image.
    output : ndarray or None
        (n, ...) of the model's output, where it was asked for: once for each image.
    """

    start: int
    stop: int
    maps: dict[str, Array]
    output: Array | None


class Model:
    """An opened model: its layers, what they answer to images, and what it takes.

    `attar.open_model` makes it.

    Attributes
    ----------
    name : str
    framework : {"attar", "keras", "onnx", "torch"}
    input : ModelInput
        Size, layout and preparation, and where each is known from. Print it.
    outputs : tuple of str
    output : str or None
        Which of them `predict` gives; None where there are several and none was chosen.
    wrapped : object
        The model in its framework.

    Examples
    --------
    >>> import attar
    >>> from attar import layers
    >>> model = attar.open_model(
    ...     attar.Sequential([
    ...         layers.Input((32, 32, 3)),
    ...         layers.Conv2D(8, 3, name="filter"),
    ...         layers.MaxPool2D(name="condense"),
    ...     ])
    ... )
    >>> [(layer.name, layer.output_shape, layer.receptive_field) for layer in model.layers]
    [('filter', (30, 30, 8), (3, 3)), ('condense', (15, 15, 8), (4, 4))]
    >>> images = np.zeros((10, 32, 32, 3), np.float32)
    >>> model.run(images, watch=["condense"])["condense"].shape
    (10, 15, 15, 8)
    """

    def __init__(
        self,
        engine: Engine,
        given: ModelInput,
        settled: Settled,
        *,
        name: str | None,
        output: int | None,
        output_kind: OutputKind | None,
    ) -> None:
        self._engine = engine
        self._probes = settled.probes
        self._described: dict[tuple[int, int], Described] = {}
        self._plans: dict[Any, Planned] = {}
        self._output = output
        self._stated_kind = output_kind
        self.name = engine.name if name is None else name
        self.input = given

    # ------------------------------------------------------------------ what it is

    def __repr__(self) -> str:
        size = shape_text((self.input.height, self.input.width, self.input.channels))
        return f"<Model {self.name!r}: {self.framework}, {size}, {len(self.layers)} layers>"

    def __str__(self) -> str:
        head = ("layer", "kind", "answer", "weights", "multiply-adds", "field", "stride")
        rows = [
            (
                layer.name,
                layer.kind,
                shape_text(layer.output_shape),
                count(layer.parameters),
                "?" if layer.multiply_adds is None else count(layer.multiply_adds),
                "" if layer.receptive_field is None else shape_text(layer.receptive_field),
                "" if layer.stride is None else shape_text(layer.stride),
            )
            for layer in self.layers
        ]
        lines = [f"{self.name} ({self.framework})", str(self.input)]
        return "\n".join([*lines, table(head, rows, right=(3, 4, 5, 6))])

    @property
    def framework(self) -> str:
        """The framework that runs it."""
        return self._engine.framework

    @property
    def wrapped(self) -> Any:
        """The model in its framework."""
        return self._engine.wrapped

    @property
    def preparation(self) -> Preparation:
        """What becomes of the numbers of a picture, 0 to 1, before the model sees them."""
        return self.input.preparation

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of the model's outputs."""
        return self._engine.outputs

    @property
    def output(self) -> str | None:
        """The name of the output that `predict` gives."""
        return None if self._output is None else self.outputs[self._output]

    @cached_property
    def layers(self) -> tuple[ModelLayer, ...]:
        """What can be watched, in the order in which it is computed."""
        return layers_of([*self._probes.values()], [*self._probes])

    def layers_at(self, height: int, width: int) -> tuple[ModelLayer, ...]:
        """Return the layers for images of one size: every shape, every cost.

        Raises
        ------
        ModelError (a ValueError)
            The model does not take this size.

        Examples
        --------
        >>> import attar
        >>> from attar import layers
        >>> model = attar.open_model(
        ...     attar.Sequential(
        ...         [layers.Input((None, None, 3)), layers.Conv2D(8, 3, name="filter")]
        ...     )
        ... )
        >>> model.layer("filter").output_shape, model.layers_at(32, 48)[0].output_shape
        ((None, None, 8), (30, 46, 8))
        """
        fixed = (self.input.height, self.input.width)
        if any(own not in (None, asked) for own, asked in zip(fixed, (height, width), strict=True)):
            raise ModelError(
                f"layers_at: {self.name} takes {shape_text(fixed)}, got {height} × {width}"
            )
        return layers_of([self._describe(height, width)], [(height, width)])

    def layer(self, name: str) -> ModelLayer:
        """Return the layer of this name.

        Raises
        ------
        ArgumentError (a ValueError)
            There is none.
        """
        return self._by_name[self._check_names("layer", [name])[0]]

    @cached_property
    def _by_name(self) -> dict[str, ModelLayer]:
        return {layer.name: layer for layer in self.layers}

    @cached_property
    def output_kind(self) -> OutputKind:
        """What the output is: "probabilities", "logits", "map" or "vector".

        Told by the layers behind it and by the answer to two images; stated where that is wrong,
        by ``open_model(..., output_kind=...)``.
        """
        if self._stated_kind is not None:
            return self._stated_kind
        output = self._chosen("output_kind")
        height, width = next(iter(self._probes))
        noise = np.random.default_rng(0).random((1, height, width, self.input.channels), np.float32)
        images = np.concatenate([np.zeros_like(noise), noise])
        pieces = self._pieces("output_kind", [images], [], output, _BUDGET_BYTES)
        answer = np.concatenate([piece.output for piece in pieces if piece.output is not None])
        return kind_of_output(self._describe(height, width), output, answer)

    # ------------------------------------------------------------------ what it answers

    def run(self, images: Any, watch: Iterable[str] | str | None = None) -> dict[str, Array]:
        """Return what layers answer.

        Parameters
        ----------
        images : ndarray, (N, H, W, C)
            float in [0, 1] as `attar.read_image` gives them, or uint8. They are resized where the
            model takes one size, and prepared as `input` says.
        watch : names of layers, optional
            All by default.

        Returns
        -------
        dict of str to ndarray
            float32; (N, H, W, C) of a map, (N, features) of a vector.

        Raises
        ------
        ArgumentError, ShapeError (both ValueError), DTypeError (a TypeError)
        ModelError (a ValueError)
            The framework fails.
        """
        names = self._watched("run", watch)
        count = len(images) if np.ndim(images) == 4 else 0
        whole: dict[str, Array] = {}
        for piece in self._pieces("run", [images], names, None, _BUDGET_BYTES):
            for name, map in piece.maps.items():
                if piece.stop - piece.start == count:
                    whole[name] = map
                    continue
                if name not in whole:
                    whole[name] = np.empty((count, *map.shape[1:]), np.float32)
                whole[name][piece.start : piece.stop] = map
        return {name: whole[name] for name in names if name in whole}

    def predict(self, images: Any) -> Array:
        """Return the output, (N, classes), as the model gives it; `output_kind` says what it is.

        Parameters
        ----------
        images : ndarray, (N, H, W, C)
            As of `run`.

        Raises
        ------
        ModelError (a ValueError)
            The output is a map, or the model has several and none was chosen.
        """
        pieces = self._pieces("predict", [images], [], self._chosen("predict"), _BUDGET_BYTES)
        answers = [_vectors(piece.output) for piece in pieces if piece.output is not None]
        if not answers:
            described = next(iter(self._probes.values()))
            last = described.calls[described.outputs[self._chosen("predict")]]
            return np.empty((0, last.shape[-1]), np.float32)
        return answers[0] if len(answers) == 1 else np.concatenate(answers)

    def stream(
        self,
        images: Any,
        watch: Iterable[str] | str | None = (),
        *,
        output: bool = False,
        budget_bytes: int = _BUDGET_BYTES,
    ) -> Iterator[Piece]:
        """Give what layers answer piece by piece, in memory that does not grow with the images.

        Parameters
        ----------
        images : ndarray, (N, H, W, C), or iterable of such
            As of `run`; an array is cut up, and a memory map is read a piece at a time. Batches of
            an iterable may differ in size.
        watch : names of layers, optional
            None for all.
        output : bool
            Whether the output is wanted.
        budget_bytes : int
            What the answers of a piece and what is computed for them may take together. Where not
            even one image fits, the layers are given some at a time, and computed anew.

        Returns
        -------
        iterator of Piece
            Each image and layer is in one piece.

        Examples
        --------
        >>> import attar
        >>> from attar import layers
        >>> detect = attar.Sequential([layers.Input((8, 8, 3)), layers.ReLU(name="detect")])
        >>> model = attar.open_model(detect)
        >>> batches = (np.full((5, 8, 8, 3), 0.5, np.float32) for _ in range(3))
        >>> for piece in model.stream(batches, watch=["detect"]):
        ...     print(piece.start, piece.stop, piece.maps["detect"].mean())
        0 5 0.5
        5 10 0.5
        10 15 0.5
        """
        names = self._watched("stream", watch)
        chosen = self._chosen("stream") if output else None
        if budget_bytes < 1:
            raise ArgumentError(f"stream: budget_bytes must be at least 1, got {budget_bytes}")
        batches = [images] if hasattr(images, "ndim") else images
        return self._pieces("stream", batches, names, chosen, budget_bytes)

    # ------------------------------------------------------------------ how it is run

    def _pieces(
        self,
        operation: str,
        batches: Iterable[Any],
        names: list[str],
        output: int | None,
        budget_bytes: int,
    ) -> Iterator[Piece]:
        start = 0
        for batch in batches:
            shape = np.shape(batch)
            size = shape[1:3] if len(shape) == 4 else (0, 0)
            height, width = self.input.height or size[0], self.input.width or size[1]
            if len(shape) != 4 or min(height, width) < 1:
                self.input.fit(operation, batch)  # which says what is wrong
            part = self._plan(tuple(names), (height, width), budget_bytes)
            most = self.input.batch or part.images
            for first in range(0, shape[0], most):
                images = batch[first : first + most]
                given = self.preparation.batch(self.input.fit(operation, images))
                for i, group in enumerate(part.groups):
                    wanted = output if i == 0 else None
                    answers = self._run(given, group, wanted)
                    yield Piece(start, start + len(images), answers.maps, answers.output)
                start += len(images)

    def _run(self, given: Array, watch: Sequence[str], output: int | None) -> Answers:
        count, batch = len(given), self.input.batch
        if batch is None or count == batch:
            return self._engine.run(given, watch, output)
        # A model for so many images at a time: the last of them stands in for those that lack.
        filled = np.concatenate([given, np.repeat(given[-1:], batch - count, axis=0)])
        maps, answer = self._engine.run(filled, watch, output)
        return Answers(
            {name: map[:count] for name, map in maps.items()},
            None if answer is None else answer[:count],
        )

    def _plan(self, names: tuple[str, ...], size: tuple[int, int], budget_bytes: int) -> Planned:
        key = (*size, names, budget_bytes)
        plan = self._plans.get(key)
        if plan is None:
            plan = planned(self._sizes(*size), names, budget_bytes)
            self._plans = {key: plan}  # what is asked for is mostly what was asked for before
        return plan

    def _sizes(self, height: int, width: int) -> Sizes:
        """Return how large answers are; estimated where describing would mean to run."""
        channels = self.input.channels
        if len(self._probes) == 1 or (height, width) in {**self._probes, **self._described}:
            return sizes_of(self._describe(height, width), (height, width, channels))
        small, large = (sizes_of(each, (*at, channels)) for at, each in self._probes.items())
        return scaled(small, large, 4 * height * width * channels)

    def _describe(self, height: int, width: int) -> Described:
        found = self._probes.get((height, width)) or self._described.get((height, width))
        if found is None:
            found = self._engine.describe(height, width, self.input.channels)
            # A new dictionary, since other threads may be looking into the old one.
            kept = [*self._described.items()][1 - _SIZES :]
            self._described = dict([*kept, ((height, width), found)])
        return found

    # ------------------------------------------------------------------ arguments

    def _watched(self, operation: str, watch: Iterable[str] | str | None) -> list[str]:
        if watch is None:
            return [layer.name for layer in self.layers]
        return self._check_names(operation, [watch] if isinstance(watch, str) else list(watch))

    def _check_names(self, operation: str, names: list[str]) -> list[str]:
        for name in names:
            if name not in self._by_name:
                near = (
                    difflib.get_close_matches(str(name), self._by_name, n=3) or [*self._by_name][:8]
                )
                raise ArgumentError(
                    f"{operation}: there is no layer {name!r} to watch in {self.name}; there are "
                    f"{len(self._by_name)}, as {', '.join(near)}"
                )
        return list(dict.fromkeys(names))

    def _chosen(self, operation: str) -> int:
        if self._output is None:
            raise ModelError(
                f"{operation}: {self.name} has {len(self.outputs)} outputs "
                f"({', '.join(self.outputs)}); say which: {OPERATION}(..., output=...)"
            )
        return self._output


def _vectors(answer: Array) -> Array:
    if places_of(answer) > 1:
        raise ModelError(
            f"predict: the output is {shape_text(answer.shape[1:])} for one image, and no vector; "
            "watch it with run, or cut the model so that it ends in one"
        )
    return answer.reshape(len(answer), -1)

"""An audit while it runs: blocks of images, and what each measure finds in them."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

import attar
from attar.auditing.checkpoint import Checkpoint, Seen
from attar.auditing.identity import identity_of_model
from attar.auditing.images import Images
from attar.auditing.labels import Labels
from attar.auditing.measure import Block, Measure, Section
from attar.errors import ImageError
from attar.models import Model

__all__ = ["Progress", "Work"]

Array: TypeAlias = NDArray[Any]
Progress: TypeAlias = Callable[[int, int], None]
"""Called with how many forward passes are done, and how many there are."""

# What is done between two files of a checkpoint is lost when the audit is interrupted: some seconds
# of work, and no more images than are decoded at once.
_BLOCK_MULTIPLY_ADDS = 10**12
_BLOCK_BYTES = 64 << 20
_BLOCK_IMAGES = 32


class _Span(NamedTuple):
    """The images [start, stop) of a block, by their place among all."""

    start: int
    stop: int


class Work:
    """Measures put to a model, block by block of images, with what they found on disk.

    Parameters
    ----------
    model : Model
    images : Images
    labels : Labels
    measures : sequence of Measure
    seed : int
    folder : path
        Of the checkpoint.
    progress : callable (done, total), optional

    Attributes
    ----------
    identity : dict of str to str
        Of the model.
    settings : dict
        Of each measure.
    """

    def __init__(
        self,
        model: Model,
        images: Images,
        labels: Labels,
        measures: Sequence[Measure],
        seed: int,
        folder: str | os.PathLike[str],
        progress: Progress | None,
    ) -> None:
        self._model, self._images, self._labels = model, images, labels
        self._measures, self._progress = measures, progress
        self._passes = {one.name: one.passes(model) for one in measures}
        self.identity = identity_of_model(model)
        self.settings = {one.name: one.settings() for one in measures}
        size = self._block_size()
        self._spans = [
            _Span(start, min(start + size, len(images))) for start in range(0, len(images), size)
        ]
        self._kept = Checkpoint(
            folder,
            {
                "attar": attar.__version__,
                **self.identity,
                "images": images.digest(),
                "size": list(images.shape),
                "labels": _digest_of(labels),
                "seed": seed,
                "images of a block": size,
                **self.settings,
            },
        )
        self._done = 0
        self._total = len(images) * sum(self._passes.values())

    def _block_size(self) -> int:
        shape = self._images.shape
        own = self._model.input
        layers = self._model.layers_at(own.height or shape[0], own.width or shape[1])
        work = sum(layer.multiply_adds or 0 for layer in layers) * sum(self._passes.values())
        most = (_BLOCK_MULTIPLY_ADDS // max(work, 1), _BLOCK_BYTES // (4 * int(np.prod(shape))))
        return max(1, min(_BLOCK_IMAGES, *most))

    # ------------------------------------------------------------------ measuring

    def run(self) -> None:
        """Do what is not done yet."""
        self._tell()
        first = 0
        for at, span in enumerate(self._spans):
            seen = self._kept.seen(at)
            missing = [one for one in self._measures if not self._kept.has(one.name, at)]
            block = None
            if seen is None or (missing and seen.read):
                block, seen = self._read(span, first, at)
            # With pictures that cannot be read there is nothing to do.
            self._done += len(seen.failed) * sum(self._passes.values())
            for one in self._measures:
                before = self._done
                if one in missing and block is not None and len(block.images):
                    self._measure(one, at, block)
                # However often it told of its passes.
                self._done = before + len(seen.read) * self._passes[one.name]
                self._tell()
            first += len(seen.read)

    def _read(self, span: _Span, first: int, at: int) -> tuple[Block, Seen]:
        pictures, seen = [], Seen([], {})
        for i in range(*span):
            try:
                pictures.append(self._images.read(i))
                seen.read.append(i)
            except ImageError as error:
                seen.failed[i] = " ".join(str(error).split())
        self._kept.write_seen(at, seen)
        images = np.stack(pictures) if pictures else np.empty((0, *self._images.shape), np.float32)
        labels = self._labels.values
        known = None if labels is None else labels[seen.read]
        return Block(images, known, first, self._tick), seen

    def _measure(self, measure: Measure, at: int, block: Block) -> None:
        started = time.monotonic()
        part = measure.work(self._model, block)
        self._kept.write_part(measure.name, at, part, time.monotonic() - started)

    def _tick(self, passes: int) -> None:
        self._done += passes
        self._tell()

    def _tell(self) -> None:
        if self._progress is not None:
            self._progress(min(self._done, self._total), self._total)

    # ------------------------------------------------------------------ what came of it

    def _each(self) -> Iterator[tuple[int, Seen]]:
        """Give the blocks that some measure has done, or of which no picture can be read."""
        for at in range(len(self._spans)):
            seen = self._kept.seen(at)
            if seen is not None and (
                not seen.read or any(self._kept.has(one.name, at) for one in self._measures)
            ):
                yield at, seen

    def read(self) -> list[int]:
        """Return the images that were measured, by their place among all."""
        return [i for _, seen in self._each() for i in seen.read]

    def failed(self) -> dict[str, str]:
        """Return the names of the images that could not be read, and why."""
        names = self._images.names
        return {names[i]: why for _, seen in self._each() for i, why in seen.failed.items()}

    def seconds(self) -> float:
        """Return what measuring took, in all sessions together."""
        return sum(
            self._kept.seconds(one.name, at) for at, _ in self._each() for one in self._measures
        )

    def sections(self) -> dict[str, Section]:
        """Return the numbers from all that was found so far; of a measure without any, none."""
        found: dict[str, Section] = {}
        blocks = range(len(self._spans))
        for one in self._measures:
            if any(self._kept.has(one.name, at) for at in blocks):
                parts = self._kept.parts(one.name, len(blocks))
                found[one.name] = one.combine(self._model, parts)
        return found


def _digest_of(labels: Labels) -> str:
    if labels.values is None:
        return "none"
    return hashlib.sha256(labels.values.tobytes()).hexdigest()

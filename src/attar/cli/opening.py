"""What commands about trained models share: how the model is opened, and how far they are."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from cyclopts import Group, Parameter

from attar.cli.shell import counts
from attar.errors import ArgumentError

if TYPE_CHECKING:
    from attar.models import Model

__all__ = [
    "Layout",
    "Mean",
    "ModelOutput",
    "Order",
    "OutputKind",
    "Preset",
    "Scale",
    "Size",
    "Std",
    "Tell",
    "TrustModel",
    "images_of",
    "labels_of",
    "numbers",
    "open_as_stated",
    "progress_bar",
]

Tell: TypeAlias = Callable[[int, int], None]
"""Called with how many forward passes are done, and how many there are."""

_PREPARE = Group("What the model sees", sort_key=2)

TrustModel: TypeAlias = Annotated[bool, Parameter(group=_PREPARE, show_default=False)]
Size: TypeAlias = Annotated[str | None, Parameter(group=_PREPARE, metavar="N|HxW")]
Layout: TypeAlias = Annotated[Literal["NCHW", "NHWC"] | None, Parameter(group=_PREPARE)]
Preset: TypeAlias = Annotated[
    Literal["unit", "bytes", "vgg", "torch"] | None, Parameter(group=_PREPARE)
]
Scale: TypeAlias = Annotated[float | None, Parameter(group=_PREPARE)]
Mean: TypeAlias = Annotated[
    str | None, Parameter(group=_PREPARE, metavar="R,G,B", allow_leading_hyphen=True)
]
Std: TypeAlias = Annotated[str | None, Parameter(group=_PREPARE, metavar="R,G,B")]
Order: TypeAlias = Annotated[Literal["rgb", "bgr"] | None, Parameter(group=_PREPARE)]
ModelOutput: TypeAlias = Annotated[str | None, Parameter(group=_PREPARE, metavar="NAME|N")]
OutputKind: TypeAlias = Annotated[
    Literal["probabilities", "logits", "map", "vector"] | None, Parameter(group=_PREPARE)
]


def open_as_stated(
    model: str,
    *,
    trust_model: bool,
    size: str | None,
    mean: str | None,
    std: str | None,
    model_output: str | None,
    **stated: Any,
) -> "Model":
    """Open a model as the options of a command say; `attar.open_model` takes `stated` as it is."""
    from attar.models import open_model

    return open_model(
        model,
        trust=trust_model,
        size=None if size is None else counts("--size", size),
        mean=None if mean is None else numbers("--mean", mean),
        std=None if std is None else numbers("--std", std),
        output=int(model_output) if model_output and model_output.isdecimal() else model_output,
        **stated,
    )


def numbers(option: str, text: str) -> list[float]:
    """Parse ``124`` or ``124,117,104``."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise ArgumentError(
            f"{option} is {text!r}; accepted are a number, or three of them, as in 124,117,104"
        ) from None


def images_of(named: Sequence[str]) -> Any:
    """Return images as `attar.audit` and `attar.repair` take them: one, several, or None."""
    return named[0] if len(named) == 1 else named or None


def labels_of(option: str | None) -> str | Literal[False] | None:
    """Return labels as they take them; False for none."""
    return False if option == "none" else option


@contextlib.contextmanager
def progress_bar(what: str, total: float | None, *texts: str) -> Iterator[Tell]:
    """Show a bar on stderr, with more texts before the time that is left."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn(what),
        BarColumn(),
        TaskProgressColumn(),
        *map(TextColumn, texts),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def is_watched() -> bool:
    """Whether a person looks on while it runs."""
    return sys.stderr.isatty()

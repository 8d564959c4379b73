"""``attar audit``: how translation-invariant a trained model is, and what is dead in it."""

import contextlib
import json
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Group, Parameter

from attar.cli.opening import (
    Layout,
    Mean,
    ModelOutput,
    Order,
    OutputKind,
    Preset,
    Scale,
    Size,
    Std,
    Tell,
    TrustModel,
    images_of,
    labels_of,
    open_as_stated,
    progress_bar,
)
from attar.cli.shell import DONE, FILES, INTERRUPTED, OWN_SUFFIX, SOME_FAILED, duration
from attar.errors import ArgumentError
from attar.tables import count

if TYPE_CHECKING:
    from attar.auditing import AuditReport
    from attar.auditing.measure import Measure

__all__ = ["EPILOGUE", "audit"]

NOT_KEPT = 1
EPILOGUE = (
    "Exit status: 0 all done · 1 a limit of --fail-under or --fail-over is not kept · 2 the "
    "command "
    "is wrong, nothing was done · 3 at least one image failed, the others are done · 130 "
    "interrupted, "
    "the report is of what was seen; the same command goes on."
)

_SECONDS_BETWEEN_LINES = 10.0
_MEASURES = Group("What to measure", sort_key=1)
_LIMITS = Group("Limits", sort_key=4)


def audit(
    model: Annotated[str, Parameter(name="MODEL", show_default=False)],
    /,
    *images: Annotated[str, Parameter(name="IMAGE", show_default=False)],
    labels: Annotated[str | None, Parameter(group=_MEASURES, metavar="FILE|none")] = None,
    measures: Annotated[str | None, Parameter(group=_MEASURES, metavar="NAME,NAME")] = None,
    shifts: Annotated[str | None, Parameter(group=_MEASURES, metavar="NAME,NAME")] = None,
    reach: Annotated[int | None, Parameter(group=_MEASURES, metavar="N")] = None,
    max_images: Annotated[int | None, Parameter(group=_MEASURES, metavar="N")] = None,
    seed: Annotated[int, Parameter(group=_MEASURES, metavar="N")] = 0,
    trust_model: TrustModel = False,
    size: Size = None,
    layout: Layout = None,
    preparation: Preset = None,
    scale: Scale = None,
    mean: Mean = None,
    std: Std = None,
    order: Order = None,
    model_output: ModelOutput = None,
    output_kind: OutputKind = None,
    fail_under: Annotated[
        tuple[str, ...], Parameter(group=_LIMITS, metavar="NAME=NUMBER", show_default=False)
    ] = (),
    fail_over: Annotated[
        tuple[str, ...], Parameter(group=_LIMITS, metavar="NAME=NUMBER", show_default=False)
    ] = (),
    output: Annotated[
        str | None, Parameter(name=["--output", "-o"], group=FILES, metavar="FILE")
    ] = None,
    as_json: Annotated[bool, Parameter(name="--json", group=FILES, show_default=False)] = False,
    lang: Annotated[Literal["en", "zh"], Parameter(group=FILES)] = "en",
    resume: Annotated[str | None, Parameter(group=FILES, metavar="FOLDER")] = None,
    fresh: Annotated[bool, Parameter(group=FILES, show_default=False)] = False,
) -> int:
    """Measure how translation-invariant a trained model is, where that is lost, and what is dead.

    Writes a report, one page of HTML that needs nothing beside it, and prints the verdict.

        attar audit model.onnx photos/
        attar audit model.keras photos/ --preparation vgg -o report.html
        attar audit model.onnx photos/ --fail-under consistency=0.9 --fail-over dead=0.05
        attar audit model.onnx

    Parameters
    ----------
    model
        A .onnx, .keras or .safetensors file.
    images
        Pictures, folders of them, a pattern in quotes, or a .npy or .npz file. Without any, shapes
        are drawn. Folders named by classes say the right ones.
    labels
        The right classes: a .npy file, or a .csv file with rows file,label; none for none.
    measures
        Of shift, lost, space, position, cost. Default: all.
    shifts
        Ways to move images: crop, zero, reflect, circular, linear, fourier; or as papers do:
        zhang2019, aps, lps. Default: all but those of papers.
    reach
        Move images by up to so many pixels. Default: 3.
    max_images
        Look at so many images, spread evenly over all. Default: all; 64 drawn shapes.
    seed
        Of everything that is left to chance.
    trust_model
        Open files that can run code when they are opened: .pt, .pth, .pt2, .h5. Only for files from
        people whose programs you would run.
    size
        Of the images that the model takes, where it does not say.
    layout
        Of an ONNX model's input, where that is not told right.
    preparation
        What becomes of pictures before the model sees them: 0 to 1, 0 to 255, as VGG16 takes them
        in Keras, or as torchvision's models take them.
    scale, mean, std, order
        The same number by number: (picture * scale - mean) / std, red or blue first.
    model_output
        Which output, where the model has several.
    output_kind
        What it is, where that is not told right.
    fail_under
        Exit with 1 where a number is under its limit, as in consistency=0.9. Can be repeated.
    fail_over
        Exit with 1 where a number is over its limit, as in dead=0.05. Can be repeated.
    output
        Where the report goes, replacing a file of that name: .html, or .json for the numbers alone.
        Default: MODEL-attar.html in the current folder.
    as_json
        Print one JSON document with all numbers instead of the table.
    lang
        The language that the page shows at first; it holds both.
    resume
        A folder for what is found on the way; where an audit was interrupted, it goes on. Default:
        one beside the output, which is removed in the end.
    fresh
        Throw away what an interrupted audit found, and begin anew.
    """
    target = _target(model, output)
    chosen = _names(measures)
    from attar.auditing import AuditInterrupted
    from attar.auditing import audit as run_audit
    from attar.auditing.checkpoint import clear
    from attar.auditing.headlines import known_names
    from attar.auditing.thresholds import checked, limits

    checks = limits(fail_under, fail_over, known_names())
    asked = _measures(chosen, _names(shifts), reach, seed)
    opened = open_as_stated(
        model,
        trust_model=trust_model,
        size=size,
        layout=layout,
        preparation=preparation,
        scale=scale,
        mean=mean,
        std=std,
        order=order,
        model_output=model_output,
        output_kind=output_kind,
    )
    folder = Path(resume) if resume is not None else target.with_name(f"{target.stem}.parts")
    if fresh:
        clear(folder)
    interrupted = False
    try:
        with _progress() as tell:
            report = run_audit(
                opened,
                images_of(images),
                labels=labels_of(labels),
                measures=asked,
                seed=seed,
                max_images=max_images,
                resume=folder,
                progress=tell,
            )
    except AuditInterrupted as stop:
        interrupted = True
        if stop.report is None:
            print("attar: interrupted before anything was found", file=sys.stderr)
            return INTERRUPTED
        report = stop.report
    report = report.with_checks(checked(checks, report.numbers))
    report.save(target, language=lang)
    if not interrupted and resume is None:
        clear(folder)
    _tell(report, target, as_json)
    if interrupted:
        print(
            f"attar: interrupted after {report.images.seen} of {report.images.chosen} images; the "
            "same command goes on",
            file=sys.stderr,
        )
        return INTERRUPTED
    return _status(report)


# ------------------------------------------------------------------------ what was asked


def _target(model: str, output: str | None) -> Path:
    default = f"{Path(model).stem}{OWN_SUFFIX}.html"
    if output is None:
        return Path(default)
    path = Path(output)
    if path.is_dir() or output.endswith("/"):
        path = path / default
    if path.suffix.lower() not in (".html", ".htm", ".json"):
        raise ArgumentError(
            f"--output: the suffix of {output!r} does not say what to write; accepted are .html, "
            ".json, or a folder (end its name with /)"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _names(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(re.split(r"\s*,\s*", text.strip()))


def _measures(
    names: tuple[str, ...] | None,
    shifts: tuple[str, ...] | None,
    reach: int | None,
    seed: int,
) -> "list[str | Measure]":
    """Return what to measure, with the settings of "shift" where there are any."""
    from attar.auditing.measures import NAMES
    from attar.auditing.shift import Shift

    asked: list[str | Measure] = list(NAMES if names is None else names)
    settings: dict[str, Any] = {} if shifts is None else {"modes": shifts}
    if reach is not None:
        settings["reach"] = reach
    if settings and "shift" not in asked:
        raise ArgumentError(
            "--shifts and --reach are for the measure shift, which is not among --measures"
        )
    return [Shift(seed=seed, **settings) if one == "shift" else one for one in asked]


# ------------------------------------------------------------------------ how far it is


@contextlib.contextmanager
def _progress() -> Iterator[Tell]:
    """Show how far the audit is: a bar on a terminal, else a line now and then."""
    if not sys.stderr.isatty():
        yield _Lines().tell
        return
    with progress_bar("audit", 1, "{task.completed:,.0f} of {task.total:,.0f} passes") as tell:
        yield tell


class _Lines:
    """A line every ten seconds, for logs."""

    def __init__(self) -> None:
        self._started = self._told = time.monotonic()
        self._before: int | None = None  # what was done in an earlier session

    def tell(self, done: int, total: int) -> None:
        """Say how far it is, where the last line is long ago."""
        if self._before is None:
            self._before = done
        now = time.monotonic()
        if now - self._told < _SECONDS_BETWEEN_LINES or not total:
            return
        self._told = now
        made = max(done - self._before, 1)
        left = (now - self._started) * (total - done) / made
        print(
            f"attar: audit: {100 * done // total} %, {count(done)} of {count(total)} passes, about "
            f"{duration(left)} left",
            file=sys.stderr,
            flush=True,
        )


# ------------------------------------------------------------------------ what came of it


def _tell(report: "AuditReport", target: Path, as_json: bool) -> None:
    for name, why in report.images.failed.items():
        print(f"attar: {name}: {why}", file=sys.stderr)
    if as_json:
        print(json.dumps(report.as_dict(), indent=2, allow_nan=False))
    else:
        print(f"{report}\n→ {target}")
    for check in report.checks:
        if not check.passed:
            print(f"attar: limit not kept: {check}", file=sys.stderr)


def _status(report: "AuditReport") -> int:
    if not all(check.passed for check in report.checks):
        return NOT_KEPT
    return SOME_FAILED if report.images.failed else DONE

"""``attar extract``: filter, detect and condense pictures."""

import dataclasses
import gc
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from attar.array_files import ARRAY_SUFFIXES
from attar.cli.large import Measured, extract_by_rows, is_read_by_rows
from attar.cli.shell import (
    DONE,
    FILES,
    OWN_SUFFIX,
    SOME_FAILED,
    aligned,
    check_max_pixels,
    percent,
    reason,
)
from attar.cli.steps import COUNTS, KERNEL, PADDING, STEPS, step_options
from attar.errors import ArgumentError, AttarError
from attar.tables import shape_text

if TYPE_CHECKING:
    from attar.spec import ExtractionSpec
    from attar.stats import ExtractionStats, MapStats

__all__ = ["extract"]

_SCHEMA = "attar.extract/1"


def extract(
    *images: Annotated[str, Parameter(name="IMAGE", show_default=False)],
    kernel: Annotated[str, KERNEL] = "edge",
    conv_stride: Annotated[str, COUNTS] = "1",
    conv_padding: Annotated[str, PADDING] = "same",
    activation: Annotated[Literal["relu", "none"], Parameter(group=STEPS)] = "relu",
    pool: Annotated[Literal["max", "average", "none"], Parameter(group=STEPS)] = "max",
    pool_size: Annotated[str, COUNTS] = "2",
    pool_stride: Annotated[str | None, COUNTS] = None,
    pool_padding: Annotated[str, PADDING] = "same",
    color: Annotated[Literal["gray", "luma", "rgb"], Parameter(group=FILES)] = "gray",
    output: Annotated[
        str | None, Parameter(name=["--output", "-o"], group=FILES, metavar="FILE|FOLDER|PATTERN")
    ] = None,
    as_json: Annotated[bool, Parameter(name="--json", group=FILES, show_default=False)] = False,
    max_pixels: Annotated[int, Parameter(group=FILES, metavar="N")] = 200_000_000,
) -> int:
    """Filter an image with a kernel, detect the feature, condense the map.

    Writes a picture of the sequence for each image, and prints the sizes, the dead space and
    the intensification.

        attar extract photo.jpg
        attar extract photo.jpg --kernel "-1 0 1; -2 0 2; -1 0 1" -o edges.svg
        attar extract holiday/ -o "maps/{stem}.npz" --json > numbers.json

    Parameters
    ----------
    images
        Pictures, and folders of pictures (with their sub-folders; pictures that attar wrote
        there, *-attar.png, are left out). Arrays, .npy and .zarr, and TIFF files of more than
        --max-pixels are read some rows at a time, so that they may be larger than memory.
    kernel
        A name, a .npy file of shape (kh, kw) or (kh, kw, C, K), or the numbers in rows:
        "-1 -1 -1; -1 8 -1; -1 -1 -1". Names: edge laplacian log identity sharpen emboss blur
        blur_5 box, and sobel prewitt scharr behind bottom_ top_ left_ or right_.
    conv_stride
        Step of the kernel in pixels: one number, or vertical x horizontal, as in 2x1.
    conv_padding
        Zeros around the image: as many as keep its size (same), none (valid), or as many as
        you say, at the top,bottom,left,right.
    activation
        What detects: relu keeps positive responses, none keeps all.
    pool
        What condenses: the maximum or the average of a window, or none.
    pool_size
        The window in pixels: one number, or vertical x horizontal.
    pool_stride
        Step of the window. Default: its size.
    pool_padding
        As --conv-padding, for the window. It never sees the padding, only fewer pixels.
    color
        gray filters the brightness; luma the brightness that a JPEG stores, which is read in less
        time and differs by rounding; rgb filters each channel and averages the three results.
    output
        Where results go, replacing files of that name. The suffix says what is written: .png
        .svg .pdf the picture, .npy or .zarr the condensed map, .npz all maps and numbers (of an
        image that is in memory). A folder gets one picture per image; a name with {stem} in it is
        filled in for each image. Default: {stem}-attar.png in the current folder.
    as_json
        Print one JSON document instead of the table.
    max_pixels
        Refuse pictures of more pixels than this, before they are decoded; read TIFF files of
        more by rows.
    """
    if not images:
        raise ArgumentError("extract: which image? Name pictures or folders: attar extract IMAGE")
    options = step_options(
        conv_stride=conv_stride,
        conv_padding=conv_padding,
        activation=activation,
        pool=pool,
        pool_size=pool_size,
        pool_stride=pool_stride,
        pool_padding=pool_padding,
    )
    check_max_pixels(max_pixels)
    weights, spec = _check_once(kernel, options)
    files, failed = _list(images)
    targets = _targets(files, output)

    def run(file: Path, target: Path) -> Measured:
        from attar.by_rows import STAGES, ByRows
        from attar.extraction import extract as run_extract
        from attar.images import read_image

        if is_read_by_rows(file, max_pixels):
            resolve = partial(ByRows.of, kernel=weights, **options)
            return extract_by_rows(file, target, color, resolve)
        image = read_image(file, color=color, max_pixels=max_pixels)
        result = run_extract(image, weights, **options)
        target.parent.mkdir(parents=True, exist_ok=True)
        result.save(target)
        return Measured({name: list(getattr(result, name).shape) for name in STAGES}, result.stats)

    outcomes = failed + list(_outcomes(files, targets, run))
    for outcome in outcomes:
        if outcome.error is not None:
            print(f"attar: {outcome.path}: {outcome.error}", file=sys.stderr)
    if as_json:
        print(json.dumps(_document(spec, color, outcomes), indent=2, allow_nan=False))
    else:
        print(_report([outcome for outcome in outcomes if outcome.stats is not None]), end="")
    return SOME_FAILED if any(outcome.error is not None for outcome in outcomes) else DONE


@dataclasses.dataclass(frozen=True, slots=True)
class _Outcome:
    """What became of one image: its numbers and where they went, or why not."""

    path: str
    shapes: dict[str, list[int]] | None = None
    stats: "ExtractionStats | None" = None
    output: Path | None = None
    error: str | None = None


def _check_once(kernel: str, options: dict[str, Any]) -> "tuple[Any, ExtractionSpec]":
    """Check what does not depend on an image; return the kernel, its text parsed, and the spec."""
    from attar.kernels import parse_kernel
    from attar.spec import resolve

    weights = parse_kernel(kernel)
    spec = resolve(kernel, weights.shape, **options)
    return (weights if spec.kernel is None else kernel), spec


def _list(named: Iterable[str]) -> tuple[list[Path], list[_Outcome]]:
    """Return the images that were named, each once, and an outcome for each name without any."""
    from attar.images import list_images

    files: dict[Path, Path] = {}
    failed = []
    for name in named:
        try:
            # A Zarr array is a folder, and no folder of pictures.
            is_array = Path(name).suffix.lower() in ARRAY_SUFFIXES
            found = [Path(name)] if is_array else list_images(name)
        except (AttarError, OSError) as error:
            failed.append(_Outcome(name, error=reason(error, name)))
            continue
        if Path(name).is_dir():
            # A second run over the folder is about the same pictures as the first.
            found = [file for file in found if not file.stem.endswith(OWN_SUFFIX)] or found
        for file in found:
            files.setdefault(file.resolve(), file)
    return list(files.values()), failed


def _targets(files: Sequence[Path], output: str | None) -> list[Path]:
    """Return where the result of each image goes: one name each, and none of the images."""
    pattern = _pattern(output, len(files))
    targets = [Path(pattern.replace("{stem}", label)) for label in _labels(files)]
    sources = {file.resolve(): file for file in files}
    for target in targets:
        if any(place in sources for place in (target.resolve(), *target.resolve().parents)):
            raise ArgumentError(
                f"--output: {target} is one of the images and would be overwritten; "
                "choose another name or folder"
            )
    return targets


def _pattern(output: str | None, count: int) -> str:
    """Return `output` as a file name with ``{stem}`` where the image's name goes."""
    from attar.extraction import SUFFIXES

    default = f"{{stem}}{OWN_SUFFIX}.png"
    if output is None:
        return default
    suffix = Path(output).suffix.lower()
    is_folder = output.endswith(("/", os.sep)) or (suffix != ".zarr" and Path(output).is_dir())
    if is_folder or (not suffix and "{stem}" not in output):
        return str(Path(output) / default)
    if suffix not in SUFFIXES:
        raise ArgumentError(
            f"--output: the suffix of {output!r} does not say what to write; accepted are "
            f"{', '.join(SUFFIXES)}, or a folder (end its name with /)"
        )
    if count > 1 and "{stem}" not in output:
        raise ArgumentError(
            f"--output: {output!r} is one file and there are {count} images; name a folder, or "
            f"put {{stem}} where the name of the image goes, as in {{stem}}{suffix}"
        )
    return output


def _labels(files: Sequence[Path]) -> list[str]:
    """Return a name for each image: its stem, with as much more as tells it from the others.

    Upper and lower case count as one, since they are on the file systems of macOS and Windows.
    """
    labels: list[str] = []
    taken: set[str] = set()
    stems = [file.stem.casefold() for file in files]
    shared = {stem for stem, count in Counter(stems).items() if count > 1}
    # The plain names go first, so that no longer name takes one of them.
    taken.update(stem for stem in stems if stem not in shared)
    for file, stem in zip(files, stems, strict=True):
        if stem not in shared:
            labels.append(file.stem)
            continue
        label = next(name for name in _longer_names(file) if name.casefold() not in taken)
        taken.add(label.casefold())
        labels.append(label)
    return labels


def _longer_names(file: Path) -> Iterator[str]:
    parent = file.resolve().parent.name
    kind = file.suffix.lstrip(".").lower()
    yield f"{parent}-{file.stem}"
    yield f"{parent}-{file.stem}-{kind}"
    number = 2
    while True:
        yield f"{parent}-{file.stem}-{kind}-{number}"
        number += 1


def _outcomes(
    files: Sequence[Path], targets: Sequence[Path], run: Callable[[Path, Path], Measured]
) -> Iterator[_Outcome]:
    """Extract from each image and save, with a progress bar where a person would see one."""
    with _progress(len(files)) as advance:
        for file, target in zip(files, targets, strict=True):
            yield _outcome(file, target, run)
            gc.enable()
            advance()


def _outcome(file: Path, target: Path, run: Callable[[Path, Path], Measured]) -> _Outcome:
    try:
        found = run(file, target)
    except (AttarError, OSError, MemoryError) as error:
        # A full disk, or a folder that may not be written to, concerns this file alone: the
        # next one may be smaller or go elsewhere.
        return _Outcome(str(file), error=reason(error, str(file)))
    return _Outcome(str(file), shapes=found.shapes, stats=found.stats, output=target)


@contextmanager
def _progress(count: int) -> Iterator[Callable[[], None]]:
    """Yield what to call after each image."""
    if count < 2 or not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    bar = Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        task = bar.add_task("", total=count)
        yield lambda: bar.advance(task)


def _document(spec: "ExtractionSpec", color: str, outcomes: Sequence[_Outcome]) -> dict[str, Any]:
    """Return the JSON document. Its shape changes only together with the schema's number."""
    return {
        "schema": _SCHEMA,
        "color": color,
        "spec": spec.as_dict(),
        "images": [
            {
                "path": outcome.path,
                "ok": outcome.error is None,
                "sizes": outcome.shapes,
                "stats": None if outcome.stats is None else outcome.stats.as_dict(),
                "output": None if outcome.output is None else str(outcome.output),
                "error": outcome.error,
            }
            for outcome in outcomes
        ],
    }


def _report(outcomes: Sequence[_Outcome]) -> str:
    """Return what a person reads: a paragraph for one image, a table for several."""
    if len(outcomes) == 1:
        return _paragraph(outcomes[0])
    return _table(outcomes) if outcomes else ""


def _paragraph(outcome: _Outcome) -> str:
    stats, shapes = outcome.stats, outcome.shapes
    assert stats is not None
    assert shapes is not None
    dead = {"detect": _dead(stats.detect), "condense": _dead(stats.condense)}
    rows = [
        (f"  {name}", shape_text(shape), f"dead space {dead[name]}" if name in dead else "")
        for name, shape in shapes.items()
    ]
    lines = [outcome.path, *aligned(rows)]
    if stats.intensification is not None:
        lines[-1] += f"   intensification {stats.intensification:.2f}×"
    return "\n".join([*lines, f"  → {outcome.output}", ""])


def _table(outcomes: Sequence[_Outcome]) -> str:
    rows = [("image", "size", "condensed", "dead space", "intensification", "written to")]
    for outcome in outcomes:
        stats, shapes = outcome.stats, outcome.shapes
        assert stats is not None
        assert shapes is not None
        change = f"{_dead(stats.detect)} → {_dead(stats.condense)}"
        gain = "" if stats.intensification is None else f"{stats.intensification:.2f}×"
        sizes = shape_text(shapes["image"]), shape_text(shapes["condense"])
        rows.append((outcome.path, *sizes, change, gain, str(outcome.output)))
    return "\n".join([*aligned(rows), ""])


def _dead(stats: "MapStats | None") -> str:
    if stats is None or stats.dead_space is None:
        return "?"
    return percent(stats.dead_space)

"""``attar batch``: features of every image of a data set."""

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Group, Parameter

from attar.cli.opening import (
    Layout,
    Mean,
    Order,
    Preset,
    Scale,
    Std,
    TrustModel,
    numbers,
)
from attar.cli.shell import DONE, FILES, INTERRUPTED, SOME_FAILED, counts, duration
from attar.cli.steps import COUNTS, KERNEL, PADDING, STEPS, step_options
from attar.errors import ArgumentError, AttarError
from attar.tables import count

if TYPE_CHECKING:
    from attar.batch import BatchReport, Progress

__all__ = ["EPILOGUE", "batch"]

STOPPED = 4
EPILOGUE = (
    "Exit status: 0 all done · 2 the command is wrong, nothing was done · 3 at least one image has "
    "no features, the others have · 4 stopped before the end, as by a full disk · 130 interrupted. "
    "After 4 and 130 the same command goes on; what is finished stays."
)

_SECONDS_BETWEEN_LINES = 10.0
_SHOWN_FAILURES = 10
_MODEL = Group("Instead of a kernel, a layer of a model", sort_key=2)
_RUN = Group("The run", sort_key=4)


def batch(
    *places: Annotated[str, Parameter(name="SRC DST", show_default=False)],
    kernel: Annotated[str | None, KERNEL] = None,
    conv_stride: Annotated[str | None, COUNTS] = None,
    conv_padding: Annotated[str | None, PADDING] = None,
    activation: Annotated[Literal["relu", "none"] | None, Parameter(group=STEPS)] = None,
    pool: Annotated[Literal["max", "average", "none"] | None, Parameter(group=STEPS)] = None,
    pool_size: Annotated[str | None, COUNTS] = None,
    pool_stride: Annotated[str | None, COUNTS] = None,
    pool_padding: Annotated[str | None, PADDING] = None,
    color: Annotated[Literal["gray", "luma", "rgb"], Parameter(group=STEPS)] = "gray",
    model: Annotated[str | None, Parameter(group=_MODEL, metavar="FILE")] = None,
    layer: Annotated[str | None, Parameter(group=_MODEL, metavar="NAME")] = None,
    trust_model: TrustModel = False,
    layout: Layout = None,
    preparation: Preset = None,
    scale: Scale = None,
    mean: Mean = None,
    std: Std = None,
    order: Order = None,
    size: Annotated[str | None, Parameter(group=FILES, metavar="N|HxW")] = None,
    reduce: Annotated[Literal["none", "gap", "gmp", "spp"], Parameter(group=FILES)] = "none",
    format: Annotated[Literal["parquet", "zarr", "npy"] | None, Parameter(group=FILES)] = None,
    column: Annotated[str | None, Parameter(group=FILES, metavar="NAME")] = None,
    max_pixels: Annotated[int, Parameter(group=FILES, metavar="N")] = 200_000_000,
    engine: Annotated[Literal["local", "ray"], Parameter(group=_RUN)] = "local",
    workers: Annotated[int | None, Parameter(group=_RUN, metavar="N")] = None,
    shard_images: Annotated[int | None, Parameter(group=_RUN, metavar="N")] = None,
    image_seconds: Annotated[float, Parameter(group=_RUN, metavar="S")] = 600,
    update: Annotated[bool, Parameter(group=_RUN, show_default=False)] = False,
    retry: Annotated[bool, Parameter(group=_RUN, show_default=False)] = False,
    fresh: Annotated[bool, Parameter(group=_RUN, show_default=False)] = False,
    status: Annotated[bool, Parameter(group=_RUN, show_default=False)] = False,
    as_json: Annotated[bool, Parameter(name="--json", group=_RUN, show_default=False)] = False,
) -> int:
    """Extract features of every image of a data set, exactly once.

    Whatever ends a run, the same command goes on with what is not finished.

        attar batch photos/ features/
        attar batch "train-{000..127}.tar" features/ --size 224 --kernel sharpen --reduce spp
        attar batch s3://bucket/photos maps.zarr --model vgg16.keras --layer block3_pool
        attar batch --status features/

    Parameters
    ----------
    places
        SRC: a folder, a glob in quotes, a text or Parquet manifest, a tar or zip archive, or
        Parquet with a column of images; several are taken one after the other. DST: the folder for
        what comes of it.
    kernel
        As of attar extract: a name, a .npy file, or the numbers in rows. Default: edge.
    conv_stride, conv_padding, activation, pool, pool_size, pool_stride, pool_padding
        As of attar extract.
    color
        What the kernel sees: gray; luma, the gray that JPEGs store, which is read in less time and
        differs by rounding; or rgb, each channel with the results averaged.
    model
        A .onnx, .keras or .safetensors file.
    layer
        The layer whose answer is wanted.
    trust_model
        Open files that can run code when they are opened: .pt, .pth, .pt2, .h5. Only for files from
        people whose programs you would run.
    layout
        Of an ONNX model's input, where that is not told right.
    preparation
        What becomes of pictures before the model sees them: 0 to 1, 0 to 255, as VGG16 takes them
        in Keras, or as torchvision's models take them.
    scale, mean, std, order
        The same number by number: (picture * scale - mean) / std, red or blue first.
    size
        Resize every image to this first. JPEGs are then decoded at a smaller scale.
    reduce
        Keep the condensed map (none), its average (gap) or maximum (gmp) in each channel, or the
        maxima of a spatial pyramid (spp).
    format
        A column of Parquet, one Zarr array, or a .npy file for each image. Default: zarr where DST
        ends in .zarr, else parquet.
    column
        The column of a Parquet source, where that is not clear.
    max_pixels
        Pictures of more pixels become rows with an error, before they are decoded.
    engine
        Processes of this machine, or a Ray cluster.
    workers
        Processes at work at a time. Default: as many as there are cores.
    shard_images
        Images of a shard. Default: 8 to 256, by how many there are.
    image_seconds
        An image that takes more becomes a row with an error.
    update
        Accept that images changed or are gone since an earlier run, and compute anew what that
        touches.
    retry
        Do shards once more in which images failed.
    fresh
        Remove what an earlier run wrote, and begin anew.
    status
        Tell how far DST is, and do nothing.
    as_json
        Print one JSON document instead of text.
    """
    if status:
        return _status(places, as_json)
    if len(places) < 2:
        raise ArgumentError("batch: name what to read and where to write: attar batch SRC DST")
    steps = step_options(
        conv_stride=conv_stride,
        conv_padding=conv_padding,
        activation=activation,
        pool=pool,
        pool_size=pool_size,
        pool_stride=pool_stride,
        pool_padding=pool_padding,
    )
    opening = {
        "trust": trust_model or None,
        "layout": layout,
        "preparation": preparation,
        "scale": scale,
        "mean": None if mean is None else numbers("--mean", mean),
        "std": None if std is None else numbers("--std", std),
        "order": order,
    }
    other, what = (steps, "a kernel") if model else (opening, "a model")
    if unfit := [name for name, value in other.items() if value is not None]:
        raise ArgumentError(f"batch: {_option(unfit[0])} is for {what}, and none is used")
    chosen = {name: value for name, value in (steps | opening).items() if value is not None}
    *sources, destination = places

    from attar.batch import run

    with _progress() as tell:
        try:
            report = run(
                sources,
                destination,
                kernel=kernel,
                model=model,
                layer=layer,
                color=color,
                size=None if size is None else counts("--size", size),
                reduce=reduce,
                format=format,
                engine=engine,
                workers=workers,
                shard_images=shard_images,
                image_seconds=image_seconds,
                max_pixels=max_pixels,
                column=column,
                update=update,
                retry=retry,
                fresh=fresh,
                progress=tell,
                **chosen,
            )
        except KeyboardInterrupt:
            stopped, why = INTERRUPTED, "interrupted"
        except (OSError, MemoryError) as error:
            if isinstance(error, AttarError):
                raise
            stopped, why = STOPPED, f"stopped: {error}"
        else:
            stopped = DONE
    if stopped != DONE:
        kept = "finished shards are kept, the same command goes on"
        print(f"attar: batch: {why}; {kept}", file=sys.stderr)
        return stopped
    return _tell(report, as_json)


def _option(name: str) -> str:
    return "--trust-model" if name == "trust" else f"--{name.replace('_', '-')}"


def _status(places: tuple[str, ...], as_json: bool) -> int:
    if len(places) != 1:
        raise ArgumentError("batch: --status tells about one output: attar batch --status DST")
    from attar.batch import status

    return _tell(status(places[0]), as_json)


def _tell(report: "BatchReport", as_json: bool) -> int:
    for failure in report.failures(_SHOWN_FAILURES):
        print(f"attar: {failure.path}: {failure.error}", file=sys.stderr)
    if report.failed > _SHOWN_FAILURES:
        print(f"attar: and {count(report.failed - _SHOWN_FAILURES)} more", file=sys.stderr)
    print(json.dumps(report.as_dict(), indent=2, ensure_ascii=False) if as_json else report)
    return SOME_FAILED if report.failed else DONE


# ------------------------------------------------------------------------ how far it is


@contextlib.contextmanager
def _progress() -> Iterator[Callable[["Progress"], None]]:
    """Show how far the run is: a bar on a terminal, else a line now and then."""
    if not sys.stderr.isatty():
        yield _Lines().tell
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("batch"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[told]}"),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("batch", total=None, told="listing")

        def tell(progress: "Progress") -> None:
            bar.update(task, completed=progress.images, total=progress.total, told=_rates(progress))

        yield tell


class _Lines:
    """A line every ten seconds, for logs."""

    def __init__(self) -> None:
        self._told = time.monotonic()

    def tell(self, progress: "Progress") -> None:
        """Say how far it is, where the last line is long ago."""
        now = time.monotonic()
        if now - self._told < _SECONDS_BETWEEN_LINES:
            return
        self._told = now
        print(
            f"attar: batch: {count(progress.images)} of {count(progress.total)} images, "
            f"{_rates(progress)}",
            file=sys.stderr,
            flush=True,
        )


def _rates(progress: "Progress") -> str:
    parts = [
        f"{progress.images_per_second:.4g} images/s",
        f"{progress.bytes_per_second / 1e6:.3g} MB/s",
    ]
    if progress.seconds_left is not None:
        parts.append(f"{duration(progress.seconds_left)} left")
    if progress.failed:
        parts.append(f"{count(progress.failed)} failed")
    return ", ".join(parts)

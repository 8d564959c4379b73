"""`run`: features of every image of a data set, exactly once."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import attar
from attar.batch.columns import pyarrow
from attar.batch.config import BatchConfig, Color, Format, LayerOfModel, Reduce, ThreeSteps
from attar.batch.engines.local import Told, run_here, run_local
from attar.batch.extractor import Extractor
from attar.batch.outputs import output_for
from attar.batch.plan import OWN, Done, Plan, done, forget, make_plan, read_plan
from attar.batch.report import BatchReport, Progress, ProgressCounter, report_of
from attar.batch.sources import list_rows
from attar.batch.store import Store, open_store
from attar.config import get_num_threads
from attar.errors import ArgumentError

__all__ = ["run"]

Path = str | os.PathLike[str]


def run(
    source: Path | Sequence[Path],
    destination: Path,
    *,
    kernel: Any = None,
    model: Path | None = None,
    layer: str | None = None,
    color: Color = "gray",
    size: int | tuple[int, int] | None = None,
    reduce: Reduce = "none",
    format: Format | None = None,
    engine: Literal["local", "ray"] = "local",
    workers: int | None = None,
    shard_images: int | None = None,
    max_pixels: int = 200_000_000,
    image_seconds: float = 600,
    column: str | None = None,
    update: bool = False,
    retry: bool = False,
    fresh: bool = False,
    progress: Callable[[Progress], None] | None = None,
    **options: Any,
) -> BatchReport:
    """Extract features of every image of a data set, exactly once.

    The images are cut into shards; a shard is computed, written under a temporary name, synced,
    renamed, and written down as finished. Whatever ends a run, the same call goes on with the
    shards that are not finished. An image that cannot be read becomes a row that says why.

    Parameters
    ----------
    source : path, address, or several
        A folder, a glob, a text or Parquet manifest, a tar or zip archive, Parquet with a column of
        images; local, or an address that fsspec knows.
    destination : path or address
        The folder to write to: new, or of an earlier run of the same configuration. Parquet files
        with the columns path, content_hash, image_shape, shape, features and error; with ``npy``
        and ``zarr`` the features are in ``features``, and the tables in ``index``.
    kernel : default "edge"
        What `attar.extract` takes; its further arguments are `options`.
    model, layer : path, str
        A trained model and the name of one of its layers, instead of a kernel. Further arguments of
        `attar.open_model` are `options`.
    color : {"gray", "luma", "rgb"}
        What a kernel sees, as `attar.read_image` gives it.
    size : int or (height, width), optional
        Resize every image to it first. Where that is smaller, JPEGs are decoded at a smaller scale.
    reduce : {"none", "gap", "gmp", "spp"}
        Keep the map, its global average, its global maximum, or a spatial pyramid of maxima.
    format : {"parquet", "zarr", "npy"}
        Default: zarr where `destination` ends in ``.zarr``, else parquet.
    engine : {"local", "ray"}
        Processes of this machine, or a Ray cluster that sees source and destination under the same
        names. Both write the same bytes.
    workers : int, optional
        Processes at work at a time. Default: as many as there are cores.
    shard_images : int, optional
        Images of a shard. Default: 8 to 256, such that there are at least 64 shards.
    max_pixels : int
        Pictures of more pixels become rows with an error.
    image_seconds : float
        What an image may take, from its file to its features. One that takes more becomes a row
        with an error.
    column : str, optional
        The column of a Parquet source, where that is not clear.
    update : bool
        Accept that images changed, or are gone, since an earlier run. New ones are always accepted.
    retry : bool
        Do shards once more in which images failed.
    fresh : bool
        Remove what an earlier run wrote, and begin anew.
    progress : callable, optional
        Called with a `Progress`, at most ten times a second; from any thread.

    Returns
    -------
    BatchReport
        Print it.

    Raises
    ------
    ArgumentError (a ValueError), ModelError (a ValueError)
        Nothing was done: the message says what is wrong, or how the output differs from what is
        asked.
    OSError
        The output cannot be written, as on a full disk. What is finished stays.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from pyarrow import parquet
    >>> from attar import batch, write_image
    >>> photos, features = tempfile.mkdtemp(), tempfile.mkdtemp()
    >>> for i in range(3):
    ...     write_image(f"{photos}/{i}.png", np.full((8, 8), i / 2, np.float32))
    >>> report = batch.run(photos, features, kernel="blur", reduce="gap", workers=1)
    >>> report.images_done, report.failed
    (3, 0)
    >>> parquet.read_table(features)["path"].to_pylist()
    ['0.png', '1.png', '2.png']
    """
    pyarrow()
    config = _config(
        destination, kernel, model, layer, options,
        color=color, reduce=reduce, format=format, max_pixels=max_pixels, size=size,
        shard_images=shard_images,
    )  # fmt: skip
    if workers is not None and (not isinstance(workers, int) or workers < 1):
        raise ArgumentError(f"batch: workers is {workers!r}; accepted are numbers of at least 1")
    if not isinstance(image_seconds, int | float) or not image_seconds > 0:
        raise ArgumentError(
            f"batch: image_seconds is {image_seconds!r}; accepted are numbers above 0"
        )
    if engine not in ("local", "ray"):
        raise ArgumentError(f"batch: engine is {engine!r}; accepted are local, ray")
    if isinstance(config.base, LayerOfModel):
        Extractor(config)  # which says what is wrong before anything is written
    sources = [source] if isinstance(source, str | os.PathLike) else list(source)
    named = [os.fspath(each) for each in sources]
    store = open_store(destination)
    begun = time.monotonic()
    with store.lock():
        _check_destination(store)
        rows = list_rows(sources, column=column)
        store.remove_unfinished()
        plan, changes = make_plan(
            store,
            named,
            rows,
            config,
            attar.__version__,
            shard_images=shard_images,
            update=update,
            fresh=fresh,
        )
        finished = done(store, plan)
        if retry:
            forget(store, [name for name, each in finished.items() if each["failed"]])
            finished = done(store, plan)
        output_for(plan.config).prepare(store, plan.images)
        counter = ProgressCounter(report_of(store, plan), progress or (lambda _: None))
        for each in _computed(plan, finished, store, engine, workers, image_seconds, counter):
            counter.end(each)
        store.remove_unfinished()  # of workers that were killed
        return report_of(
            store,
            plan,
            images_now=counter.progress.images_now,
            seconds=time.monotonic() - begun,
            added=len(changes.added) if changes else 0,
        )


def _config(
    destination: Path,
    kernel: Any,
    model: Path | None,
    layer: str | None,
    options: dict[str, Any],
    *,
    format: Format | None,
    size: int | tuple[int, int] | None,
    shard_images: int | None,
    **more: Any,
) -> BatchConfig:
    base: ThreeSteps | LayerOfModel
    if model is None:
        if layer is not None:
            raise ArgumentError("batch: layer is for a model, and none is named (model=, --model)")
        base = ThreeSteps.of("edge" if kernel is None else kernel, **options)
    else:
        if kernel is not None:
            raise ArgumentError("batch: kernel and model exclude each other; name one of them")
        if layer is None:
            raise ArgumentError("batch: model needs the name of a layer (layer=, --layer)")
        base = LayerOfModel.of(model, layer, **options)
    if format is None:
        format = "zarr" if os.fspath(destination).rstrip("/").endswith(".zarr") else "parquet"
    if isinstance(size, int):
        size = (size, size)
    if shard_images is not None:
        more["shard_images"] = shard_images
    return BatchConfig(base, size=size, format=format, **more)


def _check_destination(store: Store) -> None:
    """Refuse a folder with anything in it that no batch wrote."""
    others = [name for name in store.entries() if name != OWN]
    if others and read_plan(store) is None:
        raise ArgumentError(
            f"batch: {store.address} holds other things ({', '.join(others[:3])}); name a new "
            "folder"
        )


def _computed(
    plan: Plan,
    finished: dict[str, Done],
    store: Store,
    engine: str,
    workers: int | None,
    image_seconds: float,
    tell: Told,
) -> Iterator[Done]:
    numbers = [number for number, name in enumerate(plan.shards) if name not in finished]
    if not numbers:
        return iter(())
    if engine == "ray":
        from attar.batch.engines.ray import run_on_ray

        return run_on_ray(plan, numbers, store, workers, image_seconds)
    shards = plan.jobs(store, numbers)
    if any(each.startswith("memory://") for each in [*plan.source, store.address]):
        return run_here(shards, plan.config, store, tell)
    most = min(workers or get_num_threads(), len(numbers))
    return run_local(shards, plan.config, store, most, tell, image_seconds)

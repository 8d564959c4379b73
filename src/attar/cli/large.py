"""Images for ``attar extract`` that are read by rows, and what is written of them by rows."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from attar.array_files import ARRAY_SUFFIXES, CHUNK_ROWS, append_to, open_array
from attar.errors import ArgumentError, ShapeError

if TYPE_CHECKING:
    import numpy as np

    from attar.by_rows import ByRows
    from attar.images import Color
    from attar.stats import ExtractionStats

__all__ = ["Measured", "extract_by_rows", "is_read_by_rows"]

_TIFF_BEGINNINGS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


class Measured(NamedTuple):
    """What is told of an image: the shapes of its maps, and their numbers."""

    shapes: dict[str, list[int]]
    stats: "ExtractionStats"


def is_read_by_rows(path: Path, max_pixels: int) -> bool:
    """Whether an image is read by rows: an array in a file, or a TIFF file of too many pixels."""
    if path.suffix.lower() in ARRAY_SUFFIXES:
        return True
    try:
        with path.open("rb") as file:
            if file.read(4) not in _TIFF_BEGINNINGS:
                return False
            size = _size(path)
    except OSError:
        return False  # reading it whole will tell what is wrong
    # Where the header tells no size, the file is not read whole to find out.
    return size > max_pixels if size is not None else path.stat().st_size > max_pixels


def _size(path: Path) -> int | None:
    """Return how many pixels a TIFF file says that it has."""
    from PIL import TiffImagePlugin

    try:
        with TiffImagePlugin.TiffImageFile(path) as image:
            return int(image.size[0] * image.size[1])
    except Exception:  # of a kind that Pillow does not know, or damaged
        return None


def extract_by_rows(
    path: Path,
    target: Path,
    color: "Color",
    resolve: "Callable[[tuple[int, ...], np.dtype[Any]], ByRows]",
) -> Measured:
    """Filter, detect and condense an image, and write what the suffix of `target` says, by rows.

    Parameters
    ----------
    path, target : Path
    color : {"gray", "luma", "rgb"}
    resolve : callable
        Given the shape and the dtype of an image, resolves the options.
    """
    from attar.by_rows import STAGES
    from attar.stats import Tally, stats_of

    suffix = target.suffix.lower()
    if suffix == ".npz":
        raise ArgumentError(
            "it is read by rows, and its maps are never whole in memory, as .npz needs them; write "
            "the condensed map as .npy or .zarr, or the picture as .png, .svg or .pdf (-o)"
        )
    with _opened(path, color) as image:
        work = resolve(tuple(image.shape), image.dtype)
        shapes = work.shapes
        tallies = {name: Tally(shapes[name]) for name in STAGES}
        with _written(target, work) as (add, together):

            def visit(stage: Any, rows: Any) -> None:
                tallies[stage].add(rows)
                add(stage, rows)

            work.stages(image, visit, together)
    stats = stats_of(*(tallies[name].result() for name in STAGES))
    return Measured({name: list(shapes[name]) for name in STAGES}, stats)


@contextlib.contextmanager
def _opened(path: Path, color: "Color") -> Iterator[Any]:
    """Yield an image as a raster."""
    from attar.rasters import ArrayRaster

    if path.suffix.lower() in ARRAY_SUFFIXES:
        array = open_array(path)
        if len(array.shape) not in (2, 3):
            raise ShapeError(
                f"its shape is {tuple(array.shape)}; accepted are one image, (H, W) or (H, W, C)"
            )
        raster = ArrayRaster(array, color=color)
        try:
            yield raster
        finally:
            raster.close()
    else:
        from attar.tiff import TiffRaster

        with TiffRaster(path, color) as tiff:
            yield tiff


@contextlib.contextmanager
def _written(target: Path, work: "ByRows") -> Iterator[tuple[Callable[[str, Any], None], int]]:
    """Yield what takes the rows of every map, and how many of the last are stored together."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.suffix.lower() in ARRAY_SUFFIXES:
        with append_to(target, work.shapes["condense"], work.dtype) as append:
            together = CHUNK_ROWS if target.suffix.lower() == ".zarr" else 1
            yield (lambda stage, rows: append(rows) if stage == "condense" else None), together
        return
    from attar import figures
    from attar.files import atomic_path

    with atomic_path(target) as temporary:
        picture = figures.StagesByRows(work.spec, work.shapes)
        yield picture.add, 1
        figures.write(picture.figure(), temporary)

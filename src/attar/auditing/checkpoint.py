"""What an audit has found so far, on disk: it goes on where it was left, or not at all."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from attar.auditing.measure import Part
from attar.errors import ArgumentError, AttarError
from attar.files import atomic_path

__all__ = ["Checkpoint", "Seen", "clear"]

_SCHEMA = "attar.audit.checkpoint/1"
_MANIFEST = "audit.json"
_SECONDS = "seconds it took"  # beside the arrays of a part


@dataclass(frozen=True)
class Seen:
    """What became of the images of a block.

    Attributes
    ----------
    read : list of int
        Those that could be read, by their place among all.
    failed : dict of int to str
        Those that could not, and why.
    """

    read: list[int]
    failed: dict[int, str]


class Checkpoint:
    """A folder with what measures found in blocks of images.

    Parameters
    ----------
    folder : path
        Made where it is not there.
    identity : dict of str to JSON
        Everything that answers depend on. A folder of another identity is refused.

    Raises
    ------
    ArgumentError (a ValueError)
        The folder belongs to another audit, and the message says in what that differs; or it holds
        something else.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> kept = Checkpoint(folder, {"seed": 0})
    >>> kept.write_part("space", 0, {"dead": np.array([True, False])})
    >>> Checkpoint(folder, {"seed": 0}).part("space", 0)
    {'dead': array([ True, False])}
    >>> Checkpoint(folder, {"seed": 1})
    Traceback (most recent call last):
    attar.errors.ArgumentError: audit: ... which differs in seed (there 0, now 1). ...
    """

    def __init__(self, folder: str | os.PathLike[str], identity: Mapping[str, Any]) -> None:
        self.folder = Path(folder)
        manifest = self.folder / _MANIFEST
        wanted = json.loads(json.dumps({"schema": _SCHEMA, **identity}))
        if manifest.is_file():
            self._check(manifest, wanted)
        else:
            if self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir())):
                raise ArgumentError(
                    f"audit: resume: {self.folder} is not the folder of an audit; name an empty "
                    "or a new one"
                )
            self.folder.mkdir(parents=True, exist_ok=True)
            with atomic_path(manifest) as temporary:
                temporary.write_text(json.dumps(wanted, indent=2), encoding="utf-8")

    def _check(self, manifest: Path, wanted: dict[str, Any]) -> None:
        try:
            there = json.loads(manifest.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ArgumentError(f"audit: resume: cannot read {manifest}: {error}") from None
        if not isinstance(there, dict):
            there = {}
        before, now = _flat(there), _flat(wanted)
        differing = [
            f"{name} (there {_short(before.get(name))}, now {_short(now.get(name))})"
            for name in {**before, **now}
            if before.get(name) != now.get(name)
        ]
        if differing:
            raise ArgumentError(
                f"audit: {self.folder} holds what was found in another audit, which differs in "
                f"{', '.join(differing)}. Ask for the same, or name another folder, or remove it "
                "(in a shell: --fresh)"
            )

    # ------------------------------------------------------------------ parts

    def _path(self, measure: str, block: int) -> Path:
        return self.folder / f"{measure}-{block:06d}.npz"

    def has(self, measure: str, block: int) -> bool:
        """Tell whether a measure has done a block."""
        return self._path(measure, block).is_file()

    def part(self, measure: str, block: int) -> Part:
        """Return what a measure found in a block."""
        path = self._path(measure, block)
        try:
            # Opened here: NumPy leaves a damaged archive open.
            with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
                return {name: kept[name] for name in kept.files if name != _SECONDS}
        except Exception as error:  # of a damaged archive: zipfile and zlib have their own
            raise AttarError(
                f"audit: {path} is damaged ({error}); remove it, and it is measured again"
            ) from error

    def parts(self, measure: str, blocks: int) -> Iterator[Part]:
        """Give what a measure found, block by block, as far as it is there."""
        for block in range(blocks):
            if self.has(measure, block):
                yield self.part(measure, block)

    def write_part(self, measure: str, block: int, part: Part, seconds: float = 0) -> None:
        """Keep what a measure found in a block, and how long it took."""
        with atomic_path(self._path(measure, block)) as temporary:
            np.savez(temporary, **part, **{_SECONDS: np.float64(seconds)})  # type: ignore[arg-type]

    def seconds(self, measure: str, block: int) -> float:
        """Return how long a measure took for a block; 0 where it has not done it."""
        if not self.has(measure, block):
            return 0.0
        with np.load(self._path(measure, block), allow_pickle=False) as kept:
            return float(kept[_SECONDS])

    # ------------------------------------------------------------------ images

    def _seen_path(self, block: int) -> Path:
        return self.folder / f"images-{block:06d}.json"

    def seen(self, block: int) -> Seen | None:
        """Return what became of the images of a block, or None where they were not read yet."""
        path = self._seen_path(block)
        if not path.is_file():
            return None
        kept = json.loads(path.read_text(encoding="utf-8"))
        return Seen(kept["read"], {int(at): why for at, why in kept["failed"].items()})

    def write_seen(self, block: int, seen: Seen) -> None:
        """Keep what became of the images of a block."""
        with atomic_path(self._seen_path(block)) as temporary:
            temporary.write_text(
                json.dumps({"read": seen.read, "failed": seen.failed}), encoding="utf-8"
            )


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values with those of inner dicts beside them, named by both."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        inner = _flat(value) if isinstance(value, Mapping) else None
        found |= {name: value} if inner is None else {f"{name}.{key}": inner[key] for key in inner}
    return found


def _short(value: Any) -> str:
    text = "nothing" if value is None else value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:12]}…{text[-24:]}"


def clear(folder: str | os.PathLike[str]) -> None:
    """Remove what an audit found, and the folder if nothing else is in it.

    What is no folder of an audit is left alone.
    """
    path = Path(folder)
    if not (path / _MANIFEST).is_file():
        return
    for file in [*path.glob("*-[0-9]*.npz"), *path.glob("images-[0-9]*.json"), path / _MANIFEST]:
        file.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # something else is in it
        path.rmdir()

"""Writing a file so that a reader sees the old one or the new one, never half of one."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from attar.errors import ArgumentError, AttarError

__all__ = ["atomic_path"]


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str], *, fsync: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block succeeds.

    The temporary name is in the same folder, since a rename is atomic only within one file
    system, and has the same suffix, since Pillow, Matplotlib and NumPy choose a format by it.
    When the block raises, the temporary file is removed and whatever was at `path` stays.

    Parameters
    ----------
    path : str or os.PathLike
        The file to write. Its folder has to exist. A symbolic link is written through.
    fsync : bool, default False
        Flush the file to the disk before the rename, so that it survives a power cut too.

    Yields
    ------
    pathlib.Path
        Where to write. The block has to create this file.

    Raises
    ------
    attar.errors.ArgumentError
        The folder of `path` does not exist, or `path` is a folder.
    attar.errors.AttarError
        The block ended without writing the file.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with atomic_path(folder / "note.txt") as temporary:
    ...     _ = temporary.write_text("whole")
    >>> [file.name for file in folder.iterdir()]
    ['note.txt']
    """
    # Replacing a link would cut it; what the user means is the file it points at.
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise ArgumentError(f"cannot write {target}: the folder {target.parent} does not exist")
    if target.is_dir():
        raise ArgumentError(f"cannot write {target}: it is a folder, a file name is needed")
    # Not the tempfile module: its files are private (0600), and these are meant to be shared.
    # The stem is cut so that a name of the greatest length still leaves room for the token.
    token = secrets.token_hex(4)
    temporary = target.with_name(f".{target.stem[:40]}.{token}{target.suffix}")
    try:
        yield temporary
        if not temporary.is_file():
            raise AttarError(f"cannot write {target}: nothing was written to {temporary.name}")
        if fsync:
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise

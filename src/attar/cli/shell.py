"""What all commands share: the program, its exit status, options and tables as text."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from cyclopts import App, Group, Parameter

from attar.errors import ArgumentError, AttarError

DONE, USAGE, SOME_FAILED, INTERRUPTED = 0, 2, 3, 130
OWN_SUFFIX = "-attar"  # of the names of pictures that attar writes

EPILOGUE = (
    "Exit status: 0 all done · 2 the command is wrong, nothing was done · 3 at least one image "
    "failed, the others are done · 130 interrupted."
)


def _version() -> str:
    from attar import __version__

    return __version__


app = App(
    name="attar",
    help="The base of a convnet as a tool: filter, detect, condense.",
    help_epilogue=EPILOGUE,
    help_format="markdown",
    suppress_keyboard_interrupt=False,
    version=_version,
    default_parameter=Parameter(negative=()),
)
app.register_install_completion_command(
    help="Install completion for your shell (bash, zsh, fish, PowerShell)."
)

FILES = Group("In and out", sort_key=3)


def counts(option: str, text: str) -> int | tuple[int, int]:
    """Parse ``2`` or ``2x1``."""
    found = re.fullmatch(r"\s*(\d+)\s*(?:[x×,]\s*(\d+)\s*)?", text)
    if found is None or "0" in {number.lstrip("0") or "0" for number in found.groups() if number}:
        raise ArgumentError(
            f"{option} is {text!r}; accepted are a whole number of at least 1, or two of them, "
            "vertical x horizontal, as in 2x1"
        )
    first, second = found.groups()
    return int(first) if second is None else (int(first), int(second))


def check_max_pixels(count: int) -> None:
    """Refuse a limit that no picture keeps."""
    if count < 1:
        raise ArgumentError(f"--max-pixels is {count}; accepted is a number of at least 1")


def picture_file(output: str | None, default: str) -> str:
    """Return the name of the file that a picture goes to: ``default`` if `output` is a folder."""
    from attar.extraction import PICTURE_SUFFIXES

    file = default if output is None else output
    suffix = Path(file).suffix.lower()
    if file.endswith(("/", os.sep)) or Path(file).is_dir() or not suffix:
        return str(Path(file) / default)
    if suffix not in PICTURE_SUFFIXES:
        raise ArgumentError(
            f"--output: the suffix of {output!r} does not say what to write; accepted are "
            f"{', '.join(PICTURE_SUFFIXES)}, or a folder (end its name with /)"
        )
    return file


def reason(error: BaseException, path: str) -> str:
    """Return why it failed, without the path that is printed in front of it."""
    if isinstance(error, MemoryError):
        return "there is not enough memory for it"
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, OSError) and not isinstance(error, AttarError) and error.strerror:
        where = f" {error.filename}" if error.filename else ""
        text = f"cannot write{where}: {error.strerror}"
    beginnings = ("cannot read ", "no picture at ")
    for prefix in (f"{words}{name}: " for words in beginnings for name in (path, repr(path))):
        text = text.removeprefix(prefix)
    return text


def aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return the rows with their columns aligned, three spaces apart."""
    from rich.cells import cell_len  # A Chinese character is two cells wide.

    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    return [
        "   ".join(
            text + " " * (width - cell_len(text)) for text, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]


def percent(fraction: float) -> str:
    """Write a fraction to a tenth of a percent."""
    return f"{100 * fraction:.1f} %"


def duration(seconds: float) -> str:
    """Write a duration in the unit that fits.

    Examples
    --------
    >>> duration(42.3), duration(91), duration(9000)
    ('42 s', '2 min', '2.5 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"

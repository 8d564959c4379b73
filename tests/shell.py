"""What tests of the shell look at."""

from pathlib import Path


def files(folder="."):
    """All files below a folder."""
    return sorted(str(file) for file in Path(folder).rglob("*") if file.is_file())

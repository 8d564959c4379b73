"""The options of filter, detect and condense, as commands about them share them."""

import re
from typing import Any

from cyclopts import Group, Parameter

from attar.cli.shell import counts
from attar.errors import ArgumentError

__all__ = ["COUNTS", "KERNEL", "PADDING", "STEPS", "step_options"]

STEPS = Group("Filter, detect, condense", sort_key=1)
KERNEL = Parameter(group=STEPS, allow_leading_hyphen=True, metavar='NAME|FILE.npy|"ROWS"')
COUNTS = Parameter(group=STEPS, metavar="N|VxH")
PADDING = Parameter(group=STEPS, allow_leading_hyphen=True, metavar="same|valid|T,B,L,R")


def step_options(**texts: str | None) -> dict[str, Any]:
    """Return the keyword arguments of `attar.extract` for the options of the same names.

    Examples
    --------
    >>> step_options(conv_stride="2x1", conv_padding="1,1,0,0", pool="max", pool_stride=None)
    {'conv_stride': (2, 1), 'conv_padding': ((1, 1), (0, 0)), 'pool': 'max', 'pool_stride': None}
    """
    return {
        name: text if text is None else _read(f"--{name.replace('_', '-')}", text)
        for name, text in texts.items()
    }


def _read(option: str, text: str) -> Any:
    if option.endswith("-padding"):
        return _padding(option, text)
    return counts(option, text) if option.endswith(("-stride", "-size")) else text


def _padding(option: str, text: str) -> str | tuple[tuple[int, int], tuple[int, int]]:
    """Parse ``same``, ``valid`` or ``top,bottom,left,right``."""
    if text.strip().lower() in ("same", "valid"):
        return text.strip().lower()
    if re.fullmatch(r"\s*\d+(\s*,\s*\d+){3}\s*", text):
        top, bottom, left, right = (int(number) for number in text.split(","))
        return (top, bottom), (left, right)
    raise ArgumentError(
        f"{option} is {text!r}; accepted are same, valid, and top,bottom,left,right in whole "
        "numbers, as in 1,1,2,2"
    )

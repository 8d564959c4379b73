"""Numbers and tables as text."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["count", "memory", "shape_text", "table"]


def count(number: int) -> str:
    """Write a count with a space between thousands.

    Examples
    --------
    >>> count(14714688)
    '14 714 688'
    """
    return f"{number:,}".replace(",", " ")


def memory(size: int) -> str:
    """Write bytes in the unit that fits.

    Examples
    --------
    >>> memory(0), memory(512), memory(12845056)
    ('0 B', '512 B', '12.2 MiB')
    """
    amount = float(size)
    for unit in ("B", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.0f} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GiB"


def shape_text(shape: Sequence[int | None]) -> str:
    """Write a shape.

    Examples
    --------
    >>> shape_text((None, 224, 224, 3))
    '? × 224 × 224 × 3'
    """
    return " × ".join("?" if size is None else str(size) for size in shape)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Write rows below each other; the columns in `right` end at the same place.

    Examples
    --------
    >>> print(table(("layer", "weights"), [("conv2d", "640"), ("dense", "10")], right=(1,)))
    layer   weights
    ───────────────
    conv2d      640
    dense        10
    """
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]

    def line(row: Sequence[str]) -> str:
        cells = [
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return "  ".join(cells).rstrip()

    rule = "─" * (sum(widths) + 2 * (len(widths) - 1))
    return "\n".join([line(head), rule, *map(line, rows)])

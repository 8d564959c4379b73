"""The tables of docs/scale.md, from a result of `benchmarks.scale`.

python -m benchmarks.scale_report benchmarks/results/scale/<date>-<processor>.json
"""

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.report import ROOT, link, replace_between_markers, table_of

PAGE = ROOT / "docs" / "scale.md"


def rate(size: dict[str, Any], way: str, workers: int) -> float:
    """Images per second."""
    found: float = size[f"{way} x{workers}"]["images_per_second"]
    return found


def speed(sizes: dict[str, Any], most: int) -> str:
    """Compare with decoding alone and with others, all workers at work."""
    head = [
        "JPEGs of", "decoding alone", "`attar batch`", "`--color luma`", "DataLoader", "tf.data",
        f"1 → {most} workers",
    ]  # fmt: skip
    lines = []
    for name, size in sizes.items():
        decode, gray, luma = (rate(size, way, most) for way in ("decode", "attar", "luma"))
        lines.append(
            [
                name,
                f"{decode:.0f}/s",
                f"{gray:.0f}/s, {gray / decode:.2f} of it",
                f"{luma:.0f}/s, {luma / decode:.2f} of it",
                *(
                    f"{other:.1f}/s: {gray / other:.1f}×"
                    for other in (rate(size, "dataloader", most), rate(size, "tf.data", most))
                ),
                f"{gray / rate(size, 'attar', 1):.1f}×; "
                f"decoding {decode / rate(size, 'decode', 1):.1f}×",
            ]
        )
    return table_of(head, lines)


def costs(sizes: dict[str, Any]) -> str:
    """Say what 10⁶ and 10⁹ images cost."""
    head = [
        "JPEGs of", "10⁶ images", "10⁹ images", "read", "written: means", "written: maps",
        "a core reads",
    ]  # fmt: skip
    lines = []
    for name, size in sizes.items():
        for way, label in (("attar", ""), ("luma", ", `luma`")):
            each = rate(size, way, 1)
            hours = 1e6 / each / 3600
            lines.append(
                [
                    f"{name}{label}",
                    f"{hours:.1f} core-hours",
                    f"{hours * 1000:,.0f} core-hours",
                    *(
                        f"{amount(1e6 * size[key])}"
                        for key in ("bytes_per_image", "bytes_of_means", "bytes_of_maps")
                    ),
                    f"{each * size['bytes_per_image'] / 1e6:.0f} MB/s",
                ]
            )
    return table_of(head, lines)


def amount(count: float) -> str:
    """Write a number of bytes with a unit.

    >>> amount(124e9), amount(5.2e12)
    ('124 GB', '5.2 TB')
    """
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:.{0 if count >= 10 * size else 1}f} {unit}"
    return f"{count / 1e3:.0f} kB"


def text(run: dict[str, Any], path: Path) -> str:
    """Return both tables and where they come from."""
    machine = run["machine"]
    most = machine["threads"]
    return "\n\n".join(
        [
            speed(run["sizes"], most),
            costs(run["sizes"]),
            f"Measured on {machine['date'][:10]}: {machine['cpu']}, {machine['usable_cores']} "
            f"cores, {most} workers, {machine['attar']['isa']}; Python "
            f"{machine['versions']['python']}, PyTorch {machine['versions']['torch']}, TensorFlow "
            f"{machine['versions']['tensorflow_cpu']}. [Result](../{link(path)}).",
        ]
    )


def main() -> None:
    """Write the page."""
    path = Path(sys.argv[1])
    run = json.loads(path.read_text(encoding="utf-8"))
    page = replace_between_markers(PAGE.read_text(encoding="utf-8"), text(run, path))
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()

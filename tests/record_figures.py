"""Record the pictures that tests/test_figures_look.py compares with.

    python -m tests.record_figures          # all of them
    python -m tests.record_figures stages   # those whose name begins so

Look at every one that changed before you commit it.
"""

import sys

from PIL import Image

from .pictures import FEATURES, FIGURES, RECORDED, bytes_of, drawn


def main() -> None:
    RECORDED.mkdir(parents=True, exist_ok=True)
    begins = tuple(sys.argv[1:]) or ("",)
    made = {name: lambda draw=draw: drawn(draw()) for name, draw in FIGURES.items()}
    made |= {name: lambda draw=draw: bytes_of(draw()) for name, draw in FEATURES.items()}
    for name, make in made.items():
        if name.startswith(begins):
            path = RECORDED / f"{name}.png"
            Image.fromarray(make()).save(path, optimize=True)
            print(path.name, path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()

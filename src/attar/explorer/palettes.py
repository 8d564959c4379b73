"""The colours of the page: those of the figures, as tables that the page looks levels up in."""

import functools

import numpy as np

__all__ = ["palettes"]

# The first of a kind is what the page begins with; all are told apart with every kind of colour
# blindness, and even in lightness.
_ACTIVE = ("magma", "viridis", "cividis", "gray")
_SIGNED = ("RdBu_r", "PuOr_r", "BrBG")


@functools.cache
def palettes() -> dict[str, object]:
    """Return tables of 256 colours by name, 0xRRGGBB, and which fit which kind of map.

    Level 0 of a signed table is the colour of a NaN.

    Examples
    --------
    >>> tables = palettes()["tables"]
    >>> len(tables["magma"]), tables["gray"][255] == 0xFFFFFF, hex(tables["RdBu_r"][128])
    (256, True, '0xf7f6f6')
    """
    from attar.figures.scales import NAN_COLOR, colormap

    tables = {}
    for name in (*_ACTIVE, *_SIGNED):
        places = np.linspace(0, 1, 256) if name in _ACTIVE else (np.arange(256) - 1) / 254
        colours = colormap(name)(np.clip(places, 0, 1), bytes=True).astype(int)
        packed = colours[:, 0] << 16 | colours[:, 1] << 8 | colours[:, 2]
        tables[name] = packed.tolist()
    for name in _SIGNED:
        tables[name][0] = int(NAN_COLOR[1:], 16)
    return {"tables": tables, "active": list(_ACTIVE), "signed": list(_SIGNED)}

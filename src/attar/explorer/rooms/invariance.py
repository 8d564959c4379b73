"""Invariance: a drawn feature and its twin at another place, after pools one behind the other.

Everything is computed in float64 on drawings whose values are multiples of 1/256. Halving, summing
and the blur by [1 2 1] / 4 are then exact, so that two maps are equal where they should be and
never differ by rounding alone. The one exception is a mean over 3 × 3, which divides by 9.
"""

import base64
import itertools
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from attar import features, nn
from attar.errors import ArgumentError
from attar.explorer.answers import Answerer, Context, Reply
from attar.explorer.asked import Asked
from attar.explorer.levels import active_levels, reach_of, signed_levels

__all__ = ["ANSWERS"]

Array: TypeAlias = NDArray[Any]

SIZES = ("32", "64", "96")
SHAPES = ("dot", "circle", "dots", "car", "drawing")
POOLS = ("max", "average", "blur", "max_blur", "polyphase", "none")
BORDERS = ("zero", "circular")
WINDOWS = ("2", "3")

MOST_POOLS = 6
REACH = 6  # of the map of shifts, pixels in each direction
NEAR = 3  # the shifts of the lesson
NEVER = 255
_MOST_TEXT = 2000  # of a drawing: 96 × 96 bits are 1536 letters
_BLUR = 3  # the filter [1 2 1] / 4


# ---------------------------------------------------------------------- what is asked


class Pooling(NamedTuple):
    """How a map is halved, and what lies beyond its border."""

    pool: str
    window: int
    border: str


def _pooling(asked: Asked) -> Pooling:
    return Pooling(
        asked.choice("pool", POOLS, "max"),
        int(asked.choice("window", WINDOWS, "2")),
        asked.choice("border", BORDERS, "zero"),
    )


class Drawing(NamedTuple):
    """A feature, float64 (size, size) in [0, 1]; of two dots the first alone, too."""

    image: Array
    alone: Array | None = None


def _drawing(asked: Asked) -> Drawing:
    """Draw what is asked for, in the middle."""
    size = int(asked.choice("size", SIZES, "64"))
    shape = asked.choice("shape", SHAPES, "circle")
    alone = None
    if shape == "dot":
        image: Array = features.two_dots(size, 0)
    elif shape == "circle":
        image = features.circle(size, asked.count("radius", size // 2 - 4, most=size // 2))
    elif shape == "dots":
        distance = asked.count("distance", 8, most=size // 2)
        image = features.two_dots(size, distance)
        first = np.argwhere(image)[0]
        alone = features.two_dots(size, 0, at=(int(first[0]), int(first[1]))).astype(np.float64)
    elif shape == "car":
        image = features.car(size)
    else:
        image = pixels_of(asked.text("drawing", "", most=_MOST_TEXT), size)
    return Drawing(np.rint(image.astype(np.float64) * 256) / 256, alone)


def pixels_of(text: str, size: int) -> Array:
    """Read a drawing of the page: ``top,left,height,width,bits`` of the part that holds all of it.

    The bits are its pixels row by row, in bytes from their highest bit on, in base64url without
    padding. No text is an empty drawing.

    Examples
    --------
    >>> pixels_of("1,0,1,3,oA", 4).astype(int)
    array([[0, 0, 0, 0],
           [1, 0, 1, 0],
           [0, 0, 0, 0],
           [0, 0, 0, 0]])
    """
    pixels = np.zeros((size, size))
    if not text:
        return pixels
    try:
        *numbers, letters = text.split(",")
        top, left, height, width = map(int, numbers)
        packed = base64.b64decode(letters + "=" * (-len(letters) % 4), b"-_", validate=True)
    except ValueError:
        raise _no_drawing(text, size) from None
    fits = min(top, left) >= 0 < min(height, width) and max(top + height, left + width) <= size
    if not fits or len(packed) != -(-height * width // 8):
        raise _no_drawing(text, size)
    bits = np.unpackbits(np.frombuffer(packed, np.uint8), count=height * width)
    pixels[top : top + height, left : left + width] = bits.reshape(height, width)
    return pixels


def _no_drawing(text: str, size: int) -> ArgumentError:
    return ArgumentError(
        f"invariance: drawing is {text!r:.60}; accepted are top, left, height and width of a part "
        f"of {size} × {size} pixels, and its bits in base64url"
    )


# ---------------------------------------------------------------------- pools


def pooled(maps: Array, how: Pooling) -> Array:
    """Halve maps (N, H, W, 1). On real borders a maximum or mean is taken of what there is.

    Examples
    --------
    >>> row = np.array([1.0, 0, 0, 0, 0, 0, 0, 0]).reshape(1, 1, 8, 1).repeat(8, axis=1)
    >>> pooled(row, Pooling("blur", 2, "zero"))[0, 1, :, 0].tolist()
    [0.5, 0.0, 0.0, 0.0]
    >>> pooled(np.roll(row, -1, 2), Pooling("blur", 2, "circular"))[0, 1, :, 0].tolist()
    [0.25, 0.0, 0.0, 0.25]
    """
    pool, window, border = how
    circular = border == "circular"
    halved: Array
    if pool == "none":
        halved = maps[:, ::2, ::2]
    elif pool == "polyphase":
        halved = nn.polyphase_pool(maps, 2)
    elif pool == "blur":
        halved = nn.blur_pool(maps, _BLUR, 2, border=border)
    elif pool == "max_blur":
        inner = _wrapped(maps, window, 1) if circular else maps
        padding = "VALID" if circular else "SAME"
        halved = nn.max_blur_pool(inner, window, _BLUR, 2, padding, border=border)
    else:
        inner = _wrapped(maps, window, 2) if circular else maps
        padding = "VALID" if circular else "SAME"
        halved = nn.pool(inner, window, "MAX" if pool == "max" else "AVG", 2, padding)
    return halved


def _wrapped(maps: Array, window: int, stride: int) -> Array:
    """Continue maps at their other end by as much as the padding SAME would add."""
    before, after = _same(maps.shape[1], window, stride)
    return np.pad(maps, ((0, 0), (before, after), (before, after), (0, 0)), "wrap")


def _same(size: int, window: int, stride: int) -> tuple[int, int]:
    total = max((-(-size // stride) - 1) * stride + window - size, 0)
    return total // 2, total - total // 2


def pyramid(images: Array, how: Pooling) -> list[Array]:
    """Return images (N, S, S), and their maps after each pool until they are one number.

    Examples
    --------
    >>> [maps.shape for maps in pyramid(np.ones((2, 96, 96)), Pooling("max", 3, "circular"))][-2:]
    [(2, 3, 3), (2, 2, 2)]
    """
    levels = [images[..., None]]
    while levels[-1].shape[1] > 1 and len(levels) <= MOST_POOLS:
        levels.append(pooled(levels[-1], how))
    return [maps[..., 0] for maps in levels]


def fields(size: int, how: Pooling) -> list[tuple[int, int, int] | None]:
    """Return which pixels of the image a cell sees after each number of pools, for either axis.

    Cell i sees `length` pixels from ``first + i * step`` on. None where this depends on the image,
    as it does after polyphase sampling.

    Examples
    --------
    >>> fields(64, Pooling("max", 3, "zero"))[:3]
    [(0, 1, 1), (0, 2, 3), (0, 4, 7)]
    """
    first, step, length = 0, 1, 1
    seen: list[tuple[int, int, int] | None] = [(first, step, length)]
    while size > 1 and len(seen) <= MOST_POOLS:
        window, before = 1, 0
        if how.pool in ("max", "average"):
            window, before = how.window, _same(size, how.window, 2)[0]
        elif how.pool != "none":  # by the blur, and the maxima before it
            inner = how.window if how.pool == "max_blur" else 1
            window, before = inner + _BLUR - 1, (inner - 1) // 2 + _BLUR // 2
        first, length, step = first - before * step, length + (window - 1) * step, 2 * step
        size = -(-size // 2)
        seen.append(None if how.pool == "polyphase" else (first, step, length))
    return seen


# ---------------------------------------------------------------------- two maps, compared


def moved_by(one: Array, other: Array, guess: tuple[float, float], border: str) -> Any:
    """Return by how many whole cells `one` has to be moved to be `other`, or None.

    Looked for around `guess`; the least move that does it. What leaves a real border is lost, and
    zeros come in. Maps that are all 0 are not taken for moved ones.

    Examples
    --------
    >>> row = np.array([[0.0, 1, 2, 0]])
    >>> moved_by(row, np.roll(row, -1), (0, -0.5), "circular")
    (0, -1)
    """
    if not one.any() or not other.any():
        return None
    near = [[int(np.floor(cells)) + step for step in (-1, 0, 1, 2)] for cells in guess]
    for down, right in sorted(itertools.product(*near), key=lambda cells: (*map(abs, cells),)):
        if np.array_equal(_shift(one, down, right, border), other):
            return down, right
    return None


def _shift(image: Array, dy: float, dx: float, border: str) -> Array:
    mode: Any = border  # "zero" and "circular" are modes of `features.shift`
    return features.shift(image, dy, dx, mode=mode)


def left_of_dots(both: Array, alone: Array, border: str) -> str:
    """Say what is left of two dots beside each other: "nothing", "one", "peak" or "two".

    "one" is what the first dot alone leaves, up to a factor. "peak" is another map with one peak
    along its columns, where neighbours of one value are one peak. As `experiments.two_dots`.

    Examples
    --------
    >>> alone = np.array([[0.0, 1, 0, 0]])
    >>> [left_of_dots(np.array([row]), alone, "zero") for row in ([0.0, 2, 0, 0], [0.0, 1, 1, 0])]
    ['one', 'peak']
    >>> left_of_dots(np.array([[1.0, 0, 1, 0]]), alone, "zero")
    'two'
    """
    if not both.any():
        return "nothing"
    if alone.any() and np.allclose(both / both.max(), alone / alone.max(), atol=1e-9, rtol=0):
        return "one"
    profile = both.max(axis=0)
    if border == "circular":  # begin where it is lowest, so that no peak lies across the ends
        profile = np.roll(profile, -int(profile.argmin()))
    padded = np.concatenate(([0.0], profile, [0.0]))
    runs = padded[np.flatnonzero(np.diff(padded, prepend=np.nan))]
    higher = np.diff(runs)
    peaks = int(np.count_nonzero((higher[:-1] > 0) & (higher[1:] < 0)))
    return "peak" if peaks == 1 else "two"


# ---------------------------------------------------------------------- answers


def maps(asked: Asked, context: Context) -> Reply:
    """Answer with the drawing and its twin after each number of pools, and what tells them apart.

    ``original_k``, ``twin_k`` and ``difference_k`` are levels after k pools, ``values_k`` the
    numbers of the first two, float32 (2, h, w).
    """
    drawing, how = _drawing(asked), _pooling(asked)
    size = len(drawing.image)
    y, x = (asked.count(name, 0, least=-size, most=size) for name in ("y", "x"))
    dy, dx = (asked.number(name, 0.0, least=-size, most=size) for name in ("dy", "dx"))
    places = [(y, x), (y + dy, x + dx)]
    images = [_shift(drawing.image, *place, how.border) for place in places]
    if drawing.alone is not None:
        images += [_shift(drawing.alone, *place, how.border) for place in places]
    levels, arrays = [], {}
    for count, (found, field) in enumerate(
        zip(pyramid(np.stack(images), how), fields(size, how), strict=True)
    ):
        original, twin = found[:2]
        reach = reach_of(original, twin)
        arrays[f"original_{count}"] = active_levels(original, reach)
        arrays[f"twin_{count}"] = active_levels(twin, reach)
        arrays[f"difference_{count}"] = signed_levels(twin - original, reach)
        arrays[f"values_{count}"] = found[:2].astype(np.float32)
        norm = float(np.linalg.norm(original))
        levels.append(
            {
                "size": original.shape,
                "reach": reach,
                "field": field,
                "strongest": [float(original.max()), float(twin.max())],
                "same": bool(np.array_equal(original, twin)),
                "moved": moved_by(original, twin, (dy / 2**count, dx / 2**count), how.border),
                "change": float(np.linalg.norm(twin - original)) / norm if norm else None,
                "left": [
                    left_of_dots(found[i], found[i + 2], how.border) for i in range(len(found) - 2)
                ],
            }
        )
    # Pools of equal maps are equal: once the same, always the same.
    same = next((count for count, level in enumerate(levels) if level["same"]), None)
    return Reply({"levels": levels, "same_from": same}, arrays)


def shifts(asked: Asked, context: Context) -> Reply:
    """Answer after how many pools each shift of up to 6 pixels leaves the map of no shift.

    ``same`` is uint8 (13, 13) by rows of dy and columns of dx, from -6 on; `NEVER` where no number
    of pools does it. ``moved`` is how many pools follow the shift: as long as each of them answers
    with the map of no shift, moved by whole cells. ``distinct`` counts the different maps of the
    shifts of up to 3 pixels.
    """
    drawing, how = _drawing(asked), _pooling(asked)
    size = len(drawing.image)
    y, x = (asked.count(name, 0, least=-size, most=size) for name in ("y", "x"))
    steps = list(itertools.product(range(-REACH, REACH + 1), repeat=2))
    images = np.stack([_shift(drawing.image, y + dy, x + dx, how.border) for dy, dx in steps])
    near = [i for i, step in enumerate(steps) if max(map(abs, step)) <= NEAR]
    same = np.full(len(steps), NEVER, np.uint8)
    moved = np.zeros(len(steps), np.uint8)
    follows = np.ones(len(steps), bool)
    distinct = []
    for count, found in enumerate(pyramid(images, how)):
        context.check()
        keys = [one.tobytes() for one in found]
        distinct.append(len({keys[i] for i in near}))
        still = found[len(steps) // 2]
        cells = range(-(REACH >> count) - 1, (REACH >> count) + 2)
        others = [_shift(still, *cell, how.border) for cell in itertools.product(cells, cells)]
        alike = {one.tobytes() for one in others if one.any()} | {still.tobytes()}
        for i, key in enumerate(keys):
            if same[i] == NEVER and key == still.tobytes():
                same[i] = count
            # Before any pool, a real border may have cut what was moved.
            follows[i] &= count == 0 or key in alike
        moved[follows] = count
    side = 2 * REACH + 1
    return Reply(
        {"reach": REACH, "near": NEAR, "distinct": distinct, "of": len(near)},
        {"same": same.reshape(side, side), "moved": moved.reshape(side, side)},
    )


ANSWERS: dict[str, Answerer] = {"invariance.maps": maps, "invariance.shifts": shifts}

"""JPEG files as cameras write them: strict about damage, patient with bytes that mean nothing.

Cameras leave stray bytes in front of a marker: padding behind a segment of the header (608 zeros
in home-assistant/core#178372), or a few bytes behind the pixel data (1 to 10, from webcams:
pupil-labs/pupil#1816, libavg/libavg#782). Every viewer steps over them. libjpeg reports them in
the words that it has for damaged pixel data too, since a decoder that lost its place finds bytes
left over in the end. The two are told apart by where the bytes are, and how many.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeAlias

from numpy.typing import NDArray

__all__ = ["Frame", "decode", "plain_frame", "without_exif"]

Array: TypeAlias = NDArray[Any]

# Behind pixel data: how many bytes may be left over unless all are 0. Of damages that libjpeg
# noticed in a baseline JPEG, 6 in 3811 left so few. In a progressive one, 149 in 1954 did: there
# none may be left over but zeros. (examples/coffee.jpg, with and without restart markers: a bit
# flipped, 32 bytes overwritten, or up to 511 deleted at random, in equal parts.)
_FEW = 16
# A webcam's picture has strays in front of most of its restart markers, and each takes a few
# attempts. These bounds are for a file that is made to be slow: 2**29 pixels take 4 s.
_ATTEMPTS_MIN, _ATTEMPTS_MAX, _PIXELS_MAX = 16, 1024, 2**29

_COMPLAINT = re.compile(
    r"Corrupt JPEG data: (\d+) extraneous bytes before marker 0x([0-9a-f]{2})", re.ASCII
)
_MARKER = re.compile(rb"\xff+([^\x00\xff])", re.DOTALL)
_END_OF_PIXELS = re.compile(rb"\xff[\xc4\xd0-\xd7\xd9\xda]")
_APP1, _START_OF_SCAN = 0xE1, 0xDA
_ALONE = {0x01, *range(0xD0, 0xDA)}  # markers that no length and no data follow
_PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
_FRAMES = {0xC0, 0xC1, 0xC2}  # of 8 bits, most often: baseline, extended, progressive
# The beginning, tables, comments, and what applications say that has nothing to do with pixels or
# their direction.
_PLAIN = {0xD8, 0xC4, 0xDB, 0xDD, 0xFE, *range(0xE0, 0xF0)} - {_APP1}


class Frame(NamedTuple):
    """What a header says of the pixels."""

    height: int
    width: int
    components: int


def plain_frame(data: bytes) -> Frame | None:
    """Read the header of a JPEG of the usual kind, which says nothing of how it is to be turned.

    Returns
    -------
    Frame or None
        Of one or three components. None where there is EXIF or XMP, or anything else
        that is rare: such a header has to be read with care.

    Examples
    --------
    >>> plain_frame(bytes.fromhex("ffd8 ffc0 000b 08 0003 0002 01 011100"))
    Frame(height=3, width=2, components=1)
    """
    for code, at, end in _segments(data):
        if code in _FRAMES and end >= at + 10:
            height, width = (int.from_bytes(data[at + i : at + i + 2]) for i in (5, 7))
            return Frame(height, width, data[at + 9]) if data[at + 9] in (1, 3) else None
        if code not in _PLAIN:
            return None
    return None


class _Strays(NamedTuple):
    """What the decoder complains about."""

    bytes_left: int  # since its last complaint: several places may have a part in it
    marker: bytes


def decode(data: bytes, colorspace: str, pixels: int, at_least: tuple[int, int] = (0, 0)) -> Array:
    """Decode a whole and undamaged JPEG, stepping over stray bytes.

    Parameters
    ----------
    data : bytes
    colorspace : {"GRAY", "RGB"}
    pixels : int
        How many there are, for an idea of how long an attempt takes.
    at_least : (height, width)
        Decode at the smallest scale that gives no fewer pixels; (0, 0) for the whole.

    Returns
    -------
    ndarray, uint8, (H, W, 1) or (H, W, 3)

    Raises
    ------
    ValueError
        In the words of libjpeg. They begin with "Corrupt" or "Premature" where the file is
        damaged or cut short.
    """
    import simplejpeg  # type: ignore[import-untyped]

    refused: ValueError | None = None
    left = min(max(_PIXELS_MAX // pixels, _ATTEMPTS_MIN), _ATTEMPTS_MAX)

    def attempt(version: bytes) -> Array | _Strays | None:
        nonlocal refused, left
        left -= 1
        if left < 0:
            return None
        try:
            height, width = at_least
            values: Array = simplejpeg.decode_jpeg(
                version, colorspace, min_height=height, min_width=width
            )
            return values
        except ValueError as error:
            refused = refused or error
            found = _COMPLAINT.match(str(error))
            return _Strays(int(found[1]), b"\xff" + bytes.fromhex(found[2])) if found else None

    found = attempt(data)
    if isinstance(found, _Strays):
        found = _without_strays(data, attempt)
    if found is None:
        assert refused is not None
        raise refused
    return found


def _without_strays(
    data: bytes, attempt: Callable[[bytes], Array | _Strays | None]
) -> Array | None:
    """Take the strays out of a file until its decoder is content; None if that cannot be.

    The decoder stops at its first complaint, so one place after the other is mended. What is
    left in the end is decoded as strictly as any other file.
    """
    # Between the segments of the header, whatever lies there belongs to nothing.
    segments, rest = _split(data)
    data = b"".join(segment for _, segment in segments) + rest
    few = 0 if any(code in _PROGRESSIVE for code, _ in segments) else _FEW
    place = len(data) - len(rest)
    found = attempt(data)
    while isinstance(found, _Strays):
        # The complaint does not say which of several such markers it is about, and strays that
        # the decoder had read ahead are counted at a later marker. But in front of a marker
        # without strays there are pixels, of which nothing can be taken. Most often it is the
        # first such marker; otherwise, the first of any kind in front of which something can.
        first = data.find(found.marker, place + 1)
        ends = [end.start() for end in _END_OF_PIXELS.finditer(data, place)]
        for at in ([first] if first >= 0 else []) + ends:
            start = max(at - found.bytes_left, place)
            padding = not any(data[start:at])
            if not (padding or few):
                continue
            most = at - start if padding else min(at - start, few + 1)
            taken, outcome = _take(data, at, most, attempt)
            if taken:
                break
            if at != first:
                place = at
        else:
            return None
        if taken > few and not padding:
            return None  # Damage: the decoder has lost its place.
        data, found = data[: at - taken] + data[at:], outcome
    return found


def _take(
    data: bytes, at: int, most: int, attempt: Callable[[bytes], Array | _Strays | None]
) -> tuple[int, Array | _Strays | None]:
    """Find how many bytes, up to `most`, can go from before `at` without a pixel among them."""
    taken, outcome = 0, None
    low, high, count = 0, most, most
    while low < high:
        found = attempt(data[: at - count] + data[at:])
        if found is None:
            high = count - 1
        else:
            low, taken, outcome = count, count, found
        # One is tried second: in front of most markers there is nothing to take.
        count = 1 if low == 0 and count == most else (low + high + 1) // 2
    return taken, outcome


def without_exif(data: bytes) -> bytes:
    """Return the file without its APP1 segments, where EXIF is.

    Examples
    --------
    >>> without_exif(bytes.fromhex("ffd8 ffe1 0008 457869660000 ffd9")).hex(" ", 2)
    'ffd8 ffd9'
    """
    segments, rest = _split(data)
    return b"".join(segment for code, segment in segments if code != _APP1) + rest


def _split(data: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """Return the segments of the header with their codes, and all from the first scan on."""
    segments: list[tuple[int, bytes]] = []
    rest = 0
    for code, begin, end in _segments(data):
        if code == _START_OF_SCAN:
            return segments, data[begin:]
        segments.append((code, data[begin:end]))
        rest = end
    return segments, data[rest:]


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Give the code of each segment, where its marker begins, and where it ends.

    As libjpeg does, what lies between a segment and the next marker is skipped.
    """
    end = 0
    while found := _MARKER.search(data, end):
        code, end = found[1][0], found.end()
        if code not in _ALONE:
            end += int.from_bytes(data[end : end + 2])
        yield code, found.end() - 2, end

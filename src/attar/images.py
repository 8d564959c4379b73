"""Reading pictures into arrays and writing arrays as pictures."""

import contextlib
import importlib
import io
import os
import re
import struct
import sys
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from attar import jpeg
from attar.errors import (
    ArgumentError,
    DTypeError,
    ImageError,
    ImageNotFoundError,
    ShapeError,
)
from attar.files import atomic_path
from attar.unit import in_unit, luma_in_unit

# Pillow costs 15 ms to import: it is loaded when a picture is read or written, not before.
if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

__all__ = [
    "SUFFIXES",
    "Color",
    "decode_image",
    "list_images",
    "read_image",
    "resize_image",
    "scale_pixels",
    "write_image",
]

ImagePath = str | os.PathLike[str]
Color = Literal["keep", "gray", "luma", "rgb"]
Array = npt.NDArray[Any]

ACCEPTED: Final = "JPEG, PNG, WebP, TIFF, BMP, GIF"
_FORMAT_OF_SUFFIX: Final = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".png": "PNG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
    ".dib": "BMP",
    ".gif": "GIF",
}
SUFFIXES: Final = tuple(_FORMAT_OF_SUFFIX)
# Ours rather than Image.open: it keeps every other decoder in Pillow out of reach of a hostile
# file, imports one plugin instead of all, and leaves Pillow's own pixel limit out of it.
_MAGIC: Final = {
    "JPEG": rb"\xff\xd8\xff",
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "WEBP": rb"RIFF....WEBP",
    "TIFF": rb"II[*+]\x00|MM\x00[*+]",
    "BMP": rb"BM",
    "GIF": rb"GIF8[79]a",
}
_PLUGIN: Final = {
    "JPEG": ("JpegImagePlugin", "JpegImageFile"),
    "PNG": ("PngImagePlugin", "PngImageFile"),
    "WEBP": ("WebPImagePlugin", "WebPImageFile"),
    "TIFF": ("TiffImagePlugin", "TiffImageFile"),
    "BMP": ("BmpImagePlugin", "BmpImageFile"),
    "GIF": ("GifImagePlugin", "GifImageFile"),
}
# ITU-R BT.601-7, section 2.5.1, in thousandths: as integers the sum is exact, so a gray pixel
# stays exactly the gray that it was.
_LUMA_THOUSANDTHS: Final = (299, 587, 114)
LUMA: Final = tuple(weight / 1000 for weight in _LUMA_THOUSANDTHS)  # of images that are floats
_EXIF_ORIENTATION: Final = 0x0112
_UPRIGHT: Final[dict[int, Callable[[Array], Array]]] = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, 1),
}
_TIFF_BITS, _TIFF_PHOTOMETRIC, _TIFF_PLANAR = 258, 262, 284
_pillow_limit_lock = threading.Lock()


class _Pixels(NamedTuple):
    """What a file holds before it is scaled: `values` run from 0 (black) to `white`."""

    values: Array  # (H, W) or (H, W, 3)
    white: float
    orientation: int  # as EXIF counts, 1 to 8
    alpha: Array | None = None  # (H, W), from 0 (transparent) to white (opaque)


def read_image(
    path: ImagePath, *, color: Color = "keep", max_pixels: int = 200_000_000
) -> npt.NDArray[np.float32]:
    """Read a JPEG, PNG, WebP, TIFF, BMP or GIF file as an array.

    The picture is turned upright by its EXIF orientation. 16-bit files keep their 16 bits.
    Transparent pixels are laid over white, the page that viewers and browsers show them on.
    Of an animation or a document, the first frame or page is read. Colour profiles are not
    applied, as in TensorFlow, Keras and PyTorch.

    A JPEG opens although its camera left stray bytes in front of a marker. With a broken EXIF
    block it is read as it lies, without turning it. Damaged or missing pixels are an error.

    Parameters
    ----------
    path : str or os.PathLike
        The file. Its format is read from its first bytes; the suffix does not matter.
    color : {"keep", "gray", "luma", "rgb"}, default "keep"
        "keep" gives gray files as (H, W) and colour files as (H, W, 3). "gray" converts colour
        with the ITU-R BT.601 weights 0.299 R + 0.587 G + 0.114 B, always from the decoded RGB
        values. "luma" is for speed: of a JPEG it gives the plane of brightness that is stored, and
        leaves its colours undecoded, in two thirds of the time. By the same weights, it is "gray"
        but for rounding (to 1/255) and for pixels whose stored colour RGB does not reach. Of other
        files it gives "gray". "rgb" repeats gray three times.
    max_pixels : int, default 200_000_000
        The greatest H x W that is decoded. It is checked before memory is taken for pixels.

    Returns
    -------
    numpy.ndarray
        float32 in [0, 1], C-contiguous, shape (H, W) or (H, W, 3).

    Raises
    ------
    ImageNotFoundError
        There is no such file.
    ImageError
        The file is a folder, is no picture of an accepted format, is damaged or cut short, or
        has more than `max_pixels`; the message says which.
    ArgumentError
        `color` or `max_pixels` is none of the above.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "ramp.png"
    >>> write_image(file, np.linspace(0, 1, 6, dtype=np.float32).reshape(2, 3))
    >>> image = read_image(file)
    >>> image.shape, image.dtype, float(image.max())
    ((2, 3), dtype('float32'), 1.0)
    >>> read_image(file, color="rgb").shape
    (2, 3, 3)
    """
    if not isinstance(path, str | os.PathLike):
        raise DTypeError(
            f"read_image: path is {type(path).__name__}; pass a str or a pathlib.Path, "
            "or give bytes to attar.images.decode_image"
        )
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise ImageNotFoundError(f"cannot read {os.fspath(path)}: there is no such file") from None
    except IsADirectoryError:
        raise ImageError(
            f"cannot read {os.fspath(path)}: it is a folder; name a picture in it"
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a path with a zero byte in it
        reason = getattr(error, "strerror", None) or error
        raise ImageError(f"cannot read {os.fspath(path)!r}: {reason}") from error
    return decode_image(data, color=color, max_pixels=max_pixels, name=os.fspath(path))


def decode_image(
    data: bytes | bytearray | memoryview,
    *,
    color: Color = "keep",
    max_pixels: int = 200_000_000,
    name: str = "<bytes>",
    at_least: tuple[int, int] | None = None,
) -> npt.NDArray[np.float32]:
    """Decode the bytes of a picture: `read_image` without the file.

    Parameters
    ----------
    data : bytes, bytearray or memoryview
        A whole file in one of the formats of `read_image`.
    color, max_pixels
        As for `read_image`.
    name : str, default "<bytes>"
        What error messages call the picture.
    at_least : (height, width), optional
        The picture is wanted in a smaller size, and may be given in any that is no smaller than
        this. A JPEG of at least twice the size is decoded at an eighth to a half of its size, in a
        fraction of the time: libjpeg leaves out the finest of the frequencies that it would have to
        average away. Other pictures are given as they are.

    Returns
    -------
    numpy.ndarray
        float32 in [0, 1], C-contiguous, shape (H, W) or (H, W, 3).

    Raises
    ------
    ImageError
        The bytes are no picture of an accepted format, are damaged or cut short, or hold more
        than `max_pixels`.
    ArgumentError
        `color` or `max_pixels` is not accepted.

    Examples
    --------
    >>> decode_image(b"P5 1 1 255 x", name="upload")
    Traceback (most recent call last):
    attar.errors.ImageError: cannot read upload: it is no JPEG, PNG, WebP, TIFF, BMP, GIF picture
    """
    if color not in get_args(Color):
        raise ArgumentError(
            f"reading an image: color is {color!r}; use 'keep', 'gray', 'luma' or 'rgb'"
        )
    if not isinstance(max_pixels, int | np.integer) or max_pixels < 1:
        raise ArgumentError(f"reading an image: max_pixels is {max_pixels!r}; use an int above 0")
    data = bytes(data)
    if not data:
        raise ImageError(f"cannot read {name}: the file is empty")
    kind = next((kind for kind, magic in _MAGIC.items() if re.match(magic, data, re.DOTALL)), None)
    if kind is None:
        raise ImageError(f"cannot read {name}: it is no {ACCEPTED} picture")
    try:
        if kind == "JPEG":
            pixels = _jpeg_pixels(data, color, at_least, max_pixels, name)
        else:
            image = _open(kind, data)
            _check_size(image.size, max_pixels, name)
            pixels = _pixels(kind, image, data)
    except (ImageError, MemoryError):
        raise
    except Exception as error:
        # Damaged data makes a decoder raise nearly anything: OSError, SyntaxError, struct.error,
        # IndexError, AssertionError…
        reason = str(error).strip().rstrip(".") or type(error).__name__
        raise ImageError(f"cannot read {name}: damaged or unsupported {kind} ({reason})") from error
    return _finish(pixels, color)


def write_image(path: ImagePath, array: npt.ArrayLike, *, quality: int = 92) -> None:
    """Write an array as a JPEG, PNG, WebP, TIFF, BMP or GIF file, chosen by the suffix.

    The file appears whole or not at all, and replaces one that is there.

    Parameters
    ----------
    path : str or os.PathLike
        The file to write, in a folder that exists.
    array : array_like
        The picture, of shape (H, W), (H, W, 1) or (H, W, 3). Floats in [0, 1] are rounded to
        8 bits; uint8 is written as it is; gray uint16 is written as it is to PNG and TIFF.
    quality : int, default 92
        1 to 100, for JPEG and WebP, which lose a little; PNG, TIFF and BMP lose nothing, and GIF
        keeps 256 colours. JPEG keeps colour at full resolution (4:4:4), since feature maps have
        thin coloured edges.

    Raises
    ------
    ShapeError
        The array has another shape, or no pixels.
    DTypeError
        The array has another dtype, or is uint16 where the format has no 16-bit gray.
    ArgumentError
        The suffix or `quality` is not accepted, the folder does not exist, or a float is NaN or
        outside [0, 1].
    ImageError
        The file system or the format refuses the picture.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "white.png"
    >>> write_image(file, np.ones((2, 2, 3)))
    >>> read_image(file).shape
    (2, 2, 3)
    >>> write_image(file, np.full((2, 2), 1.5))
    Traceback (most recent call last):
    attar.errors.ArgumentError: write_image: array runs from 1.5 to 1.5; floats have to be in
    [0, 1], so scale or np.clip them first
    """
    target = Path(path)
    kind = _FORMAT_OF_SUFFIX.get(target.suffix.lower())
    if kind is None:
        raise ArgumentError(
            f"write_image: {target.name!r} has no suffix of a picture; "
            f"use one of {' '.join(_FORMAT_OF_SUFFIX)}"
        )
    if not isinstance(quality, int | np.integer) or not 1 <= quality <= 100:
        raise ArgumentError(f"write_image: quality is {quality!r}; use an int from 1 to 100")
    pixels = _eight_or_sixteen_bit(np.asarray(array), kind)

    from PIL import Image

    importlib.import_module(f"PIL.{_PLUGIN[kind][0]}")
    options = {"JPEG": {"quality": quality, "subsampling": 0}, "WEBP": {"quality": quality}}
    try:
        with atomic_path(target) as temporary:
            Image.fromarray(pixels).save(temporary, format=kind, **options.get(kind, {}))
    except (OSError, ValueError, struct.error) as error:
        if isinstance(error, ArgumentError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise ImageError(f"cannot write {target} as {kind}: {reason}") from error


def resize_image(image: Array, height: int, width: int) -> npt.NDArray[np.float32]:
    """Resize an image with Pillow's bilinear filter, which averages where it makes smaller.

    Parameters
    ----------
    image : ndarray, (H, W) or (H, W, C)
        float32.
    height, width : int
        The size of the answer.

    Returns
    -------
    numpy.ndarray
        float32, C-contiguous, (height, width) or (height, width, C).

    Examples
    --------
    >>> resize_image(np.array([[0, 1], [0, 1]], np.float32), 1, 1)
    array([[0.5]], dtype=float32)
    """
    from PIL import Image

    planes = image[:, :, None] if image.ndim == 2 else image
    resized = np.empty((height, width, planes.shape[2]), np.float32)
    for channel in range(planes.shape[2]):
        plane = Image.fromarray(np.ascontiguousarray(planes[:, :, channel], np.float32))
        resized[:, :, channel] = np.asarray(
            plane.resize((width, height), Image.Resampling.BILINEAR)
        )
    return resized[:, :, 0] if image.ndim == 2 else resized


def list_images(paths: ImagePath | Iterable[ImagePath]) -> list[Path]:
    """List the pictures that `paths` name, with folders replaced by the pictures inside.

    A folder is searched with its sub-folders, in sorted order, for the suffixes of the formats
    that `read_image` accepts; hidden files are left out. A file that is named is kept whatever
    its suffix. A picture that is named twice is listed once, where it came first.

    Parameters
    ----------
    paths : str, os.PathLike or an iterable of them
        Files and folders.

    Returns
    -------
    list of pathlib.Path
        As named, or as found below the folder that was named.

    Raises
    ------
    ImageNotFoundError
        A path does not exist, or a folder holds no picture.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name in ["b.png", "a.JPG", "notes.txt"]:
    ...     (folder / name).touch()
    >>> [file.name for file in list_images(folder)]
    ['a.JPG', 'b.png']
    """
    named = [paths] if isinstance(paths, str | os.PathLike) else paths
    found: dict[Path, Path] = {}
    for path in map(Path, named):
        if path.is_dir():
            files = sorted(file for file in path.rglob("*") if _is_picture(file, path))
            if not files:
                raise ImageNotFoundError(
                    f"no picture in the folder {path}: "
                    f"looked for {' '.join(_FORMAT_OF_SUFFIX)} there and in its sub-folders"
                )
        elif path.exists():
            files = [path]
        else:
            raise ImageNotFoundError(f"no picture at {path}: there is no such file or folder")
        for file in files:
            found.setdefault(file.resolve(), file)
    return list(found.values())


def _is_picture(file: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
    return not hidden and file.suffix.lower() in _FORMAT_OF_SUFFIX and file.is_file()


# Decoding: open the header, unpack integers, scale once.


def _open(kind: str, data: bytes) -> "ImageFile":
    """Read the header. GIF and WebP compare their size with Pillow's limit here."""
    module, plugin = _PLUGIN[kind]
    factory = getattr(importlib.import_module(f"PIL.{module}"), plugin)
    with _pillow_limit_lifted() if kind in {"GIF", "WEBP"} else contextlib.nullcontext():
        try:
            image: ImageFile = factory(io.BytesIO(data))
        except Warning:
            # Warnings are errors, and Pillow has one about the EXIF block of a JPEG. Not
            # catch_warnings: up to Python 3.13 it changes the filters of all threads.
            if kind != "JPEG":
                raise
            image = factory(io.BytesIO(jpeg.without_exif(data)))
    return image


def _check_size(size: tuple[int, int], max_pixels: int, name: str) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise ImageError(f"cannot read {name}: its header says {height} × {width} pixels")
    if width * height > max_pixels:
        raise ImageError(
            f"cannot read {name}: {height} × {width} is {width * height:,} pixels and the limit "
            f"is {max_pixels:,}; if you trust the file, pass max_pixels={width * height}"
        )


def _load(image: "ImageFile") -> None:
    # 2**26 pixels is below Pillow's own limit, which warns, and which `max_pixels` replaces.
    large = image.size[0] * image.size[1] > 2**26
    with _pillow_limit_lifted() if large else contextlib.nullcontext():
        image.load()


@contextlib.contextmanager
def _pillow_limit_lifted() -> Iterator[None]:
    """Switch off Pillow's pixel limit, a global, for as short as can be."""
    from PIL import Image

    with _pillow_limit_lock:
        limit = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _orientation(image: "ImageFile") -> int:
    try:
        return int(image.getexif().get(_EXIF_ORIENTATION, 1))
    except Exception:  # damaged EXIF: the picture itself is fine
        return 1


def _jpeg_pixels(
    data: bytes, color: Color, at_least: tuple[int, int] | None, max_pixels: int, name: str
) -> _Pixels:
    frame = jpeg.plain_frame(data)  # Pillow takes five times as long, or more
    if frame is not None:
        size, gray = (frame.width, frame.height), frame.components == 1
        _check_size(size, max_pixels, name)
        pixels = _by_simplejpeg(data, gray or color == "luma", size, 1, at_least)
        if pixels is not None:
            return pixels
    image = _open("JPEG", data)
    _check_size(image.size, max_pixels, name)
    if image.mode in {"L", "RGB"}:
        gray = image.mode == "L" or color == "luma"
        pixels = _by_simplejpeg(data, gray, image.size, _orientation(image), at_least)
        if pixels is not None:
            return pixels
    return _pixels("JPEG", image, data)


def _by_simplejpeg(
    data: bytes,
    gray: bool,
    size: tuple[int, int],
    orientation: int,
    at_least: tuple[int, int] | None,
) -> _Pixels | None:
    """Decode, or give None for what simplejpeg does not know.

    It decodes to the same values as Pillow; it is faster and, unlike Pillow, reports damage in the
    middle of the data.
    """
    height, width = at_least or (0, 0)
    if orientation > 4:  # it lies on its side
        height, width = width, height
    # Scales between a half and the whole take longer than the whole.
    smaller = at_least is not None and size[1] >= 2 * height and size[0] >= 2 * width
    try:
        scale = (height, width) if smaller else (0, 0)
        values = jpeg.decode(data, "GRAY" if gray else "RGB", size[0] * size[1], scale)
    except ValueError as error:
        if str(error).startswith(("Corrupt", "Premature")):
            raise
        return None
    return _Pixels(values[..., 0] if gray else values, 255, orientation)


def _pixels(kind: str, image: "ImageFile", data: bytes) -> _Pixels:
    """Unpack what Pillow decodes, whatever its mode."""
    if kind == "PNG":
        _check_png_data(data)
    tags = getattr(image, "tag_v2", {})
    bits = tags.get(_TIFF_BITS, (data[24],) if kind == "PNG" else (8,))
    if bits[0] == 16 and not image.mode.startswith(("I", "F")):
        return _sixteen_bit_colour(kind, image, data)

    _load(image)
    mode, orientation = image.mode, _orientation(image)
    key = image.info.get("transparency")
    if mode.startswith("I;16"):
        values, white = np.asarray(image), 2.0 ** bits[0] - 1
        if tags.get(_TIFF_PHOTOMETRIC) == 0:  # white is zero, which Pillow heeds in 8 bits only
            values = np.uint16(white) - values
        return _Pixels(values, white, orientation, _keyed(values, key, white))
    if mode == "F":
        values = np.asarray(image)
        _check_range(values, "its float pixels run")
        return _Pixels(values, 1.0, orientation)
    if mode == "I":
        raise ValueError("32-bit integers have no agreed white; save it as 16-bit or float")
    if kind == "PNG" and mode == "L" and isinstance(key, int):
        image.info["transparency"] = key * 255 // (2 ** min(bits[0], 8) - 1)

    gray = mode in {"1", "L", "LA", "La"}
    if image.has_transparency_data:
        values = np.asarray(image.convert("LA" if gray else "RGBA"))
        values, alpha = values[..., 0 if gray else slice(3)], values[..., -1]
    else:
        values, alpha = np.asarray(image.convert("L" if gray else "RGB")), None
    if mode in {"P", "PA"} and _is_gray(image.getpalette() or []):
        values = values[..., 0]
    return _Pixels(values, 255, orientation, alpha)


def _sixteen_bit_colour(kind: str, image: "ImageFile", data: bytes) -> _Pixels:
    """Unpack 16-bit colour, of which Pillow's modes hold the high bytes only.

    The file is decoded again with the byte order reversed, which gives the low bytes.
    """
    args = image.tile[0].args
    rawmode = args[0] if isinstance(args, tuple) else args
    match = re.fullmatch(r"(RGB|RGBX|RGBA|CMYK|LA);16([LBN])", rawmode or "")
    if not match or getattr(image, "tag_v2", {}).get(_TIFF_PLANAR, 1) != 1:
        raise ValueError("16-bit colour in separate planes or with premultiplied alpha")
    layout, order = match.groups()

    def unpack(rawmode: str) -> tuple[npt.NDArray[np.uint16], int]:
        again = _open(kind, data)
        again.tile = [tile._replace(args=_with_rawmode(tile.args, rawmode)) for tile in again.tile]
        _load(again)
        return np.asarray(again).astype(np.uint16), _orientation(again)

    if layout == "LA":  # four bytes a pixel, as RGBA has
        parts, orientation = unpack("RGBA")
        values, alpha = np.moveaxis(parts[..., ::2] << 8 | parts[..., 1::2], -1, 0)
        return _Pixels(values, 65535, orientation, alpha)
    big = order == "B" or (order == "N" and sys.byteorder == "big")
    high, orientation = unpack(f"{layout};16{'B' if big else 'L'}")
    low, _ = unpack(f"{layout};16{'L' if big else 'B'}")
    values = high << 8 | low
    if layout == "CMYK":
        ink = values / 65535
        return _Pixels((1 - ink[..., :3]) * (1 - ink[..., 3:]), 1.0, orientation)
    if layout == "RGBA":
        return _Pixels(values[..., :3], 65535, orientation, values[..., 3])
    return _Pixels(
        values, 65535, orientation, _keyed(values, image.info.get("transparency"), 65535)
    )


def _with_rawmode(args: str | tuple[Any, ...] | None, rawmode: str) -> str | tuple[Any, ...]:
    return (rawmode, *args[1:]) if isinstance(args, tuple) else rawmode


def _keyed(values: Array, key: int | tuple[int, ...] | None, white: float) -> Array | None:
    """Alpha where one colour, `key`, stands for transparent."""
    if key is None:
        return None
    same = values == np.asarray(key)
    return np.asarray(np.where(same.all(axis=-1) if values.ndim == 3 else same, 0, white))


def _is_gray(palette: list[int]) -> bool:
    return palette[0::3] == palette[1::3] == palette[2::3]


def _check_png_data(data: bytes) -> None:
    """Compare the checksums of the pixel data, which Pillow leaves unread."""
    at = 8
    while (size_and_name := data[at : at + 8])[4:] not in {b"IEND", b""}:
        size, name = struct.unpack(">I4s", size_and_name)
        end = at + 8 + size
        if name == b"IDAT" and zlib.crc32(data[at + 4 : end]).to_bytes(4) != data[end : end + 4]:
            raise ValueError("the checksum of its pixel data is wrong or missing")
        at = end + 4


def _finish(pixels: _Pixels, color: Color) -> npt.NDArray[np.float32]:
    values, white, orientation, alpha = pixels
    if alpha is not None and alpha.min() < white:
        cover = alpha.astype(np.float64) / white
        # White minus what is missing to it, so that an opaque pixel keeps its value exactly.
        values = white - (cover if values.ndim == 2 else cover[..., None]) * (white - values)
    mixed = color in {"gray", "luma"} and values.ndim == 3
    if mixed and values.dtype == np.uint8:
        image = luma_in_unit(values, _LUMA_THOUSANDTHS)
    elif mixed:  # wider values need float64 for an exact sum
        weights = np.array(_LUMA_THOUSANDTHS, np.float64)
        image = _divided(values.astype(np.float64) @ weights, white * 1000)
    elif values.dtype in (np.uint8, np.uint16):
        image = in_unit(values, white)
    else:
        image = _divided(values, white)
    image = np.ascontiguousarray(_UPRIGHT.get(orientation, np.asarray)(image))
    return np.repeat(image[..., None], 3, axis=2) if color == "rgb" and image.ndim == 2 else image


def _divided(values: Array, white: float) -> npt.NDArray[np.float32]:
    image: npt.NDArray[np.float32] = np.empty(values.shape, np.float32)
    wide = np.float64 if values.dtype == np.float64 else np.float32
    np.divide(values, wide(white), out=image, casting="same_kind")
    return image


def scale_pixels(values: Array, white: float, color: Color) -> npt.NDArray[np.float32]:
    """Return pixels as `read_image` gives them.

    Parameters
    ----------
    values : ndarray, (H, W) or (H, W, 3)
        From 0, black, to `white`.
    white : float
    color : {"keep", "gray", "luma", "rgb"}

    Examples
    --------
    >>> scale_pixels(np.array([[[255, 0, 0]]], np.uint8), 255, "gray")
    array([[0.299]], dtype=float32)
    """
    return _finish(_Pixels(values, white, 1), color)


# Encoding.


def _eight_or_sixteen_bit(array: Array, kind: str) -> Array:
    """Check what `write_image` received and turn it into what `kind` holds."""
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)) or 0 in array.shape:
        raise ShapeError(
            f"write_image: array has shape {array.shape}; use (H, W), (H, W, 1) or (H, W, 3)"
        )
    if array.dtype.kind == "f":
        _check_range(array, "write_image: array runs")
        rounded: npt.NDArray[np.uint8] = np.rint(array * np.float32(255)).astype(np.uint8)
        return rounded
    if array.dtype == np.uint16:
        if array.ndim == 3 or kind not in {"PNG", "TIFF"}:
            raise DTypeError(
                f"write_image: array is uint16 of shape {array.shape} for {kind}; 16 bits are "
                "written for gray (H, W) to PNG or TIFF, so pass floats in [0, 1] or uint8"
            )
    elif array.dtype != np.uint8:
        raise DTypeError(
            f"write_image: array is {array.dtype}; use floats in [0, 1], uint8, or uint16 for gray"
        )
    return np.ascontiguousarray(array)


def _check_range(values: Array, what: str) -> None:
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= 1):  # so written, NaN fails too
        raise ArgumentError(
            f"{what} from {low:g} to {high:g}; floats have to be in [0, 1], "
            "so scale or np.clip them first"
        )

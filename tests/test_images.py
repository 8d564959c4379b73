"""Reading and writing pictures: every format and mode, and every way for a file to be bad."""

import io
import re
import struct
import sys
import threading
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from attar import jpeg
from attar.errors import ArgumentError, DTypeError, ImageError, ImageNotFoundError, ShapeError
from attar.files import atomic_path
from attar.images import decode_image, list_images, read_image, write_image

RNG = np.random.default_rng(20240607)
GRAY = RNG.integers(0, 256, (5, 7), np.uint8)
RGB = RNG.integers(0, 256, (5, 7, 3), np.uint8)
# Smooth, so that a lossy format stays near it.
SMOOTH = np.stack(np.broadcast_arrays(*np.ogrid[0:200:40j, 20:220:56j], 90), -1).astype(np.uint8)
EXIF_ORIENTATION = 0x0112


def scaled(values, white=255):
    return (np.asarray(values, np.float64) / white).astype(np.float32)


def encode(image, kind, **options):
    if not isinstance(image, Image.Image):
        image = Image.fromarray(image)
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png_chunk(name, data, crc=None):
    crc = zlib.crc32(name + data) if crc is None else crc
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", crc)


def png(values, depth, colour_type, *extra, filters=None, interlaced=False, size=None):
    """A PNG made by hand, from the specification: the oracle that Pillow is not part of."""
    height, width = values.shape[:2]
    passes = [(0, 0, 1, 1)]
    if interlaced:  # Adam7
        passes = [
            (0, 0, 8, 8),
            (0, 4, 8, 8),
            (4, 0, 8, 4),
            (0, 2, 4, 4),
            (2, 0, 4, 2),
            (0, 1, 2, 2),
            (1, 0, 2, 1),
        ]
    raw = b""
    for top, left, down, right in passes:
        part = values[top::down, left::right]
        if 0 in part.shape:
            continue
        rows = [
            row.astype(">u2").tobytes()
            if depth == 16
            else np.packbits(
                np.unpackbits(row.reshape(-1, 1), axis=1)[:, 8 - depth :].reshape(-1)
            ).tobytes()
            for row in part
        ]
        bpp = max(1, depth * (values.shape[2] if values.ndim == 3 else 1) // 8)
        before = bytes(len(rows[0]))
        for number, row in enumerate(rows):
            kind = filters[number % len(filters)] if filters else 0
            raw += bytes([kind]) + png_filter(kind, row, before, bpp)
            before = row
    header = struct.pack(
        ">IIBBBBB", *(size or (width, height)), depth, colour_type, 0, 0, interlaced
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [
            png_chunk(b"IHDR", header),
            *[png_chunk(name, data) for name, data in extra],
            png_chunk(b"IDAT", zlib.compress(raw)),
            png_chunk(b"IEND", b""),
        ]
    )


def png_filter(kind, row, above, bpp):
    out = bytearray()
    for at, value in enumerate(row):
        a = row[at - bpp] if at >= bpp else 0
        b = above[at]
        c = above[at - bpp] if at >= bpp else 0
        nearest = min((a, b, c), key=lambda option: abs(a + b - c - option))
        out.append((value - [0, a, b, (a + b) // 2, nearest][kind]) % 256)
    return bytes(out)


def tiff(values, order="<", photometric=2, extra=(), sample_format=None, planes=1):
    """An uncompressed TIFF made by hand."""
    height, width = values.shape[:2]
    channels = 1 if values.ndim == 2 else values.shape[2]
    bits = values.dtype.itemsize * 8
    stored = values if planes == 1 else np.moveaxis(values, -1, 0)
    body = stored.astype(values.dtype.newbyteorder(order)).tobytes()
    offsets = [8 + len(body) // planes * plane for plane in range(planes)]
    tags = {
        256: [width],
        257: [height],
        258: [bits] * channels,
        259: [1],
        262: [photometric],
        273: offsets,
        277: [channels],
        278: [height],
        279: [len(body) // planes] * planes,
        284: [1 if planes == 1 else 2],
        **dict(extra),
    }
    if sample_format:
        tags[339] = [sample_format] * channels
    entries, tail, at = b"", b"", 8 + len(body) + 2 + 12 * len(tags) + 4
    for tag, numbers in sorted(tags.items()):
        kind, code = (4, "I") if tag in {273, 279} else (3, "H")
        data = struct.pack(f"{order}{len(numbers)}{code}", *numbers)
        if len(data) > 4:
            field, tail, at = struct.pack(f"{order}I", at), tail + data, at + len(data)
        else:
            field = data.ljust(4, b"\0")
        entries += struct.pack(f"{order}HHI", tag, kind, len(numbers)) + field
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8 + len(body))
    return head + body + struct.pack(f"{order}H", len(tags)) + entries + bytes(4) + tail


# ---- what comes back ----


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "WEBP", "GIF"])
@pytest.mark.parametrize("values", [GRAY, RGB], ids=["gray", "rgb"])
def test_lossless_formats(kind, values):
    if kind == "GIF" and values is RGB:
        values = np.stack([GRAY // 43 * 43, GRAY // 64 * 64, 255 - GRAY], -1)  # few colours
    image = decode_image(encode(values, kind, **({"lossless": True} if kind == "WEBP" else {})))
    if kind == "WEBP" and values is GRAY:  # WebP has no gray
        values = np.repeat(GRAY[..., None], 3, 2)
    np.testing.assert_array_equal(image, scaled(values))
    assert image.dtype == np.float32
    assert image.flags.c_contiguous
    assert image.flags.writeable


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
@pytest.mark.parametrize("values", [SMOOTH, SMOOTH[..., 0]], ids=["rgb", "gray"])
def test_jpeg_is_what_pillow_decodes_and_near_what_was_saved(values, options):
    data = encode(values, "JPEG", quality=95, **options)
    image = decode_image(data)
    np.testing.assert_array_equal(image, scaled(np.asarray(Image.open(io.BytesIO(data)))))
    assert np.abs(image - scaled(values)).max() < 0.04
    assert image.flags.c_contiguous


@pytest.mark.parametrize("values", [SMOOTH, SMOOTH[..., 0]], ids=["rgb", "gray"])
def test_jpeg_that_simplejpeg_cannot_read_goes_to_pillow(monkeypatch, values):
    data = encode(values, "JPEG")
    expected = decode_image(data)

    def refuse(*_, **__):
        raise ValueError("Could not determine subsampling level of JPEG image")

    monkeypatch.setattr("simplejpeg.decode_jpeg", refuse)
    np.testing.assert_array_equal(decode_image(data), expected)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_color(kind):
    colour = encode(SMOOTH, kind)
    rgb = decode_image(colour)
    assert rgb.shape == (40, 56, 3)
    np.testing.assert_array_equal(decode_image(colour, color="rgb"), rgb)
    gray = decode_image(colour, color="gray")
    luma = rgb.astype(np.float64) @ [0.299, 0.587, 0.114]
    assert gray.shape == (40, 56)
    assert gray.dtype == np.float32
    assert gray.flags.c_contiguous
    np.testing.assert_allclose(gray, luma, rtol=2e-7, atol=1e-8)

    one = encode(SMOOTH[..., 0], kind)
    assert decode_image(one).shape == decode_image(one, color="gray").shape == (40, 56)
    tripled = decode_image(one, color="rgb")
    assert tripled.flags.c_contiguous
    np.testing.assert_array_equal(tripled, np.repeat(decode_image(one)[..., None], 3, 2))


def test_luma_is_what_a_jpeg_stores():
    data = Path("examples/coffee.jpg").read_bytes()
    luma, gray = (decode_image(data, color=color) for color in ("luma", "gray"))
    stored = Image.open(io.BytesIO(data))
    stored.draft("L", stored.size)  # Pillow's way to leave the colours out
    np.testing.assert_array_equal(luma, np.asarray(stored) / np.float32(255))
    assert luma.shape == gray.shape
    difference = np.abs(luma - gray)
    assert np.percentile(difference, 99) <= 1 / 255
    assert difference.max() > 0

    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = 6
    lying = encode(SMOOTH, "JPEG", exif=exif)
    assert decode_image(lying, color="luma").shape == (56, 40)


@pytest.mark.parametrize(
    "data",
    [
        encode(SMOOTH, "JPEG", comment=b"hello", icc_profile=b"x" * 30),
        encode(SMOOTH[..., 0], "JPEG"),
        encode(SMOOTH, "JPEG", progressive=True),
    ],
)
def test_a_jpeg_opens_alike_whether_its_header_is_read_by_pillow(data, monkeypatch):
    """With any byte of the header changed: the same pixels, or the same error."""

    def outcome(data):
        try:
            return decode_image(data).tolist()
        except ImageError as error:
            return str(error)

    rng = np.random.default_rng(0)
    changed = [data]
    for at in range(2, data.index(b"\xff\xda") + 14):
        changed.append(data[:at] + rng.bytes(1) + data[at + 1 :])
    assert jpeg.plain_frame(data) is not None
    quick = [outcome(each) for each in changed]
    monkeypatch.setattr(jpeg, "plain_frame", lambda data: None)
    assert quick == [outcome(each) for each in changed]
    assert any(isinstance(each, str) for each in quick)


def test_a_header_that_may_turn_the_picture_is_read_by_pillow():
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = 6
    for data in (encode(SMOOTH, "JPEG", exif=exif), encode(SMOOTH, "JPEG", xmp=b"<x/>")):
        assert jpeg.plain_frame(data) is None


@pytest.mark.parametrize("values", [SMOOTH, SMOOTH[..., 0]])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_luma_of_other_files_is_gray(values, kind):
    data = encode(values, kind)
    np.testing.assert_array_equal(
        decode_image(data, color="luma"), decode_image(data, color="gray")
    )


@pytest.mark.parametrize("white", [255, 65535])
def test_a_gray_pixel_in_a_colour_file_stays_exactly_that_gray(white):
    ramp = np.arange(white + 1).reshape(-1, 256)
    rgb = np.repeat(ramp[..., None], 3, 2)
    data = png(rgb, 16, 2) if white > 255 else png(rgb.astype(np.uint8), 8, 2)
    gray = decode_image(data, color="gray")
    np.testing.assert_array_equal(gray, scaled(ramp, white))
    assert gray.max() == 1


def test_color_names_that_are_refused():
    for color in ("grey", "RGB", None):
        with pytest.raises(ArgumentError, match=r"color is .*'keep', 'gray', 'luma' or 'rgb'"):
            decode_image(encode(GRAY, "PNG"), color=color)


def turned(values, orientation):
    """By the EXIF table: where the file's row 0 and column 0 lie in the upright picture."""
    height, width = values.shape[:2]
    upright = np.zeros((height, width) if orientation < 5 else (width, height), values.dtype)
    for row in range(height):
        for column in range(width):
            bottom, right = height - 1 - row, width - 1 - column
            at = {
                1: (row, column),  # row 0 is the top, column 0 the left
                2: (row, right),  # top, right
                3: (bottom, right),  # bottom, right
                4: (bottom, column),  # bottom, left
                5: (column, row),  # left, top
                6: (column, bottom),  # right, top
                7: (right, bottom),  # right, bottom
                8: (right, row),  # left, bottom
            }[orientation]
            upright[at] = values[row, column]
    return upright


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "TIFF deflate"])
def test_orientation_is_applied_once(kind, orientation):
    values = GRAY // 128 * 255
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    kind, _, deflate = kind.partition(" ")
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100}}.get(kind, {})
    if deflate:
        options = {"compression": "tiff_deflate"}
    image = decode_image(encode(values, kind, exif=exif, **options), color="gray")
    assert image.flags.c_contiguous
    np.testing.assert_array_equal(image > 0.5, turned(values, orientation) > 0)


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_orientation_of_sixteen_bit_colour(orientation):
    values = RNG.integers(0, 65536, (4, 3, 3), np.uint16)
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    expected = np.stack([turned(values[..., c], orientation) for c in range(3)], -1)
    for data in (
        png(values, 16, 2, (b"eXIf", exif.tobytes()[6:])),
        tiff(values, extra=[(274, [orientation])]),
    ):
        np.testing.assert_array_equal(decode_image(data), scaled(expected, 65535))


@pytest.mark.parametrize(
    "exif",
    [
        b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x63\0\0\0\0\0\0\0",  # number 99
        b"II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x02\0\0\0x\0\0\0\0\0\0\0",  # a text
        b"no TIFF header at all",
    ],
)
def test_an_orientation_that_makes_no_sense_is_left_alone(exif):
    plain = encode(SMOOTH, "JPEG")
    data = encode(SMOOTH, "JPEG", exif=b"Exif\0\0" + exif)
    np.testing.assert_array_equal(decode_image(data), decode_image(plain))


def test_damaged_exif_costs_a_warning_not_the_picture():
    data = encode(SMOOTH, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x0f")
    with pytest.warns(UserWarning, match="Corrupt EXIF"):
        image = decode_image(data)
    np.testing.assert_array_equal(image, decode_image(encode(SMOOTH, "JPEG")))


@pytest.mark.parametrize(
    "exif",
    [
        b"II*\0\xff\xff\xff\x0f",  # its table lies behind its end
        b"II*\0\x08\0\0\0\x09\0\x12\x01\x03\0",  # its table is cut short
        b"MM\0*\0\0\0\x08\0\x01\x01\x1a\0\x05\0\0\0\x01\0\0\x99\x99",  # a value is missing
        b"",
        bytes(30),
    ],
)
def test_damaged_exif_with_warnings_as_errors(exif):
    plain = encode(SMOOTH, "JPEG")
    data = encode(SMOOTH, "JPEG", exif=b"Exif\0\0" + exif)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(decode_image(data), decode_image(plain))


# ---- sixteen bits ----

DEEP = RNG.integers(0, 65536, (9, 11), np.uint16)
DEEP_RGB = RNG.integers(0, 65536, (9, 11, 3), np.uint16)
DEEP_RGBA = RNG.integers(0, 65536, (9, 11, 4), np.uint16)


def test_sixteen_bit_gray():
    for data in (
        png(DEEP, 16, 0, filters=[0, 1, 2, 3, 4]),
        png(DEEP, 16, 0, interlaced=True),
        tiff(DEEP, "<", photometric=1),
        tiff(DEEP, ">", photometric=1),
        tiff(65535 - DEEP, "<", photometric=0),
        encode(Image.fromarray(DEEP), "TIFF", compression="tiff_lzw"),
    ):
        np.testing.assert_array_equal(decode_image(data), scaled(DEEP, 65535))


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("filters", [[0], [1, 2, 3, 4]])
def test_sixteen_bit_colour_png_keeps_its_low_bytes(filters, interlaced):
    image = decode_image(png(DEEP_RGB, 16, 2, filters=filters, interlaced=interlaced))
    np.testing.assert_array_equal(image, scaled(DEEP_RGB, 65535))
    gray = decode_image(png(DEEP_RGB, 16, 2, filters=filters), color="gray")
    luma = DEEP_RGB.astype(np.float64) @ [0.299, 0.587, 0.114] / 65535
    np.testing.assert_allclose(gray, luma, rtol=1e-7)


@pytest.mark.parametrize("order", ["<", ">"])
def test_sixteen_bit_colour_tiff(order):
    np.testing.assert_array_equal(decode_image(tiff(DEEP_RGB, order)), scaled(DEEP_RGB, 65535))


def test_sixteen_bit_tiff_through_libtiff(monkeypatch):
    monkeypatch.setattr("PIL.TiffImagePlugin.READ_LIBTIFF", True)
    for order in "<>":
        image = decode_image(tiff(DEEP_RGB, order))
        np.testing.assert_array_equal(image, scaled(DEEP_RGB, 65535))


def over_white(values, alpha, white):
    values, alpha = values / white, (alpha / white).reshape(*alpha.shape, *[1] * (values.ndim - 2))
    return values * alpha + 1 - alpha


def test_sixteen_bit_alpha():
    image = decode_image(png(DEEP_RGBA, 16, 6, filters=[4, 3]))
    expected = over_white(DEEP_RGBA[..., :3], DEEP_RGBA[..., 3], 65535)
    np.testing.assert_allclose(image, expected, atol=1e-7)
    np.testing.assert_allclose(
        decode_image(tiff(DEEP_RGBA, ">", extra=[(338, [2])])), expected, atol=1e-7
    )
    la = DEEP_RGBA[..., :2]
    image = decode_image(png(la, 16, 4, filters=[1, 2, 3, 4], interlaced=True))
    np.testing.assert_allclose(image, over_white(la[..., 0], la[..., 1], 65535), atol=1e-7)


def test_sixteen_bit_colour_key():
    key = struct.pack(">3H", *DEEP_RGB[2, 3].tolist())
    expected = DEEP_RGB.copy()
    expected[2, 3] = 65535
    image = decode_image(png(DEEP_RGB, 16, 2, (b"tRNS", key)))
    np.testing.assert_array_equal(image, scaled(expected, 65535))
    image = decode_image(png(DEEP, 16, 0, (b"tRNS", struct.pack(">H", int(DEEP[1, 1])))))
    assert image[1, 1] == 1
    np.testing.assert_array_equal(image != scaled(DEEP, 65535), DEEP[1, 1] == DEEP)


def test_sixteen_bit_cmyk():
    ink = DEEP_RGBA / 65535
    expected = (1 - ink[..., :3]) * (1 - ink[..., 3:])
    image = decode_image(tiff(DEEP_RGBA, photometric=5))
    np.testing.assert_allclose(image, expected, atol=1e-7)


@pytest.mark.parametrize("libtiff", [False, True])
def test_sixteen_bit_layouts_that_would_lose_bytes_are_refused(monkeypatch, libtiff):
    monkeypatch.setattr("PIL.TiffImagePlugin.READ_LIBTIFF", libtiff)
    for data in (tiff(DEEP_RGB, planes=3), tiff(DEEP_RGBA, extra=[(338, [1])])):
        with pytest.raises(ImageError, match="separate planes or with premultiplied alpha"):
            decode_image(data)


# ---- the other modes ----


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_gray_of_few_bits(depth):
    top = 2**depth - 1
    values = RNG.integers(0, top + 1, (6, 9), np.uint8)
    np.testing.assert_array_equal(decode_image(png(values, depth, 0)), scaled(values, top))
    key = decode_image(png(values, depth, 0, (b"tRNS", struct.pack(">H", 1))))
    expected = scaled(np.where(values == 1, top, values), top)
    np.testing.assert_array_equal(key, expected)


def test_one_bit():
    bits = Image.fromarray(GRAY > 127)
    for kind in ("PNG", "TIFF", "BMP"):
        np.testing.assert_array_equal(decode_image(encode(bits, kind)), GRAY > 127)


def test_alpha_is_laid_over_white():
    rgba = RNG.integers(0, 256, (5, 7, 4), np.uint8)
    rgba[0, 0] = 10, 20, 30, 0
    rgba[0, 1, 3] = 255
    expected = over_white(rgba[..., :3], rgba[..., 3], 255)
    for kind in ("PNG", "TIFF"):
        image = decode_image(encode(rgba, kind))
        np.testing.assert_allclose(image, expected, atol=1e-7)
        assert image[0, 0].tolist() == [1, 1, 1]
        np.testing.assert_array_equal(image[0, 1], scaled(rgba[0, 1, :3]))
    webp = decode_image(encode(rgba, "WEBP", lossless=True, exact=True))
    np.testing.assert_allclose(webp, expected, atol=1e-7)
    la = rgba[..., [0, 3]]
    image = decode_image(encode(la, "PNG"))
    np.testing.assert_allclose(image, over_white(la[..., 0], la[..., 1], 255), atol=1e-7)
    assert image.shape == (5, 7)
    assert decode_image(encode(la, "PNG"), color="rgb").shape == (5, 7, 3)


def test_opaque_alpha_changes_nothing():
    rgba = np.dstack([RGB, np.full(RGB.shape[:2], 255, np.uint8)])
    np.testing.assert_array_equal(decode_image(encode(rgba, "PNG")), scaled(RGB))
    gray = decode_image(encode(rgba, "PNG"), color="gray")
    np.testing.assert_array_equal(gray, decode_image(encode(RGB, "PNG"), color="gray"))


PALETTE = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 99, 199]], np.uint8)


def test_palettes_are_expanded():
    index = RNG.integers(0, 4, (5, 7), np.uint8)
    paletted = Image.fromarray(index, "L").convert("L")
    paletted.putpalette(PALETTE.tobytes())
    for kind in ("PNG", "TIFF", "BMP", "GIF"):
        np.testing.assert_array_equal(decode_image(encode(paletted, kind)), scaled(PALETTE[index]))
    alphas = (b"PLTE", PALETTE.tobytes()), (b"tRNS", bytes([0, 255, 128]))
    image = decode_image(png(index, 2, 3, *alphas))
    alpha = np.array([0, 255, 128, 255])[index]
    np.testing.assert_allclose(image, over_white(PALETTE[index], alpha, 255), atol=1e-7)


def test_a_palette_of_grays_is_gray():
    index = RNG.integers(0, 3, (5, 7), np.uint8)
    grays = np.array([200, 10, 77], np.uint8)
    image = decode_image(png(index, 8, 3, (b"PLTE", np.repeat(grays, 3).tobytes())))
    np.testing.assert_array_equal(image, scaled(grays[index]))


def test_transparent_gif_and_first_frame():
    index = np.array([[0, 1], [2, 3]], np.uint8)
    first = Image.fromarray(index)
    first.putpalette(PALETTE.tobytes())
    second = Image.new("RGB", (2, 2), "white")
    data = encode(first, "GIF", transparency=2, save_all=True, append_images=[second])
    expected = PALETTE[index].copy()
    expected[1, 0] = 255
    np.testing.assert_array_equal(decode_image(data), scaled(expected))


def test_cmyk_jpeg():
    # Pillow writes CMYK JPEGs as Adobe does: inverted, with the Adobe marker.
    for cmyk, rgb in {
        (0, 0, 0, 0): (1, 1, 1),
        (0, 255, 255, 0): (1, 0, 0),
        (9, 8, 7, 255): (0,) * 3,
    }.items():
        data = encode(Image.new("CMYK", (8, 8), cmyk), "JPEG", quality=100)
        np.testing.assert_allclose(decode_image(data)[4, 4], rgb, atol=0.02)
    tiff8 = encode(Image.new("CMYK", (3, 2), (255, 0, 0, 0)), "TIFF")
    assert decode_image(tiff8)[0, 0].tolist() == [0, 1, 1]


def test_float_tiff():
    values = RNG.random((4, 5), np.float32)
    np.testing.assert_array_equal(
        decode_image(tiff(values, photometric=1, sample_format=3)), values
    )
    for bad in (-0.5, 1.5, np.nan, np.inf):
        wrong = values.copy()
        wrong[1, 1] = bad
        with pytest.raises(ImageError, match=r"float pixels run from .* \[0, 1\]"):
            decode_image(tiff(wrong, photometric=1, sample_format=3))


def test_thirty_two_bit_integers_are_refused():
    with pytest.raises(ImageError, match="no agreed white"):
        decode_image(tiff(GRAY.astype(np.int32), photometric=1, sample_format=2))


# ---- what is refused ----


def test_paths(tmp_path):
    with pytest.raises(ImageNotFoundError, match=r"none\.png: there is no such file"):
        read_image(tmp_path / "none.png")
    with pytest.raises(FileNotFoundError):
        read_image(str(tmp_path / "none.png"))
    with pytest.raises(ImageError, match="it is a folder"):
        read_image(tmp_path)
    with pytest.raises(ImageError, match="null byte"):
        read_image("a\0b.png")
    with pytest.raises(DTypeError, match=r"path is bytes.*decode_image"):
        read_image(b"x.png")
    file = tmp_path / "photo.dat"
    file.write_bytes(encode(RGB, "PNG"))
    for path in (file, str(file)):
        np.testing.assert_array_equal(read_image(path), scaled(RGB))
    locked = tmp_path / "file" / "x.png"
    (tmp_path / "file").touch()
    with pytest.raises(ImageError, match="Not a directory"):
        read_image(locked)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (b"hello, I am text\n" * 50, "no JPEG, PNG, WebP, TIFF, BMP, GIF picture"),
        (encode(RGB, "PPM"), "no JPEG, PNG"),
        (encode(RGB, "ICO"), "no JPEG, PNG"),
        (b"%PDF-1.4 ...", "no JPEG, PNG"),
        (b"\xff\xd8\xff", "damaged or unsupported JPEG"),
        (b"\x89PNG\r\n\x1a\n", "damaged or unsupported PNG"),
        (b"II*\0" + bytes(9), "damaged or unsupported TIFF"),
        (b"BM" + bytes(99), "damaged or unsupported BMP"),
        (b"GIF89a", "damaged or unsupported GIF"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "damaged or unsupported WEBP"),
    ],
    ids=range(11),
)
def test_data_that_is_no_picture(tmp_path, data, message):
    file = tmp_path / "photo.jpg"
    file.write_bytes(data)
    with pytest.raises(ImageError, match=rf"photo\.jpg: .*{message}"):
        read_image(file)


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "BMP", "GIF", "WEBP"])
def test_truncated(kind, options):
    noise = RNG.integers(0, 256, (64, 64, 3), np.uint8)
    data = encode(noise, kind, **(options if kind == "JPEG" else {}))
    for keep in (0.999, 0.9, 0.5, 0.1):
        with pytest.raises(ImageError, match=f"cannot read <bytes>: damaged or unsupported {kind}"):
            decode_image(data[: int(len(data) * keep) - 40])


def test_truncated_jpeg_that_lacks_its_last_bytes_only():
    data = encode(SMOOTH, "JPEG")
    for cut in range(1, 40):
        with pytest.raises(ImageError, match=r"Premature end|Corrupt JPEG"):
            decode_image(data[:-cut])


@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_damaged_in_the_middle_where_pillow_is_silent(progressive):
    noise = RNG.integers(0, 256, (64, 64, 3), np.uint8)
    data = encode(noise, "JPEG", quality=95, progressive=progressive)
    scan = data.rindex(b"\xff\xda") + 40
    damaged = data[:scan] + data[scan + 200 :]
    Image.open(io.BytesIO(damaged)).load()
    with pytest.raises(ImageError, match="Corrupt JPEG data"):
        decode_image(damaged)


def jpeg_with_strays(data, places):
    """Insert bytes in front of the markers at `places`, a dict."""
    for at in sorted(places, reverse=True):
        data = data[:at] + places[at] + data[at:]
    return data


@pytest.mark.parametrize("strays", [b"\x5a", b"\x00" * 608, bytes(range(1, 17)) + b"\xff\x00"])
@pytest.mark.parametrize("marker", [b"\xff\xdb", b"\xff\xc4", b"\xff\xc0", b"\xff\xda"])
def test_jpeg_with_strays_between_the_segments_of_its_header(marker, strays):
    good = encode(SMOOTH, "JPEG")
    data = jpeg_with_strays(good, {good.index(marker): strays})
    np.testing.assert_array_equal(decode_image(data), decode_image(good))


@pytest.mark.parametrize("strays", [b"\x5a" * 3, b"\x5a" * 15, b"\x00" * 608])
@pytest.mark.parametrize("marker", [b"\xff\xd0", b"\xff\xd1", b"\xff\xd9"])
def test_jpeg_with_strays_behind_its_pixels(marker, strays):
    noise = RNG.integers(0, 256, (64, 64, 3), np.uint8)
    good = encode(noise, "JPEG", quality=95, restart_marker_rows=1)
    data = jpeg_with_strays(good, {good.rindex(marker): strays})
    np.testing.assert_array_equal(decode_image(data), decode_image(good))


@pytest.mark.parametrize("most", [1, 2, 4, 10])
def test_jpeg_of_a_webcam_with_strays_everywhere(most):
    good = encode(RNG.integers(0, 256, (400, 24), np.uint8), "JPEG", restart_marker_rows=1)
    scan = good.index(b"\xff\xda")
    ends = [
        found.start()
        for found in re.finditer(rb"\xff[\xd0-\xd7\xd9]", good)
        if found.start() > scan
    ]
    assert len(ends) == 50
    data = jpeg_with_strays(
        good,
        {at: RNG.integers(0, 255, RNG.integers(0, most + 1), np.uint8).tobytes() for at in ends},
    )
    np.testing.assert_array_equal(decode_image(data), decode_image(good))


def test_progressive_jpeg_with_padding_between_its_scans():
    good = encode(RNG.integers(0, 256, (64, 64, 3), np.uint8), "JPEG", progressive=True)
    data = jpeg_with_strays(
        good, {good.rindex(marker): bytes(9) for marker in (b"\xff\xda", b"\xff\xd9")}
    )
    np.testing.assert_array_equal(decode_image(data), decode_image(good))


@pytest.mark.parametrize("marker", [b"\xff\xd1", b"\xff\xd9"])
def test_many_bytes_behind_the_pixels_are_damage(marker):
    good = encode(RNG.integers(0, 256, (64, 64), np.uint8), "JPEG", restart_marker_rows=1)
    data = jpeg_with_strays(good, {good.rindex(marker): b"\x5a" * 40})
    with pytest.raises(ImageError, match=r"Corrupt JPEG data: \d\d extraneous bytes before"):
        decode_image(data)


@pytest.mark.parametrize("marker", [b"\xff\xdb", b"\xff\xd1"])
def test_jpeg_with_strays_that_is_damaged_too(marker):
    noise = RNG.integers(0, 256, (64, 64), np.uint8)
    good = encode(noise, "JPEG", quality=95, restart_marker_rows=1)
    data = jpeg_with_strays(good, {good.index(marker): b"\x5a" * 3})
    at = good.rindex(b"\xff\xd4")
    for bad in (data[:-40], data[:at], data[:-300] + b"\xff\xd9", data[:at] + data[at + 300 :]):
        with pytest.raises(ImageError, match=r"JPEG \((Corrupt JPEG data|Premature end)"):
            decode_image(bad)


def test_a_jpeg_made_to_be_slow_is_given_up(monkeypatch):
    good = encode(RNG.integers(0, 256, (400, 24), np.uint8), "JPEG", restart_marker_rows=1)
    data = good
    for marker in (b"\xff\xd6", b"\xff\xd3", b"\xff\xd1"):
        data = jpeg_with_strays(data, {data.rindex(marker): b"\x5a" * 5})
    np.testing.assert_array_equal(decode_image(data), decode_image(good))
    monkeypatch.setattr("attar.jpeg._ATTEMPTS_MAX", 4)
    with pytest.raises(ImageError, match="5 extraneous bytes before marker 0xd"):
        decode_image(data)


def test_png_damaged_in_a_way_that_only_its_checksum_shows():
    good = png(GRAY, 8, 0)
    at = good.index(b"IDAT")
    bad = bytearray(png_stored(GRAY))
    np.testing.assert_array_equal(decode_image(bytes(bad)), scaled(GRAY))
    bad[bad.index(b"IDAT") + 20] ^= 1  # a pixel, in a stream that is stored, not compressed
    with pytest.raises(ImageError, match="checksum of its pixel data"):
        decode_image(bytes(bad))
    with pytest.raises(ImageError, match="checksum"):
        decode_image(good[: at + 4] + b"y" + good[at + 5 :])


def png_stored(values):
    raw = b"".join(b"\0" + row.tobytes() for row in values)
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + png_chunk(b"IDAT", zlib.compress(raw, 0))
        + png_chunk(b"IEND", b"")
    )


def test_decompression_bombs_are_stopped_at_the_header():
    for size in ((60_000, 60_000), (2**31 - 1, 2**31 - 1)):
        bomb = png(GRAY, 8, 2, size=size)
        with pytest.raises(ImageError, match=r"limit is 200,000,000; if you trust.*max_pixels=\d+"):
            decode_image(bomb)
    gif = b"GIF89a" + struct.pack("<HH", 65535, 65535) + b"\x80\0\0" + bytes(6) + b"," + bytes(4)
    gif += struct.pack("<HH", 65535, 65535) + b"\0\x02\x02\x4c\x01\0;"
    with pytest.raises(ImageError, match="65535 × 65535 is 4,294,836,225 pixels"):
        decode_image(gif)
    huge = bytearray(tiff(GRAY, photometric=1))
    for tag in (256, 257):
        at = huge.index(struct.pack("<HHI", tag, 3, 1))
        huge[at + 8 : at + 10] = struct.pack("<H", 65000)
    with pytest.raises(ImageError, match="65000 × 65000"):
        decode_image(bytes(huge))
    vp8x = b"VP8X" + struct.pack("<I", 10) + bytes(4) + b"\xfe\x3f\0\xfe\x3f\0"
    with pytest.raises(ImageError, match="cannot read"):
        decode_image(b"RIFF" + struct.pack("<I", 4 + len(vp8x)) + b"WEBP" + vp8x)


def test_max_pixels():
    data = encode(RGB, "PNG")
    assert decode_image(data, max_pixels=35).shape == (5, 7, 3)
    with pytest.raises(
        ImageError, match=r"^cannot read x: 5 × 7 is 35 pixels and the limit is 34; .*max_pixels=35"
    ):
        decode_image(data, max_pixels=34, name="x")
    for bad in (0, -1, 1.5, None):
        with pytest.raises(ArgumentError, match="max_pixels is"):
            decode_image(data, max_pixels=bad)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "GIF"])
def test_pillows_own_limit_does_not_leak(monkeypatch, kind):
    # Above Pillow's limits, which warn (and warnings are errors here), and below ours.
    data = encode(Image.new("L", (9000, 8000)), kind)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_000_000)
    assert decode_image(data).shape == (8000, 9000)
    assert Image.MAX_IMAGE_PIXELS == 1_000_000


@pytest.mark.parametrize("kind", ["GIF", "WEBP"])
def test_pillows_own_limit_does_not_leak_while_a_header_is_read(monkeypatch, kind):
    frames = [Image.new("L", (200, 100), gray) for gray in (0, 255)]
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:], disposal=2)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5000)
    assert decode_image(data).shape[:2] == (100, 200)


def test_running_out_of_memory_is_not_called_damage(monkeypatch):
    def refuse(*_, **__):
        raise MemoryError

    data = encode(RGB, "JPEG")
    monkeypatch.setattr("simplejpeg.decode_jpeg", refuse)
    with pytest.raises(MemoryError):
        decode_image(data)


# As users run it: with warnings as errors, many a damaged file would be stopped early.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "BMP", "GIF", "WEBP"])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_damage_escapes(kind, data):
    good = encode(SMOOTH[:12, :16], kind)
    bad = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(bad) - 1))
        bad[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(bad)) | st.just(len(bad)))
    try:
        image = decode_image(bytes(bad[:cut]), max_pixels=100_000)
    except ImageError:
        return
    assert image.dtype == np.float32
    assert 0 <= image.min() <= image.max() <= 1


def test_threads_decode_at_once():
    data = [encode(SMOOTH, kind) for kind in ("JPEG", "PNG", "GIF", "WEBP", "TIFF")] * 8
    images = [None] * len(data)

    def work(at):
        images[at] = decode_image(data[at])

    threads = [threading.Thread(target=work, args=(at,)) for at in range(len(data))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for at in range(5, len(data)):
        np.testing.assert_array_equal(images[at], images[at % 5])


def test_importing_it_loads_no_decoder():
    import subprocess

    code = "import sys, attar.images; print('PIL' in sys.modules or 'simplejpeg' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


# ---- writing ----


@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff", ".bmp", ".PNG"])
@pytest.mark.parametrize("values", [GRAY, RGB], ids=["gray", "rgb"])
def test_written_eight_bits_come_back(tmp_path, suffix, values):
    file = tmp_path / f"x{suffix}"
    for array in (values, scaled(values), scaled(values).astype(np.float64), values / 255):
        write_image(file, array)
        np.testing.assert_array_equal(read_image(file), scaled(values))
    write_image(file, values[::-1, ::2])
    np.testing.assert_array_equal(read_image(file), scaled(values[::-1, ::2]))
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_written_shapes(tmp_path):
    write_image(tmp_path / "x.png", GRAY[..., None])
    np.testing.assert_array_equal(read_image(tmp_path / "x.png"), scaled(GRAY))
    write_image(tmp_path / "x.png", [[0.0, 1.0]])
    assert read_image(tmp_path / "x.png").tolist() == [[0, 1]]
    for shape in [(), (3,), (2, 2, 2), (2, 2, 4), (1, 2, 2, 3), (0, 3), (3, 0, 3)]:
        with pytest.raises(ShapeError, match=r"write_image: array has shape \(.*use \(H, W\)"):
            write_image(tmp_path / "y.png", np.zeros(shape))
    assert not (tmp_path / "y.png").exists()


def test_floats_are_rounded_not_cut(tmp_path):
    write_image(tmp_path / "x.png", np.array([[0.4 / 255, 0.6 / 255, 254.6 / 255]], np.float64))
    np.testing.assert_array_equal(read_image(tmp_path / "x.png") * 255, [[0, 1, 255]])
    write_image(tmp_path / "x.png", np.array([[0.5, 1]], np.float16))
    np.testing.assert_array_equal(read_image(tmp_path / "x.png") * 255, [[128, 255]])


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_written_sixteen_bits_come_back(tmp_path, suffix):
    for array in (DEEP, DEEP.astype(">u2"), DEEP[:, ::-1]):
        write_image(tmp_path / f"x{suffix}", array)
        np.testing.assert_array_equal(read_image(tmp_path / f"x{suffix}"), scaled(array, 65535))


def test_gif(tmp_path):
    write_image(tmp_path / "x.gif", GRAY)
    np.testing.assert_array_equal(read_image(tmp_path / "x.gif"), scaled(GRAY))


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".webp"])
def test_quality(tmp_path, suffix):
    noise = RNG.integers(0, 256, (64, 64, 3), np.uint8)
    sizes = []
    for quality in (20, 92):
        write_image(tmp_path / f"x{suffix}", noise, quality=quality)
        sizes.append((tmp_path / f"x{suffix}").stat().st_size)
    assert sizes[0] < 0.6 * sizes[1]
    write_image(tmp_path / f"d{suffix}", noise)
    assert (tmp_path / f"d{suffix}").stat().st_size == sizes[1]
    for quality in (0, 101, 92.5, None):
        with pytest.raises(ArgumentError, match=r"quality is .*1 to 100"):
            write_image(tmp_path / f"x{suffix}", noise, quality=quality)


def test_jpeg_keeps_colour_at_full_resolution(tmp_path):
    stripes = np.zeros((16, 16, 3), np.uint8)
    stripes[:, ::2, 0] = stripes[:, 1::2, 2] = 255
    write_image(tmp_path / "x.jpg", stripes, quality=100)
    assert np.abs(read_image(tmp_path / "x.jpg") - scaled(stripes)).max() < 0.05


@pytest.mark.parametrize("bad", [-0.01, 1.01, np.nan, np.inf])
def test_floats_out_of_range_are_refused(tmp_path, bad):
    array = np.full((3, 3), 0.5)
    array[1, 1] = bad
    with pytest.raises(ArgumentError, match=r"array runs from .* to .*\[0, 1\].*np\.clip"):
        write_image(tmp_path / "x.png", array)
    assert list(tmp_path.iterdir()) == []


def test_dtypes_that_are_refused(tmp_path):
    for dtype in (np.int64, np.uint32, bool, np.complex64, object):
        with pytest.raises(DTypeError, match=r"use floats in .*uint8, or uint16"):
            write_image(tmp_path / "x.png", np.zeros((2, 2), dtype))
    for name, array in {"x.jpg": DEEP, "x.webp": DEEP, "x.png": DEEP_RGB}.items():
        with pytest.raises(DTypeError, match=r"uint16 of shape .*PNG or TIFF"):
            write_image(tmp_path / name, array)


def test_places_that_are_refused(tmp_path):
    for name in ("x.ppm", "x", "x.png.txt"):
        with pytest.raises(ArgumentError, match=rf"'{name}' has no suffix .*\.jpg .*\.gif"):
            write_image(tmp_path / name, GRAY)
    with pytest.raises(ArgumentError, match=r"the folder .*none does not exist"):
        write_image(tmp_path / "none" / "x.png", GRAY)
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(ArgumentError, match=r"it is a folder"):
        write_image(tmp_path / "folder.png", GRAY)
    with pytest.raises(ImageError, match=r"cannot write .*x\.webp as WEBP: "):
        write_image(tmp_path / "x.webp", np.zeros((1, 20_000), np.uint8))
    assert [path.name for path in tmp_path.iterdir()] == ["folder.png"]


def test_a_failed_write_leaves_the_old_picture(tmp_path, monkeypatch):
    file = tmp_path / "x.png"
    write_image(file, GRAY)

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ImageFile, "_save", fail)
    monkeypatch.setattr("PIL.PngImagePlugin.ImageFile._save", fail)
    with pytest.raises(ImageError, match="No space left on device"):
        write_image(file, RGB)
    np.testing.assert_array_equal(read_image(file), scaled(GRAY))
    assert list(tmp_path.iterdir()) == [file]


# ---- atomic_path ----


def test_atomic_path(tmp_path):
    file = tmp_path / "report.html"
    with atomic_path(file, fsync=True) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".html"
        temporary.write_text("one")
        assert not file.exists()
    assert file.read_text() == "one"
    assert file.stat().st_mode & 0o777 == 0o666 & ~umask()

    with pytest.raises(RuntimeError), atomic_path(file) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise RuntimeError
    with pytest.raises(KeyboardInterrupt), atomic_path(file) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise KeyboardInterrupt
    with pytest.raises(Exception, match=r"report\.html: nothing was written"), atomic_path(file):
        pass
    assert file.read_text() == "one"
    assert list(tmp_path.iterdir()) == [file]


def umask():
    import os

    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_atomic_path_writes_through_a_link_and_bears_long_names(tmp_path):
    file, link = tmp_path / "file.txt", tmp_path / "link.txt"
    file.write_text("old")
    link.symlink_to(file)
    with atomic_path(link) as temporary:
        temporary.write_text("new")
    assert link.is_symlink()
    assert file.read_text() == "new"
    with atomic_path(tmp_path / ("n" * 251 + ".txt")) as temporary:
        temporary.touch()


# ---- list_images ----


def test_list_images(tmp_path):
    for name in ["b.png", "a.JPG", "deep/er/c.webp", ".hidden.png", ".git/d.png", "notes.txt"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    expected = [tmp_path / name for name in ("a.JPG", "b.png", "deep/er/c.webp")]
    assert (
        list_images(tmp_path) == list_images(str(tmp_path)) == list_images([tmp_path]) == expected
    )

    notes = tmp_path / "notes.txt"
    assert list_images([notes, str(expected[1]), tmp_path]) == [
        notes,
        expected[1],
        expected[0],
        expected[2],
    ]
    assert list_images([tmp_path / "deep" / ".." / "b.png", tmp_path])[1:] == [
        expected[0],
        expected[2],
    ]
    assert list_images([]) == []
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageNotFoundError, match=r"no picture in the folder .*empty: .*\.jpg"):
        list_images([expected[0], tmp_path / "empty"])
    with pytest.raises(ImageNotFoundError, match=r"no picture at .*none\.png: there is no such"):
        list_images([tmp_path / "none.png"])
    assert all(isinstance(path, Path) for path in list_images([str(notes)]))


def test_list_images_is_sorted(tmp_path):
    names = [f"{number:02}.png" for number in range(40)]
    for name in RNG.permutation(names):
        (tmp_path / str(name)).touch()
    assert [file.name for file in list_images(tmp_path)] == names


def test_the_example_photograph():
    file = Path(__file__).parent.parent / "examples" / "coffee.jpg"
    assert read_image(file).shape == (400, 600, 3)
    assert file.stat().st_size < 200_000


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_jpeg_that_is_wanted_smaller(tmp_path, orientation):
    rng = np.random.default_rng(orientation)
    small = rng.random((20, 30, 3)).astype(np.float32)
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = Image.fromarray((255 * small).astype(np.uint8)).resize((480, 320), Image.BICUBIC)
    picture.save(tmp_path / "x.jpg", quality=95, exif=exif)
    data = (tmp_path / "x.jpg").read_bytes()
    whole = decode_image(data)
    half = tuple(side // 2 for side in whole.shape[:2])
    # No more than twice what is asked for, and what area averaging gives but for rounding.
    for factor, scale in ((1, 1), (1.9, 1), (2, 2), (4, 4), (7.9, 7), (8, 8), (50, 8)):
        asked = tuple(int(side / factor) for side in whole.shape[:2])
        found = decode_image(data, at_least=asked)
        assert all(side >= least for side, least in zip(found.shape[:2], asked, strict=True))
        assert (found.shape == whole.shape) == (scale == 1)
    found = decode_image(data, at_least=half)
    assert found.shape[:2] == half
    averaged = whole.reshape(half[0], 2, half[1], 2, 3).mean(axis=(1, 3))
    assert np.abs(found - averaged).mean() < 0.01

"""Attacks with files: too large, too slow, cut short, lying about themselves."""

import asyncio
import io
import json
import socket
import struct
import time
import types
import zlib

import numpy as np
import pytest

import attar
from attar.errors import ArgumentError, ImageError
from attar.explorer import uploads
from attar.explorer.app import State
from attar.explorer.pictures import MOST_BYTES, MOST_PIXELS, Pictures
from attar.explorer.server import Server
from tests.wire import post


@pytest.fixture
def server():
    with Server(State(), port=0) as server:
        yield server


def lines(server, *more):
    return [
        "POST /pictures HTTP/1.1",
        f"Host: 127.0.0.1:{server.port}",
        f"Origin: {server.origin}",
        f"X-Attar-Token: {server.token}",
        *more,
    ]


def send(server, *headers, pieces=(), cut=False):
    """Send a request piece by piece; return what the server says of it."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall("\r\n".join([*lines(server, *headers), "", ""]).encode())
        for piece in pieces:
            connection.sendall(piece)
        if cut:
            connection.shutdown(socket.SHUT_WR)
        found = b""
        while not found.endswith(b"}") and (piece := connection.recv(1 << 16)):
            found += piece
    return found.decode()


def bomb(height, width):
    """A PNG of a few bytes that says it has so many pixels, all of them 0."""

    def chunk(kind, data):
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    rows = zlib.compressobj(9)
    data = b"".join(rows.compress(bytes(1 + width)) for _ in range(height)) + rows.flush()
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = chunk(b"IHDR", head), chunk(b"IDAT", data), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def png(pixels):
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def test_a_picture_is_taken_and_is_what_was_sent(server):
    pixels = np.random.default_rng(0).integers(0, 256, (7, 5, 3), dtype=np.uint8)
    status, text, _ = post(server, body=png(pixels), **{"X-File-Name": "my%20dog.png"})
    facts = json.loads(text)
    assert status == 200
    assert facts == facts | {"name": "my dog.png", "height": 7, "width": 5, "color": True}
    found = server.state.pictures[facts["image"]].pixels
    assert np.array_equal(found, pixels.astype(np.float32) / np.float32(255))


def test_a_length_that_is_too_large_is_refused_before_a_byte_is_read(server):
    found = send(server, f"Content-Length: {MOST_BYTES + 1}")
    assert found.startswith("HTTP/1.1 413")
    assert "larger than 64 MiB" in found


def test_chunks_of_no_declared_length_are_counted(server):
    piece = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
    found = send(server, "Transfer-Encoding: chunked", pieces=[*[piece] * 80, b"0\r\n\r\n"])
    assert found.startswith("HTTP/1.1 413")


def test_a_length_that_is_a_lie_is_found_out(server, caplog):
    found = send(server, "Content-Length: 1000", pieces=[b"short"], cut=True)
    assert "200" not in found.partition("\r\n")[0]
    found = send(server, "Content-Length: 2", pieces=[png(np.zeros((2, 2), np.uint8))])
    assert found.startswith("HTTP/1.1 400")
    for wrong in ("-1", "1e9", "0x10", "5, 6"):
        assert send(server, f"Content-Length: {wrong}").startswith("HTTP/1.1 400")
    two = ("Content-Length: 5", "Content-Length: 6")
    assert send(server, *two, pieces=[b"12345"]).startswith("HTTP/1.1 400")
    both = ("Content-Length: 5", "Transfer-Encoding: chunked")
    assert "200" not in send(server, *both, pieces=[b"0\r\n\r\n"]).partition("\r\n")[0]
    assert not caplog.records  # somebody who goes away is no fault


def test_a_body_that_stops_coming_is_let_go_and_keeps_nobody_waiting(server, monkeypatch):
    monkeypatch.setattr(uploads, "_PATIENCE", 0.3)
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as slow:
        slow.sendall("\r\n".join([*lines(server, "Content-Length: 1000"), "", "x"]).encode())
        assert post(server, body=png(np.zeros((2, 2), np.uint8)))[0] == 200
        assert slow.recv(1 << 16).startswith(b"HTTP/1.1 408")


def test_a_server_stops_though_a_body_is_still_coming():
    server = Server(State(), port=0).start()
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as slow:
        slow.sendall("\r\n".join([*lines(server, "Content-Length: 1000"), "", "x"]).encode())
        assert post(server)[0] == 400  # it runs, and has read the other by now
        began = time.perf_counter()
        server.stop()
        assert time.perf_counter() - began < 2.0


def test_a_bomb_is_refused_before_it_goes_off(server):
    small = bomb(1, 1)
    assert post(server, body=small)[0] == 200
    header = struct.pack(">II", 80_000, 80_000)
    lying = small.replace(struct.pack(">II", 1, 1), header)
    fixed = lying[:29] + struct.pack(">I", zlib.crc32(lying[12:29])) + lying[33:]
    began = time.perf_counter()
    status, text, _ = post(server, body=fixed)
    assert time.perf_counter() - began < 2
    assert status == 400
    assert f"{MOST_PIXELS:,}" in text or str(MOST_PIXELS) in text
    real = bomb(9000, 9000)
    assert len(real) < 200_000
    assert post(server, body=real)[0] == 400


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff",
        b"%PDF-1.7",
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        b"PK\x03\x04",
        b"GIF89a" + bytes(100),
    ],
)
def test_what_is_no_picture_is_refused_in_words(server, body, caplog):
    status, text, _ = post(server, body=body, **{"X-File-Name": "odd.png"})
    assert status == 400
    assert "odd.png" in json.loads(text)["error"]
    assert not caplog.records


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("/etc/passwd", "passwd"),
        ("..%2F..%2Fsecret.png", "secret.png"),
        ("C:%5CUsers%5Cme%5Cdog.png", "dog.png"),
        ("a%00b%0d%0aX: y.png", "abX: y.png"),
        ("%E2%80%AEgnp.exe", "gnp.exe"),
        ("%FF%FE.png", "��.png"),
        ("%E7%8B%97.png", "狗.png"),
        ("x" * 500, "x" * 100),
        ("", "picture"),
        ("..", ".."),
    ],
)
def test_a_name_is_shown_and_never_opened(server, sent, shown):
    body = png(np.zeros((2, 2), np.uint8))
    status, text, _ = post(server, body=body, **{"X-File-Name": sent.encode("latin-1")})
    assert status == 200
    assert json.loads(text)["name"] == shown


def test_no_key_of_a_picture_is_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    attar.write_image("here.png", np.zeros((2, 2), np.float32))
    pictures = Pictures()
    for key in ("here.png", str(tmp_path / "here.png"), "./here.png", "file:here.png", "../x", ""):
        with pytest.raises(ArgumentError, match="is not open"):
            pictures[key]


def test_pictures_are_forgotten_when_there_are_many_but_not_those_of_the_beginning():
    pictures = Pictures(kept_bytes=5 * 400)
    first = pictures.add(np.full((10, 10), 0.5, np.float32), "first", stays=True)
    keys = [pictures.add(np.full((10, 10), i / 20, np.float32), f"{i}").key for i in range(9)]
    with pytest.raises(ArgumentError, match="not open"):
        pictures[keys[0]]
    assert [pictures[key].name for key in keys[-5:]] == ["4", "5", "6", "7", "8"]
    assert pictures[first.key].name == "first"
    assert pictures.names() == {first.key: "first"}


def test_a_body_is_read_whole_and_no_further_than_is_taken():
    read = []

    class Request:
        headers = types.MappingProxyType({})

        async def stream(self):
            for piece in (b"abc", b"", b"def", b"ghi", b"jkl"):
                read.append(piece)
                yield piece

    assert asyncio.run(uploads.read_body(Request(), 12, "x")) == b"abcdefghijkl"
    read.clear()
    with pytest.raises(uploads.TooLargeError):
        asyncio.run(uploads.read_body(Request(), 8, "x"))
    assert read == [b"abc", b"", b"def", b"ghi"]


def test_pictures_that_pillow_would_refuse_raise_errors_of_ours():
    with pytest.raises(ImageError):
        Pictures().decode(b"no picture", "x")

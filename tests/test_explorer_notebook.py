"""The explorer from Python, and in the frame of a notebook."""

import html
import http.server
import re
import socket
import threading
import urllib.parse
import urllib.request

import numpy as np
import pytest

import attar
from attar.errors import ArgumentError, DTypeError, ImageError, ShapeError
from attar.explorer.models import Models
from attar.explorer.notebook import state_of
from tests.wire import Page

PHOTO = "examples/coffee.jpg"


def fields(page):
    """What the address of a page says."""
    parts = urllib.parse.urlsplit(page.address)
    return parts.path[1:], dict(urllib.parse.parse_qsl(parts.query))


def seen(image):
    """The picture that a page begins with."""
    state = state_of(image, None)
    return state.pictures[state.opening["image"]].pixels


def test_it_serves_a_page_until_it_is_stopped():
    page = attar.explore(PHOTO, lang="zh", room="invariance")
    room, chosen = fields(page)
    assert (room, chosen["lang"]) == ("invariance", "zh")
    address = page.address.partition("#")[0]
    with urllib.request.urlopen(address, timeout=10) as answer:
        assert answer.status == 200
    with Page(page._server) as talk:
        assert talk.hello["names"] == {chosen["image"]: "coffee.jpg"}
        assert talk.hello["opening"] == {"image": chosen["image"]}
    page.stop()
    port = urllib.parse.urlsplit(page.address).port
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
    page.stop()


def test_without_an_image_it_begins_with_the_page_s_own():
    with attar.explore() as page:
        assert fields(page) == ("extract", {})
        assert repr(page) == f"<Explorer {page.address}>"


def test_the_frame_shows_the_address_and_nothing_that_is_no_address():
    with attar.explore(np.eye(4, dtype="float32")) as page:
        frame = page._repr_html_()
    sources = re.findall(r'(?:src|href)="([^"]*)"', frame)
    assert [html.unescape(each) for each in sources] == [page.address, page.address]
    assert 'allow="camera' in frame


def test_a_frame_shows_the_page_on_a_notebook_s_page_and_on_no_other(chromium):
    with attar.explore(np.eye(8, dtype="float32")) as page:
        shown, refused = _framed(chromium, page, "localhost"), _framed(chromium, page, "127.0.0.2")
    assert shown
    assert not refused


def _framed(chromium, page, host):
    """Whether the frame shows the page where a notebook is at `host`."""

    class Notebook(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(page._repr_html_().encode())

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer((host, 0), Notebook) as notebook:
        threading.Thread(target=notebook.serve_forever, daemon=True).start()
        context = chromium.new_context()
        tab = context.new_page()
        tab.goto(f"http://{host}:{notebook.server_port}/")
        # A frame that is refused shows a page of the browser's own, which is there at once, too.
        tab.frames[1].wait_for_load_state()
        shown = tab.frames[1].url.startswith(page.address.partition("?")[0])
        if shown:
            tab.frame_locator("iframe").locator("header nav a").first.wait_for()
        context.close()
        notebook.shutdown()
    return shown


# ---------------------------------------------------------------- pictures


def test_pixels_are_taken_as_extract_takes_them():
    rng = np.random.default_rng(0)
    gray = rng.random((5, 4)).astype(np.float32)
    assert np.array_equal(seen(gray), gray)
    assert np.array_equal(seen(gray[..., None]), gray)
    color = rng.random((5, 4, 3))
    assert np.array_equal(seen(color), color.astype(np.float32))
    assert seen(color).dtype == np.float32
    whole = rng.integers(0, 256, (5, 4, 3), dtype=np.uint8)
    assert np.array_equal(seen(whole), whole.astype(np.float32) / np.float32(255))
    deep = rng.integers(0, 65536, (5, 4), dtype=np.uint16)
    assert np.array_equal(seen(deep), deep.astype(np.float32) / np.float32(65535))
    assert np.array_equal(seen([[0.0, 1.0]]), np.array([[0, 1]], np.float32))
    assert np.array_equal(seen(gray.astype(">f4")[::-1, ::2]), gray[::-1, ::2])


def test_pixels_stay_the_caller_s():
    mine = np.zeros((4, 4), np.float32)
    theirs = seen(mine)
    mine[0, 0] = 1
    assert theirs[0, 0] == 0
    assert mine.flags.writeable


@pytest.mark.parametrize(
    ("image", "error", "says"),
    [
        (np.zeros((2, 2), int), DTypeError, "dtype int64; accepted are floats"),
        (np.zeros((2, 2), complex), DTypeError, "dtype complex128"),
        (np.zeros((2, 2, 4), np.float32), ShapeError, r"shape \(2, 2, 4\); accepted are \(H, W\)"),
        (np.zeros((1, 2, 2, 3), np.float32), ShapeError, r"shape \(1, 2, 2, 3\)"),
        (np.zeros((0, 2), np.float32), ShapeError, r"shape \(0, 2\)"),
        (np.zeros(3, np.float32), ShapeError, r"shape \(3,\)"),
        (np.full((2, 2), np.nan, np.float32), ArgumentError, "NaN or infinity"),
        ("nothing.png", ImageError, "nothing.png"),
    ],
)
def test_what_is_no_picture_is_refused(image, error, says):
    with pytest.raises(error, match=says):
        attar.explore(image)


def test_rooms_and_languages_that_are_not_there_are_refused():
    with pytest.raises(ArgumentError, match=r"room is 'attic'; accepted are extract, invariance"):
        attar.explore(room="attic")
    with pytest.raises(ArgumentError, match=r"lang is 'fr'; accepted are en, zh"):
        attar.explore(lang="fr")


def test_a_model_is_opened_by_its_path_or_taken_as_it_is(monkeypatch):
    taken = []
    monkeypatch.setattr(Models, "of", classmethod(lambda cls, model: taken.append(model) or cls()))
    model = object()
    with attar.explore(model=model) as page:
        assert fields(page)[0] == "model"
    assert taken == [model]


# ---------------------------------------------------------------- extractions


def test_an_extraction_brings_its_options_along():
    image = np.random.default_rng(0).random((9, 8)).astype(np.float32)
    found = attar.extract(
        image,
        "sharpen" if "sharpen" in attar.kernels else "edge",
        bias=-0.25,
        conv_stride=2,
        conv_padding="valid",
        activation="none",
        pool="average",
        pool_size=3,
        pool_stride=1,
    )
    with attar.explore(found) as page:
        room, chosen = fields(page)
    image_key = chosen.pop("image")
    assert len(image_key) == 16
    assert room == "extract"
    assert chosen == {
        "kernel": found.spec.kernel,
        "bias": "-0.25",
        "conv_stride": "2",
        "conv_padding": "valid",
        "activation": "none",
        "pool": "average",
        "pool_size": "3",
        "pool_stride": "1",
        "pool_padding": "same",
    }


def test_a_kernel_of_numbers_goes_along_to_the_last_digit():
    kernel = np.array([[1 / 3, -2e-7, 5]], np.float32)
    found = attar.extract(np.eye(4, dtype=np.float32), kernel)
    text = state_of(found, None).opening["kernel"]
    read = np.array(
        [[float(cell) for cell in row.split(",")] for row in text.split(";")], np.float32
    )
    assert np.array_equal(read, kernel)


def test_what_the_page_has_no_knob_for_is_left_out():
    image = np.random.default_rng(0).random((30, 30)).astype(np.float32)
    found = attar.extract(
        image, np.ones((12, 3), np.float32), pool_size=(2, 1), conv_padding=((1, 0), (0, 1))
    )
    opening = state_of(found, None).opening
    assert set(opening) == {"image", "activation", "pool", "conv_stride", "pool_padding"}


def test_explore_is_a_name_of_the_front_door():
    assert "explore" in attar.__all__
    assert "explore" in dir(attar)


def test_a_model_that_is_here_and_one_in_a_file_run_beside_the_page(tmp_path):
    model = attar.Sequential(
        [
            attar.layers.Input((16, 16, 1)),
            attar.layers.Conv2D(2, 3, activation="relu", name="conv"),
            attar.layers.MaxPool2D(name="pool"),
        ]
    )
    model.save(tmp_path / "net.safetensors")
    image = np.random.default_rng(0).random((16, 16)).astype(np.float32)
    for given in (model, tmp_path / "net.safetensors", str(tmp_path / "net.safetensors")):
        with attar.explore(image, model=given) as page, Page(page._server) as talk:
            assert [each["model"] for each in talk.ask(1, "model.list")["fields"]["models"]] == [
                "given",
                "demo",
            ]
            answer = {"progress": True}
            talk.say({"id": 2, "ask": "model.run", "model": "given", **fields(page)[1]})
            while "progress" in answer:
                answer = talk.hear(60)
            assert "error" not in answer
            assert [each["name"] for each in answer["fields"]["layers"]][-2:] == ["conv", "pool"]

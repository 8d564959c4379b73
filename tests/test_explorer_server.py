"""The server: where it listens, how it ends, what it leaves behind."""

import http.client
import importlib.resources
import re
import socket
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import attar.explorer.app
from attar.errors import ArgumentError
from attar.explorer.answers import Reply
from attar.explorer.app import State
from attar.explorer.models import Models
from attar.explorer.server import DEFAULT_PORT, Server
from tests.wire import Page, ask, post


def settled(before, seconds=3.0):
    """Whether the threads that there are now were there before, or are soon gone."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not {*threading.enumerate()} - before:
            return True
        time.sleep(0.02)
    return False


# ---------------------------------------------------------------- where


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "example.org", "", "127.0.0.1 "])
def test_other_machines_are_let_in_only_where_that_is_said(host):
    with pytest.raises(ArgumentError, match=r"other machines may reach.*--allow-remote"):
        Server(State(), host=host, port=0)


@pytest.mark.parametrize(
    ("host", "origin"),
    [("127.0.0.1", "http://127.0.0.1"), ("localhost", "http://127.0.0.1"), ("::1", "http://[::1]")],
)
def test_it_listens_on_this_machine_alone(host, origin):
    with Server(State(), host=host, port=0) as server:
        assert server.origin == f"{origin}:{server.port}"
        assert not server.is_remote
        address = ("::1" if host == "::1" else "127.0.0.1", server.port)
        with socket.create_connection(address, timeout=5) as connection:
            assert connection.getpeername()[0] in ("127.0.0.1", "::1")
        for other in _own_addresses():
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((other, server.port), timeout=1)


def _own_addresses():
    """Addresses of this machine that others reach it by."""
    found = {each[4][0] for each in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    return {each for each in found if not each.startswith("127.")}


def test_it_says_what_it_is_when_others_are_let_in():
    with Server(State(), host="0.0.0.0", port=0, allow_remote=True) as server:
        assert server.is_remote
        assert server.origin == f"http://127.0.0.1:{server.port}"
        name = socket.gethostname()
        assert ask(server, Host=f"{name}:{server.port}")[0] == 200
        assert ask(server, Host="evil.example")[0] == 403
        assert post(server, **{"X-Attar-Token": None})[0] == 403


def test_allow_remote_changes_nothing_on_the_loopback():
    with Server(State(), port=0, allow_remote=True) as server:
        assert not server.is_remote
        assert ask(server, Host="192.168.1.7")[0] == 403


@pytest.mark.parametrize("port", [-1, 65536, 1 << 40])
def test_a_port_that_is_none_is_refused(port):
    with pytest.raises(ArgumentError, match=rf"port is {port}; accepted are 0 to 65535"):
        Server(State(), port=port)


def test_a_port_that_is_taken_is_refused_where_it_was_named():
    with (
        Server(State(), port=0) as first,
        pytest.raises(ArgumentError, match=rf"port {first.port}: Address already in use"),
    ):
        Server(State(), port=first.port)


def test_the_next_free_port_is_taken_where_none_was_named():
    with Server(State()) as first, Server(State()) as second:
        assert DEFAULT_PORT <= first.port < second.port < DEFAULT_PORT + 20
        assert first.token != second.token
        assert post(second, **{"X-Attar-Token": first.token})[0] == 403


def test_the_address_carries_room_state_and_token():
    with Server(State(), port=0) as server:
        address = server.address("model", {"image": "a b&c=狗", "lang": "zh"})
    origin, _, rest = address.partition("/model?")
    assert origin == server.origin
    assert rest == f"image=a+b%26c%3D%E7%8B%97&lang=zh#token={server.token}"


# ---------------------------------------------------------------- how it ends


def test_it_stops_at_once_and_leaves_no_thread_and_no_port(caplog):
    before = {*threading.enumerate()}
    server = Server(State(), port=0).start()
    with Page(server) as page, Page(server) as other:
        question = {"image": "coffee", "kernel": "edge", "view": {"height": 8, "width": 8}}
        assert "fields" in page.ask(1, "extract.maps", **question)
        assert post(server)[0] == 400
        assert ask(server, path="/colours.json")[0] == 200
        began = time.perf_counter()
        server.stop()
        assert time.perf_counter() - began < 2
        for each in (page, other):
            with pytest.raises(Exception, match="1012"):  # it restarts, says WebSocket
                each.hear()
    assert settled(before)
    Server(State(), port=server.port)._listener.close()
    assert not caplog.records


def test_it_stops_though_an_answer_is_not_done(monkeypatch):
    go, begun = threading.Event(), threading.Event()

    def stubborn(asked, context):
        begun.set()
        go.wait(20)
        context.progress(1, 2, "still there")
        return Reply({"done": np.float64(1)})

    monkeypatch.setattr(attar.explorer.app, "ANSWERS", {"desk.stubborn": stubborn})
    before = {*threading.enumerate()}
    server = Server(State(), port=0).start()
    with Page(server) as page:
        page.say({"id": 1, "ask": "desk.stubborn"})
        assert begun.wait(10)
        began = time.perf_counter()
        server.stop()
        assert time.perf_counter() - began < 2
    go.set()
    assert settled(before)


def test_it_stops_though_a_page_does_not_say_good_bye():
    server = Server(State(), port=0).start()
    idle = socket.create_connection(("127.0.0.1", server.port))
    half = socket.create_connection(("127.0.0.1", server.port))
    half.sendall(b"GET / HT")
    with idle, half, Page(server):
        began = time.perf_counter()
        server.stop()
        assert time.perf_counter() - began < 2


def test_it_may_be_stopped_twice_before_it_ran_and_without():
    server = Server(State(), port=0)
    server.stop()
    server.stop()
    server = Server(State(), port=0).start()
    server.stop()
    server.stop()


def test_it_ends_the_process_of_the_models():
    closed = []

    class Closing(Models):
        def close(self):
            closed.append(threading.current_thread())

    with Server(State(models=Closing()), port=0) as server:
        assert ask(server)[0] == 200
        assert not closed
    assert closed


def test_two_pages_have_answers_of_their_own_and_share_pictures():
    pixels = np.full((4, 4), 0.5, np.float32)
    with Server(State(), port=0) as server, Page(server) as one, Page(server) as two:
        key = server.state.pictures.add(pixels, "gray").key
        usual = {"kernel": "edge", "view": {"height": 8, "width": 8}}
        for page, image, size in ((one, "circle", 64), (two, key, 4), (one, key, 4)):
            facts = page.ask(1, "extract.maps", image=image, **usual)["fields"]
            assert facts["maps"]["image"]["size"] == [size, size]


# ---------------------------------------------------------------- the files of the page


def test_the_files_of_the_page_are_installed():
    installed = Path(str(importlib.resources.files("attar") / "explorer" / "static"))
    source = Path(__file__).parent.parent / "src" / "attar" / "explorer" / "static"
    expected = {file.relative_to(source) for file in source.rglob("*") if file.is_file()}
    found = {file.relative_to(installed) for file in installed.rglob("*") if file.is_file()}
    assert found == expected
    assert {".js", ".css", ".html", ".svg", ".jpg"} <= {file.suffix for file in expected}
    for file in expected:
        assert (installed / file).read_bytes() == (source / file).read_bytes()


def test_every_file_that_a_file_names_is_there():
    static = attar.explorer.app.STATIC
    named = re.compile(r"""(?:from|import) "(\.[^"]+)"|import\("(\.[^"]+)"\)""")
    for script in static.rglob("*.js"):
        for found in named.findall(script.read_text(encoding="utf-8")):
            name = "".join(found)
            assert (script.parent / name).is_file(), f"{script.name}: {name}"
    page = (static / "index.html").read_text(encoding="utf-8")
    names = re.findall(r'(?:href|src)="/static/([^"]+)"', page)
    assert len(names) > 5
    for name in names:
        assert (static / name).is_file(), name


@pytest.fixture
def connection():
    with Server(State(), port=0) as server:
        one = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        yield one
        one.close()


def asked(connection, path, **headers):
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    return answer, answer.read()


def test_a_file_is_sent_whole_and_not_again_to_who_has_it(connection):
    file = attar.explorer.app.STATIC / "app.js"
    answer, data = asked(connection, "/static/app.js")
    assert (answer.status, data) == (200, file.read_bytes())
    assert answer.headers.get_content_type() == "text/javascript"
    again, data = asked(connection, "/static/app.js", **{"If-None-Match": answer.headers["ETag"]})
    assert (again.status, data) == (304, b"")
    assert asked(connection, "/static/none.js")[0].status == 404


def test_no_answer_waits_for_the_browser_to_acknowledge_its_header(connection):
    times = []
    for _ in range(20):
        begun = time.perf_counter()
        asked(connection, "/static/app.js")
        times.append(time.perf_counter() - begun)
    # Where small packets are held back, nearly all take 40 ms.
    assert sorted(times)[5] < 0.03


def test_the_page_names_no_other_site():
    allowed = {"http://www.w3.org/2000/svg"}
    for file in attar.explorer.app.STATIC.rglob("*"):
        if file.suffix in (".js", ".css", ".html", ".svg"):
            text = file.read_text(encoding="utf-8")
            assert set(re.findall(r"https?://[^\s\"'`)>]+", text)) <= allowed, file.name

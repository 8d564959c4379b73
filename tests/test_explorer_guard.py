"""Attacks on the door of the explorer: by other pages, other names, other programs."""

import socket
from pathlib import Path

import numpy as np
import pytest
from websockets.exceptions import InvalidHandshake

from attar.explorer.app import STATIC, State
from attar.explorer.guard import Guard, Keys
from attar.explorer.notebook import state_of
from attar.explorer.server import Server
from tests.wire import ask, handshake, post, raw, talk

EVIL = "http://evil.example"
LINK = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
FRAME = {**LINK, "Sec-Fetch-Dest": "iframe"}


@pytest.fixture(scope="module")
def server():
    with Server(State(), port=0) as server:
        yield server


# ---------------------------------------------------------------- what is let in


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LocalHost", "[::1]"])
def test_its_own_names_are_let_in(server, name):
    host = f"{name}:{server.port}"
    assert ask(server, Host=host)[0] == 200
    origin = f"http://{host.lower()}"
    status, text, _ = post(server, Host=host, Origin=origin)
    assert (status, "error" in text) == (400, True)  # it was read, and is no picture
    assert b"hello" in talk(server)


def test_a_port_that_is_forwarded_may_be_another(server):
    assert post(server, Host="localhost:9999", Origin="http://localhost:9999")[0] == 400


# ---------------------------------------------------------------- Host: DNS rebinding

STRANGERS = [
    "evil.example",
    "evil.example:{port}",
    "127.0.0.1.evil.example:{port}",
    "localhost.:{port}",
    "localhost.evil.example",
    "127.0.0.1:{port}@evil.example",
    "evil.example#127.0.0.1:{port}",
    "127.0.0.1:{port}:{port}",
    "127.0.0.1:port",
    "127.0.0.1:²",
    "127.1:{port}",
    "0.0.0.0:{port}",
    "2130706433:{port}",
    "[::ffff:127.0.0.1]:{port}",
    "[::1:{port}",
    "::1",
    "192.168.1.7:{port}",
    "",
]


@pytest.mark.parametrize("stranger", STRANGERS)
def test_another_host_is_refused(server, stranger):
    host = stranger.format(port=server.port).encode("latin-1")
    status, text, _ = ask(server, Host=host)
    assert status in (400, 403)
    assert text.startswith(("attar: refused", "Invalid HTTP"))
    status, text, _ = post(server, Host=host, Origin=b"http://" + host)
    assert status in (400, 403)
    assert text.startswith(("attar: refused", "Invalid HTTP"))


@pytest.mark.parametrize("stranger", ["evil.example", "127.0.0.1.evil.example:{port}"])
def test_another_host_gets_no_socket_with_an_origin_that_fits_and_the_token(server, stranger):
    host = stranger.format(port=server.port)
    answer = raw(server, *handshake(server, host=host, origin=f"http://{host}"))
    assert answer.startswith("HTTP/1.1 403")


def test_two_hosts_or_none_are_refused(server):
    ours = f"127.0.0.1:{server.port}"
    for hosts in ([ours, "evil.example"], ["evil.example", ours], [ours, ours], [None]):
        assert ask(server, Host=hosts)[0] in (400, 403)
    assert "<script" not in raw(server, "GET / HTTP/1.0")


def test_the_absolute_form_leads_nowhere(server):
    answer = raw(server, "GET http://evil.example/ HTTP/1.1", f"Host: 127.0.0.1:{server.port}")
    assert answer.startswith("HTTP/1.1 404")
    answer = raw(server, f"GET {server.origin}/ HTTP/1.1", "Host: evil.example")
    assert answer.startswith("HTTP/1.1 403")


def test_headers_of_proxies_change_nothing(server):
    forged = {"X-Forwarded-Host": "127.0.0.1", "X-Forwarded-Proto": "https", "Forwarded": "host=x"}
    assert ask(server, Host="evil.example", **forged)[0] == 403
    # Were the scheme taken from there, the page's own Origin would be refused.
    assert post(server, **forged)[0] == 400


# ---------------------------------------------------------------- Origin

ORIGINS = [
    EVIL,
    "null",
    "http://127.0.0.1",
    "http://localhost:{port}",
    "https://127.0.0.1:{port}",
    "http://127.0.0.1:{port}.evil.example",
    "http://127.0.0.1:{port}/",
    "http://127.0.0.1:8888",
    "file://",
    "HTTP://127.0.0.1:{port}",
    "",
    None,
]


@pytest.mark.parametrize("origin", ORIGINS)
def test_another_origin_is_refused_though_it_has_the_token(server, origin):
    origin = origin and origin.format(port=server.port)
    for path in ("/pictures", "/models", "/exports/png"):
        status, text, _ = post(server, path, Origin=origin)
        assert (status, "(Origin)" in text) == (403, True)
    with pytest.raises(InvalidHandshake, match="403"):
        talk(server, origin=origin)


def test_two_origins_are_refused(server):
    assert post(server, Origin=[server.origin, EVIL])[0] == 403
    assert post(server, Origin=[server.origin, server.origin])[0] == 403


@pytest.mark.parametrize(
    "method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "X"]
)
def test_a_page_of_another_origin_gets_nothing_by_any_method(server, method):
    for path in ("/", "/colours.json", "/pictures", "/static/app.js"):
        status, _, headers = ask(server, method, path, Origin=EVIL)
        assert status == 403
        assert "access-control-allow-origin" not in headers


# ---------------------------------------------------------------- Sec-Fetch-Site


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_what_another_page_embeds_is_refused(server, site):
    for kind, path in {
        "image": "/static/mark.svg",
        "script": "/static/app.js",
        "style": "/static/style/page.css",
        "empty": "/colours.json",
        "iframe": "/extract",
    }.items():
        mode = "navigate" if kind == "iframe" else "no-cors"
        fetch = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": kind}
        assert ask(server, path=path, **fetch)[0] == 403


def test_a_person_may_follow_a_link_or_type_the_address(server):
    assert ask(server, **LINK)[0] == 200
    assert ask(server, **{**LINK, "Sec-Fetch-Site": "none"})[0] == 200
    own = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
    assert ask(server, path="/colours.json", **own)[0] == 200
    assert ask(server, **{**own, "Sec-Fetch-Site": ["same-origin", "cross-site"]})[0] == 403


def test_only_a_framed_page_may_be_framed(server):
    assert ask(server, **FRAME)[0] == 403
    assert "frame-ancestors 'none'" in ask(server)[2]["content-security-policy"]
    with Server(State(), port=0, framed=True) as framed:
        status, _, headers = ask(framed, **FRAME)
        assert status == 200
        ancestors = headers["content-security-policy"].partition("frame-ancestors ")[2].split()
        assert "http://localhost:*" in ancestors
        assert not {"*", "'none'", "http:", "https:"} & set(ancestors)
        assert post(framed, Origin="http://localhost:8888")[0] == 403


# ---------------------------------------------------------------- the token

GUESSES = [None, "", "attar", "{token}x", "{half}", "{token},{token}", "{upper}"]


@pytest.mark.parametrize("guess", GUESSES)
def test_without_the_token_nothing_is_taken(server, guess):
    token = server.token
    guess = guess and guess.format(token=token, half=token[:16], upper=token.swapcase())
    for path in ("/pictures", "/models", "/exports/png", "/nowhere"):
        status, text, _ = post(server, path, **{"X-Attar-Token": guess})
        assert (status, "token" in text) == (403, True)
        assert token not in text


@pytest.mark.parametrize(
    "offered",
    [
        "",
        "attar",
        "attar guess",
        "{token}",
        "{token} attar",
        "attar x {token}",
        "attar {token} {token}",
    ],
)
def test_without_the_token_there_is_no_conversation(server, offered):
    offered = offered.format(token=server.token).split()
    with pytest.raises(InvalidHandshake, match="403"):
        talk(server, subprotocols=offered or None)


def test_the_token_counts_in_no_other_place(server):
    for path in (f"/pictures?token={server.token}", f"/pictures#token={server.token}"):
        assert post(server, path, **{"X-Attar-Token": None})[0] in (400, 403)
    cookie = {"X-Attar-Token": None, "Cookie": f"attar-token={server.token}"}
    assert post(server, **cookie)[0] == 403
    assert post(server, **{"X-Attar-Token": [server.token, server.token]})[0] == 403


def test_a_token_of_odd_bytes_is_refused_and_not_a_fault(server, caplog):
    assert post(server, **{"X-Attar-Token": "\xff\xfe".encode("latin-1")})[0] == 403
    lines = handshake(server, token="\udcff\udcfe")
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape"))
        found = connection.recv(64)  # some versions of websockets hang up without a word
        assert not found or found.startswith((b"HTTP/1.1 400", b"HTTP/1.1 403"))
    assert not caplog.records


def test_an_invitation_opens_the_page_once_and_gives_it_the_token():
    with Server(State(), port=0) as server:
        invitation = server.invitation("extract", {"image": "car"})
        address, _, token = invitation.partition("#token=")
        assert address == f"{server.origin}/extract?image=car"
        assert token != server.token
        assert server.token.encode() in talk(server, subprotocols=["attar", token])
        with pytest.raises(InvalidHandshake, match="403"):
            talk(server, subprotocols=["attar", token])
        assert b"hello" in talk(server)


def test_tokens_are_of_one_run_and_cannot_be_guessed():
    tokens = {Keys().token for _ in range(100)}
    assert len(tokens) == 100
    assert min(map(len, tokens)) >= 32


# ---------------------------------------------------------------- other machines


@pytest.mark.parametrize(
    ("host", "taken"),
    [
        ("192.168.1.7:8265", True),
        ("10.0.0.1", True),
        ("[fe80::1]:8265", True),
        ("desk:8265", True),
        ("evil.example:8265", False),
        ("192.168.1.7.evil.example", False),
        ("[192.168.1.7]", False),
        ("fe80::1", False),
        ("1.2.3", False),
    ],
)
def test_a_server_for_other_machines_goes_by_addresses_and_its_own_name(host, taken):
    guard = Guard(None, Keys(), remote=True, names=("Desk",))
    headers = [(b"host", host.encode())]
    scope = {"type": "http", "method": "GET", "scheme": "http", "headers": headers}
    assert (guard._refusal(scope) is None) == taken


# ---------------------------------------------------------------- files


PATHS = [
    "/static/../guard.py",
    "/static/../../errors.py",
    "/static/%2e%2e/guard.py",
    "/static/..%2fguard.py",
    "/static/%2e%2e%2fguard.py",
    "/static/..%5cguard.py",
    "/static/..\\guard.py",
    "/static//etc/passwd",
    "/static/%2fetc/passwd",
    "//etc/passwd",
    "/static/%00",
    "/static/app.js%00.css",
    "/static/",
    "/static/base",
    "/static/base/",
    "/guard.py",
    "/extract/../guard.py",
    "/static/" + "a" * 5000,
    "/static/%ff%fe",
    "/static/.",
]


@pytest.mark.parametrize("path", PATHS)
def test_no_path_leads_out_of_the_page(server, path, caplog):
    answer = raw(server, f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{server.port}")
    assert int(answer.split()[1]) in (400, 404, 405, 414)
    assert "import" not in answer
    assert "root:" not in answer
    assert str(Path.cwd()) not in answer
    assert not caplog.records


def test_a_link_in_the_folder_is_not_followed():
    assert not [file for file in STATIC.rglob("*") if file.is_symlink()]


def test_what_needs_no_token_tells_nothing_of_this_run():
    state = state_of(np.full((3, 3), 0.5, np.float32), None)
    with Server(state, port=0) as server:
        for path in ("/", "/extract", "/model", "/colours.json", "/static/app.js", "/nowhere"):
            _, text, headers = ask(server, path=path)
            everything = text + str(headers)
            assert server.token not in everything
            assert state.opening["image"] not in everything
            assert str(Path.home()) not in everything
            assert "uvicorn" not in everything


def test_every_answer_carries_the_policy(server):
    answers = [ask(server), ask(server, path="/nowhere"), ask(server, Host="evil.example")]
    answers += [post(server), post(server, **{"X-Attar-Token": "no"}), ask(server, "PUT")]
    for _, _, headers in answers:
        assert headers.get_all("content-security-policy") == [POLICY]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"


POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'; frame-ancestors 'none'"
)

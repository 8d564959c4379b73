"""Requests to the explorer's server as no page of it would send them."""

import contextlib
import http.client
import json
import socket

from websockets.sync.client import connect

from attar.explorer.frames import unpack


def ask(server, method="GET", path="/", body=None, **headers):
    """Send a request as a browser would; headers that are given take the place of the usual."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    usual = {"Host": f"127.0.0.1:{server.port}"}
    if body is not None:
        usual["Content-Length"] = str(len(body))
    for name, value in {**usual, **headers}.items():
        for each in value if isinstance(value, list) else [value]:
            if each is not None:
                connection.putheader(name, each)
    connection.endheaders(body)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, text.decode(), answer.headers


def post(server, path="/pictures", body=b"none", **headers):
    usual = {"Origin": server.origin, "X-Attar-Token": server.token}
    return ask(server, "POST", path, body, **{**usual, **headers})


def talk(server, **changes):
    """Open a WebSocket, and close it; return what the server says first."""
    usual = {"origin": server.origin, "subprotocols": ["attar", server.token], "max_size": None}
    with connect(
        f"ws://127.0.0.1:{server.port}/talk", proxy=None, **{**usual, **changes}
    ) as socket_:
        return socket_.recv(timeout=10)


def raw(server, *lines, body=b""):
    """Send bytes that no client library would; return what comes back until it is closed."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode() + body)
        found = b""
        while piece := connection.recv(1 << 16):
            found += piece
    return found.decode("latin-1")


def handshake(server, *, host=None, origin=None, token=None):
    return [
        "GET /talk HTTP/1.1",
        f"Host: {host or f'127.0.0.1:{server.port}'}",
        f"Origin: {origin or server.origin}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        f"Sec-WebSocket-Protocol: attar, {token or server.token}",
    ]


class Page:
    """What a page does on its WebSocket."""

    def __init__(self, server):
        self.server = server
        self.socket = None

    def __enter__(self):
        self._stack = contextlib.ExitStack()
        self.socket = self._stack.enter_context(
            connect(
                f"ws://127.0.0.1:{self.server.port}/talk",
                origin=self.server.origin,
                subprotocols=["attar", self.server.token],
                max_size=None,
                proxy=None,
                close_timeout=2,
            )
        )
        self.hello = self.hear()["hello"]
        return self

    def __exit__(self, *exception):
        self._stack.close()

    def say(self, message):
        """Send a message: text and bytes as they are, everything else as JSON."""
        self.socket.send(message if isinstance(message, str | bytes) else json.dumps(message))

    def hear(self, timeout=10):
        """Return the header of the next frame."""
        return unpack(self.socket.recv(timeout=timeout))[0]

    def ask(self, number, what, **fields):
        """Ask, and return the answer."""
        self.say({"id": number, "ask": what, **fields})
        return self.hear()

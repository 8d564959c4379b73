"""Who may ask: the guard in front of everything that the server does.

The server listens on this machine, but every page of every site that a person has open can send
requests to this machine too. So each request must name a host that is this server, must come from
its own page where it changes or reads anything (`Origin`), and must carry the token of this run. A
name that an attacker points at this machine (DNS rebinding) fails the first; a page of another
site fails the second; another program or user of the machine fails the third.

Starlette checks neither the host nor the origin of a WebSocket; this guard sees both kinds.
"""

import hmac
import ipaddress
import secrets
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Guard", "new_token"]

_LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")

# The page is files of this server and nothing else: no inline script or style, no other site.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'; frame-ancestors {ancestors}"
)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Cache-Control": "no-cache",
}
# Pages of notebooks, which show this one in a frame.
_NOTEBOOKS = "http://localhost:* http://127.0.0.1:* https://localhost:* https://127.0.0.1:*"


def new_token() -> str:
    """Return a token that nobody can guess."""
    return secrets.token_urlsafe(24)


class Guard:
    """ASGI middleware: refuses what does not come from the server's own page.

    Parameters
    ----------
    app : ASGI application
        What is guarded.
    token : str
        Of this run. Whatever is not a file of the page must carry it, as header
        ``X-Attar-Token``; a WebSocket as its second subprotocol, behind ``attar``, since a page can
        set no headers there.
    remote : bool
        Whether the server was told to listen to other machines: then any address in numbers is a
        name for it too. A name of an attacker's never is.
    names : iterable of str
        More names of this machine.
    framed : bool
        Whether a notebook on this machine may show the page in a frame.
    """

    def __init__(
        self,
        app: "ASGIApp",
        token: str,
        *,
        remote: bool = False,
        names: Iterable[str] = (),
        framed: bool = False,
    ) -> None:
        self._app = app
        self._token = token.encode()
        self._remote = remote
        self._names = {*_LOCAL_NAMES, *(name.lower() for name in names)}
        policy = _POLICY.format(ancestors=_NOTEBOOKS if framed else "'none'")
        headers = {**_HEADERS, "Content-Security-Policy": policy}
        if framed:  # A notebook's page asks for embedding, by a name that may be the other one.
            headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        self._headers = [(k.lower().encode(), v.encode()) for k, v in headers.items()]

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)

        async def with_headers(message: "Message") -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                message["headers"] = [*message.get("headers", []), *self._headers]
            await send(message)

        if refusal is None:
            await self._app(scope, receive, with_headers)
        elif scope["type"] == "websocket":
            # Before it is accepted: the handshake is answered with 403.
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": refusal})
        else:
            text = f"attar: refused: {refusal}\n".encode()
            await with_headers(
                {
                    "type": "http.response.start",
                    "status": 403,
                    "headers": [(b"content-type", b"text/plain; charset=utf-8")],
                }
            )
            await with_headers({"type": "http.response.body", "body": text})

    def _refusal(self, scope: "Scope") -> str | None:
        """Return why a request is refused, or None."""
        headers: dict[bytes, list[bytes]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.lower(), []).append(value)
        hosts = headers.get(b"host", [])
        if len(hosts) != 1 or not self._is_ours(host := hosts[0].decode("latin-1").lower()):
            return "this server does not go by that Host"
        origins = headers.get(b"origin", [])
        asks = scope["type"] == "websocket" or scope["method"] not in ("GET", "HEAD")
        if asks or origins:
            scheme = {"ws": "http", "wss": "https"}.get(scope["scheme"], scope["scheme"])
            if origins != [f"{scheme}://{host}".encode()]:
                return "the request comes from another page (Origin)"
        if asks and not self._has_token(scope, headers):
            return "the token of this run is missing; open the address that `attar explore` printed"
        return None

    def _is_ours(self, host: str) -> bool:
        """Whether a Host header names this server, with or without a port."""
        name, colon, port = host.rpartition(":")
        if not colon or host.endswith("]"):
            name = host
        elif not port.isdigit():
            return False
        if name in self._names:
            return True
        if not self._remote:
            return False
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return False
        return True

    def _has_token(self, scope: "Scope", headers: dict[bytes, list[bytes]]) -> bool:
        if scope["type"] == "websocket":
            offered = scope.get("subprotocols", [])
            given = [offered[1].encode()] if len(offered) == 2 and offered[0] == "attar" else []
        else:
            given = headers.get(b"x-attar-token", [])
        return len(given) == 1 and hmac.compare_digest(given[0], self._token)

"""Who may ask: the guard in front of everything that the server does.

The server listens on this machine, but every page of every site that a person has open can send
requests to this machine too. So each request must name a host that is this server, must come from
its own page where it changes or reads anything (`Origin`, `Sec-Fetch-Site`), and must carry the
token of this run. A name that an attacker points at this machine (DNS rebinding) fails the first; a
page of another site fails the second; another program or user of the machine fails the third.

Starlette checks neither the host nor the origin of a WebSocket; this guard sees both kinds.
"""

import hmac
import ipaddress
import re
import secrets
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Guard", "Keys"]

_LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")
_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{1,5})?")

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
# Pages of notebooks, which show this one in a frame. Every frame around it must be one of them: in
# VS Code these are the output of a cell and the window itself.
_NOTEBOOKS = (
    "http://localhost:* http://127.0.0.1:* https://localhost:* https://127.0.0.1:* "
    "vscode-webview: vscode-file:"
)


class Keys:
    """What opens the server: the token of this run, and invitations that open it once.

    A browser is started with the address as an argument, which every user of the machine can read
    in its list of processes. So that address carries an invitation: the page that comes first has
    the token for it, and whoever reads it later has nothing.

    Examples
    --------
    >>> keys = Keys()
    >>> keys.fit(keys.token), keys.fit(keys.token), keys.fit("guessed")
    (True, True, False)
    >>> invitation = keys.invite()
    >>> keys.fit(invitation), keys.fit(invitation)
    (True, False)
    """

    def __init__(self) -> None:
        self.token = secrets.token_urlsafe(24)
        self._invitations: list[str] = []
        self._lock = threading.Lock()

    def invite(self) -> str:
        """Return a token that is taken once."""
        invitation = secrets.token_urlsafe(24)
        with self._lock:
            self._invitations.append(invitation)
        return invitation

    def fit(self, given: str) -> bool:
        """Whether a token is taken; an invitation no second time."""
        if _same(given, self.token):
            return True
        with self._lock:
            for invitation in self._invitations:
                if _same(given, invitation):
                    self._invitations.remove(invitation)
                    return True
        return False


def _same(given: str, token: str) -> bool:
    # In a time that does not tell how much of it was right.
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), token.encode())


class Guard:
    """ASGI middleware: refuses what does not come from the server's own page.

    Parameters
    ----------
    app : ASGI application
        What is guarded.
    keys : Keys
        Of this run. Whatever is not a file of the page must carry the token, as header
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
        keys: Keys,
        *,
        remote: bool = False,
        names: Iterable[str] = (),
        framed: bool = False,
    ) -> None:
        self._app = app
        self._keys = keys
        self._remote = remote
        self._framed = framed
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
        headers: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
        hosts = [host.lower() for host in headers.get("host", [])]
        if len(hosts) != 1 or not self._is_ours(hosts[0]):
            return "this server does not go by that Host"
        asks = scope["type"] == "websocket" or scope["method"] not in ("GET", "HEAD")
        origins = headers.get("origin", [])
        scheme = {"ws": "http", "wss": "https"}.get(scope["scheme"], scope["scheme"])
        if (asks or origins) and origins != [f"{scheme}://{hosts[0]}"]:
            return "the request comes from another page (Origin)"
        if not asks and not self._may_read(headers):
            return "the request comes from another page (Sec-Fetch-Site)"
        if asks and not self._has_token(scope, headers):
            return "the token of this run is missing; open the address that `attar explore` printed"
        return None

    def _is_ours(self, host: str) -> bool:
        """Whether a Host header names this server, with or without a port.

        The port is not compared: where it is forwarded, as by ``ssh -L``, the browser has another.
        """
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name = found["name"]
        if name in self._names:
            return True
        if not self._remote:
            return False
        try:
            address = ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return False
        return (address.version == 6) == name.startswith("[")

    def _may_read(self, headers: dict[str, list[str]]) -> bool:
        """Whether a browser asks for a file because of our page, or a person.

        Other pages may lead here with a link, but cannot even find out that the server runs: what
        they embed is refused. Old browsers do not say; they get files that hold nothing private.
        """
        sites = headers.get("sec-fetch-site", [])
        if all(site in ("same-origin", "none") for site in sites):
            return True
        leads = {"document", "iframe"} if self._framed else {"document"}
        return (
            headers.get("sec-fetch-mode") == ["navigate"]
            and headers.get("sec-fetch-dest", [""])[0] in leads
        )

    def _has_token(self, scope: "Scope", headers: dict[str, list[str]]) -> bool:
        if scope["type"] == "websocket":
            offered = scope.get("subprotocols", [])
            given = offered[1:] if offered[:1] == ["attar"] else []
        else:
            given = headers.get("x-attar-token", [])
        return len(given) == 1 and self._keys.fit(given[0])

"""The server: listens, says where, and stops when asked to."""

import contextlib
import errno
import ipaddress
import socket
import threading
from collections.abc import Callable, Mapping
from typing import Any, Self
from urllib.parse import urlencode

from attar.errors import ArgumentError
from attar.explorer.app import State, application
from attar.explorer.guard import Keys

__all__ = ["DEFAULT_PORT", "Server"]

DEFAULT_PORT = 8265
_NEIGHBOURS = 20  # ports that are tried behind it
_EVERYWHERE = ("0.0.0.0", "::")


class Server:
    """A server of the page: `run` in this thread, or as a context manager in one of its own.

    Parameters
    ----------
    state : State
        What it serves.
    host : str
        Where it listens. Anything but this machine's loopback needs `allow_remote`, since
        whoever can reach the port and learns the token can then use it.
    port : int, optional
        Default: 8265, or the next one that is free. 0 takes any.
    allow_remote : bool
        Listen to other machines.
    framed : bool
        Let a notebook on this machine show the page in a frame.

    Attributes
    ----------
    port : int
        Where it listens.
    origin : str
        The beginning of the page's address.

    Raises
    ------
    ArgumentError
        The port is in use, or the host needs `allow_remote`.

    Examples
    --------
    >>> import urllib.request
    >>> with Server(State(), port=0) as server:
    ...     with urllib.request.urlopen(server.origin) as page:
    ...         page.status
    200
    """

    def __init__(
        self,
        state: State,
        *,
        host: str = "127.0.0.1",
        port: int | None = None,
        allow_remote: bool = False,
        framed: bool = False,
    ) -> None:
        self.is_remote = not _is_loopback(host)
        if self.is_remote and not allow_remote:
            raise ArgumentError(
                f"explore: host is {host!r}, which other machines may reach: whoever learns the "
                "address with its token can then open pictures and models in this process. "
                "Accepted are 127.0.0.1, ::1 and localhost; --allow-remote does it all the same"
            )
        if port is not None and not 0 <= port < 65536:
            raise ArgumentError(f"explore: port is {port}; accepted are 0 to 65535")
        import uvicorn

        self.state = state
        self._keys = Keys()
        self._listener = _listen(host, port)
        self.port: int = self._listener.getsockname()[1]
        shown = _shown(host)
        self.origin = f"http://{shown}:{self.port}"
        names = {shown, *((host, socket.gethostname()) if self.is_remote else ())}
        guard = {"remote": self.is_remote, "names": names, "framed": framed}
        self._server = uvicorn.Server(
            uvicorn.Config(
                application(state, self._keys, guard),
                # The same on every machine, whatever else is installed there.
                loop="asyncio",
                http="h11",
                ws="websockets-sansio",
                ws_max_size=1 << 20,  # of a question; files come by HTTP
                ws_per_message_deflate=False,  # it costs more than a local connection saves
                log_config=None,  # a notebook's logging stays as it is
                log_level="error",
                access_log=False,
                proxy_headers=False,  # nothing stands in front of it
                server_header=False,
                date_header=False,
                timeout_graceful_shutdown=1,
            )
        )
        self._thread: threading.Thread | None = None

    @property
    def token(self) -> str:
        """The token of this run."""
        return self._keys.token

    def address(self, room: str = "extract", state: Mapping[str, str] | None = None) -> str:
        """Return the address to open, with the token of this run.

        The token stands behind ``#``: browsers keep that part to themselves, and the page takes it
        out of its address at once.
        """
        query = f"?{urlencode(state)}" if state else ""
        return f"{self.origin}/{room}{query}#token={self.token}"

    def invitation(self, room: str = "extract", state: Mapping[str, str] | None = None) -> str:
        """Return an address that opens the page once, for others may see it (`Keys`)."""
        return self.address(room, state).replace(self.token, self._keys.invite())

    def run(self, when_ready: Callable[[], Any] = lambda: None) -> None:
        """Serve until interrupted; `when_ready` is called once the port answers."""
        # The port listens already, so what connects now is answered as soon as the server runs.
        try:
            when_ready()
            self._server.run(sockets=[self._listener])
        finally:
            self._listener.close()
            self.state.models.close()

    def start(self) -> Self:
        """Serve in a thread, until `stop`."""
        self._thread = threading.Thread(target=self.run, name="attar-explorer", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop serving, and wait until it is done. Answers that nobody waits for are not."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(timeout=10)
        with contextlib.suppress(OSError):
            self._listener.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.stop()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _shown(host: str) -> str:
    """Return the host as an address of this machine has it."""
    if host in ("localhost", *_EVERYWHERE):
        return "127.0.0.1" if host != "::" else "[::1]"
    return f"[{host}]" if ":" in host else host


def _listen(host: str, port: int | None) -> socket.socket:
    """Listen on a port; where none is named, on the first that is free."""
    if port is not None:
        return _listen_on(host, port)
    for near in range(DEFAULT_PORT, DEFAULT_PORT + _NEIGHBOURS):
        with contextlib.suppress(_PortInUseError):
            return _listen_on(host, near)
    return _listen_on(host, 0)


class _PortInUseError(ArgumentError):
    """Somebody else listens there."""


def _listen_on(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # TCP by name: asyncio turns Nagle's delay off only where it reads that. With it, every other
    # answer waits 40 ms for the browser's acknowledgement of its header.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        kind = _PortInUseError if error.errno == errno.EADDRINUSE else ArgumentError
        raise kind(
            f"explore: cannot listen on {host} port {port}: {error.strerror or error}; name "
            "another --port, or 0 for any that is free"
        ) from error
    return listener

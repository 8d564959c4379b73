"""The server: listens, says where, and stops when asked to."""

import contextlib
import socket
import threading
from collections.abc import Callable, Mapping
from typing import Any, Self
from urllib.parse import urlencode

from attar.errors import ArgumentError
from attar.explorer.app import State, application
from attar.explorer.guard import new_token

__all__ = ["DEFAULT_PORT", "Server"]

DEFAULT_PORT = 8265
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Server:
    """A server of the page: `run` in this thread, or as a context manager in one of its own.

    Parameters
    ----------
    state : State
        What it serves.
    host : str
        Where it listens. Anything but this machine's loopback needs `allow_remote`, since
        whoever can reach the port and learns the token can then use it.
    port : int
        0 takes a free one.
    allow_remote : bool
        Listen to other machines.
    framed : bool
        Let a notebook on this machine show the page in a frame.

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
        port: int = DEFAULT_PORT,
        allow_remote: bool = False,
        framed: bool = False,
    ) -> None:
        if host not in _LOOPBACK and not allow_remote:
            raise ArgumentError(
                f"explore: host is {host!r}, which other machines may reach: whoever learns the "
                "address with its token can then open pictures and models in this process. "
                "Accepted are 127.0.0.1, ::1 and localhost; --allow-remote does it all the same"
            )
        if not 0 <= port < 65536:
            raise ArgumentError(f"explore: port is {port}; accepted are 0 to 65535")
        import uvicorn

        self.state = state
        self.token = new_token()
        self._listener = _listen(host, port)
        self.port: int = self._listener.getsockname()[1]
        shown = "127.0.0.1" if host in ("0.0.0.0", "localhost") else host
        self.origin = (
            f"http://[{shown}]:{self.port}" if ":" in shown else f"http://{shown}:{self.port}"
        )
        guard = {
            "token": self.token,
            "remote": allow_remote,
            "names": (host, socket.gethostname()) if allow_remote else (),
            "framed": framed,
        }
        self._server = uvicorn.Server(
            uvicorn.Config(
                application(state, guard),
                log_level="warning",
                ws="websockets-sansio",
                ws_max_size=1 << 20,  # of a question; files come by HTTP
                ws_per_message_deflate=False,  # it costs more than a local connection saves
                server_header=False,
                date_header=False,
                timeout_graceful_shutdown=1,
            )
        )
        self._thread: threading.Thread | None = None

    def address(self, room: str = "extract", state: Mapping[str, str] | None = None) -> str:
        """Return the address to open, with the token of this run.

        The token stands behind ``#``: browsers keep that part to themselves, and the page takes it
        out of its address at once.
        """
        query = f"?{urlencode(state)}" if state else ""
        return f"{self.origin}/{room}{query}#token={self.token}"

    def run(self, when_ready: Callable[[], Any] = lambda: None) -> None:
        """Serve until interrupted; `when_ready` is called once the port answers."""
        # The port listens already, so what connects now is answered as soon as the server runs.
        when_ready()
        try:
            self._server.run(sockets=[self._listener])
        finally:
            self.state.models.close()

    def start(self) -> Self:
        """Serve in a thread, until `stop`."""
        self._thread = threading.Thread(target=self.run, name="attar-explorer", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop serving, and wait until it is done."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(timeout=10)
        with contextlib.suppress(OSError):
            self._listener.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.stop()


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        reason = error.strerror or error
        raise ArgumentError(
            f"explore: cannot listen on {host} port {port}: {reason}; name another --port, or 0 "
            "for any that is free"
        ) from error
    return listener

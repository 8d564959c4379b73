"""The web application: files of the page, uploads, exports, the conversation."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

import attar
from attar.errors import AttarError
from attar.explorer.answers import fault
from attar.explorer.asked import Asked
from attar.explorer.exports import EXPORTS
from attar.explorer.guard import Guard, Keys
from attar.explorer.models import MOST_MODEL_BYTES, Models
from attar.explorer.palettes import palettes
from attar.explorer.pictures import MOST_BYTES, MOST_PIXELS, SAMPLES, Pictures
from attar.explorer.rooms import ANSWERS, NAMES
from attar.explorer.socket import Tables, converse
from attar.explorer.uploads import UploadError, file_name, read_body
from attar.explorer.workers import Workers

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.websockets import WebSocket

__all__ = ["State", "application"]

STATIC = Path(__file__).parent / "static"
_MOST_QUESTION = 1 << 20  # bytes of a question by HTTP


@dataclass(frozen=True)
class State:
    """What one run of the server holds.

    Attributes
    ----------
    pictures, models
        Those that are open.
    opening : mapping
        Where the page begins: fields of its address, such as ``{"image": …}``.
    """

    pictures: Pictures = field(default_factory=Pictures)
    models: Models = field(default_factory=Models)
    opening: Mapping[str, str] = field(default_factory=dict)

    def hello(self) -> dict[str, Any]:
        """Return what a page is told first."""
        return {
            "version": attar.__version__,
            "samples": list(SAMPLES),
            "names": self.pictures.names(),
            "opening": dict(self.opening),
            "most": {
                "bytes": MOST_BYTES,
                "pixels": MOST_PIXELS,
                "model_bytes": MOST_MODEL_BYTES,
            },
        }


class _Files(StaticFiles):
    """Files that are small: read as they are asked for, and not piece by piece in other threads."""

    def file_response(self, full_path: Any, *rest: Any, **named: Any) -> Response:
        found = super().file_response(full_path, *rest, **named)
        if not isinstance(found, FileResponse):
            return found  # The browser has it already.
        kept = {name: found.headers[name] for name in ("content-type", "etag", "last-modified")}
        return Response(Path(full_path).read_bytes(), found.status_code, kept)


def application(state: State, keys: Keys, guard: Mapping[str, Any]) -> Guard:
    """Return the guarded application; `guard` are the other arguments of `Guard`."""
    workers = Workers()
    tables = Tables(ANSWERS, state.pictures, state.models, workers)

    @asynccontextmanager
    async def life(app: Starlette) -> AsyncIterator[None]:
        yield
        workers.close()
        state.models.close()

    async def page(request: "Request") -> Response:
        return FileResponse(STATIC / "index.html")

    async def colours(request: "Request") -> Response:
        return JSONResponse(await workers.run("pictures", palettes))

    async def take_picture(request: "Request") -> Response:
        data = await read_body(request, MOST_BYTES, "picture")
        passing = "x-passing" in request.headers
        name = file_name(request)
        picture = await workers.run("pictures", state.pictures.decode, data, name, passing)
        return JSONResponse(picture.facts())

    async def take_model(request: "Request") -> Response:
        data = await read_body(request, MOST_MODEL_BYTES, "model")
        facts = await workers.run("models", state.models.take, data, file_name(request))
        return JSONResponse(facts)

    async def export(request: "Request") -> Response:
        make = EXPORTS.get(request.path_params["kind"])
        if make is None:
            raise HTTPException(404, f"there is no export of that kind; there are {list(EXPORTS)}")
        body = await read_body(request, _MOST_QUESTION, "export")
        exported = await workers.run("exports", make, Asked.parse("export", body), state)
        return Response(exported.data, media_type=exported.media_type)

    async def talk(socket: "WebSocket") -> None:
        await converse(socket, tables, {**state.hello(), "token": keys.token})

    async def refused(request: "Request", error: Exception) -> Response:
        status = error.status if isinstance(error, UploadError) else 400
        return JSONResponse({"error": str(error)}, status)

    async def gone(request: "Request", error: Exception) -> Response:
        return Response(status_code=400)  # Nobody reads it.

    async def failed(request: "Request", error: Exception) -> Response:
        # The server writes the trace; its words may name files, and are not for pages.
        return JSONResponse({"error": fault(request.url.path, error)}, 500)

    app = Starlette(
        routes=[
            Route("/", page),
            *(Route(f"/{room}", page) for room in NAMES),
            Route("/colours.json", colours),
            Route("/pictures", take_picture, methods=["POST"]),
            Route("/models", take_model, methods=["POST"]),
            Route("/exports/{kind}", export, methods=["POST"]),
            WebSocketRoute("/talk", talk),
            Mount("/static", _Files(directory=STATIC)),
        ],
        exception_handlers={AttarError: refused, ClientDisconnect: gone, Exception: failed},
        lifespan=life,
    )
    return Guard(app, keys, **guard)

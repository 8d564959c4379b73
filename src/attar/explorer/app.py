"""The web application: files of the page, uploads, exports, the conversation."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

import attar
from attar.errors import AttarError
from attar.explorer.asked import Asked
from attar.explorer.exports import EXPORTS
from attar.explorer.guard import Guard
from attar.explorer.models import MOST_MODEL_BYTES, Models
from attar.explorer.palettes import palettes
from attar.explorer.pictures import MOST_BYTES, MOST_PIXELS, SAMPLES, Pictures
from attar.explorer.rooms import ANSWERS, NAMES
from attar.explorer.socket import converse
from attar.explorer.uploads import TooLargeError, file_name, read_body

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.websockets import WebSocket

__all__ = ["State", "application"]

STATIC = Path(__file__).parent / "static"
_MOST_QUESTION = 1 << 20  # bytes of a question by HTTP
_log = logging.getLogger(__name__)


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
            "opening": dict(self.opening),
            "most": {
                "bytes": MOST_BYTES,
                "pixels": MOST_PIXELS,
                "model_bytes": MOST_MODEL_BYTES,
            },
        }


def application(state: State, guard: Mapping[str, Any]) -> Guard:
    """Return the guarded application; `guard` are the arguments of `Guard`."""

    async def page(request: "Request") -> Response:
        return FileResponse(STATIC / "index.html")

    async def colours(request: "Request") -> Response:
        return JSONResponse(await run_in_threadpool(palettes))

    async def take_picture(request: "Request") -> Response:
        data = await read_body(request, MOST_BYTES, "picture")
        passing = "x-passing" in request.headers
        picture = await run_in_threadpool(state.pictures.decode, data, file_name(request), passing)
        return JSONResponse(picture.facts())

    async def take_model(request: "Request") -> Response:
        data = await read_body(request, MOST_MODEL_BYTES, "model")
        facts = await run_in_threadpool(state.models.take, data, file_name(request))
        return JSONResponse(facts)

    async def export(request: "Request") -> Response:
        make = EXPORTS.get(request.path_params["kind"])
        if make is None:
            raise HTTPException(404, f"there is no export of that kind; there are {list(EXPORTS)}")
        body = await read_body(request, _MOST_QUESTION, "export")
        exported = await run_in_threadpool(make, Asked.parse("export", body), state)
        return Response(exported.data, media_type=exported.media_type)

    async def talk(socket: "WebSocket") -> None:
        await converse(socket, ANSWERS, state.pictures, state.models, state.hello())

    async def refused(request: "Request", error: Exception) -> Response:
        status = 413 if isinstance(error, TooLargeError) else 400
        return JSONResponse({"error": str(error)}, status)

    async def failed(request: "Request", error: Exception) -> Response:
        _log.exception("%s failed", request.url.path, exc_info=error)
        return JSONResponse({"error": f"{type(error).__name__}: {error}"}, 500)

    app = Starlette(
        routes=[
            Route("/", page),
            *(Route(f"/{room}", page) for room in NAMES),
            Route("/colours.json", colours),
            Route("/pictures", take_picture, methods=["POST"]),
            Route("/models", take_model, methods=["POST"]),
            Route("/exports/{kind}", export, methods=["POST"]),
            WebSocketRoute("/talk", talk),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        exception_handlers={AttarError: refused, Exception: failed},
    )
    return Guard(app, **guard)

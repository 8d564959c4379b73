"""The conversation with one page: questions come in as JSON, answers go out as frames.

``{"id": 7, "ask": "extract.maps", "topic": "maps", …}`` asks, ``{"cancel": 7}`` takes it back. A
frame (`attar.explorer.frames`) answers with the same id and ``fields``, ``progress`` or ``error``.

A topic answers one question at a time. While it does, only the newest of the questions that came
in is kept; those that it replaced are answered ``{"stale": true}`` and never computed. So a slider
that is dragged never falls behind: what is painted is at most one answer old.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, NamedTuple

from starlette.websockets import WebSocketDisconnect

from attar.errors import ArgumentError, AttarError
from attar.explorer.answers import Answerer, CancelError, Context, fault
from attar.explorer.asked import Asked
from attar.explorer.frames import pack
from attar.explorer.models import Models
from attar.explorer.pictures import Pictures
from attar.explorer.workers import Workers

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

__all__ = ["Tables", "converse"]

_MOST_TOPICS = 16  # of one page
_MOST_NUMBER = 1 << 53  # what JavaScript counts to
_log = logging.getLogger(__name__)
# What a socket raises when the page is gone: it is closed already, or was while we wrote.
_GONE = (RuntimeError, WebSocketDisconnect)


class Tables(NamedTuple):
    """What all conversations of a run share."""

    answers: Mapping[str, Answerer]
    pictures: Pictures
    models: Models
    workers: Workers


class _Topic:
    """The questions of one topic: one that is being answered, and the newest that waits."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}
        self.waiting: Asked | None = None
        self.running: int | None = None
        self.cancelled = threading.Event()
        self.task: asyncio.Task[None] | None = None
        self.told: Future[None] | None = None  # the last progress


class _Conversation:
    def __init__(self, socket: "WebSocket", tables: Tables) -> None:
        self._socket = socket
        self._tables = tables
        self._topics: dict[str, _Topic] = {}
        self._sending = asyncio.Lock()
        self._loop = asyncio.get_running_loop()

    async def send(self, frame: bytes) -> None:
        """Send a frame; where the page is gone, nobody misses it."""
        with contextlib.suppress(*_GONE):
            async with self._sending:
                await self._socket.send_bytes(frame)

    async def listen(self) -> None:
        """Read questions until the page is gone; then cancel what it waits for."""
        try:
            while True:
                message = await self._socket.receive()
                if message["type"] != "websocket.receive":
                    return
                await self._hear(message.get("text") or "")
        finally:
            for topic in self._topics.values():
                topic.waiting = None
                topic.cancelled.set()
                if topic.task is not None:
                    topic.task.cancel()

    async def _hear(self, text: str) -> None:
        number = None
        try:
            asked = Asked.parse("explorer", text)
            if "cancel" in asked:
                await self._cancel(asked.count("cancel", most=_MOST_NUMBER))
                return
            number = asked.count("id", most=_MOST_NUMBER)
            what = asked.choice("ask", tuple(self._tables.answers))
            await self._take(asked.text("topic", what), Asked(what, asked.fields))
        except AttarError as error:
            await self.send(pack({"id": number, "error": str(error)}))

    async def _cancel(self, number: int) -> None:
        for topic in self._topics.values():
            if topic.waiting is not None and topic.waiting.fields["id"] == number:
                topic.waiting = None
                await self.send(pack({"id": number, "cancelled": True}))
            if topic.running == number:
                topic.cancelled.set()

    async def _take(self, name: str, asked: Asked) -> None:
        if name not in self._topics and len(self._topics) >= _MOST_TOPICS:
            raise ArgumentError(f"explorer: a page has at most {_MOST_TOPICS} topics")
        topic = self._topics.setdefault(name, _Topic())
        stale, topic.waiting = topic.waiting, asked
        if topic.task is None or topic.task.done():
            topic.task = asyncio.create_task(self._work(topic))
        if stale is not None:
            await self.send(pack({"id": stale.fields["id"], "stale": True}))

    async def _work(self, topic: _Topic) -> None:
        while topic.waiting is not None:
            asked, topic.waiting = topic.waiting, None
            topic.running = asked.fields["id"]
            topic.cancelled = threading.Event()
            await self.send(await self._answer(asked, topic))
            topic.running = None

    async def _answer(self, asked: Asked, topic: _Topic) -> bytes:
        number: int = asked.fields["id"]
        answers, pictures, models, workers = self._tables
        context = Context(
            pictures,
            models,
            topic.kept,
            topic.cancelled,
            lambda done, of, what: self._tell(topic, number, done, of, what),
        )

        def find() -> bytes:
            context.check()  # It may have waited for a thread.
            return answers[asked.what](asked, context).frame(number)

        try:
            return await workers.run(asked.what.partition(".")[0], find)
        except CancelError:
            return pack({"id": number, "cancelled": True})
        except AttarError as error:
            return pack({"id": number, "error": str(error)})
        except Exception as error:
            # The page says so, the terminal has the trace, the rest goes on.
            if not isinstance(error, MemoryError):
                _log.exception("%s failed", asked.what)
            return pack({"id": number, "error": fault(asked.what, error)})

    def _tell(self, topic: _Topic, number: int, done: int, of: int, what: str) -> None:
        """Send progress, from the thread of an answer; none while the last is on its way."""
        if topic.cancelled.is_set() or self._loop.is_closed():
            return
        if topic.told is None or topic.told.done():
            header = {"id": number, "progress": {"done": done, "of": of, "what": what}}
            topic.told = asyncio.run_coroutine_threadsafe(self.send(pack(header)), self._loop)


async def converse(socket: "WebSocket", tables: Tables, hello: Mapping[str, Any]) -> None:
    """Hold the conversation with a page until it closes; `hello` is said first."""
    await socket.accept(subprotocol="attar")
    conversation = _Conversation(socket, tables)
    await conversation.send(pack({"id": 0, "hello": hello}))
    await conversation.listen()

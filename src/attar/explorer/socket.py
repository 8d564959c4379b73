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
from typing import TYPE_CHECKING, Any

from attar.errors import ArgumentError, AttarError
from attar.explorer.answers import Answerer, CancelError, Context
from attar.explorer.asked import Asked
from attar.explorer.frames import pack
from attar.explorer.models import Models
from attar.explorer.pictures import Pictures

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

__all__ = ["converse"]

_MOST_TOPICS = 16  # of one page
_log = logging.getLogger(__name__)


class _Topic:
    """The questions of one topic: one that is being answered, and the newest that waits."""

    def __init__(self) -> None:
        self.context_kept: dict[str, Any] = {}
        self.waiting: Asked | None = None
        self.running: int | None = None
        self.cancelled = threading.Event()
        self.task: asyncio.Task[None] | None = None


class _Conversation:
    def __init__(
        self,
        socket: "WebSocket",
        answers: dict[str, Answerer],
        pictures: Pictures,
        models: Models,
    ) -> None:
        self._socket = socket
        self._answers = answers
        self._pictures = pictures
        self._models = models
        self._topics: dict[str, _Topic] = {}
        self._sending = asyncio.Lock()
        self._loop = asyncio.get_running_loop()

    async def send(self, header: dict[str, Any]) -> None:
        await self._send(pack(header))

    async def _send(self, frame: bytes) -> None:
        async with self._sending:
            await self._socket.send_bytes(frame)

    async def listen(self) -> None:
        """Read questions until the page is gone; then cancel what it waits for."""
        try:
            while True:
                message = await self._socket.receive()
                if message["type"] != "websocket.receive":
                    return
                await self._hear(message.get("text"))
        finally:
            for topic in self._topics.values():
                topic.cancelled.set()
                if topic.task is not None:
                    topic.task.cancel()

    async def _hear(self, text: str | None) -> None:
        number = None
        try:
            asked = Asked.parse("explorer", text or "")
            if "cancel" in asked:
                self._cancel(asked.count("cancel", most=1 << 53))
                return
            number = asked.count("id", most=1 << 53)
            what = asked.choice("ask", tuple(self._answers))
            await self._take(asked.text("topic", what), Asked(what, asked.fields))
        except AttarError as error:
            await self.send({"id": number, "error": str(error)})

    def _cancel(self, number: int) -> None:
        for topic in self._topics.values():
            if topic.waiting is not None and topic.waiting.fields["id"] == number:
                topic.waiting = None
            if topic.running == number:
                topic.cancelled.set()

    async def _take(self, name: str, asked: Asked) -> None:
        if name not in self._topics and len(self._topics) >= _MOST_TOPICS:
            raise ArgumentError(f"explorer: a page has at most {_MOST_TOPICS} topics")
        topic = self._topics.setdefault(name, _Topic())
        stale, topic.waiting = topic.waiting, asked
        if stale is not None:
            await self.send({"id": stale.fields["id"], "stale": True})
        if topic.task is None or topic.task.done():
            topic.task = asyncio.create_task(self._work(topic))

    async def _work(self, topic: _Topic) -> None:
        while topic.waiting is not None:
            asked, topic.waiting = topic.waiting, None
            topic.running = asked.fields["id"]
            topic.cancelled = threading.Event()
            # The page may be gone when the answer is there.
            with contextlib.suppress(RuntimeError):
                await self._send(await self._answer(asked, topic))
            topic.running = None

    async def _answer(self, asked: Asked, topic: _Topic) -> bytes:
        number: int = asked.fields["id"]
        context = Context(
            self._pictures,
            self._models,
            topic.context_kept,
            topic.cancelled,
            lambda done, of, what: self._tell(number, done, of, what),
        )
        try:
            reply = await asyncio.to_thread(self._answers[asked.what], asked, context)
            return reply.frame(number)
        except CancelError:
            return pack({"id": number, "cancelled": True})
        except AttarError as error:
            return pack({"id": number, "error": str(error)})
        except MemoryError:
            return pack({"id": number, "error": f"{asked.what}: there is not enough memory for it"})
        except Exception as error:
            # A fault of ours: the page says so, the terminal has the trace, the rest goes on.
            _log.exception("%s failed", asked.what)
            return pack({"id": number, "error": f"{asked.what}: {type(error).__name__}: {error}"})

    def _tell(self, number: int, done: int, of: int, what: str) -> None:
        """Send progress, from the thread of an answer."""
        header = {"id": number, "progress": {"done": done, "of": of, "what": what}}
        asyncio.run_coroutine_threadsafe(self._quietly(header), self._loop)

    async def _quietly(self, header: dict[str, Any]) -> None:
        with contextlib.suppress(RuntimeError):
            await self.send(header)


async def converse(
    socket: "WebSocket",
    answers: dict[str, Answerer],
    pictures: Pictures,
    models: Models,
    hello: dict[str, Any],
) -> None:
    """Hold the conversation with a page until it closes; `hello` is said first."""
    await socket.accept(subprotocol="attar")
    conversation = _Conversation(socket, answers, pictures, models)
    await conversation.send({"id": 0, "hello": hello})
    await conversation.listen()

"""The models of a run: which are open, and how rooms ask them, in a process of their own."""

import contextlib
import hashlib
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, Self, TypeAlias

from numpy.typing import NDArray

from attar.errors import ArgumentError, AttarError
from attar.explorer.modelling.child import Answer, Child, Limits, StoppedError

if TYPE_CHECKING:
    from attar.explorer.answers import Context

__all__ = ["DEMO", "GIVEN", "MOST_MODEL_BYTES", "Limits", "Models"]

Array: TypeAlias = NDArray[Any]

MOST_MODEL_BYTES = 1 << 30  # of an uploaded file
_KEPT_BYTES = 2 << 30  # of uploaded files, on the disk
GIVEN, DEMO = "given", "demo"  # keys of the model of the command line, and of attar's own
_TICK = 0.05  # seconds


class _Source(NamedTuple):
    """Where the process finds a model: a path of the person's own, or bytes that came."""

    name: str
    path: Path | None = None
    file: BinaryIO | None = None
    nbytes: int = 0


class Models:
    """Models by their keys, and the process that runs one of them at a time.

    Parameters
    ----------
    path : path, optional
        A .keras, .onnx or .safetensors file: the model of the command line.
    limits : Limits
        What a model may use.

    Examples
    --------
    >>> models = Models()
    >>> [each["model"] for each in models.listed()]
    ['demo']
    >>> models.facts("demo")["input"]
    [None, None, 3]
    >>> models.close()
    """

    def __init__(self, path: str | Path | None = None, *, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._turn = threading.Lock()  # of the process
        self._lock = threading.Lock()  # of what follows
        self._child: Child | None = None
        self._closed = False
        self._sources: OrderedDict[str, _Source] = OrderedDict()
        self._facts: dict[str, dict[str, Any]] = {}
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        if path is not None:
            found = Path(path).resolve()
            self._sources[GIVEN] = _Source(found.name, path=found)
        self._sources[DEMO] = _Source(DEMO)

    @classmethod
    def of(cls, model: Any, *, limits: Limits | None = None) -> Self:
        """Take over a live model: of attar, Keras or PyTorch, or the path of a file.

        Raises
        ------
        ModelError
            It cannot be taken over.
        """
        from attar.sequential import Sequential

        if isinstance(model, str | Path):
            return cls(model, limits=limits)
        if not isinstance(model, Sequential):
            homes = {each.__module__.partition(".")[0] for each in type(model).__mro__}
            # A model of Keras that runs on PyTorch is a module of PyTorch, too.
            of_torch = "torch" in homes and "keras" not in homes
            model = Sequential.from_torch(model) if of_torch else Sequential.from_keras(model)
        folder = tempfile.TemporaryDirectory(prefix="attar-")
        path = Path(folder.name) / f"{Path(model.name).name or 'model'}.safetensors"
        model.save(path)
        models = cls(path, limits=limits)
        models._folder = folder
        return models

    def listed(self) -> list[dict[str, str]]:
        """Return the models that can be asked for."""
        with self._lock:
            return [{"model": key, "name": each.name} for key, each in self._sources.items()]

    def take(self, data: bytes, name: str) -> dict[str, Any]:
        """Open the bytes of an ONNX file.

        Raises
        ------
        ModelError
            It is none, is damaged, or has what is not taken over: the message says what.
        """
        key = hashlib.sha256(data).hexdigest()[:16]
        with self._lock:
            if key not in self._sources:
                file = tempfile.TemporaryFile()  # noqa: SIM115 (closed when it is let go)
                file.write(data)
                self._sources[key] = _Source(name, file=file, nbytes=len(data))
        try:
            facts = self.facts(key)
        except AttarError:
            self._let_go(key)
            raise
        self._keep_within(key)
        return facts

    def _keep_within(self, newest: str) -> None:
        """Let the oldest files go where there are too many bytes of them."""
        with self._lock:
            self._sources.move_to_end(newest)
            total = sum(source.nbytes for source in self._sources.values())
            old = [key for key, each in self._sources.items() if each.file and key != newest]
            too_many = []
            for key in old:
                if total <= _KEPT_BYTES:
                    break
                total -= self._sources[key].nbytes
                too_many.append(key)
        for key in too_many:
            self._let_go(key)

    def _let_go(self, key: str) -> None:
        with self._lock:
            source = self._sources.pop(key, None)
            self._facts.pop(key, None)
        if source is not None and source.file is not None:
            source.file.close()

    def facts(self, model: str, context: "Context | None" = None) -> dict[str, Any]:
        """Return what is known of a model before it sees a picture.

        Returns
        -------
        dict
            ``model``, ``name``, ``input`` (H, W, C; None where any is taken), ``layers``,
            ``parameters``, ``pools`` (whether there are some to swap), ``head``.
        """
        with self._lock:
            known = self._facts.get(model)
        if known is None:
            with self._taking_turns(context):
                self._open(model, context)
                known = self._facts[model]
        return known

    def ask(
        self,
        model: str,
        what: str,
        fields: Mapping[str, Any],
        inputs: Mapping[str, Callable[[], Array]],
        context: "Context",
    ) -> Answer:
        """Ask a model, through `attar.explorer.modelling.desk.Desk`.

        Parameters
        ----------
        model : str
            Its key.
        what : str
            A question of the desk.
        fields : mapping
            Plain values.
        inputs : mapping of str to callable
            Make the inputs that `fields` name. They are called only where the process does not
            have them.
        context : Context
            Whose progress is told, and whose cancelling is heeded.

        Raises
        ------
        CancelError
            Nobody waits any more.
        ModelError
            What is wrong; the next question starts the process again where it ended.
        """
        with self._taking_turns(context):
            question = {**fields, "ask": what}
            answer = self._put(model, question, {}, context)
            if isinstance(answer, list):
                made = {key: inputs[key]() for key in answer}
                answer = self._put(model, question, made, context)
        assert isinstance(answer, tuple)
        return answer

    @contextlib.contextmanager
    def _taking_turns(self, context: "Context | None") -> Any:
        """Wait until the process is free, or nobody waits any more."""
        while not self._turn.acquire(timeout=_TICK):
            if context is not None:
                context.check()
        try:
            yield
        finally:
            self._turn.release()

    def _put(
        self,
        model: str,
        question: Mapping[str, Any],
        inputs: Mapping[str, Array],
        context: "Context | None",
    ) -> Answer | list[str]:
        child = self._open(model, context)
        return self._tell(child, question, inputs, None, context)

    def _open(self, model: str, context: "Context | None") -> Child:
        """Return the process with this model open in it."""
        with self._lock:
            source = self._sources.get(model)
        if source is None:
            raise ArgumentError(f"model: {model!r:.60} is not open (any more); open it again")
        child = self._running()
        if child.opened == model and model in self._facts:
            return child
        question: dict[str, Any] = {"ask": "open", "source": {}}
        if source.path is not None:
            question["source"] = {"path": str(source.path)}
        child.opened = None
        answer = self._tell(child, question, {}, source.file, context)
        assert isinstance(answer, tuple)
        if context is not None:
            context.check()
        child.opened = model
        with self._lock:
            self._facts[model] = {**answer[0], "model": model, "name": source.name}
        return child

    def _running(self) -> Child:
        with self._lock:
            if self._closed:
                raise ArgumentError("model: the explorer has stopped")
            if self._child is None:
                self._child = Child(self._limits)
            return self._child

    def _tell(
        self,
        child: Child,
        question: Mapping[str, Any],
        inputs: Mapping[str, Array],
        blob: BinaryIO | None,
        context: "Context | None",
    ) -> Answer | list[str]:
        cancelled = threading.Event() if context is None else context.cancelled
        progress = (lambda *_: None) if context is None else context.progress
        try:
            answer = child.ask(question, inputs, blob=blob, cancelled=cancelled, progress=progress)
        except StoppedError:
            with self._lock:
                self._child = None
            if context is not None:
                context.check()
            raise
        if context is not None:
            context.check()
        return answer

    def close(self) -> None:
        """End the process, and let go of what was opened."""
        with self._lock:
            self._closed = True
            child, self._child = self._child, None
        if child is not None:
            child.kill()
            with self._turn:
                child.close()
        for key in [each["model"] for each in self.listed()]:
            self._let_go(key)
        if self._folder is not None:
            self._folder.cleanup()

"""What comes of a repair: the model, what was done to it, and what that bought."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from attar.auditing.shift_section import ModeShift
from attar.errors import ArgumentError
from attar.files import atomic_path
from attar.repairing.kinds import Border, PoolName
from attar.repairing.measuring import Bought
from attar.tables import table

__all__ = ["Repaired", "Replacement", "Rewritten", "check_suffix"]

FORMAT = 1  # of the JSON
_NOTICEABLE = 0.005  # of accuracy or agreement, below which nothing needs to be done


@dataclass(frozen=True)
class Replacement:
    """A layer with a stride, and what became of it.

    Attributes
    ----------
    layer : str
    was : str
        What it was: kind, window, stride.
    now : str
        What computes in its place, in order; empty where it stays.
    why : str
        Where what is new was put, or why the layer stays.
    """

    layer: str
    was: str
    now: str
    why: str


class Rewritten(NamedTuple):
    """A model of a framework with other strides.

    Attributes
    ----------
    model : object
    replaced : tuple of Replacement
        One for each layer with a stride, those that stay too.
    """

    model: Any
    replaced: tuple[Replacement, ...]


@dataclass(frozen=True)
class Repaired:
    """What `attar.repair` made. Print it.

    Attributes
    ----------
    model : onnx.ModelProto, torch.nn.Module, keras.Model or attar.Sequential
    framework : {"onnx", "torch", "keras", "attar"}
    pool : {"blur3", "blur5", "blur7", "average", "polyphase"}
    border : {"reflect", "circular"}
    replaced : tuple of Replacement
        One for each layer with a stride, those that stay too, with the reason.
    bought : Bought or None
        Accuracy, consistency and latency before and after, where there were images.
    """

    model: Any
    framework: str
    pool: PoolName
    border: Border
    replaced: tuple[Replacement, ...]
    bought: Bought | None = None

    def __str__(self) -> str:
        changed = [each for each in self.replaced if each.now]
        rows = [(each.layer, each.was, each.now or "—", each.why) for each in self.replaced]
        parts = [f"{self.pool}: {len(changed)} of {len(self.replaced)} strides replaced"]
        if rows:
            parts.append(table(("layer", "was", "is", "where, or why not"), rows))
        if self.bought is not None:
            parts.append(_bought_table(self.bought))
        parts.append(self.advice)
        return "\n\n".join(parts)

    @property
    def advice(self) -> str:
        """Whether the model should be fine-tuned, and why."""
        if not any(each.now for each in self.replaced):
            return "Nothing was replaced: the model computes what it did."
        weights = "Its weights were trained for the strides that it had"
        how = "fine-tune it: docs/repair.md and examples/finetune_repaired.py show how"
        if self.bought is None:
            return f"{weights}. Measure it with images; if accuracy or consistency fell, {how}."
        fell = [
            f"{what} from {before:.1%} to {after:.1%}"
            for what, before, after in self._compared()
            if after < before - _NOTICEABLE
        ]
        if fell:
            return f"{' and '.join(fell).capitalize()}: {weights.lower()}. So {how}."
        if self.bought.agreement is None:
            return f"{weights}. Whether its answers are as good, only labels tell; if not, {how}."
        return "Neither accuracy nor consistency fell: it can be used as it is."

    def _compared(self) -> list[tuple[str, float, float]]:
        """List what should not fall: accuracy, or else agreement with the model before."""
        if self.bought is None:
            return []
        found = []
        before, after = self.bought.before.accuracy, self.bought.after.accuracy
        if before is not None and after is not None:
            found.append(("accuracy fell", before, after))
        elif self.bought.agreement is not None:
            found.append(("agreement with what it answered fell", 1.0, self.bought.agreement))
        if (consistency := self.bought.consistency()) is not None:
            found.append(("consistency fell", *consistency))
        return found

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "format": FORMAT,
            "pool": self.pool,
            "border": self.border,
            "framework": self.framework,
            "replaced": [dataclasses.asdict(each) for each in self.replaced],
            "bought": None if self.bought is None else self.bought.as_dict(),
            "advice": self.advice,
        }

    def to_json(self) -> str:
        """Write everything but the model as JSON."""
        return json.dumps(self.as_dict(), indent=2, allow_nan=False)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model, whole or not at all.

        Parameters
        ----------
        path : str or os.PathLike
            ``.onnx`` for ONNX, ``.keras`` for Keras, ``.safetensors`` for attar's own; for PyTorch
            ``.pt`` or ``.pth``, a pickle of the module.

        Raises
        ------
        ArgumentError (a ValueError)
            The suffix is another one, or the folder does not exist.
        """
        check_suffix("Repaired.save", self.framework, path)
        with atomic_path(path) as temporary:
            _WRITERS[self.framework](self.model, temporary)


def _bought_table(bought: Bought) -> str:
    before, after = bought.before, bought.after
    rows: list[tuple[str, str, str]] = []
    if before.accuracy is not None and after.accuracy is not None:
        rows.append(("accuracy", f"{before.accuracy:.1%}", f"{after.accuracy:.1%}"))
    for one, other in zip(before.shift.modes, after.shift.modes, strict=True):
        what = "cosine" if one.classes is None else "consistency"
        rows.append((f"{what}, {one.mode}", _steadiness(one), _steadiness(other)))
    rows.append(("latency", f"{before.latency_ms:.2f} ms", f"{after.latency_ms:.2f} ms"))
    if bought.agreement is not None:
        rows.append(("same class", "", f"{bought.agreement:.1%}"))
    reach = max((int(max(mode.offsets)) for mode in before.shift.modes), default=0)
    pixels = "pixel" if reach == 1 else "pixels"
    said = f"{bought.images} images, every shift up to {reach} {pixels}, 95 % intervals"
    return f"{table(('', 'before', 'after'), rows, right=(1, 2))}\n{said}"


def _steadiness(mode: ModeShift) -> str:
    if mode.classes is not None:
        found = mode.classes.consistency
        return f"{found.value:.1%} ({found.low:.1%} to {found.high:.1%})"
    return "—" if mode.output is None else f"{mode.output.cosine_mean:.4f}"


# ------------------------------------------------------------------ files


def check_suffix(operation: str, framework: str, path: str | os.PathLike[str]) -> None:
    """Refuse a file that does not say what it would hold.

    Examples
    --------
    >>> check_suffix("repair", "onnx", "model.pt")
    Traceback (most recent call last):
    attar.errors.ArgumentError: repair: a model of onnx is written as .onnx, got 'model.pt'
    """
    accepted = _SUFFIXES[framework]
    if Path(path).suffix.lower() not in accepted:
        raise ArgumentError(
            f"{operation}: a model of {framework} is written as {' or '.join(accepted)}, "
            f"got {os.fspath(path)!r}"
        )


def _write_onnx(model: Any, path: Path) -> None:
    path.write_bytes(model.SerializeToString())


def _write_torch(model: Any, path: Path) -> None:
    import torch

    torch.save(model, path)


def _save(model: Any, path: Path) -> None:
    model.save(path)


_SUFFIXES = {
    "onnx": (".onnx",),
    "torch": (".pt", ".pth"),
    "keras": (".keras",),
    "attar": (".safetensors",),
}
_WRITERS: dict[str, Callable[[Any, Path], None]] = {
    "onnx": _write_onnx,
    "torch": _write_torch,
    "keras": _save,
    "attar": _save,
}

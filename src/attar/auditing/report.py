"""`AuditReport`: the numbers of an audit with what they follow from; as text, JSON and a page."""

from __future__ import annotations

import dataclasses
import html
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias

from attar.auditing.headlines import headlines
from attar.auditing.measure import Section
from attar.auditing.measures import SECTIONS
from attar.auditing.pictures import PREFIX
from attar.auditing.thresholds import Check
from attar.errors import ArgumentError
from attar.files import atomic_path

__all__ = ["AuditReport", "HowMeasured", "ImagesSeen", "ModelSeen"]

SCHEMA = "attar.audit/1"
Language: TypeAlias = Literal["en", "zh"]


@dataclasses.dataclass(frozen=True)
class ModelSeen:
    """Which model was audited, and how it was asked.

    Attributes
    ----------
    name, framework : str
    digest : str
        SHA-256 of its structure and weights.
    layers, parameters : int
    size : (int or None, int or None, int)
        Height, width and channels that it takes; None where any number will do.
    size_says : str
        Where the size is known from.
    preparation : dict
        "scale", "mean", "std", "bgr": what becomes of pictures before it sees them.
    preparation_says : str
        Where that is known from.
    output, output_kind : str or None
        None where it has several outputs and none was chosen.
    """

    name: str
    framework: str
    digest: str
    layers: int
    parameters: int
    size: tuple[int | None, int | None, int]
    size_says: str
    preparation: dict[str, Any]
    preparation_says: str
    output: str | None
    output_kind: str | None

    @property
    def assumed(self) -> bool:
        """Whether nobody said what the model takes."""
        return self.preparation_says.startswith("assumed")


@dataclasses.dataclass(frozen=True)
class ImagesSeen:
    """On which images.

    Attributes
    ----------
    kind : {"files", "array", "shapes"}
        "shapes" were drawn, since there were no images.
    source : str
    available : int
        How many there were.
    chosen : int
        How many of them were to be looked at.
    seen : int
        How many were, so far.
    shape : (int, int, int)
        The height, width and channels that all were given.
    labels : str
        Where the right classes are known from, or that they are not.
    failed : dict of str to str
        Those that could not be read, and why.
    names : dict of int to str
        Of those that a section speaks of, by their number among those seen.
    """

    kind: str
    source: str
    available: int
    chosen: int
    seen: int
    shape: tuple[int, int, int]
    labels: str
    failed: dict[str, str]
    names: dict[int, str]


@dataclasses.dataclass(frozen=True)
class HowMeasured:
    """With which settings, and on what machine.

    Attributes
    ----------
    date : str
        ISO 8601, UTC.
    seconds : float
        What the measuring took, in all sessions together.
    seed : int
    settings : dict
        Those of each measure.
    versions : dict of str to str
    threads : int
    """

    date: str
    seconds: float
    seed: int
    settings: dict[str, dict[str, Any]]
    versions: dict[str, str]
    threads: int


@dataclasses.dataclass(frozen=True)
class AuditReport:
    """What an audit found. Printed, it is a short table; `save` writes the page or the numbers.

    Attributes
    ----------
    complete : bool
        False where the audit was interrupted: then the numbers are of the images seen so far.
    model : ModelSeen
    images : ImagesSeen
    how : HowMeasured
    sections : dict of str to Section
        By the name of the measure; `shift`, `lost`, `space`, `position` and `cost` are also
        attributes, None where that was not measured.
    checks : tuple of Check
        Limits that were set, and whether they are kept.
    thumbnails : dict of int to str
        Small pictures of the images that a section speaks of, as data URIs.

    Examples
    --------
    >>> import attar
    >>> from attar import layers
    >>> model = attar.Sequential([
    ...     layers.Input((16, 16, 1)),
    ...     layers.Conv2D(4, 3, activation="relu"),
    ...     layers.GlobalAveragePooling2D(),
    ...     layers.Dense(3, activation="softmax"),
    ... ])
    >>> report = attar.audit(model, max_images=4)
    >>> report.complete, report.images.seen
    (True, 4)
    >>> AuditReport.from_dict(report.as_dict()) == report
    True
    """

    complete: bool
    model: ModelSeen
    images: ImagesSeen
    how: HowMeasured
    sections: dict[str, Section]
    checks: tuple[Check, ...] = ()
    thumbnails: dict[int, str] = dataclasses.field(default_factory=dict, repr=False)

    # ------------------------------------------------------------------ sections

    @property
    def shift(self) -> Any:
        """What the output does when the image moves: `ShiftSection`, or None."""
        return self.sections.get("shift")

    @property
    def lost(self) -> Any:
        """In which layers invariance is lost: `LostSection`, or None."""
        return self.sections.get("lost")

    @property
    def space(self) -> Any:
        """Which channels are dead, and how much of the maps: `SpaceSection`, or None."""
        return self.sections.get("space")

    @property
    def position(self) -> Any:
        """How well places can be read from each layer: `PositionSection`, or None."""
        return self.sections.get("position")

    @property
    def cost(self) -> Any:
        """What each layer costs: `CostSection`, or None."""
        return self.sections.get("cost")

    @property
    def numbers(self) -> dict[str, float]:
        """The numbers that limits can be set for, by name; what is not known is left out."""
        return {one.name: one.value for one in headlines(self.sections)}

    def with_checks(self, checks: Iterable[Check]) -> Self:
        """Return the report with limits beside its numbers."""
        return dataclasses.replace(self, checks=tuple(checks))

    # ------------------------------------------------------------------ as text

    def __str__(self) -> str:
        from attar.auditing.verdict import verdict
        from attar.tables import table

        rows = [
            (one.name, one.text, one.says.en, *(self._limits(one.name),) * bool(self.checks))
            for one in headlines(self.sections)
        ]
        head = ("number", "", "what it is", *("limit",) * bool(self.checks))
        lines = [
            f"Audit of {self.model.name} ({self.model.framework}), {self.images.seen} of "
            f"{self.images.chosen} images{'' if self.complete else ': interrupted'}",
            *(sentence.en for sentence in verdict(self)),
        ]
        return "\n".join([*lines, "", table(head, rows, right=(1,))]) if rows else "\n".join(lines)

    def _limits(self, name: str) -> str:
        return ", ".join(check.short for check in self.checks if check.name == name)

    def _repr_html_(self) -> str:
        from attar.auditing.verdict import verdict

        words = "".join(f"<p>{html.escape(sentence.en)}</p>" for sentence in verdict(self))
        rows = "".join(
            f"<tr><th style='text-align:left'>{html.escape(one.says.en)}</th>"
            f"<td>{html.escape(one.text)}</td></tr>"
            for one in headlines(self.sections)
        )
        name = html.escape(f"Audit of {self.model.name}, {self.images.seen} images")
        return f"<p><strong>{name}</strong></p>{words}<table>{rows}</table>"

    # ------------------------------------------------------------------ as JSON

    def as_dict(self) -> dict[str, Any]:
        """Return everything as nested dicts and lists that strict JSON takes.

        Its shape changes only together with the number of its "schema".
        """
        whole = {
            "schema": SCHEMA,
            "complete": self.complete,
            "model": dataclasses.asdict(self.model),
            "images": dataclasses.asdict(self.images),
            "how": dataclasses.asdict(self.how),
            "numbers": self.numbers,
            "checks": [check.as_dict() for check in self.checks],
            "sections": {name: section.as_dict() for name, section in self.sections.items()},
            "thumbnails": self.thumbnails,
        }
        found: dict[str, Any] = json.loads(json.dumps(whole, allow_nan=False))
        return found

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return what `as_dict` was made from.

        Raises
        ------
        ArgumentError (a ValueError)
            It is another document, or of another version.
        """
        schema = values.get("schema") if isinstance(values, Mapping) else None
        if schema != SCHEMA:
            raise ArgumentError(
                f"AuditReport: the schema is {schema!r}; accepted is {SCHEMA!r}, as "
                "`attar audit --json` writes it"
            )
        try:
            model, images = dict(values["model"]), dict(values["images"])
            images["names"] = {int(at): name for at, name in images["names"].items()}
            return cls(
                bool(values["complete"]),
                ModelSeen(**model | {"size": tuple(model["size"])}),
                ImagesSeen(**images | {"shape": tuple(images["shape"])}),
                HowMeasured(**values["how"]),
                {name: SECTIONS[name].from_dict(one) for name, one in values["sections"].items()},
                tuple(Check.from_dict(check) for check in values["checks"]),
                {int(at): _picture(uri) for at, uri in values["thumbnails"].items()},
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ArgumentError(
                f"AuditReport: not a whole {SCHEMA} document: {type(error).__name__}: {error}"
            ) from error

    # ------------------------------------------------------------------ as files

    def save(self, path: str | os.PathLike[str], *, language: Language | None = None) -> None:
        """Write the page or the numbers, by the suffix.

        Parameters
        ----------
        path : path
            ``.html``: one page that needs nothing beside it, in English and 中文. ``.json``: all
            numbers, for `load`.
        language : {"en", "zh"}, optional
            Of the page: the one that it shows at first. English by default.

        Raises
        ------
        ArgumentError (a ValueError)
        """
        suffix = Path(path).suffix.lower()
        if suffix == ".json":
            text = json.dumps(self.as_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        elif suffix in (".html", ".htm"):
            from attar.auditing.page import page

            text = page(self, language or "en")
        else:
            raise ArgumentError(
                f"AuditReport.save: the suffix of {os.fspath(path)!r} does not say what to write; "
                "accepted are .html and .json"
            )
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read the numbers that `save` wrote as ``.json``.

        Raises
        ------
        ArgumentError (a ValueError)
            There is no such file, or it is another document.
        """
        try:
            values = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ArgumentError(
                f"AuditReport.load: cannot read {os.fspath(path)!r}: {error}"
            ) from None
        return cls.from_dict(values)


def _picture(uri: str) -> str:
    """Return a picture that a document holds: nothing that a page would fetch from elsewhere."""
    if not uri.startswith(PREFIX):
        raise ValueError(f"a thumbnail begins with {uri[:30]!r}, and not with {PREFIX!r}")
    return uri

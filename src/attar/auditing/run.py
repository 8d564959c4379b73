"""`attar.audit`: measures put to a model, block by block of images."""

from __future__ import annotations

import contextlib
import os
import platform
import tempfile
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

import numpy as np

import attar
from attar.auditing.images import OPERATION, Images, Size, images_of
from attar.auditing.labels import Labels, labels_of
from attar.auditing.measure import Measure
from attar.auditing.measures import NAMES, measures_of, spoken_of
from attar.auditing.pictures import thumbnail
from attar.auditing.report import AuditReport, HowMeasured, ImagesSeen, ModelSeen
from attar.auditing.work import Progress, Work
from attar.config import get_num_threads
from attar.errors import ArgumentError, ImageError
from attar.models import Model, open_model

__all__ = ["AuditInterrupted", "audit"]


class AuditInterrupted(KeyboardInterrupt):
    """An audit was interrupted (Ctrl-C).

    Attributes
    ----------
    report : AuditReport or None
        Of the images seen so far; None where there is none.
    """

    def __init__(self, report: AuditReport | None) -> None:
        seen = "" if report is None else f" after {report.images.seen} images; see its .report"
        super().__init__(f"the audit was interrupted{seen}")
        self.report = report


def audit(
    model: Any,
    images: Any = None,
    *,
    labels: Any = None,
    measures: Iterable[str | Measure] = NAMES,
    shifts: Sequence[str] | None = None,
    seed: int = 0,
    max_images: int | None = None,
    resume: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> AuditReport:
    """Measure how translation-invariant a trained model is, where that is lost, and what is dead.

    docs/metrics.md defines each number; docs/audit.md tells how to read them.

    Parameters
    ----------
    model : Model, path or object
        As `attar.open_model` gives it, or takes it. Open it yourself to state what it takes:
        numbers of a model that is fed wrongly say nothing.
    images : path, glob, array, sequence of paths, optional
        Pictures, a folder of them, a ``.npy`` or ``.npz`` file, or an array (N, H, W, C), float in
        [0, 1] or uint8. All get the size that the model takes, or that of the first. Without any,
        shapes are drawn, and the report says so.
    labels : path, sequence of int, or False, optional
        The right classes: ``.npy``, numbers, or ``.csv`` with rows ``file,label``. By default
        folders say them, one for each class. False for none.
    measures : iterable of names or Measure, optional
        "shift", "lost", "space", "position", "cost"; all by default.
    shifts : sequence of str, optional
        Ways to move images: "crop", "zero", "reflect", "circular", "linear", "fourier", and as
        papers do, "zhang2019", "aps", "lps". All but those of papers by default.
        `attar.auditing.Shift` has more settings, and can be given among `measures`.
    seed : int, default 0
        Of everything that is left to chance.
    max_images : int, optional
        Look at so many, evenly spread over all.
    resume : path, optional
        A folder for what was found. It is made, or, where the same audit was interrupted, the
        audit goes on with what is missing.
    progress : callable (done, total), optional
        Called with the number of forward passes that are done, and that there are.

    Returns
    -------
    AuditReport

    Raises
    ------
    ArgumentError, ShapeError, ModelError, ImageError (all ValueError), DTypeError (a TypeError)
        `resume` is the folder of another audit, and the message says in what that differs; no image
        can be read; …
    AuditInterrupted (a KeyboardInterrupt)
        Ctrl-C; with the report of what was seen.

    Examples
    --------
    >>> from attar import Sequential, layers
    >>> model = Sequential([
    ...     layers.Input((16, 16, 1)),
    ...     layers.Conv2D(4, 3, activation="relu", name="filter"),
    ...     layers.GlobalAveragePooling2D(name="pool"),
    ...     layers.Dense(3, activation="softmax", name="classes"),
    ... ])
    >>> report = audit(model, np.zeros((4, 16, 16), np.uint8), measures=["space"])
    >>> report.images.seen, report.shift
    (4, None)
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ArgumentError(f"{OPERATION}: seed must be an int of at least 0, got {seed!r}")
    opened = model if isinstance(model, Model) else open_model(model)
    asked = measures_of(measures, shifts=shifts, seed=int(seed))
    given = opened.input
    found = images_of(
        images,
        Size(given.height, given.width, given.channels),
        max_images=max_images,
        seed=int(seed),
    )
    known = labels_of(found, labels, _classes(opened))
    with contextlib.ExitStack() as stack:
        folder = resume
        if folder is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="attar-audit-"))
        work = Work(opened, found, known, asked, int(seed), folder, progress)
        try:
            work.run()
        except KeyboardInterrupt:
            report = _report(work, opened, found, known, int(seed), complete=False)
            raise AuditInterrupted(report) from None
        report = _report(work, opened, found, known, int(seed), complete=True)
        if report is None:
            why = next(iter(work.failed().values()))
            raise ImageError(
                f"{OPERATION}: none of {len(found)} images can be read; the first: {why}"
            )
    return report


def _report(
    work: Work, model: Model, images: Images, labels: Labels, seed: int, *, complete: bool
) -> AuditReport | None:
    """Return what was found so far; None where nothing was."""
    sections = work.sections()
    if not sections:
        return None
    read = work.read()
    shown = [i for i in spoken_of(sections) if i < len(read)]
    return AuditReport(
        complete,
        _model_seen(model, work.identity["model"]),
        ImagesSeen(
            images.kind,
            images.source,
            images.available,
            len(images),
            len(read),
            images.shape,
            labels.says,
            work.failed(),
            {i: images.names[read[i]] for i in shown},
        ),
        HowMeasured(
            datetime.now(UTC).isoformat(timespec="seconds"),
            round(work.seconds(), 1),
            seed,
            work.settings,
            _versions(model.framework),
            get_num_threads(),
        ),
        sections,
        thumbnails={i: thumbnail(images.read(read[i])) for i in shown},
    )


def _model_seen(model: Model, digest: str) -> ModelSeen:
    size, made = model.input, model.preparation
    return ModelSeen(
        model.name,
        model.framework,
        digest,
        len(model.layers),
        sum(layer.parameters for layer in model.layers),
        (size.height, size.width, size.channels),
        size.size_says,
        {"scale": made.scale, "mean": list(made.mean), "std": list(made.std), "bgr": made.bgr},
        size.preparation_says,
        model.output,
        None if model.output is None else model.output_kind,
    )


_PACKAGES = {"onnx": ("onnxruntime", "onnx"), "torch": ("torch",), "keras": ("keras",)}


def _versions(framework: str) -> dict[str, str]:
    found = {
        "attar": attar.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
    }
    for package in _PACKAGES.get(framework, ()):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return {**found, "system": f"{platform.system()} {platform.machine()}"}


def _classes(model: Model) -> int | None:
    """Return how many classes the model tells apart; None where its output is no classes."""
    if model.output is None or model.output_kind not in ("probabilities", "logits"):
        return None
    side = model.input
    empty = np.empty((0, side.height or 1, side.width or 1, side.channels), np.float32)
    width = int(model.predict(empty).shape[-1])
    return 2 if width == 1 else width  # one number: yes or no

"""`attar.repair`: a model of any framework, without strides that leave things out unseen."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from typing import Any

from attar.auditing.images import Size, images_of
from attar.auditing.labels import labels_of
from attar.errors import ArgumentError, DTypeError
from attar.models import Model, open_model
from attar.repairing.kinds import Border, Kind, PoolName, kind_of
from attar.repairing.measuring import classes_of, measure
from attar.repairing.repaired import Repaired, Rewritten

__all__ = ["OPERATION", "repair"]

OPERATION = "repair"


def repair(
    model: Any,
    pool: PoolName = "blur3",
    *,
    border: Border = "reflect",
    images: Any = None,
    labels: Any = None,
    max_images: int | None = None,
    modes: Sequence[str] = ("crop", "zero", "circular"),
    reach: int = 3,
    seed: int = 0,
    trust: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Repaired:
    """Replace the strides of a model, which make it answer otherwise when an image moves.

    A stride leaves out places by where they lie. What it leaves out is computed after all, and
    condensed: max pools, average pools and convolutions with a stride become the same without one
    (behind a convolution its normalization and its activation), and then

    - ``"blur3"``, ``"blur5"``, ``"blur7"``: a filter, a row of Pascal's triangle along each axis,
      with the stride. R. Zhang, "Making Convolutional Networks Shift-Invariant Again", ICML 2019;
    - ``"polyphase"``: of the places at which a stride can begin, those with the largest energy, for
      each image. Strides that begin one grid, as behind a shortcut, take one choice. A. Chaman and
      I. Dokmanić, "Truly shift-invariant convolutional neural networks", CVPR 2021;
    - ``"average"``: max pools become the means of their windows; behind convolutions, the mean of
      as many cells as the stride goes over.

    Shapes and weights stay; docs/repair.md tells more.

    Parameters
    ----------
    model : Model, path, bytes or model
        What `attar.open_model` takes, or gives: an opened model also says what images must be like.
        It stays as it is.
    pool : {"blur3", "blur5", "blur7", "polyphase", "average"}
    border : {"reflect", "circular"}
        What a blur sees beyond a map: it, mirrored, or its other side. With ``"circular"``, windows
        of pools that are replaced go on at the other side as well. Convolutions keep their padding.
    images : path, glob, array, sequence of paths, optional
        What the model is measured with, before and after, as of `attar.audit`: pictures, a folder
        of them, a ``.npy`` or ``.npz`` file, or an array (N, H, W, C), float in [0, 1] or uint8.
    labels : path, sequence of int, or False, optional
        The right classes, as of `attar.audit`: by default beside the images, or folders say them.
    max_images : int, optional
        Take so many of them, evenly spread over all.
    modes : sequence of str
        How images are moved: "crop", "zero", "reflect", "circular".
    reach : int
        By every shift up to so many pixels.
    seed : int
        Of confidence intervals.
    trust : bool
        Open files that can run code: as of `open_model`.
    progress : callable (done, total), optional
        Called while it measures.

    Returns
    -------
    Repaired

    Raises
    ------
    ModelError (a ValueError)
        The model cannot be opened, or not be written anew.
    ArgumentError, ShapeError (both ValueError), DTypeError (a TypeError)

    Examples
    --------
    >>> from attar import Sequential, layers
    >>> model = Sequential([
    ...     layers.Input((16, 16, 1)),
    ...     layers.Conv2D(4, 3, strides=2, name="filter"),
    ...     layers.ReLU(name="detect"),
    ...     layers.MaxPool2D(name="condense"),
    ... ])
    >>> repaired = repair(model, "blur3")
    >>> for each in repaired.replaced:
    ...     print(f"{each.layer}: {each.was} → {each.now}, {each.why}")
    filter: Conv2D 3 / 2 → Conv2D 3 / 1, blur3 / 2, behind detect
    condense: MaxPooling2D 2 / 2 → MaxPooling2D 2 / 1, blur3 / 2, behind it
    >>> repaired.model.output_shape == model.output_shape
    True
    """
    kind = kind_of(OPERATION, pool, border)
    if images is None and not (labels is None or labels is False):
        raise ArgumentError(f"{OPERATION}: labels are of images; give images as well")
    source = model
    if isinstance(model, str | os.PathLike | bytes | bytearray | memoryview):
        source = open_model(model, trust=trust)
    wrapped = source.wrapped if isinstance(source, Model) else source
    framework, (rewritten, replaced) = _rewritten(wrapped, kind)
    result = Repaired(rewritten, framework, kind.name, kind.border, replaced)
    if images is None:
        return result
    before = source if isinstance(source, Model) else open_model(source)
    given = before.input
    size = Size(given.height, given.width, given.channels)
    found = images_of(images, size, max_images=max_images, seed=seed)
    known = labels_of(found, labels, classes_of(before, found))
    bought = measure(
        before,
        _opened_alike(before, rewritten),
        found,
        known.values,
        modes=modes,
        reach=reach,
        seed=seed,
        progress=progress,
    )
    return dataclasses.replace(result, bought=bought)


def _rewritten(model: Any, kind: Kind) -> tuple[str, Rewritten]:
    # By the names of its classes, so that no framework is imported that is not there already.
    roots = {each.__module__.partition(".")[0] for each in type(model).__mro__}
    if "keras" in roots:  # on PyTorch, Keras' models are modules as well
        from attar.repairing import keras

        return "keras", keras.rewrite(model, kind)
    if "torch" in roots:
        from attar.repairing import torch

        return "torch", torch.rewrite(model, kind)
    if "onnx" in roots and type(model).__name__ == "ModelProto":
        from attar.models import onnx_files
        from attar.repairing import onnx

        checked = type(model)()
        checked.CopyFrom(model)
        onnx_files.check(checked, None, model.ByteSize())
        return "onnx", onnx.rewrite(checked, kind)
    if type(model).__name__ == "Sequential" and "attar" in roots:
        from attar.repairing import sequential

        return "attar", sequential.rewrite(model, kind)
    raise DTypeError(
        f"{OPERATION}: model must be a path, the bytes of an ONNX file, an opened model, or a "
        f"model of ONNX, Keras 3, PyTorch or attar, got {type(model).__module__}."
        f"{type(model).__qualname__}"
    )


def _opened_alike(model: Model, rewritten: Any) -> Model:
    """Open a model that takes what another takes."""
    height, width = model.input.height, model.input.width
    return open_model(
        rewritten,
        size=None if height is None or width is None else (height, width),
        layout=model.input.layout if model.framework == "onnx" else None,
        preparation=model.preparation,
        # By its place: what outputs are called depends on how a model of Keras is written.
        output=None if model.output is None else model.outputs.index(model.output),
        output_kind=model.output_kind if model.output is not None else None,
        name=f"{model.name}, repaired",
    )

"""The explorer from Python: beside a program, or in a frame of a notebook."""

import atexit
import html
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attar.errors import ArgumentError, DTypeError, ShapeError
from attar.explorer.rooms import NAMES

if TYPE_CHECKING:
    from attar.explorer.app import State
    from attar.explorer.server import Server
    from attar.extraction import Extraction

__all__ = ["Explorer", "explore"]

Array: TypeAlias = NDArray[Any]

LANGUAGES = ("en", "zh")
_FRAME_HEIGHT = 900  # pixels
_MOST_KERNEL = 11  # cells along a side that the room Extract has


class Explorer:
    """A page of the explorer, open as long as this object's server runs.

    As the last line of a notebook's cell it shows the page. Elsewhere its address can be opened in
    any browser of this machine.

    Attributes
    ----------
    address : str
        With the token that opens the page; who has it can use this server.
    """

    def __init__(self, server: "Server", room: str, opening: Mapping[str, str]) -> None:
        self._server = server.start()
        self.address = server.address(room, opening)
        # Models run in a process of their own, which ends with ours.
        atexit.register(server.stop)

    def open(self) -> None:
        """Open the page in this machine's browser."""
        import webbrowser

        webbrowser.open(self.address)

    def stop(self) -> None:
        """Stop the server. The page stays as it is, and answers no more."""
        self._server.stop()
        atexit.unregister(self._server.stop)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<Explorer {self.address}>"

    def _repr_html_(self) -> str:
        address = html.escape(self.address)
        return (
            f'<iframe src="{address}" title="attar" width="100%" height="{_FRAME_HEIGHT}" '
            'style="border: 0" allow="camera; clipboard-write; fullscreen"></iframe>'
            f'<p><a href="{address}" target="_blank" rel="noopener">↗ attar</a></p>'
        )


def explore(
    image: "str | os.PathLike[str] | ArrayLike | Extraction | None" = None,
    *,
    model: object = None,
    room: str | None = None,
    lang: str | None = None,
    port: int = 0,
) -> Explorer:
    """Open a page on which every knob of filter, detect, condense is live.

    The page is served by a thread of this process, to browsers of this machine alone. It shows in
    a notebook whose server runs on this machine.

    Parameters
    ----------
    image : str, os.PathLike, array_like or Extraction, optional
        The picture to begin with: a file, or pixels (H, W), (H, W, 1) or (H, W, 3), floats in
        [0, 1], uint8 or uint16. An `Extraction` brings its kernel and its options along. Default:
        a photograph.
    model : str, os.PathLike or model, optional
        For the rooms Model and Scores: a .keras, .onnx or .safetensors file, an
        `attar.Sequential`, or a model of Keras or PyTorch.
    room : {"extract", "invariance", "model", "scores"}, optional
        Where the page begins. Default: Model where there is a model, else Extract.
    lang : {"en", "zh"}, optional
        The language of the page. Default: the browser's.
    port : int, default 0
        Where it listens; 0 takes any that is free.

    Returns
    -------
    Explorer
        With `address` and `stop()`. In a ``with`` statement it stops at its end.

    Raises
    ------
    ArgumentError, ShapeError, DTypeError
        An argument is none of the above.
    ImageError, ModelError
        A file cannot be read.

    Examples
    --------
    >>> with explore(np.eye(8, dtype="float32")) as page:
    ...     page.address.startswith("http://127.0.0.1:")
    True
    """
    from attar.explorer.server import Server

    if room is not None and room not in NAMES:
        raise ArgumentError(f"explore: room is {room!r}; accepted are {', '.join(NAMES)}")
    if lang is not None and lang not in LANGUAGES:
        raise ArgumentError(f"explore: lang is {lang!r}; accepted are {', '.join(LANGUAGES)}")
    state = state_of(image, model)
    server = Server(state, port=port, framed=True)
    return Explorer(server, room or room_of(model), beginning(state, lang))


def room_of(model: object) -> str:
    """Return where a page begins that is told nothing else."""
    return "extract" if model is None else "model"


def beginning(state: "State", lang: str | None) -> dict[str, str]:
    """Return the fields of the address where a page begins."""
    return dict(state.opening) if lang is None else {**state.opening, "lang": lang}


def state_of(image: object, model: object) -> "State":
    """Return what a server serves that begins with this image and this model."""
    from attar.explorer.app import State
    from attar.explorer.models import Models
    from attar.explorer.pictures import Pictures
    from attar.extraction import Extraction
    from attar.images import read_image

    pictures, opening = Pictures(), {}
    if isinstance(image, Extraction):
        opening = _options(image)
        image = image.image
    if isinstance(image, str | os.PathLike):
        picture = pictures.add(read_image(image), Path(image).name, stays=True)
        opening["image"] = picture.key
    elif image is not None:
        opening["image"] = pictures.add(_pixels(image), "image", stays=True).key
    if model is None:
        models = Models()
    elif isinstance(model, str | os.PathLike):
        models = Models(Path(model))
    else:
        models = Models.of(model)
    return State(pictures, models, opening)


def _pixels(image: object) -> NDArray[np.float32]:
    """Return a picture of our own: float32 (H, W) or (H, W, 3) in [0, 1]."""
    from attar.arrays import from_caller

    pixels, _ = from_caller("explore", "image", image)
    white = {"uint8": 255, "uint16": 65535}.get(pixels.dtype.name)
    if white is None and pixels.dtype.kind != "f":
        raise DTypeError(
            f"explore: the image has dtype {pixels.dtype}; accepted are floats in [0, 1], uint8 "
            "and uint16"
        )
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.ndim not in (2, 3) or pixels.shape[2:] not in ((), (3,)) or 0 in pixels.shape:
        raise ShapeError(
            f"explore: the image has shape {pixels.shape}; accepted are (H, W), (H, W, 1) and "
            "(H, W, 3)"
        )
    copy: NDArray[np.float32] = np.array(pixels, np.float32, order="C")
    if white is not None:
        copy /= np.float32(white)
    if not np.isfinite(copy).all():
        raise ArgumentError("explore: the image has NaN or infinity; accepted are finite numbers")
    return copy


def _options(extraction: "Extraction") -> dict[str, str]:
    """Return what the room Extract reads from its address; what it has no knob for is left out."""
    spec, kernel = extraction.spec, extraction.kernel
    chosen: dict[str, str] = {"activation": spec.activation or "none", "pool": spec.pool or "none"}
    if spec.kernel is not None:
        chosen["kernel"] = spec.kernel
    elif kernel.ndim == 2 and max(kernel.shape) <= _MOST_KERNEL:
        chosen["kernel"] = ";".join(",".join(map(_number, row)) for row in kernel)
    if spec.bias is not None and len(spec.bias) == 1:
        chosen["bias"] = _number(spec.bias[0])
    for name in ("conv_stride", "pool_size", "pool_stride"):
        vertical, horizontal = getattr(spec, name)
        if vertical == horizontal:
            chosen[name] = str(vertical)
    for name in ("conv_padding", "pool_padding"):
        padding = getattr(spec, name)
        if isinstance(padding, str):
            chosen[name] = padding
    return chosen


def _number(value: float) -> str:
    """Write a number with as many digits as tell it from every other."""
    return str(np.format_float_positional(value, trim="-"))

"""``attar explore``: a page in the browser on which every knob is live."""

import os
import sys
import threading
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Group, Parameter

from attar.cli.shell import DONE
from attar.errors import ArgumentError, ModelNotFoundError

__all__ = ["explore"]

_MODELS = (".keras", ".onnx", ".safetensors")

_PAGE = Group("The page", sort_key=1)
_SERVER = Group("The server", sort_key=2)


def explore(
    *files: Annotated[str, Parameter(name="FILE", show_default=False)],
    room: Annotated[
        Literal["extract", "invariance", "model", "scores"] | None, Parameter(group=_PAGE)
    ] = None,
    lang: Annotated[Literal["en", "zh"] | None, Parameter(group=_PAGE)] = None,
    no_browser: Annotated[bool, Parameter(group=_PAGE, show_default=False)] = False,
    port: Annotated[int | None, Parameter(group=_SERVER)] = None,
    host: Annotated[str, Parameter(group=_SERVER)] = "127.0.0.1",
    allow_remote: Annotated[bool, Parameter(group=_SERVER, show_default=False)] = False,
) -> int:
    """Open a page in the browser on which every knob of filter, detect, condense is live.

    The page comes from this machine and needs no network. Ctrl-C stops it.

        attar explore
        attar explore photo.jpg
        attar explore vgg16.onnx photo.jpg --room scores

    Parameters
    ----------
    files
        A picture to begin with, and a model: a .keras, .onnx or .safetensors file. Either, both or
        none, in any order.
    room
        Where the page begins. Default: model where there is a model, else extract.
    lang
        The language of the page. Default: the browser's.
    no_browser
        Print the address, and open no browser.
    port
        Where the server listens. Default: 8265, or the next that is free. 0 takes any.
    host
        The address of this machine that it listens on. Any but 127.0.0.1, ::1 and localhost can
        be reached by other machines, and needs --allow-remote.
    allow_remote
        Let other machines in: everyone who has the address with its token can then open pictures
        and models in this process. Nothing is encrypted.
    """
    image, model = _sorted(files)
    from attar.explorer.notebook import beginning, room_of, state_of
    from attar.explorer.server import Server

    state = state_of(image, model)
    server = Server(state, host=host, port=port, allow_remote=allow_remote)
    place = (room or room_of(model), beginning(state, lang))

    def greet() -> None:
        print(f"attar explorer: {server.address(*place)}", flush=True)
        if server.is_remote:
            print(
                "Other machines can reach it: whoever has this address can open pictures and "
                "models here, and nothing is encrypted.",
                flush=True,
            )
        print("Stop it with Ctrl-C.", flush=True)
        if not no_browser and _has_screen():
            import webbrowser

            # In a thread: some wait until the browser is closed, and so would the server.
            page = server.invitation(*place)
            threading.Thread(target=webbrowser.open, args=(page,), daemon=True).start()

    try:
        server.run(greet)
    except KeyboardInterrupt:
        # The way to stop it, and so no failure.
        print("\nattar: stopped", file=sys.stderr)
    return DONE


def _sorted(files: tuple[str, ...]) -> tuple[str | None, str | None]:
    """Return the picture and the model."""
    models = [file for file in files if Path(file).suffix.lower() in _MODELS]
    images = [file for file in files if file not in models]
    if len(models) > 1 or len(images) > 1:
        raise ArgumentError(
            f"explore: got {len(images)} pictures and {len(models)} models; accepted is one of "
            f"each at most (a model is a file that ends in {', '.join(_MODELS)})"
        )
    for model in models:
        if not Path(model).is_file():
            raise ModelNotFoundError(f"explore: no model at {model!r}")
    return next(iter(images), None), next(iter(models), None)


def _has_screen() -> bool:
    """Whether a browser would open in a window, and not take over this terminal."""
    named = any(os.environ.get(name) for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY"))
    return named or sys.platform in ("darwin", "win32")

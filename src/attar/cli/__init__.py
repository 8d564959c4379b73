"""The shell: parse, one call, print.

Every command is a thin layer over one public function, in a room of its own. What is heavy is
imported by the command that uses it, so that ``attar --help`` is not kept waiting for Matplotlib.
"""

import gc
import os
import signal
import sys
import warnings
from collections.abc import Callable, Sequence

from cyclopts import CycloptsError

from attar.cli import audit, batch, experiment, explore, extract, maps, repair
from attar.cli.shell import DONE, EPILOGUE, INTERRUPTED, USAGE, app
from attar.errors import AttarError

__all__ = ["main"]

_COMMANDS: dict[str, tuple[Callable[..., int], str, str]] = {
    "extract": (extract.extract, "[OPTIONS] IMAGE...", EPILOGUE),
    "maps": (maps.maps, "[OPTIONS] MODEL [IMAGE]", EPILOGUE),
    "explore": (explore.explore, "[OPTIONS] [MODEL] [IMAGE]", EPILOGUE),
    "audit": (audit.audit, "[OPTIONS] MODEL [IMAGE...]", audit.EPILOGUE),
    "repair": (repair.repair, "[OPTIONS] MODEL [IMAGE...]", repair.EPILOGUE),
    "batch": (batch.batch, "[OPTIONS] SRC DST", batch.EPILOGUE),
    "experiment": (experiment.experiment, "[OPTIONS] NAME [IMAGE...]", EPILOGUE),
}
for _name, (_function, _usage, _epilogue) in _COMMANDS.items():
    app.command(
        _function, name=_name, usage=f"Usage: attar {_name} {_usage}", help_epilogue=_epilogue
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the ``attar`` command.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments after the program's name; those of this process by default.

    Returns
    -------
    int
        The exit status: 0 done, 1 a limit of `attar audit` is not kept, 2 wrong usage, 3 some
        images failed, 130 interrupted.

    Examples
    --------
    >>> main(["--version"])
    0.1.0
    0
    """
    if argv is not None:
        return _run(argv)
    # This process is ours. Importing makes many objects and no garbage, so looking for some
    # takes 0.04 s of 0.7. Commands that draw one figure after
    # the other turn it on again.
    gc.disable()
    # Matplotlib imports its 3-D axes only to have them registered: another 0.04 s. It does
    # without, and warns that it does.
    sys.modules["mpl_toolkits.mplot3d"] = None  # type: ignore[assignment]
    warnings.filterwarnings("ignore", "Unable to import Axes3D")
    # A terminal of another encoding gets \u2192 for an arrow, not an exception.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    status = _run(sys.argv[1:])
    # Python looks for garbage once more when it ends, and takes 0.12 s to take Matplotlib apart.
    gc.freeze()
    return status


def _run(argv: Sequence[str]) -> int:
    try:
        status = app(
            list(argv), exit_on_error=False, print_error=False, result_action="return_value"
        )
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("attar: interrupted; finished results are kept", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        return _closed_pipe()
    except (CycloptsError, AttarError, OSError) as error:
        command = f"attar {argv[0]}" if argv and argv[0] in _COMMANDS else "attar"
        print(f"attar: {error}\nTry: {command} --help", file=sys.stderr)
        return USAGE
    return status if isinstance(status, int) else DONE


def _closed_pipe() -> int:
    """Leave quietly when the reader of our output is gone, as in ``attar … | head -1``."""
    # Python flushes stdout once more at its exit, and would complain.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 128 + getattr(signal, "SIGPIPE", 13)

"""attar: the base of a convnet as a tool. Filter, detect, condense.

>>> import numpy as np
>>> import attar
>>> image = np.zeros((6, 6), np.float32)
>>> image[:, 3:] = 1
>>> attar.extract(image, "edge").condense.shape
(3, 3)

Importing attar loads NumPy and the native core. Everything else is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

try:
    from attar import _core as _core
except ImportError as error:
    if "ATTAR_ISA" in str(error):
        raise
    raise ImportError(
        f"attar's native core cannot be loaded ({error}). Build it with `pip install .` in the "
        "project's folder: that needs a C++20 compiler. There is no slower fall-back."
    ) from error

if TYPE_CHECKING:
    from attar import batch as batch
    from attar import experiments as experiments
    from attar import features as features
    from attar import figures as figures
    from attar import keras as keras
    from attar import kernels as kernels
    from attar import layers as layers
    from attar import nn as nn
    from attar import torch as torch
    from attar.auditing import AuditReport as AuditReport
    from attar.auditing import audit as audit
    from attar.config import get_num_threads as get_num_threads
    from attar.config import set_num_threads as set_num_threads
    from attar.config import show_config as show_config
    from attar.errors import AttarError as AttarError
    from attar.explorer.notebook import explore as explore
    from attar.extraction import Extraction as Extraction
    from attar.extraction import extract as extract
    from attar.images import read_image as read_image
    from attar.images import write_image as write_image
    from attar.models import Model as Model
    from attar.models import open_model as open_model
    from attar.repairing import Repaired as Repaired
    from attar.repairing import repair as repair
    from attar.sequential import Sequential as Sequential

__version__ = "0.1.0"

# Where each name of the front door lives; an empty name is the module itself.
_HOMES = {
    "AttarError": "attar.errors",
    "AuditReport": "attar.auditing",
    "Extraction": "attar.extraction",
    "Model": "attar.models",
    "Repaired": "attar.repairing",
    "Sequential": "attar.sequential",
    "audit": "attar.auditing",
    "batch": "",
    "experiments": "",
    "explore": "attar.explorer.notebook",
    "extract": "attar.extraction",
    "features": "",
    "figures": "",
    "get_num_threads": "attar.config",
    "keras": "",
    "kernels": "",
    "layers": "",
    "nn": "",
    "open_model": "attar.models",
    "read_image": "attar.images",
    "repair": "attar.repairing",
    "set_num_threads": "attar.config",
    "show_config": "attar.config",
    "torch": "",
    "write_image": "attar.images",
}

# What needs a package beside attar's own is no part of `from attar import *`.
_EXTRAS = {"keras", "torch"}

__all__ = [*sorted(_HOMES.keys() - _EXTRAS), "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'attar' has no attribute {name!r}")
    home = _HOMES[name]
    if not home:
        return importlib.import_module(f"attar.{name}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*_HOMES, "__version__"])

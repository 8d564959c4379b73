"""Files of PyTorch, for those who trust them: opening them can run code."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attar.errors import ModelError
from attar.interchange.limits import shown, shown_path
from attar.models.protocol import OPERATION, missing

__all__ = ["read"]


def read(file: Path) -> Any:
    """Return the module in a ``.pt``, ``.pth`` or ``.pt2`` file.

    Raises
    ------
    ModelError (a ValueError)
        The file is damaged, or has no module in it.
    """
    try:
        import torch
    except ImportError as error:
        raise missing("torch", "torch", error) from error
    try:
        if file.suffix.lower() == ".pt2":
            return torch.export.load(file).module()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that compiled scripts go out of use
            found = torch.load(file, map_location="cpu", weights_only=False)
    except Exception as error:  # whatever a pickle raises, such as for classes that are not there
        raise ModelError(
            f"{OPERATION}: PyTorch cannot open {shown_path(file)}: {shown(str(error), 300)}"
        ) from error
    if isinstance(found, torch.nn.Module):
        return found
    if isinstance(found, Mapping):
        for key in ("model", "module", "net", "ema"):
            if isinstance(found.get(key), torch.nn.Module):
                return found[key]
        tensors = [name for name, value in found.items() if isinstance(value, torch.Tensor)]
        if tensors or any(str(key).endswith("state_dict") for key in found):
            raise ModelError(
                f"{OPERATION}: {shown_path(file)} holds weights (such as "
                f"{shown(next(iter(tensors or found)))}) and no model: what is missing is the "
                "class that says how they are used. Build the module, load them with "
                "load_state_dict, and pass the module"
            )
    raise ModelError(
        f"{OPERATION}: {shown_path(file)} holds {type(found).__name__}; a torch.nn.Module is "
        "accepted"
    )

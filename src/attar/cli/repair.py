"""``attar repair``: a trained model whose strides leave nothing out unseen."""

import contextlib
import json
import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Group, Parameter

from attar.cli.opening import (
    Layout,
    Mean,
    ModelOutput,
    Order,
    Preset,
    Scale,
    Size,
    Std,
    TrustModel,
    images_of,
    labels_of,
    open_as_stated,
    progress_bar,
)
from attar.cli.shell import DONE, FILES, OWN_SUFFIX
from attar.errors import ArgumentError

__all__ = ["EPILOGUE", "repair"]

EPILOGUE = (
    "Exit status: 0 all done · 2 the command is wrong or the model cannot be repaired, nothing was "
    "done · 130 interrupted."
)

_HOW = Group("How", sort_key=0)
_MEASURE = Group("What it bought", sort_key=1)


def repair(
    model: Annotated[str, Parameter(name="MODEL", show_default=False)],
    /,
    *images: Annotated[str, Parameter(name="IMAGE", show_default=False)],
    pool: Annotated[
        Literal["blur3", "blur5", "blur7", "polyphase", "average"], Parameter(group=_HOW)
    ] = "blur3",
    border: Annotated[Literal["reflect", "circular"], Parameter(group=_HOW)] = "reflect",
    labels: Annotated[str | None, Parameter(group=_MEASURE, metavar="FILE|none")] = None,
    shifts: Annotated[str, Parameter(group=_MEASURE, metavar="NAME,NAME")] = "crop,zero,circular",
    reach: Annotated[int, Parameter(group=_MEASURE, metavar="N")] = 3,
    max_images: Annotated[int, Parameter(group=_MEASURE, metavar="N")] = 200,
    trust_model: TrustModel = False,
    size: Size = None,
    layout: Layout = None,
    preparation: Preset = None,
    scale: Scale = None,
    mean: Mean = None,
    std: Std = None,
    order: Order = None,
    model_output: ModelOutput = None,
    output: Annotated[
        str | None, Parameter(name=["--output", "-o"], group=FILES, metavar="FILE")
    ] = None,
    as_json: Annotated[bool, Parameter(name="--json", group=FILES, show_default=False)] = False,
) -> int:
    """Replace the strides of a trained model, which make it answer otherwise when an image moves.

    Weights and shapes stay. With images it tells what that bought: accuracy, consistency and
    latency, before and after, and whether to fine-tune.

        attar repair model.onnx
        attar repair model.onnx photos/ --pool blur5 -o steady.onnx
        attar repair digits.keras test.npz --pool polyphase --json

    Parameters
    ----------
    model
        A .onnx, .keras or .safetensors file.
    images
        Pictures, folders of them, a pattern in quotes, or a .npy or .npz file, as of attar audit.
    pool
        What stands in the place of a stride: a blur of 3, 5 or 7 taps; the phase of the stride
        that has most energy, for each image; or a mean.
    border
        What a blur sees beyond a map: it, mirrored, or its other side.
    labels
        The right classes: a .npy file, or a .csv file with rows file,label; none for none. Default:
        beside the images, or folders say them.
    shifts
        Ways to move images: crop, zero, reflect, circular.
    reach
        By every shift up to so many pixels.
    max_images
        Look at so many images, spread evenly over all.
    trust_model
        Open files that can run code when they are opened: .pt, .pth, .pt2, .h5. Only for files from
        people whose programs you would run.
    size
        Of the images that the model takes, where it does not say.
    layout
        Of an ONNX model's input, where that is not told right.
    preparation
        What becomes of pictures before the model sees them: 0 to 1, 0 to 255, as VGG16 takes them
        in Keras, or as torchvision's models take them.
    scale, mean, std, order
        The same number by number: (picture * scale - mean) / std, red or blue first.
    model_output
        Which output, where the model has several.
    output
        Where the model goes, replacing a file of that name. Default: MODEL-attar with the suffix
        of the model, in the current folder.
    as_json
        Print one JSON document instead of the tables.
    """
    target = _target(model, output)
    from attar.repairing import repair as run_repair
    from attar.repairing.repaired import check_suffix

    opened = open_as_stated(
        model,
        trust_model=trust_model,
        size=size,
        layout=layout,
        preparation=preparation,
        scale=scale,
        mean=mean,
        std=std,
        order=order,
        model_output=model_output,
    )
    check_suffix("--output", opened.framework, target)  # before it takes time
    # Where nobody looks on, there is nothing to show.
    watched = progress_bar("repair", None) if sys.stderr.isatty() else contextlib.nullcontext()
    with watched as advance:
        repaired = run_repair(
            opened,
            pool,
            border=border,
            images=images_of(images),
            labels=labels_of(labels),
            max_images=max_images,
            modes=[name.strip() for name in shifts.split(",")],
            reach=reach,
            progress=advance,
        )
    repaired.save(target)
    if as_json:
        document = {"model": model, "output": str(target), **repaired.as_dict()}
        print(json.dumps(document, indent=2, allow_nan=False))
    else:
        print(f"{repaired}\n→ {target}")
    return DONE


def _target(model: str, output: str | None) -> Path:
    """Return where the model goes; never over the model itself."""
    suffix = Path(model).suffix.lower()
    default = f"{Path(model).stem}{OWN_SUFFIX}{_WRITTEN_AS.get(suffix, suffix)}"
    target = Path(default if output is None else output)
    if output is not None and (target.is_dir() or output.endswith("/")):
        target = target / default
    if target.resolve() == Path(model).resolve():
        raise ArgumentError(
            f"--output: {target} is the model and would be overwritten; choose another name"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


_WRITTEN_AS = {".h5": ".keras", ".hdf5": ".keras", ".pt2": ".pt"}

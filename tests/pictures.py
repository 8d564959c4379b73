"""Pictures by name, and when one of them looks like the one that was recorded.

What is drawn has to be the same to the colour and to the pixel. Text may differ, since another
version of Matplotlib draws other edges of letters: it has to stand where it stood, and take about
as much ink.
"""

from pathlib import Path

import numpy as np
from matplotlib.text import Text
from PIL import Image

import attar
from attar import Sequential, features, figures, kernels, layers
from attar.figures.picture import pixels

RECORDED = Path(__file__).parent / "fixtures" / "figures"
DPI = 50

_AROUND = 2  # pixels around text that may belong to its letters
_COLOUR = 6  # of 255: how far a colour may be off, where a figure's lines are smoothed
_SPECKS = 0.001  # the fraction of pixels, ends of lines, that may be off by more than that
_INK = 0.5, 3.0  # how much ink of a text may be off: of itself, in whole pixels


def assert_apart(boxes, names):
    """Assert that no box, as Matplotlib has them, lies over another, or touches it."""
    low, high = (np.array([getattr(box, end) for box in boxes]) for end in ("min", "max"))
    over = (low[:, None] <= high[None]).all(2) & (low[None] <= high[:, None]).all(2)
    pairs = np.argwhere(np.triu(over, 1))
    assert not len(pairs), [(names[one], names[other]) for one, other in pairs]


def _base():
    """A model whose weights follow from the names of its layers."""
    model = Sequential(
        [
            layers.Input((48, 64, 1)),
            layers.Conv2D(6, 5, padding="same", activation="relu", name="first"),
            layers.MaxPool2D(name="pool"),
            layers.Conv2D(6, 3, padding="same", name="second"),
            layers.Conv2D(6, 3, padding="same", name="third"),
        ]
    )
    return model


def _trace():
    return _base().trace(features.car((48, 64))[None, :, :, None])


FIGURES = {
    "stages": lambda: figures.stages(attar.extract(features.car((48, 64)), "edge"), dpi=DPI),
    "stages-signed": lambda: figures.stages(
        attar.extract(features.car(48), "emboss", activation=None), dpi=DPI
    ),
    "kernel": lambda: figures.kernel("emboss"),
    "kernel-random": lambda: figures.kernel(kernels.random(5, seed=3)),
    "kernel-gaussian": lambda: figures.kernel(kernels.gaussian(7, 1.5), numbers=False),
    "feature-maps": lambda: figures.feature_maps(_trace()["pool"], title="pool", dpi=DPI),
    "feature-maps-signed": lambda: figures.feature_maps(
        _trace()["third"], gamma=0.5, normalize="shared", dpi=DPI
    ),
    "contact-sheet": lambda: figures.contact_sheet(
        _trace(), image=features.car((48, 64)), channels=4, dpi=DPI
    ),
    "global-pool": lambda: figures.global_pool(_trace()["pool"], list("ABCDEF"), dpi=DPI),
    "global-pool-signed": lambda: figures.global_pool(
        _trace()["third"], channels=None, title="third", dpi=DPI
    ),
    "receptive-field": lambda: figures.receptive_field(
        features.car((48, 64)), _base().receptive_field("third", (1, 24)), dpi=DPI
    ),
    "receptive-field-extraction": lambda: figures.receptive_field(
        attar.extract(features.car((48, 64)), "edge", pool_size=3), at=(9, 4), dpi=DPI
    ),
} | {
    f"pyramid-{pool}": lambda pool=pool: figures.pyramid(
        features.circle(32, r_shrink=5), 5, pool=pool, dpi=DPI
    )
    for pool in ("max", "average", "blur", "max_blur", "polyphase", "stride")
}

# Something everywhere, so that what comes in at a border is seen.
_SCENE = (features.car(32) + features.random_map(32, seed=1)) / 2
FEATURES = {
    "two-dots": lambda: features.two_dots(32, 9, direction="diagonal"),
    "circle": lambda: features.circle(32, r_shrink=4),
    "circle-filled": lambda: features.circle(32, r_shrink=4, filled=True, val=None, seed=2),
    "random-map": lambda: features.random_map(32, decay_power=1.5, seed=4),
    "car": lambda: features.car(32, facing="left"),
    **{
        f"shift-{mode}": lambda mode=mode: features.shift(_SCENE, 3, -5, mode=mode)
        for mode in ("zero", "circular", "reflect", "replicate")
    },
    "shift-fraction": lambda: features.shift(_SCENE, 0.5, 3.25, mode="replicate"),
    "jitter": lambda: features.jitter(_SCENE, 6, mode="circular", seed=5),
    "rotate": lambda: features.rotate(_SCENE, 30),
    "scale": lambda: features.scale(_SCENE, (1.5, 0.75)),
    "affine": lambda: features.affine(_SCENE, ((1, 0.4), (-0.2, 1))),
}


def drawn(figure):
    """The figure as pixels, small as recorded; uint8 (H, W, 3)."""
    figure.set_dpi(DPI)
    return pixels(figure)


def bytes_of(image):
    """A feature in [0, 1] as bytes, uint8 (H, W)."""
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)


def recorded(name):
    return np.asarray(Image.open(RECORDED / f"{name}.png"))


def difference(figure, wanted):
    """Say how a figure differs from recorded pixels, uint8 (H, W, 3); None where it looks alike."""
    got = drawn(figure)
    if got.shape != wanted.shape:
        return f"the size is {got.shape}, {wanted.shape} was recorded"
    written = np.zeros(got.shape[:2], bool)
    for text in figure.findobj(Text):
        if not text.get_text():
            continue
        place = _place(text, got.shape[0])
        written[place] = True
        was, now = _ink(wanted[place]), _ink(got[place])
        part, least = _INK
        if abs(was - now) > max(part * was, least):
            return f"{text.get_text()!r} takes {now:.1f} pixels of ink, {was:.1f} were recorded"
    off = np.abs(got.astype(int) - wanted).max(axis=2)
    off[written] = 0
    specks = np.count_nonzero(off > _COLOUR)
    if specks > _SPECKS * off.size:
        y, x = np.unravel_index(off.argmax(), off.shape)
        return f"{specks} pixels have another colour; that at row {y}, column {x} by {off.max()}"
    return None


def _ink(part):
    """How many whole pixels of ink there are on the colour that most of a part has."""
    paper = np.median(part, axis=(0, 1))
    return np.abs(part - paper).max(axis=2).sum() / 255


def _place(text, height):
    """Where a text stands, and its rim."""
    box = text.get_window_extent()
    top, bottom = height - box.y1 - _AROUND, height - box.y0 + _AROUND
    return (
        slice(max(int(top), 0), max(int(np.ceil(bottom)), 0)),
        slice(max(int(box.x0) - _AROUND, 0), max(int(np.ceil(box.x1)) + _AROUND, 0)),
    )

"""Scores: what is left of a map behind global pooling, and what becomes of it."""

from attar.explorer.answers import Answerer, Context, Reply
from attar.explorer.asked import Asked
from attar.explorer.modelling.demo import CLASSES
from attar.explorer.models import DEMO
from attar.explorer.rooms.looking import MOST_NAME, looking
from attar.explorer.views import View, shown

__all__ = ["ANSWERS"]

_MOST_CLASS = 1 << 24
_PICTURE = 512  # pixels of the pictures that class activation maps lie on


def scores(asked: Asked, context: Context) -> Reply:
    """Answer with the strongest channels of a layer for one picture or two, and their classes."""
    found = looking(asked, context)
    fields = {
        "layer": asked.text("layer", "", most=MOST_NAME) or None,
        "by": asked.choice("by", ("mean", "maximum"), "mean"),
        "tile": asked.count("tile", 96, least=8, most=256),
        "label": asked.count("label", least=0, most=_MOST_CLASS) if "label" in asked else None,
    }
    facts, arrays = found.ask("scores", fields, context)
    facts["labels"] = list(CLASSES) if found.model == DEMO else None
    facts["model"] = found.facts
    arrays = dict(arrays)
    facts["pictures"] = {}
    for name, sight in found.sights.items():
        arrays[f"picture_{name}"], facts["pictures"][name] = shown(
            sight.drawn(context), View(0.0, 0.0, 1.0, _PICTURE, _PICTURE), "image"
        )
    return Reply(facts, arrays)


ANSWERS: dict[str, Answerer] = {"scores.run": scores}

"""Model: the layers of a model, its maps, and what is behind them."""

from attar.explorer.answers import Answerer, Context, Reply
from attar.explorer.asked import Asked
from attar.explorer.modelling.demo import CLASSES
from attar.explorer.models import DEMO
from attar.explorer.rooms.looking import MOST_NAME, looking
from attar.explorer.views import shown, view_of

__all__ = ["ANSWERS"]

_MOST_CHANNEL = 1 << 20
_MOST_TILE = 256  # pixels of a thumbnail, along a side


def models(asked: Asked, context: Context) -> Reply:
    """Answer with the models that are open."""
    return Reply({"models": context.models.listed()})


def run(asked: Asked, context: Context) -> Reply:
    """Run the model: its layers with their numbers, its prediction; of two pictures, both."""
    found = looking(asked, context)
    fields, _ = found.ask("run", {}, context)
    labels = list(CLASSES) if found.model == DEMO else None
    return Reply({"model": found.facts, "labels": labels, **fields})


def maps(asked: Asked, context: Context) -> Reply:
    """Answer with a page of the maps of a layer, as thumbnails."""
    fields = {
        "layer": asked.text("layer", most=MOST_NAME),
        "order": asked.choice("order", ("strongest", "given"), "strongest"),
        "page": asked.count("page", 0, least=0, most=_MOST_CHANNEL),
        "tile": asked.count("tile", 96, least=8, most=_MOST_TILE),
    }
    return Reply(*looking(asked, context).ask("maps", fields, context))


def one_map(asked: Asked, context: Context) -> Reply:
    """Answer with one map and the picture as a view shows them, and the map's kernel."""
    found = looking(asked, context)
    view = view_of(asked)
    fields = {
        "layer": asked.text("layer", most=MOST_NAME),
        "channel": asked.count("channel", 0, least=0, most=_MOST_CHANNEL),
        "view": view._asdict(),
    }
    facts, arrays = found.ask("map", fields, context)
    arrays = dict(arrays)
    for name, sight in found.sights.items():
        arrays[f"picture_{name}"], facts["maps"][f"picture_{name}"] = shown(
            sight.drawn(context), view, "image"
        )
    return Reply(facts, arrays)


def point(asked: Asked, context: Context) -> Reply:
    """Answer with the values of a pixel of a map, and the box of the picture behind it."""
    fields = {
        "layer": asked.text("layer", most=MOST_NAME),
        "channel": asked.count("channel", 0, least=0, most=_MOST_CHANNEL),
        "at": [asked.count(name, least=0, most=_MOST_CHANNEL) for name in ("row", "column")],
    }
    return Reply(*looking(asked, context).ask("point", fields, context))


ANSWERS: dict[str, Answerer] = {
    "model.list": models,
    "model.run": run,
    "model.maps": maps,
    "model.map": one_map,
    "model.point": point,
}

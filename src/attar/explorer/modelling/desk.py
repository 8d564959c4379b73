"""The desk: one model that is open, the pictures that it looks at, and the questions about them.

Every question names its pictures (``"first"``, and ``"second"`` where two are compared) as
``{"input": key, "pools": kind}``. Inputs that the desk does not have (any more) are asked for:
`MissingError`.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from attar.errors import ArgumentError, AttarError, ModelError
from attar.explorer.asked import Asked
from attar.explorer.levels import reach_of, signed_levels
from attar.explorer.modelling import thumbnails
from attar.explorer.modelling.demo import demo
from attar.explorer.modelling.heads import Head, head_of
from attar.explorer.modelling.measures import (
    Measured,
    as_maps,
    as_prediction,
    measure,
    plain,
    relative_difference,
)
from attar.explorer.modelling.opened import Opened, Pools, drawn
from attar.explorer.modelling.runs import Kept, Progress, StopError, maps_of, one_map
from attar.explorer.views import shown, view_of
from attar.interchange import onnx
from attar.sequential import Sequential, read_model

__all__ = ["KEPT_BYTES", "Answer", "Desk", "MissingError"]

Array: TypeAlias = NDArray[Any]
Fields: TypeAlias = Mapping[str, Any]
Answer: TypeAlias = tuple[dict[str, Any], dict[str, Array]]

KEPT_BYTES = 3 << 29  # 1.5 GiB of maps and inputs
_MEASURED_RUNS = 64
PAGE = 64  # maps at once
_TOP = 12  # channels of a ranking
_TOP_CLASSES = 5


class MissingError(AttarError):
    """Inputs that must come along with the question: `keys`."""

    def __init__(self, keys: list[str]) -> None:
        super().__init__(f"inputs {keys} are not here")
        self.keys = keys


class Side(NamedTuple):
    """A picture through the model, with the pools that were asked for."""

    input: str
    pools: Pools


class Desk:
    """Answers questions about the model that is open, one at a time."""

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self._kept_bytes = kept_bytes
        self._kept = Kept(kept_bytes)
        self._measured: OrderedDict[tuple[Side, str], Measured] = OrderedDict()
        self._opened: Opened | None = None
        self._head: Head | None = None
        self._inputs: dict[str, Array] = {}
        self.stopped = threading.Event()
        self.progress: Progress = lambda done, of, what: None
        self.questions: dict[str, Callable[[Fields], Answer]] = {
            "run": self.run,
            "maps": self.maps,
            "map": self.map,
            "point": self.point,
            "scores": self.scores,
        }

    # ---------------------------------------------------------------- opening

    def open(self, source: Fields, data: bytes | None) -> dict[str, Any]:
        """Open a model: the bytes of an ONNX file, a file of the person's own, or the demo."""
        if data is not None:
            model = Sequential(onnx.read_bytes(data))
        elif "path" in source:
            model = read_model("explore", source["path"])
        else:
            model = demo()
        # What was kept is of the model before, whose layers may have the same names.
        self.forget()
        self._measured.clear()
        self._opened = Opened(model)
        self._head = head_of(model.graph)
        return self._opened.facts() | {"head": self._head is not None}

    def forget(self) -> None:
        """Let go of every map: for when memory is short."""
        self._kept = Kept(self._kept_bytes)
        self._inputs = {}

    @property
    def opened(self) -> Opened:
        """The model."""
        if self._opened is None:
            raise ModelError("model: none is open")
        return self._opened

    def ask(self, what: str, fields: Fields, inputs: Mapping[str, Array]) -> Answer:
        """Answer a question.

        Raises
        ------
        MissingError
            Ask again, with these inputs.
        StopError
            `stopped` was set meanwhile.
        """
        sides = [fields[name]["input"] for name in ("first", "second") if name in fields]
        self._inputs = {key: np.asarray(inputs[key]) for key in sides if key in inputs}
        for key in sides:
            if key not in self._inputs and ("input", key) in self._kept:
                self._inputs[key] = self._kept["input", key]
        missing = [key for key in dict.fromkeys(sides) if key not in self._inputs]
        if missing:
            raise MissingError(missing)
        for key, array in self._inputs.items():
            self._kept["input", key] = array
        return self.questions[what](fields)

    def _sides(self, fields: Fields) -> dict[str, Side]:
        return {
            name: Side(fields[name]["input"], fields[name]["pools"])
            for name in ("first", "second")
            if name in fields
        }

    # ---------------------------------------------------------------- maps

    def _map(self, side: Side, layer: str) -> Array:
        """Return the maps of a layer, (H, W, C), and measure them where nobody did."""
        if layer not in self.opened.names:
            raise ArgumentError(f"model: there is no layer {layer!r:.80}")
        values = one_map(
            self.opened.with_pools(side.pools),
            self._inputs[side.input],
            side,
            self._kept,
            self.stopped,
            self.progress,
            layer,
        )
        if (side, layer) not in self._measured:
            self._note(side, layer, values)
        return as_maps(values)

    def _note(self, side: Side, layer: str, values: Array) -> Measured:
        measured = self._measured[side, layer] = measure(as_maps(values))
        while len(self._measured) > _MEASURED_RUNS * len(self.opened.names):
            self._measured.popitem(last=False)
        return measured

    def run(self, fields: Fields) -> Answer:
        """Run the whole model, and measure every layer; on both sides, step by step."""
        sides = self._sides(fields)
        shape = self._inputs[sides["first"].input].shape
        rows = self.opened.layers(shape, sides["first"].pools)

        def progress(turn: int, turns: int, done: int, of: int, what: str) -> None:
            self.progress(turns * done + turn, turns * of, what)

        runs = []
        for turn, side in enumerate(sides.values()):
            runs.append(
                maps_of(
                    self.opened.with_pools(side.pools),
                    self._inputs[side.input],
                    side,
                    self._kept,
                    self.stopped,
                    partial(progress, turn, len(sides)),
                )
            )
        answers: list[Array] = []
        for row, *steps in zip(rows, *runs, strict=True):
            if self.stopped.is_set():  # between layers that were kept, too
                raise StopError("stopped")
            answers = [values for _, values in steps]
            for name, side, values in zip(sides, sides.values(), answers, strict=True):
                known = self._measured.get((side, row["name"]))
                row[name] = _summary(known or self._note(side, row["name"], values))
            if len(answers) == 2:
                row["difference"] = relative_difference(answers[0], answers[1])
        predictions = {
            name: as_prediction(answer) for name, answer in zip(sides, answers, strict=True)
        }
        return {
            "size": list(shape[1:3]),
            "layers": rows,
            "predictions": predictions,
            "last_maps": self.opened.last_maps(shape),
            "head": None if self._head is None else self._head.layer,
        }, {}

    def maps(self, fields: Fields) -> Answer:
        """Return a page of the maps of a layer as thumbnails, the same channels on both sides."""
        layer, tile = fields["layer"], fields["tile"]
        sides = self._sides(fields)
        maps = {name: self._map(side, layer) for name, side in sides.items()}
        measured = {name: self._measured[side, layer] for name, side in sides.items()}
        order = thumbnails.order_of(measured["first"], fields["order"])
        pages = -(-len(order) // PAGE)
        page = min(fields["page"], pages - 1)
        channels = order[page * PAGE : (page + 1) * PAGE]
        scale, reach = thumbnails.scale_of(*maps.values())
        facts = {
            "size": list(maps["first"].shape[:2]),
            "channels": len(order),
            "dead": int((measured["first"].dead_space == 1).sum()),
            "page": page,
            "pages": pages,
            "scale": scale,
            "reach": plain(reach),
            "tiles": {
                name: thumbnails.facts_of(found, channels) for name, found in measured.items()
            },
        }
        arrays = {
            name: thumbnails.levels_of(values, channels, tile, scale, reach)
            for name, values in maps.items()
        }
        return facts, arrays

    def map(self, fields: Fields) -> Answer:
        """Return one map as a view shows it, its strongest place, and its kernel."""
        layer, channel = fields["layer"], fields["channel"]
        view = view_of(Asked("model.map", dict(fields)))
        sides = self._sides(fields)
        maps = {}
        for name, side in sides.items():
            maps[name] = self._map(side, layer)
            channel = min(channel, maps[name].shape[2] - 1)
        ones = {name: values[:, :, channel] for name, values in maps.items()}
        scale, reach = thumbnails.scale_of(*ones.values())
        facts: dict[str, Any] = {"channel": channel, "maps": {}, "about": {}}
        arrays: dict[str, Array] = {}
        for name, values in ones.items():
            arrays[name], facts["maps"][name] = shown(values, view, scale, reach)
            measured = self._measured[sides[name], layer]
            (about,) = thumbnails.facts_of(measured, np.array([channel]))
            at = np.unravel_index(int(measured.place[channel]), values.shape)
            about["place"] = [int(place) for place in at]
            about |= self._field(sides[name], layer, about["place"])
            facts["about"][name] = about
        kernel = self.opened.kernel(layer, channel)
        facts["kernel"] = None
        if kernel is not None:
            facts["kernel"], tiles = drawn(kernel)
            arrays |= tiles
        return facts, arrays

    def _field(self, side: Side, layer: str, at: list[int]) -> dict[str, Any]:
        """Return the box of the input behind a pixel, top, left, height and width."""
        field = self.opened.with_pools(side.pools).receptive_field(
            layer, tuple(at), input_shape=self._inputs[side.input].shape
        )
        box = field.box
        whole = field.unclipped
        return {
            "box": None if box is None else [box.top, box.left, *box.shape],
            "unclipped": [whole.top, whole.left, *whole.shape],
        }

    def point(self, fields: Fields) -> Answer:
        """Return the values of a pixel, and the box behind it."""
        layer, channel, at = fields["layer"], fields["channel"], list(fields["at"])
        sides = self._sides(fields)
        values = {}
        for name, side in sides.items():
            map = self._map(side, layer)
            at = [min(place, size - 1) for place, size in zip(at, map.shape[:2], strict=True)]
            values[name] = plain(map[at[0], at[1], min(channel, map.shape[2] - 1)])
        return {"at": at, "values": values, **self._field(sides["first"], layer, at)}, {}

    # ---------------------------------------------------------------- scores

    def scores(self, fields: Fields) -> Answer:
        """Return the scores of a layer's maps: means, maxima, and what a class makes of them.

        ``"layer"`` may be none of those with maps: then it is the one that the model scores.
        ``"label"`` is the class that is looked at; None takes the strongest of the first picture.
        """
        tile, by = fields["tile"], fields["by"]
        sides = self._sides(fields)
        shape = self._inputs[sides["first"].input].shape
        with_maps = self.opened.layers_with_maps(shape)
        layer = fields["layer"] if fields["layer"] in with_maps else self._scored(shape)
        maps = {name: self._map(side, layer) for name, side in sides.items()}
        measured = {name: self._measured[side, layer] for name, side in sides.items()}
        ranks = {
            name: np.argsort(-(found.mean if by == "mean" else found.maximum), kind="stable")
            for name, found in measured.items()
        }
        tops = {name: rank[:_TOP] for name, rank in ranks.items()}
        everywhere = set.intersection(*(set(top.tolist()) for top in tops.values()))
        scale, reach = thumbnails.scale_of(*maps.values())
        facts: dict[str, Any] = {
            "layer": layer,
            "layers": with_maps,
            "size": list(maps["first"].shape[:2]),
            "channels": maps["first"].shape[2],
            "by": by,
            "scale": scale,
            "reach": plain(reach),
            "shared": sorted(everywhere) if len(tops) > 1 else [],
            "tops": {name: thumbnails.facts_of(measured[name], top) for name, top in tops.items()},
            "classes": None,
        }
        arrays = {
            name: thumbnails.levels_of(maps[name], top, tile, scale, reach)
            for name, top in tops.items()
        }
        if self._head is not None and self._head.layer == layer:
            facts["classes"], more = self._classes(self._head, maps, tops, fields)
            arrays |= more
        return facts, arrays

    def _scored(self, shape: Sequence[int]) -> str:
        """Return the layer whose maps the model scores, or else the last one that has maps."""
        return self.opened.last_maps(shape) if self._head is None else self._head.layer

    def _classes(
        self, head: Head, maps: Mapping[str, Array], tops: Mapping[str, Array], fields: Fields
    ) -> Answer:
        """Return the strongest classes, and for one of them what each map adds, and where."""
        scores = {
            name: each.mean(axis=(0, 1)) @ head.weights + head.bias for name, each in maps.items()
        }
        best = {
            name: np.argsort(-values, kind="stable")[:_TOP_CLASSES]
            for name, values in scores.items()
        }
        label = fields.get("label")
        label = int(best["first"][0]) if label is None else min(label, head.weights.shape[1] - 1)
        facts: dict[str, Any] = {
            "label": label,
            "count": head.weights.shape[1],
            "bias": plain(float(head.bias[label])),
            "best": {
                name: [[int(i), plain(float(scores[name][i]))] for i in order]
                for name, order in best.items()
            },
            "score": {name: plain(float(values[label])) for name, values in scores.items()},
            "added": {},
        }
        cams = {name: head.activation_map(each, label) for name, each in maps.items()}
        reach = reach_of(*cams.values())
        facts["reach"] = plain(reach)
        arrays = {}
        for name, each in maps.items():
            contributions = head.contributions(each, label)
            order = np.argsort(-np.abs(contributions), kind="stable")[:_TOP]
            facts["added"][name] = [
                [int(k), plain(float(contributions[k])), plain(float(head.weights[k, label]))]
                for k in order
            ]
            arrays[f"cam_{name}"] = signed_levels(cams[name], reach)
        return facts, arrays


def _summary(measured: Measured) -> dict[str, Any]:
    """Return what the list of layers says of a layer's maps."""
    return {
        "dead_space": float(measured.dead_space.mean()),
        "dead": int((measured.dead_space == 1).sum()),
        "channels": len(measured.dead_space),
        "maximum": plain(float(np.max(measured.maximum))),
    }

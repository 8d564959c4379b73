"""The room Extract: what the server answers."""

import itertools
import json
import os
import subprocess
import sys

import numpy as np
import pytest

import attar
from attar.errors import ArgumentError
from attar.explorer.answers import Context
from attar.explorer.app import State
from attar.explorer.asked import Asked
from attar.explorer.exports import EXPORTS
from attar.explorer.kernel_edits import read_kernel, write
from attar.explorer.levels import active_levels, reach_of, signed_levels
from attar.explorer.models import Models
from attar.explorer.pictures import Pictures
from attar.explorer.rooms.extract import ANSWERS, wish_of
from attar.shrink import shrink_to

COFFEE = attar.read_image("examples/coffee.jpg")
WHOLE = {"height": 90, "width": 120}
OPTIONS = [
    {},
    {"bias": -0.25, "pool": "average", "pool_size": 3},
    {"conv_stride": 2, "conv_padding": "valid", "pool_size": 3, "pool_stride": 2},
    {"conv_stride": 3, "pool_size": 2, "pool_stride": 5, "pool_padding": "valid"},
    {"activation": "none", "pool": "none"},
    {"read": "gray", "kernel": "gaussian:5:1.5", "pool_size": 4, "pool": "average"},
    {"read": "gray", "kernel": "1,-2,3,4;0,1,0,2", "conv_stride": 2, "pool_size": 3},
]


def asked(what, **fields):
    return Asked(what, {"image": "coffee", "kernel": "edge", **fields})


@pytest.fixture
def context():
    return Context(Pictures(), Models())


def extraction(fields):
    """The same by the library alone."""
    fields = {"kernel": "edge", **fields}
    image = COFFEE
    if fields.pop("read", "color") == "gray":
        image = attar.read_image("examples/coffee.jpg", color="gray")
    return attar.extract(image, read_kernel(fields.pop("kernel")), **fields)


# ---------------------------------------------------------------- maps


@pytest.mark.parametrize("fields", OPTIONS)
def test_maps_are_those_of_the_library(context, fields):
    reply = ANSWERS["extract.maps"](asked("extract.maps", view=WHOLE, **fields), context)
    found = extraction(fields)
    shared = reach_of(found.detect, found.condense)
    levels = signed_levels if found.spec.activation is None else active_levels
    how = "extreme" if found.spec.activation is None else "mean"
    for name in ("detect", "condense"):
        expected = levels(
            shrink_to(np.atleast_3d(getattr(found, name))[..., 0], 90, 120, how), shared
        )
        # The gray of a decoded picture may round otherwise in its last bit.
        assert np.abs(reply.arrays[name].astype(int) - expected).max() <= ("read" in fields)
    stats = reply.fields["stats"]
    assert stats["condense"]["size"] == found.condense.shape[:2]
    assert stats["detect"]["dead_space"] == pytest.approx(found.stats.detect.dead_space, abs=1e-4)
    assert json.dumps(reply.fields, allow_nan=False)


def test_an_image_that_the_page_has_is_not_sent_again(context):
    reply = ANSWERS["extract.maps"](asked("extract.maps", image_known=True), context)
    assert sorted(reply.arrays) == ["condense", "detect", "filter"]


def test_a_kept_extraction_is_not_used_for_another_wish(context):
    first = ANSWERS["extract.maps"](asked("extract.maps"), context)
    assert "0" not in first.fields["kernel"]["name"]
    for change in ({"kernel": "blur"}, {"read": "gray"}, {"image": "car"}, {"bias": 1.0}):
        other = ANSWERS["extract.maps"](asked("extract.maps", **change), context)
        assert other.fields["stats"]["filter"] != first.fields["stats"]["filter"], change
    again = ANSWERS["extract.maps"](asked("extract.maps"), context)
    assert again.fields["stats"] == first.fields["stats"]


# ---------------------------------------------------------------- how a number came about


def probe(context, fields, stage, row, column):
    at = {"stage": stage, "row": row, "column": column}
    return ANSWERS["extract.probe"](asked("extract.probe", at=at, **fields), context)


def flat(values):
    return values[..., 0] if values.ndim == 3 else values


@pytest.mark.parametrize("fields", OPTIONS)
def test_the_numbers_of_a_condensed_pixel_are_those_of_the_maps(context, fields):
    if "read" in fields:  # bits are compared, and the gray may round otherwise in its last one
        found = attar.extract(
            wish_of(asked("x", **fields), Pictures()).pixels(),
            read_kernel(fields["kernel"]),
            **{k: v for k, v in fields.items() if k not in ("read", "kernel")},
        )
    else:
        found = extraction(fields)
    filtered, detected, condensed = (
        flat(getattr(found, name)) for name in ("filter", "detect", "condense")
    )
    padded = np.pad(np.atleast_3d(found.image), ((100, 100), (100, 100), (0, 0))).mean(axis=2)
    rows, columns = (sorted({0, 1, size // 2, size - 1}) for size in condensed.shape)
    for row, column in itertools.product(rows, columns):
        reply = probe(context, fields, "condense", row, column)
        total, bias, *values = reply.arrays["numbers"]
        assert reply.fields["condensed"] == (row, column)
        cell = reply.fields["cell"]
        assert values == [filtered[cell], detected[cell], condensed[row, column]]
        assert total + bias == pytest.approx(filtered[cell], abs=1e-5)
        window = reply.fields["window"]
        part = detected[window["top"] :, window["left"] :][: window["height"], : window["width"]]
        assert np.array_equal(reply.arrays["window"], part)
        if found.spec.pool == "average":
            assert reply.fields["winner"] is None
            assert part.mean() == pytest.approx(condensed[row, column], abs=1e-6)
        else:
            assert detected[reply.fields["winner"]] == condensed[row, column] == part.max()
        patch = reply.fields["patch"]
        top, left = patch["top"] + 100, patch["left"] + 100
        under = padded[top : top + patch["height"], left : left + patch["width"]]
        assert reply.arrays["patch"] == pytest.approx(under, abs=1e-6)
        assert (under * found.kernel).sum() == pytest.approx(total, abs=1e-5)
        box = reply.fields["box"]
        assert (
            box["top"]
            <= patch["top"]
            < patch["top"] + patch["height"]
            <= box["top"] + box["height"]
        )


@pytest.mark.parametrize("fields", OPTIONS)
@pytest.mark.parametrize("stage", ["image", "filter", "detect"])
def test_a_pixel_of_any_map_leads_to_the_condensed_one(context, fields, stage):
    maps = ANSWERS["extract.maps"](asked("extract.maps", **fields), context).fields["maps"]
    height, width = maps[stage]["size"]
    for row, column in ((0, 0), (height // 2, width // 3), (height - 1, width - 1)):
        reply = probe(context, fields, stage, row, column)
        cell, window = reply.fields["cell"], reply.fields["window"]
        if stage != "image":
            assert cell == (row, column)
        elif not fields.get("conv_stride"):
            assert cell == (row, column)  # "same" and no stride: the kernel lies on that pixel
        if reply.fields["condensed"] is None:
            assert np.isnan(reply.arrays["numbers"][4])
            assert fields["pool_stride"] > fields["pool_size"] or fields["pool_padding"] == "valid"
        assert window["top"] <= cell[0] < window["top"] + window["height"]
        assert window["left"] <= cell[1] < window["left"] + window["width"]


def test_a_pixel_between_the_windows_of_a_pool_reaches_nothing(context):
    fields = {"pool_size": 1, "pool_stride": 3, "pool_padding": "valid"}
    assert probe(context, fields, "detect", 3, 3).fields["condensed"] == (1, 1)
    assert probe(context, fields, "detect", 3, 4).fields["condensed"] is None


def test_the_strongest_pixel_is_the_maximum_of_the_map(context):
    reply = ANSWERS["extract.probe"](asked("extract.probe", at={"stage": "strongest"}), context)
    condensed = extraction({}).condense
    assert reply.arrays["numbers"][4] == condensed.max()


@pytest.mark.parametrize(
    ("at", "message"),
    [
        ({"stage": "pool", "row": 0, "column": 0}, "accepted are image, filter, detect"),
        ({"stage": "detect", "row": -1, "column": 0}, "whole numbers from 0 to"),
        ({"stage": "detect", "row": 0, "column": 1e9}, "whole numbers from 0 to"),
    ],
)
def test_a_place_that_there_is_not_is_refused(context, at, message):
    with pytest.raises(ArgumentError, match=message):
        ANSWERS["extract.probe"](asked("extract.probe", at=at), context)


# ---------------------------------------------------------------- kernels


def edited(context, kernel, do, **more):
    return ANSWERS["extract.kernel"](asked("extract.kernel", kernel=kernel, do=do, **more), context)


def test_buttons_change_kernels(context):
    assert edited(context, "left_sobel", "rotate").fields["kernel"] == "top_sobel"
    assert edited(context, "1,2;3,4", "rotate").fields["rows"] == [[3, 1], [4, 2]]
    assert edited(context, "0,1,-2", "flip").fields["kernel"] == "0,-1,2"
    assert edited(context, "1,3", "normalise").fields["rows"] == [[0.25, 0.75]]
    assert edited(context, "edge", "normalise").fields["rows"][1][1] == 0.5
    assert edited(context, "0,0", "normalise").fields["rows"] == [[0, 0]]
    grown = edited(context, "1,2;3,4", "resize", height=4, width=3).fields["rows"]
    assert grown == [[0, 0, 0], [0, 1, 2], [0, 3, 4], [0, 0, 0]]


@pytest.mark.parametrize("height", range(1, 12))
def test_a_kernel_that_grows_does_not_move_the_map(context, height):
    text = edited(context, "top_sobel", "resize", height=max(height, 3), width=11).fields["kernel"]
    image = COFFEE[:40, :50, 0]
    small = attar.extract(image, "top_sobel").filter
    large = attar.extract(image, read_kernel(text)).filter
    assert np.abs(small - large).max() < 1e-5


def test_the_text_of_a_kernel_keeps_every_bit():
    generator = np.random.default_rng(5)
    for _ in range(50):
        weights = generator.standard_normal((3, 4), dtype=np.float32) * 10.0 ** generator.integers(
            -9, 5
        )
        assert np.array_equal(
            read_kernel(write(weights.astype(np.float32))), weights.astype(np.float32)
        )
    assert len(write(-generator.random((11, 11), dtype=np.float32) * np.float32(1e-9))) < 4000


@pytest.mark.parametrize(
    "text",
    [
        "/etc/passwd",
        "weights.npy",
        "1 2;3.npy",
        "../x.npy",
        "",
        "1,2;3",
        "1e9",
        "nan",
        "1e400",
        "gaussian:12:1",
        "gaussian:3:0",
        "random:3:1.5",
        "random:3:9999999",
        ";".join(["1"] * 12),
    ],
)
def test_no_other_text_is_a_kernel(text, tmp_path, monkeypatch):
    np.save(tmp_path / "weights.npy", np.ones((1, 1), np.float32))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ArgumentError, match="kernel"):
        read_kernel(text)


# ---------------------------------------------------------------- taken along


def exported(kind, state=None, **fields):
    return EXPORTS[kind](asked("export", **fields), state or State())


def test_exports_are_what_the_library_saves(tmp_path):
    found = extraction({"pool_size": 3})
    array = tmp_path / "condense.npy"
    array.write_bytes(exported("extract-npy", pool_size=3).data)
    assert np.array_equal(np.load(array), found.condense)
    bundle = tmp_path / "maps.npz"
    bundle.write_bytes(exported("extract-npz", pool_size=3).data)
    with np.load(bundle) as maps:
        assert np.array_equal(maps["detect"], found.detect)
    for kind in ("png", "svg"):
        path = found.save(tmp_path / f"stages.{kind}")
        assert exported(f"extract-{kind}", pool_size=3).data == path.read_bytes()


def own_picture(folder):
    """A state with a picture that a person opened: its key, and its file in the folder."""
    data = (
        attar.write_image(folder / "it's mine.png", COFFEE[:61, :83])
        or (folder / "it's mine.png").read_bytes()
    )
    state = State()
    return state, state.pictures.decode(data, "it's mine.png").key


@pytest.mark.parametrize("fields", OPTIONS)
def test_the_python_program_makes_what_is_shown(tmp_path, monkeypatch, fields):
    state, key = own_picture(tmp_path)
    program = exported("extract-python", state, **{**fields, "image": key}).data.decode()
    monkeypatch.chdir(tmp_path)
    made = {}
    exec(program, made)
    wish = wish_of(asked("x", **{**fields, "image": key}), state.pictures)
    found = attar.extract(wish.pixels(), **wish.chosen)
    assert made["found"].condense == pytest.approx(found.condense, abs=1e-5)
    assert (tmp_path / "stages.png").stat().st_size > 10_000


@pytest.mark.parametrize("image", ["coffee", "car", "circle", "dots", "noise"])
def test_the_programs_know_where_the_samples_are(tmp_path, monkeypatch, image):
    monkeypatch.chdir(tmp_path)
    made = {}
    exec(exported("extract-python", image=image).data, made)
    assert np.array_equal(made["found"].image, Pictures()[image].pixels)


def test_the_keras_programs_make_what_is_shown(tmp_path):
    pytest.importorskip("keras")
    state, key = own_picture(tmp_path)
    script = ["import numpy as np"]
    for i, fields in enumerate(OPTIONS):
        program = exported("extract-keras", state, **{**fields, "image": key}).data.decode()
        script.append(f"exec({program!r})\nnp.save('condense-{i}.npy', condense)")
    environment = {**os.environ, "KERAS_BACKEND": "torch", "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run(
        [sys.executable, "-c", "\n".join(script)], cwd=tmp_path, env=environment, check=True
    )
    for i, fields in enumerate(OPTIONS):
        wish = wish_of(asked("x", **{**fields, "image": key}), state.pictures)
        condensed = flat(attar.extract(wish.pixels(), **wish.chosen).condense)
        assert np.load(tmp_path / f"condense-{i}.npy") == pytest.approx(condensed, abs=2e-5), fields

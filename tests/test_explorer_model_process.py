"""The process that runs models: what it answers, what it refuses, and what ends it."""

import io
import os
import pickle
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

import attar
from attar import Sequential, layers
from attar.errors import ArgumentError, ModelError
from attar.explorer import models as models_module
from attar.explorer.answers import CancelError, Context
from attar.explorer.asked import Asked
from attar.explorer.frames import pack, unpack
from attar.explorer.modelling.child import Limits, StoppedError
from attar.explorer.modelling.desk import Desk
from attar.explorer.modelling.pipes import read_message, write_message
from attar.explorer.models import Models
from attar.explorer.pictures import Pictures
from attar.explorer.rooms import model as room

onnx = pytest.importorskip("onnx")

PICTURES = Pictures()


@pytest.fixture
def opened():
    """Make Models that are closed after the test."""
    made = []

    def make(*args, **options):
        made.append(Models(*args, **options))
        return made[-1]

    yield make
    for models in made:
        models.close()


@pytest.fixture(scope="module")
def shared():
    """Models for the tests that leave the process as they found it."""
    models = Models()
    yield models
    models.close()


def ask(models, answer=room.run, context=None, **fields):
    question = {"model": "demo", "image": "circle", **fields}
    return answer(Asked("test", question), context or Context(PICTURES, models))


def small(*, name="conv", seed=0, shape=(8, 8, 3)):
    """A model as the bytes of an ONNX file."""
    model = Sequential([layers.Input(shape), layers.Conv2D(2, 3, name=name)])
    random = np.random.default_rng(seed)
    model.set_weights([random.normal(size=weight.shape) for weight in model.get_weights()])
    path = Path("model.onnx")
    model.to_onnx(path)
    return path.read_bytes(), model


def edited(data, edit):
    proto = onnx.ModelProto.FromString(data)
    edit(proto)
    return proto.SerializeToString()


def pid(models):
    return models._child.pid


def slow(count=1):
    """A model of which one layer alone takes seconds on a large picture."""
    model = Sequential(
        [
            layers.Input((None, None, 3)),
            *(
                layers.Conv2D(96, 11, padding="same", activation="relu", name=f"slow_{i}")
                for i in range(count)
            ),
        ]
    )
    model.save("slow.safetensors")
    return Path("slow.safetensors")


@pytest.fixture(autouse=True)
def _in_its_own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


class TestFiles:
    def test_an_uploaded_model_computes_what_it_does_here(self, shared):
        data, model = small()
        facts = shared.take(data, "mine.onnx")
        assert facts["name"] == "mine.onnx"
        assert facts["input"] == [8, 8, 3]
        given = np.random.default_rng(1).random((8, 8, 3)).astype(np.float32)
        picture = PICTURES.add(given, "random")
        answer = ask(
            shared, room.one_map, model=facts["model"], image=picture.key, layer="conv", channel=1
        )
        expected = model.trace(given[None])["conv"][0, :, :, 1]
        assert answer.fields["about"]["first"]["maximum"] == pytest.approx(expected.max(), rel=1e-5)

    def test_the_same_bytes_have_the_same_key(self, shared):
        data, _ = small(seed=4)
        assert shared.take(data, "a.onnx")["model"] == shared.take(data, "b.onnx")["model"]

    def test_two_models_with_the_same_names_are_not_mixed_up(self, shared):
        keys = [shared.take(small(seed=seed)[0], "x.onnx")["model"] for seed in (1, 2, 1)]
        peaks = []
        for key in keys:
            answer = ask(shared, room.one_map, model=key, layer="conv")
            peaks.append(answer.fields["about"]["first"]["maximum"])
        assert peaks[0] == peaks[2] != peaks[1]

    def test_files_that_nobody_asked_for_in_a_while_go(self, opened, monkeypatch):
        data, _ = small(seed=5)
        monkeypatch.setattr(models_module, "_KEPT_BYTES", len(data) + 10)
        models = opened()
        old = models.take(data, "old.onnx")["model"]
        new = models.take(small(seed=6)[0], "new.onnx")["model"]
        assert [each["model"] for each in models.listed()] == ["demo", new]
        with pytest.raises(ArgumentError, match=r"is not open \(any more\); open it again"):
            ask(models, model=old)

    @pytest.mark.parametrize("suffix", ["onnx", "safetensors"])
    def test_the_model_of_the_command_line(self, opened, suffix):
        _, model = small()
        path = Path(f"mine.{suffix}")
        model.to_onnx(path) if suffix == "onnx" else model.save(path)
        models = opened(path)
        assert models.listed()[0] == {"model": "given", "name": path.name}
        assert models.facts("given")["parameters"] == model.count_params()

    @pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of torch
    @pytest.mark.parametrize("kind", ["attar", "torch", "keras"])
    def test_a_live_model(self, kind):
        if kind == "attar":
            model = Sequential([layers.Input((8, 8, 3)), layers.Conv2D(2, 3)])
        elif kind == "torch":
            torch = pytest.importorskip("torch")
            model = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3))
        else:
            keras = pytest.importorskip("keras")
            model = keras.Sequential([keras.layers.Input((8, 8, 3)), keras.layers.Conv2D(2, 3)])
        models = Models.of(model)
        folder = Path(models._folder.name)
        assert models.facts("given")["parameters"] == 56
        models.close()
        assert not folder.exists()


class _Trap:
    def __reduce__(self):
        return (Path.touch, (Path("trap").resolve(),))


def _outside(proto, location="/etc/passwd"):
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)


def _beside(proto):
    Path("weights.bin").write_bytes(bytes(2 * 3 * 9 * 4))
    _outside(proto, "weights.bin")


def _foreign(proto):
    proto.graph.node[0].domain = "com.attacker"
    proto.opset_import.add(domain="com.attacker", version=1)


def _huge_weights(proto):
    proto.graph.initializer[0].dims[0] = 2**40


def _huge_picture(proto):
    for dim in proto.graph.input[0].type.tensor_type.shape.dim[2:]:
        dim.dim_value = 2**31 - 1


def _zip():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("config.json", "{}")
    return file.getvalue()


class TestAttacks:
    """A file may be anything. It is refused in words, and the next question is answered."""

    @pytest.mark.parametrize(
        ("edit", "message"),
        [
            (_outside, "is in another file; one file is read here"),
            (_beside, "is in another file; one file is read here"),
            (_foreign, "of the domain 'com.attacker'"),
            (_huge_weights, "sizes must be 0 to 2147483647"),
        ],
    )
    def test_models(self, shared, edit, message):
        data = edited(small()[0], edit)
        with pytest.raises(ModelError, match=message):
            shared.take(data, "evil.onnx")
        assert [each["name"] for each in shared.listed()].count("evil.onnx") == 0
        assert ask(shared).fields["layers"]

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"not a model at all",
            bytes(1000),
            pickle.dumps(_Trap()),
            _zip(),
            b"\x80\x02" + b"\xff" * 100,
            np.random.default_rng(0).bytes(5000),
        ],
        ids=["empty", "text", "zeros", "pickle", "zip", "cut", "noise"],
    )
    def test_no_models(self, shared, data):
        with pytest.raises(ModelError):
            shared.take(data, "evil.onnx")
        assert not Path("trap").exists()
        assert ask(shared).fields["layers"]

    def test_a_model_that_is_cut_off_anywhere(self, shared):
        data, _ = small()
        for end in range(1, len(data), len(data) // 12):
            with pytest.raises(ModelError):
                shared.take(data[:end], "cut.onnx")
        assert ask(shared).fields["layers"]

    def test_a_model_that_wants_an_endless_picture(self, shared):
        facts = shared.take(edited(small()[0], _huge_picture), "huge.onnx")
        with pytest.raises(ArgumentError, match="up to 4096 pixels a side are shown here"):
            ask(shared, model=facts["model"])

    def test_a_model_that_takes_no_pictures(self, shared):
        facts = shared.take(small(shape=(8, 8, 5))[0], "five.onnx")
        with pytest.raises(ArgumentError, match="it takes 8 × 8 × 5; pictures are"):
            ask(shared, model=facts["model"])

    def test_names_that_are_none(self, shared):
        with pytest.raises(ModelError, match="there is no layer 'nothing'"):
            ask(shared, room.maps, layer="nothing")
        with pytest.raises(ArgumentError, match="'/etc/passwd' is not open"):
            ask(shared, model="/etc/passwd")

    def test_weights_that_are_no_numbers(self, shared):
        def edit(proto):
            count = len(proto.graph.initializer[0].raw_data) // 4
            proto.graph.initializer[0].raw_data = np.full(count, np.nan, np.float32).tobytes()

        key = shared.take(edited(small()[0], edit), "nan.onnx")["model"]
        assert ask(shared, model=key).fields["layers"][0]["first"]["maximum"] is None
        answer = ask(shared, room.one_map, model=key, layer="conv")
        assert answer.fields["about"]["first"]["mean"] is None
        answer.frame(1)  # JSON has no NaN: it must be sayable
        ask(shared, room.maps, model=key, layer="conv").frame(1)


class TestLimits:
    def test_memory(self, opened):
        models = opened(limits=Limits(memory_bytes=600 << 20))
        assert ask(models).fields["layers"]
        with pytest.raises(ModelError, match=r"not enough memory for it \(the limit is 600 MiB\)"):
            ask(models, image=large(), side=4000)
        assert ask(models).fields["layers"]

    def test_time(self, opened):
        models = opened(slow(), limits=Limits(seconds=3.0))
        models.facts("given")
        begun = time.monotonic()
        with pytest.raises(StoppedError, match="took longer than 3 s, so its process was stopped"):
            ask(models, model="given", image=large(), side=4000)
        assert time.monotonic() - begun < 20
        assert ask(models).fields["layers"]

    def test_a_process_that_dies(self, opened, caplog):
        models = opened()
        ask(models)
        before = pid(models)
        os.kill(before, 9)
        with pytest.raises(StoppedError, match=r"its process ended \(status -9\)"):
            ask(models)
        assert ask(models).fields["layers"]
        assert pid(models) != before


def large():
    """A picture of 4000 × 3000 pixels."""
    return PICTURES.add(np.ones((3000, 4000), np.float32) * np.float32(0.5), "large").key


class TestCancelling:
    def test_between_layers(self, opened):
        models = opened(slow(8))
        ask(models, model="given")
        before = pid(models)
        context = Context(PICTURES, models)
        told = []

        def progress(done, of, what):
            told.append((done, of, what))
            if done == 2:
                context.cancelled.set()

        context.progress = progress
        with pytest.raises(CancelError):
            ask(models, model="given", image="coffee", side=64, context=context)
        assert told[:3] == [(i, 8, f"slow_{i}") for i in range(3)]
        assert len(told) < 8
        assert pid(models) == before
        assert ask(models, model="given").fields["layers"]

    def test_inside_a_layer(self, opened):
        models = opened(slow())
        ask(models, model="given")
        before = pid(models)
        context = Context(PICTURES, models)
        context.progress = lambda *_: context.cancelled.set()
        begun = time.monotonic()
        with pytest.raises(CancelError):
            ask(models, model="given", image=large(), side=3000, context=context)
        assert time.monotonic() - begun < 20
        assert ask(models, model="given").fields["layers"]
        assert pid(models) != before

    def test_while_another_question_is_answered(self, opened):
        models = opened(slow())
        ask(models, model="given")
        working = Context(PICTURES, models)
        begun = threading.Event()
        working.progress = lambda *_: begun.set()
        errors = []

        def work():
            try:
                ask(models, model="given", image=large(), side=3000, context=working)
            except CancelError as error:
                errors.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        assert begun.wait(20)
        waiting = Context(PICTURES, models)
        threading.Timer(0.2, waiting.cancelled.set).start()
        with pytest.raises(CancelError):
            ask(models, model="given", context=waiting)
        assert thread.is_alive()  # the one that was not cancelled goes on
        working.cancelled.set()
        thread.join(20)
        assert len(errors) == 1

    def test_closing_ends_what_is_computed(self):
        models = Models(slow())
        working = Context(PICTURES, models)
        begun = threading.Event()
        working.progress = lambda *_: begun.set()
        errors = []

        def work():
            try:
                ask(models, model="given", image=large(), side=3000, context=working)
            except StoppedError as error:
                errors.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        assert begun.wait(20)
        process = models._child._process
        models.close()
        thread.join(10)
        assert len(errors) == 1
        assert process.poll() is not None
        with pytest.raises(ArgumentError, match=r"is not open \(any more\)"):
            ask(models, model="given")


class TestMemoryOfMaps:
    def test_maps_that_are_not_kept_are_computed_again(self):
        from attar.explorer.modelling.demo import demo

        given = np.random.default_rng(2).random((1, 40, 60, 3)).astype(np.float32)
        expected = demo().trace(given)
        side = {"input": "x", "pools": "built"}
        few, many = Desk(kept_bytes=90_000), Desk()
        for desk in (few, many):
            desk.open({}, None)
            desk.ask("run", {"first": side}, {"x": given})
            computed = []
            desk.progress = lambda done, of, what, computed=computed: computed.append(what)
            for layer in ("edges", "textures", "condense_1"):
                fields = {"first": side, "layer": layer, "channel": 1, "at": [2, 3]}
                answer, _ = desk.ask("point", fields, {"x": given})
                assert answer["values"]["first"] == expected[layer][0, 2, 3, 1]
            assert bool(computed) == (desk is few)
        assert few._kept.nbytes <= 90_000

    def test_a_picture_that_was_kept_is_compared_with_one_that_takes_its_place(self):
        random = np.random.default_rng(3)
        first, second = random.random((2, 1, 40, 60, 3)).astype(np.float32)
        sides = {
            "first": {"input": "a", "pools": "built"},
            "second": {"input": "b", "pools": "built"},
        }
        answers = []
        for kept_bytes in (220_000, 10**9):
            desk = Desk(kept_bytes)
            desk.open({}, None)
            desk.ask("run", {"first": sides["first"]}, {"a": first})
            answers.append(desk.ask("run", sides, {"a": first, "b": second})[0])
            assert desk._kept.nbytes <= kept_bytes
        assert answers[0] == answers[1]


class TestPipes:
    def test_a_message_that_is_too_long_is_not_read(self):
        pipe = io.BytesIO()
        write_message(pipe, b"x" * 100)
        pipe.seek(0)
        with pytest.raises(ArgumentError, match="a message of 100 bytes; at most 50 are read"):
            read_message(pipe, 50)
        assert pipe.tell() == 8

    def test_a_message_that_is_cut_off_is_none(self):
        pipe = io.BytesIO()
        write_message(pipe, b"x" * 100)
        assert read_message(io.BytesIO(pipe.getvalue()[:50]), 1000) is None

    def test_what_a_library_prints_is_no_answer(self):
        program = """
from attar.explorer import model_process
from attar.explorer.modelling.desk import Desk
opened = Desk.open
def open_loudly(self, *arguments):
    print("a library has something to say", flush=True)
    return opened(self, *arguments)
Desk.open = open_loudly
model_process.main()
"""
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(4 << 30)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path(attar.__file__).parents[1])},
        )
        question = io.BytesIO()
        write_message(question, pack({"id": 1, "ask": "open", "source": {}}))
        process.stdin.write(question.getvalue())
        process.stdin.flush()
        header, _ = unpack(read_message(process.stdout, 1 << 20))
        assert header["fields"]["name"] == "demo"
        # It ends when nobody is there any more, by itself.
        said, errors = process.communicate(timeout=10)
        assert said == b""
        assert errors == b"a library has something to say\n"
        assert process.returncode == 0

"""The conversation with a page: what is answered, in which order, and what cannot be broken."""

import contextlib
import itertools
import re
import threading
import time

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed

import attar.explorer.app
from attar.errors import ArgumentError
from attar.explorer.answers import Reply
from attar.explorer.app import State
from attar.explorer.server import Server
from tests.wire import Page


class Desk:
    """Answers that tests can hold up and look at."""

    def __init__(self):
        self.begun = []
        self.go = threading.Event()
        self.cancelled = threading.Event()

    def echo(self, asked, context):
        self.begun.append(asked.fields["id"])
        return Reply({"said": asked.text("say", "")}, {"map": np.zeros((2, 2), np.uint8)})

    def wait(self, asked, context):
        self.begun.append(asked.fields["id"])
        assert self.go.wait(20)
        return Reply({"done": True})

    def long(self, asked, context):
        self.begun.append(asked.fields["id"])
        for step in itertools.count():
            if context.cancelled.wait(0.005):
                self.cancelled.set()
            context.check()
            context.progress(step, 1000, "a layer")

    def much(self, asked, context):
        self.begun.append(asked.fields["id"])
        return Reply({}, {"map": np.zeros((2000, 2000), np.uint8)})

    def count(self, asked, context):
        context.kept["seen"] = context.kept.get("seen", 0) + 1
        return Reply({"seen": context.kept["seen"]})

    def refuse(self, asked, context):
        raise ArgumentError("desk.refuse: no")

    def fail(self, asked, context):
        raise RuntimeError(f"/home/somebody/secret.py {asked.fields['id']}")

    def starve(self, asked, context):
        raise MemoryError

    def nan(self, asked, context):
        return Reply({"value": float("nan")})

    def complex(self, asked, context):
        return Reply({}, {"map": np.zeros(2, complex)})


@pytest.fixture
def desk(monkeypatch):
    """A desk whose answers the server has beside those of the rooms."""
    desk = Desk()
    names = ("echo", "wait", "long", "much", "count", "refuse", "fail", "starve", "nan", "complex")
    more = {f"desk.{name}": getattr(desk, name) for name in names}
    more |= {"shelf.echo": desk.echo}
    monkeypatch.setattr(attar.explorer.app, "ANSWERS", {**attar.explorer.app.ANSWERS, **more})
    yield desk
    desk.go.set()


@pytest.fixture
def server(desk):
    with Server(State(), port=0) as server:
        yield server


@pytest.fixture
def page(server):
    with Page(server) as page:
        yield page


def until(condition):
    """Wait for something that happens in another thread."""
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


# ---------------------------------------------------------------- one question after the other


def test_a_question_is_answered_with_its_number(page):
    assert page.hello["version"] == attar.__version__
    answer = page.ask(7, "desk.echo", say="狗")
    assert (answer["id"], answer["fields"]) == (7, {"said": "狗"})


def test_of_those_that_wait_only_the_newest_is_answered(page, desk):
    page.say({"id": 1, "ask": "desk.wait"})
    until(lambda: desk.begun == [1])
    for number in (2, 3, 4):
        page.say({"id": number, "ask": "desk.wait"})
    assert [page.hear(), page.hear()] == [{"id": 2, "stale": True}, {"id": 3, "stale": True}]
    desk.go.set()
    assert [page.hear()["id"], page.hear()["id"]] == [1, 4]
    assert desk.begun == [1, 4]


def test_topics_do_not_wait_for_each_other(page, desk):
    page.say({"id": 1, "ask": "desk.wait", "topic": "slow"})
    until(lambda: desk.begun == [1])
    assert page.ask(2, "desk.echo", topic="fast")["id"] == 2


def test_what_is_kept_belongs_to_a_page_and_a_topic(page, server):
    seen = [page.ask(i, "desk.count", topic="ab"[i % 2])["fields"]["seen"] for i in (1, 2, 3, 4)]
    assert seen == [1, 1, 2, 2]
    with Page(server) as other:
        assert other.ask(1, "desk.count", topic="a")["fields"]["seen"] == 1


def test_a_question_is_taken_back_whether_it_waits_or_runs(page, desk):
    page.say({"id": 1, "ask": "desk.long"})
    assert page.hear()["progress"] == {"done": 0, "of": 1000, "what": "a layer"}
    page.say({"id": 2, "ask": "desk.long"})
    page.say({"cancel": 2})
    page.say({"cancel": 1})
    answers = []
    while len(answers) < 2:
        heard = page.hear()
        answers += [] if "progress" in heard else [heard]
    assert answers == [{"id": 2, "cancelled": True}, {"id": 1, "cancelled": True}]
    assert desk.begun == [1]


def test_cancelling_what_is_not_there_changes_nothing(page):
    for number in (99, 1, 1 << 53):
        page.say({"cancel": number})
    assert page.ask(1, "desk.echo")["id"] == 1


# ---------------------------------------------------------------- what cannot be broken

NONSENSE = [
    "",
    "nonsense",
    "{",
    b"\x00\xff",
    b'{"id": 1, "ask": "desk.echo"}',
    "null",
    "[]",
    '"text"',
    "1e400",
    "NaN",
    "[" * 200_000,
    '{"a":' * 200_000,
    "[" * 960 + "]" * 960,
    '{"id":' + "[" * 940 + "]" * 940 + "}",
    "{}",
    '{"id": null, "ask": "desk.echo"}',
    '{"id": -1, "ask": "desk.echo"}',
    '{"id": 0, "ask": "desk.echo"}',
    '{"id": 1.5, "ask": "desk.echo"}',
    '{"id": true, "ask": "desk.echo"}',
    '{"id": NaN, "ask": "desk.echo"}',
    '{"id": Infinity, "ask": "desk.echo"}',
    '{"id": 1e999, "ask": "desk.echo"}',
    '{"id": 1' + "0" * 400 + ', "ask": "desk.echo"}',
    '{"id": 1' + "0" * 5000 + ', "ask": "desk.echo"}',
    '{"id": [1], "ask": "desk.echo"}',
    '{"id": "1", "ask": "desk.echo"}',
    '{"id": 1}',
    '{"id": 1, "ask": "desk.nothing"}',
    '{"id": 1, "ask": ["desk.echo"]}',
    '{"id": 1, "ask": {"desk.echo": 1}}',
    '{"id": 1, "ask": "__class__"}',
    '{"id": 1, "ask": "desk.echo", "topic": 5}',
    '{"id": 1, "ask": "desk.echo", "topic": "' + "x" * 201 + '"}',
    '{"id": 1, "ask": "desk.echo", "say": {"a": []}}',
    '{"id": 1, "ask": "desk.echo", "say": "' + "x" * 900_000 + '"}',
    '{"cancel": "1"}',
    '{"cancel": [1]}',
    '{"cancel": 1' + "0" * 400 + "}",
    '{"cancel": {"__proto__": 1}}',
]


@pytest.mark.parametrize("message", NONSENSE, ids=lambda message: repr(message[:40]))
def test_nonsense_is_answered_with_an_error_and_the_page_goes_on(page, message, caplog):
    page.say(message)
    answer = page.hear()
    assert 0 < len(answer["error"]) < 1000
    assert page.ask(5, "desk.echo", say="still here")["fields"] == {"said": "still here"}
    assert not caplog.records


def test_surrogates_come_back_as_they_came(page):
    page.say('{"id": 1, "ask": "desk.echo", "say": "\\ud800"}')
    assert page.hear()["fields"] == {"said": "\ud800"}


def test_a_message_that_is_too_large_ends_the_conversation_and_no_other(server, page):
    for message in ("x" * ((1 << 20) + 1), ["x" * 100_000] * 20):  # whole, and in parts
        with Page(server) as other:

            def talk(other=other, message=message):
                other.socket.send(message)
                other.hear()

            with pytest.raises(ConnectionClosed):
                talk()
    assert page.ask(1, "desk.echo")["id"] == 1


def test_topics_are_counted(page):
    for i in range(16):
        assert "fields" in page.ask(i + 1, "desk.echo", topic=f"topic {i}")
    assert "at most 16 topics" in page.ask(17, "desk.echo", topic="one more")["error"]
    assert "fields" in page.ask(18, "desk.echo", topic="topic 3")


def test_a_flood_is_answered_to_the_last_question(page, desk):
    flood = 3000
    for number in range(1, flood + 1):
        page.say({"id": number, "ask": "desk.echo"})
    answers = [page.hear() for _ in range(flood)]
    assert sorted(each["id"] for each in answers) == list(range(1, flood + 1))
    assert "fields" in next(each for each in answers if each["id"] == flood)


def test_a_page_that_does_not_listen_holds_nobody_up(server, page, desk):
    with Page(server) as deaf:
        for number in range(1, 60):
            deaf.say({"id": number, "ask": "desk.much", "topic": f"{number % 8}"})
        until(lambda: len(desk.begun) >= 8)
        began = time.perf_counter()
        assert page.ask(1, "shelf.echo")["id"] == 1
        assert time.perf_counter() - began < 5


def test_an_error_is_told_in_its_words_and_a_fault_is_not(page, caplog):
    assert page.ask(1, "desk.refuse")["error"] == "desk.refuse: no"
    assert not caplog.records
    told = page.ask(2, "desk.fail")["error"]
    assert "RuntimeError" in told
    assert "secret" not in told
    assert "/home/somebody/secret.py 2" in caplog.text  # the terminal has it
    assert "not enough memory" in page.ask(3, "desk.starve")["error"]
    for what in ("desk.nan", "desk.complex"):
        assert "error" in page.ask(4, what)
    assert "fields" in page.ask(5, "desk.echo")


@pytest.mark.parametrize(
    "fields",
    [
        {"image": "/etc/passwd"},
        {"image": "../static/coffee.jpg"},
        {"image": ["coffee"]},
        {"image": "\ud800"},
        {"kernel": ""},
        {"kernel": "/etc/passwd"},
        {"kernel": "kernel.npy"},
        {"kernel": "1," * 12 + "1"},
        {"kernel": "1;1,2"},
        {"kernel": "1e999"},
        {"kernel": "nan"},
        {"kernel": "gaussian:99999999:1"},
        {"kernel": "random:11:1e999"},
        {"kernel": "1" * 5000},
        {"kernel": [[1]]},
        {"kernel": 3},
        {"conv_stride": 0},
        {"conv_stride": 1e9},
        {"conv_stride": "2"},
        {"pool_size": 1 << 62},
        {"pool_size": -1},
        {"pool": "__init__"},
        {"view": {"height": 1e9}},
        {"view": {"part": 0}},
        {"view": {"top": -1}},
        {"view": [1]},
        {"bias": 1e300},
    ],
    ids=repr,
)
def test_no_field_of_a_question_hurts(page, fields, caplog):
    usual = {"image": "coffee", "kernel": "edge", "view": {"height": 8, "width": 8}}
    answer = page.ask(1, "extract.maps", **{**usual, **fields})
    assert re.match("extract.maps|image|kernel", answer["error"])
    assert "attar failed" not in answer["error"]
    assert not caplog.records


# ---------------------------------------------------------------- pages come and go


def test_a_page_that_is_closed_takes_its_questions_along(server, desk):
    with Page(server) as page:
        page.say({"id": 1, "ask": "desk.long"})
        page.hear()
    until(desk.cancelled.is_set)


def test_a_page_that_vanishes_while_it_is_answered_is_no_fault(server, desk, caplog):
    with Page(server) as page:
        page.say({"id": 1, "ask": "desk.wait"})
        until(lambda: desk.begun == [1])
        page.socket.socket.close()  # no good-bye
    desk.go.set()
    with Page(server) as other:
        assert other.ask(1, "desk.echo")["id"] == 1
    assert not [each for each in caplog.records if not each.name.startswith("websockets.client")]


def test_a_page_may_come_back(server):
    for _ in range(5):
        with Page(server) as page:
            assert page.ask(1, "desk.echo")["id"] == 1


def test_long_answers_of_one_room_leave_the_others_alone(server, desk):
    with contextlib.ExitStack() as stack:
        pages = [stack.enter_context(Page(server)) for _ in range(4)]
        for page, topic in itertools.product(pages, range(8)):
            page.say({"id": topic + 1, "ask": "desk.wait", "topic": str(topic)})
        until(lambda: len(desk.begun) == 8)  # and 24 that wait for a thread
        with Page(server) as other:
            began = time.perf_counter()
            assert other.ask(1, "shelf.echo")["id"] == 1
            assert time.perf_counter() - began < 2
        assert len(desk.begun) == 9
        desk.go.set()
        for page in pages:
            assert sorted(page.hear()["id"] for _ in range(8)) == list(range(1, 9))

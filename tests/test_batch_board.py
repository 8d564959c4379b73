"""A board, and who looks at it."""

import math
import threading
import time

import pytest

from attar.batch.board import Board, Watch
from attar.batch.work import Tally


@pytest.fixture
def board():
    made = Board()
    made.write(Tally(-1))
    yield made
    made.close()


def test_what_changed_is_told_and_what_takes_too_long_is_ended(board):
    told, ended = [], threading.Event()
    with Watch(board, 2, 0.2, told.append, ended.set) as watch:
        board.write(Tally(1, 0, 5))
        assert ended.wait(10)
    assert told == [Tally(1, 0, 5)]
    assert (watch.late, watch.error) == (1, None)


@pytest.mark.parametrize("images", [-1, 2])
def test_nothing_is_late_before_the_first_image_and_behind_the_last(board, images):
    ended = threading.Event()
    board.write(Tally(images))
    with Watch(board, 2, 0.01, lambda _: None, ended.set) as watch:
        assert not ended.wait(0.5)
    assert watch.late is None


def test_whoever_is_told_may_end_it_and_is_told_nothing_more(board):
    told, ended = [], threading.Event()

    def enough(tally):
        told.append(tally)
        raise RuntimeError("enough")

    with Watch(board, 2, math.inf, enough, ended.set) as watch:
        board.write(Tally(1))
        assert ended.wait(10)
        board.write(Tally(2))
        time.sleep(0.5)
    assert told == [Tally(1)]
    assert str(watch.error) == "enough"
    assert watch.late is None


def test_behind_the_block_nobody_is_told_any_more(board):
    begun, told = threading.Event(), []

    def slow(tally):
        begun.set()
        time.sleep(0.5)
        told.append(tally)

    with Watch(board, 2, math.inf, slow, lambda: None):
        board.write(Tally(1))
        assert begun.wait(10)
    assert told == [Tally(1)]  # what had begun has ended
    board.write(Tally(2))
    time.sleep(0.5)
    assert told == [Tally(1)]

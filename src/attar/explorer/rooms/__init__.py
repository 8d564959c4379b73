"""The rooms of the page: for each, the questions that it answers.

A room is a module with a dict ``ANSWERS`` of functions ``(asked, context) -> Reply``. They are
plain functions of what was asked, called in a thread, one at a time for each topic.
"""

from attar.explorer.answers import Answerer
from attar.explorer.rooms import extract, invariance, model, scores

__all__ = ["ANSWERS", "NAMES"]

NAMES = ("extract", "invariance", "model", "scores")

ANSWERS: dict[str, Answerer] = {
    **extract.ANSWERS,
    **invariance.ANSWERS,
    **model.ANSWERS,
    **scores.ANSWERS,
}

"""The room scores."""

from attar.explorer.answers import Answerer

__all__ = ["ANSWERS"]

ANSWERS: dict[str, Answerer] = {}

"""The claims about pooling, put to the test: an experiment for each.

Each function measures, and returns a frozen result: its numbers, the settings and seeds that they
follow from, `table()` as text, `figure()` as a picture, `to_json()`. From a shell it is
``attar experiment NAME``. What came out is in docs/claims.md.

>>> result = circle([4])
>>> result.of(4).distinct  # of 49 shifts, after 1, 2, 3 and 4 max pools
(49, 49, 45, 1)
"""

from attar.experiments.activity import Intensify, intensify
from attar.experiments.circles import Circles, circle
from attar.experiments.costs import FewerParameters, fewer_parameters
from attar.experiments.dots import TwoDots, two_dots
from attar.experiments.learning import FULL, LessData, less_data
from attar.experiments.results import Result

__all__ = [
    "FULL",
    "Circles",
    "FewerParameters",
    "Intensify",
    "LessData",
    "Result",
    "TwoDots",
    "circle",
    "fewer_parameters",
    "intensify",
    "less_data",
    "two_dots",
]

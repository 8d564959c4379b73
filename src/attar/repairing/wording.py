"""How layers and what replaces them are named in tables."""

from __future__ import annotations

from collections.abc import Sequence

from attar.repairing.kinds import Kind
from attar.repairing.plan import Place, Plan, Step
from attar.repairing.repaired import Replacement

__all__ = ["replacements", "window_text"]


def window_text(kind: str, window: Sequence[int], strides: Sequence[int]) -> str:
    """Write a kind with its window and its stride.

    Examples
    --------
    >>> window_text("MaxPool", (3, 3), (2, 2)), window_text("Conv", (1, 3), (1, 2))
    ('MaxPool 3 / 2', 'Conv 1×3 / 1×2')
    >>> window_text("Slice", (), (2, 2))
    'Slice / 2'
    """
    size, step = ("×".join(map(str, dict.fromkeys(each) if len({*each}) == 1 else each))
                  for each in (window, strides))  # fmt: skip
    return f"{kind} {size} / {step}" if size else f"{kind} / {step}"


def _sides(numbers: Sequence[int]) -> str:
    return "×".join(map(str, numbers if len({*numbers}) > 1 else numbers[:1]))


def replacements(
    steps: Sequence[Step], plan: Plan, kind: Kind, was: dict[int, str], dense: dict[int, str]
) -> tuple[Replacement, ...]:
    """Tell of each stride what became of it.

    Parameters
    ----------
    was, dense : dict of int to str
        By the number of the step, what it was and what it is without its stride; empty where
        nothing of it is left.
    """
    told = []
    for i in sorted({**plan.places, **plan.left}):
        if i in plan.left:
            told.append(Replacement(steps[i].name, was[i], "", f"stays: {plan.left[i]}"))
            continue
        place = plan.places[i]
        condensed = f"{kind.name} / {_sides(steps[i].strides)}"
        parts = [condensed, dense[i]] if place.before else [dense[i], condensed]
        is_mean = kind.name == "average" and not dense[i]
        why = "the mean of the same windows" if is_mean else _where(steps, place)
        told.append(Replacement(steps[i].name, was[i], ", ".join(filter(None, parts)), why))
    return tuple(told)


def _where(steps: Sequence[Step], place: Place) -> str:
    if place.before:
        where = "before it"
    else:
        where = "behind it" if place.at == place.step else f"behind {steps[place.at].name}"
    if place.leader != place.step:
        where += f", phase of {steps[place.leader].name}"
    return where

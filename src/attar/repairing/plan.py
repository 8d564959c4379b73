"""Where the strides of a model are, where what replaces them goes, and which must agree.

Each framework's room writes its model down as `Step`s. What follows from these is worked out here,
once.

A stride begins a *grid*: the places that its answer has a value for. Maps that meet, as behind a
shortcut, must be on one grid. A blur keeps the places, so that nothing can go wrong. A polyphase
pool chooses them, by what it sees; so all strides that begin the same grid must take one choice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

from attar.repairing.kinds import Kind

__all__ = ["IMAGE", "Place", "Plan", "Role", "Step", "plan_of"]

IMAGE = -1  # as an input of a step: the model's own input

Role: TypeAlias = Literal["stride", "normalize", "detect", "keep", "regrid", "vector"]
"""What a step does to the grid: begins one by a stride; keeps it, as a normalization of channels,
as an activation function, or otherwise; makes an unrelated one; has none behind it."""


@dataclass(frozen=True)
class Step:
    """One computation of a model.

    Attributes
    ----------
    name : str
    kind : str
        What the framework calls it.
    inputs : tuple of int
        The steps whose answers it takes; -1 is the image.
    role : Role
    strides : (int, int)
    is_filter : bool
        A convolution: what replaces its stride may wait for the activation behind it.
    is_pixelwise : bool
        A convolution of 1 × 1 without padding: what is linear may as well come before it.
    left : str
        Why its stride cannot be replaced.
    answers : bool
        Whether what it computes is an output of the model.
    """

    name: str
    kind: str
    inputs: tuple[int, ...]
    role: Role = "keep"
    strides: tuple[int, int] = (1, 1)
    is_filter: bool = False
    is_pixelwise: bool = False
    left: str = ""
    answers: bool = False


class Place(NamedTuple):
    """Where what replaces a stride goes.

    Attributes
    ----------
    step : int
        Which has the stride.
    at : int
        Behind this step, or before it.
    before : bool
    leader : int
        The step with a stride of the same grid that comes first: it chooses the phase for all.
    """

    step: int
    at: int
    before: bool
    leader: int


class Plan(NamedTuple):
    """What happens to the strides of a model, by the number of the step.

    Attributes
    ----------
    places : dict of int to Place
    left : dict of int to str
        Why those that stay do.
    """

    places: dict[int, Place]
    left: dict[int, str]


def plan_of(steps: Sequence[Step], kind: Kind) -> Plan:
    """Decide where what replaces each stride goes.

    Examples
    --------
    >>> shortcut = [
    ...     Step("conv", "Conv", (-1,), "stride", (2, 2), is_filter=True),
    ...     Step("relu", "Relu", (0,), "detect"),
    ...     Step("down", "Conv", (-1,), "stride", (2, 2), is_filter=True, is_pixelwise=True),
    ...     Step("add", "Add", (1, 2)),
    ... ]
    >>> places, left = plan_of(shortcut, Kind("polyphase"))
    >>> places[0], places[2]
    (Place(step=0, at=1, before=False, leader=0), Place(step=2, at=2, before=True, leader=0))
    """
    strided = [i for i, step in enumerate(steps) if step.role == "stride"]
    left = {i: steps[i].left for i in strided if steps[i].left}
    users: dict[int, list[int]] = {}
    for i, step in enumerate(steps):
        for other in step.inputs:
            users.setdefault(other, []).append(i)
    places = {i: _place(steps, users, i) for i in strided if i not in left}
    if kind.name != "polyphase":
        return Plan(places, left)
    grids = _Grids(steps)
    left = {**grids.misaligned, **left}
    for members in grids.groups():
        staying = [i for i in members if i in left]
        for i in members:
            if staying and i not in left:
                left[i] = f"{steps[staying[0]].name} is on the same grid and stays as it is"
        leader = min(members, key=lambda i: places[i].at if i in places else i)
        for i in members:
            if i in places:
                places[i] = places[i]._replace(leader=leader)
    return Plan({i: place for i, place in places.items() if i not in left}, left)


def _place(steps: Sequence[Step], users: dict[int, list[int]], i: int) -> Place:
    """Behind the activation of a convolution, if it has one of its own."""
    if not steps[i].is_filter:
        return Place(i, i, False, i)
    last = i
    while not steps[last].answers and len(users.get(last, ())) == 1:
        last = users[last][0]
        if steps[last].role == "detect" and len(steps[last].inputs) == 1:
            return Place(i, last, False, i)
        if steps[last].role != "normalize":
            break
    return Place(i, i, steps[i].is_pixelwise, i)


@dataclass(eq=False)
class _Grid:
    above: _Grid | None = None
    strides: tuple[int, int] | None = None  # None where no other can be the same
    members: list[int] = field(default_factory=list)
    same: _Grid | None = None  # what it was found to be


class _Grids:
    """The grid of every step's answer, and which strides begin the same one."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = steps
        self._all: list[_Grid] = []
        self.misaligned: dict[int, str] = {}
        image = _Grid()
        answers: list[_Grid | None] = []
        for i, step in enumerate(steps):
            given = [image if j == IMAGE else answers[j] for j in step.inputs]
            grids = [_found(grid) for grid in given if grid is not None]
            for other in grids[1:]:
                self._meet(grids[0], other, step.name)
            answers.append(self._answer(i, step, _found(grids[0]) if grids else None))

    def _answer(self, i: int, step: Step, grid: _Grid | None) -> _Grid | None:
        if grid is None or step.role == "vector":
            return None
        if step.role not in ("stride", "regrid"):
            return grid
        is_stride = step.role == "stride"
        made = _Grid(grid, step.strides if is_stride else None, [i] if is_stride else [])
        self._all.append(made)
        return made

    def groups(self) -> Iterator[list[int]]:
        """Give the strides that begin the same grid, together."""
        yield from (sorted(grid.members) for grid in self._all if not grid.same and grid.members)

    def _meet(self, one: _Grid, other: _Grid, where: str) -> None:
        if not self._unite(one, other):
            mine, theirs = _chain(one), _chain(other)
            for grid in mine + theirs:
                if (grid in mine) != (grid in theirs):
                    for i in grid.members:
                        self.misaligned[i] = (
                            f"its map meets one of another grid in {where}, which a choice of "
                            "phases would move against it"
                        )

    @staticmethod
    def _unite(one: _Grid, other: _Grid) -> bool:
        pairs = []
        for mine, theirs in zip(_chain(one), _chain(other), strict=False):
            if mine is theirs:
                break
            if mine.strides is None or mine.strides != theirs.strides:
                return False
            pairs.append((mine, theirs))
        for mine, theirs in pairs:
            mine.members += theirs.members
            theirs.same, theirs.members = mine, []
        return True


def _found(grid: _Grid) -> _Grid:
    while grid.same is not None:
        grid = grid.same
    return grid


def _chain(grid: _Grid | None) -> list[_Grid]:
    chain = []
    while grid is not None:
        grid = _found(grid)
        chain.append(grid)
        grid = grid.above
    return chain

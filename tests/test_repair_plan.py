"""Where what replaces strides goes, and which of them must agree."""

import pytest

from attar.errors import ArgumentError
from attar.repairing.kinds import Kind, kind_of
from attar.repairing.plan import IMAGE, Place, Step, plan_of

BLUR, PHASE = Kind("blur3", 3), Kind("polyphase")


def conv(name, *inputs, stride=2, size=3, left=""):
    return Step(
        name, "Conv", inputs, "stride", (stride, stride), is_filter=True, is_pixelwise=size == 1,
        left=left,
    )  # fmt: skip


def pool(name, *inputs, left=""):
    return Step(name, "MaxPool", inputs, "stride", (2, 2), left=left)


def test_a_convolution_waits_for_its_normalization_and_activation():
    steps = [
        conv("conv", IMAGE),
        Step("norm", "BatchNormalization", (0,), "normalize"),
        Step("relu", "Relu", (1,), "detect"),
        conv("next", 2),
        Step("other", "Pad", (3,)),
        Step("late", "Relu", (4,), "detect"),
    ]
    assert plan_of(steps, BLUR).places == {0: Place(0, 2, False, 0), 3: Place(3, 3, False, 3)}


def test_it_does_not_wait_where_another_layer_or_the_model_takes_its_map():
    taken = [
        conv("conv", IMAGE),
        Step("relu", "Relu", (0,), "detect"),
        Step("both", "Add", (0, 1)),
    ]
    assert plan_of(taken, BLUR).places[0].at == 0
    answers = [
        Step("conv", "Conv", (IMAGE,), "stride", (2, 2), is_filter=True, answers=True),
        Step("relu", "Relu", (0,), "detect"),
    ]
    assert plan_of(answers, BLUR).places[0].at == 0


def test_what_sees_one_pixel_is_condensed_before_unless_an_activation_follows():
    steps = [conv("down", IMAGE, size=1), Step("norm", "BatchNorm", (0,), "normalize")]
    assert plan_of(steps, BLUR).places[0] == Place(0, 0, True, 0)
    steps.append(Step("relu", "Relu", (1,), "detect"))
    assert plan_of(steps, BLUR).places[0] == Place(0, 2, False, 0)


def block(start, first, **down):
    """A residual block that begins a grid."""
    return [
        conv("conv", start),
        Step("relu", "Relu", (first,), "detect"),
        Step("again", "Conv", (first + 1,)),
        conv("down", start, size=1, **down),
        Step("add", "Add", (first + 2, first + 3)),
    ]


def test_both_branches_of_a_residual_block_take_one_choice():
    steps = [*block(IMAGE, 0), *block(4, 5)]
    places, left = plan_of(steps, PHASE)
    assert not left
    assert [places[i].leader for i in (0, 3, 5, 8)] == [0, 0, 5, 5]


def test_two_strides_in_one_branch_agree_with_two_in_the_other():
    steps = [
        pool("a1", IMAGE), pool("a2", 0), pool("b1", IMAGE), pool("b2", 2),
        Step("cat", "Concat", (1, 3)),
    ]  # fmt: skip
    places, left = plan_of(steps, PHASE)
    assert not left
    assert [places[i].leader for i in range(4)] == [0, 1, 0, 1]


def test_what_meets_another_grid_keeps_its_stride():
    # Enlarged again, as in a U-Net: a phase that was chosen is not undone.
    steps = [
        pool("down", IMAGE),
        Step("up", "Resize", (0,), "regrid"),
        Step("skip", "Concat", (IMAGE, 1)),
        pool("behind", 2),
    ]
    places, left = plan_of(steps, PHASE)
    assert set(left) == {0}
    assert "skip" in left[0]
    assert set(places) == {3}
    assert set(plan_of(steps, BLUR).places) == {0, 3}
    # A stride of 4 is not two of 2.
    steps = [
        conv("four", IMAGE, stride=4),
        pool("a", IMAGE),
        pool("b", 1),
        Step("add", "Add", (0, 2)),
    ]
    assert set(plan_of(steps, PHASE).left) == {0, 1, 2}


def test_a_stride_that_stays_keeps_those_of_its_grid():
    steps = block(IMAGE, 0, left="it is dilated")
    places, left = plan_of(steps, PHASE)
    assert not places
    assert left == {0: "down is on the same grid and stays as it is", 3: "it is dilated"}
    assert set(plan_of(steps, BLUR).places) == {0}


def test_vectors_have_no_grid():
    steps = [
        pool("pool", IMAGE),
        Step("mean", "GlobalAveragePool", (0,), "vector"),
        Step("gate", "Conv", (1,)),
        Step("scale", "Mul", (0, 2)),
    ]
    assert not plan_of(steps, PHASE).left


@pytest.mark.parametrize(("pool_name", "border"), [("blur4", "reflect"), (None, "reflect"),
                                                   ("blur3", "zero")])  # fmt: skip
def test_kinds_that_there_are_none_of(pool_name, border):
    with pytest.raises(ArgumentError, match=r"repair: (pool|border) must be one of '.*', got"):
        kind_of("repair", pool_name, border)


def test_a_chain_as_long_as_a_file_may_make_it():
    steps = [pool(f"p{i}", i - 1) for i in range(3000)]
    steps += [pool(f"q{i}", i - 1 if i else IMAGE) for i in range(1)]
    assert len(plan_of(steps, PHASE).places) == 3001

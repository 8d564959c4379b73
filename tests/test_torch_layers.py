"""The pools of `attar.torch` beside torch.nn's own, and those that torch.nn has none of."""

import copy
import io
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing._internal.two_tensor import TwoTensor

import attar.nn
import attar.torch
from attar import _core
from attar.errors import ArgumentError, AttarError, ShapeError
from attar.torch import definitions

FLOATS = [torch.float32, torch.float64, torch.float16, torch.bfloat16]
TOLERANCE = {torch.float16: 2e-3, torch.bfloat16: 2e-2}

POOLS = {
    "MaxPool": [
        {"kernel_size": 2},
        {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True},
        {"kernel_size": 3, "stride": 1, "dilation": 2, "return_indices": True},
        {"kernel_size": 2, "stride": 3, "padding": 1, "return_indices": True},
    ],
    "AvgPool": [
        {"kernel_size": 2},
        {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True},
        {"kernel_size": 3, "stride": 1, "padding": 1, "count_include_pad": False},
        {"kernel_size": 3, "stride": 2, "ceil_mode": True, "divisor_override": 2},
    ],
    "LPPool": [
        {"norm_type": 2, "kernel_size": 2},
        {"norm_type": 4.0, "kernel_size": 3, "stride": 1},
        {"norm_type": 1, "kernel_size": 2},
        {"norm_type": 3, "kernel_size": 2},
        {"norm_type": 2, "kernel_size": 3, "stride": 2, "ceil_mode": True},
        {"norm_type": float("inf"), "kernel_size": 2, "stride": 2},
    ],
    "AdaptiveMaxPool": [
        {"output_size": 3},
        {"output_size": 1, "return_indices": True},
        {"output_size": 4, "return_indices": True},
    ],
    "AdaptiveAvgPool": [{"output_size": 4}, {"output_size": 1}],
}
CASES = [
    (name, dims, options)
    for name, several in POOLS.items()
    for dims in (1, 2, 3)
    for options in several
    if (name, dims) != ("AvgPool", 1) or "divisor_override" not in options
]


def case_name(case):
    name, dims, options = case
    return f"{name}{dims}d-" + ",".join(f"{key}={value}" for key, value in options.items())


def pair_of(name, dims, options):
    """The layer of attar and that of torch.nn."""
    kind = f"{name}{dims}d"
    return getattr(attar.torch, kind)(**options), getattr(nn, kind)(**options)


def maps(dims, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(2, 3, *(9, 11, 8)[:dims], generator=generator, dtype=torch.float64)
    x[..., 1::4] = x[..., :-1:4]  # ties
    return x.to(dtype)


def layouts(x):
    """The same kind of maps in other layouts."""
    yield "contiguous", x
    yield "one image", x[0]
    yield "axes exchanged", x.transpose(1, -1).contiguous().transpose(1, -1)
    yield "every other", x.repeat_interleave(2, -1)[..., ::2]
    yield "the end of a larger one", torch.cat([x, x], 1)[:, 3:]
    if x.ndim > 3:
        last = torch.channels_last if x.ndim == 4 else torch.channels_last_3d
        yield "channels last", x.contiguous(memory_format=last)
        yield "one channel, last", x[:, :1].contiguous(memory_format=last)


def steps(x):
    """The strides, where there are steps to take."""
    return [step if size > 1 else 1 for step, size in zip(x.stride(), x.shape, strict=True)]


def run(layer, x):
    """The answer, indices where there are some, and the gradient for the input."""
    leaf = x.detach().requires_grad_()  # the strides stay
    answer = layer(leaf)
    outputs = answer if isinstance(answer, tuple) else (answer,)
    weights = torch.linspace(-1, 1, outputs[0].numel()).view(outputs[0].shape)
    (slope,) = torch.autograd.grad(outputs[0], leaf, weights.to(outputs[0].dtype))
    with torch.no_grad():
        again = layer(x)
    again = again[0] if isinstance(again, tuple) else again
    torch.testing.assert_close(again, outputs[0], rtol=0, atol=0, equal_nan=True)
    return *outputs, slope


@pytest.mark.parametrize("case", CASES, ids=case_name)
def test_answers_gradients_and_layouts_are_those_of_torch(case):
    ours, theirs = pair_of(*case)
    for layout, x in layouts(maps(case[1]).abs() if case[0] == "LPPool" else maps(case[1])):
        found, wanted = run(ours, x), run(theirs, x)
        if case[1] == 2 and case[0] != "LPPool":
            assert steps(found[0]) == steps(wanted[0]), layout
        if layout == "channels last" and ours._accepts(x):
            assert steps(found[0])[1] == steps(found[-1])[1] == 1
        for a, b in zip(found, wanted, strict=True):
            torch.testing.assert_close(a, b, msg=lambda text, layout=layout: f"{layout}: {text}")


@pytest.mark.parametrize("case", CASES, ids=case_name)
def test_every_dtype(case):
    ours, theirs = pair_of(*case)
    for dtype in FLOATS[1:]:
        x = maps(case[1], dtype).abs() if case[0] == "LPPool" else maps(case[1], dtype)
        exact = case[0].endswith("MaxPool")
        if case[0] == "LPPool" and dtype.itemsize < 4 and not ours._accepts(x):
            continue  # PyTorch's, which rounds each step
        found = run(ours, x)
        wanted = run(theirs, x if exact and dtype.itemsize < 4 else x.double())
        assert found[0].dtype == found[-1].dtype == dtype
        for a, b in zip(found[:-1], wanted[:-1], strict=True):
            tolerance = 0 if exact else TOLERANCE.get(dtype, 1e-12)
            torch.testing.assert_close(
                a.double(), b.double(), rtol=tolerance, atol=tolerance, equal_nan=True
            )


@pytest.mark.parametrize("dtype", [torch.int64, torch.int8, torch.uint8, torch.uint16])
def test_maxima_of_whole_numbers(dtype):
    x = torch.arange(48).reshape(1, 3, 4, 4).flip(3).to(dtype)
    answer, indices = attar.torch.MaxPool2d(2, return_indices=True)(x)
    wanted, places = nn.MaxPool2d(2, return_indices=True)(x.double())
    assert answer.dtype == dtype
    assert torch.equal(answer.double(), wanted)
    assert torch.equal(indices, places)


def test_nan_and_infinities():
    x = maps(2)
    x[0, 0, 4, 5], x[0, 1] = float("nan"), -float("inf")
    x[1, 2, 3, 3], x[1, 2, 7, 7] = float("inf"), -float("inf")
    for case in CASES:
        if case[1] == 2 and case[0] in ("MaxPool", "AvgPool", "AdaptiveMaxPool"):
            ours, theirs = pair_of(*case)
            for a, b in zip(run(ours, x), run(theirs, x), strict=True):
                torch.testing.assert_close(a, b, equal_nan=True)


@pytest.mark.parametrize("case", CASES, ids=case_name)
def test_arguments_and_text_are_those_of_torch(case):
    ours, theirs = pair_of(*case)
    assert repr(ours) == repr(theirs)
    assert isinstance(ours, type(theirs))
    state = {key: value for key, value in vars(theirs).items() if not key.startswith("_")}
    assert {key: vars(ours)[key] for key in state} == state
    assert list(ours.state_dict()) == list(theirs.state_dict()) == []
    again = pickle.loads(pickle.dumps(ours))
    assert type(again) is type(ours)
    assert repr(again) == repr(copy.deepcopy(ours)) == repr(ours)


@pytest.mark.parametrize(
    ("name", "arguments", "shape"),
    [
        ("MaxPool2d", (2,), (2, 3, 1, 5)),  # the window does not fit
        ("MaxPool2d", (2, 2, 2), (2, 3, 5, 5)),  # too much padding
        ("MaxPool2d", ((2, 2, 2),), (2, 3, 5, 5)),
        ("MaxPool2d", (2,), (5, 5)),
        ("MaxPool3d", (2,), (2, 0, 5, 5, 5)),
        ("AvgPool2d", (2, 0), (2, 3, 5, 5)),
        ("AvgPool1d", (3, 1, 2), (2, 3, 5)),
        ("AdaptiveAvgPool2d", ((2, 2, 2),), (2, 3, 5, 5)),
        ("AdaptiveMaxPool1d", (3,), (2, 3, 4, 5)),
        ("FractionalMaxPool2d", (3, 9), (2, 3, 8, 8)),
    ],
)
def test_what_torch_refuses_is_refused_by_torch(name, arguments, shape):
    raised = []
    for module in (attar.torch, nn):
        with pytest.raises(Exception) as caught:  # noqa: PT011
            getattr(module, name)(*arguments)(torch.zeros(shape))
        raised.append(caught)
    ours, theirs = raised
    assert ours.type is theirs.type
    assert not isinstance(ours.value, AttarError)


@pytest.mark.parametrize("case", CASES, ids=case_name)
def test_batches_without_images_are_treated_as_torch_does(case):
    ours, theirs = pair_of(*case)
    x = maps(case[1])[:0]
    for a, b in zip(run(ours, x), run(theirs, x), strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype


def test_windows_that_see_nothing_but_padding_are_left_to_torch():
    ours, theirs = (module.MaxPool1d(2, 1, 1, 3) for module in (attar.torch, nn))
    x = torch.ones(1, 1, 2)
    assert torch.equal(ours(x), theirs(x))
    assert ours(x).min() == -float("inf")


def test_other_devices_and_dtypes_are_left_to_torch():
    pool = attar.torch.MaxPool2d(2)
    assert pool(torch.empty(1, 3, 8, 8, device="meta")).shape == (1, 3, 4, 4)
    whole = torch.arange(16).view(1, 1, 4, 4)
    assert torch.equal(attar.torch.AvgPool2d(2)(whole), nn.AvgPool2d(2)(whole))
    both = TwoTensor(maps(2), maps(2, seed=1))
    assert torch.equal(pool(both).b, pool(both.b))
    traced = torch.fx.symbolic_trace(nn.Sequential(pool))
    x = maps(2)
    assert torch.equal(traced(x), pool(x))


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_derivatives_forwards_are_torchs():
    x, tangent = maps(2), maps(2, seed=1)
    ours, theirs = pair_of("AvgPool", 2, {"kernel_size": 2})
    for a, b in zip(
        torch.func.jvp(ours, (x,), (tangent,)),
        torch.func.jvp(theirs, (x,), (tangent,)),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("case", CASES, ids=case_name)
def test_autocast_gives_the_dtypes_of_torch(case):
    ours, theirs = pair_of(*case)
    for dtype in (torch.float32, torch.bfloat16, torch.float64):
        x = maps(case[1], dtype).abs()
        with torch.autocast("cpu", torch.bfloat16):
            found, wanted = run(ours, x), run(theirs, x)
        assert [a.dtype for a in found] == [b.dtype for b in wanted]


def test_training_keeps_a_byte_for_each_window_and_nothing_else():
    kept = []
    x = maps(2).requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        attar.torch.MaxPool2d(3, 2)(x)
        attar.torch.AvgPool2d(2)(x)
    assert [(each.dtype, each.shape) for each in kept] == [(torch.uint8, (2, 3, 4, 5))]


def test_without_gradients_no_winner_is_looked_for(monkeypatch):
    monkeypatch.setattr(_core, "pool_winners", None)
    x = maps(2).requires_grad_()
    with torch.no_grad():
        attar.torch.MaxPool2d(2)(x)
    attar.torch.MaxPool2d(2)(x.detach())
    with pytest.raises(TypeError):
        attar.torch.MaxPool2d(2)(x)


def test_layers_train():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3), attar.torch.MaxPool2d(2), attar.torch.BlurPool2d(),
        attar.torch.GeM(), nn.Flatten(), nn.Linear(8, 2),
    )  # fmt: skip
    x = torch.randn(32, 1, 16, 16)
    x[:16, :, 4:12, 4:12] += 2
    y = torch.arange(32) // 16
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    losses = []
    for _ in range(30):
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]
    assert model[3].p.item() != 3


# ------------------------------------------------------------------ fractional windows


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 2, "output_size": 3},
        {"kernel_size": (3, 2), "output_size": (1, 6)},
        {"kernel_size": 3, "output_ratio": (0.5, 0.7)},
        {"kernel_size": 2, "output_size": (8, 10)},
    ],
    ids=str,
)
def test_fractional_windows_are_those_of_torch(options, dtype):
    x = maps(2, dtype)
    answers = []
    for module in (attar.torch, nn):
        torch.manual_seed(7)
        answers.append(module.FractionalMaxPool2d(**options, return_indices=True)(x))
    (found, indices), (wanted, places) = answers
    assert torch.equal(found, wanted)
    assert torch.equal(indices, places)
    samples = torch.rand(2, 3, 2, dtype=dtype)
    ours, theirs = (
        run(module.FractionalMaxPool2d(**options, _random_samples=samples), x)
        for module in (attar.torch, nn)
    )
    assert torch.equal(ours[0], theirs[0])
    torch.testing.assert_close(ours[1], theirs[1])


# ------------------------------------------------------------------ those that torch.nn has not


OWN = {
    "SoftPool2d": (
        attar.torch.SoftPool2d((3, 2), 2, 1),
        lambda x: attar.nn.soft_pool(x, (3, 2), 2, [(1, 1), (1, 1)], "NCHW"),
        lambda x: definitions.soft(x, (3, 2), (2, 2), (1, 1)),
    ),
    "BlurPool2d": (
        attar.torch.BlurPool2d((4, 3), (2, 1), "circular"),
        lambda x: attar.nn.blur_pool(x, (4, 3), (2, 1), "NCHW", border="circular"),
        lambda x: definitions.blur(x, (4, 3), (2, 1), "circular"),
    ),
    "MaxBlurPool2d": (
        attar.torch.MaxBlurPool2d(3, 2, 1, 5, "zeros"),
        lambda x: attar.nn.max_blur_pool(x, 3, 5, 2, [(1, 1)] * 2, "NCHW", border="zero"),
        lambda x: definitions.max_blur(x, (3, 3), (5, 5), (2, 2), (1, 1), "zeros"),
    ),
    "PolyphasePool2d": (
        attar.torch.PolyphasePool2d((2, 3), "l1"),
        lambda x: attar.nn.polyphase_pool(x, (2, 3), "l1", "NCHW"),
        lambda x: definitions.polyphase(x, (2, 3), "l1"),
    ),
    "GeM": (
        attar.torch.GeM(4.0, 0.1),
        lambda x: attar.nn.gem_pool(x, 4.0, 0.1, "NCHW", keepdims=True),
        lambda x: definitions.generalised_mean(x, torch.tensor([4.0]), 0.1),
    ),
}


@pytest.mark.parametrize("name", OWN)
def test_own_layers_compute_what_attar_nn_does(name):
    layer, expected, definition = OWN[name]
    last = maps(2).contiguous(memory_format=torch.channels_last)
    for x in (maps(2), last, maps(2).double(), maps(2).half()):
        answer = layer(x)
        torch.testing.assert_close(answer, expected(x), rtol=2e-3, atol=2e-3)
        assert answer.dtype == x.dtype
    assert layer(last).is_contiguous(memory_format=torch.channels_last)
    if name != "GeM":
        assert torch.equal(layer(maps(2)[1]), layer(maps(2))[1])
    rough = layer(maps(2).bfloat16())  # by the definition
    assert rough.dtype == torch.bfloat16
    torch.testing.assert_close(rough.float(), expected(maps(2)), rtol=0.05, atol=0.05)
    with torch.no_grad():
        elsewhere = copy.deepcopy(layer).to("meta")(maps(2).to("meta"))
    assert elsewhere.shape == definition(maps(2)).shape


def test_own_layers_say_what_they_are_and_what_they_take():
    assert repr(attar.torch.BlurPool2d(4)) == (
        "BlurPool2d(kernel_size=4, stride=2, padding_mode='reflect')"
    )
    assert repr(attar.torch.GeM()) == "GeM(p=3, eps=1e-06)"
    assert list(attar.torch.GeM().state_dict()) == ["p"]
    with pytest.raises(ArgumentError, match="padding_mode must be 'reflect', 'circular' or"):
        attar.torch.MaxBlurPool2d(padding_mode="mirror")
    with pytest.raises(ArgumentError, match="norm must be 'l2', 'l1' or 'linf', got 2"):
        attar.torch.PolyphasePool2d(norm=2)
    with pytest.raises(ArgumentError, match="p and eps must be larger than 0, got p=0"):
        attar.torch.GeM(0)
    with pytest.raises(ShapeError, match=r"SoftPool2d: input must be \(N, C, H, W\) or"):
        attar.torch.SoftPool2d()(torch.zeros(3, 3))
    with pytest.raises(ShapeError, match=r"GeM: input must be \(N, C\) and one to three"):
        attar.torch.GeM()(torch.zeros(3, 3))


def test_a_generalised_mean_has_one_to_three_axes():
    for dims in (1, 2, 3):
        x, layer = maps(dims).abs(), attar.torch.GeM(2.0)
        assert layer(x).shape == (2, 3, *(1,) * dims)
        torch.testing.assert_close(
            layer(x).flatten(1), x.square().flatten(2).mean(2).sqrt(), rtol=1e-5, atol=1e-5
        )


def test_a_model_is_saved_and_loaded():
    model = nn.Sequential(attar.torch.MaxPool2d(2), attar.torch.GeM(4))
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    other = nn.Sequential(attar.torch.MaxPool2d(2), attar.torch.GeM())
    other.load_state_dict(torch.load(file, weights_only=True))
    assert other[1].p.item() == 4
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(model.eval(), maps(2))
    assert np.array_equal(traced(maps(2, seed=3)).detach(), model(maps(2, seed=3)).detach())


def test_without_torch_the_error_names_what_to_install():
    script = (
        "import sys; sys.modules['torch'] = None\n"
        "from attar import *\n"
        "try:\n"
        "    import attar; attar.torch\n"
        "except ImportError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.startswith("attar.torch needs PyTorch")
    assert done.stdout.endswith("install it: pip install attar[torch]\n")

"""Hostile calls of every function of attar.nn: an answer or an error of attar, and nothing else.

    python -m tests.fuzz_nn --seconds 300 --seed 1
    python -m tests.fuzz_nn --seed 1 --only 4711       # one call again, in this process

The calls run in a child process with little memory. If it dies or hangs, the call that did it is
reported, and a new child goes on behind it. A call follows from the seed and its number alone.

Arguments are made by name, so a new function is covered when its parameters have names that are
known here. A name that is not known is an error.
"""

from __future__ import annotations

import argparse
import faulthandler
import inspect
import json
import math
import os
import random
import resource
import select
import subprocess
import sys
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from attar import nn
from attar.errors import AttarError
from attar.nn import layout

MEMORY = 2**32  # bytes of addresses that a child may use beside those of its start
ROOM = 2**28  # what attar is told that the machine has: answers of at most half of it
CALL_SECONDS = 30  # a call that takes longer hangs

FUNCTIONS = {
    name: getattr(nn, name) for name in nn.__all__ if inspect.isfunction(getattr(nn, name))
}

FLOATS = ["float32", "float64", "float16", "bfloat16"]
INTS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
ODD_DTYPES = [
    ">f4", ">f8", ">i2", "?", "c8", "O", "U3", "S2", "M8[s]", "m8[s]", "V4", "g",
    [("a", "f4"), ("b", "i4")], ml_dtypes.float8_e4m3fn, ml_dtypes.int4,
]  # fmt: skip


def dtype_of(name: Any) -> np.dtype[Any]:
    return np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)


# --------------------------------------------------------------------------------- values


class Case:
    """A function, and what its arguments have in common, so that many calls are valid."""

    def __init__(self, seed: int, number: int) -> None:
        self.random = random.Random(f"{seed}/{number}")
        self.numbers = np.random.default_rng([seed, number])
        pick = self.random.choice
        self.name = pick(sorted(FUNCTIONS))
        self.parameters = inspect.signature(FUNCTIONS[self.name]).parameters
        self.hostility = pick([0, 0, 0, 0.03, 0.15, 0.5])
        images_only = self.parameters.keys() & {
            "filters",
            "pooling_ratio",
            "row_pooling_sequence",
        }
        self.dims = 2 if images_only else pick([1, 2, 2, 2, 2, 3])
        self.channels_first = pick([False, False, True])
        self.batched = pick([True, True, True, False])
        self.batch = pick([0, 1, 1, 1, 2, 3])
        self.channels = pick([1, 1, 2, 3, 4, 8, 17, 33])
        most = {1: 300, 2: 40, 3: 9}[self.dims]
        self.sizes = tuple(self.random.randint(1, most) for _ in range(self.dims))
        few_dtypes = "filters" in self.parameters
        dtypes = (
            ["float32", *FLOATS] if self.name.endswith("_grad") else ["float32", *FLOATS, *INTS]
        )
        self.dtype = dtype_of(pick(FLOATS[:2] if few_dtypes else dtypes))
        self.window = self.some(1, pick([2, 3, 3, 5, most]))
        self.strides = self.some(1, pick([1, 2, 2, 3, most]))
        self.dilations = self.some(1, pick([1, 1, 1, 2, 5]))
        self.groups = pick([1, 1, self.channels])

    def some(self, low: int, high: int) -> tuple[int, ...]:
        return tuple(self.random.randint(low, high) for _ in range(self.dims))

    def join(self, sizes: tuple[int, ...], channels: int) -> tuple[int, ...]:
        inner = (channels, *sizes) if self.channels_first else (*sizes, channels)
        return (self.batch, *inner) if self.batched else inner

    @property
    def format(self) -> str:
        space = "DHW"[3 - self.dims :]
        return f"NC{space}" if self.channels_first else f"N{space}C"

    def pooled(self) -> tuple[int, ...]:
        """Sizes of an answer: those without padding, with as much as needed, or of no space."""
        extents = [(w - 1) * d + 1 for w, d in zip(self.window, self.dilations, strict=True)]
        return self.random.choice(
            [
                tuple(
                    max(0, size - extent) // stride + 1
                    for size, extent, stride in zip(self.sizes, extents, self.strides, strict=True)
                ),
                tuple(-(-s // t) for s, t in zip(self.sizes, self.strides, strict=True)),
                tuple(-(-size // 2) for size in self.sizes),
                (1,) * self.dims,
            ]
        )

    def loose(self, values: tuple[int, ...]) -> Any:
        """The same for each spatial axis, in one of the ways to say it."""
        full = (1, 1, *values) if self.channels_first else (1, *values, 1)
        return self.random.choice([values, list(values), values[0], full])

    # arrays

    def array(self, shape: tuple[int, ...], dtype: np.dtype[Any] | None = None) -> Any:
        """An array of that shape, in some place of memory."""
        pick = self.random.choice
        values = self.values(shape, dtype or self.dtype)
        if self.random.random() < 0.6 or values.ndim == 0:
            return values
        way = self.random.randrange(10)
        if way == 0:
            values.setflags(write=False)
        elif way == 1:
            values = np.asfortranarray(values)
        elif way == 2:
            values = values[tuple(slice(None, None, pick([1, -1])) for _ in shape)]
        elif way == 3:  # every second element of a larger array
            axis = self.random.randrange(values.ndim)
            values = np.repeat(values, 2, axis=axis)[
                tuple(slice(None, None, 2 if i == axis else 1) for i in range(values.ndim))
            ]
        elif way == 4 and min(shape) > 0:
            values = np.broadcast_to(values[tuple(slice(0, pick([1, s])) for s in shape)], shape)
        elif way == 5 and values.size and values.dtype.kind in "fiu":  # unaligned
            raw = np.frombuffer(b"\0" + values.tobytes(), np.uint8)[1:]
            values = raw.view(values.dtype).reshape(shape)
        elif way == 6 and values.size:  # overlapping: each axis steps by less than its fellows
            strides = tuple(values.itemsize * pick([0, 1, 1, 2]) for _ in shape)
            reach = sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
            base = self.values((reach // values.itemsize + 1,), values.dtype)
            values = np.lib.stride_tricks.as_strided(base, shape, strides)
        elif way == 7 and values.dtype.kind in "fiu":
            values = values.astype(values.dtype.newbyteorder())
        elif way == 8 and values.size < 500:
            return values.tolist()
        elif way == 9:
            values = np.ma.masked_array(values)
        return values

    def values(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
        draw = self.numbers.standard_normal(shape)
        if dtype.kind in "fV" and draw.size and self.random.random() < 0.4:
            odd = self.numbers.choice(
                [np.nan, np.inf, -np.inf, -0.0, 1e-42, 1e38, -1e308, -np.nan], shape
            )
            draw = np.where(self.numbers.random(shape) < self.random.choice([0.05, 1]), odd, draw)
        if dtype.kind in "iu":
            low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
            native = dtype.newbyteorder("=")
            return self.numbers.integers(low, high, shape, native, endpoint=True).astype(dtype)
        with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
            try:
                return np.ascontiguousarray(draw.astype(dtype)).reshape(shape)
            except (TypeError, ValueError):
                return np.zeros(shape, dtype)

    def any_array(self) -> Any:
        sizes = [0, 1, 1, 2, 3, 5, 8, 17]
        rank = self.random.choice([0, 1, 2, 3, 4, 4, 4, 5, 6, 7])
        shape = tuple(self.random.choice(sizes) for _ in range(rank))
        while math.prod(shape) > 10**5:
            shape = shape[1:]
        return self.array(shape, dtype_of(self.random.choice([*FLOATS, *INTS, *ODD_DTYPES])))

    def hostile(self) -> Any:
        """Something that hardly any argument may be."""
        endless: list[Any] = []
        endless.append(endless)
        big = self.random.choice([2**31 - 1, 2**31, 2**32 + 1, 2**62, 2**63, 2**70, 10**9])
        one_each = [self.random.choice([0, 1, 2, -1, big]) for _ in range(self.dims)]
        return self.random.choice(
            [
                0, -1, big, -big, True, 1.5, math.nan, math.inf, None, 1j, "", "SAME", "x" * 10_000,
                "\0", b"NHWC", [], (), {}, set(), object(), print, int, Ellipsis, slice(None),
                [None], [1], [1, 2, 3], [2] * 1000, one_each, [[0, big]] * self.dims,
                [[-1, 0]] * self.dims, [[big, big]] * (self.dims + 2), [[1.5, 0]] * self.dims,
                [["a", "b"]] * self.dims, endless, range(3), (value for value in (1, 2)),
                np.int64(2), np.uint8(3), np.float32(2), np.array(2), np.array([1, 2]),
                np.array([2.0, 2.0]), np.bool_(True), np.str_("MAX"), np.datetime64("NaT"),
                memoryview(b"1234"), lambda: 1, self.any_array(), self.any_array(),
            ]
        )  # fmt: skip


# ------------------------------------------------------------------ arguments, by their names


def pads(case: Case) -> Any:
    pairs = [
        (case.random.randint(0, max(0, w - 1)), case.random.randint(0, max(0, w - 1)))
        for w in case.window
    ]
    full = [(0, 0), (0, 0), *pairs] if case.channels_first else [(0, 0), *pairs, (0, 0)]
    return case.random.choice(["SAME", "VALID", "same", pairs, full])


def number(case: Case) -> float:
    return case.random.choice([2, 1, 3, 0.5, 2.0, 1e-6, 1e6, 0, -1, math.inf, math.nan])


def places(case: Case) -> Any:
    """Positions as `max_unpool` takes them, or windows' taps; some of them bogus."""
    most = case.random.choice([math.prod(case.window), math.prod(case.sizes), 2, 2**62])
    dtype = case.random.choice(["int64", "int64", "int32", "uint8", "uint16", "uint32", "int8"])
    shape = case.join(case.random.choice([case.pooled(), case.sizes]), case.channels)
    found = case.numbers.integers(0, most, shape)
    if found.size and case.random.random() < 0.3:
        found.flat[case.random.randrange(found.size)] = case.random.choice([-1, most, -(2**62)])
    return found.astype(dtype)


def flag(case: Case) -> bool:
    return case.random.random() < 0.5


def one_of(*values: Any) -> Any:
    return lambda case: case.random.choice(values)


def image(case: Case) -> Any:
    return case.array(case.join(case.sizes, case.channels))


def pooled_image(case: Case) -> Any:
    if case.random.random() < 0.1:
        return case.array((case.batch, case.channels))
    return case.array(case.join(case.pooled(), case.channels))


def image_shape(case: Case) -> Any:
    shape = case.join(case.sizes, case.channels)
    return case.random.choice([shape, shape, list(shape), case.sizes])


def boundaries(axis: int) -> Any:
    """Where the windows of a fractional pool begin and end along an axis."""

    def made(case: Case) -> Any:
        size = case.sizes[axis]
        inner = case.random.sample(range(1, size), case.random.randint(0, size - 1) // 2)
        found = [0, *sorted(inner), size]
        return case.random.choice([found, np.array(found), tuple(found), [0, *inner, size]])

    return made


def filters(case: Case) -> Any:
    count = case.groups * case.random.choice([1, 1, 2, 3, 16])
    return case.array((*case.window[:2], case.channels // case.groups, count))


ARGUMENTS: dict[str, Any] = {
    "activation": one_of("relu", "relu", None, "tanh"),
    "argmax": places,
    "bias": lambda case: case.array((case.random.choice([case.groups, 1, 16]),)),
    "border": one_of("reflect", "zero", "replicate", "edge", "circular", "wrap", "constant"),
    "ceil_mode": flag,
    "col_pooling_sequence": boundaries(1),
    "count_include_pad": flag,
    "data_format": lambda case: case.format,
    "dilations": lambda case: case.loose(case.dilations),
    "eps": number,
    "features": image,
    "filters": filters,
    "grad": pooled_image,
    "include_batch_in_index": flag,
    "index": one_of("flat", "plane", "window"),
    "input": image,
    "input_shape": image_shape,
    "keepdims": flag,
    "ksize": lambda case: case.loose(case.window),
    "levels": one_of((1, 2, 4), 1, [3], (1, 1), (2, 0), 50),
    "name": one_of(None, "a name"),
    "needs": one_of(("input", "filters", "bias"), ["filters"], ("input",), (), ["weights"], "bias"),
    "norm": one_of("l2", "l1", "linf", "l3"),
    "orig_input": image,
    "orig_input_shape": image_shape,
    "out": lambda case: OUT_THAT_FITS,
    "output": pooled_image,
    "output_dtype": one_of(np.int64, np.int32, "int64", np.int8),
    "output_shape": image_shape,
    "output_size": lambda case: case.loose(case.some(1, 9)),
    "overlapping": flag,
    "p": number,
    "padding": pads,
    "pool_padding": pads,
    "pool_strides": lambda case: case.loose(case.strides),
    "pooling_ratio": lambda case: case.random.choice([1.5, 1, 2.7, (1.2, 2.3), (1, 1.4, 1.6, 1)]),
    "pooling_type": one_of("MAX", "AVG", "LP", "max", "average", None),
    "pseudo_random": flag,
    "return_phase": flag,
    "row_pooling_sequence": boundaries(0),
    "seed": one_of(0, 1, None, 2**70, -3),
    "size": lambda case: case.random.choice([1, 2, 3, 5, 7, 8, case.some(1, 7)]),
    "strides": lambda case: case.loose(case.strides),
    "window_shape": lambda case: case.loose(case.window),
    "winners": places,
}
OUT_THAT_FITS = object()  # made when the shape of the answer is known


def unknown_names() -> list[str]:
    """Parameters of the public functions that no argument is made for."""
    return sorted(
        f"{name}({parameter})"
        for name, function in FUNCTIONS.items()
        for parameter in inspect.signature(function).parameters
        if parameter not in ARGUMENTS
    )


def make_call(seed: int, number: int) -> tuple[str, dict[str, Any]]:
    """Return the name of a function and the arguments for it."""
    case = Case(seed, number)
    arguments = {}
    for parameter in case.parameters.values():
        optional = parameter.default is not parameter.empty
        chance = case.random.random()
        if optional and chance < 0.5 and parameter.name != "data_format":
            continue
        if not optional and chance < 0.002:
            continue
        if case.random.random() < case.hostility:
            arguments[parameter.name] = case.hostile()
        else:
            arguments[parameter.name] = ARGUMENTS[parameter.name](case)
    if "row_pooling_sequence" in arguments and case.random.random() > case.hostility:
        # So many numbers have to agree here that chance alone would hardly ever do it.
        rows, columns = boundaries(0)(case), boundaries(1)(case)
        arguments |= {"row_pooling_sequence": rows, "col_pooling_sequence": columns}
        shape = case.join((len(rows) - 1, len(columns) - 1), case.channels)
        arguments["grad"] = case.array(shape)
    if case.name in FORWARD and case.random.random() > case.hostility:
        arguments |= what_fits(case, arguments)
    if "out" in arguments and case.random.random() < case.hostility:
        arguments["out"] = case.random.choice([arguments.get("input"), case.any_array()])
    return case.name, arguments


FORWARD = {"extract_grad": nn.extract_with_winners, "conv2d_grad": nn.conv2d}


def what_fits(case: Case, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the gradient, and the winners, of an answer to these arguments, if there is one."""
    forward = FORWARD[case.name]
    known = inspect.signature(forward).parameters
    try:
        answer = forward(**{name: given for name, given in arguments.items() if name in known})
    except (AttarError, TypeError):
        return {}
    if forward is nn.conv2d:
        return {"grad": case.array(answer.shape, answer.dtype)}
    output, winners = answer
    if winners is not None and case.random.random() < 0.3:
        winners = case.values(winners.shape, winners.dtype)
    return {"grad": case.array(output.shape, output.dtype), "winners": winners}


# --------------------------------------------------------------------------- one call, judged


@dataclass
class Tally:
    """Of each function: calls that were answered, and calls that were refused."""

    answered: dict[str, int] = field(default_factory=lambda: dict.fromkeys(FUNCTIONS, 0))
    refused: dict[str, int] = field(default_factory=lambda: dict.fromkeys(FUNCTIONS, 0))


def run_call(seed: int, number: int, tally: Tally) -> str | None:
    """Make a call; say what is wrong, if anything is."""
    name, arguments = make_call(seed, number)
    arrays = {key: a for key, a in arguments.items() if isinstance(a, np.ndarray) and key != "out"}
    before = {key: a.tobytes() for key, a in arrays.items() if a.dtype != object}
    fits = arguments.get("out") is OUT_THAT_FITS
    if fits:
        del arguments["out"]
    try:
        answer = FUNCTIONS[name](**arguments)
        if fits:
            problem = compare_with_out(name, arguments, answer)
            if problem:
                return problem
    except AttarError as error:
        if not str(error).strip():
            return f"{type(error).__name__} without a message"
        tally.refused[name] += 1
        return None
    except BaseException as error:
        if isinstance(error, TypeError) and "missing" in str(error):
            return None  # Python's own, of a call without an argument that must be there
        return f"{type(error).__name__}: {str(error)[:300]}"
    tally.answered[name] += 1
    if answer is None:
        return "the answer is None"
    for key, bytes_before in before.items():
        if arrays[key].tobytes() != bytes_before and arguments.get("out") is not arrays[key]:
            return f"{key} was written to"
    return None


def compare_with_out(name: str, arguments: dict[str, Any], answer: Any) -> str | None:
    """The same call into an array that is guarded at both ends."""
    answer = np.asarray(answer)
    if answer.dtype.hasobject:
        return f"an answer of {answer.dtype}"
    guard, count = 64, answer.nbytes
    memory = np.full(count + 2 * guard, 0xA5, np.uint8)
    out = memory[guard : guard + count].view(answer.dtype).reshape(answer.shape)
    if FUNCTIONS[name](**arguments, out=out) is not out:
        return "out is not what is returned"
    if (memory[:guard] != 0xA5).any() or (memory[guard + count :] != 0xA5).any():
        return "memory beside out was written to"
    return None if out.tobytes() == answer.tobytes() else "the answer in out is another one"


# ------------------------------------------------------------------------ parent and child


def child(seed: int, first: int, seconds: float, pipe: int) -> None:
    """Make calls until the time is over; say which one is next, and what was found."""
    faulthandler.enable()
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    assert layout._MEMORY
    layout._MEMORY = ROOM
    sys.setrecursionlimit(500)
    warnings.simplefilter("ignore")
    tally, number, end = Tally(), first, time.monotonic() + seconds
    while time.monotonic() < end:
        os.write(pipe, f"call {number}\n".encode())
        problem = run_call(seed, number, tally)
        if problem:
            os.write(pipe, f"found {json.dumps(problem)}\n".encode())
        number += 1
    os.write(pipe, f"done {json.dumps([tally.answered, tally.refused])}\n".encode())


@dataclass
class Report:
    """What a run found: (number of the call, what is wrong)."""

    calls: int = 0
    findings: list[tuple[int, str]] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)

    def by_problem(self) -> dict[str, list[int]]:
        """The calls that found the same."""
        calls: dict[str, list[int]] = {}
        for number, problem in self.findings:
            calls.setdefault(problem, []).append(number)
        return calls


def fuzz(seed: int, seconds: float, most_findings: int = 50) -> Report:
    """Run children until the time is over or there is enough to look at."""
    report, number, end = Report(), 0, time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0 and len(report.findings) < most_findings:
        number = watch(seed, number, left, report) + 1
    return report


def watch(seed: int, first: int, seconds: float, report: Report) -> int:
    """Run one child to its end, and return the number of its last call."""
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [sys.executable, __file__, "--seed", str(seed), "--seconds", str(seconds),
         "--child", str(first), str(writer)],
        pass_fds=[writer],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    os.close(writer)
    number, done, hung, rest = first - 1, False, False, b""
    while True:
        ready, _, _ = select.select([reader], [], [], CALL_SECONDS)
        if not ready:
            hung = True
            process.kill()
            break
        chunk = os.read(reader, 1 << 16)
        if not chunk:
            break
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            kind, _, value = line.decode().partition(" ")
            if kind == "call":
                number = int(value)
                report.calls += 1
            elif kind == "found":
                report.findings.append((number, json.loads(value)))
            else:
                done = True
                for total, counts in zip(
                    (report.tally.answered, report.tally.refused), json.loads(value), strict=True
                ):
                    for name, count in counts.items():
                        total[name] += count
    os.close(reader)
    _, errors = process.communicate()
    if not done:
        what = f"took over {CALL_SECONDS} s" if hung else f"ended with {process.returncode}"
        trace = errors.decode(errors="replace")[-1500:]
        report.findings.append((number, f"the process {what}\n{trace}"))
    return number


def describe(seed: int, number: int) -> str:
    name, arguments = make_call(seed, number)
    return f"nn.{name}(\n" + "".join(f"  {k}={show(v)},\n" for k, v in arguments.items()) + ")"


def show(value: Any) -> str:
    if isinstance(value, np.ndarray):
        flags = "" if value.flags.writeable else " read-only"
        return f"<{type(value).__name__} {value.dtype} {value.shape} by {value.strides}{flags}>"
    return "<an array that fits>" if value is OUT_THAT_FITS else repr(value)[:200]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="the number of one call, made in this process")
    parser.add_argument("--child", type=int, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.seed, options.child[0], options.seconds, options.child[1])
        return 0
    if unknown_names():
        print("no arguments are made for", ", ".join(unknown_names()))
        return 1
    if options.only is not None:
        print(describe(options.seed, options.only))
        print(run_call(options.seed, options.only, Tally()) or "fine")
        return 0
    report = fuzz(options.seed, options.seconds)
    for problem, numbers in report.by_problem().items():
        print(f"--- {len(numbers)} times, calls {numbers[:5]}: {problem}")
        print(describe(options.seed, numbers[0]))
    for name in FUNCTIONS:
        answered, refused = report.tally.answered[name], report.tally.refused[name]
        print(f"{name:24}{answered:9} answered{refused:9} refused")
    print(f"{report.calls} calls, {len(report.findings)} findings, seed {options.seed}")
    return bool(report.findings)


if __name__ == "__main__":
    sys.exit(main())

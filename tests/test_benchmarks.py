"""The benchmark harness: equal answers or no time, nobody dropped, and the tables in place."""

import itertools
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import __main__ as program
from benchmarks import measure, memory, oracle, peers, report, roofline, rows, scale_report, startup
from benchmarks.peers import Peer, Way

TINY = rows.Extraction(
    "tiny",
    {"en": "13×10, 3×3, 3×3/2 max", "zh": "13×10，3×3，3×3/2 最大池化"},
    (2, 13, 10, 3),
    (3, 3, 3, 2),
    window=3,
)
MACHINE = {"date": "2025-01-02T03:04:05+00:00", "cpu": "A CPU", "threads": 2, "attar": {}}
MATMUL = {"status": "measured", "library": "A", "size": 1024, "flops_per_second": 2e9}


class Right(Peer):
    """A peer that does the work."""

    name = "Right"

    def load(self, threads):
        return {"right": "1"}

    def extract(self, workload, image, kernel):
        return {"only": Way(lambda: oracle.extract(workload, image, kernel).astype(np.float32))}


class Wrong(Right):
    """A peer that forgets the last row and never gets timed."""

    name = "Wrong"

    def extract(self, workload, image, kernel):
        def call():
            answer = oracle.extract(workload, image, kernel)
            answer[:, -1] = 0
            return answer

        return {"hasty": Way(call)}


class Missing(Right):
    """A peer that is not installed."""

    name = "Missing"

    def load(self, threads):
        raise ModuleNotFoundError("No module named 'missing'")


class Broken(Right):
    """A peer that fails at work."""

    name = "Broken"

    def extract(self, workload, image, kernel):
        raise RuntimeError("out of luck")


class ByHand(Right):
    """A peer that no user of a library writes."""

    name = "By hand"
    hand_built = True


def run_of(results, matmul=MATMUL):
    row = TINY.describe() | {"results": results}
    row["roofline"] = roofline.of_row(TINY, results, 1e10, matmul)
    return report.build(MACHINE, {"tiny": row}, 1e10, matmul, 1)


def measured(ms, **more):
    return {"status": "measured", "name": "A", "best_ms": ms, **more}


def brute_force(image, kernel, window, stride):
    """Return filter, ReLU, max pool of (H, W, C) with SAME padding, one output at a time."""
    height, width, _ = image.shape
    kh, kw, _, maps = kernel.shape
    padded = np.pad(image.astype(float), ((kh // 2,) * 2, (kw // 2,) * 2, (0, 0)))
    detect = np.zeros((height, width, maps))
    for y, x in np.ndindex(height, width):
        patch = padded[y : y + kh, x : x + kw]
        detect[y, x] = np.maximum((patch[..., None] * kernel).sum((0, 1, 2)), 0)
    top = oracle.same_padding(height, window, stride)[0]
    left = oracle.same_padding(width, window, stride)[0]
    answer = np.zeros((-(-height // stride), -(-width // stride), maps))
    for y, x in np.ndindex(answer.shape[:2]):
        y0, x0 = y * stride - top, x * stride - left
        seen = detect[max(y0, 0) : y0 + window, max(x0, 0) : x0 + window]
        answer[y, x] = seen.max((0, 1))
    return answer


@pytest.mark.parametrize("strip_bytes", [1, 2000, oracle.STRIP_BYTES])
def test_the_oracle_is_right_whatever_the_strips(monkeypatch, strip_bytes):
    monkeypatch.setattr(oracle, "STRIP_BYTES", strip_bytes)
    image, kernel = TINY.draw()
    answer = oracle.extract(TINY, image, kernel)
    assert answer.shape == TINY.output_shape
    for n in range(2):
        expected = brute_force(image[n], kernel, TINY.window, TINY.stride)
        np.testing.assert_allclose(answer[n], expected, rtol=1e-12, atol=1e-12)


def test_attar_runs_through_the_harness():
    import attar

    peers, failures, versions = measure.load_peers(["attar", "attar_out"], attar.get_num_threads())
    assert not failures
    assert set(versions) == {"attar"}
    results = measure.measure_row(TINY, peers, repeats=1)
    for key in ("attar", "attar_out"):
        assert results[key]["status"] == "measured", results[key]
        assert results[key]["difference"] < 1e-5
        assert results[key]["samples_ms"] == [results[key]["best_ms"]]
    assert "**tiny** 13×10" in report.table(run_of(results))


def test_a_wrong_answer_is_reported_and_not_timed():
    results = measure.measure_row(TINY, {"right": Right(), "wrong": Wrong()}, repeats=1)
    assert results["right"]["status"] == "measured"
    assert results["wrong"]["status"] == "wrong answer"
    assert "hasty differs from float64 by" in results["wrong"]["reason"]
    assert "samples_ms" not in results["wrong"]
    assert "| wrong answer |" in report.table(run_of(results))
    assert "| 结果错误 |" in report.table(run_of(results), "zh")


def test_a_nan_is_a_wrong_answer():
    right = np.ones((1, 2, 2, 1))
    assert oracle.difference(right * np.nan, right) == np.inf
    assert oracle.difference(right[:, :1], right) == np.inf
    assert oracle.difference(right * 1e300, right.astype(np.float32)) == np.inf


def test_nobody_is_dropped(monkeypatch):
    classes = {"missing": Missing, "broken": Broken, "right": Right}
    monkeypatch.setattr(measure, "find", lambda key: classes[key]())
    peers, failures, versions = measure.load_peers(classes, 1)
    results = measure.measure_row(TINY, peers, repeats=1) | failures
    assert versions == {"right": "1"}
    assert results["missing"] == {
        "name": "Missing",
        "hand_built": False,
        "status": "not installed",
        "reason": "ModuleNotFoundError: No module named 'missing'",
    }
    assert results["broken"]["reason"] == "RuntimeError: out of luck"
    table = report.table(run_of(results))
    assert "Missing" in table
    assert "| not installed |" in table
    assert "| error |" in table


def test_the_ratio_is_the_fastest_peer_over_the_default_call():
    results = {"attar": measured(2.0), "attar_out": measured(1.0), "a": measured(9.0)}
    results |= {"b": measured(6.0), "c": {"status": "not installed"}}
    assert report.compare(results) == ("b", 3.0)
    assert report.compare({"b": measured(6.0)}) == ("b", None)
    assert report.compare({"attar": measured(6.0)}) == (None, None)


def test_a_hand_built_peer_counts_in_one_ratio_of_two():
    results = measure.measure_row(TINY, {"right": Right(), "by_hand": ByHand()}, repeats=1)
    assert [result["hand_built"] for result in results.values()] == [False, True]
    results = {"attar": measured(2.0), "right": measured(9.0)}
    results["by_hand"] = measured(6.0, hand_built=True)
    run = run_of(results)
    row = run["rows"]["tiny"]
    assert (row["fastest_peer"], row["ratio"]) == ("by_hand", 3.0)
    assert (row["fastest_library_peer"], row["library_ratio"]) == ("right", 4.5)
    assert "| **3.0×** | **4.5×** |" in report.table(run)


def test_the_hand_built_peers_are_named():
    pytest.importorskip("cv2")
    library, strips = peers.find("opencv"), peers.find("opencv_strips")
    assert (library.hand_built, strips.hand_built) == (False, True)
    gray = rows.Extraction("gray", TINY.description, (1, 12, 10, 1), (3, 3, 1, 1))
    loaded, _, _ = measure.load_peers(["opencv", "opencv_strips"], 2)
    results = measure.measure_row(gray, loaded, repeats=1)
    assert all(result["status"] == "measured" for result in results.values()), results
    assert len(results["opencv"]["trial_ms"]) == 4
    assert set(results["opencv_strips"]["trial_ms"]) == {"strips of 64 rows", "strips of 256 rows"}


def test_the_share_of_matmul_speed():
    operations = 2 * 2 * 13 * 10 * 3 * 3 * 3 * 2
    run = run_of({"attar": measured(operations / 2e9 * 1e3 / 0.4)})
    assert run["rows"]["tiny"]["roofline"]["matmul_fraction"]["attar"] == pytest.approx(0.4)
    assert "| 40 % |" in report.table(run)
    assert "Matmul speed: 2 GFLOP/s (A, float32, 1024²). Multiply-adds" in report.table(run)
    assert "矩阵乘法速度：2 GFLOP/s（A，float32，1024²）。乘加次数" in report.table(run, "zh")


def test_without_torch_the_share_of_matmul_speed_is_unknown(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    matmul = roofline.matmul_speed(1)
    assert matmul["status"] == "not installed"
    assert roofline.faster(matmul, MATMUL) == MATMUL
    run = run_of({"attar": measured(1.0)}, matmul)
    assert "| n/a |" in report.table(run)
    assert "Matmul speed" not in report.table(run)
    assert "| 无 |" in report.table(run, "zh")


def test_the_matmul_is_measured():
    pytest.importorskip("torch")
    assert roofline.matmul_speed(1, repeats=1)["flops_per_second"] > 0


def test_the_roofline_is_given_only_beyond_the_cache(monkeypatch):
    monkeypatch.setattr(roofline, "last_level_cache_bytes", lambda: TINY.bytes_moved)
    assert roofline.fraction(TINY, 1.0, 1e9) is None
    monkeypatch.setattr(roofline, "last_level_cache_bytes", lambda: TINY.bytes_moved // 2)
    milliseconds = 2 * 1e3 * TINY.bytes_moved / 1e9
    assert roofline.fraction(TINY, milliseconds, 1e9) == pytest.approx(0.5)


def test_the_report_replaces_what_stands_between_the_markers(tmp_path, monkeypatch):
    pages = {"en": tmp_path / "README.md", "zh": tmp_path / "README.zh-CN.md"}
    for page in pages.values():
        page.write_text(f"above\n{report.START}\nold\n{report.END}\nbelow\n", encoding="utf-8")
    monkeypatch.setattr(report, "READMES", pages)
    monkeypatch.setattr(report, "ROOT", tmp_path)
    run = run_of(measure.measure_row(TINY, {"right": Right()}, repeats=1))
    source = tmp_path / "benchmarks" / "results" / "run.json"
    report.save(run, source)
    for _ in range(2):  # the second time it replaces its own table
        assert report.write_readmes(report.load(source), source) == list(pages.values())
    for language, page in pages.items():
        table = report.table(run, language, "benchmarks/results/run.json")
        expected = f"above\n{report.START}\n{table}\n{report.END}\nbelow\n"
        assert page.read_text(encoding="utf-8") == expected


@pytest.mark.parametrize("reached", ["repository", "link"])
def test_a_full_run_shows_no_absolute_path(reached, tmp_path, monkeypatch, capsys):
    repository = tmp_path / "repository"
    repository.mkdir()
    (tmp_path / "link").symlink_to(repository)
    pages = {"en": repository / "README.md", "zh": repository / "README.zh-CN.md"}
    for page in pages.values():
        page.write_text(f"{report.START}\n{report.END}\n", encoding="utf-8")
    monkeypatch.setattr(report, "READMES", pages)
    monkeypatch.setattr(report, "ROOT", tmp_path / reached)
    monkeypatch.setattr(report, "RESULTS", tmp_path / "link" / "benchmarks" / "results")
    monkeypatch.setattr(rows, "ROWS", (TINY,))
    monkeypatch.setattr(peers, "PEERS", {"right": "here"})
    monkeypatch.setattr(measure, "find", lambda key: Right())
    monkeypatch.setattr(roofline, "copy_bandwidth", lambda threads: 1e10)
    monkeypatch.setattr(roofline, "matmul_speed", lambda threads: MATMUL)
    left_out = measure.failure(NotImplementedError("left out"))
    monkeypatch.setattr(startup, "measure_import", lambda: left_out)
    monkeypatch.setattr(startup, "measure_command", lambda: left_out)
    monkeypatch.setattr(memory, "measure", lambda threads: left_out)
    monkeypatch.setattr(memory, "measure_training", lambda threads: left_out)

    program.run(program.parse(["--repeats", "7"]))
    program.write_report(program.parse(["report"]))
    kept = next((repository / "benchmarks" / "results").glob("*.json"))
    printed = capsys.readouterr()
    written = [page.read_text(encoding="utf-8") for page in pages.values()]
    for text in (printed.out, printed.err, *written):
        assert str(tmp_path) not in text
    for text in (printed.out, *written):
        links = re.findall(r"\]\((.*?)\)", text)
        assert links == [f"benchmarks/results/{kept.name}", "benchmarks/README.md"]


def test_a_result_outside_the_repository_has_no_link(tmp_path):
    run = run_of({"attar": measured(1.0)})
    assert report.link(tmp_path / "run.json") is None
    assert report.shown(tmp_path / "run.json") == str(tmp_path / "run.json")
    assert re.findall(r"\]\((.*?)\)", report.table(run)) == ["benchmarks/README.md"]
    with pytest.raises(ValueError, match=r"run\.json lies outside .* a README cannot link to it"):
        report.write_readmes(run, tmp_path / "run.json")


def test_a_page_without_markers_is_refused():
    with pytest.raises(ValueError, match="<!-- bench:start --> and <!-- bench:end -->"):
        report.replace_between_markers(f"{report.END} {report.START}", "table")


def test_unknown_rows_are_named():
    with pytest.raises(ValueError, match="no row is named P0; the rows are P1 P2"):
        rows.select(["P1", "P0"])
    with pytest.raises(ValueError, match="no group is named P1; the groups are extract base pool "):
        rows.select(None, ["P1"])


def test_rows_are_selected_by_name_and_by_group():
    assert rows.select(None) == list(rows.ROWS)
    assert rows.select(["P3", "P1"]) == [rows.EXTRACTIONS[0], rows.POOLINGS[0]]
    assert rows.select(None, ["pool"]) == list(rows.POOLINGS)
    assert rows.select(["P1"], ["pool_grad"]) == [rows.EXTRACTIONS[0], *rows.GRADIENTS]
    options = program.parse(["--rows", "P3", "P4", "--group", "pool_grad"])
    assert (options.rows, options.group) == (["P3", "P4"], ["pool_grad"])


def test_every_row_is_drawn_as_it_says():
    names = [row.name for row in rows.ROWS]
    assert len(set(names)) == len(names)
    assert {key for row in rows.ROWS for key in row.left_out} <= set(peers.PEERS)
    for row in rows.ROWS:
        assert row.description.keys() == {"en", "zh"}
        assert (row.link is None) == (row.report is None)
    for row in (*rows.POOLINGS, *rows.GRADIENTS):
        assert len(row.layout) == len(row.shape) == row.dims + 2
        assert min(row.output_sizes) > 0


# Every kind, both layouts, one to three dimensions, each rule of padding, overlap and gaps.
POOLS = [
    rows.Pooling("a", (2, 3, 7, 9), (3, 2), (2, 1), ((1, 0), (0, 1))),
    rows.Pooling("b", (2, 7, 9, 3), (3, 3), (2, 2), "SAME", "AVG", "NHWC"),
    rows.Pooling("c", (2, 8, 6, 2), (2, 2), (2, 2), "VALID", "LP", "NHWC"),
    rows.Pooling("d", (2, 3, 40), (13,), (1,), "SAME", "AVG", "NCW"),
    rows.Pooling(
        "e", (1, 2, 5, 6, 7), (3, 2, 3), (2, 2, 1), ((1, 1), (0, 0), (1, 1)), layout="NCDHW"
    ),
    rows.Pooling("f", (1, 5, 6, 7, 2), (2, 2, 2), (1, 2, 3), "VALID", "AVG", "NDHWC"),
    rows.Pooling("g", (2, 2, 9, 9), (3, 3), (1, 1), "SAME", dilations=(2, 2)),
    rows.Pooling("h", (2, 3, 8, 8), (2, 2), (2, 2), number="uint8"),
    rows.Pooling("i", (2, 4, 4, 3), (4, 4), (4, 4), "VALID", "AVG", "NHWC"),
    rows.Pooling("j", (1, 1, 20, 21), (7, 7), (1, 1), "VALID"),
]
GRADIENTS = [
    rows.PoolingGradient("a", (2, 3, 7, 9), (3, 3), (2, 2), ((1, 1), (1, 1))),
    rows.PoolingGradient("b", (2, 8, 6, 3), (2, 2), (2, 2), layout="NHWC"),
    rows.PoolingGradient("c", (2, 2, 6, 7), (3, 3), (1, 1), "SAME", "AVG"),
    rows.PoolingGradient("d", (2, 6, 8, 2), (2, 2), (2, 2), "VALID", "AVG", "NHWC"),
]


def seen_by(work):
    """Yield the place of each output and the places in the input that its window sees."""
    axes = list(zip(work.strides, work.pads, work.window, work.steps, work.sizes, strict=True))
    for n, c in itertools.product(range(work.shape[0]), range(work.channels)):
        for at in np.ndindex(work.output_sizes):
            taps = [
                [i for k in range(window) if 0 <= (i := o * stride - pad[0] + k * step) < size]
                for o, (stride, pad, window, step, size) in zip(at, axes, strict=True)
            ]
            first = work.channels_first
            place = (n, c, *at) if first else (n, *at, c)
            inside = [(n, c, *i) if first else (n, *i, c) for i in itertools.product(*taps)]
            yield place, inside


def brute_pool(work, x):
    answer = np.zeros(work.output_shape)
    for place, inside in seen_by(work):
        values = np.array([x[i] for i in inside], float)
        answer[place] = {
            "MAX": np.max,
            "AVG": np.mean,
            "LP": np.linalg.norm,
        }[work.kind](values)
    return answer


def brute_pool_grad(work, x, gradient):
    answer = np.zeros(work.shape)
    for place, inside in seen_by(work):
        if work.kind == "AVG":
            for i in inside:
                answer[i] += float(gradient[place]) / len(inside)
        else:
            answer[max(inside, key=lambda i: x[i])] += gradient[place]  # max keeps the first
    return answer


@pytest.mark.parametrize("strip_bytes", [1, oracle.STRIP_BYTES])
@pytest.mark.parametrize("work", POOLS, ids=lambda work: work.name)
def test_the_oracle_of_pools_is_right(work, strip_bytes, monkeypatch):
    monkeypatch.setattr(oracle, "STRIP_BYTES", strip_bytes)
    (x,) = work.draw()
    assert x.shape == work.shape
    assert x.dtype == work.dtype
    answer, expected = oracle.pool(work, x), brute_pool(work, x)
    assert answer.shape == work.output_shape
    if work.kind == "MAX":
        np.testing.assert_array_equal(answer, expected)
    else:
        np.testing.assert_allclose(answer, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("strip_bytes", [1, oracle.STRIP_BYTES])
@pytest.mark.parametrize("work", GRADIENTS, ids=lambda work: work.name)
def test_the_oracle_of_gradients_is_right(work, strip_bytes, monkeypatch):
    monkeypatch.setattr(oracle, "STRIP_BYTES", strip_bytes)
    x, gradient = work.draw()
    assert all(len(np.unique(image)) == image.size for image in x)  # no ties
    expected = brute_pool_grad(work, x, gradient)
    np.testing.assert_allclose(oracle.pool_grad(work, x, gradient), expected, atol=1e-12)


def test_the_oracle_of_gradients_takes_the_first_of_equals():
    work = GRADIENTS[0]
    _, gradient = work.draw()
    x = np.zeros(work.shape, np.float32)
    expected = brute_pool_grad(work, x, gradient)
    np.testing.assert_allclose(oracle.pool_grad(work, x, gradient), expected, atol=1e-12)


class Pools(Right):
    """A peer that pools, with a slip in its answer or in its input."""

    def __init__(self, slip=lambda answer: answer, before=lambda x: x):
        self.slip, self.before = slip, before

    def pool(self, workload, x):
        def call():
            answer = oracle.pool(workload, self.before(x)).astype(workload.numpy_dtype)
            return self.slip(answer)

        return {"only": Way(call)}

    def pool_grad(self, workload, x, gradient):
        def call():
            return self.slip(oracle.pool_grad(workload, x, gradient).astype(np.float32))

        return {"only": Way(call)}


def one_ulp_off(answer):
    answer = answer.copy()
    last = answer.reshape(-1)[-1:]
    last[:] = np.nextafter(last, np.float32(np.inf))
    return answer


def one_off(answer):
    answer = answer.copy()
    answer.reshape(-1)[0] ^= 1
    return answer


@pytest.mark.parametrize(
    ("work", "slip"),
    [
        (POOLS[0], one_ulp_off),  # a maximum is exact, or it is something else
        (POOLS[0], lambda answer: np.maximum(answer, 0)),  # padding that wins
        (POOLS[0], lambda answer: answer[:, :, ::-1]),
        (POOLS[0], lambda answer: answer[:, :, :-1]),
        (POOLS[0], lambda answer: answer.transpose(0, 2, 3, 1)),
        (POOLS[0], lambda answer: np.where(answer == answer.max(), np.nan, answer)),
        (POOLS[0], lambda answer: answer.astype(np.float64)),  # another dtype
        (POOLS[1], lambda answer: answer * np.float32(1.001)),
        (POOLS[7], one_off),
        (GRADIENTS[0], lambda answer: answer * np.float32(1.001)),
        (GRADIENTS[0], lambda answer: np.roll(answer, 1, -1)),
    ],
)
def test_a_wrong_pool_is_reported_and_not_timed(work, slip):
    racing = {"right": Pools(), "wrong": Pools(slip)}
    results = measure.measure_row(work, racing, repeats=1)
    assert results["right"]["status"] == "measured", results["right"]
    assert results["wrong"]["status"] == "wrong answer", results["wrong"]
    assert "samples_ms" not in results["wrong"]
    assert "best_ms" not in results["wrong"]


def test_a_mean_that_counts_padding_is_a_wrong_answer():
    class Counts(Pools):
        def pool(self, workload, x):
            padded = np.pad(x, [(0, 0), (0, 0), *workload.pads])
            counted = rows.Pooling("counted", padded.shape, (3, 3), (1, 1), "VALID", "AVG")
            return super().pool(counted, padded)

    work = rows.Pooling("mean", (1, 1, 6, 6), (3, 3), (1, 1), "SAME", "AVG")
    results = measure.measure_row(work, {"wrong": Counts()}, repeats=1)
    assert results["wrong"]["status"] == "wrong answer"


def test_one_wrong_way_spoils_its_peer_and_a_failing_one_is_left_out():
    class TwoWays(Pools):
        def __init__(self, other):
            super().__init__()
            self.other = other

        def pool(self, workload, x):
            return super().pool(workload, x) | {"other": Way(lambda: self.other(workload, x))}

    def fails(workload, x):
        raise RuntimeError("not here")

    def errs(workload, x):
        return np.zeros(workload.output_shape, np.float32)

    results = measure.measure_row(POOLS[0], {"f": TwoWays(fails), "e": TwoWays(errs)}, repeats=1)
    assert results["f"]["status"] == "measured"
    assert results["f"]["failed_ways"] == {"other": "RuntimeError: not here"}
    assert results["e"]["status"] == "wrong answer"
    assert "other differs from float32 by" in results["e"]["reason"]


def test_a_way_that_leaves_the_answer_of_another_is_wrong():
    class Lazy(Pools):
        def pool(self, workload, x):
            out = np.zeros(workload.output_shape, np.float32)

            def works():
                out[...] = oracle.pool(workload, x)
                return out

            return {"works": Way(works), "lazy": Way(lambda: out)}

    results = measure.measure_row(POOLS[0], {"a": Lazy()}, repeats=1)
    assert results["a"]["status"] == "wrong answer"
    assert results["a"]["reason"].startswith("lazy differs")


def test_an_error_of_the_library_is_no_wrong_answer():
    def refuses(x):
        raise ValueError("no such thing")

    results = measure.measure_row(POOLS[0], {"a": Pools(before=refuses)}, repeats=1)
    assert (results["a"]["status"], results["a"]["reason"]) == (
        "error",
        "ValueError: no such thing",
    )


def test_a_peer_that_is_left_out_says_why():
    work = rows.Pooling("w", (1, 1, 4, 4), (2, 2), (2, 2), left_out={"a": "hours"})
    results = measure.measure_row(work, {"a": Pools(), "b": Pools()}, repeats=1)
    assert results["a"]["status"] == "not supported"
    assert results["a"]["reason"] == "NotImplementedError: hours"
    assert results["b"]["status"] == "measured"


def test_slow_peers_get_fewer_samples_and_contenders_all():
    due = measure.samples_due({"attar": 0.4, "a": 0.2, "b": 0.29, "c": 0.31, "d": 3.0}, 15)
    assert due == {"attar": 15, "a": 15, "b": 15, "c": measure.FEWEST_SAMPLES, "d": 0}
    assert measure.samples_due({"attar": 1e-4, "a": 1e-3, "b": 30e-3}, 15)["b"] == 10


@pytest.mark.parametrize("due", range(1, 8))
def test_fewer_samples_are_as_many_as_are_due(due, monkeypatch):
    monkeypatch.setattr(measure, "samples_due", lambda trials, repeats: dict.fromkeys(trials, due))
    results = measure.measure_row(POOLS[0], {"a": Pools()}, repeats=7)
    assert len(results["a"]["samples_ms"]) == due


def test_a_very_slow_way_is_called_once(monkeypatch):
    monkeypatch.setattr(measure, "SLOW_SECONDS", 0.0)
    calls = []
    peer = Pools(before=lambda x: calls.append(1) or x)
    results = measure.measure_row(POOLS[0], {"a": peer}, repeats=7)
    assert len(calls) == 1
    assert results["a"]["samples_ms"] == pytest.approx([results["a"]["trial_ms"]["only"]])


PEER_ROWS = [TINY, *POOLS, *GRADIENTS]


@pytest.mark.parametrize("work", PEER_ROWS, ids=lambda work: f"{work.operation}-{work.name}")
@pytest.mark.parametrize(
    ("key", "package"),
    [
        ("torch", "torch"),
        ("torch_channels_last", "torch"),
        ("onnxruntime", "onnxruntime"),
        ("openvino", "openvino"),
        ("opencv", "cv2"),
        ("opencv_strips", "cv2"),
        ("scipy", "scipy.ndimage"),
        ("skimage", "skimage"),
    ],
)
def test_each_peer_does_the_work_or_says_that_it_cannot(work, key, package, monkeypatch):
    pytest.importorskip(package)
    monkeypatch.setattr(measure, "TRIALS", 1)
    monkeypatch.setattr(measure, "wait_until_quiet", lambda: 0.0)
    loaded, failures, _ = measure.load_peers([key], 2)
    assert not failures
    (result,) = measure.measure_row(work, loaded, repeats=1).values()
    expected = {"measured", "not supported"}
    if key == "torch_channels_last" and work.dtype == "uint8":
        expected = {"measured", "error"}  # PyTorch 2.13 refuses that
    assert result["status"] in expected, result


@pytest.mark.parametrize(
    ("key", "package"), [("torch", "torch"), ("openvino", "openvino"), ("skimage", "skimage")]
)
def test_bfloat16_is_the_same_work(key, package):
    pytest.importorskip(package)
    pytest.importorskip("ml_dtypes")
    work = rows.Pooling("half", (2, 3, 8, 8), (2, 2), (2, 2), number="bfloat16")
    assert work.bytes_moved == 2 * 2 * 3 * (64 + 16)
    loaded, _, _ = measure.load_peers([key], 2)
    (result,) = measure.measure_row(work, loaded, repeats=1).values()
    assert (result["status"], result["difference"]) == ("measured", 0.0)


def test_what_the_peers_of_pooling_can_do():
    pytest.importorskip("torch")
    plain = rows.Pooling("plain", (2, 3, 8, 8), (2, 2), (2, 2))
    loaded, _, _ = measure.load_peers(["torch", "torch_channels_last"], 2)
    for work in (plain, GRADIENTS[0], GRADIENTS[2]):
        results = measure.measure_row(work, loaded, repeats=1)
        assert [result["status"] for result in results.values()] == ["measured"] * 2, results


def test_attar_pools_and_goes_back():
    import attar

    loaded, _, _ = measure.load_peers(["attar", "attar_out"], attar.get_num_threads())
    for work in (*POOLS, *GRADIENTS):
        results = measure.measure_row(work, loaded, repeats=1)
        expected = ["measured", "not supported" if work in GRADIENTS else "measured"]
        assert [result["status"] for result in results.values()] == expected, (work, results)


def pooling_run(results, work=POOLS[0]):
    row = work.describe() | {"results": results}
    row["roofline"] = roofline.of_row(work, results, 1e10, MATMUL)
    return report.build(MACHINE, {work.name: row}, 1e10, MATMUL, 1)


def test_pooling_has_a_table_with_the_fastest_peer_alone():
    work = rows.Pooling("P3", (1, 16, 3000, 2000), (3, 3), (2, 2), report="pytorch#28733")
    results = {
        "attar": measured(2.0),
        "attar_out": measured(1.0),
        "slow": measured(9.0) | {"name": "Slow"},
        "library": measured(6.0) | {"name": "Library"},
        "by_hand": measured(4.0, hand_built=True) | {"name": "By hand"},
    }
    run = pooling_run(results, work)
    assert run["rows"]["P3"]["roofline"]["matmul_limit_ms"] is None
    share = 100 * 4 * 16 * (3000 * 2000 + 1499 * 999) / 1e10 / 2e-3
    link = "[pytorch#28733](https://github.com/pytorch/pytorch/issues/28733)"
    for language, head, label in (
        ("en", "| pooling (ms) | attar | fastest peer | its time | fastest", "max 3×3/2, 1×16×"),
        ("zh", "| 池化（毫秒） | attar | 最快对手 | 用时 | 最快对手", "最大 3×3/2，1×16×"),
    ):
        table = report.table(run, language)
        assert table.startswith(head)
        line = table.splitlines()[2]
        assert line.startswith(f"| **P3** {label}3000×2000 NCHW ({link}) |")
        numbers = f"| **2.00** | By hand | 4.00 | **2.0×** | **3.0×** | {share:.0f} % |"
        assert line.endswith(numbers)
        assert "Slow" not in table


def test_each_operation_has_its_own_table():
    extraction = run_of({"attar": measured(1.0)})["rows"]["tiny"]
    pool = pooling_run({"attar": measured(1.0)})["rows"]["a"]
    back = pooling_run({"attar": measured(1.0)}, GRADIENTS[2])["rows"]["c"]
    run = report.build(MACHINE, {"t": extraction, "a": pool, "c": back}, 1e10, MATMUL, 1)
    parts = report.table(run).split("\n\n")
    assert [part.splitlines()[0].split(" |")[0] for part in parts[:3]] == [
        "| filter, ReLU, max pool (ms)",
        "| pooling (ms)",
        "| pooling, backward (ms)",
    ]
    assert "**c** average 3×3/1 SAME, 2×2×6×7 NCHW" in parts[2]
    assert len(parts) == 4


def test_a_run_of_the_schema_before_is_read(tmp_path):
    run = run_of({"attar": measured(1.0), "a": measured(3.0)}) | {"schema": 2}
    for key in ("report", "link", "left_out"):
        del run["rows"]["tiny"][key]
    report.save(run, tmp_path / "old.json")
    assert "| **3.0×** |" in report.table(report.load(tmp_path / "old.json"))
    report.save(run | {"schema": 1}, tmp_path / "older.json")
    with pytest.raises(ValueError, match="has schema 1; this report reads 2 and 3"):
        report.load(tmp_path / "older.json")


def test_the_kept_results_are_readable():
    table = report.table(report.load(report.newest()), "en", "kept.json")
    assert "**P1** gray 4096²" in table


def test_bytes_moved_are_in_the_dtype_of_the_row():
    assert POOLS[7].bytes_moved == 2 * 3 * 8 * 8 + 2 * 3 * 4 * 4
    work = rows.Pooling("b", (1, 1, 4, 4), (2, 2), (2, 2), number="float64")
    assert work.bytes_moved == 8 * (16 + 4)


def test_every_row_can_be_kept():
    for row in rows.ROWS:
        assert json.loads(json.dumps(row.describe()))["operation"] == row.operation


TRAININGS = [
    rows._base("one", (1, 9, 8, 3), [rows.Stage(5, pool=2)], "one", "一", work=rows.TrainingStep),
    rows._base(
        "two", (2, 12, 12, 2), [rows.Stage(4, pool=3), rows.Stage(3, 5, 2)], "two", "二",
        work=rows.TrainingStep,
    ),
]  # fmt: skip
STEPS = [
    rows._pool("max", (2, 3, 8, 8), 3, 2, 1, work=rows.PoolingStep),
    rows._pool("mean", (2, 8, 8, 3), 2, 2, layout="NHWC", kind="AVG", work=rows.PoolingStep),
]


@pytest.mark.parametrize("work", [*TRAININGS, *STEPS], ids=lambda work: work.name)
def test_steps_are_taken_alike(work):
    pytest.importorskip("torch")
    keys = ["attar", "torch", "torch_channels_last", "attar_out"]
    loaded, _, _ = measure.load_peers(keys, 2)
    results = measure.measure_row(work, loaded, repeats=1)
    found = {key: result["status"] for key, result in results.items()}
    assert found["attar"] == "measured", results
    assert "measured" in (found["torch"], found["torch_channels_last"]), results
    assert found["attar_out"] == "not supported"
    assert all(result.get("difference", 0) < 1e-5 for result in results.values())


def test_the_gradients_of_a_step_are_slopes():
    work = TRAININGS[1]
    image, *weights, gradient = (array.astype(np.float64) for array in work.draw())
    found = oracle.train(work, image, *weights, gradient)

    def loss(kernel):
        return (oracle.base(work, image, kernel, *weights[1:]) * gradient).sum()

    kernel, small = weights[0], 1e-6
    for at in np.ndindex(kernel.shape[:2]):
        step = np.zeros_like(kernel)
        step[(*at, 1, 2)] = small
        slope = (loss(kernel + step) - loss(kernel - step)) / (2 * small)
        place = np.ravel_multi_index((*at, 1, 2), kernel.shape)
        assert found[place] == pytest.approx(slope, rel=1e-5, abs=1e-7)


def test_the_work_of_a_step_is_counted():
    work = TRAININGS[1]
    first = 2 * 12 * 12 * 4 * 9 * 2
    second = 2 * 3 * 3 * 3 * 25 * 4
    assert work.multiply_adds == 2 * first + 3 * second
    assert work.weights == 4 * (9 * 2 + 1) + 3 * (25 * 4 + 1)


def test_memory_of_a_step_is_what_it_adds(monkeypatch):
    pytest.importorskip("torch")
    row = rows._base(
        "wide", (2, 128, 128, 3), [rows.Stage(64, pool=2)], "", "", work=rows.TrainingStep
    )  # fmt: skip
    asked = []
    monkeypatch.setattr(memory, "_fresh", lambda call: asked.append(call) or 1000 * len(asked))
    monkeypatch.setattr(memory, "TRAININGS", (row,))
    found = memory.measure_training(2, repeats=1)
    assert found["extra_bytes"] == {
        "attar": 1000, "PyTorch": 3000, "PyTorch channels_last": 4000,
    }  # fmt: skip
    assert "'wide'" in asked[0]


def test_what_a_data_set_costs():
    def measured(rate):
        return {"images_per_second": rate}

    size = {"bytes_per_image": 2e6, "bytes_of_means": 100, "bytes_of_maps": 5e6}
    for way, one, two in (("decode", 50, 100), ("attar", 40, 80), ("luma", 50, 90)):
        size |= {f"{way} x1": measured(one), f"{way} x2": measured(two)}
    size |= {"dataloader x2": measured(16), "tf.data x2": measured(8)}
    assert (
        "| 12 MP | 100/s | 80/s, 0.80 of it | 90/s, 0.90 of it | 16.0/s: 5.0× | 8.0/s: 10.0× | "
        "2.0×; decoding 2.0× |" in scale_report.speed({"12 MP": size}, 2)
    )
    # 10⁶ / 40 / 3600 hours; 10⁶ times each number of bytes; 40 times those that are read.
    assert (
        "| 12 MP | 6.9 core-hours | 6,944 core-hours | 2.0 TB | 100 MB | 5.0 TB | 80 MB/s |"
        in scale_report.costs({"12 MP": size})
    )

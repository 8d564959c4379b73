"""The benchmark harness: equal answers or no time, nobody dropped, and the table in its place."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import __main__ as program
from benchmarks import measure, memory, oracle, peers, report, roofline, rows, startup
from benchmarks.peers import Peer, Way

TINY = rows.Workload(
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
    row = report.describe_row(TINY) | {"results": results}
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
    gray = rows.Workload("gray", TINY.description, (1, 12, 10, 1), (3, 3, 1, 1))
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

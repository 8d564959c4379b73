"""Keep a run as JSON, and write its tables between the markers of the READMEs."""

import json
from pathlib import Path
from typing import Any

from benchmarks import ROOT
from benchmarks.machine import slug
from benchmarks.peers import OWN

RESULTS = ROOT / "benchmarks" / "results"
READMES = {"en": ROOT / "README.md", "zh": ROOT / "README.zh-CN.md"}
START, END = "<!-- bench:start -->", "<!-- bench:end -->"
SCHEMA = 3
"""2 had only rows of `extract`, which are read as they are."""

WORDS = {
    "en": {
        "extract": "filter, ReLU, max pool (ms)",
        "base": "bases of convnets, and parts of them (ms)",
        "pool": "pooling (ms)",
        "pool_grad": "pooling, backward (ms)",
        "pool_train": "pooling layers, forward and backward (ms)",
        "train": "a training step (ms)",
        "fastest": "fastest peer",
        "its time": "its time",
        "nobody": "–",
        "ratio": "fastest peer ÷ attar",
        "library_ratio": "fastest library call ÷ attar",
        "roofline": "of copy speed",
        "matmul_share": "of matmul speed",
        "unknown": "n/a",
        "not installed": "not installed",
        "not supported": "–",
        "wrong answer": "wrong answer",
        "error": "error",
        "fits": "in cache",
        "informational": "for information",
        "machine": "{cpu}, {threads} threads{isa}, float32 where nothing else is said, best of"
        " {repeats}, peers in turns in one process, every answer checked against NumPy first"
        " (maxima exactly, sums in float64). Copy speed: {bandwidth:.1f} GB/s"
        " read + written. {date}: {kept}[how]({how}).",
        "kept": "[all samples and versions]({path}), ",
        "matmul": "Matmul speed: {gflops:.0f} GFLOP/s ({library}, float32, {size}²).",
        "multiply_adds": "Multiply-adds, in millions: {each}.",
        "comma": ", ",
        "import": "`import attar`: {ms:.0f} ms beyond Python's own start.",
        "command": "`{command}`, the whole process: {ms:.0f} ms.",
        "memory": "Memory beyond image and answer on {row}: {mb:.1f} MB.",
        "training_memory": "Peak memory of a training step on {row}, beyond image and weights:"
        " {each}.",
        "megabytes": "{name} {mb:.0f} MB",
        "stop": " ",
    },
    "zh": {
        "extract": "滤波、ReLU、最大池化（毫秒）",
        "base": "卷积基及其组成部分（毫秒）",
        "pool": "池化（毫秒）",
        "pool_grad": "池化的反向传播（毫秒）",
        "pool_train": "池化层的前向与反向传播（毫秒）",
        "train": "一步训练（毫秒）",
        "fastest": "最快对手",
        "its time": "用时",
        "nobody": "–",
        "ratio": "最快对手 ÷ attar",
        "library_ratio": "最快的库调用 ÷ attar",
        "roofline": "占拷贝速度",
        "matmul_share": "占矩阵乘法速度",
        "unknown": "无",
        "not installed": "未安装",
        "not supported": "–",
        "wrong answer": "结果错误",
        "error": "出错",
        "fits": "在缓存内",
        "informational": "仅供参考",
        "machine": "{cpu}，{threads} 线程{isa}，未注明者为 float32，{repeats} 次取最快，"
        "各框架在同一进程内轮流运行，计时前所有结果都先与 NumPy 核对"
        "（最大值须完全相同，求和用 float64）。"
        "内存拷贝速度：读写合计 {bandwidth:.1f} GB/s。{date}："
        "{kept}[测量方法]({how})。",
        "kept": "[全部样本与版本]({path})，",
        "matmul": "矩阵乘法速度：{gflops:.0f} GFLOP/s（{library}，float32，{size}²）。",
        "multiply_adds": "乘加次数（百万）：{each}。",
        "comma": "、",
        "import": "`import attar`：比 Python 自身启动多 {ms:.0f} 毫秒。",
        "command": "`{command}` 整个进程：{ms:.0f} 毫秒。",
        "memory": "{row} 在输入图像和结果之外占用内存：{mb:.1f} MB。",
        "training_memory": "{row} 一步训练在图像与权重之外的内存峰值：{each}。",
        "megabytes": "{name} {mb:.0f} MB",
        "stop": "",
    },
}


def build(
    machine: dict[str, Any],
    measured: dict[str, dict[str, Any]],
    bandwidth: float,
    matmul: dict[str, Any],
    repeats: int,
    **more: Any,
) -> dict[str, Any]:
    """Return a run as it is kept: `measured` holds ``{row: {results, roofline}}``."""
    for row in measured.values():
        row["fastest_peer"], row["ratio"] = compare(row["results"])
        library = {k: r for k, r in row["results"].items() if not r.get("hand_built", False)}
        row["fastest_library_peer"], row["library_ratio"] = compare(library)
    return {
        "schema": SCHEMA,
        "machine": machine,
        "repeats": repeats,
        "copy_bytes_per_second": bandwidth,
        "matmul": matmul,
        "rows": measured,
        **more,
    }


def compare(results: dict[str, Any]) -> tuple[str | None, float | None]:
    """Return the fastest peer's key, and its best time over that of attar's default call."""
    times = {
        key: result["best_ms"]
        for key, result in results.items()
        if result["status"] == "measured" and key not in OWN
    }
    if not times:
        return None, None
    fastest = min(times, key=lambda key: times[key])
    own = results.get(OWN[0], {"status": "not installed"})
    return fastest, times[fastest] / own["best_ms"] if own["status"] == "measured" else None


def path_for(run: dict[str, Any]) -> Path:
    """Return where a full run is kept: ``results/<date>-<processor>.json``."""
    machine = run["machine"]
    return RESULTS / f"{machine['date'][:10]}-{slug(machine['cpu'])}.json"


def save(run: dict[str, Any], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(run, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def newest() -> Path:
    """Return the newest kept run, by the date inside."""
    kept = list(RESULTS.glob("*.json"))
    if not kept:
        raise FileNotFoundError(f"{RESULTS} holds no results: run `python -m benchmarks` first")
    return max(kept, key=lambda path: load(path)["machine"]["date"])


def load(path: Path) -> dict[str, Any]:
    """Return a kept run, also one of the schema before this."""
    run: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if run["schema"] not in (2, SCHEMA):
        raise ValueError(f"{path} has schema {run['schema']}; this report reads 2 and {SCHEMA}")
    for row in run["rows"].values():
        row.setdefault("report", None)
        row.setdefault("link", None)
    return run


def milliseconds(value: float) -> str:
    """Return a time with three digits or so: 0.064, 1.83, 21.4, 592."""
    digits = 3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{digits}f}"


def millions(count: int) -> str:
    """Return a count in millions, with two digits or more: 0.014, 1.4, 3,583."""
    value = count / 1e6
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def table(run: dict[str, Any], language: str = "en", path: str | None = None) -> str:
    """Return the run as Markdown tables in English (``en``) or Chinese (``zh``).

    One for each operation: the extraction shows every peer, the others the fastest. `path` is the
    link to the kept run; without one there is no such link.
    """
    words = WORDS[language]
    groups: dict[str, dict[str, Any]] = {}
    for name, row in run["rows"].items():
        groups.setdefault(row["operation"], {})[name] = row
    tables = [
        (_wide if operation in ("extract", "base") else _compact)(words[operation], group, language)
        for operation, group in groups.items()
    ]
    return "\n\n".join([*tables, words["stop"].join(_facts(run, words, path))])


def _wide(work: str, group: dict[str, Any], language: str) -> str:
    """Return the table with a column for every peer that has the operation."""
    words = WORDS[language]
    names: dict[str, str] = {}
    for row in group.values():
        for key, result in row["results"].items():
            if result["status"] != "not supported":
                names.setdefault(key, result["name"])
    columns = ("ratio", "library_ratio", "roofline", "matmul_share")
    lines = []
    for name, row in group.items():
        cells = [_label(name, row, language), *(_time(row, key, words) for key in names)]
        cells += [_ratio(row["ratio"]), _ratio(row["library_ratio"])]
        cells += [_share(row, "fraction", words["fits"])]
        cells += [_share(row, "matmul_fraction", words["unknown"])]
        lines.append(cells)
    return table_of([work, *names.values(), *(words[name] for name in columns)], lines)


def _compact(work: str, group: dict[str, Any], language: str) -> str:
    """Return the table with attar's default call and, of the peers, the fastest."""
    words = WORDS[language]
    lines = []
    for name, row in group.items():
        fastest = row["fastest_peer"]
        peer = [words["nobody"], ""]
        if fastest is not None:
            peer = [row["results"][fastest]["name"], _time(row, fastest, words)]
        cells = [_label(name, row, language), _time(row, OWN[0], words), *peer]
        cells += [_ratio(row["ratio"]), _ratio(row["library_ratio"])]
        lines.append([*cells, _share(row, "fraction", words["fits"])])
    columns = ("fastest", "its time", "ratio", "library_ratio", "roofline")
    return table_of([work, "attar", *(words[name] for name in columns)], lines)


def table_of(head: list[str], lines: list[list[str]]) -> str:
    rule = ["---"] + ["---:"] * (len(head) - 1)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, rule, *lines))


def _label(name: str, row: dict[str, Any], language: str) -> str:
    words = WORDS[language]
    notes = [f"[{row['report']}]({row['link']})"] if row["report"] else []
    notes += [words["informational"]] if row["informational"] else []
    label = f"**{name}** {row['description'][language]}"
    return f"{label} ({words['comma'].join(notes)})" if notes else label


def _time(row: dict[str, Any], key: str, words: dict[str, str]) -> str:
    result = row["results"].get(key, {"status": "not supported"})
    if result["status"] != "measured":
        return words[result["status"]]
    best = milliseconds(result["best_ms"])
    return f"**{best}**" if key in OWN else best


def _ratio(ratio: float | None) -> str:
    return "" if ratio is None else f"**{ratio:.1f}×**"


def _share(row: dict[str, Any], limit: str, without: str) -> str:
    share = row["roofline"][limit].get(OWN[0], 0.0)
    return without if share is None else f"{100 * share:.0f} %" if share else ""


def _facts(run: dict[str, Any], words: dict[str, str], path: str | None) -> list[str]:
    machine = run["machine"]
    isa = machine["attar"].get("isa")
    facts = [
        words["machine"].format(
            cpu=machine["cpu"],
            threads=machine["threads"],
            isa=f", {isa}" if isa else "",
            repeats=run["repeats"],
            bandwidth=run["copy_bytes_per_second"] / 1e9,
            date=machine["date"][:10],
            kept=words["kept"].format(path=path) if path else "",
            how="benchmarks/README.md",
        )
    ]
    if run["matmul"]["status"] == "measured":
        gflops = run["matmul"]["flops_per_second"] / 1e9
        facts.append(words["matmul"].format(**run["matmul"], gflops=gflops))
    counts = {name: row["multiply_adds"] for name, row in run["rows"].items()}
    each = [f"{name} {millions(count)}" for name, count in counts.items() if count is not None]
    if each:
        facts.append(words["multiply_adds"].format(each=words["comma"].join(each)))
    memory, start, command = run.get("memory"), run.get("import"), run.get("command")
    if memory and memory["status"] == "measured":
        facts.append(words["memory"].format(row=memory["row"], mb=memory["extra_bytes"] / 1e6))
    training = run.get("training_memory")
    if training and training["status"] == "measured":
        each = [
            words["megabytes"].format(name=name, mb=count / 1e6)
            for name, count in training["extra_bytes"].items()
        ]
        row = training["row"]
        facts.append(words["training_memory"].format(row=row, each=words["comma"].join(each)))
    if start and start["status"] == "measured":
        facts.append(words["import"].format(ms=start["best_ms"]))
    if command and command["status"] == "measured":
        facts.append(words["command"].format(command=command["command"], ms=command["best_ms"]))
    return facts


def replace_between_markers(page: str, text: str) -> str:
    """Return the page with `text` between its markers, the rest as it was."""
    before, start, rest = page.partition(START)
    _, end, after = rest.partition(END)
    if not start or not end:
        raise ValueError(f"the page needs the lines {START} and {END}, in this order")
    return f"{before}{START}\n{text}\n{END}{after}"


def link(path: Path) -> str | None:
    """Return the path as the READMEs link to it, relative to the repository; None outside of it."""
    path, root = path.resolve(), ROOT.resolve()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else None


def shown(path: Path) -> str:
    """Return the path as it is printed: relative to the repository where it lies inside."""
    return link(path) or str(path)


def write_readmes(run: dict[str, Any], source: Path) -> list[Path]:
    """Write the table into each README that there is; return those written."""
    path = link(source)
    if path is None:
        raise ValueError(f"{source} lies outside {ROOT}: a README cannot link to it")
    written = []
    for language, readme in READMES.items():
        if not readme.exists():
            continue
        page = readme.read_text(encoding="utf-8")
        page = replace_between_markers(page, table(run, language, path))
        readme.write_text(page, encoding="utf-8")
        written.append(readme)
    return written

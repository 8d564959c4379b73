"""Run ``python -m benchmarks`` to measure, ``python -m benchmarks report`` to write the tables."""

import argparse
import faulthandler
import os
import sys
from pathlib import Path
from typing import Any

UNWANTED = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
"""Variables that would tie a peer to another processor, or make its threads spin for ever."""

SETTINGS = {
    "KMP_BLOCKTIME": "5",  # ms that Intel's OpenMP spins; long enough inside a sample
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "1",
    "CUDA_VISIBLE_DEVICES": "",
    "ONNXRUNTIME_DISABLE_TELEMETRY": "1",
}


def restart_in_clean_environment() -> None:
    """Start this program again if the environment would change what is measured.

    Libraries read these variables when they are loaded, so that it is too late to change them here.
    """
    clean = {name: value for name, value in os.environ.items() if name not in UNWANTED}
    clean |= SETTINGS
    if entries := clean.get("PYTHONPATH"):  # processes that start elsewhere find the same attar
        clean["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, entries.split(os.pathsep)))
    if clean != dict(os.environ):
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks", *sys.argv[1:]], clean)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("action", nargs="?", choices=["run", "report"], default="run")
    parser.add_argument("--rows", nargs="+", metavar="ROW", help="only these; default: all")
    parser.add_argument(
        "--group",
        nargs="+",
        metavar="GROUP",
        help="only the rows of these: extract, base, pool, pool_grad, pool_train, train",
    )
    parser.add_argument("--peers", nargs="+", metavar="PEER", help="only these; default: all")
    parser.add_argument("--threads", type=int, help="of every peer; default: all usable cores")
    parser.add_argument(
        "--repeats", type=int, default=15, help="samples of each peer (≥ 7); slow ones get fewer"
    )
    parser.add_argument(
        "--out",
        type=Path,
        help="the JSON to write (run) or to read (report); default: in benchmarks/results",
    )
    return parser.parse_args(arguments)


def run(options: argparse.Namespace) -> None:
    """Measure, print the table, and keep it; a partial run is kept only where --out says."""
    from benchmarks import machine, measure, memory, report, roofline, rows, startup
    from benchmarks.peers import PEERS

    workloads = rows.select(options.rows, options.group)
    keys = options.peers or list(PEERS)
    if unknown := set(keys) - set(PEERS):
        raise ValueError(f"no peer is named {' '.join(unknown)}; they are {' '.join(PEERS)}")
    threads = options.threads or machine.default_threads()
    if options.repeats < 7:
        measure.tell(f"{options.repeats} repeats are for development; publish 7 or more")

    part = options.rows is not None or options.group is not None or options.peers is not None
    more: dict[str, Any] = {}
    if not part:
        more = {
            "import": startup.measure_import(),
            "command": startup.measure_command(),
            "memory": memory.measure(threads),
            "training_memory": memory.measure_training(threads),
        }
    for name, result in more.items():
        if result["status"] != "measured":
            measure.tell(f"{name}: {result['status']} ({result['reason']})")
    bandwidth = roofline.copy_bandwidth(threads)
    peers, failures, versions = measure.load_peers(keys, threads)
    matmul = roofline.matmul_speed(threads)
    measured = {}
    for workload in workloads:
        measure.tell(f"{workload.name}: {workload.description['en']}")
        results = measure.measure_row(workload, peers, options.repeats) | failures
        measured[workload.name] = workload.describe() | {
            "results": {key: results[key] for key in keys}
        }
    bandwidth = max(bandwidth, roofline.copy_bandwidth(threads))
    matmul = roofline.faster(matmul, roofline.matmul_speed(threads))
    for workload in workloads:
        row = measured[workload.name]
        row["roofline"] = roofline.of_row(workload, row["results"], bandwidth, matmul)
    described = machine.describe(threads, versions)
    kept = report.build(described, measured, bandwidth, matmul, options.repeats, **more)

    whole = not part and options.repeats >= 7
    out = options.out or (report.path_for(kept) if whole else None)
    if out:
        report.save(kept, out)
        measure.tell(f"kept in {report.shown(out)}")
    if whole and options.out is None:
        for readme in report.write_readmes(kept, out):
            measure.tell(f"table written to {report.shown(readme)}")
    print(report.table(kept, path=report.link(out) if out else None))


def write_report(options: argparse.Namespace) -> None:
    """Write the newest kept run, or the one that --out names, into the READMEs."""
    from benchmarks import report

    source = options.out or report.newest()
    for readme in report.write_readmes(report.load(source), source):
        print(f"{report.shown(readme)}: from {report.shown(source)}")


def main() -> None:
    options = parse()
    if options.action == "report":
        write_report(options)
        return
    restart_in_clean_environment()
    # A peer that crashes takes the process along: say where, even while stderr is hushed.
    faulthandler.enable(os.dup(2))
    run(options)


if __name__ == "__main__":
    main()

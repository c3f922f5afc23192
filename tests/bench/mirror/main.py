# SPDX-License-Identifier: Apache-2.0
"""MirrorMaker 2 and Farshore, one after the other, on the same brokers and the same data."""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar

from harness.broker import Cluster
from harness.paths import CACHE
from measure import Bench, Copy
from pace import Pace, pace
from workloads import MIB, WORKLOADS, fill

SIDES = {"m": "mm2", "f": "farshore"}
BROKER_JVM = ["-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"]
Result = TypeVar("Result", Copy, Pace)


# Field of Copy, its title, digits after the point.
COPY_COLUMNS = [
    ("cpu_per_gib", "CPU-s/GiB after first record", 2),
    ("cpu_late_per_gib", "CPU-s/GiB second half", 2),
    ("cpu_all_per_gib", "CPU-s/GiB whole process", 2),
    ("mb_per_s", "MB/s", 1),
    ("start_s", "start to first record, s", 2),
    ("memory_mib", "peak memory, MiB", 0),
]


def options() -> argparse.Namespace:
    names = [work.name for work in WORKLOADS] + ["paced"]
    parser = argparse.ArgumentParser(prog="tests/bench/mirror/run", description=__doc__)
    parser.add_argument(
        "--size-mb",
        type=int,
        default=2048,
        help="stored MiB of the plain workload; others take a part (default 2048)",
    )
    parser.add_argument("--repeats", type=int, default=1, help="runs each; medians are quoted")
    parser.add_argument("--workloads", default=",".join(names), help=f"of {', '.join(names)}")
    parser.add_argument("--sides", default="m,f", help="m: MirrorMaker 2, f: Farshore")
    parser.add_argument("--pace-seconds", type=int, default=20)
    parser.add_argument("--keep", action="store_true", help="keep the folder of logs and data")
    return parser.parse_args()


def median(results: list[Result]) -> Result:
    """Field by field."""
    kind = type(results[0])
    return kind(*(statistics.median(getattr(r, f.name) for r in results) for f in fields(kind)))


def note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def measure(bench: Bench, opts: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """{workload: {side: Copy or Pace}}"""
    wanted, sides = opts.workloads.split(","), opts.sides.split(",")
    out: dict[str, dict[str, Any]] = {}
    for work in WORKLOADS:
        if work.name not in wanted:
            continue
        note(f"{work.name}: filling")
        fill(bench.source, bench.source_client, work, opts.size_mb * MIB)
        for side in sides:
            runs = []
            for _ in range(opts.repeats):
                runs.append(bench.copy(side, work))
                note(f"{work.name}: {SIDES[side]} {runs[-1]}")
            out.setdefault(work.name, {})[side] = median(runs)
    if "paced" in wanted:
        for side in sides:
            paced = [pace(bench, side, opts.pace_seconds) for _ in range(opts.repeats)]
            out.setdefault("paced", {})[side] = median(paced)
            note(f"paced: {SIDES[side]} {out['paced'][side]}")
    return out


def ratio(results: dict[str, Any], name: str) -> str:
    """How many times MM2's figure is Farshore's."""
    if len(results) < 2:
        return ""
    ours = getattr(results["f"], name)
    # A copy that was over too soon to be looked at in its second half.
    return f"{getattr(results['m'], name) / ours:.1f}x" if ours > 0 else "-"


def print_table(found: dict[str, dict[str, Any]]) -> None:
    titles = {work.name: work.title for work in WORKLOADS}
    columns = [field for field, _, _ in COPY_COLUMNS]
    print("| workload | | " + " | ".join(title for _, title, _ in COPY_COLUMNS) + " |")
    print("|---" * (len(columns) + 2) + "|")
    for name, results in found.items():
        if name == "paced":
            continue
        for side, result in results.items():
            cells = [f"{getattr(result, field):.{digits}f}" for field, _, digits in COPY_COLUMNS]
            print(f"| {titles[name]} | {SIDES[side]} | " + " | ".join(cells) + " |")
        if len(results) == 2:
            print("| | MM2 / Farshore | " + " | ".join(ratio(results, c) for c in columns) + " |")
    if "paced" in found:
        print("\n| 1 000 records/s | added p50 ms | p99 ms | longest ms | CPU % of a core | MiB |")
        print("|---|---|---|---|---|---|")
        for side, r in found["paced"].items():
            print(
                f"| {SIDES[side]} | {r.p50_ms:.2f} | {r.p99_ms:.2f} | {r.max_ms:.1f} "
                f"| {r.cpu_percent:.1f} | {r.memory_mib:.0f} |"
            )


def main() -> None:
    opts = options()
    CACHE.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=CACHE))
    source = Cluster("m", folder, heap="-Xmx1g", jvm_flags=BROKER_JVM)
    target = Cluster(
        "target", folder, heap="-Xmx1g", jvm_flags=BROKER_JVM, authority=source.authority
    )
    try:
        source.start()
        target.start()
        source.wait_ready()
        target.wait_ready()
        found = measure(Bench(source, target, folder), opts)
    finally:
        source.stop()
        target.stop()
        if opts.keep:
            note(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    print_table(found)
    print(
        json.dumps(
            {
                "cores": os.cpu_count(),
                "size_mb": opts.size_mb,
                "repeats": opts.repeats,
                "workloads": {
                    name: {SIDES[side]: asdict(r) for side, r in results.items()}
                    for name, results in found.items()
                },
            }
        )
    )


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""Apache Kafka and farshore-broker, one after the other, on this machine, under the same load.

The load generator (tests/tools/kafka_load.c) runs on the same machine: what it costs is printed.
Data go through the page cache; with Kafka's own durability (log.fsync=never) neither broker waits
for the disk, with `always` Farshore answers after fsync. A first pass of each workload, which warms
a JVM up, is not counted. Kafka has the heap and JVM flags of its own scripts.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from harness.paths import CACHE
from measure import (
    PARTITIONS,
    WORKLOADS,
    Bulk,
    Idle,
    Pace,
    bulk,
    idle,
    pace,
    partitions,
)
from sides import SIDES, MemoryWatch, Running, Side

PARTS = [work.name for work in WORKLOADS] + ["pace", "idle", "many"]
RATE = 1000
IDLE_CONSUMERS = 1000
START_PARTITIONS = 1000
MANY_PARTITIONS = 2000


@dataclass
class Found:
    """All that was measured of one side."""

    bulk: dict[str, Bulk] = field(default_factory=dict)
    pace: Pace | None = None
    idle: Idle | None = None
    memory_anon_mib: float | None = None
    memory_peak_mib: float | None = None
    start_ms: float | None = None
    starts_ms: list[float] = field(default_factory=list)
    many_memory_mib: float | None = None


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tests/bench/broker/run",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--size-mb",
        type=int,
        default=1024,
        help="stored MiB of the plain workload; others take a part (default 1024)",
    )
    parser.add_argument("--only", default=",".join(PARTS), help=f"of {', '.join(PARTS)}")
    names = [side.name for side in SIDES]
    parser.add_argument("--sides", default=",".join(names), help=f"of {', '.join(names)}")
    parser.add_argument("--pace-seconds", type=int, default=20)
    parser.add_argument("--idle-seconds", type=int, default=10)
    parser.add_argument(
        "--quick", action="store_true", help="a glance: 256 MiB, 5 s each; figures are rough"
    )
    parser.add_argument("--keep", action="store_true", help="keep the folder of logs and data")
    opts = parser.parse_args()
    for given, known in ((opts.only, PARTS), (opts.sides, names)):
        if unknown := set(given.split(",")) - set(known):
            parser.error(f"unknown: {', '.join(sorted(unknown))}")
    if opts.quick:
        opts.size_mb, opts.pace_seconds, opts.idle_seconds = 256, 5, 5
    return opts


def note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def under_load(side: Side, folder: Path, opts: argparse.Namespace, found: Found) -> None:
    """Throughput, latency and idle consumers on one broker, and the memory that it took."""
    wanted = opts.only.split(",")
    if not set(wanted) - {"many"}:
        return
    broker = Running(side, folder).start()
    try:
        with MemoryWatch(broker.process.pid) as memory:
            for work in WORKLOADS:
                if work.name in wanted:
                    found.bulk[work.name] = bulk(broker, work, opts.size_mb)
                    note(f"{side.name}: {work.name}: {found.bulk[work.name]}")
            if "pace" in wanted:
                found.pace = pace(broker, RATE, opts.pace_seconds)
                note(f"{side.name}: {found.pace}")
            if "idle" in wanted:
                found.idle = idle(broker, IDLE_CONSUMERS, opts.idle_seconds)
                note(f"{side.name}: {found.idle}")
            found.memory_peak_mib = memory.look("VmHWM") / (1 << 20)
        found.memory_anon_mib = memory.anon / (1 << 20)
    finally:
        broker.kill()


def with_many_partitions(side: Side, folder: Path, opts: argparse.Namespace, found: Found) -> None:
    """Starts after a clean stop, then twice the partitions."""
    if "many" not in opts.only.split(",") or side.name == "farshore-fsync":
        return
    broker = Running(side, folder / "many").start()
    try:
        partitions(broker, START_PARTITIONS, "many")
        times = []
        for _ in range(2 if side.name == "kafka" else 5):
            broker.stop()
            times.append(
                broker.start_until_metadata("many", START_PARTITIONS)
            )
        found.start_ms = statistics.median(times)
        found.starts_ms = times
        broker.broker.wait_ready()
        found.many_memory_mib = partitions(broker, MANY_PARTITIONS - START_PARTITIONS, "more")
        note(f"{side.name}: starts {times} ms, {found.many_memory_mib:.0f} MiB")
    finally:
        broker.kill()


# Titles and how to get the figure, with digits; None where it was not measured.
def rows(found: Found) -> list[tuple[str, float | None, int]]:
    out: list[tuple[str, float | None, int]] = []
    for work in WORKLOADS:
        for way in ("produce", "consume"):
            one = found.bulk.get(work.name)
            flow = getattr(one, way) if one else None
            for key, unit, digits in (
                ("mb_per_s", "MB/s", 0),
                ("cpu_per_gib", "broker CPU-s/GiB", 3),
                ("client_cpu_per_gib", "(load generator CPU-s/GiB)", 3),
            ):
                value = getattr(flow, key) if flow else None
                out.append((f"{work.title}: {way}, {unit}", value, digits))
    at = f"{RATE} records/s of 1 KiB, acks=all"
    for key, title in (
        ("ack_p50_ms", "acknowledged, p50 ms"),
        ("ack_p99_ms", "acknowledged, p99 ms"),
        ("ack_max_ms", "acknowledged, longest ms"),
        ("fetch_p50_ms", "consumed, p50 ms"),
        ("fetch_p99_ms", "consumed, p99 ms"),
        ("fetch_max_ms", "consumed, longest ms"),
        ("cpu_percent", "broker CPU, % of a core"),
    ):
        out.append((f"{at}: {title}", getattr(found.pace, key) if found.pace else None, 2))
    consumers = f"{IDLE_CONSUMERS} idle consumers, 500 ms waits"
    for key, title in (
        ("cpu_percent", "broker CPU, % of a core"),
        ("answers_per_s", "answers a second"),
        ("memory_mib", "private memory that they add, MiB"),
    ):
        out.append((f"{consumers}: {title}", getattr(found.idle, key) if found.idle else None, 1))
    out += [
        ("peak of private memory (RssAnon) over all of the above, MiB", found.memory_anon_mib, 0),
        ("the same with mapped files (VmHWM), MiB", found.memory_peak_mib, 0),
        (
            f"clean start with {START_PARTITIONS} partitions to Metadata with all leaders, ms, "
            "median",
            found.start_ms,
            0,
        ),
        (
            f"{MANY_PARTITIONS} partitions, a record in each: private memory, MiB",
            found.many_memory_mib,
            0,
        ),
    ]
    return out


def print_table(all_found: dict[str, Found]) -> None:
    titles = {side.name: side.title for side in SIDES}
    print("| | " + " | ".join(titles[name] for name in all_found) + " | Kafka / Farshore |")
    print("|---" * (len(all_found) + 2) + "|")
    tables = {name: rows(found) for name, found in all_found.items()}
    for lines in zip(*tables.values()):
        if all(value is None for _, value, _ in lines):
            continue
        cells = ["" if v is None else f"{v:.{digits}f}" for _, v, digits in lines]
        by_name = {name: line[1] for name, line in zip(tables, lines)}
        kafka, ours = by_name.get("kafka"), by_name.get("farshore")
        times = f"{kafka / ours:.2f}" if kafka and ours else ""
        print(f"| {lines[0][0]} | " + " | ".join(cells) + f" | {times} |")


def main() -> None:
    opts = options()
    CACHE.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-broker-", dir=CACHE))
    all_found: dict[str, Found] = {}
    try:
        for side in SIDES:
            if side.name in opts.sides.split(","):
                found = all_found[side.name] = Found()
                under_load(side, folder, opts, found)
                with_many_partitions(side, folder, opts, found)
    finally:
        if opts.keep:
            note(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    print_table(all_found)
    settings: dict[str, Any] = {
        "cores": os.cpu_count(),
        "size_mb": opts.size_mb,
        "topic_partitions": PARTITIONS,
    }
    sides = {name: asdict(found) for name, found in all_found.items()}
    print(json.dumps({**settings, "sides": sides}))


if __name__ == "__main__":
    main()

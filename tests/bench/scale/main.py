# SPDX-License-Identifier: Apache-2.0
"""How start, memory and CPU of a mirror grow with the number of partitions."""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict

from harness.fleet import big_cluster, memory_folder
from harness.paths import CACHE

from growth import Fleet, Growth, Rest, Work


BROKER_JVM = ["-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"]


def sizes(text: str) -> list[int]:
    return [int(item) for item in text.split(",") if item]


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests/bench/scale/run", description=__doc__)
    parser.add_argument(
        "--partitions", type=sizes, default=[100, 1000, 10000], help="default 100,1000,10000"
    )
    parser.add_argument(
        "--mm2", type=sizes, default=[], help="sizes at which MirrorMaker 2 runs too (none)"
    )
    parser.add_argument(
        "--seconds", type=int, default=15, help="that each rate is measured over (default 15)"
    )
    parser.add_argument("--keep", action="store_true", help="keep the folder of logs and data")
    return parser.parse_args()


def note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


COLUMNS: list[tuple[str, Callable[[Growth], str]]] = [
    ("first start: made s", lambda g: f"{g.created_s:.1f}"),
    ("all copied s", lambda g: f"{g.copied_s:.1f}"),
    ("peak MiB", lambda g: f"{g.first_peak_mib:.0f}"),
    ("restart: all known s", lambda g: f"{g.restart_s:.2f}"),
    ("peak MiB", lambda g: f"{g.peak_mib:.0f}"),
    ("at rest: MiB", lambda g: f"{g.rest.rss_mib:.0f}"),
    ("CPU %", lambda g: f"{g.rest.cpu_percent:.2f}"),
    ("as many groups: all on the target s", lambda g: f"{g.groups_s:.1f}"),
    ("a group that moves s", lambda g: f"{g.group_move_s:.1f}"),
    ("at rest with them: MiB", lambda g: f"{g.groups_rest.rss_mib:.0f}"),
    ("CPU %", lambda g: f"{g.groups_rest.cpu_percent:.2f}"),
    ("1 000 records/s: CPU %", lambda g: f"{g.work.cpu_percent:.1f}"),
    ("added p50 / p99 / max ms", lambda g: latencies(g.work)),
    ("meanwhile a change: s", lambda g: f"{g.change_s:.1f}"),
    ("p50 / p99 / max ms", lambda g: latencies(g.change)),
    ("/metrics s, MiB", lambda g: f"{g.metrics.seconds:.2f}, {g.metrics.mib:.1f}"),
    ("/v1/links s, MiB", lambda g: f"{g.links.seconds:.2f}, {g.links.mib:.1f}"),
    ("peak then MiB", lambda g: f"{g.scraped_peak_mib:.0f}"),
]


def latencies(work: Work) -> str:
    return f"{work.p50_ms:.1f} / {work.p99_ms:.0f} / {work.max_ms:.0f}"


def print_tables(grown: list[Growth], mm2: dict[int, tuple[float, Rest]]) -> None:
    print("| partitions | " + " | ".join(str(g.partitions) for g in grown) + " |")
    print("|---" * (len(grown) + 1) + "|")
    for title, cell in COLUMNS:
        print(f"| {title} | " + " | ".join(cell(g) for g in grown) + " |")
    for size, (seconds, rest) in mm2.items():
        print(
            f"MirrorMaker 2, {size} partitions: all copied after {seconds:.1f} s, "
            f"{rest.rss_mib:.0f} MiB, {rest.cpu_percent:.1f} % of a core at rest"
        )


def main() -> None:
    opts = options()
    folder = memory_folder("scale-", CACHE)
    source = big_cluster("source", folder, jvm_flags=BROKER_JVM)
    target = big_cluster("target", folder, source.authority, jvm_flags=BROKER_JVM)
    grown: list[Growth] = []
    mm2: dict[int, tuple[float, Rest]] = {}
    try:
        source.start()
        target.start()
        source.wait_ready()
        target.wait_ready()
        fleet = Fleet(source, target, folder, opts.seconds)
        for size in sorted(set(opts.partitions + opts.mm2)):
            if size in opts.partitions:
                grown.append(fleet.grow(size))
                note(f"{grown[-1]}")
            if size in opts.mm2:
                mm2[size] = fleet.mm2(size)
                note(f"mm2 {size}: {mm2[size]}")
    finally:
        source.stop()
        target.stop()
        if opts.keep:
            note(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    print_tables(grown, mm2)
    print(
        json.dumps(
            {
                "cores": os.cpu_count(),
                "farshore": [asdict(g) for g in grown],
                "mm2": {
                    size: {"copied_s": seconds, **asdict(rest)}
                    for size, (seconds, rest) in mm2.items()
                },
            }
        )
    )


if __name__ == "__main__":
    main()

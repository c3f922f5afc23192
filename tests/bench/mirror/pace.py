# SPDX-License-Identifier: Apache-2.0
"""Added latency and CPU at a steady 1 000 records a second.

Each record is seen by two readers, one on each cluster; what the mirror adds is the difference of
the two moments. Producer and readers are one small C program (kafka-load), since a pause of a
reader would count as the mirror's.
"""

import json
import subprocess
import time
from dataclasses import dataclass
from typing import Any

from harness.client import Client, Record
from harness.paths import BUILD
from measure import START_S, Bench, Ends
from workloads import PARTITIONS, Workload

LOAD = BUILD / "tests" / "tools" / "kafka-load"
RATE = 1000
WARM_S = 10
PACED = Workload("paced", "1 000 records/s", "paced", 0)


@dataclass(frozen=True)
class Pace:
    """At 1 000 records a second."""

    p50_ms: float
    p99_ms: float
    max_ms: float
    cpu_percent: float  # of one core
    memory_mib: float


class Pacer:
    """`seconds` of records of 1 KiB, one a millisecond, numbered from `first`, into a topic; with
    `far`, what a reader of its copy there sees later than one of the topic."""

    def __init__(
        self,
        source: Client,
        topic: str,
        first: int,
        seconds: int,
        far: tuple[Client, str] | None = None,
    ):
        argv = [str(LOAD), "pace", source.config["bootstrap.servers"].split(",")[0], topic]
        argv += ["--rate", str(RATE), "--seconds", str(seconds), "--first", str(first)]
        if far is not None:
            client, copy = far
            argv += ["--far", client.config["bootstrap.servers"].split(",")[0], "--far-topic", copy]
        self.seconds = seconds
        self.child = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)

    def result(self) -> dict[str, Any]:
        line, _ = self.child.communicate(timeout=self.seconds + START_S)
        if self.child.returncode != 0:
            raise RuntimeError("kafka-load failed")
        out: dict[str, Any] = json.loads(line)
        return out


def pace(bench: Bench, side: str, seconds: int) -> Pace:
    source, target = bench.source_client, bench.target_client
    mirrored = f"{side}.{PACED.topic}"
    bench.forget(side, mirrored)
    if PACED.topic in source.topics():
        source.delete_topic(PACED.topic)
    source.create_topic(PACED.topic, partitions=PARTITIONS)
    source.produce_spread(PACED.topic, [Record(None, b"first")] * PARTITIONS, PARTITIONS)
    mirror = bench.mirror(side, PACED)
    mirror.start()
    try:
        with Ends(target, mirrored, PARTITIONS) as ends:
            ends.wait(sum(source.end_offsets(PACED.topic)), START_S)
        Pacer(source, PACED.topic, 1, WARM_S).result()
        pacer = Pacer(source, PACED.topic, 1 + WARM_S * RATE, seconds, (target, mirrored))
        cpu, at = mirror.process.usage().cpu_s, time.monotonic()
        time.sleep(seconds)
        usage = mirror.process.usage()
        percent = (usage.cpu_s - cpu) / (time.monotonic() - at) * 100
        found = pacer.result()
        mirror.stop()
    finally:
        mirror.kill()
    bench.forget(side, mirrored)
    return Pace(
        found["added_p50_ms"],
        found["added_p99_ms"],
        found["added_max_ms"],
        percent,
        usage.rss_max / (1 << 20),
    )

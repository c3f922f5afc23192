# SPDX-License-Identifier: Apache-2.0
"""What is measured on one running broker."""

import json
import subprocess
import time
from dataclasses import dataclass
from typing import Any

from harness.paths import BUILD
from harness.process import wait_for
from sides import MemoryWatch, Running

LOAD = BUILD / "tests" / "tools" / "kafka-load"
GIB = 1 << 30
PARTITIONS = 6
DEADLINE_S = 300
CONSUMED = 1 << 30  # read a topic again and again, until it is so much: less is over in a moment


@dataclass(frozen=True)
class Workload:
    """`share` is its part of --size-mb, in stored bytes."""

    name: str
    title: str
    share: float
    options: tuple[str, ...] = ()
    tls: bool = False


BATCHES = ("--record-bytes", "1024", "--records-per-batch", "64", "--partitions-per-request", "3")
WORKLOADS = [
    Workload("plain", "1 KiB records, 66 KB batches", 1.0, BATCHES),
    Workload(
        "small",
        "100-byte records, 10 a batch",
        1 / 8,
        (
            *("--record-bytes", "100", "--records-per-batch", "10"),
            *("--partitions-per-request", "6"),
        ),
    ),
    Workload("lz4", "1 KiB of JSON, lz4, 64 a batch", 0.25, (*BATCHES, "--json", "--lz4")),
    Workload("tls", "1 KiB records, 66 KB batches, TLS", 0.5, BATCHES, tls=True),
]


@dataclass(frozen=True)
class Flow:
    """One way, produce or consume."""

    mb_per_s: float  # stored bytes, 10^6
    cpu_per_gib: float  # CPU-seconds of the broker for each stored GiB
    client_cpu_per_gib: float  # of the load generator
    requests_version: int


@dataclass(frozen=True)
class Bulk:
    """A workload there and back."""

    produce: Flow
    consume: Flow


@dataclass(frozen=True)
class Pace:
    """One-record requests at a fixed rate, acks=all, and a consumer that waits for them."""

    ack_p50_ms: float
    ack_p99_ms: float
    ack_max_ms: float
    fetch_p50_ms: float
    fetch_p99_ms: float
    fetch_max_ms: float
    cpu_percent: float  # of a core


@dataclass(frozen=True)
class Idle:
    """Consumers that wait."""

    cpu_percent: float  # of a core
    answers_per_s: float
    memory_mib: float  # RssAnon more than before they came


class Load:
    """One run of the load generator; the JSON lines that it prints."""

    def __init__(self, broker: Running, command: str, topic: str, *options: str, tls: bool = False):
        argv = [str(LOAD), command, broker.broker.address("SSL" if tls else "PLAINTEXT"), topic]
        if tls:
            argv += ["--tls-ca", str(broker.cluster.authority.cert)]
        self.child = subprocess.Popen([*argv, *options], stdout=subprocess.PIPE, text=True)

    def line(self) -> dict[str, Any]:
        assert self.child.stdout is not None
        line = self.child.stdout.readline()
        if not line:
            raise RuntimeError(f"kafka-load ended with {self.child.wait()}")
        out: dict[str, Any] = json.loads(line)
        return out

    def result(self) -> dict[str, Any]:
        out = self.line()
        if self.child.wait(DEADLINE_S) != 0:
            raise RuntimeError("kafka-load failed")
        return out


def make_topic(broker: Running, name: str, count: int) -> None:
    """A new topic whose partitions can be used: Kafka's leaders come up after Metadata says so."""
    client = broker.client()
    client.create_topic(name, partitions=count)
    wait_for(f"{name} answers", lambda: len(client.end_offsets(name)) == count, 60)


@dataclass(frozen=True)
class Moved:
    """What went one way, how fast and at what price."""

    flow: Flow
    records: int
    stored: int  # bytes


def move(broker: Running, command: str, topic: str, *options: str, tls: bool) -> Moved:
    before = broker.process.usage().cpu_s
    found = Load(broker, command, topic, *options, tls=tls).result()
    used = broker.process.usage().cpu_s - before
    if found["bytes"] == 0:
        raise RuntimeError(f"{broker.side.name}: {topic}: {command}: no bytes")
    return Moved(
        Flow(
            found["bytes"] / found["seconds"] / 1e6,
            used / found["bytes"] * GIB,
            found["client_cpu_s"] / found["bytes"] * GIB,
            found["version"],
        ),
        found["records"],
        found["bytes"],
    )


def there_and_back(broker: Running, work: Workload, size_mb: int) -> Bulk:
    """Into a new topic and out again, from the page cache."""
    topic = f"bench-{work.name}-{time.monotonic_ns()}"
    make_topic(broker, topic, PARTITIONS)
    mb = ("--mb", str(max(1, int(size_mb * work.share))))
    spread = ("--connections", "4", "--in-flight", "5")
    produced = move(broker, "produce", topic, *work.options, *mb, *spread, tls=work.tls)
    passes = -(-CONSUMED // produced.stored)
    many = ("--connections", "3", "--passes", str(passes))
    consumed = move(broker, "consume", topic, *many, tls=work.tls)
    if consumed.records != produced.records * passes:
        raise RuntimeError(f"{broker.side.name}: {topic}: {produced} and then {consumed}")
    broker.client().delete_topic(topic)
    return Bulk(produced.flow, consumed.flow)


def bulk(broker: Running, work: Workload, size_mb: int) -> Bulk:
    """A first pass of the same size warms a JVM up and is not counted."""
    there_and_back(broker, work, size_mb)
    return there_and_back(broker, work, size_mb)


def pace(broker: Running, rate: int, seconds: int) -> Pace:
    """After ten seconds that are not counted."""
    for length in (10, seconds):
        topic = f"bench-pace-{time.monotonic_ns()}"
        make_topic(broker, topic, PARTITIONS)
        before, at = broker.process.usage().cpu_s, time.monotonic()
        found = Load(
            broker, "pace", topic, "--rate", str(rate), "--seconds", str(length)
        ).result()
        cpu = (broker.process.usage().cpu_s - before) / (time.monotonic() - at)
        broker.client().delete_topic(topic)
    keys = [f"{what}_{q}_ms" for what in ("ack", "fetch") for q in ("p50", "p99", "max")]
    return Pace(*(found[key] for key in keys), cpu_percent=cpu * 100)


def idle(broker: Running, consumers: int, seconds: int) -> Idle:
    topic = f"bench-idle-{time.monotonic_ns()}"
    make_topic(broker, topic, 100)
    with MemoryWatch(broker.process.pid) as memory:
        before = memory.anon
        load = Load(
            broker,
            "idle",
            topic,
            *("--connections", str(consumers), "--seconds", str(seconds + 4)),
        )
        load.line()
        time.sleep(2)
        cpu, at = broker.process.usage().cpu_s, time.monotonic()
        time.sleep(seconds)
        used = broker.process.usage().cpu_s - cpu
        passed = time.monotonic() - at
        found = load.result()
    return Idle(
        used / passed * 100, found["answers"] / (seconds + 4), (memory.anon - before) / (1 << 20)
    )


def partitions(broker: Running, count: int, topic: str) -> float:
    """Make a topic, put one record into each partition; RssAnon in MiB after five seconds."""
    make_topic(broker, topic, count)
    Load(
        broker,
        "produce",
        topic,
        *("--record-bytes", "100", "--records-per-batch", "1", "--mb", "1"),
        *("--partitions-per-request", str(min(count, 500))),
    ).result()
    time.sleep(5)
    return MemoryWatch(broker.process.pid).look("RssAnon") / (1 << 20)

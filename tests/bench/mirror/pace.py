# SPDX-License-Identifier: Apache-2.0
"""Added latency and CPU at a steady 1 000 records a second.

Each record is seen by two readers, one on each cluster; what the mirror adds is the difference of
the two moments.
"""

import statistics
import threading
import time
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from harness.client import Client, Record
from measure import START_S, Bench, Ends
from workloads import PARTITIONS, Workload

RATE = 1000
WARM_S = 10
PACED = Workload("paced", "1 000 records/s", "paced", 0)


@dataclass(frozen=True)
class Pace:
    """At 1 000 records a second."""

    p50_ms: float
    p99_ms: float
    cpu_percent: float  # of one core
    memory_mib: float


class Watcher(threading.Thread):
    """Reads a topic from its end and notes when each numbered record came."""

    def __init__(self, client: Client, topic: str):
        super().__init__(daemon=True)
        self.seen: dict[int, float] = {}
        self.ending = False
        self.reader = Consumer(
            {
                **client.config,
                "group.id": "bench",
                "log_level": 0,
                "fetch.wait.max.ms": 500,
                "auto.offset.reset": "latest",
                "enable.auto.commit": False,
            }
        )
        self.reader.assign(
            [TopicPartition(topic, p, end) for p, end in enumerate(client.end_offsets(topic))]
        )

    def run(self) -> None:
        while not self.ending:
            message = self.reader.poll(0.1)
            if message is None:
                continue
            now = time.monotonic()
            error = message.error()
            if error is not None:
                raise KafkaException(error)
            self.seen[int((message.value() or b"")[:12])] = now
        self.reader.close()

    def finish(self) -> dict[int, float]:
        self.ending = True
        self.join()
        return self.seen


def produce_paced(
    client: Client,
    count: int,
    start: int,
    topic: str = PACED.topic,
    partitions: int = PARTITIONS,
) -> None:
    """`count` records of 1 KiB, one a millisecond, sent at once."""
    producer = Producer({**client.config, "linger.ms": 0, "acks": "all"})
    begin = time.monotonic()
    for number in range(count):
        due = begin + number / RATE
        while (wait := due - time.monotonic()) > 0:
            producer.poll(0)
            time.sleep(min(wait, 0.001))
        producer.produce(
            topic,
            (b"%012d" % (start + number)).ljust(1024, b"x"),
            partition=number % partitions,
        )
    producer.flush(30)


def pace(bench: Bench, side: str, seconds: int) -> Pace:
    source, target = bench.source_client, bench.target_client
    mirrored = f"{side}.{PACED.topic}"
    bench.forget(side, mirrored)
    if PACED.topic not in source.topics():
        source.create_topic(PACED.topic, partitions=PARTITIONS)
    source.produce_spread(PACED.topic, [Record(None, b"%012d" % 0)] * PARTITIONS, PARTITIONS)
    mirror = bench.mirror(side, PACED)
    mirror.start()
    try:
        with Ends(target, mirrored, PARTITIONS) as ends:
            ends.wait(sum(source.end_offsets(PACED.topic)), START_S)
        produce_paced(source, WARM_S * RATE, 1)
        watchers = [Watcher(source, PACED.topic), Watcher(target, mirrored)]
        for watcher in watchers:
            watcher.start()
        time.sleep(1)
        first = WARM_S * RATE + 1
        cpu, at = mirror.process.usage().cpu_s, time.monotonic()
        produce_paced(source, seconds * RATE, first)
        usage = mirror.process.usage()
        percent = (usage.cpu_s - cpu) / (time.monotonic() - at) * 100
        time.sleep(2)
        near, far = (watcher.finish() for watcher in watchers)
        mirror.stop()
    finally:
        mirror.kill()
    bench.forget(side, mirrored)
    numbers = range(first, first + seconds * RATE)
    missing = sum(n not in far or n not in near for n in numbers)
    if missing:
        raise RuntimeError(f"{mirrored}: {missing} of {len(numbers)} records did not arrive")
    cuts = statistics.quantiles([(far[n] - near[n]) * 1000 for n in numbers], n=100)
    return Pace(cuts[49], cuts[98], percent, usage.rss_max / (1 << 20))

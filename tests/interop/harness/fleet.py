# SPDX-License-Identifier: Apache-2.0
"""Many topics on two brokers: made, filled with a record in each partition, and watched."""

import os
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from confluent_kafka import (
    ConsumerGroupTopicPartitions,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import NewTopic, OffsetSpec

from .broker import Cluster
from .certs import Authority
from .client import Client
from .mirror import Mirror
from .process import wait_for

TOPIC_PARTITIONS = 20
GROUP_PARTITIONS = 10  # of one topic, that a group has positions in
COMMIT_AT_ONCE = 250  # groups
CREATE_AT_ONCE = 25  # topics; a broker makes 500 logs at a time, well within its request timeout
# A broker with 10 000 logs: small indexes, and few looks over all of them.
BROKER = {
    "log.index.size.max.bytes": str(64 << 10),
    "log.retention.check.interval.ms": str(3600 * 1000),
    "log.flush.scheduler.interval.ms": str(3600 * 1000),
    "log.flush.offset.checkpoint.interval.ms": str(600 * 1000),
    "log.flush.start.offset.checkpoint.interval.ms": str(600 * 1000),
    "log.cleaner.backoff.ms": "30000",
    "max.incremental.fetch.session.cache.slots": "1000",
    "controller.quorum.election.timeout.ms": "5000",
    "controller.quorum.fetch.timeout.ms": "10000",
    "broker.session.timeout.ms": "60000",
}


def memory_folder(prefix: str, otherwise: Path) -> Path:
    """A new folder in memory if there is such: a disk that makes 20 000 logs takes very long, and
    tells nothing of the mirror."""
    memory = Path("/dev/shm")
    parent = memory if os.access(memory, os.W_OK) else otherwise
    parent.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=prefix, dir=parent))


def big_cluster(
    name: str,
    folder: Path,
    authority: Authority | None = None,
    heap: str = "-Xmx1500m",
    jvm_flags: list[str] | None = None,
) -> Cluster:
    """One broker that holds thousands of logs."""
    return Cluster(
        name, folder, authority=authority, overrides=BROKER, heap=heap, jvm_flags=jvm_flags
    )


def topic_names(partitions: int) -> list[str]:
    """Those of a fleet of so many partitions; a smaller fleet is a part of a larger one."""
    return [f"fleet-{number:04d}" for number in range(-(-partitions // TOPIC_PARTITIONS))]


def make_fleet(client: Client, partitions: int) -> None:
    """Make the topics that are missing and put a record into each of their partitions."""
    there = client.topics()
    fresh = [name for name in topic_names(partitions) if name not in there]
    for at in range(0, len(fresh), CREATE_AT_ONCE):
        part = fresh[at : at + CREATE_AT_ONCE]
        made = client.admin.create_topics(
            [NewTopic(name, TOPIC_PARTITIONS, 1) for name in part],
            operation_timeout=60,
            request_timeout=120,
        )
        for future in made.values():
            future.result(120)
    produce_each(client, fresh)


def produce_each(client: Client, topics: Iterable[str]) -> None:
    """One record into each partition of the topics, which may still be coming."""
    # (A broker that is still making logs may not know the topic for a while.)
    patience = {"message.timeout.ms": 120_000, "topic.metadata.propagation.max.ms": 120_000}
    producer = Producer({**client.config, **patience, "linger.ms": 50})
    failed = []
    for name in topics:
        for partition in range(TOPIC_PARTITIONS):
            producer.produce(
                name,
                b"%012d" % 0,
                partition=partition,
                on_delivery=lambda err, _msg: failed.append(err) if err else None,
            )
        producer.poll(0)
    if producer.flush(120) or failed:
        raise KafkaException(failed[0] if failed else "not acknowledged")


def group_names(groups: int) -> list[str]:
    return [f"group-{number:05d}" for number in range(groups)]


def commit_groups(
    client: Client,
    numbers: Iterable[int],
    offset: Callable[[int], int],
    topics: list[str],
    partitions: int = GROUP_PARTITIONS,
) -> None:
    """The groups of these numbers commit offset(number), each in a topic of its turn."""
    left = list(numbers)
    while left:
        part, left = left[:COMMIT_AT_ONCE], left[COMMIT_AT_ONCE:]
        futures = []
        for number in part:
            name = topics[number % len(topics)]
            at = [TopicPartition(name, p, offset(number)) for p in range(partitions)]
            asked = [ConsumerGroupTopicPartitions(f"group-{number:05d}", at)]
            futures += client.admin.alter_consumer_group_offsets(asked).values()
        for future in futures:
            future.result(60)


def group_offsets(client: Client, group: str) -> list[int]:
    """What it has committed."""
    asked = [ConsumerGroupTopicPartitions(group)]
    (future,) = client.admin.list_consumer_group_offsets(asked).values()
    return [at.offset for at in future.result(30).topic_partitions]


def ends_sum(client: Client, topics: dict[str, int]) -> int:
    """Records that the topics have had, over all partitions."""
    asked = {
        TopicPartition(name, partition): OffsetSpec.latest()
        for name, partitions in topics.items()
        for partition in range(partitions)
    }
    answers = client.admin.list_offsets(asked, request_timeout=30)
    return sum(future.result(30).offset for future in answers.values())


class Arrivals:
    """Watches the copies of topics arrive on the target, without asking the mirror."""

    def __init__(self, client: Client, prefix: str, wanted: dict[str, int]):
        self.client = client
        self.wanted = {prefix + name: partitions for name, partitions in wanted.items()}
        self.records = sum(wanted.values())

    def _topics_there(self) -> bool:
        there = self.client.topics()
        return all(there.get(name) == n for name, n in self.wanted.items())

    def _records_there(self) -> bool:
        try:
            return ends_sum(self.client, self.wanted) >= self.records
        except KafkaException:  # a partition that was just made has no leader yet
            return False

    def wait(self, patience: float, every: float = 0.2) -> tuple[float, float]:
        """Until every topic is there and every partition has its record: both moments."""
        until = time.monotonic() + patience
        made = 0.0
        while time.monotonic() < until:
            began = time.monotonic()
            if made == 0.0:
                made = began if self._topics_there() else 0.0
            elif self._records_there():
                return made, began
            time.sleep(every)
        raise TimeoutError(f"{len(self.wanted)} topics did not arrive within {patience} s")


def wait_active(mirror: Mirror, count: int, timeout: float) -> None:
    """All partitions, `count` at least (heartbeats may add theirs), are ACTIVE: their positions
    are known and nothing waits."""

    def probe() -> bool:
        found = mirror.sums()["partitions"]
        if list(found) != ["ACTIVE"] or found["ACTIVE"] < count:
            raise ValueError(f"are {found}")
        return True

    wait_for(f"{count} active partitions", probe, timeout)

# SPDX-License-Identifier: Apache-2.0
"""What the modules share: records to send, a look into the log's files, three members at once."""

import struct
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harness.broker import Broker
from harness.client import Client, Record
from harness.process import wait_for

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
ACKS = (0, 1, -1)
BAD_NAMES = ("", ".", "..", "a b", "a/b", "\u00e9", "x" * 250)
SHRINKS = 1000  # bytes; a batch of the tests' records that is larger shrinks in every codec
NOW = int(time.time()) * 1000 - 3_600_000  # milliseconds; young enough for the default retention


def shapes(count: int = 60, start: int = 0) -> list[Record]:
    """Records of every shape a client can send: nulls, empty fields, headers, all bytes."""
    kinds = [
        lambda i: Record(b"k%d" % i, b"v%d" % i, (), NOW + i),
        lambda i: Record(None, b"no key %d" % i, (), NOW + i),
        lambda i: Record(b"no value %d" % i, None, (), NOW + i),
        lambda i: Record(b"", b"", (), NOW + i),
        lambda i: Record(b"h%d" % i, b"v", (("a", b"1"), ("a", b"2"), ("b", b"")), NOW + i),
        lambda i: Record(bytes(range(256)), bytes(255 - b for b in range(256)) * 40, (), NOW + i),
        lambda i: Record("\u00e9\u4e16".encode(), b"v", (("\u00e9\u4e16", b"\xff\x00"),), NOW + i),
    ]
    return [kinds[i % len(kinds)](i) for i in range(start, start + count)]


# -- the log's files


@dataclass(frozen=True)
class Batch:
    """The head of a record batch as it lies in the log (RecordBatch, magic 2)."""

    base_offset: int
    epoch: int
    codec: str
    transactional: bool
    control: bool
    producer: int
    sequence: int
    count: int
    size: int  # bytes, all of it


def batches(broker: Broker, topic: str, partition: int = 0) -> Iterator[Batch]:
    """Every batch of a partition, from its files."""
    for path in sorted((broker.data / f"{topic}-{partition}").glob("*.log")):
        yield from _batches(path)


def _batches(path: Path) -> Iterator[Batch]:
    data, at = path.read_bytes(), 0
    while len(data) - at >= 61:
        base, size, epoch, magic, _crc, bits, _last, _t0, _t1, producer, _epoch, sequence, count = (
            struct.unpack_from(">qiibIhiqqqhii", data, at)
        )
        if size == 0:
            break  # Kafka fills a segment's file with zeros beforehand
        assert magic == 2
        yield Batch(
            base,
            epoch,
            CODECS[bits & 7],
            bool(bits & 16),
            bool(bits & 32),
            producer,
            sequence,
            count,
            12 + size,
        )
        at += 12 + size


def stored_codecs(broker: Broker, topic: str, partition: int = 0) -> set[str]:
    """Which codecs the partition's batches have. A client that thinks the broker too old for one
    sends uncompressed batches and says nothing."""
    return {batch.codec for batch in batches(broker, topic, partition)}


def check_codec(broker: Broker, topic: str, codec: str) -> None:
    """For clients that send a batch as it is when it does not shrink: with few and short records,
    which is up to the clock, it may not. All else has the codec."""
    found = [batch for batch in batches(broker, topic) if batch.codec != codec]
    assert all(batch.codec == "none" and batch.size <= SHRINKS for batch in found), found
    assert codec in stored_codecs(broker, topic)


def read_back(client: Client, topic: str, partition: int = 0) -> list[Record]:
    """The partition's records as librdkafka reads them; their offsets must be 0, 1, 2, ..."""
    stored = client.read(topic, partition)
    assert [item.offset for item in stored] == list(range(len(stored)))
    return [item.record for item in stored]


# -- consumer groups


Place = tuple[int, int]  # partition, offset


class Member(Protocol):
    """One consumer of a group, of whatever client."""

    def poll(self) -> Iterable[tuple[int, int, bytes]]:
        """Work for a moment. What came, as (partition, offset, value), its offsets committed."""

    def assigned(self) -> set[int]:
        """The partitions it has now."""

    def close(self) -> None:
        """Leave the group."""


def share(counts: Sequence[int], partitions: int, members: Iterable[Member]) -> bool:
    """Have the members so many partitions, each partition once?"""
    sets = [member.assigned() for member in members]
    return sorted(len(s) for s in sets) == sorted(counts) and set().union(*sets) == set(
        range(partitions)
    )


class Group:
    """Members that are polled in turn, and everything that they got."""

    def __init__(self, client: Client, topic: str, partitions: int):
        self.client = client
        self.topic = topic
        self.partitions = partitions
        self.members: list[Member] = []
        self.got: list[tuple[int, int, bytes]] = []
        self.sent = 0

    def join(self, member: Member) -> Member:
        self.members.append(member)
        return member

    def leave(self, member: Member) -> None:
        self.members.remove(member)
        member.close()

    def work(self) -> None:
        for member in self.members:
            self.got += member.poll()

    def settle(self, *counts: int, timeout: float = 30) -> None:
        """Work until the members share the partitions so, and still do a moment later."""

        def settled() -> bool:
            self.work()
            if not share(counts, self.partitions, self.members):
                return False
            end = time.monotonic() + 0.3
            while time.monotonic() < end:
                self.work()
            return share(counts, self.partitions, self.members)

        wait_for(f"{self.topic} shared as {counts}", settled, timeout, every=0)

    def exchange(self, each: int = 20) -> None:
        """Send to every partition and work until all of it has come."""
        for partition in range(self.partitions):
            values = range(self.sent, self.sent + each)
            self.client.produce(
                self.topic, [Record(None, b"%d-%d" % (partition, i)) for i in values], partition
            )
        self.sent += each

        def complete() -> bool:
            self.work()
            return len(self.got) >= self.sent * self.partitions

        wait_for("all records", complete, every=0)

    def check(self) -> None:
        """Every record came once, and those of a partition in order."""
        for partition in range(self.partitions):
            mine = [(offset, value) for p, offset, value in self.got if p == partition]
            assert mine == [(i, b"%d-%d" % (partition, i)) for i in range(self.sent)]

    def close(self) -> None:
        for member in self.members:
            member.close()
        self.members = []


def three_members(group: Group, make: Callable[[], Member]) -> None:
    """Two join one, one leaves, one comes back: with 6 partitions and records at every stage."""
    group.join(make())
    group.settle(6)
    group.exchange()
    second = group.join(make())
    group.join(make())
    group.settle(2, 2, 2)
    group.exchange()
    group.leave(second)
    group.settle(3, 3)
    group.exchange()
    group.join(make())
    group.settle(2, 2, 2)
    group.exchange()
    group.check()

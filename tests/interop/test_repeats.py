# SPDX-License-Identifier: Apache-2.0
"""A target that has a batch already: what it answers, and what the mirror makes of it.

Here a batch is written with the link's own producer id and next sequence, as a request of an
earlier attempt does that lands late. The mirror's next batch then is its repetition for the broker.
"""

import re
import socket
import struct
import time
from typing import Any

from conftest import Pair, Topic
from harness.batch import crc32c, record_head
from harness.broker import Broker
from harness.client import Record, numbered
from harness.compare import assert_contiguous, assert_same
from harness.hostile import PRODUCE, frame
from harness.mirror import Mirror
from harness.wire import Coder, api, response_header_bytes, varint

VERSION = 9
STAMP = int(time.time() * 1000)  # old records would fall to retention


def batch_of(value: bytes, producer: int, sequence: int, epoch: int = 0) -> bytes:
    """One record without key, at STAMP."""
    payload = record_head(0, len(value)) + value + varint(0)
    covered = struct.pack(">hiqqqhii", 0, 0, STAMP, STAMP, producer, epoch, sequence, 1) + payload
    rest = struct.pack(">ibI", -1, 2, crc32c(covered)) + covered
    return struct.pack(">qi", 0, len(rest)) + rest


def produce_raw(broker: Broker, topic: str, batch: bytes, error: int = 0) -> dict[str, Any]:
    """Produce to partition 0; the partition's answer, which must have that error code."""
    body = Coder(api(PRODUCE, "Request"), VERSION).encode(
        {
            "Acks": -1,
            "TimeoutMs": 10_000,
            "TopicData": [{"Name": topic, "PartitionData": [{"Index": 0, "Records": batch}]}],
        }
    )
    head = struct.pack(">hhihb", PRODUCE, VERSION, 7, -1, 0)
    with socket.create_connection(("127.0.0.1", broker.ports["PLAINTEXT"]), 10) as peer:
        peer.sendall(frame(head + body))
        stream = peer.makefile("rb")
        (size,) = struct.unpack(">i", stream.read(4))
        answer = stream.read(size)
    decoded = Coder(api(PRODUCE, "Response"), VERSION).decode(
        answer[response_header_bytes(PRODUCE, VERSION) :]
    )
    found: dict[str, Any] = decoded["Responses"][0]["PartitionResponses"][0]
    assert found["ErrorCode"] == error, found
    return found


def producer_of(mirror: Mirror) -> int:
    line = mirror.wait_log("event=link_started")
    match = re.search(r"producer_id=(\d+)", line)
    assert match is not None
    return int(match[1])


def test_a_repetition_shows_in_the_answer(pair: Pair, topic: Topic) -> None:
    """What sender.c relies on: a repetition's answer has the timestamp of what is there."""
    name = topic("t")
    pair.target.create_topic(name)
    broker = pair.west.broker(1)
    first = produce_raw(broker, name, batch_of(b"a", 123_456, 0))
    assert (first["BaseOffset"], first["LogAppendTimeMs"]) == (0, -1)
    again = produce_raw(broker, name, batch_of(b"b", 123_456, 0))
    assert (again["BaseOffset"], again["LogAppendTimeMs"]) == (0, STAMP)
    assert pair.target.end_offsets(name) == [1]


def test_a_repetition_of_other_records_is_no_copy(pair: Pair, topic: Topic) -> None:
    """F28, M1, M5: as many records at the same place, but others: never taken for copied."""
    name, mirrored = topic("t"), f"east.{topic('t')}"
    pair.source.create_topic(name)
    pair.source.produce(name, numbered(10))
    with pair.mirror(name) as mirror:
        assert_same(pair.source, name, pair.target, mirrored)
        produce_raw(pair.west.broker(1), mirrored, batch_of(b"lost", producer_of(mirror), 10))
        pair.source.produce(name, numbered(1, start=10))
        entry = mirror.wait_state("SOURCE_TRUNCATED", name)
        assert "10" in entry["reason"]
        assert entry["source_position"] == 10
        assert pair.target.end_offsets(mirrored) == [11]


def test_a_repetition_of_the_same_records_is(pair: Pair, topic: Topic) -> None:
    """F7, M2: the request of an earlier attempt landed: the mirror sees that and goes on."""
    name, mirrored = topic("t"), f"east.{topic('t')}"
    pair.source.create_topic(name)
    pair.source.produce(name, numbered(10))
    with pair.mirror(name) as mirror:
        assert_same(pair.source, name, pair.target, mirrored)
        produce_raw(pair.west.broker(1), mirrored, batch_of(b"late", producer_of(mirror), 10))
        pair.source.produce(name, [Record(None, b"late", timestamp=STAMP)])
        pair.source.produce(name, numbered(100, start=10))
        assert assert_same(pair.source, name, pair.target, mirrored) == 111
        assert_contiguous(pair.target.records(mirrored, 0))
        mirror.wait_state("ACTIVE", name)
        assert mirror.metric("farshore_partition_faults_total", topic=name) >= 1


INVALID_PRODUCER_EPOCH = 47


def test_an_old_epoch_is_refused_once_the_next_has_written(pair: Pair, topic: Topic) -> None:
    """ADR 1: a broker refuses a producer's old epoch, but not before a batch of the new one stands
    there; the new one begins at sequence 0 whatever the old one wrote."""
    name, broker = topic("t"), pair.west.broker(1)
    producer = 4_000_000_000
    pair.target.create_topic(name)
    assert produce_raw(broker, name, batch_of(b"a", producer, 0))["BaseOffset"] == 0
    assert produce_raw(broker, name, batch_of(b"late", producer, 1))["BaseOffset"] == 1
    assert produce_raw(broker, name, batch_of(b"b", producer, 0, 1))["BaseOffset"] == 2
    for sequence in (1, 2):
        late = batch_of(b"later", producer, sequence)
        produce_raw(broker, name, late, INVALID_PRODUCER_EPOCH)
    assert produce_raw(broker, name, batch_of(b"c", producer, 1, 1))["BaseOffset"] == 3


def test_a_replaced_log_of_the_same_length(pair: Pair, topic: Topic) -> None:
    """F25, M5: while the mirror was away the target's log became another one that ends where its
    own did: the last batch tells."""
    name, mirrored = topic("t"), f"east.{topic('t')}"
    pair.source.create_topic(name)
    pair.source.produce(name, [Record(None, b"mine")])
    mirror = pair.mirror(name)
    with mirror:
        assert_same(pair.source, name, pair.target, mirrored)
        producer = producer_of(mirror)
    with mirror:
        mirror.wait_state("ACTIVE", name)
    pair.target.delete_topic(mirrored)
    pair.target.create_topic(mirrored)
    produce_raw(pair.west.broker(1), mirrored, batch_of(b"other", producer, 0))
    with mirror:
        entry = mirror.wait_state("FOREIGN_WRITE", name)
        assert "target offset 0" in entry["reason"], entry["reason"]

# SPDX-License-Identifier: Apache-2.0
"""What arrives on the target is what stands in the source: M1, M2, M3, M4, M6."""

import time

import pytest

from conftest import Pair, Topic
from harness.client import Client, Record, Stored, numbered
from harness.compare import assert_contiguous, assert_same, diff
from harness.process import wait_for

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
LISTENERS = ("PLAINTEXT", "SSL")


@pytest.mark.parametrize("codec", CODECS)
def test_codec(pair: Pair, topic: Topic, codec: str) -> None:
    """M4: records of every codec come out equal, from every partition."""
    name = topic()
    pair.source.create_topic(name, partitions=3)
    for partition in range(3):
        pair.source.produce(name, numbered(2000, size=200), partition, codec)
    with pair.mirror(name):
        assert assert_same(pair.source, name, pair.target, f"east.{name}") == 6000


def test_codec_changes_within_a_partition(pair: Pair, topic: Topic) -> None:
    """M3, M4: batches of all codecs and of one record each, mixed in one partition."""
    name = topic()
    pair.source.create_topic(name)
    for number, codec in enumerate(CODECS * 3):
        pair.source.produce(name, numbered(40, start=number * 40, size=50), codec=codec)
        pair.source.produce(name, numbered(5, start=number * 5), codec=codec, batch_num_messages=1)
    with pair.mirror(name):
        assert_same(pair.source, name, pair.target, f"east.{name}")


def test_shapes_of_records(pair: Pair, topic: Topic) -> None:
    """M4: null is not empty; headers keep order, equal names and null values; old timestamps."""
    name = topic()
    now = int(time.time() * 1000)
    records = [
        Record(None, None),
        Record(b"", b""),
        Record(None, b""),
        Record(b"", None),
        Record(b"key", None),
        Record(None, b"value"),
        Record(bytes(range(256)), b"\0" * 1000),
        Record(b"k", b"v", (("a", b"1"), ("a", b"2"), ("b", None), ("", b""))),
        Record(b"k", b"v", (("\u00e9\u4e16", b"\xff\xfe"),)),
        Record(b"k", b"v", tuple((f"h{i}", b"x" * i) for i in range(100))),
        Record(b"old", b"v", timestamp=1),
        Record(b"older than its neighbour", b"v", timestamp=now),
        Record(b"backwards", b"v", timestamp=now - 86_400_000),
        Record(b"large", b"x" * 900_000),
    ]
    pair.source.create_topic(name)
    for codec in CODECS:
        pair.source.produce(name, records, codec=codec)
    with pair.mirror(name):
        assert assert_same(pair.source, name, pair.target, f"east.{name}") == 5 * len(records)


@pytest.mark.parametrize("to", LISTENERS)
@pytest.mark.parametrize("origin", LISTENERS)
def test_listener(pair: Pair, topic: Topic, origin: str, to: str) -> None:
    """F13, the good case: plain and TLS on either side, the certificate and its name verified."""
    name = topic()
    pair.source.create_topic(name, partitions=2)
    for partition in range(2):
        pair.source.produce(name, numbered(3000, size=500), partition, "lz4")
    with pair.mirror(name, listener=(origin, to)):
        assert_same(pair.source, name, pair.target, f"east.{name}")


def test_client_certificate(pair: Pair, topic: Topic, authority) -> None:
    """F13: brokers that demand a client certificate get one."""
    name = topic()
    me = authority.issue("mirror-client").keystore()
    store = {
        f"{side}.ssl.keystore.{key}": value
        for side in ("east", "west")
        for key, value in (("type", "PEM"), ("location", str(me)))
    }
    pair.source.create_topic(name)
    pair.source.produce(name, numbered(500))
    with pair.mirror(name, listener=("MTLS", "MTLS"), more=store):
        assert_same(pair.source, name, pair.target, f"east.{name}")


def test_transactions(pair: Pair, topic: Topic) -> None:
    """M6, F27, B5: committed transactions arrive whole, aborted ones not at all, nor any marker."""
    pair.need_transactions()
    name = topic()
    pair.source.create_topic(name, partitions=2)
    with pair.mirror(name):
        for number in range(12):
            codec = CODECS[number % len(CODECS)]
            pair.source.transaction(
                name,
                numbered(50, start=number * 50),
                codec=codec,
                commit=number % 3 != 1,
                partition=number % 2,
            )
            pair.source.produce(name, numbered(3, start=9000 + number), number % 2, codec)
        assert_same(pair.source, name, pair.target, f"east.{name}")
    for partition in range(2):
        assert_contiguous(pair.target.records(f"east.{name}", partition, "read_uncommitted"))


def test_open_transaction_holds_its_partition(pair: Pair, topic: Topic) -> None:
    """F27, B6: what lies above an open transaction is not copied before the transaction ends."""
    pair.need_transactions()
    name, mirrored = topic(), f"east.{topic()}"
    pair.source.create_topic(name)
    pair.source.produce(name, numbered(10))
    with pair.mirror(name):
        assert_same(pair.source, name, pair.target, mirrored)
        with pair.source.open_transaction(name, numbered(10, start=10)) as transaction:
            pair.source.produce(name, numbered(10, start=20))
            time.sleep(1)
            assert pair.target.offsets(mirrored)[1] == 10
            transaction.commit_transaction(30)
        assert assert_same(pair.source, name, pair.target, mirrored) == 30


# The target's topic is not to be compacted too: what arrived is looked at.
UNCOMPACTED = {"config.properties.exclude": "cleanup.policy, min.insync.replicas"}


def compacted(pair: Pair, name: str) -> int:
    """A compacted topic whose batches have holes; the number of records that are left."""
    pair.source.create_topic(
        name,
        cleanup_policy="compact",
        segment_bytes=1 << 20,
        min_cleanable_dirty_ratio="0.01",
        delete_retention_ms=86_400_000,
    )
    for turn in range(4):
        for codec in ("none", "lz4"):
            pair.source.produce(
                name,
                [
                    Record(b"k%d" % (i if i % 7 == turn else i % 50), b"%d" % turn + b"x" * 1000)
                    for i in range(1000)
                ],
                codec=codec,
            )
        pair.source.produce(name, [Record(b"k%d" % i, None) for i in range(turn, 1000, 31)])
    # The cleaner leaves the active segment alone: fill it with something else and roll it.
    pair.source.produce(name, numbered(1100, start=50_000, size=1000))

    kept = cleaned(pair.source, name, 6000)
    assert sum(b.offset != a.offset + 1 for a, b in zip(kept, kept[1:])) > 100
    return len(kept)


def cleaned(client: Client, name: str, below: int) -> list[Stored]:
    """The records of a topic once the log cleaner has left fewer than `below` and is at rest."""
    last: list[Stored] = []

    def probe() -> bool:
        before = len(last)
        last[:] = client.read(name)
        return len(last) < below and len(last) == before

    wait_for("the log cleaner", probe, 60, every=1)
    return last


def test_compacted(pair: Pair, topic: Topic) -> None:
    """F28: holes left by compaction, tombstones, delete horizons; nothing is lost."""
    name = topic()
    left = compacted(pair, name)
    with pair.mirror(name, more=UNCOMPACTED) as mirror:
        assert assert_same(pair.source, name, pair.target, f"east.{name}") == left
        assert mirror.wait_state("ACTIVE", name)["lag_records"] == 0
    assert_contiguous(pair.target.records(f"east.{name}"))


def test_compaction_passes_a_stopped_mirror(pair: Pair, topic: Topic) -> None:
    """F28, M13: records that were copied are compacted away before the mirror comes back.

    What the source has left is then only part of what the target holds: the target must keep all
    that was copied and go on with what is new, each once.
    """
    name = topic()
    pair.source.create_topic(
        name,
        cleanup_policy="compact",
        segment_bytes=1 << 20,
        min_cleanable_dirty_ratio="0.01",
        min_compaction_lag_ms=3_600_000,
    )
    pair.source.produce(
        name, [Record(b"k%d" % (i % 20), b"%d" % i + b"x" * 1000) for i in range(3000)]
    )
    mirror = pair.mirror(name, more=UNCOMPACTED)
    with mirror:
        assert assert_same(pair.source, name, pair.target, f"east.{name}") == 3000
        before = pair.target.read(f"east.{name}")
        mirror.kill()
    pair.source.produce(name, numbered(1100, start=90_000, size=1000))
    pair.source.alter_config(name, min_compaction_lag_ms=0)
    cleaned(pair.source, name, 2600)
    fresh = numbered(200, start=100_000)
    pair.source.produce(name, fresh)
    with mirror:
        wait_for("the rest", lambda: pair.target.offsets(f"east.{name}")[1] == len(before) + 1300)
        time.sleep(0.5)
    after = pair.target.read(f"east.{name}")
    assert diff(before, after[: len(before)]) == ""
    assert [s.record.value for s in after[-200:]] == [r.value for r in fresh]
    assert len(after) == len(before) + 1300


def test_log_append_time(pair: Pair, topic: Topic) -> None:
    """M4: records of a LogAppendTime topic keep the time that the source's broker gave them."""
    name = topic()
    pair.source.create_topic(name, message_timestamp_type="LogAppendTime")
    for codec in CODECS:
        pair.source.produce(
            name, [Record(b"k", b"v", timestamp=1000 + i) for i in range(300)], codec=codec
        )
        time.sleep(0.02)
    with pair.mirror(name):
        assert_same(pair.source, name, pair.target, f"east.{name}", timestamp_type=False)


def test_tiny_batches(pair: Pair, topic: Topic) -> None:
    """M3: thousands of batches of one record, as they are coalesced on the way, stay in order."""
    name = topic()
    pair.source.create_topic(name, partitions=2)
    for partition in range(2):
        for codec in ("none", "zstd"):
            pair.source.produce(
                name, numbered(3000, size=30), partition, codec, batch_num_messages=1, linger_ms=0
            )
    with pair.mirror(name):
        assert assert_same(pair.source, name, pair.target, f"east.{name}") == 12000


def test_live_traffic(pair: Pair, topic: Topic) -> None:
    """M1, M3: records produced while the mirror runs follow within a second."""
    name = topic()
    pair.source.create_topic(name, partitions=3)
    with pair.mirror(name):
        for turn in range(20):
            for partition in range(3):
                pair.source.produce(
                    name, numbered(100, start=turn * 100), partition, CODECS[turn % len(CODECS)]
                )
        assert assert_same(pair.source, name, pair.target, f"east.{name}", 10) == 6000


def test_large_batches(pair: Pair, topic: Topic) -> None:
    """M4: batches of several MiB, which the target's own copy of max.message.bytes lets through."""
    name = topic()
    pair.source.create_topic(name, max_message_bytes=6 << 20)
    pair.source.produce(
        name,
        [Record(b"k", bytes(5 << 20)), *numbered(5000, size=1000)],
        batch_size=5 << 20,
        linger_ms=200,
        message_max_bytes=6 << 20,
        batch_num_messages=100_000,
    )
    with pair.mirror(name):
        assert_same(pair.source, name, pair.target, f"east.{name}")


def test_old_broker(pair: Pair, topic: Topic) -> None:
    """F32: a source that offers no more than Kafka 2.1's versions of the protocol."""
    from harness.hostile import API_VERSIONS, Hostile, change

    kafka_2_1 = {
        0: 7,
        1: 10,
        2: 4,
        3: 7,
        8: 6,
        9: 5,
        10: 2,
        11: 3,
        12: 2,
        13: 2,
        14: 2,
        15: 2,
        16: 2,
        17: 1,
        18: 2,
        19: 3,
        20: 3,
        21: 1,
        22: 1,
        23: 2,
        32: 2,
        33: 1,
        36: 0,
        37: 1,
    }

    def older(message: dict) -> None:
        message["ApiKeys"] = [
            {**k, "MaxVersion": min(k["MaxVersion"], kafka_2_1[k["ApiKey"]])}
            for k in message["ApiKeys"]
            if k["ApiKey"] in kafka_2_1 and k["MinVersion"] <= kafka_2_1[k["ApiKey"]]
        ]

    name = topic()
    pair.source.create_topic(name)
    pair.source.produce(name, numbered(2000, size=100), codec="lz4")
    with Hostile(
        pair.east.broker(1),
        lambda key, version, body: (
            change(body, key, version, older) if key == API_VERSIONS else None
        ),
    ) as old:
        with pair.mirror(name, listener=("PROXIED", "PLAINTEXT")):
            assert_same(pair.source, name, pair.target, f"east.{name}")
        assert old.mangled > 0

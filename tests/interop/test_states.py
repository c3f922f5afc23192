# SPDX-License-Identifier: Apache-2.0
"""Faults that stop one partition, loudly, and no other: M1, F25, F26, F31."""

import signal
import time
from collections.abc import Callable
from typing import Any

from conftest import Pair, Topic
from harness.client import Record, numbered
from harness.compare import assert_contiguous, assert_same, diff
from harness.evidence import HEALTHY, assert_nothing_recorded, assert_state_shown
from harness.mirror import Mirror
from harness.process import wait_for
from harness.proxy import FETCH, PRODUCE, Proxy


def assert_others_go_on(pair: Pair, mirror: Mirror, name: str, partition: int = 1) -> None:
    """A record that is produced now into the other partition arrives."""
    mirrored = f"east.{name}"
    before = pair.source.offsets(name, partition)[1]
    pair.source.produce(name, numbered(10, start=777), partition)
    wait_for(
        f"{mirrored}-{partition} to go on",
        lambda: pair.target.offsets(mirrored, partition)[1] == before + 10,
    )
    entry = mirror.partition(name, partition)
    assert entry is not None and entry["state"] in HEALTHY


def assert_loud(pair: Pair, mirror: Mirror, name: str, state: str, reason: str = "") -> None:
    """Partition 0 stands in that state, seen from everywhere, and has given nothing up."""
    assert_state_shown(mirror, name, state, 0, reason)
    assert_nothing_recorded(pair.target, mirror, name, state)


def two_partitions(pair: Pair, name: str, **config: Any) -> None:
    pair.source.create_topic(name, partitions=2, **config)
    for partition in range(2):
        pair.source.produce(name, numbered(1000, size=100), partition)


# -- MESSAGE_TOO_LARGE: east's brokers take 8 MiB, west's the default of 1 MiB

LARGE: dict[str, Any] = {
    "message_max_bytes": 8 << 20,
    "batch_size": 4 << 20,
    "linger_ms": 300,
    "batch_num_messages": 100_000,
}


def test_batch_too_large_is_split(pair: Pair, topic: Topic) -> None:
    """F31, M4: a batch larger than the target accepts goes as several; every record arrives."""
    name = topic("t")
    pair.source.create_topic(name, partitions=2)
    pair.source.produce(name, numbered(3500, size=1000), 0, **LARGE)
    pair.source.produce(
        name,
        [
            Record(b"k%d" % i, (b"%d" % (i * i * 7919)).ljust(1000, b"%d" % (i % 10)))
            for i in range(60_000)
        ],
        1,
        "lz4",
        **LARGE,
    )
    with pair.mirror(name) as mirror:
        assert_same(pair.source, name, pair.target, f"east.{name}")
        assert mirror.metric("farshore_batches_total", topic=name, path="too_large") > 0


def test_record_too_large_is_refused(pair: Pair, topic: Topic) -> None:
    """F31, M1: one record that the target can never take parks its partition, and no other."""
    name, mirrored = topic("t"), f"east.{topic('t')}"
    two_partitions(pair, name)
    large = Record(b"large", b"x" * (2 << 20))
    pair.source.produce(name, [large, *numbered(10)], 0, **LARGE)
    mirror = pair.mirror(name)
    with mirror:
        entry = mirror.wait_state("REFUSED", name)
        assert "1000" in entry["reason"] or entry["source_position"] == 1000
        assert_loud(pair, mirror, name, "REFUSED")
        assert_others_go_on(pair, mirror, name)
        assert pair.target.offsets(mirrored)[1] == 1000
    pair.source.alter_config(name, max_message_bytes=4 << 20)
    with mirror:
        assert_same(pair.source, name, pair.target, mirrored)


def test_refused_is_tried_again_when_the_target_was_mended(pair: Pair, topic: Topic) -> None:
    """F31, M5: at once when the topic's configuration changed, not at the next half minute."""
    name, mirrored = topic("t"), f"east.{topic('t')}"
    two_partitions(pair, name)
    pair.source.produce(name, [Record(b"large", b"x" * (2 << 20)), *numbered(10)], 0, **LARGE)
    with pair.mirror(name, more={"config.properties.exclude": "max.message.bytes"}) as mirror:
        mirror.wait_state("REFUSED", name)
        time.sleep(2)
        assert mirror.wait_state("REFUSED", name)["target_position"] == 1000
        pair.target.alter_config(mirrored, max_message_bytes=4 << 20)
        assert_same(pair.source, name, pair.target, mirrored, 10)
        mirror.wait_state("ACTIVE", name)


# -- DATA_LOSS


def test_retention_passes_a_stopped_mirror(pair: Pair, topic: Topic) -> None:
    """F26, M1: records deleted before they were copied are named; nothing is skipped silently."""
    name, mirrored = topic("t"), f"east.{topic('t')}"
    two_partitions(pair, name)
    mirror = pair.mirror(name)
    with mirror:
        assert_same(pair.source, name, pair.target, mirrored)
    for partition in range(2):
        pair.source.produce(name, numbered(1000, start=1000), partition)
    pair.source.delete_records(name, 1500)
    with mirror:
        entry = mirror.wait_state("DATA_LOSS", name)
        assert "1000" in entry["reason"] and "1499" in entry["reason"], entry["reason"]
        assert_loud(pair, mirror, name, "DATA_LOSS")
        assert_others_go_on(pair, mirror, name)
        assert pair.target.offsets(mirrored)[1] == 1000
    with mirror:
        mirror.wait_state("DATA_LOSS", name)
        assert pair.target.offsets(mirrored)[1] == 1000


def test_retention_passes_a_running_mirror(pair: Pair, topic: Topic) -> None:
    """F26, M1: the same while the target is away and the mirror cannot copy."""
    name, mirrored = topic("t"), f"east.{topic('t')}"
    two_partitions(pair, name)
    with Proxy(pair.west.broker(1)) as proxy:
        with pair.mirror(name, listener=("PLAINTEXT", "PROXIED")) as mirror:
            assert_same(pair.source, name, pair.target, mirrored)
            proxy.refuse(True)
            proxy.cut()
            # More than the memory cap lets the mirror hold.
            pair.source.produce(name, numbered(150_000, start=1000, size=1000), 0)
            pair.source.delete_records(name, 150_900)
            proxy.refuse(False)
            entry = mirror.wait_state("DATA_LOSS", name, timeout=60)
            assert "150899" in entry["reason"], entry["reason"]
            assert_others_go_on(pair, mirror, name)
    got = pair.target.read(mirrored)
    assert_contiguous(got)
    want = [*numbered(1000, size=100), *numbered(150_000, start=1000, size=1000)]
    assert [s.record.value for s in got] == [r.value for r in want[: len(got)]]


def test_what_retention_deletes_after_the_copy_does_no_harm(pair: Pair, topic: Topic) -> None:
    """F26: the log start moves up to, not past, the position."""
    name, mirrored = topic("t"), f"east.{topic('t')}"
    two_partitions(pair, name)
    mirror = pair.mirror(name)
    with mirror:
        assert_same(pair.source, name, pair.target, mirrored)
    pair.source.delete_records(name, 1000)
    pair.source.produce(name, numbered(50, start=1000))
    with mirror:
        wait_for("the rest", lambda: pair.target.offsets(mirrored)[1] == 1050)
        assert mirror.wait_state("ACTIVE", name)


# -- TOPIC_RECREATED


def recreate(pair: Pair, name: str, records: int) -> None:
    pair.source.delete_topic(name)
    pair.source.create_topic(name, partitions=2)
    for partition in range(2):
        pair.source.produce(name, numbered(records, start=5_000_000), partition)


def test_topic_recreated_under_a_running_mirror(pair: Pair, topic: Topic) -> None:
    """F25, M1: a topic deleted and made again is another topic; nothing of it is mixed in."""
    name, other = topic("t"), topic("u")
    two_partitions(pair, name)
    two_partitions(pair, other)
    with pair.mirror(f"{name}, {other}") as mirror:
        for each in (name, other):
            assert_same(pair.source, each, pair.target, f"east.{each}")
        recreate(pair, name, 2000)
        for partition in range(2):
            mirror.wait_state("TOPIC_RECREATED", name, partition)
        assert_loud(pair, mirror, name, "TOPIC_RECREATED")
        assert_others_go_on(pair, mirror, other)
        assert pair.target.end_offsets(f"east.{name}") == [1000, 1000]


def test_topic_recreated_between_two_looks(pair: Pair, topic: Topic) -> None:
    """F25, M1: the mirror never sees the topic gone, only its fetches that name the old one fail.
    When the copy is deleted, the new topic is copied."""
    name = topic("t")
    two_partitions(pair, name)
    with pair.mirror(name, "links.east->west.request_lifetime=1 s") as mirror:
        assert_same(pair.source, name, pair.target, f"east.{name}")
        mirror.process.signal(signal.SIGSTOP)
        recreate(pair, name, 1500)
        mirror.process.signal(signal.SIGCONT)
        for partition in range(2):
            mirror.wait_state("TOPIC_RECREATED", name, partition)
        pair.target.delete_topic(f"east.{name}")
        assert_same(pair.source, name, pair.target, f"east.{name}")


def test_topic_recreated_behind_a_stopped_mirror(pair: Pair, topic: Topic) -> None:
    """F25, M1: the same while the mirror was away; with fewer and with more records than before."""
    for records in (10, 1000, 3000):
        name = topic(f"t{records}")
        two_partitions(pair, name)
        mirror = pair.mirror(name)
        with mirror:
            assert_same(pair.source, name, pair.target, f"east.{name}")
        recreate(pair, name, records)
        with mirror:
            mirror.wait_state("TOPIC_RECREATED", name)
            time.sleep(0.5)
            assert pair.target.end_offsets(f"east.{name}") == [1000, 1000]


# -- FOREIGN_WRITE


def test_foreign_write_under_a_running_mirror(pair: Pair, topic: Topic) -> None:
    """M2, M5: someone else's record in a mirrored partition is noticed at the next batch."""
    name, mirrored = topic("t"), f"east.{topic('t')}"
    two_partitions(pair, name)
    with pair.mirror(name) as mirror:
        assert_same(pair.source, name, pair.target, mirrored)
        pair.target.produce(mirrored, [Record(b"foreign", b"record")])
        pair.source.produce(name, numbered(10, start=1000))
        entry = mirror.wait_state("FOREIGN_WRITE", name)
        assert "1000" in entry["reason"], entry["reason"]
        assert_loud(pair, mirror, name, "FOREIGN_WRITE")
        assert_others_go_on(pair, mirror, name)


def test_foreign_write_behind_a_stopped_mirror(pair: Pair, topic: Topic) -> None:
    """M2: the target's tail is not what was copied."""
    name, mirrored = topic("t"), f"east.{topic('t')}"
    two_partitions(pair, name)
    mirror = pair.mirror(name)
    with mirror:
        assert_same(pair.source, name, pair.target, mirrored)
    pair.target.produce(mirrored, [Record(b"foreign", b"record")])
    pair.source.produce(name, numbered(10, start=1000))
    with mirror:
        mirror.wait_state("FOREIGN_WRITE", name)
        assert_others_go_on(pair, mirror, name)
        assert pair.target.offsets(mirrored)[1] == 1001


def test_target_topic_that_holds_records_already(pair: Pair, topic: Topic) -> None:
    """M2: a target topic with records of its own, and no position, is not appended to."""
    name, mirrored = topic("t"), f"east.{topic('t')}"
    two_partitions(pair, name)
    pair.target.create_topic(mirrored, partitions=2)
    pair.target.produce(mirrored, numbered(3, start=42))
    with pair.mirror(name) as mirror:
        mirror.wait_state("FOREIGN_WRITE", name)
        assert_others_go_on(pair, mirror, name)
        assert pair.target.offsets(mirrored)[1] == 3


# -- bytes changed on their way


def flipped(pair: Pair, name: str, api: int, flips: int, check: Callable[[Mirror], object]) -> None:
    """Mirror through a proxy that flips bits between source and mirror, or mirror and target."""
    near_source = api == FETCH
    listener = ("PROXIED", "PLAINTEXT") if near_source else ("PLAINTEXT", "PROXIED")
    broker = (pair.east if near_source else pair.west).broker(1)
    with Proxy(broker) as proxy, pair.mirror(name, listener=listener) as mirror:
        assert_same(pair.source, name, pair.target, f"east.{name}")
        proxy.flip(api, 20_000, flips)
        pair.source.produce(
            name, numbered(30, start=1000, size=1000), batch_size=100_000, linger_ms=100
        )
        wait_for("a flip", lambda: proxy.stats().flips > 0)
        line = mirror.wait_log("CORRUPT_MESSAGE")
        assert name in line and "partition=0" in line, line
        check(mirror)
        assert_others_go_on(pair, mirror, name)
    got, want = pair.target.read(f"east.{name}"), pair.source.read(name)
    assert diff(want[: len(got)], got) == "", "a changed record was copied"


def test_flipped_byte_between_source_and_mirror(pair: Pair, topic: Topic) -> None:
    """F6, M4: the mirror signs nothing that it did not write, so the target's check refuses it."""
    name = topic("t")
    two_partitions(pair, name)
    flipped(pair, name, FETCH, 1, lambda mirror: None)


def test_flipped_byte_between_mirror_and_target(pair: Pair, topic: Topic) -> None:
    """F6, M4: the same on the other side."""
    name = topic("t")
    two_partitions(pair, name)
    flipped(pair, name, PRODUCE, 1, lambda mirror: None)


def test_byte_flipped_every_time(pair: Pair, topic: Topic) -> None:
    """F6, F18, M1: a batch that stays corrupt parks its partition."""
    name = topic("t")
    two_partitions(pair, name)
    flipped(
        pair, name, FETCH, 1_000_000, lambda mirror: mirror.wait_state("REFUSED", name, timeout=60)
    )
    assert pair.target.offsets(f"east.{name}")[1] == 1000


# -- the target's topic


def test_target_topic_deleted(pair: Pair, topic: Topic) -> None:
    """F25, M1: the target's topic vanishes under a mirror: said, made again and filled again."""
    name, other = topic("t"), topic("u")
    two_partitions(pair, name)
    two_partitions(pair, other)
    with pair.mirror(f"{name}, {other}") as mirror:
        for each in (name, other):
            assert_same(pair.source, each, pair.target, f"east.{each}")
        pair.target.delete_topic(f"east.{name}")
        pair.source.produce(name, numbered(10, start=1000))
        assert_others_go_on(pair, mirror, other)
        mirror.wait_log("TARGET_TRUNCATED", 60)
        assert_same(pair.source, name, pair.target, f"east.{name}")
        mirror.wait_state("ACTIVE", name)

# SPDX-License-Identifier: Apache-2.0
"""Networks and brokers that fail under a running mirror: F5 - F11, F23, F24, M12."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from conftest import Pair, Topic
from harness.broker import Cluster
from harness.client import IDEMPOTENT, Client, numbered
from harness.compare import assert_contiguous, assert_same, diff
from harness.evidence import (
    Bystander,
    RuledMirror,
    assert_gaps_shown,
    assert_nothing_recorded,
    assert_state_shown,
)
from harness.mirror import MEMORY_CAP
from harness.process import wait_for
from harness.proxy import Proxy

SIDES = ("source", "target")
IMPATIENT = {"east.consumer.request.timeout.ms": "3000", "west.producer.request.timeout.ms": "3000"}


def listeners(side: str) -> tuple[str, str]:
    return ("PROXIED", "PLAINTEXT") if side == "source" else ("PLAINTEXT", "PROXIED")


def proxy_before(pair: Pair, side: str) -> Proxy:
    return Proxy((pair.east if side == "source" else pair.west).broker(1))


@pytest.mark.parametrize("side", SIDES)
def test_connections_cut(pair: Pair, topic: Topic, side: str) -> None:
    """F9, M1, M2: connections reset again and again in the middle of a copy."""
    name = topic("t")
    pair.source.create_topic(name, partitions=2)
    for partition in range(2):
        pair.source.produce(name, numbered(40_000, size=1000), partition)
    with proxy_before(pair, side) as proxy:
        proxy.rate(40_000_000)
        with pair.mirror(name, listener=listeners(side)):
            for _ in range(8):
                time.sleep(0.25)
                proxy.cut()
            proxy.rate(0)
            assert assert_same(pair.source, name, pair.target, f"east.{name}") == 80_000
    for partition in range(2):
        assert_contiguous(pair.target.records(f"east.{name}", partition))


@pytest.mark.parametrize("side", SIDES)
def test_peer_gone_without_a_word(pair: Pair, topic: Topic, side: str) -> None:
    """F8, M12: a half-open connection is given up within seconds, and the copy goes on exactly."""
    name = topic("t")
    pair.source.create_topic(name)
    with proxy_before(pair, side) as proxy:
        with pair.mirror(name, listener=listeners(side), more=IMPATIENT) as mirror:
            pair.source.produce(name, numbered(1000))
            assert_same(pair.source, name, pair.target, f"east.{name}")
            proxy.stall(True)
            pair.source.produce(name, numbered(1000, start=1000))
            away = "SOURCE_UNAVAILABLE" if side == "source" else "TARGET_UNAVAILABLE"
            mirror.wait_state(away, name, timeout=20)
            proxy.stall(False)
            proxy.cut()
            assert assert_same(pair.source, name, pair.target, f"east.{name}", 20) == 2000
            mirror.wait_state("ACTIVE", name)


@pytest.mark.parametrize("side", SIDES)
def test_bytes_one_by_one(pair: Pair, topic: Topic, side: str) -> None:
    """F10, F11: frames that arrive a few bytes at a time."""
    name = topic("t")
    pair.source.create_topic(name)
    pair.source.produce(name, numbered(300, size=20), codec="lz4")
    with proxy_before(pair, side) as proxy:
        proxy.shred(1)
        with pair.mirror(name, listener=listeners(side)):
            assert_same(pair.source, name, pair.target, f"east.{name}")


def test_slow_target(pair: Pair, topic: Topic) -> None:
    """F7, M12: a target slower than the source makes the mirror wait, not grow."""
    name = topic("t")
    pair.source.create_topic(name, partitions=4)
    for partition in range(4):
        pair.source.produce(name, numbered(60_000, size=1000), partition)
    with proxy_before(pair, "target") as proxy:
        proxy.rate(20_000_000)
        with pair.mirror(name, listener=listeners("target")) as mirror:
            time.sleep(4)
            assert mirror.process.usage().rss_max <= MEMORY_CAP
            proxy.rate(0)
            assert assert_same(pair.source, name, pair.target, f"east.{name}") == 240_000
            assert mirror.process.usage().rss_max <= MEMORY_CAP


def test_target_outage(pair: Pair, topic: Topic) -> None:
    """F9, M12: the target refuses connections for a while; bounded memory, no operator needed."""
    name = topic("t")
    pair.source.create_topic(name, partitions=2)
    with proxy_before(pair, "target") as proxy:
        with pair.mirror(name, listener=listeners("target")) as mirror:
            pair.source.produce(name, numbered(1000))
            assert_same(pair.source, name, pair.target, f"east.{name}")
            proxy.refuse(True)
            proxy.cut()
            for partition in range(2):
                pair.source.produce(name, numbered(60_000, start=1000, size=1000), partition)
            mirror.wait_state("TARGET_UNAVAILABLE", name)
            time.sleep(2)
            assert mirror.process.usage().rss_max <= MEMORY_CAP
            proxy.refuse(False)
            assert_same(pair.source, name, pair.target, f"east.{name}")
            mirror.wait_state("ACTIVE", name)


def test_long_way(pair: Pair, topic: Topic) -> None:
    """F5: 50 ms each way and one partition; deep pipelines keep it at 40 MB/s and more."""
    name = topic("t")
    pair.source.create_topic(name)
    pair.source.produce(name, numbered(200_000, size=1000))
    with proxy_before(pair, "source") as proxy:
        proxy.delay(50)
        start = time.monotonic()
        with pair.mirror(name, listener=listeners("source")):
            wait_for("the copy", lambda: pair.target.offsets(f"east.{name}")[1] == 200_000, 60)
            assert time.monotonic() - start < 200 / 40 + 2
            assert_same(pair.source, name, pair.target, f"east.{name}")


# -- three brokers, replication 3


@pytest.fixture(scope="module")
def north(tmp_path_factory: pytest.TempPathFactory, clusters, authority) -> Iterator[Cluster]:
    folder: Path = tmp_path_factory.mktemp("north")
    cluster = Cluster("north", folder, nodes=3, authority=authority).start()
    try:
        yield cluster.wait_ready()
    finally:
        cluster.stop()


@pytest.fixture(params=SIDES)
def trio(request: pytest.FixtureRequest, pair: Pair, north: Cluster) -> Pair:
    """north -> west, or east -> north."""
    if request.param == "source":
        return Pair(north, pair.west, Client(north), pair.target, pair.folder)
    return Pair(pair.east, north, pair.source, Client(north), pair.folder)


def mirrored_name(pair: Pair, name: str) -> str:
    return f"{pair.east.name}.{name}"


def create_replicated(pair: Pair, north: Cluster, name: str, **config: str) -> str:
    """The topic on both sides, with three replicas on north; the name on the target."""
    mirrored = mirrored_name(pair, name)
    for client, at in ((pair.source, name), (pair.target, mirrored)):
        replicas = 3 if client.cluster is north else 1
        client.create_topic(at, partitions=3, replication=replicas, **config)
    return mirrored


def test_leaders_change(trio: Pair, north: Cluster, topic: Topic) -> None:
    """F23, F1, M1, M2: each broker in turn is killed or stopped under the copy, and comes back."""
    name = topic("t")
    mirrored = create_replicated(trio, north, name)
    inside = trio.source if trio.east is north else trio.target
    at = name if trio.east is north else mirrored
    sent = 0
    with trio.mirror(name):
        for node in (1, 2, 3):
            broker = north.broker(node)
            for partition in range(3):
                trio.source.produce(
                    name, numbered(8000, start=sent, size=500), partition, **IDEMPOTENT
                )
            sent += 8000
            if node == 2:
                broker.stop()
            else:
                broker.kill()
            for partition in range(3):
                trio.source.produce(
                    name, numbered(2000, start=sent, size=500), partition, "lz4", **IDEMPOTENT
                )
            sent += 2000
            broker.start()
            broker.wait_ready()
            wait_for(
                "all replicas in sync", lambda: all(len(isr) == 3 for isr in inside.in_sync(at)), 60
            )
        assert assert_same(trio.source, name, trio.target, mirrored) == 3 * sent
    for partition in range(3):
        assert_contiguous(trio.target.records(mirrored, partition))


def lose_the_tail(north: Cluster, client: Client, name: str, write: Callable[[], None]) -> None:
    """Records that only the leader has, which are then truncated by an unclean election.

    The topic has two replicas and unclean elections. The follower is away while `write` writes;
    then the leader dies, the follower comes back and leads without them.
    """
    (leader,) = client.leaders(name)
    (follower,) = [n for n in client.in_sync(name)[0] if n != leader]
    north.broker(follower).kill()
    wait_for("the follower to be missed", lambda: client.in_sync(name)[0] == [leader], 30)
    write()
    north.broker(leader).kill()
    north.broker(follower).start()
    north.broker(follower).wait_ready()
    wait_for("the unclean election", lambda: client.leaders(name) == [follower], 60)
    north.broker(leader).start()
    north.broker(leader).wait_ready()


def test_source_truncated(pair: Pair, north: Cluster, topic: Topic) -> None:
    """F24, M1, M5: the source lost records that were copied: said loudly, never papered over."""
    source = Client(north)
    trio = Pair(north, pair.west, source, pair.target, pair.folder)
    name, mirrored = topic("t"), f"north.{topic('t')}"
    source.create_topic(name, replication=2, unclean_leader_election_enable="true")
    source.produce(name, numbered(1000))
    with trio.mirror(name) as mirror:
        assert_same(source, name, pair.target, mirrored)

        def write() -> None:
            source.produce(name, numbered(500, start=1000))
            wait_for("the copy", lambda: pair.target.offsets(mirrored)[1] == 1500)

        lose_the_tail(north, source, name, write)
        assert source.offsets(name)[1] == 1000
        source.produce(name, numbered(800, start=7_000_000))
        assert_state_shown(mirror, name, "SOURCE_TRUNCATED", 0, "1000", timeout=60)
        assert_nothing_recorded(pair.target, mirror, name, "SOURCE_TRUNCATED")
        assert pair.target.offsets(mirrored)[1] == 1500


def test_target_truncated(pair: Pair, north: Cluster, topic: Topic) -> None:
    """F24, M1, M2: the target lost its tail: it is copied again, exactly."""
    target = Client(north)
    trio = Pair(pair.east, north, pair.source, target, pair.folder)
    name, mirrored = topic("t"), f"east.{topic('t')}"
    pair.source.create_topic(name)
    pair.source.produce(name, numbered(1000))
    target.create_topic(mirrored, replication=2, unclean_leader_election_enable="true")
    mirror = trio.mirror(name)
    with mirror:
        assert_same(pair.source, name, target, mirrored)

        def write() -> None:
            pair.source.produce(name, numbered(500, start=1000))
            wait_for("the copy", lambda: target.offsets(mirrored)[1] == 1500)
            # What the mirror was not told to be stored is not missed by it, but sent again.
            wait_for(
                "its answer", lambda: (mirror.partition(name) or {})["target_position"] == 1500
            )

        lose_the_tail(north, target, mirrored, write)
        pair.source.produce(name, numbered(800, start=1500))
        mirror.wait_log("TARGET_TRUNCATED", timeout=60)
        if target.offsets(mirrored)[1] < 2300:
            time.sleep(3)
    with mirror:
        assert_same(pair.source, name, target, mirrored)
    assert diff(pair.source.read(name), target.read(mirrored)) == ""


def test_unclean_election(pair: Pair, north: Cluster, topic: Topic) -> None:
    """F24, M1, M5: a replica that lacks records becomes the leader: SOURCE_TRUNCATED, and nothing is
    copied. When the policy says so, it is recorded which records the target has beyond the source,
    and copying goes on where they part. A topic on the third broker never notices."""
    name, other = topic("t"), topic("u")
    source = Client(north)
    source.create_assigned(name, [1, 2], unclean_leader_election_enable="true")
    source.create_assigned(other, [3])
    mirrored = f"north.{name}"
    across = Pair(north, pair.west, source, pair.target, pair.folder)
    ruled = RuledMirror(across.mirror("none"), source, pair.target, f"{name}, {other}")
    for each in (name, other):
        source.produce(each, numbered(100), **IDEMPOTENT)
    with ruled.mirror as mirror:
        for each in (name, other):
            assert_same(source, each, pair.target, f"north.{each}")
        with Bystander(source, pair.target, mirror, other, 0):
            north.broker(2).kill()
            wait_for("one replica in sync", lambda: source.in_sync(name) == [[1]])
            source.produce(name, numbered(50, start=100), **IDEMPOTENT)
            wait_for("its copy", lambda: pair.target.offsets(mirrored)[1] == 150)
            north.broker(1).kill()
            north.broker(2).start()
            north.broker(2).wait_ready()
            wait_for("the other leader", lambda: source.leaders(name) == [2], 60)
            source.produce(name, numbered(30, start=5000), **IDEMPOTENT)
            assert_state_shown(mirror, name, "SOURCE_TRUNCATED", 0, "at 100", timeout=60)
            assert_nothing_recorded(pair.target, mirror, name, "SOURCE_TRUNCATED")
            assert pair.target.end_offsets(mirrored) == [150]
            ruled.rule(f"{name} source_truncated=record_and_continue")
            (gap,) = assert_gaps_shown(pair.target, mirror, name, "SOURCE_TRUNCATED")
        assert (gap["target_first"], gap["target_last"], gap["count"]) == (100, 149, 50)
        assert (gap["source_first"], gap["source_last"]) == (100, 149)
        assert (gap["source_next"], gap["target_next"]) == (100, 150)
        wait_for("the rest", lambda: pair.target.offsets(mirrored)[1] == 180)
        got = [s.record.value for s in pair.target.read(mirrored)]
        assert got[:150] == [r.value for r in numbered(150)]
        assert got[150:] == [r.value for r in numbered(30, start=5000)]
        north.broker(1).start()
        north.broker(1).wait_ready()

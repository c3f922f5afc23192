# SPDX-License-Identifier: Apache-2.0
"""Topics as they come, grow and change: which are mirrored, under what name, with what settings."""

import time

from conftest import Pair, Topic
from harness.client import numbered
from harness.compare import assert_same, diff
from harness.hostile import Hostile
from harness.process import wait_for

INCREMENTAL_ALTER_CONFIGS = 44


def test_new_topic_is_found(pair: Pair, topic: Topic) -> None:
    """F25: a topic that appears under a running mirror is mirrored from its first record."""
    first, second = topic("first"), topic("second")
    pair.source.create_topic(first)
    pair.source.produce(first, numbered(100))
    with pair.mirror(topic(".*")):
        assert_same(pair.source, first, pair.target, f"east.{first}")
        pair.source.create_topic(second, partitions=3)
        for partition in range(3):
            pair.source.produce(second, numbered(100), partition)
        assert assert_same(pair.source, second, pair.target, f"east.{second}", 20) == 300


def test_one_cluster_twice(pair: Pair, topic: Topic) -> None:
    """Both clusters are one, by mistake perhaps: a copy is not copied again, and again."""
    name = topic()
    pair.source.create_topic(name)
    pair.source.produce(name, numbered(100))
    more = {"west.bootstrap.servers": pair.east.broker(1).address()}
    pattern = rf"(east\\.)*{name}"
    with pair.mirror(pattern, "links.east->west.refresh_topics_interval=200", more=more) as mirror:
        assert_same(pair.source, name, pair.source, f"east.{name}")
        mirror.wait_log(f"event=same_cluster .*topic=east.{name}")
        time.sleep(0.5)
        assert f"east.east.{name}" not in pair.source.topics()
        mirror.stop()
    # The copy is there from the start on.
    with pair.mirror(pattern, "links.east->west.refresh_topics_interval=200", more=more) as mirror:
        mirror.wait_log(f"event=same_cluster .*topic=east.{name}")
        mirror.wait_state("ACTIVE", name)
        time.sleep(0.5)
    assert f"east.east.{name}" not in pair.source.topics()
    assert "source and target are one cluster" in mirror.process.log_text()


def test_partition_growth(pair: Pair, topic: Topic) -> None:
    """F25: partitions that are added to the source are added to the target and copied."""
    name = topic()
    pair.source.create_topic(name, partitions=1)
    pair.source.produce(name, numbered(100))
    with pair.mirror(name):
        assert_same(pair.source, name, pair.target, f"east.{name}")
        pair.source.grow_topic(name, 4)
        for partition in range(4):
            pair.source.produce(name, numbered(100, start=100), partition)
        assert assert_same(pair.source, name, pair.target, f"east.{name}", 20) == 500
    assert len(pair.target.leaders(f"east.{name}")) == 4


def test_config_change(pair: Pair, topic: Topic) -> None:
    """M9: a topic's settings follow the source's, without those that MM2 leaves out."""
    name, mirrored = topic(), f"east.{topic()}"
    pair.source.create_topic(
        name, retention_ms=7_200_000, min_insync_replicas=1, message_timestamp_type="CreateTime"
    )
    pair.source.produce(name, numbered(10))

    def config_is(want: dict[str, str]) -> None:
        def probe() -> bool:
            found = pair.target.topic_config(mirrored)
            if found != want:
                raise ValueError(f"is {found}")
            return True

        wait_for(f"{mirrored} with {want}", probe, 60)

    with pair.mirror(name):
        assert_same(pair.source, name, pair.target, mirrored)
        config_is({"retention.ms": "7200000"})
        pair.source.alter_config(name, retention_ms=3_600_000, compression_type="zstd")
        config_is({"retention.ms": "3600000", "compression.type": "zstd"})
        pair.source.alter_config(name, compression_type=None)
        config_is({"retention.ms": "3600000"})
        pair.target.alter_config(mirrored, retention_ms=1_000_000)
        config_is({"retention.ms": "3600000"})


def test_settings_in_step_are_not_sent_again(pair: Pair, topic: Topic) -> None:
    """M9: only differences are sent; MM2 sends every topic's settings at every turn."""
    name = topic()
    pair.source.create_topic(name, retention_ms=7_200_000)
    pair.source.produce(name, numbered(10))
    seen: list[int] = []
    with Hostile(pair.west.broker(1), lambda key, _version, _body: seen.append(key)):
        with pair.mirror(name, listener=("PLAINTEXT", "PROXIED")):
            assert_same(pair.source, name, pair.target, f"east.{name}")
            time.sleep(1.5)
            seen.clear()
            time.sleep(3)
    assert seen.count(INCREMENTAL_ALTER_CONFIGS) == 0


def test_which_topics(pair: Pair, topic: Topic) -> None:
    """Comma lists of patterns, full match, exclude wins, MM2's internal topics never."""
    wanted = [topic("a-1"), topic("a-2"), topic("plain")]
    others = [
        topic("a-3"),
        topic("b-1"),
        topic("plain-not"),
        topic("a-4-internal"),
        topic("a-5.checkpoints.internal"),
    ]
    for name in wanted + others:
        pair.source.create_topic(name)
        pair.source.produce(name, numbered(5))
    patterns = f"{topic('a-.*')}, {topic('plain')}"
    with pair.mirror(patterns, more={"topics.exclude": f"{topic('a-3')}, .*-internal"}):
        for name in wanted:
            assert_same(pair.source, name, pair.target, f"east.{name}")
        time.sleep(1.5)
    assert not {f"east.{name}" for name in others} & set(pair.target.topics())


def test_identity_policy(pair: Pair, topic: Topic) -> None:
    """IdentityReplicationPolicy keeps the name."""
    name = topic()
    pair.source.create_topic(name, partitions=2)
    pair.source.produce(name, numbered(100), 1)
    policy = "org.apache.kafka.connect.mirror.IdentityReplicationPolicy"
    with pair.mirror(name, more={"replication.policy.class": policy}):
        assert_same(pair.source, name, pair.target, name)


def test_separator(pair: Pair, topic: Topic) -> None:
    """replication.policy.separator stands between alias and topic."""
    name = topic()
    pair.source.create_topic(name)
    pair.source.produce(name, numbered(100))
    with pair.mirror(name, more={"replication.policy.separator": "-"}):
        assert_same(pair.source, name, pair.target, f"east-{name}")


def test_no_loop(pair: Pair, topic: Topic) -> None:
    """M8, F29: both directions in one process; what came from a cluster does not go back to it."""
    name = topic()
    for client, start in ((pair.source, 0), (pair.target, 1000)):
        client.create_topic(name)
        client.produce(name, numbered(100, start=start))
    both = {"west->east.enabled": "true", "west->east.topics": ".*" + topic(".*")}
    with pair.mirror(".*" + topic(".*"), more=both):
        assert_same(pair.source, name, pair.target, f"east.{name}")
        assert_same(pair.target, name, pair.source, f"west.{name}")
        time.sleep(2.5)
    assert f"west.east.{name}" not in pair.source.topics()
    assert f"east.west.{name}" not in pair.target.topics()


def test_many_partitions(pair: Pair, topic: Topic) -> None:
    """Hundreds of partitions, most of them empty, beside each other."""
    name, mirrored = topic(), f"east.{topic()}"
    pair.source.create_topic(name, partitions=200)
    filled = range(0, 200, 9)
    for partition in filled:
        pair.source.produce(name, numbered(20), partition)
    ends = pair.source.end_offsets(name)
    with pair.mirror(name):
        wait_for("all partitions", lambda: pair.target.end_offsets(mirrored) == ends)
    for partition in filled:
        want, got = pair.source.read(name, partition), pair.target.read(mirrored, partition)
        assert diff(want, got) == ""

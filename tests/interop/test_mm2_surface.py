# SPDX-License-Identifier: Apache-2.0
"""What tools made for MirrorMaker 2 see of a link: internal topics, read by MM2's own classes."""

import json
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition

from conftest import QUIET, Pair, Topic
from harness import java
from harness.client import Client, numbered
from harness.command import farshore
from harness.compare import assert_same
from harness.mirror import QUICK, Mirror, MirrorMaker2, mm2_properties, write_properties
from harness.process import wait_for

HEARTBEAT = b"\x00\x00"  # version 0, before the time
# As MM2 has them unless told otherwise.
DEFAULTS = {
    "emit.heartbeats.enabled": "true",
    "heartbeats.replication.enabled": "true",
    "emit.offset-syncs.enabled": "true",
}
CHECKPOINTS = "east.checkpoints.internal"
# What MM2's own classes make of a cluster; see java/Mm2.java.
mm2_classes = java.Answering("Mm2").ask
SYNCS = {"source": "mm2-offset-syncs.west.internal", "target": "mm2-offset-syncs.east.internal"}


def string(text: str) -> bytes:
    return len(text.encode()).to_bytes(2, "big") + text.encode()


def heartbeats(client: Client, topic: str, source: str, target: str) -> list[int]:
    """The times in the heartbeats of one pair of aliases, as MM2 encodes them."""
    key = string(source) + string(target)
    times = []
    for stored in client.read(topic):
        if stored.record.key == key:
            value = stored.record.value
            assert value is not None and value[:2] == HEARTBEAT and len(value) == 10
            times.append(int.from_bytes(value[2:], "big"))
            assert times[-1] == stored.record.timestamp
    return times


def syncs(client: Client, syncs_topic: str, topic: str) -> list[tuple[int, int]]:
    """The offset syncs of partition 0, as MM2 encodes them."""
    found = []
    for stored in client.read(syncs_topic) if syncs_topic in client.topics() else []:
        value = stored.record.value
        if stored.record.key == string(topic) + bytes(4):
            assert value is not None and len(value) == 16
            found.append((int.from_bytes(value[:8], "big"), int.from_bytes(value[8:], "big")))
    return found


def commit(client: Client, group: str, topic: str, offset: int) -> None:
    places = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 0, offset)])
    client.admin.alter_consumer_group_offsets([places])[group].result(10)


def exact(client: Client, topic: str, partition: int = 0) -> dict[int, int]:
    """By brute force: where each position of the source's partition is on the target."""
    visible = [stored.offset for stored in client.read(topic, partition)]
    return {
        position: sum(1 for offset in visible if offset < position)
        for position in range(client.offsets(topic, partition)[1] + 1)
    }


def test_heartbeats(pair: Pair, topic: Topic) -> None:
    """One a second at each end, for both ways of a flow whose way back is not enabled; those of the
    source are copied, and differ in nothing."""
    pair.source.create_topic(topic())
    with pair.mirror(topic(), more=DEFAULTS):
        for client, source, target in (
            (pair.target, "east", "west"),
            (pair.source, "west", "east"),
        ):
            before = wait_for(
                f"heartbeats of {source}",
                lambda c=client, s=source, t=target: heartbeats(c, "heartbeats", s, t),
            )
            after = wait_for(
                "two more",
                lambda c=client, s=source, t=target, n=len(before) + 2: (
                    found := heartbeats(c, "heartbeats", s, t)
                )
                and len(found) >= n
                and found,
            )
            assert 900 < after[-1] - after[-2] < 1500
            assert client.topic_config("heartbeats")["cleanup.policy"] == "compact"
        wait_for(
            "east.heartbeats",
            lambda: heartbeats(pair.target, "east.heartbeats", "west", "east"),
        )
    copied = [stored.record for stored in pair.target.read("east.heartbeats")]
    assert copied == [stored.record for stored in pair.source.read("heartbeats")][: len(copied)]


def test_heartbeats_off(pair: Pair, topic: Topic) -> None:
    """emit.heartbeats.enabled of each way; what was there before stays."""

    def counts() -> list[int]:
        return [
            len(heartbeats(client, "heartbeats", *ends)) if "heartbeats" in client.topics() else 0
            for client, ends in ((pair.target, ("east", "west")), (pair.source, ("west", "east")))
        ]

    pair.source.create_topic(topic())
    pair.source.produce(topic(), numbered(10))
    before = counts()
    off = {**DEFAULTS, "emit.heartbeats.enabled": "false"}
    with pair.mirror(topic(), more=off):
        assert_same(pair.source, topic(), pair.target, f"east.{topic()}")
    assert counts() == before
    one_way = {**DEFAULTS, "west->east.emit.heartbeats.enabled": "false"}
    with pair.mirror(topic(), more=one_way):
        wait_for("heartbeats at the target", lambda: counts()[0] > before[0] + 1)
    assert counts()[1] == before[1]


@pytest.mark.parametrize(
    "policy", ["Default", pytest.param("Identity", marks=pytest.mark.long)]
)
def test_remote_cluster_utils(pair: Pair, topic: Topic, policy: str) -> None:
    """RemoteClusterUtils and MirrorClient of Kafka 4.1, and the console's formatters."""
    name = topic()
    remote = f"east.{name}" if policy == "Default" else name
    replication = f"org.apache.kafka.connect.mirror.{policy}ReplicationPolicy"
    pair.source.create_topic(name)
    pair.source.produce(name, numbered(250))
    client = write_properties(
        pair.folder / "client.properties",
        {
            "bootstrap.servers": pair.west.bootstrap(),
            "replication.policy.class": replication,
            "source.cluster.alias": "east",
        },
    )
    more = {**DEFAULTS, "replication.policy.class": replication}
    with pair.mirror(name, more=more) as mirror:
        assert_same(pair.source, name, pair.target, remote)
        wait_for("a sync", lambda: syncs(pair.source, SYNCS["source"], name) == [(249, 249)])
        assert mirror.metric("farshore_offset_syncs_total", source="east", target="west") > 0
        age = mirror.metric("farshore_heartbeat_age_seconds", source="east", at="target")
        assert 0 <= age < 5
        wait_for("heartbeats", lambda: sum(pair.target.end_offsets("east.heartbeats")) > 0)
    found = mm2_classes("ask", str(client), "east")
    assert found["upstreamClusters"] == ["east"]
    assert found["replicationHops"] == 1
    assert found["heartbeatTopics"] == ["east.heartbeats", "heartbeats"]
    assert "east.heartbeats" in found["remoteTopics"]
    assert remote in found["remoteTopicsOfSource"]
    # Java takes what is named after a cluster for a copy, but for MM2's own topics.
    assert "east.offset-runs.internal" in found["remoteTopics"]
    assert CHECKPOINTS not in found["remoteTopics"]
    if policy == "Identity":
        return
    west, east = pair.west.bootstrap(), pair.east.bootstrap()
    places = (f"{west}/heartbeats", f"{west}/east.heartbeats", f"{east}/{SYNCS['source']}")
    lines = mm2_classes("print", *places)
    assert lines["heartbeats"][-1].startswith(
        "Heartbeat{sourceClusterAlias=east, targetClusterAlias=west, timestamp="
    )
    assert lines["east.heartbeats"][-1].startswith(
        "Heartbeat{sourceClusterAlias=west, targetClusterAlias=east, timestamp="
    )
    assert (
        f"OffsetSync{{topicPartition={name}-0, upstreamOffset=249, downstreamOffset=249}}"
        in lines[SYNCS["source"]]
    )


def checkpoint_task(pair: Pair, topic: str, location: str, groups: list[str]) -> dict[str, int]:
    """Where MM2's own checkpoint task, which knows our offset syncs alone, puts the groups."""
    task = {
        "name": "checkpoints",
        "connector.class": "org.apache.kafka.connect.mirror.MirrorCheckpointConnector",
        "source.cluster.alias": "east",
        "target.cluster.alias": "west",
        "source.cluster.bootstrap.servers": pair.east.bootstrap(),
        "target.cluster.bootstrap.servers": pair.west.bootstrap(),
        "offset-syncs.topic.location": location,
        "topics": topic,
        "emit.checkpoints.interval.seconds": "1",
        "task.assigned.groups": ",".join(groups),
        "task.index": "0",
        "replication.factor": "1",
        "checkpoints.topic.replication.factor": "1",
    }
    if CHECKPOINTS not in pair.target.topics():
        # MM2's connector makes it before it starts the task.
        pair.target.create_topic(CHECKPOINTS, cleanup_policy="compact")
    file = write_properties(pair.folder / f"task-{location}.properties", task)
    found = mm2_classes("checkpoints", str(file), "20")
    return {
        group: offset
        for group, offsets in found.items()
        for partition, offset in offsets.items()
        if partition == f"east.{topic}-0"
    }


@pytest.mark.parametrize(
    "location", ["source", pytest.param("target", marks=pytest.mark.long)]
)
def test_offset_syncs(pair: Pair, topic: Topic, location: str) -> None:
    """MM2's checkpoint task translates by our offset syncs: never past the true position, exactly
    at the newest sync, and it knows positions from before it was there."""
    name = topic()
    pair.source.create_topic(name)
    pair.need_transactions()
    more = {**DEFAULTS, "offset-syncs.topic.location": location, "offset.lag.max": "10"}
    holder = pair.source if location == "source" else pair.target
    with pair.mirror(name, more=more):
        for step in range(4):
            pair.source.transactions(
                name,
                ((numbered(10, start=100 * step + 10 * n), n != 1) for n in range(3)),
            )
            total = 20 * (step + 1)
            wait_for(
                f"{total} records",
                lambda n=total: pair.target.offsets(f"east.{name}")[1] == n,
            )
            wait_for(
                "their sync",
                lambda n=total: syncs(holder, SYNCS[location], name)[-1][1] == n - 1,
            )
    truth = exact(pair.source, name)
    end = max(truth)
    # The end of each transaction that was committed, in the middle of one, and behind all.
    positions = sorted({*range(10, end, 16), *range(3, end, 13), end - 2, end})
    for position in positions:
        commit(pair.source, f"{name}-{position}", name, position)
    groups = [f"{name}-{position}" for position in positions]
    found = checkpoint_task(pair, name, location, groups)
    first = syncs(holder, SYNCS[location], name)[0][0]
    for position in positions:
        translated = found.get(f"{name}-{position}")
        if position < first:
            assert translated is None  # older than the first sync: MM2 says nothing
        else:
            assert translated is not None and translated <= truth[position]
    assert found[f"{name}-{end}"] == truth[end]


GROUPS_SYNCED = {
    **DEFAULTS,
    "emit.checkpoints.interval.seconds": "1",
    "sync.group.offsets.interval.seconds": "1",
    "refresh.groups.interval.seconds": "1",
}


def text(value: bytes, at: int) -> tuple[str, int]:
    """The string at `at` of an encoded key or value, and what follows it."""
    end = at + 2 + int.from_bytes(value[at : at + 2], "big")
    return value[at + 2 : end].decode(), end


def checkpoints(client: Client) -> dict[tuple[str, str, int], tuple[int, int]]:
    """Group, topic and partition -> the newest committed offset and its translation."""
    found = {}
    for stored in client.read(CHECKPOINTS) if CHECKPOINTS in client.topics() else []:
        key, value = stored.record.key, stored.record.value
        assert key is not None and value is not None and value[:2] == bytes(2)
        group, at = text(key, 0)
        topic, at = text(key, at)
        place = (group, topic, int.from_bytes(key[at:], "big"))
        found[place] = (int.from_bytes(value[2:10], "big"), int.from_bytes(value[10:18], "big"))
    return found


class Committed:
    """Groups of a test: what each has committed at the source."""

    def __init__(self, pair: Pair):
        self.pair = pair
        self.offsets: dict[str, dict[tuple[str, int], int]] = {}
        self.fresh: set[str] = set()  # groups that committed since they were looked at

    def commit(self, group: str, topic: str, partition: int, offset: int) -> None:
        place = TopicPartition(topic, partition, offset, f"note {offset}")
        asked = [ConsumerGroupTopicPartitions(group, [place])]
        self.pair.source.admin.alter_consumer_group_offsets(asked)[group].result(10)
        self.offsets.setdefault(group, {})[(topic, partition)] = offset
        self.fresh.add(group)

    def told(self) -> bool:
        """There is a checkpoint of each of these offsets."""
        found = checkpoints(self.pair.target)
        return all(
            found.get((group, f"east.{topic}", partition), (-1, -1))[0] == offset
            for group, places in self.offsets.items()
            for (topic, partition), offset in places.items()
        )


def by_command(group: str, *how: object) -> dict[str, int]:
    """What `farshore translate --group` says."""
    answer = farshore("translate", "--group", group, "--json", *how)
    assert answer.code == 0, answer.err
    assert answer.json()["group"] == group
    found = answer.json()["translations"]
    assert all(t["exact"] for t in found)
    return {f"{t['target_topic']}-{t['partition']}": t["translated"] for t in found}


def assert_agree(pair: Pair, committed: Committed, config: Path, client: Path) -> None:
    """Java, the command and the two logs say the same of every group that has moved."""
    wait_for("the checkpoints", committed.told)
    groups = sorted(committed.fresh)
    committed.fresh.clear()
    truth = {
        (topic, partition): exact(pair.source, topic, partition)
        for places in committed.offsets.values()
        for topic, partition in places
    }
    want = {
        group: {
            f"east.{topic}-{partition}": truth[topic, partition][offset]
            for (topic, partition), offset in places.items()
        }
        for group, places in committed.offsets.items()
        if group in groups
    }
    found = mm2_classes("ask", str(client), "east", *groups)
    assert CHECKPOINTS in found["checkpointTopics"]
    assert found["translateOffsets"] == want
    direct = ("--mm2", config)
    assert {group: by_command(group, *direct) for group in groups} == want


def test_translate_offsets(pair: Pair, topic: Topic) -> None:
    """M7: RemoteClusterUtils.translateOffsets agrees with `farshore translate` and with the logs for
    every group; the same when the mirror was killed in between."""
    pair.need_transactions()
    plain, txn = topic("plain"), topic("txn")
    pair.source.create_topic(plain, partitions=2)
    pair.source.create_topic(txn)
    for partition in range(2):
        pair.source.produce(plain, numbered(200), partition)

    def transactions(count: int) -> None:
        pair.source.transactions(
            txn,
            ((numbered(1 + n % 7, start=10 * n), n % 3 != 1) for n in range(count)),
        )

    transactions(20)
    committed = Committed(pair)
    end = pair.source.offsets(txn)[1]
    for number, offset in enumerate([0, 1, *range(5, end, 13), end - 1, end]):
        group = f"{plain}-{number}"
        committed.commit(group, txn, 0, offset)
        committed.commit(group, plain, number % 2, 11 * number)
    client = write_properties(
        pair.folder / "client.properties", {"bootstrap.servers": pair.west.bootstrap()}
    )
    mirror = pair.mirror(f"{plain},{txn}", more={**GROUPS_SYNCED, "groups": f"{plain}-.*"})
    config = pair.folder / "mirror0.properties"
    with mirror:
        assert_agree(pair, committed, config, client)
        mirror.kill()
        transactions(5)
        end = pair.source.offsets(txn)[1]
        for number in range(0, len(committed.offsets), 3):
            committed.commit(f"{plain}-{number}", txn, 0, end - number)
        mirror.start()
        assert_agree(pair, committed, config, client)


STATISTICS = ("", "_min", "_max", "_avg")
MM2_METRICS = {
    "record_count",
    "record_rate",
    "byte_count",
    "byte_rate",
    *(f"record_age_ms{kind}" for kind in STATISTICS),
    *(f"replication_latency_ms{kind}" for kind in STATISTICS),
}
PREFIX = "kafka_connect_mirror_mirrorsourceconnector_"


def test_metrics(pair: Pair, topic: Topic) -> None:
    """MM2's metrics as Strimzi's dashboards read them, and off."""
    name = topic()
    pair.source.create_topic(name, partitions=2)
    old = int(time.time() * 1000) - 60_000
    records = [replace(record, timestamp=old + 100 * i) for i, record in enumerate(numbered(100))]
    pair.source.produce(name, records, 1)
    with pair.mirror(name) as mirror:
        assert_same(pair.source, name, pair.target, f"east.{name}")
        wait_for("the count", lambda: mirror.metric(f"{PREFIX}record_count") == 100)
        page = mirror.get("/metrics")[1]
        assert set(re.findall(f"# TYPE {PREFIX}(\\w+) gauge", page)) == MM2_METRICS
        found = {}
        for kind in MM2_METRICS:
            ((labels, found[kind]),) = mirror.metrics(PREFIX + kind)
            assert labels == {
                "source": "east",
                "target": "west",
                "topic": f"east.{name}",
                "partition": "1",
            }
        assert found["byte_count"] == mirror.metric("farshore_bytes_total", topic=name)
        assert 100 / 60 <= found["record_rate"] <= 100 / 30
        assert found["byte_rate"] > found["record_rate"]
        # The newest record was 50.1 s old and the first 60 s, when the mirror had just begun.
        late = time.time() * 1000 - old - 60_000
        for kind in ("record_age_ms", "replication_latency_ms"):
            assert 50_100 <= found[kind] <= 50_100 + late
            assert found[kind] == found[f"{kind}_min"]
            assert 60_000 <= found[f"{kind}_max"] <= 60_000 + late
            assert found[f"{kind}_min"] < found[f"{kind}_avg"] < found[f"{kind}_max"]
        assert found["replication_latency_ms"] >= found["record_age_ms"]
    props = mm2_properties(pair.east, pair.west, name, more=QUIET)
    with Mirror(pair.folder, props, "metrics.mm2=false", name="quiet") as mirror:
        pair.source.produce(name, numbered(10), 0)
        wait_for("10", lambda: mirror.metric("farshore_records_total", topic=name) == 10)
        assert PREFIX not in mirror.get("/metrics")[1]


@pytest.mark.long
def test_as_mm2_does(pair: Pair, topic: Topic) -> None:
    """MM2 itself between the same clusters, under other aliases: the same topics with the same
    content, the same answers of its own client."""
    name = topic()
    pair.source.create_topic(name)
    pair.source.produce(name, numbered(250))
    aliases = {
        "clusters": "north, south",
        "north.bootstrap.servers": pair.east.bootstrap(),
        "south.bootstrap.servers": pair.west.bootstrap(),
        "north->south.enabled": "true",
        "north->south.topics": name,
        "emit.checkpoints.interval.seconds": "1",
        **QUICK,
    }
    client = write_properties(
        pair.folder / "client.properties", {"bootstrap.servers": pair.west.bootstrap()}
    )
    with pair.mirror(name, more=DEFAULTS):
        assert_same(pair.source, name, pair.target, f"east.{name}")
        wait_for("a sync", lambda: syncs(pair.source, SYNCS["source"], name) == [(249, 249)])
    with MirrorMaker2(pair.folder, aliases, flags=java.QUICK_FLAGS):
        assert_same(pair.source, name, pair.target, f"north.{name}", timeout=120)
        for where, kind, ends in (
            (pair.target, "heartbeats", ("north", "south")),
            (pair.source, "heartbeats", ("south", "north")),
            (pair.target, "north.heartbeats", ("south", "north")),
        ):
            wait_for(
                f"MM2's {kind} {ends}",
                lambda w=where, k=kind, e=ends: k in w.topics() and heartbeats(w, k, *e),
                60,
            )
        wait_for(
            "a sync of MM2",
            lambda: syncs(pair.source, "mm2-offset-syncs.south.internal", name),
            90,
        )
    theirs = syncs(pair.source, "mm2-offset-syncs.south.internal", name)
    assert all(up == down for up, down in theirs) and theirs[-1][0] <= 249
    for which in (pair.source, pair.target):
        ours, theirs = (
            {t.replace(alias, "X") for t in which.topics() if t.startswith(f"{alias}.")}
            for alias in ("east", "north")
        )
        # A link makes the checkpoints topic for the first checkpoint, and here is no group.
        assert theirs - {"X.checkpoints.internal"} <= ours
    east, north = (mm2_classes("ask", str(client), alias) for alias in ("east", "north"))
    assert east["replicationHops"] == north["replicationHops"] == 1
    assert east["upstreamClusters"] == ["east", "north"]
    assert {"east.heartbeats", "north.heartbeats", "heartbeats"} == set(east["heartbeatTopics"])
    assert f"north.{name}" in north["remoteTopicsOfSource"]
    assert f"east.{name}" in east["remoteTopicsOfSource"]

# SPDX-License-Identifier: Apache-2.0
"""confluent-kafka 2.16.1's AdminClient: every call that a single-node broker answers."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest
from confluent_kafka import (
    Consumer,
    ConsumerGroupState,
    ConsumerGroupTopicPartitions,
    ConsumerGroupType,
    ElectionType,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
)

from conftest import Topic
from harness.broker import Broker
from harness.client import Client, Record, numbered
from harness.process import wait_for

from .common import BAD_NAMES, NOW

SETTINGS = {"group.min.session.timeout.ms": "500"}


def only(futures: dict[Any, Future[Any]]) -> Any:
    (future,) = futures.values()
    return future.result(20)


def code_of(call: Callable[[], Any]) -> int:
    """The error that the call ends with."""
    with pytest.raises(KafkaException) as caught:
        call()
    code: int = caught.value.args[0].code()
    return code


def group_reader(address: str, group: str, topic: str) -> Consumer:
    reader = Consumer(
        {
            "bootstrap.servers": address,
            "group.id": group,
            "client.id": "a reader",
            "auto.offset.reset": "earliest",
            "session.timeout.ms": 6000,
            "heartbeat.interval.ms": 200,
        }
    )
    reader.subscribe([topic])
    wait_for("assignment", lambda: reader.poll(0.1) is None and reader.assignment() != [], every=0)
    return reader


# -- topics


def test_create_and_delete(client: Client, topic: Topic) -> None:
    """Several at once, each with its own outcome; what was created is there at once."""
    admin = client.admin
    taken = topic("taken")
    client.create_topic(taken)
    asked = [
        NewTopic(topic("a"), 3, 1, config={"retention.ms": "1000000"}),
        NewTopic(taken, 1, 1),
        NewTopic(topic("assigned"), 2, replica_assignment=[[1], [1]]),
        NewTopic(topic("default")),
    ]
    told = admin.create_topics(asked, operation_timeout=10)
    for name in (topic("a"), topic("assigned"), topic("default")):
        told[name].result(20)
    assert code_of(lambda: told[taken].result(20)) == KafkaError.TOPIC_ALREADY_EXISTS
    sizes = client.topics()
    assert [sizes[topic(n)] for n in ("a", "assigned", "default")] == [3, 2, 1]
    assert client.topic_config(topic("a")) == {"retention.ms": "1000000"}

    gone = admin.delete_topics([topic("a"), topic("nobody"), topic("assigned")])
    assert gone[topic("a")].result(20) is None and gone[topic("assigned")].result(20) is None
    error = code_of(lambda: gone[topic("nobody")].result(20))
    assert error == KafkaError.UNKNOWN_TOPIC_OR_PART
    wait_for("gone", lambda: {topic("a"), topic("assigned")}.isdisjoint(client.topics()))


@pytest.mark.parametrize("name", BAD_NAMES)
def test_bad_name(client: Client, name: str) -> None:
    if name == "":
        # the client itself refuses it
        with pytest.raises((ValueError, KafkaException)):
            only(client.admin.create_topics([NewTopic(name, 1, 1)]))
        return
    error = code_of(lambda: only(client.admin.create_topics([NewTopic(name, 1, 1)])))
    assert error == KafkaError.TOPIC_EXCEPTION


def test_colliding_names(client: Client, topic: Topic) -> None:
    """Names that differ by . and _ alone would collide in metrics."""
    client.create_topic(f"{topic()}.x")
    error = code_of(lambda: only(client.admin.create_topics([NewTopic(f"{topic()}_x", 1, 1)])))
    assert error == KafkaError.TOPIC_EXCEPTION


BAD_TOPICS = {
    "no partitions": (dict(num_partitions=0), KafkaError.INVALID_PARTITIONS),
    "two copies": (
        dict(num_partitions=1, replication_factor=2),
        KafkaError.INVALID_REPLICATION_FACTOR,
    ),
    "other broker": (
        dict(num_partitions=1, replica_assignment=[[7]]),
        KafkaError.INVALID_REPLICA_ASSIGNMENT,
    ),
    "unknown setting": (dict(num_partitions=1, config={"no.such": "1"}), KafkaError.INVALID_CONFIG),
    "bad value": (
        dict(num_partitions=1, config={"retention.ms": "soon"}),
        KafkaError.INVALID_CONFIG,
    ),
    "value out of range": (
        dict(num_partitions=1, config={"segment.bytes": "-5"}),
        KafkaError.INVALID_CONFIG,
    ),
}


@pytest.mark.parametrize("case", BAD_TOPICS)
def test_bad_topic(client: Client, topic: Topic, case: str) -> None:
    asked, expected = BAD_TOPICS[case]
    error = code_of(lambda: only(client.admin.create_topics([NewTopic(topic(), **asked)])))
    assert error == expected
    assert topic() not in client.topics()


def test_validate_only(client: Client, topic: Topic) -> None:
    only(client.admin.create_topics([NewTopic(topic(), 3, 1)], validate_only=True))
    assert topic() not in client.topics()
    client.create_topic(topic())
    error = code_of(
        lambda: only(client.admin.create_topics([NewTopic(topic(), 3, 1)], validate_only=True))
    )
    assert error == KafkaError.TOPIC_ALREADY_EXISTS


def test_create_partitions(client: Client, topic: Topic) -> None:
    client.create_topic(topic(), partitions=2)
    client.produce(topic(), numbered(10), 1)
    only(client.admin.create_partitions([NewPartitions(topic(), 5)], validate_only=True))
    assert client.topics()[topic()] == 2
    client.grow_topic(topic(), 5)
    client.produce(topic(), numbered(10), 4)
    assert client.end_offsets(topic()) == [0, 10, 0, 0, 10]
    for count, error in ((5, KafkaError.INVALID_PARTITIONS), (3, KafkaError.INVALID_PARTITIONS)):
        told = client.admin.create_partitions([NewPartitions(topic(), count)])
        assert code_of(lambda: only(told)) == error
    told = client.admin.create_partitions([NewPartitions(topic("nobody"), 2)])
    assert code_of(lambda: only(told)) == KafkaError.UNKNOWN_TOPIC_OR_PART


def test_describe(client: Client, topic: Topic, node: Broker) -> None:
    """describe_topics, describe_cluster: ids, leaders, no authorized operations unasked."""
    client.create_topic(topic("a"), partitions=2)
    client.create_topic(topic("b"))
    found = client.admin.describe_topics(TopicCollection([topic("a"), topic("b"), topic("nobody")]))
    a, b = found[topic("a")].result(20), found[topic("b")].result(20)
    assert a.name == topic("a") and not a.is_internal and a.authorized_operations is None
    assert str(a.topic_id) != str(b.topic_id)
    assert [(p.id, p.leader.id) for p in a.partitions] == [(0, 1), (1, 1)]
    assert all([n.id for n in p.replicas] == [n.id for n in p.isr] == [1] for p in a.partitions)
    error = code_of(lambda: found[topic("nobody")].result(20))
    assert error == KafkaError.UNKNOWN_TOPIC_OR_PART

    cluster = client.admin.describe_cluster().result(20)
    assert [(n.id, n.host, n.port) for n in cluster.nodes] == [
        (1, "127.0.0.1", node.ports["PLAINTEXT"])
    ]
    assert cluster.controller.id == 1 and len(cluster.cluster_id) == 22


# -- configs


def described(client: Client, kind: ConfigResource.Type, name: str) -> dict[str, ConfigEntry]:
    found: dict[str, ConfigEntry] = only(
        client.admin.describe_configs([ConfigResource(kind, name)])
    )
    return found


def alter(client: Client, topic: str, *changes: tuple[str, str | None, AlterConfigOpType]) -> None:
    entries = [ConfigEntry(name, value, incremental_operation=op) for name, value, op in changes]
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=entries)
    only(client.admin.incremental_alter_configs([resource]))


TOPIC_DEFAULTS = {
    "cleanup.policy": "delete",
    "compression.type": "producer",
    "delete.retention.ms": "86400000",
    "flush.messages": "9223372036854775807",
    "index.interval.bytes": "4096",
    "max.compaction.lag.ms": "9223372036854775807",
    "max.message.bytes": "1048588",
    "message.timestamp.type": "CreateTime",
    "min.cleanable.dirty.ratio": "0.5",
    "min.compaction.lag.ms": "0",
    "min.insync.replicas": "1",
    "preallocate": "false",
    "retention.bytes": "-1",
    "retention.ms": "604800000",
    "segment.bytes": "1073741824",
    "segment.index.bytes": "10485760",
    "segment.jitter.ms": "0",
    "segment.ms": "604800000",
    "unclean.leader.election.enable": "false",
}


def test_describe_configs(client: Client, topic: Topic) -> None:
    """Every setting of a topic with its value and where it comes from; those of the broker."""
    client.create_topic(topic(), retention_ms=5_000_000)
    found = described(client, ConfigResource.Type.TOPIC, topic())
    for name, value in TOPIC_DEFAULTS.items():
        if name == "retention.ms" or name not in found:
            continue
        entry = found[name]
        assert entry.value == value, name
        assert not entry.is_sensitive and not entry.is_read_only
    needed = {"cleanup.policy", "retention.ms", "retention.bytes", "segment.bytes", "segment.ms"}
    needed |= {"max.message.bytes", "message.timestamp.type", "min.insync.replicas"}
    assert needed | {"compression.type", "delete.retention.ms", "min.compaction.lag.ms"} <= set(
        found
    )
    mine = found["retention.ms"]
    assert mine.value == "5000000" and mine.source == ConfigSource.DYNAMIC_TOPIC_CONFIG.value
    assert found["segment.ms"].source == ConfigSource.DEFAULT_CONFIG.value

    broker = described(client, ConfigResource.Type.BROKER, "1")
    assert broker["node.id"].value == "1"
    assert broker["message.max.bytes"].value == "1048588"
    assert broker["group.min.session.timeout.ms"].value == "500"
    assert broker["group.min.session.timeout.ms"].source == ConfigSource.STATIC_BROKER_CONFIG.value
    told = client.admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, topic("no"))])
    assert code_of(lambda: only(told)) == KafkaError.UNKNOWN_TOPIC_OR_PART


def test_incremental_alter(client: Client, topic: Topic) -> None:
    set_, delete = AlterConfigOpType.SET, AlterConfigOpType.DELETE
    append, subtract = AlterConfigOpType.APPEND, AlterConfigOpType.SUBTRACT
    client.create_topic(topic(), segment_ms=100_000)
    alter(client, topic(), ("retention.ms", "7000", set_), ("max.message.bytes", "5000", set_))
    assert client.topic_config(topic()) == {
        "segment.ms": "100000",
        "retention.ms": "7000",
        "max.message.bytes": "5000",
    }
    alter(client, topic(), ("retention.ms", None, delete), ("segment.ms", None, delete))
    alter(client, topic(), ("cleanup.policy", "compact", append))
    assert client.topic_config(topic()) == {
        "max.message.bytes": "5000",
        "cleanup.policy": "delete,compact",
    }
    alter(client, topic(), ("cleanup.policy", "delete", subtract))
    assert client.topic_config(topic())["cleanup.policy"] == "compact"

    before = client.topic_config(topic())
    bad = ("retention.ms", "x", set_), ("no.such.setting", "1", set_), ("cleanup.policy", "x", set_)
    for change in bad:
        good = ("segment.ms", "9999", set_)
        error = code_of(lambda: alter(client, topic(), good, change))
        assert error == KafkaError.INVALID_CONFIG
    error = code_of(lambda: alter(client, topic(), ("retention.ms", "1", append)))
    assert error == KafkaError.INVALID_CONFIG
    error = code_of(lambda: alter(client, topic("no"), ("retention.ms", "1", set_)))
    assert error == KafkaError.UNKNOWN_TOPIC_OR_PART
    assert client.topic_config(topic()) == before  # all or nothing


def test_altered_config_takes_effect(client: Client, topic: Topic) -> None:
    client.create_topic(topic())
    client.produce(topic(), [Record(None, b"x" * 5000)])
    client.alter_config(topic(), max_message_bytes=1000)
    assert (
        code_of(lambda: client.produce(topic(), [Record(None, b"x" * 5000)]))
        == KafkaError.MSG_SIZE_TOO_LARGE
    )
    client.alter_config(topic(), max_message_bytes=None)
    client.produce(topic(), [Record(None, b"x" * 5000)])
    assert client.offsets(topic()) == (0, 2)


def test_legacy_alter(client: Client, topic: Topic) -> None:
    """AlterConfigs replaces everything that the topic had."""
    client.create_topic(topic(), segment_ms=100_000, retention_ms=100_000)
    resource = ConfigResource(
        ConfigResource.Type.TOPIC, topic(), set_config={"max.message.bytes": "5000"}
    )
    only(client.admin.alter_configs([resource]))
    assert client.topic_config(topic()) == {"max.message.bytes": "5000"}


# -- offsets and records


def test_list_offsets(client: Client, topic: Topic) -> None:
    """earliest, latest, by time, and the record with the largest timestamp."""
    client.create_topic(topic(), partitions=2)
    times = [1000, 9000, 3000, 9000, 2000]
    client.produce(topic(), [Record(None, b"x", (), NOW + t) for t in times], batch_num_messages=2)
    client.delete_records(topic(), 1)

    def listed(spec: OffsetSpec, partition: int = 0) -> tuple[int, int]:
        found = only(client.admin.list_offsets({TopicPartition(topic(), partition): spec}))
        return found.offset, found.timestamp

    assert listed(OffsetSpec.earliest())[0] == 1
    assert listed(OffsetSpec.latest())[0] == 5
    assert listed(OffsetSpec.max_timestamp()) == (1, NOW + 9000)
    assert listed(OffsetSpec.for_timestamp(NOW + 1000)) == (1, NOW + 9000)
    assert listed(OffsetSpec.for_timestamp(NOW + 9001))[0] == -1
    assert listed(OffsetSpec.max_timestamp(), 1)[0] == -1
    assert listed(OffsetSpec.latest(), 1)[0] == 0
    told = client.admin.list_offsets({TopicPartition(topic("no"), 0): OffsetSpec.latest()})
    assert code_of(lambda: only(told)) == KafkaError._NOENT  # by Metadata's error


def test_delete_records(client: Client, topic: Topic, node: Broker) -> None:
    """Up to an offset, up to the end, beyond it, before the start; kept over a restart."""

    def delete(before: int) -> Any:
        return only(client.admin.delete_records([TopicPartition(topic(), 0, before)]))

    client.create_topic(topic())
    client.produce(topic(), numbered(100))
    assert delete(30).low_watermark == 30
    assert client.offsets(topic()) == (30, 100)
    assert [stored.offset for stored in client.read(topic())] == list(range(30, 100))
    assert delete(10).low_watermark == 30
    assert code_of(lambda: delete(101)) == KafkaError.OFFSET_OUT_OF_RANGE
    node.restart()
    assert wait_for("offsets", lambda: client.offsets(topic())) == (30, 100)
    assert wait_for("the leader", lambda: delete(-1).low_watermark) == 100
    assert client.offsets(topic()) == (100, 100)
    client.produce(topic(), numbered(5))
    assert client.offsets(topic()) == (100, 105)


def test_delete_records_refused(client: Client, topic: Topic) -> None:
    client.create_topic(topic(), cleanup_policy="compact")
    client.produce(topic(), numbered(10))
    told = client.admin.delete_records([TopicPartition(topic(), 0, 5)])
    assert code_of(lambda: only(told)) == KafkaError.POLICY_VIOLATION
    told = client.admin.delete_records([TopicPartition(topic("no"), 0, 5)])
    assert code_of(lambda: only(told)) == KafkaError._NOENT  # by Metadata's error


def test_elect_leaders(client: Client, topic: Topic) -> None:
    client.create_topic(topic())
    place, nowhere = TopicPartition(topic(), 0), TopicPartition(topic("no"), 0)
    found = client.admin.elect_leaders(ElectionType.PREFERRED, [place, nowhere]).result(20)
    errors = {tp.topic: error.code() if error else 0 for tp, error in found.items()}
    assert errors == {
        topic(): KafkaError.ELECTION_NOT_NEEDED,
        topic("no"): KafkaError.UNKNOWN_TOPIC_OR_PART,
    }


# -- groups


def test_groups(client: Client, topic: Topic, address: str) -> None:
    """A group as it lives and after: list with filters, describe, delete."""
    admin, group = client.admin, topic("group")
    client.create_topic(topic(), partitions=2)
    reader = group_reader(address, group, topic())

    def listed(**filters: Any) -> dict[str, Any]:
        found = admin.list_consumer_groups(**filters).result(20)
        assert found.errors == []
        return {g.group_id: g for g in found.valid}

    assert listed()[group].state == ConsumerGroupState.STABLE
    assert listed()[group].type == ConsumerGroupType.CLASSIC
    assert group in listed(states={ConsumerGroupState.STABLE})
    assert group not in listed(states={ConsumerGroupState.EMPTY})
    assert group in listed(types={ConsumerGroupType.CLASSIC})
    assert group not in listed(types={ConsumerGroupType.CONSUMER})

    told = only(admin.describe_consumer_groups([group]))
    assert told.state == ConsumerGroupState.STABLE and told.partition_assignor == "range"
    assert told.coordinator.id == 1 and not told.is_simple_consumer_group
    (member,) = told.members
    assert member.client_id == "a reader" and member.host == "/127.0.0.1"
    assert member.group_instance_id is None
    places = [(p.topic, p.partition) for p in member.assignment.topic_partitions]
    assert sorted(places) == [(topic(), 0), (topic(), 1)]

    error = code_of(lambda: only(admin.delete_consumer_groups([group])))
    assert error == KafkaError.NON_EMPTY_GROUP
    reader.close()
    told = only(admin.describe_consumer_groups([group]))
    assert told.state == ConsumerGroupState.EMPTY and told.members == []
    assert only(admin.delete_consumer_groups([group])) is None
    assert group not in listed()
    error = code_of(lambda: only(admin.delete_consumer_groups([group])))
    assert error == KafkaError.GROUP_ID_NOT_FOUND
    try:
        assert only(admin.describe_consumer_groups([group])).state == ConsumerGroupState.DEAD
    except KafkaException as err:
        assert err.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND


def test_group_offsets(client: Client, topic: Topic, address: str) -> None:
    """Set, listed and moved back from outside, but not while a member is there."""
    admin, group = client.admin, topic("group")
    client.create_topic(topic(), partitions=3)

    def offsets(partitions: list[int] | None = None) -> dict[int, int]:
        places = [TopicPartition(topic(), p) for p in partitions] if partitions else None
        found = only(
            admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group, places)])
        )
        return {p.partition: p.offset for p in found.topic_partitions}

    def set_offsets(**values: int) -> Any:
        places = [TopicPartition(topic(), int(p[1:]), offset) for p, offset in values.items()]
        return only(
            admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, places)])
        )

    set_offsets(p0=10, p2=7)
    assert offsets() == {0: 10, 2: 7}
    assert offsets([0, 1, 2]) == {0: 10, 1: -1001, 2: 7}
    set_offsets(p0=3)
    assert offsets() == {0: 3, 2: 7}
    reader = group_reader(address, group, topic())
    told = [p.error.code() if p.error else 0 for p in _set_while_alive(set_offsets)]
    assert told == [KafkaError.UNKNOWN_MEMBER_ID]
    reader.close()
    set_offsets(p0=1)
    assert offsets()[0] == 1


def _set_while_alive(set_offsets: Callable[..., Any]) -> list[TopicPartition]:
    places: list[TopicPartition] = set_offsets(p0=99).topic_partitions
    return places


def test_offsets_of_a_deleted_topic(client: Client, topic: Topic) -> None:
    """Committed offsets go with their topic."""
    admin, group = client.admin, topic("group")
    for name in (topic("a"), topic("b")):
        client.create_topic(name)
    places = [TopicPartition(topic("a"), 0, 5), TopicPartition(topic("b"), 0, 6)]
    only(admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, places)]))
    client.delete_topic(topic("a"))

    def left() -> bool:
        found = only(admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)]))
        return [(p.topic, p.offset) for p in found.topic_partitions] == [(topic("b"), 6)]

    wait_for("one offset left", left)

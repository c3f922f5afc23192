# SPDX-License-Identifier: Apache-2.0
"""kafka-python 3.0.12: a protocol implementation of its own, with topic ids and fetch sessions."""

import ssl
import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, MemberToRemove, OffsetSpec
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.errors import (
    GroupSubscribedToTopicError,
    InvalidPartitionsError,
    InvalidReplicationFactorError,
    InvalidTopicError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    NoError,
    TopicAlreadyExistsError,
    UnknownMemberIdError,
    UnknownTopicOrPartitionError,
)
from kafka.structs import OffsetAndMetadata

from conftest import Topic
from harness.broker import Broker, Cluster
from harness.certs import Authority
from harness.client import Client, Record, numbered
from harness.process import wait_for

from .common import (
    ACKS,
    BAD_NAMES,
    CODECS,
    NOW,
    Group,
    batches,
    check_codec,
    read_back,
    shapes,
    three_members,
)

SETTINGS = {"group.min.session.timeout.ms": "500"}


def producer(address: str, **config: Any) -> KafkaProducer:
    return KafkaProducer(bootstrap_servers=address, metrics_enabled=False, **config)


def consumer(address: str, *topics: str, **config: Any) -> KafkaConsumer:
    return KafkaConsumer(
        *topics,
        **{
            "bootstrap_servers": address,
            "metrics_enabled": False,
            "auto_offset_reset": "earliest",
            "enable_auto_commit": False,
            "session_timeout_ms": 6000,
            "heartbeat_interval_ms": 200,
            "fetch_max_wait_ms": 100,
            "metadata_max_age_ms": 2000,
            **config,
        },
    )


def send(to: KafkaProducer, topic: str, records: list[Record]) -> None:
    """All of them to partition 0, and wait."""
    sent = [
        to.send(topic, r.value, r.key, list(r.headers), 0, r.timestamp or None) for r in records
    ]
    to.flush(30)
    for future in sent:
        future.get(10)


def next_records(reader: KafkaConsumer, count: int, timeout: float = 30) -> list[Any]:
    """Exactly the next so many, of all partitions."""
    got: list[Any] = []
    end = time.monotonic() + timeout
    while len(got) < count and time.monotonic() < end:
        for records in reader.poll(200, count - len(got)).values():
            got += records
    assert len(got) == count
    return got


@pytest.fixture(scope="module")
def admin(peer: Cluster) -> Iterator[KafkaAdminClient]:
    made = KafkaAdminClient(bootstrap_servers=peer.bootstrap())
    yield made
    made.close()


# -- producing and consuming


@pytest.mark.parametrize("codec", CODECS)
def test_codec_and_acks(
    node: Broker, client: Client, topic: Topic, address: str, codec: str
) -> None:
    """What it sends another client reads, and so does it itself."""
    client.create_topic(topic())
    sent: list[Record] = []
    for acks in ACKS:
        more = [r for i in range(5) for r in shapes(40, 100 * i)]
        config: dict[str, Any] = {} if acks == -1 else {"enable_idempotence": False}
        kind = None if codec == "none" else codec
        to = producer(address, compression_type=kind, acks=acks, linger_ms=50, **config)
        send(to, topic(), more)
        to.close()
        sent += more
        wait_for("the records", lambda: client.offsets(topic())[1] == len(sent))
    assert read_back(client, topic()) == sent
    check_codec(node, topic(), codec)

    reader = consumer(address)
    reader.assign([TopicPartition(topic(), 0)])
    got = next_records(reader, len(sent))
    reader.close()
    assert [r.offset for r in got] == list(range(len(sent)))
    mine = [Record(r.key, r.value, tuple(r.headers), r.timestamp) for r in got]
    assert mine == sent


def test_idempotent_producer(node: Broker, client: Client, topic: Topic, address: str) -> None:
    """It is so by default: one producer id, sequences without a gap."""
    client.create_topic(topic())
    to = producer(address, batch_size=500, linger_ms=1)
    sent = [Record(b"k%d" % i, b"%d" % i) for i in range(1000)]
    send(to, topic(), sent)
    to.close()
    assert [r.value for r in read_back(client, topic())] == [r.value for r in sent]
    found = list(batches(node, topic()))
    assert len(found) > 10 and {b.producer for b in found} == {found[0].producer}
    assert found[0].producer >= 0
    assert [b.sequence for b in found] == [b.base_offset for b in found]


def test_sessions_and_many_partitions(client: Client, topic: Topic, address: str) -> None:
    """Fetch sessions: records for a few of many partitions, again and again."""
    client.create_topic(topic(), partitions=30)
    reader = consumer(address, fetch_max_wait_ms=5000)
    reader.assign([TopicPartition(topic(), p) for p in range(30)])
    reader.poll(300)
    for number in range(12):
        partition = (number * 7) % 30
        client.produce(topic(), [Record(None, b"%d" % number)], partition)
        (got,) = next_records(reader, 1, 10)
        assert (got.partition, got.value) == (partition, b"%d" % number)
    reader.pause(*[TopicPartition(topic(), p) for p in range(29)])
    client.produce(topic(), [Record(None, b"paused")], 3)
    client.produce(topic(), [Record(None, b"not")], 29)
    assert [r.value for r in next_records(reader, 1)] == [b"not"]
    reader.resume(TopicPartition(topic(), 3))
    assert [r.value for r in next_records(reader, 1)] == [b"paused"]
    reader.close()


def test_long_poll(client: Client, topic: Topic, address: str) -> None:
    """A poll of 1 s comes back empty after 1 s; one of 20 s, when the record comes."""
    client.create_topic(topic())
    reader = consumer(address, fetch_max_wait_ms=20_000)
    reader.assign([TopicPartition(topic(), 0)])
    begun = time.monotonic()
    assert reader.poll(1000) == {}
    assert 0.9 < time.monotonic() - begun < 3
    for number in range(3):
        begun = time.monotonic()
        client.produce(topic(), [Record(None, b"%d" % number)])
        (records,) = reader.poll(20_000).values()
        assert time.monotonic() - begun < 2
        assert [r.value for r in records] == [b"%d" % number]
    reader.close()


def test_positions(client: Client, topic: Topic, address: str, admin: KafkaAdminClient) -> None:
    """earliest, latest, by time, largest timestamp, out of range."""
    place, empty = TopicPartition(topic(), 0), TopicPartition(topic(), 1)
    client.create_topic(topic(), partitions=2)
    times = [1000 * i for i in range(50)]
    times[20] = 90_000
    client.produce(topic(), [Record(None, b"%d" % i, (), NOW + t) for i, t in enumerate(times)])
    client.delete_records(topic(), 10)
    reader = consumer(address)
    reader.assign([place, empty])
    assert reader.beginning_offsets([place, empty]) == {place: 10, empty: 0}
    assert reader.end_offsets([place, empty]) == {place: 50, empty: 0}
    found = reader.offsets_for_times({place: NOW + 15_001, empty: NOW})
    assert (found[place].offset, found[place].timestamp, found[empty]) == (16, NOW + 16_000, None)
    assert reader.offsets_for_times({place: NOW + 90_001})[place] is None
    specs = {place: OffsetSpec.MAX_TIMESTAMP, empty: OffsetSpec.MAX_TIMESTAMP}
    listed = admin.list_partition_offsets(specs)
    assert (listed[place].offset, listed[place].timestamp) == (20, NOW + 90_000)
    assert listed[empty].offset == -1
    reader.seek(place, 30)
    assert next_records(reader, 20)[0].offset == 30
    reader.seek(place, 5)
    assert next_records(reader, 40)[0].offset == 10  # out of range: earliest
    reader.seek_to_end(place)
    assert reader.position(place) == 50
    reader.close()


@pytest.mark.parametrize("listener", ("SSL", "MTLS"))
def test_tls(
    peer: Cluster, client: Client, topic: Topic, authority: Authority, listener: str
) -> None:
    client.create_topic(topic())
    config = {"security_protocol": "SSL", "ssl_cafile": str(authority.cert)}
    if listener == "MTLS":
        me = authority.issue("kafka-python")
        config |= {"ssl_certfile": str(me.cert), "ssl_keyfile": str(me.key)}
    to = producer(peer.bootstrap(listener), compression_type="gzip", **config)
    sent = [Record(b"k%d" % i, b"%d" % i * 100) for i in range(1000)]
    send(to, topic(), sent)
    to.close()
    reader = consumer(peer.bootstrap(listener), **config)
    reader.assign([TopicPartition(topic(), 0)])
    assert [(r.key, r.value) for r in next_records(reader, 1000)] == [
        (r.key, r.value) for r in sent
    ]
    reader.close()


def test_tls_version(peer: Cluster, authority: Authority) -> None:
    """TLS 1.2 and 1.3 are spoken, nothing older."""
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = ssl.create_default_context(cafile=str(authority.cert))
        context.minimum_version = context.maximum_version = version
        made = KafkaAdminClient(
            bootstrap_servers=peer.bootstrap("SSL"), security_protocol="SSL", ssl_context=context
        )
        assert made.describe_cluster()["controller_id"] == 1
        made.close()


# -- errors


def test_unknown_topic(topic: Topic, address: str, admin: KafkaAdminClient) -> None:
    to = producer(address, max_block_ms=1000)
    with pytest.raises(KafkaTimeoutError):
        to.send(topic(), b"x").get(10)
    to.close(1)
    (found,) = admin.describe_topics([topic()])
    assert found["error_code"] == UnknownTopicOrPartitionError.errno
    with pytest.raises(UnknownTopicOrPartitionError):
        admin.delete_topics([topic()])


def test_oversized(client: Client, topic: Topic, address: str) -> None:
    client.create_topic(topic(), max_message_bytes=10_000)
    for idempotent in (True, False):
        to = producer(address, enable_idempotence=idempotent)
        send(to, topic(), [Record(None, b"a")])
        with pytest.raises(MessageSizeTooLargeError):
            to.send(topic(), b"x" * 20_000).get(20)
        if not idempotent:  # the other is of no use after an error
            send(to, topic(), [Record(None, b"b")])
        to.close()
    assert [r.value for r in read_back(client, topic())] == [b"a", b"a", b"b"]


def test_deleted_topic(client: Client, topic: Topic, address: str) -> None:
    """Nothing comes from what is gone; a new topic of that name is another one, by its id."""
    place = TopicPartition(topic(), 0)
    client.create_topic(topic())
    client.produce(topic(), numbered(5))
    reader = consumer(address)
    reader.assign([place])
    assert len(next_records(reader, 5)) == 5
    client.delete_topic(topic())
    assert reader.poll(500) == {}
    client.create_topic(topic())
    client.produce(topic(), [Record(None, b"new")])
    reader.close()
    reader = consumer(address)
    reader.assign([place])
    assert [(r.offset, r.value) for r in next_records(reader, 1)] == [(0, b"new")]
    reader.close()


def test_transactional_id(ours: None, address: str) -> None:
    """There are no transactions: an error that says so, at once."""
    to = producer(address, transactional_id="me", max_block_ms=20_000)
    begun = time.monotonic()
    with pytest.raises(KafkaError) as caught:
        to.init_transactions()
    assert time.monotonic() - begun < 5
    assert not isinstance(caught.value, KafkaTimeoutError)
    to.close(1)


# -- groups


class GroupMember:
    """One consumer in a thread of its own, which commits what it got after every poll. (Polls that
    end in the middle of a rebalance are a way to lose an assignment in this client.)"""

    def __init__(self, address: str, group: str, topic: str, assignor: Any, instance: str | None):
        self.consumer = consumer(
            address,
            topic,
            group_id=group,
            group_instance_id=instance,
            partition_assignment_strategy=[assignor],
        )
        self.got: deque[tuple[int, int, bytes]] = deque()
        self.stopping = False
        self.thread = threading.Thread(target=self._work, daemon=True)
        self.thread.start()

    def _work(self) -> None:
        while not self.stopping:
            got = [r for records in self.consumer.poll(500).values() for r in records]
            if got:
                self.consumer.commit()
            self.got += [(r.partition, r.offset, r.value) for r in got]

    def poll(self) -> Iterator[tuple[int, int, bytes]]:
        time.sleep(0.01)
        while self.got:
            yield self.got.popleft()

    def assigned(self) -> set[int]:
        assert self.thread.is_alive()
        return {place.partition for place in self.consumer.assignment()}

    def close(self) -> None:
        self.stopping = True
        self.thread.join(20)
        self.consumer.close()


@pytest.mark.parametrize("assignor", (RangePartitionAssignor, CooperativeStickyAssignor))
def test_three_members(client: Client, topic: Topic, address: str, assignor: Any) -> None:
    client.create_topic(topic(), partitions=6)
    group = Group(client, topic(), 6)
    try:
        three_members(group, lambda: GroupMember(address, topic("g"), topic(), assignor, None))
    finally:
        group.close()


def test_static_members(
    client: Client, topic: Topic, address: str, admin: KafkaAdminClient
) -> None:
    """One that restarts within its session has its partitions back, in the same generation."""
    client.create_topic(topic(), partitions=4)
    group = Group(client, topic(), 4)

    def member(name: str) -> GroupMember:
        return GroupMember(address, topic("g"), topic(), RangePartitionAssignor, name)

    def generation() -> int:
        found: int = one.consumer.group_metadata().generation_id
        return found

    one, two = member("one"), member("two")
    group.join(one)
    group.join(two)
    try:
        group.settle(2, 2)
        group.exchange()
        mine, before = two.assigned(), generation()
        group.leave(two)
        group.work()
        found = admin.describe_groups([topic("g")])[topic("g")]
        assert sorted(m["group_instance_id"] for m in found["members"]) == ["one", "two"]
        two = member("two")
        group.join(two)
        group.settle(2, 2)
        assert two.assigned() == mine and generation() == before
        group.exchange()
        group.check()
        admin.remove_group_members(topic("g"), [MemberToRemove(group_instance_id="two")])
        found = admin.describe_groups([topic("g")])[topic("g")]
        assert [m["group_instance_id"] for m in found["members"]] == ["one"]
    finally:
        group.close()


def test_commit_and_resume(client: Client, topic: Topic, address: str) -> None:
    place = TopicPartition(topic(), 0)
    client.create_topic(topic())
    client.produce(topic(), numbered(100))
    reader = consumer(address, topic(), group_id=topic("g"))
    assert next_records(reader, 40)[-1].offset == 39
    reader.commit({place: OffsetAndMetadata(40, "here", -1)})
    assert reader.committed(place, metadata=True).metadata == "here"
    reader.close()
    reader = consumer(address, topic(), group_id=topic("g"))
    assert next_records(reader, 60)[0].offset == 40
    reader.close()


# -- admin


def test_topics(client: Client, topic: Topic, admin: KafkaAdminClient) -> None:
    """Create with assignments and settings, what the answer tells, grow, describe by id, delete."""
    told = admin.create_topics(
        {
            topic("a"): {"num_partitions": 2, "configs": {"retention.ms": "12345678"}},
            topic("b"): {"assignments": {0: [1], 1: [1], 2: [1]}},
            topic("c"): {},
        }
    )
    found = {t["name"]: t for t in told["topics"]}
    assert [found[topic(n)]["num_partitions"] for n in "abc"] == [2, 3, 1]
    assert [found[topic(n)]["replication_factor"] for n in "abc"] == [1, 1, 1]
    assert found[topic("a")]["configs"]["retention.ms"] == {
        "value": "12345678",
        "read_only": False,
        "config_source": "DYNAMIC_TOPIC_CONFIG",
        "is_sensitive": False,
    }
    assert found[topic("c")]["configs"]["retention.ms"]["config_source"] == "DEFAULT_CONFIG"
    admin.create_partitions({topic("a"): 4})
    with pytest.raises(InvalidPartitionsError):
        admin.create_partitions({topic("a"): 4})
    wait_for("metadata", lambda: client.topics()[topic("a")] == 4)
    (seen,) = admin.describe_topics([topic("a")])
    assert seen["topic_id"] == found[topic("a")]["topic_id"]
    assert sorted(p["partition_index"] for p in seen["partitions"]) == [0, 1, 2, 3]
    paged = admin.describe_topic_partitions([topic("a"), topic("b")], response_partition_limit=5)
    assert [len(t["partitions"]) for t in paged["topics"]] == [4, 1]
    assert paged["next_cursor"]["topic_name"] == topic("b")
    assert paged["next_cursor"]["partition_index"] == 1
    admin.delete_topics([topic(n) for n in "abc"])
    wait_for("deletion", lambda: set(admin.list_topics()).isdisjoint(topic(n) for n in "abc"))


@pytest.mark.parametrize("name", BAD_NAMES)
def test_bad_name(admin: KafkaAdminClient, name: str) -> None:
    with pytest.raises(InvalidTopicError):
        admin.create_topics({name: {}})


def test_bad_topics(client: Client, topic: Topic, admin: KafkaAdminClient) -> None:
    client.create_topic(topic())
    with pytest.raises(TopicAlreadyExistsError):
        admin.create_topics({topic(): {}})
    with pytest.raises(InvalidPartitionsError):
        admin.create_topics({topic("x"): {"num_partitions": 0}})
    with pytest.raises(InvalidReplicationFactorError):
        admin.create_topics({topic("x"): {"replication_factor": 3}})


def test_configs(client: Client, topic: Topic, admin: KafkaAdminClient) -> None:
    client.create_topic(topic())

    def mine(**more: Any) -> Any:
        told = admin.describe_configs([ConfigResource("TOPIC", topic())], **more)
        return told["topic"][topic()]

    def alter(configs: dict[str, Any], **more: Any) -> str:
        told = admin.alter_configs([ConfigResource("TOPIC", topic(), configs)], **more)
        outcome: str = told["topic"][topic()]
        return outcome

    assert mine() == {}
    assert alter({"retention.ms": ("SET", "7777777"), "segment.ms": "999999"}) == "OK"
    wanted = {"retention.ms": "7777777", "segment.ms": "999999"}
    wait_for("settings", lambda: {n: entry["value"] for n, entry in mine().items()} == wanted)
    assert mine()["retention.ms"]["config_type"] == "LONG"
    assert alter({"retention.ms": ("DELETE", None)}) == "OK"
    wait_for("deletion", lambda: list(mine()) == ["segment.ms"])
    assert "InvalidConfigurationError" in alter({"retention.ms": ("SET", "soon")})
    assert alter({"max.message.bytes": "5000"}, validate_only=True) == "OK"
    assert list(mine()) == ["segment.ms"]
    assert "cleanup.policy" in mine(config_filter="all")
    assert alter({"max.message.bytes": "5000"}) == "OK"
    wait_for("setting", lambda: "max.message.bytes" in mine())
    synonyms = mine(include_synonyms=True)["max.message.bytes"]["synonyms"]
    assert [(s["name"], s["value"], s["source"]) for s in synonyms] == [
        ("max.message.bytes", "5000", "DYNAMIC_TOPIC_CONFIG"),
        ("message.max.bytes", "1048588", "DEFAULT_CONFIG"),
    ]
    assert topic() in admin.list_config_resources(["topic"])["topic"]


def test_log_dirs(client: Client, topic: Topic, admin: KafkaAdminClient, node: Broker) -> None:
    client.create_topic(topic(), partitions=2)
    client.produce(topic(), numbered(100, size=100), 1)
    (told,) = admin.describe_log_dirs({topic(): [0, 1]})
    (folder,) = told["log_dirs"]
    assert told["broker"] == 1 and folder["error_code"] == 0
    assert folder["log_dir"] == str(node.data)
    sizes = {p["partition_index"]: p["partition_size"] for p in folder["topics"][0]["partitions"]}
    assert sizes[0] == 0 and 10_000 < sizes[1] < 20_000
    assert folder["total_bytes"] > folder["usable_bytes"] > 0


def test_producers(client: Client, topic: Topic, address: str, admin: KafkaAdminClient) -> None:
    client.create_topic(topic())
    to = producer(address)
    send(to, topic(), [Record(None, b"%d" % i) for i in range(7)])
    place = TopicPartition(topic(), 0)
    (found,) = admin.describe_producers([place])[place].active_producers
    assert found.producer_id >= 0 and found.producer_epoch == 0 and found.last_sequence == 6
    to.close()


def test_groups(client: Client, topic: Topic, address: str, admin: KafkaAdminClient) -> None:
    """Offsets set, moved, deleted; a group while it lives, and after."""
    group, other = topic("g"), topic("other")
    client.create_topic(topic(), partitions=2)
    client.create_topic(other)
    client.produce(topic(), numbered(50))
    zero, away = TopicPartition(topic(), 0), TopicPartition(other, 0)
    places = {zero: OffsetAndMetadata(20, "m", -1), away: OffsetAndMetadata(3, "", -1)}
    assert set(admin.alter_group_offsets(group, places).values()) == {NoError}
    assert admin.list_group_offsets({group: None})[group] == places
    (listed,) = [g for g in admin.list_groups() if g["group_id"] == group]
    assert listed == {
        "group_id": group,
        "protocol_type": "",
        "group_state": "Empty",
        "group_type": "classic",
    }
    assert admin.reset_group_offsets(group, {zero: OffsetSpec.LATEST})[zero]["offset"] == 50

    reader = consumer(address, topic(), group_id=group, client_id="cc")
    wait_for("assigned", lambda: reader.poll(1000) == {} and len(reader.assignment()) == 2)
    told = admin.describe_groups([group])[group]
    assert (told["group_state"], told["protocol_type"]) == ("Stable", "consumer")
    assert told["protocol_data"] == "range"
    (member,) = told["members"]
    assert (member["client_id"], member["client_host"]) == ("cc", "/127.0.0.1")
    assert member["member_metadata"]["topics"] == [topic()]
    assert member["member_assignment"]["assigned_partitions"] == [
        {"topic": topic(), "partitions": [0, 1]}
    ]
    stable = {g["group_id"] for g in admin.list_groups(states_filter=["Stable"])}
    assert group in stable
    assert group not in {g["group_id"] for g in admin.list_groups(states_filter=["Empty"])}
    assert admin.alter_group_offsets(group, places)[zero] is UnknownMemberIdError
    deleted = admin.delete_group_offsets(group, [zero, away])
    assert deleted == {zero: GroupSubscribedToTopicError, away: NoError}
    assert admin.delete_groups([group, "nobody"]) == {
        group: "NonEmptyGroupError",
        "nobody": "GroupIdNotFoundError",
    }
    reader.close()
    assert admin.delete_group_offsets(group, [zero]) == {zero: NoError}
    assert admin.list_group_offsets({group: None})[group] == {}
    assert admin.delete_groups([group]) == {group: "OK"}
    assert admin.describe_groups([group])[group]["group_state"] == "Dead"

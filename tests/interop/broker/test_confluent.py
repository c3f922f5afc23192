# SPDX-License-Identifier: Apache-2.0
"""confluent-kafka 2.16.1 with librdkafka 2.16.0: producing, consuming, groups, TLS."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)

from conftest import Topic
from harness.broker import Broker, Cluster
from harness.certs import Authority
from harness.client import Client, Record, numbered
from harness.process import wait_for

from .common import (
    ACKS,
    CODECS,
    NOW,
    Group,
    batches,
    check_codec,
    read_back,
    shapes,
    three_members,
)


def producer(address: str, **config: Any) -> Producer:
    """`config` takes "_" for "."."""
    dotted = {key.replace("_", "."): value for key, value in config.items()}
    return Producer({"bootstrap.servers": address, "log_level": 2, "linger.ms": 1, **dotted})


def consumer(address: str, group: str, **config: Any) -> Consumer:
    dotted = {key.replace("_", "."): value for key, value in config.items()}
    return Consumer(
        {
            "bootstrap.servers": address,
            "log_level": 2,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "session.timeout.ms": 6000,
            "heartbeat.interval.ms": 200,
            "fetch.wait.max.ms": 100,
            **dotted,
        }
    )


def send(to: Producer, topic: str, records: list[Record]) -> list[KafkaError | None]:
    """What came back for each, in order."""
    told: dict[int, KafkaError | None] = {}
    for index, r in enumerate(records):

        def delivered(error: KafkaError | None, _message: Message, index: int = index) -> None:
            told[index] = error

        to.produce(
            topic,
            r.value,
            r.key,
            0,
            on_delivery=delivered,
            timestamp=r.timestamp,
            headers=list(r.headers),
        )
    assert to.flush(30) == 0
    return [told[index] for index in range(len(records))]


def next_messages(reader: Consumer, count: int, timeout: float = 30) -> list[Message]:
    """Exactly the next so many."""
    got: list[Message] = []
    end = time.monotonic() + timeout
    while len(got) < count and time.monotonic() < end:
        for message in reader.consume(count - len(got), 0.2):
            if message.error() is not None:
                raise KafkaException(message.error())
            got.append(message)
    assert len(got) == count
    return got


# -- producing


@pytest.mark.parametrize("codec", CODECS)
def test_codec_and_acks(
    node: Broker, client: Client, topic: Topic, address: str, codec: str
) -> None:
    client.create_topic(topic())
    sent: list[Record] = []
    for acks in ACKS:
        more = shapes(70) + [r for i in range(5) for r in shapes(40, 100 * i)]
        to = producer(address, compression_type=codec, acks=acks, linger_ms=50)
        assert send(to, topic(), more) == [None] * len(more)
        sent += more
        wait_for("the records", lambda: client.offsets(topic())[1] == len(sent))
    assert read_back(client, topic()) == sent
    check_codec(node, topic(), codec)


def test_idempotent_producer(node: Broker, client: Client, topic: Topic, address: str) -> None:
    """Small batches, five requests on their way: one producer id, sequences without a gap, each
    record once; the next producer gets another id."""
    client.create_topic(topic())
    sent = list(numbered(3000, size=50))
    for half in (sent[:1500], sent[1500:]):
        to = producer(address, enable_idempotence=True, batch_num_messages=20)
        assert send(to, topic(), half) == [None] * 1500
    assert [r.value for r in read_back(client, topic())] == [r.value for r in sent]
    found = list(batches(node, topic()))
    ids = sorted({b.producer for b in found})
    assert len(ids) == 2 and ids[0] >= 0
    for offset, number in ((0, ids[0]), (1500, ids[1])):
        mine = [b for b in found if b.producer == number]
        assert [b.sequence for b in mine] == [b.base_offset - offset for b in mine]
        assert sum(b.count for b in mine) == 1500


def test_oversized(client: Client, topic: Topic, address: str) -> None:
    """The broker refuses what is larger than the topic allows, and takes what comes after it."""
    client.create_topic(topic(), max_message_bytes=20_000)
    records = [Record(None, b"a"), Record(None, b"x" * 30_000), Record(None, b"b")]
    to = producer(address, batch_num_messages=1, enable_idempotence=True)
    told = [send(to, topic(), [record])[0] for record in records]
    assert told[0] is None and told[2] is None
    assert told[1] is not None and told[1].code() == KafkaError.MSG_SIZE_TOO_LARGE
    assert [r.value for r in read_back(client, topic())] == [b"a", b"b"]


def test_broker_limit(client: Client, topic: Topic, address: str) -> None:
    """The broker's own default, 1 MiB and a little: just below passes, above does not."""
    client.create_topic(topic())
    to = producer(address, message_max_bytes=4 << 20, batch_num_messages=1)
    (told,) = send(to, topic(), [Record(None, b"x" * 1_048_000)])
    assert told is None
    (told,) = send(to, topic(), [Record(None, b"x" * 1_060_000)])
    assert told is not None and told.code() == KafkaError.MSG_SIZE_TOO_LARGE
    assert [len(r.value or b"") for r in read_back(client, topic())] == [1_048_000]


def test_large_records(client: Client, topic: Topic, address: str) -> None:
    """Records larger than what a consumer asks for come all the same."""
    client.create_topic(topic(), max_message_bytes=8 << 20)
    sent = [Record(None, bytes([65 + i]) * (3 << 20)) for i in range(4)]
    to = producer(address, message_max_bytes=8 << 20)
    assert send(to, topic(), sent) == [None] * 4
    reader = consumer(
        address,
        topic("group"),
        fetch_message_max_bytes=10_000,
        fetch_max_bytes=1_000_000,
        message_max_bytes=1_000_000,
    )
    reader.assign([TopicPartition(topic(), 0, OFFSET_BEGINNING)])
    assert [m.value() for m in next_messages(reader, 4)] == [r.value for r in sent]
    reader.close()


def test_unknown_topic(topic: Topic, address: str) -> None:
    to = producer(address, topic_metadata_propagation_max_ms=100)
    (told,) = send(to, topic(), [Record(None, b"x")])
    assert told is not None
    assert told.code() in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC)


def test_unknown_partition(client: Client, topic: Topic, address: str) -> None:
    client.create_topic(topic(), partitions=2)
    told: list[KafkaError | None] = []
    to = producer(address)
    to.produce(topic(), b"x", partition=2, on_delivery=lambda error, _message: told.append(error))
    to.flush(30)
    assert told[0] is not None and told[0].code() == KafkaError._UNKNOWN_PARTITION


def test_deleted_topic(client: Client, topic: Topic, address: str) -> None:
    """Producer and consumer are told; a new topic of that name starts empty, and both go on."""
    client.create_topic(topic())
    to = producer(address, topic_metadata_refresh_interval_ms=500, message_timeout_ms=3000)
    reader = consumer(address, topic("group"), topic_metadata_refresh_interval_ms=500)
    reader.subscribe([topic()])
    assert send(to, topic(), [Record(None, b"before")]) == [None]
    assert next_messages(reader, 1)[0].value() == b"before"
    client.delete_topic(topic())

    (told,) = send(to, topic(), [Record(None, b"lost")])
    assert told is not None
    assert told.code() in (
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
        KafkaError._MSG_TIMED_OUT,
    )

    def told_of_it() -> bool:
        message = reader.poll(0.2)
        error = message.error() if message is not None else None
        return error is not None and error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART

    wait_for("the consumer's error", told_of_it, every=0)
    client.create_topic(topic())
    assert client.offsets(topic()) == (0, 0)
    fresh = producer(address)
    assert send(fresh, topic(), [Record(None, b"after")]) == [None]

    def goes_on() -> bool:
        message = reader.poll(0.2)
        return message is not None and message.error() is None and message.value() == b"after"

    wait_for("the record after it", goes_on, every=0)
    reader.close()


def test_transactional_id(ours: None, address: str) -> None:
    """There are no transactions: one clear error that says so, at once and for good."""
    to = producer(address, transactional_id="me")
    begun = time.monotonic()
    with pytest.raises(KafkaException) as caught:
        to.init_transactions(20)
    assert time.monotonic() - begun < 5
    error = caught.value.args[0]
    assert not error.retriable()
    assert error.code() != KafkaError._TIMED_OUT


# -- consuming


def test_shapes(client: Client, topic: Topic, address: str) -> None:
    """Null is not empty, headers keep their order, timestamps are the producer's."""
    client.create_topic(topic())
    sent = shapes()
    client.produce(topic(), sent)
    reader = consumer(address, topic("group"))
    reader.assign([TopicPartition(topic(), 0, OFFSET_BEGINNING)])
    for index, (want, m) in enumerate(zip(sent, next_messages(reader, len(sent)), strict=True)):
        assert (m.offset(), m.key(), m.value()) == (index, want.key, want.value)
        assert tuple(m.headers() or ()) == want.headers
        assert m.timestamp() == (1, want.timestamp)
        assert m.leader_epoch() == 0
    reader.close()


def test_log_append_time(client: Client, topic: Topic, address: str) -> None:
    """message.timestamp.type=LogAppendTime: the broker's clock, in every codec."""
    client.create_topic(topic(), message_timestamp_type="LogAppendTime")
    begun = int(time.time() * 1000)
    for codec in CODECS:
        to = producer(address, compression_type=codec)
        told: list[Message] = []
        for i in range(10):
            to.produce(topic(), b"%d" % i, timestamp=NOW, on_delivery=lambda _e, m: told.append(m))
        to.flush(30)
        assert all(m.timestamp()[1] >= begun for m in told)
    got = read_back(client, topic())
    assert len(got) == 10 * len(CODECS)
    assert all(r.timestamp_type == "append" and r.timestamp >= begun for r in got)


@pytest.mark.parametrize("minimum", (1, 2000))
def test_long_poll(client: Client, topic: Topic, address: str, minimum: int) -> None:
    """A fetch that may wait 20 s is answered when its bytes are there, and not before."""
    client.create_topic(topic())
    reader = consumer(address, topic("group"), fetch_wait_max_ms=20_000, fetch_min_bytes=minimum)
    reader.assign([TopicPartition(topic(), 0, 0)])
    assert reader.poll(1) is None  # the fetch waits at the broker
    for _ in range(3):
        sizes = [3000]
        if minimum > 1:
            client.produce(topic(), [Record(None, b"x" * 10)])
            assert reader.poll(0.5) is None
            sizes = [10, 3000]
        begun = time.monotonic()
        client.produce(topic(), [Record(None, b"x" * 3000)])
        got = next_messages(reader, len(sizes), 10)
        assert time.monotonic() - begun < 2
        assert [len(m.value() or b"") for m in got] == sizes
    reader.close()


def test_positions(client: Client, topic: Topic, address: str) -> None:
    """earliest, latest, by time, out of range."""
    client.create_topic(topic())
    client.produce(topic(), [Record(None, b"%d" % i, (), NOW + 1000 * i) for i in range(100)])
    client.delete_records(topic(), 10)
    reader = consumer(address, topic("group"))
    assert reader.get_watermark_offsets(TopicPartition(topic(), 0)) == (10, 100)
    for timestamp, offset in ((0, 10), (NOW + 20_000, 20), (NOW + 20_001, 21), (NOW + 10**7, -1)):
        (found,) = reader.offsets_for_times([TopicPartition(topic(), 0, timestamp)], 10)
        assert found.error is None and found.offset == offset
    for start, first in ((OFFSET_BEGINNING, 10), (50, 50), (99, 99)):
        reader.assign([TopicPartition(topic(), 0, start)])
        assert next_messages(reader, 1)[0].offset() == first
    reader.assign([TopicPartition(topic(), 0, OFFSET_END)])
    assert reader.poll(0.5) is None
    client.produce(topic(), [Record(None, b"new")])
    assert next_messages(reader, 1)[0].offset() == 100
    reader.close()
    for reset, expected in (("earliest", 10), ("latest", 101)):
        for start in (3, 5000):
            reader = consumer(address, topic("group"), auto_offset_reset=reset)
            reader.assign([TopicPartition(topic(), 0, start)])
            if reset == "latest":
                wait_for("position", lambda: reader.poll(0.1) is None and _at(reader) == expected)
            else:
                assert next_messages(reader, 1)[0].offset() == expected
            reader.close()
    reader = consumer(address, topic("group"), auto_offset_reset="error")
    reader.assign([TopicPartition(topic(), 0, 5000)])
    with pytest.raises(KafkaException) as caught:
        next_messages(reader, 1)
    assert caught.value.args[0].code() == KafkaError._AUTO_OFFSET_RESET
    reader.close()


def _at(reader: Consumer) -> int:
    """Where the fetcher stands, as far as librdkafka tells: its reset position, once known."""
    (place,) = reader.assignment()
    low, high = reader.get_watermark_offsets(place, cached=True)
    return high if low >= 0 or high >= 0 else -1


# -- groups


class GroupMember:
    """One consumer, which commits what it got after every poll."""

    def __init__(self, address: str, group: str, topic: str, strategy: str, instance: str = ""):
        more = {"group_instance_id": instance} if instance else {}
        self.consumer = consumer(
            address,
            group,
            partition_assignment_strategy=strategy,
            client_id=instance or "m",
            **more,
        )
        self.revoked: list[int] = []
        self.given: list[int] = []
        self.lost: list[int] = []
        self.consumer.subscribe(
            [topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )

    def _on_assign(self, _consumer: Consumer, places: list[TopicPartition]) -> None:
        self.given += [place.partition for place in places]

    def _on_revoke(self, _consumer: Consumer, places: list[TopicPartition]) -> None:
        self.revoked += [place.partition for place in places]

    def _on_lost(self, _consumer: Consumer, places: list[TopicPartition]) -> None:
        self.lost += [place.partition for place in places]

    def poll(self) -> Iterator[tuple[int, int, bytes]]:
        for message in self.consumer.consume(500, 0.02):
            assert message.error() is None, message.error()
            self.consumer.commit(message=message, asynchronous=False)
            yield message.partition() or 0, message.offset() or 0, message.value() or b""

    def assigned(self) -> set[int]:
        return {place.partition for place in self.consumer.assignment()}

    def close(self) -> None:
        self.consumer.close()


@pytest.mark.parametrize("strategy", ("range", "cooperative-sticky"))
def test_three_members(client: Client, topic: Topic, address: str, strategy: str) -> None:
    client.create_topic(topic(), partitions=6)
    group = Group(client, topic(), 6)
    try:
        three_members(group, lambda: GroupMember(address, topic("group"), topic(), strategy))
    finally:
        group.close()


def test_cooperative_keeps(client: Client, topic: Topic, address: str) -> None:
    """A cooperative member gives up only what moves; it is never left without partitions."""
    client.create_topic(topic(), partitions=6)
    group = Group(client, topic(), 6)
    first = GroupMember(address, topic("group"), topic(), "cooperative-sticky")
    group.join(first)
    try:
        group.settle(6)
        group.join(GroupMember(address, topic("group"), topic(), "cooperative-sticky"))
        group.settle(3, 3)
        assert len(first.revoked) == 3 and first.lost == []
        assert set(first.revoked).isdisjoint(first.assigned())
        assert sorted(first.given) == list(range(6))  # what it kept was not given again
        group.exchange()
        group.check()
    finally:
        group.close()


def test_static_members(client: Client, topic: Topic, address: str) -> None:
    """A static member that restarts gets its partitions back and nobody else notices."""
    client.create_topic(topic(), partitions=4)
    group = Group(client, topic(), 4)
    one = GroupMember(address, topic("group"), topic(), "range", "one")
    two = GroupMember(address, topic("group"), topic(), "range", "two")
    group.join(one)
    group.join(two)
    try:
        group.settle(2, 2)
        group.exchange()
        mine, given = two.assigned(), list(one.given)
        group.leave(two)
        group.work()
        two = GroupMember(address, topic("group"), topic(), "range", "two")
        group.join(two)
        group.settle(2, 2)
        assert two.assigned() == mine
        assert one.given == given
        group.exchange()
        group.check()
    finally:
        group.close()


def test_static_member_fenced(client: Client, topic: Topic, address: str) -> None:
    """Two with one instance id: the older is told for good, the newer works."""
    client.create_topic(topic(), partitions=2)
    old = GroupMember(address, topic("group"), topic(), "range", "same")
    wait_for("old", lambda: list(old.poll()) == [] and old.assigned() == {0, 1}, every=0)
    new = GroupMember(address, topic("group"), topic(), "range", "same")

    def fenced() -> bool:
        list(new.poll())
        message = old.consumer.poll(0.05)
        error = message.error() if message is not None else None
        return error is not None and error.code() in (
            KafkaError.FENCED_INSTANCE_ID,
            KafkaError._FATAL,
        )

    wait_for("fenced", fenced, every=0)
    wait_for("new", lambda: list(new.poll()) == [] and new.assigned() == {0, 1}, every=0)
    old.close()
    new.close()


def test_commit_and_resume(client: Client, topic: Topic, address: str, node: Broker) -> None:
    """Committed offsets with their metadata, for the next consumer and after a restart."""
    client.create_topic(topic(), partitions=2)
    client.produce(topic(), numbered(100))
    reader = consumer(address, topic("group"))
    reader.assign([TopicPartition(topic(), 0, 0)])
    next_messages(reader, 30)
    reader.commit(
        offsets=[TopicPartition(topic(), 0, 30, metadata="where I was")], asynchronous=False
    )
    reader.close()

    def committed() -> list[tuple[int, str | None]]:
        reader = consumer(address, topic("group"))
        places = reader.committed([TopicPartition(topic(), p) for p in (0, 1)], 20)
        reader.close()
        return [(place.offset, place.metadata) for place in places]

    assert committed() == [(30, "where I was"), (-1001, None)]
    node.restart()
    assert wait_for("the group", committed) == [(30, "where I was"), (-1001, None)]
    reader = consumer(address, topic("group"))
    reader.subscribe([topic()])
    assert next_messages(reader, 70)[0].offset() == 30
    reader.close()


# -- TLS


@pytest.mark.parametrize("listener", ("SSL", "MTLS"))
def test_tls(
    peer: Cluster, client: Client, topic: Topic, authority: Authority, listener: str
) -> None:
    client.create_topic(topic())
    config = {"security_protocol": "ssl", "ssl_ca_location": str(authority.cert)}
    if listener == "MTLS":
        me = authority.issue("confluent")
        config |= {"ssl_certificate_location": str(me.cert), "ssl_key_location": str(me.key)}
    address = peer.bootstrap(listener)
    sent = list(numbered(5000, size=1000))
    to = producer(address, compression_type="lz4", **config)
    assert send(to, topic(), sent) == [None] * len(sent)
    reader = consumer(address, topic("group"), **config)
    reader.assign([TopicPartition(topic(), 0, OFFSET_BEGINNING)])
    got = next_messages(reader, len(sent))
    assert [(m.key(), m.value()) for m in got] == [(r.key, r.value) for r in sent]
    reader.close()

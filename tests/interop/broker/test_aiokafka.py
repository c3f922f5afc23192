# SPDX-License-Identifier: Apache-2.0
"""aiokafka 0.14.0: old versions of every request, no topic ids, no sessions."""

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest
from aiokafka import (
    AIOKafkaConsumer,
    AIOKafkaProducer,
    ConsumerRebalanceListener,
    TopicPartition,
)
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import (
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    NotLeaderForPartitionError,
    UnknownTopicOrPartitionError,
)
from aiokafka.structs import OffsetAndMetadata

from conftest import Topic
from harness.broker import Broker, Cluster
from harness.certs import Authority
from harness.client import Client, Record, numbered
from harness.process import wait_for

from .common import ACKS, CODECS, NOW, batches, check_codec, read_back, shapes, share

# What a producer may see of a topic that is not there; Kafka's log goes a moment after its topic.
GONE = (KafkaTimeoutError, UnknownTopicOrPartitionError, NotLeaderForPartitionError)
SETTINGS = {"group.min.session.timeout.ms": "500"}


def run(steps: Coroutine[Any, Any, None]) -> None:
    """A whole test on one loop; nothing may take longer than a minute."""
    asyncio.run(asyncio.wait_for(steps, 60))


def consumer(address: str, *topics: str, **config: Any) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        *topics,
        **{
            "bootstrap_servers": address,
            "auto_offset_reset": "earliest",
            "enable_auto_commit": False,
            "session_timeout_ms": 6000,
            "heartbeat_interval_ms": 200,
            "fetch_max_wait_ms": 100,
            "metadata_max_age_ms": 2000,
            **config,
        },
    )


async def send(to: AIOKafkaProducer, topic: str, records: list[Record]) -> None:
    sent = [
        await to.send(topic, r.value, r.key, 0, r.timestamp or None, list(r.headers))
        for r in records
    ]
    await asyncio.gather(*sent)


async def until(what: str, probe: Callable[[], Awaitable[Any]], timeout: float = 30) -> None:
    end = time.monotonic() + timeout
    while not await probe():
        assert time.monotonic() < end, what
        await asyncio.sleep(0.02)


async def next_records(reader: AIOKafkaConsumer, count: int) -> list[Any]:
    return [await asyncio.wait_for(reader.getone(), 20) for _ in range(count)]


@pytest.mark.parametrize("codec", CODECS)
def test_codec_and_acks(
    node: Broker, client: Client, topic: Topic, address: str, codec: str
) -> None:
    client.create_topic(topic())
    some = [r for i in range(5) for r in shapes(40, 100 * i)]
    sent = some * len(ACKS)

    async def steps() -> None:
        kind = None if codec == "none" else codec
        for number, acks in enumerate(ACKS):
            async with AIOKafkaProducer(
                bootstrap_servers=address, compression_type=kind, acks=acks, linger_ms=50
            ) as to:
                await send(to, topic(), some)
            end = len(some) * (number + 1)
            wait_for("the records", lambda: client.offsets(topic())[1] == end)
        async with consumer(address) as reader:
            reader.assign([TopicPartition(topic(), 0)])
            got = await next_records(reader, len(sent))
        assert [r.offset for r in got] == list(range(len(sent)))
        assert [Record(r.key, r.value, tuple(r.headers), r.timestamp) for r in got] == sent

    run(steps())
    assert read_back(client, topic()) == sent
    check_codec(node, topic(), codec)


def test_idempotent_producer(node: Broker, client: Client, topic: Topic, address: str) -> None:
    client.create_topic(topic())
    sent = [Record(None, b"%d" % i) for i in range(2000)]

    async def steps() -> None:
        async with AIOKafkaProducer(
            bootstrap_servers=address, enable_idempotence=True, max_batch_size=500
        ) as to:
            await send(to, topic(), sent)

    run(steps())
    assert [r.value for r in read_back(client, topic())] == [r.value for r in sent]
    found = list(batches(node, topic()))
    assert len(found) > 10 and {b.producer for b in found} == {found[0].producer}
    assert found[0].producer >= 0
    assert [b.sequence for b in found] == [b.base_offset for b in found]


def test_long_poll(client: Client, topic: Topic, address: str) -> None:
    """getone waits as long as it must, and no longer."""
    client.create_topic(topic())

    async def steps() -> None:
        async with consumer(address, fetch_max_wait_ms=15_000) as reader:
            reader.assign([TopicPartition(topic(), 0)])
            assert await reader.getmany(timeout_ms=1000) == {}
            for number in range(3):
                begun = time.monotonic()
                client.produce(topic(), [Record(None, b"%d" % number)])
                (record,) = await next_records(reader, 1)
                assert record.value == b"%d" % number and time.monotonic() - begun < 2

    run(steps())


def test_positions(client: Client, topic: Topic, address: str) -> None:
    place = TopicPartition(topic(), 0)
    client.create_topic(topic())
    client.produce(topic(), [Record(None, b"%d" % i, (), NOW + 1000 * i) for i in range(50)])
    client.delete_records(topic(), 10)

    async def steps() -> None:
        async with consumer(address) as reader:
            reader.assign([place])
            assert await reader.beginning_offsets([place]) == {place: 10}
            assert await reader.end_offsets([place]) == {place: 50}
            found = (await reader.offsets_for_times({place: NOW + 15_001}))[place]
            assert (found.offset, found.timestamp) == (16, NOW + 16_000)
            assert (await reader.offsets_for_times({place: NOW + 10**7}))[place] is None
            reader.seek(place, 30)
            assert (await reader.getone()).offset == 30
            reader.seek(place, 5)
            assert (await reader.getone()).offset == 10
            await reader.seek_to_end(place)
            assert await reader.position(place) == 50

    run(steps())


@pytest.mark.parametrize("listener", ("SSL", "MTLS"))
def test_tls(
    peer: Cluster, client: Client, topic: Topic, authority: Authority, listener: str
) -> None:
    client.create_topic(topic())
    context = ssl.create_default_context(cafile=str(authority.cert))
    if listener == "MTLS":
        me = authority.issue("aiokafka")
        context.load_cert_chain(me.cert, me.key)
    config: dict[str, Any] = {"security_protocol": "SSL", "ssl_context": context}
    address = peer.bootstrap(listener)
    sent = [Record(b"k%d" % i, b"%d" % i * 100) for i in range(1000)]

    async def steps() -> None:
        async with AIOKafkaProducer(bootstrap_servers=address, **config) as to:
            await send(to, topic(), sent)
        async with consumer(address, **config) as reader:
            reader.assign([TopicPartition(topic(), 0)])
            got = await next_records(reader, len(sent))
        assert [(r.key, r.value) for r in got] == [(r.key, r.value) for r in sent]

    run(steps())


# -- errors


def test_errors(client: Client, topic: Topic, address: str) -> None:
    """Unknown and deleted topics, records that are too large."""
    client.create_topic(topic(), max_message_bytes=10_000)

    async def steps() -> None:
        async with AIOKafkaProducer(bootstrap_servers=address, request_timeout_ms=2000) as to:
            with pytest.raises(GONE):
                await to.send_and_wait(topic("unknown"), b"x")
            await to.send_and_wait(topic(), b"a")
            with pytest.raises(MessageSizeTooLargeError):
                await to.send_and_wait(topic(), b"x" * 20_000)
            await to.send_and_wait(topic(), b"b")
            async with consumer(address) as reader:
                reader.assign([TopicPartition(topic(), 0)])
                assert [r.value for r in await next_records(reader, 2)] == [b"a", b"b"]
            client.delete_topic(topic())
            with pytest.raises(GONE):
                await to.send_and_wait(topic(), b"gone")

    run(steps())


def test_transactional_id(ours: None, address: str) -> None:
    """There are no transactions: an error that says so, at once."""

    async def steps() -> None:
        begun = time.monotonic()
        to = AIOKafkaProducer(bootstrap_servers=address, transactional_id="me")
        with pytest.raises(KafkaError):
            await asyncio.wait_for(to.start(), 20)
        assert time.monotonic() - begun < 5
        await to.stop()

    run(steps())


# -- groups


class Changes(ConsumerRebalanceListener):
    """Counts a member's rebalances."""

    def __init__(self) -> None:
        self.count = 0

    def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        pass

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self.count += 1


class GroupMember:
    """A consumer that reads and commits in a task of its own."""

    def __init__(
        self, reader: AIOKafkaConsumer, topic: str, got: list[tuple[int, int, bytes]]
    ) -> None:
        self.reader = reader
        self.changes = Changes()
        self.reader.subscribe([topic], listener=self.changes)
        self.got = got
        self.task = asyncio.ensure_future(self._work())

    async def _work(self) -> None:
        await self.reader.start()
        while True:
            found = await self.reader.getmany(timeout_ms=50)
            for records in found.values():
                self.got += [(r.partition, r.offset, r.value) for r in records]
            if found:
                await self.reader.commit()

    def assigned(self) -> set[int]:
        assert not self.task.done(), self.task.exception()
        return {place.partition for place in self.reader.assignment()}

    async def leave(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.reader.stop()

    def poll(self) -> list[tuple[int, int, bytes]]:
        return []

    def close(self) -> None:
        raise NotImplementedError


@pytest.mark.parametrize("assignor", (RangePartitionAssignor, StickyPartitionAssignor))
def test_three_members(client: Client, topic: Topic, address: str, assignor: Any) -> None:
    """Both of its protocols are eager: everyone stops, everyone gets anew."""
    client.create_topic(topic(), partitions=6)
    got: list[tuple[int, int, bytes]] = []
    members: list[GroupMember] = []
    sent = 0

    def join() -> None:
        reader = consumer(address, group_id=topic("g"), partition_assignment_strategy=[assignor])
        members.append(GroupMember(reader, topic(), got))

    async def settle(*counts: int) -> None:
        async def probe() -> bool:
            if not share(counts, 6, members):
                return False
            await asyncio.sleep(0.3)
            return share(counts, 6, members)

        await until(f"shared as {counts}", probe)

    async def exchange() -> None:
        nonlocal sent
        for partition in range(6):
            values = [Record(None, b"%d-%d" % (partition, i)) for i in range(sent, sent + 20)]
            client.produce(topic(), values, partition)
        sent += 20

        async def complete() -> bool:
            return len(got) >= 6 * sent

        await until("all records", complete)

    async def steps() -> None:
        join()
        await settle(6)
        await exchange()
        join()
        join()
        await settle(2, 2, 2)
        await exchange()
        await members.pop(1).leave()
        await settle(3, 3)
        await exchange()
        for member in members:
            await member.leave()

    run(steps())
    for partition in range(6):
        mine = [(offset, value) for p, offset, value in got if p == partition]
        assert mine == [(i, b"%d-%d" % (partition, i)) for i in range(sent)]


def test_static_members(client: Client, topic: Topic, address: str) -> None:
    client.create_topic(topic(), partitions=4)
    got: list[tuple[int, int, bytes]] = []

    def member(name: str) -> GroupMember:
        reader = consumer(address, group_id=topic("g"), group_instance_id=name)
        return GroupMember(reader, topic(), got)

    async def steps() -> None:
        one, two = member("one"), member("two")

        async def settled() -> bool:
            if not share((2, 2), 4, (one, two)):
                return False
            await asyncio.sleep(0.3)
            return share((2, 2), 4, (one, two))

        await until("settled", settled)
        mine, before = two.assigned(), one.changes.count
        await two.leave()
        two = member("two")
        await until("settled", settled)
        assert two.assigned() == mine and one.changes.count == before
        await one.leave()
        await two.leave()

    run(steps())


def test_commit_and_resume(client: Client, topic: Topic, address: str) -> None:
    place = TopicPartition(topic(), 0)
    client.create_topic(topic())
    client.produce(topic(), numbered(100))

    async def steps() -> None:
        async with consumer(address, topic(), group_id=topic("g")) as reader:
            assert (await next_records(reader, 40))[-1].offset == 39
            await reader.commit({place: OffsetAndMetadata(40, "here")})
            assert await reader.committed(place) == 40
        async with consumer(address, topic(), group_id=topic("g")) as reader:
            assert (await next_records(reader, 60))[0].offset == 40

    run(steps())


# -- admin


def test_admin(client: Client, topic: Topic, address: str) -> None:
    """Each call of its admin client."""
    name = topic()
    place = TopicPartition(name, 0)

    def codes(answer: Any) -> list[int]:
        rows = getattr(answer, "topic_errors", None) or getattr(answer, "topic_error_codes", None)
        return [row[1] for row in rows]

    async def steps() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=address)
        await admin.start()
        try:
            made = NewTopic(name, 2, 1, topic_configs={"retention.ms": "7777777"})
            assert codes(await admin.create_topics([made])) == [0]
            assert codes(await admin.create_topics([made])) == [36]
            assert codes(await admin.create_topics([NewTopic("a b", 1, 1)])) == [17]
            assert codes(await admin.create_partitions({name: NewPartitions(3)})) == [0]
            wait_for("metadata", lambda: client.topics().get(name) == 3)
            assert name in await admin.list_topics()
            (told,) = await admin.describe_topics([name])
            assert sorted(p["partition"] for p in told["partitions"]) == [0, 1, 2]
            assert (await admin.describe_cluster())["controller_id"] == 1

            resource = ConfigResource(ConfigResourceType.TOPIC, name, {"segment.ms": "999999"})
            await admin.alter_configs([resource])
            (answer,) = await admin.describe_configs(
                [ConfigResource(ConfigResourceType.TOPIC, name)]
            )
            (row,) = answer.resources
            values = {entry[0]: entry[1] for entry in row[4]}
            assert values["segment.ms"] == "999999"
            assert values["retention.ms"] == "604800000"  # AlterConfigs replaces all

            client.produce(name, numbered(10))
            told = await admin.delete_records({place: RecordsToDelete(before_offset=4)})
            assert told == {place: 4}

            async with consumer(address, name, group_id=topic("g")) as reader:
                assert len(await next_records(reader, 6)) == 6
                await reader.commit()
                (answer,) = await admin.describe_consumer_groups([topic("g")])
                (row,) = answer.groups
                assert row[:4] == (0, topic("g"), "Stable", "consumer")
            assert (topic("g"), "consumer") in await admin.list_consumer_groups()
            found = await admin.list_consumer_group_offsets(topic("g"))
            assert found[place].offset == 10

            assert codes(await admin.delete_topics([name, topic("no")])) in ([0, 3], [3, 0])
        finally:
            await admin.close()

    run(steps())
    wait_for("gone", lambda: name not in client.topics())

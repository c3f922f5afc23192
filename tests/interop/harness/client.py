# SPDX-License-Identifier: Apache-2.0
"""Short words for what tests do to a cluster, over confluent-kafka (librdkafka)."""

import time
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Iterable, Iterator, Sequence

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)

from .broker import Cluster
from .process import wait_for

Headers = tuple[tuple[str, bytes | None], ...]
TIMESTAMP_TYPES = {0: "none", 1: "create", 2: "append"}


@dataclass(frozen=True, slots=True)
class Record:
    """What a reader sees of one record, its offset apart."""

    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    timestamp: int = 0  # milliseconds; 0 in a record to produce: now
    timestamp_type: str = "create"


@dataclass(frozen=True, slots=True)
class Stored:
    """A record and where it lies."""

    offset: int
    record: Record


IDEMPOTENT: dict[str, Any] = {"enable_idempotence": True, "retries": 1000}


class Client:
    """One cluster as a test sees it."""

    def __init__(self, cluster: Cluster):
        self.cluster = cluster
        self.config: dict[str, Any] = {
            "bootstrap.servers": cluster.bootstrap(),
            "log_level": 2,
            "topic.metadata.refresh.interval.ms": 1000,
            "reconnect.backoff.max.ms": 500,
        }
        self.admin = AdminClient(dict(self.config))
        self.reader = self._consumer()  # for offsets; never assigned anything
        # Consumers at rest, by isolation level: a new one takes half a second to its first record.
        self.idle: dict[str, list[Consumer]] = defaultdict(list)

    # -- topics

    def create_topic(
        self, topic: str, partitions: int = 1, replication: int = 1, **config: str | int
    ) -> None:
        """Config names take "_" for "."."""
        entries = {key.replace("_", "."): str(value) for key, value in config.items()}
        _result(
            self.admin.create_topics([NewTopic(topic, partitions, replication, config=entries)])
        )
        wait_for(
            f"topic {topic}",
            lambda: self.leaders(topic).count(-1) == 0 and len(self.leaders(topic)) == partitions,
        )

    def create_assigned(self, topic: str, replicas: list[int], **config: str | int) -> None:
        """One partition with its replicas on these brokers, the first its leader."""
        entries = {key.replace("_", "."): str(value) for key, value in config.items()}
        new = NewTopic(topic, 1, replica_assignment=[replicas], config=entries)
        _result(self.admin.create_topics([new]))
        wait_for(f"topic {topic}", lambda: self.leaders(topic) == replicas[:1])

    def delete_topic(self, topic: str) -> None:
        _result(self.admin.delete_topics([topic]))
        wait_for(f"{topic} gone", lambda: topic not in self.topics())

    def topics(self) -> dict[str, int]:
        """Topic name -> number of partitions."""
        return {
            name: len(meta.partitions)
            for name, meta in self.admin.list_topics(timeout=10).topics.items()
        }

    def leaders(self, topic: str) -> list[int]:
        """The leader's node id of each partition, -1 where there is none."""
        meta = self.admin.list_topics(topic, timeout=10).topics[topic]
        if meta.error is not None:
            raise KafkaException(meta.error)
        return [meta.partitions[p].leader for p in sorted(meta.partitions)]

    def in_sync(self, topic: str) -> list[list[int]]:
        """The in-sync replicas of each partition."""
        partitions = self.admin.list_topics(topic, timeout=10).topics[topic].partitions
        return [sorted(partitions[p].isrs) for p in sorted(partitions)]

    def grow_topic(self, topic: str, partitions: int) -> None:
        _result(self.admin.create_partitions([NewPartitions(topic, partitions)]))
        wait_for(
            f"{topic} grown",
            lambda: len(self.leaders(topic)) == partitions and -1 not in self.leaders(topic),
        )

    def alter_config(self, topic: str, **config: str | int | None) -> None:
        """None deletes the override."""
        entries = [
            ConfigEntry(
                key.replace("_", "."),
                None if value is None else str(value),
                incremental_operation=(
                    AlterConfigOpType.DELETE if value is None else AlterConfigOpType.SET
                ),
            )
            for key, value in config.items()
        ]
        _result(
            self.admin.incremental_alter_configs(
                [ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=entries)]
            )
        )

    def alter_broker(self, node: int, name: str, value: str) -> None:
        """Change one of a broker's dynamic settings, such as a listener's key store."""
        entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(
            ConfigResource.Type.BROKER, str(node), incremental_configs=[entry]
        )
        _result(self.admin.incremental_alter_configs([resource]))

    def topic_config(self, topic: str) -> dict[str, str]:
        """The overrides that the topic has itself."""
        found = _result(
            self.admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, topic)])
        )
        return {name: entry.value for name, entry in found.items() if entry.source == 1}

    def delete_records(self, topic: str, before: int, partition: int = 0) -> None:
        """Move the log start offset up to `before`, as retention does."""
        _result(self.admin.delete_records([TopicPartition(topic, partition, before)]))

    # -- access

    def allow(self, user: str, operation: str, kind: str, name: str) -> None:
        """An ACL, as `allow("User:CN=m", "READ", "TOPIC", "orders")`."""
        _result(self.admin.create_acls([AclBinding(*_allowed(user, operation, kind, name))]))

    def forbid(self, user: str, operation: str, kind: str, name: str) -> None:
        """Take that ACL away again."""
        which = AclBindingFilter(*_allowed(user, operation, kind, name))
        _result(self.admin.delete_acls([which]))

    # -- producing

    def produce(
        self,
        topic: str,
        records: Iterable[Record],
        partition: int = 0,
        codec: str = "none",
        **config: Any,
    ) -> None:
        """Produce in order and wait for every acknowledgement. `config` takes "_" for ".".

        Nothing is retried: where brokers fail meanwhile, ask for IDEMPOTENT, which costs half a
        second (librdkafka waits so long for its producer id).
        """
        producer = self._producer(
            {"compression.type": codec, "linger.ms": 5, "retries": 0, **_dotted(config)}
        )
        failed: list[KafkaError] = []
        _send(producer, topic, records, partition, failed)
        left = producer.flush(60)
        if failed or left:
            raise KafkaException(failed[0] if failed else f"{left} records not acknowledged")

    def produce_spread(
        self,
        topic: str,
        records: Iterable[Record],
        partitions: int,
        codec: str = "none",
        **config: Any,
    ) -> None:
        """Like `produce`, the records dealt out to the partitions in turn."""
        producer = self._producer(
            {
                "compression.type": codec,
                **_dotted(config),
                "queue.buffering.max.messages": 1_000_000,
            }
        )
        failed: list[KafkaError] = []
        for number, record in enumerate(records):
            _send(producer, topic, [record], number % partitions, failed)
        if producer.flush(120) or failed:
            raise KafkaException(failed[0] if failed else "not acknowledged")

    def transaction(
        self,
        topic: str,
        records: Iterable[Record],
        *,
        commit: bool,
        partition: int = 0,
        codec: str = "none",
        name: str = "tests",
    ) -> None:
        with self.open_transaction(topic, records, partition, codec, name) as producer:
            _end_transaction(producer, commit)

    def transactions(
        self,
        topic: str,
        each: Iterable[tuple[Sequence[Record], bool]],
        name: str = "tests",
    ) -> None:
        """Records, and whether they are committed: one transaction behind the other.

        By two producers in turn, since one waits before its next until the markers of its last
        are written, and a new one for each takes much longer.
        """
        producers = [self._transactional(f"{name}-{number}", "none") for number in range(2)]
        for number, (records, commit) in enumerate(each):
            producer = producers[number % len(producers)]
            _begin_transaction(producer, topic, records, 0)
            _end_transaction(producer, commit)

    @contextmanager
    def open_transaction(
        self,
        topic: str,
        records: Iterable[Record],
        partition: int = 0,
        codec: str = "none",
        name: str = "tests",
    ) -> Iterator[Producer]:
        """The records are in the log, their transaction is open; the caller ends it."""
        producer = self._transactional(name, codec)
        _begin_transaction(producer, topic, records, partition)
        yield producer

    def _transactional(self, name: str, codec: str) -> Producer:
        producer = self._producer({"transactional.id": name, "compression.type": codec})
        producer.init_transactions(30)
        return producer

    def _producer(self, extra: dict[str, Any]) -> Producer:
        return Producer({**self.config, "message.timeout.ms": 60000, **extra})

    # -- reading

    def offsets(self, topic: str, partition: int = 0) -> tuple[int, int]:
        """The log start offset and the high watermark."""
        low, high = self.reader.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
        return low, high

    def end_offsets(self, topic: str) -> list[int]:
        """The high watermark of each partition."""
        return [self.offsets(topic, partition)[1] for partition in range(len(self.leaders(topic)))]

    def read(
        self, topic: str, partition: int = 0, isolation: str = "read_committed"
    ) -> list[Stored]:
        """Every record of the partition from its start to its end at this moment."""
        return list(self.records(topic, partition, isolation))

    def records(
        self,
        topic: str,
        partition: int = 0,
        isolation: str = "read_committed",
        patience: float = 60,
    ) -> Iterator[Stored]:
        """The same one by one; TimeoutError when none comes for `patience` seconds."""
        idle = self.idle[isolation]
        reader = idle.pop() if idle else self._consumer(isolation)
        done = False
        try:
            reader.assign([TopicPartition(topic, partition, OFFSET_BEGINNING)])
            last = time.monotonic()
            while not done and time.monotonic() - last < patience:
                message = reader.poll(0.5)
                if message is None:
                    continue
                last = time.monotonic()
                error = message.error()
                if error is None:
                    yield Stored(message.offset() or 0, _record(message))
                elif error.code() == KafkaError._PARTITION_EOF:
                    done = True
                else:
                    raise KafkaException(error)
            if not done:
                raise TimeoutError(f"reading {topic}-{partition}")
        finally:
            if done:
                reader.unassign()
                idle.append(reader)
            else:
                reader.close()

    def _consumer(self, isolation: str = "read_committed") -> Consumer:
        return Consumer(
            {
                **self.config,
                "group.id": "unused",
                "enable.auto.commit": False,
                "isolation.level": isolation,
                "enable.partition.eof": True,
                "auto.offset.reset": "error",
                "check.crcs": True,
                "fetch.wait.max.ms": 10,
                "fetch.message.max.bytes": 4 << 20,
            }
        )


def _send(
    producer: Producer,
    topic: str,
    records: Iterable[Record],
    partition: int,
    failed: list[KafkaError],
) -> None:
    def acknowledged(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            failed.append(error)

    for record in records:
        while True:
            try:
                producer.produce(
                    topic,
                    record.value,
                    record.key,
                    partition,
                    on_delivery=acknowledged,
                    timestamp=record.timestamp,
                    headers=list(record.headers) or None,
                )
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)


def _begin_transaction(
    producer: Producer, topic: str, records: Iterable[Record], partition: int
) -> None:
    failed: list[KafkaError] = []
    producer.begin_transaction()
    _send(producer, topic, records, partition, failed)
    if producer.flush(30) or failed:
        raise KafkaException(failed[0] if failed else "not acknowledged")


def _end_transaction(producer: Producer, commit: bool) -> None:
    if commit:
        producer.commit_transaction(30)
    else:
        producer.abort_transaction(30)


def _record(message: Message) -> Record:
    kind, timestamp = message.timestamp()
    headers: Any = message.headers() or ()
    return Record(message.key(), message.value(), tuple(headers), timestamp, TIMESTAMP_TYPES[kind])


def _allowed(user: str, operation: str, kind: str, name: str) -> tuple[Any, ...]:
    """What makes an ACL, and the filter that finds it."""
    return (
        ResourceType[kind],
        name,
        ResourcePatternType.LITERAL,
        user,
        "*",
        AclOperation[operation],
        AclPermissionType.ALLOW,
    )


def _result(futures: dict[Any, Any]) -> Any:
    """The value of the one future, its error raised."""
    (future,) = futures.values()
    return future.result(30)


def _dotted(config: dict[str, Any]) -> dict[str, Any]:
    return {key.replace("_", "."): value for key, value in config.items()}


def numbered(count: int, start: int = 0, size: int = 0, key: bool = True) -> Sequence[Record]:
    """`count` records that tell their number, padded to `size` bytes of value."""
    return [
        Record(b"k%d" % i if key else None, (b"%010d " % i).ljust(size, b"x"))
        for i in range(start, start + count)
    ]

# SPDX-License-Identifier: Apache-2.0
"""Admin requests, answer by answer beside Apache Kafka: the same codes, the same words, the same values.

Both brokers get every request in the same order. What must differ (ids, addresses, sizes) is evened
out first, and so is what differs by design; the code says why.
"""

import time
from functools import partial
from typing import Any

import pytest

from harness.process import wait_for
from harness.wire import Message

from .raw import Raw

METADATA, CREATE, DELETE, DESCRIBE_CONFIGS, ALTER_CONFIGS, LOG_DIRS = 3, 19, 20, 32, 33, 35
PARTITIONS, ELECT, INCREMENTAL, REASSIGNMENTS, CLUSTER, PRODUCERS = 37, 43, 44, 46, 60, 61
RESOURCES, TOPIC_PARTITIONS = 74, 75
TOPIC, BROKER, CLIENT_METRICS, GROUP = 2, 4, 16, 32
SET, UNSET, APPEND, SUBTRACT = 0, 1, 2, 3
NO_ID = bytes(16)
SOME_ID = bytes(range(16))

# Kafka's harness settings give these another value or source.
SET_BY_HARNESS = {
    "min.insync.replicas",
    "file.delete.delay.ms",
    "unclean.leader.election.enable",
}

Request = tuple[int, int, dict[str, Any]]  # api, version, body


# -- requests


def create(name: str, partitions: int = 1, factor: int = 1, **more: Any) -> Request:
    version = more.pop("version", 7)
    configs = more.pop("configs", {})
    brokers = more.pop("assign", [])
    topic = {
        "Name": name,
        "NumPartitions": partitions,
        "ReplicationFactor": factor,
        "Assignments": [{"PartitionIndex": p, "BrokerIds": ids} for p, ids in brokers],
        "Configs": [{"Name": k, "Value": v} for k, v in configs.items()],
    }
    return CREATE, version, {
        "Topics": [topic] * more.pop("times", 1),
        "timeoutMs": 20000,
        "validateOnly": more.pop("check", False),
    }


def try_config(name: str, value: str | None) -> Request:
    return create("like-config", configs={name: value}, check=True)


def alter(kind: int, name: str, *changes: tuple[str, int, str | None], times: int = 1) -> Request:
    """IncrementalAlterConfigs."""
    resource = {
        "ResourceType": kind,
        "ResourceName": name,
        "Configs": [{"Name": n, "ConfigOperation": o, "Value": v} for n, o, v in changes],
    }
    return INCREMENTAL, 1, {"Resources": [resource] * times, "ValidateOnly": False}


def replace(kind: int, name: str, *values: tuple[str, str | None]) -> Request:
    """AlterConfigs."""
    configs = [{"Name": n, "Value": v} for n, v in values]
    resource = {"ResourceType": kind, "ResourceName": name, "Configs": configs}
    return ALTER_CONFIGS, 2, {"Resources": [resource], "ValidateOnly": False}


def describe(kind: int, name: str, *keys: str, version: int = 4) -> Request:
    resource = {
        "ResourceType": kind,
        "ResourceName": name,
        "ConfigurationKeys": list(keys) or None,
    }
    return DESCRIBE_CONFIGS, version, {"Resources": [resource], "IncludeSynonyms": True}


def delete(*names: str, version: int = 5) -> Request:
    return DELETE, version, {"TopicNames": list(names), "TimeoutMs": 20000}


def delete_by(name: str | None, topic: bytes = NO_ID) -> Request:
    return DELETE, 6, {"Topics": [{"Name": name, "TopicId": topic}], "TimeoutMs": 20000}


def grow(name: str, count: int, assign: list[list[int]] | None = None, **more: Any) -> Request:
    brokers = None if assign is None else [{"BrokerIds": ids} for ids in assign]
    topic = {"Name": name, "Count": count, "Assignments": brokers}
    return PARTITIONS, 3, {
        "Topics": [topic] * more.pop("times", 1),
        "TimeoutMs": 20000,
        "ValidateOnly": more.pop("check", False),
    }


def metadata(version: int, *names: str | None, **more: Any) -> Request:
    topics = [{"Name": n, "TopicId": more.get("topic", NO_ID)} for n in names]
    return METADATA, version, {
        "Topics": topics,
        "AllowAutoTopicCreation": False,
        "IncludeTopicAuthorizedOperations": version >= 8,
        "IncludeClusterAuthorizedOperations": 8 <= version <= 10,
    }


def pages(limit: int, *names: str, cursor: tuple[str, int] | None = None) -> Request:
    at = None if cursor is None else {"TopicName": cursor[0], "PartitionIndex": cursor[1]}
    return TOPIC_PARTITIONS, 0, {
        "Topics": [{"Name": n} for n in names],
        "ResponsePartitionLimit": limit,
        "Cursor": at,
    }


def on(topic: str, *partitions: int, field: str = "Partitions") -> dict[str, Any]:
    return {"Topic": topic, "Name": topic, field: list(partitions)}


CONFIG_VALUES: list[tuple[str, str | None]] = [
    ("foo", "1"),
    ("retention.ms", "x"),
    ("retention.ms", "-2"),
    ("retention.ms", "99999999999999999999"),
    ("retention.ms", None),
    ("retention.ms", " 5 "),
    ("retention.ms", ""),
    ("retention.ms", "+5"),
    ("cleanup.policy", "compact,foo"),
    ("cleanup.policy", ""),
    ("cleanup.policy", "compact, delete"),
    ("cleanup.policy", "compact,compact"),
    ("cleanup.policy", "DELETE"),
    ("compression.type", "GZIP"),
    ("compression.type", "uncompressed"),
    ("compression.type", "none"),
    ("compression.gzip.level", "0"),
    ("compression.zstd.level", "23"),
    ("compression.zstd.level", "-131073"),
    ("compression.lz4.level", "18"),
    ("segment.bytes", "1048575"),
    ("segment.bytes", "3000000000"),
    ("segment.ms", "0"),
    ("min.cleanable.dirty.ratio", "x"),
    ("min.cleanable.dirty.ratio", "-0.1"),
    ("min.cleanable.dirty.ratio", "1e-1"),
    ("preallocate", "yes"),
    ("message.timestamp.type", "foo"),
    ("message.timestamp.after.max.ms", "-1"),
    ("remote.storage.enable", "true"),
    ("min.insync.replicas", "2"),
    ("min.insync.replicas", "0"),
    ("leader.replication.throttled.replicas", "0:1,1:1"),
    ("leader.replication.throttled.replicas", "*"),
    ("max.message.bytes", "-1"),
    ("segment.index.bytes", "3"),
    ("flush.messages", "0"),
    ("local.retention.bytes", "-3"),
    ("local.retention.ms", "10"),
    ("file.delete.delay.ms", "-1"),
    ("unclean.leader.election.enable", "true"),
    ("message.format.version", "3.0"),
    ("max.compaction.lag.ms", "0"),
]

# In this order: later requests build on what earlier ones made.
REQUESTS: list[Request] = [
    *(create(name) for name in ("", ".", "..", "a b", "a/b")),
    create("like.kafka", 2),
    create("like.kafka"),
    create("like_kafka"),
    create("like-0", 0),
    create("like-2", -2),
    create("like-rf", 1, 2),
    create("like-rf", 1, 0),
    create("like-many", 20000, check=True),
    create("like-twice", times=2),
    *(create("like-default", -1, -1, check=True, version=v) for v in (4, 5, 7)),
    create("like-a", -1, -1, assign=[(0, [1]), (1, [1])], check=True),
    create("like-a", 2, -1, assign=[(0, [1])]),
    create("like-a", -1, 1, assign=[(0, [1])]),
    create("like-a", -1, -1, assign=[(0, [1, 1])]),
    create("like-a", -1, -1, assign=[(0, [7])]),
    create("like-a", -1, -1, assign=[(1, [1])]),
    create("like-a", -1, -1, assign=[(0, [])]),
    create("like-a", -1, -1, assign=[(0, [1]), (0, [1])]),
    *(try_config(name, value) for name, value in CONFIG_VALUES),
    create("like-c", configs={"min.compaction.lag.ms": "10", "max.compaction.lag.ms": "5"}),
    create("like-c", configs={"retention.ms": "10", "foo": "5"}),
    create("like-c", configs={"retention.ms": "10", "cleanup.policy": "compact"}),
    create("like-c.1", configs={"retention.ms": "10"}, check=True),
    # configurations
    describe(TOPIC, "like-c"),
    describe(TOPIC, "like-c", version=1),
    describe(TOPIC, "like-c", "retention.ms", "foo"),
    describe(TOPIC, ""),
    describe(TOPIC, "a b"),
    describe(BROKER, "2"),
    describe(BROKER, "x"),
    describe(BROKER, "1", "num.partitions", "log.retention.bytes", "message.max.bytes"),
    describe(BROKER, "1", "default.replication.factor", "broker.id", "process.roles"),
    describe(BROKER, "1", "fetch.max.bytes", "delete.topic.enable", "group.max.size"),
    alter(BROKER, "1", ("default.replication.factor", SET, "2")),
    *(describe(kind, name, "foo") for kind in (CLIENT_METRICS, GROUP) for name in ("", "some")),
    alter(TOPIC, "like-c", ("retention.ms", SET, "7")),
    alter(TOPIC, "nope", ("retention.ms", SET, "7")),
    alter(TOPIC, "like-c", ("foo", SET, "7")),
    alter(TOPIC, "like-c", ("foo", UNSET, None)),
    alter(TOPIC, "like-c", ("retention.ms", APPEND, "7")),
    alter(TOPIC, "like-c", ("cleanup.policy", APPEND, "delete")),
    describe(TOPIC, "like-c", "cleanup.policy"),
    alter(TOPIC, "like-c", ("cleanup.policy", APPEND, "delete")),
    alter(TOPIC, "like-c", ("cleanup.policy", SUBTRACT, "compact")),
    describe(TOPIC, "like-c", "cleanup.policy"),
    alter(TOPIC, "like-c", ("cleanup.policy", SUBTRACT, "delete")),
    describe(TOPIC, "like-c", "cleanup.policy"),
    alter(TOPIC, "like-c", ("cleanup.policy", UNSET, "x")),
    alter(TOPIC, "like-c", ("retention.ms", SET, None)),
    alter(TOPIC, "like-c", ("retention.ms", SET, "x")),
    alter(TOPIC, "like-c", ("retention.ms", SET, "1"), ("retention.ms", SET, "2")),
    alter(TOPIC, "like-c", ("retention.ms", SET, "1"), ("segment.ms", SET, "0")),
    describe(TOPIC, "like-c", "retention.ms", "segment.ms"),
    alter(TOPIC, "", ("retention.ms", SET, "1")),
    alter(TOPIC, "a b", ("retention.ms", SET, "1")),
    alter(TOPIC, "like-c"),
    alter(TOPIC, "like-c", ("retention.ms", SET, "1"), times=2),
    alter(9, "like-c", ("retention.ms", SET, "1")),
    alter(BROKER, "", ("num.partitions", SET, "3")),
    alter(BROKER, "1", ("log.retention.ms", SET, "x")),
    alter(BROKER, "1", ("message.max.bytes", SET, "-5")),
    alter(BROKER, "2", ("log.retention.ms", SET, "1")),
    alter(BROKER, "x", ("log.retention.ms", SET, "1")),
    alter(BROKER, "", ("message.max.bytes", SET, "1000000")),
    alter(BROKER, "1", ("message.max.bytes", SET, "2000000")),
    replace(TOPIC, "like-c", ("segment.ms", "5000")),
    describe(TOPIC, "like-c", "retention.ms", "segment.ms", "cleanup.policy"),
    replace(TOPIC, "like-c", ("segment.ms", None)),
    replace(TOPIC, "like-c", ("foo", "1")),
    replace(TOPIC, "like-c", ("segment.ms", "1"), ("segment.ms", "2")),
    replace(TOPIC, "nope", ("segment.ms", "1")),
    replace(TOPIC, "like-c"),
    describe(TOPIC, "like-c", "segment.ms"),
    # partitions
    grow("like.kafka", 2),
    grow("like.kafka", 1),
    grow("like.kafka", -1),
    grow("like.kafka", 3, check=True),
    grow("like.kafka", 3, [[1]], check=True),
    grow("like.kafka", 4, [[1]]),
    grow("like.kafka", 3, [[5]]),
    grow("like.kafka", 3, [[1, 1]]),
    grow("like.kafka", 3, [[]]),
    grow("like.kafka", 3, []),
    grow("like.kafka", 9, times=2),
    grow("like.kafka", 3),
    # what there is
    *(metadata(v, "like.kafka", "like.kafka") for v in range(14)),
    *(metadata(v, "nope", "a b", "") for v in (0, 1, 4, 8, 9, 12, 13)),
    *(metadata(v, None, topic=SOME_ID) for v in (12, 13)),
    metadata(4),
    (METADATA, 8, {"Topics": None}),
    (METADATA, 0, {"Topics": []}),
    (CLUSTER, 0, {}),
    (CLUSTER, 2, {"IncludeClusterAuthorizedOperations": True}),
    (CLUSTER, 2, {"EndpointType": 2}),
    (CLUSTER, 2, {"EndpointType": 9}),
    pages(2000),
    pages(1, "like-c", "like.kafka"),
    pages(1, "like-c", "like.kafka", cursor=("like.kafka", 0)),
    pages(0, "like.kafka"),
    pages(2, "like.kafka", cursor=("like.kafka", 1)),
    pages(10, "like.kafka", "nope", "like.kafka", "a b"),
    pages(10, cursor=("like.kafka", 9)),
    pages(10, cursor=("a", 1)),
    pages(10, cursor=("zz", 0)),
    pages(10, "like.kafka", cursor=("zz", 0)),
    (LOG_DIRS, 4, {"Topics": None}),
    (LOG_DIRS, 4, {"Topics": [on("like.kafka", 0, 7), on("nope", 0)]}),
    (LOG_DIRS, 1, {"Topics": []}),
    *(
        (ELECT, 2, {"ElectionType": how, "TopicPartitions": [on("like.kafka", 0, 9), on("no", 0)]})
        for how in (0, 1)
    ),
    (ELECT, 2, {"ElectionType": 5, "TopicPartitions": None}),
    (REASSIGNMENTS, 0, {"Topics": None}),
    (REASSIGNMENTS, 0, {"Topics": [on("like.kafka", 0, field="PartitionIndexes")]}),
    (PRODUCERS, 0, {"Topics": [on("like.kafka", 0, field="PartitionIndexes")]}),
    (PRODUCERS, 0, {"Topics": [on("nope", 0, field="PartitionIndexes")]}),
    (RESOURCES, 0, {}),
    *((RESOURCES, 1, {"ResourceTypes": kinds}) for kinds in ([2], [4], [16], [32], [99])),
    # and away with it
    delete_by("nope"),
    delete_by(None, SOME_ID),
    delete_by(None),
    delete_by("like.kafka", SOME_ID),
    *(delete("nope", version=v) for v in (1, 4, 5)),
    delete("like.kafka", "like.kafka"),
    delete(""),
    delete("like.kafka", "like-c"),
    delete("like.kafka"),
    create("like_kafka"),
]


def label(request: Request) -> str:
    key, version, body = request
    text = str(body)
    return f"{key} v{version} {text if len(text) < 300 else text[:300] + '...'}"


# -- what may differ

EVENED_OUT = {
    "ClusterId": "cluster",
    "Port": 9092,
    "LogDir": "/data",
    "TotalBytes": 1,
    "UsableBytes": 1,
    "PartitionSize": 0,
    "Documentation": None,
}
SORT_BY = ("Name", "Topic", "ResourceName", "PartitionIndex", "PartitionId")


def is_of_groups(value: Any) -> bool:
    names = ("Name", "ResourceName", "Topic")
    return isinstance(value, dict) and any(value.get(n) == "__consumer_offsets" for n in names)


def even(value: Any, name: str = "") -> Any:
    """The answer without what depends on the broker; lists of named things in one order."""
    if isinstance(value, dict):
        return {k: even(v, k) for k, v in value.items()}
    if isinstance(value, list):
        # Ours has the groups' topic from the start, Kafka when a first group needs it.
        items = [even(v, name) for v in value if not is_of_groups(v)]
        if items and isinstance(items[0], dict):
            by = next((k for k in SORT_BY if k in items[0]), None)
            if name not in ("Synonyms",) and by is not None:
                items.sort(key=lambda item: str(item[by]))
        return items
    if name in EVENED_OUT:
        return EVENED_OUT[name]
    if name == "TopicId" and value not in (NO_ID, SOME_ID):
        return "an id"
    return value


def without(message: Message, request: Request) -> Message:
    """The parts that are the same by design."""
    out: Message = even(message)
    for topic in out.get("Topics") or []:
        if request[2].get("validateOnly"):
            topic.pop("TopicId", None)  # Kafka gives one that no topic ever has
        for config in topic.get("Configs") or []:  # CreateTopics
            if config["Name"] in SET_BY_HARNESS:
                config.update(Value=None, ConfigSource=0)
    for result in out.get("Results") or []:
        configs = result.get("Configs") or []  # DescribeConfigs
        result_names = [c for c in configs if c["Name"] not in SET_BY_HARNESS]
        if "Configs" in result:
            result["Configs"] = result_names
        for config in result_names:
            # What both were started with need not be the same; nor how many settings stand behind
            # a value, such as log.retention.ms behind the hours.
            config.pop("Synonyms", None)
    if request[0] == RESOURCES:
        # Loggers are no resources of ours.
        out["ConfigResources"] = [c for c in out["ConfigResources"] if c.get("ResourceType") != 8]
    return out


def texts_apart(message: Message) -> tuple[Message, list[Any]]:
    """The message without its error texts, and those."""
    texts: list[Any] = []

    def strip(value: Any) -> Any:
        if isinstance(value, dict):
            if "ErrorMessage" in value:
                texts.append(value["ErrorMessage"])
            return {k: strip(v) for k, v in value.items() if k != "ErrorMessage"}
        return [strip(v) for v in value] if isinstance(value, list) else value

    return strip(message), texts


# Kafka's broker hears of a change a moment after the controller answered it.
ASKS = {METADATA, DESCRIBE_CONFIGS, LOG_DIRS, TOPIC_PARTITIONS, PRODUCERS, RESOURCES, CLUSTER}


@pytest.mark.parametrize("request_", REQUESTS, ids=[str(i) for i in range(len(REQUESTS))])
def test_same_answer(both: tuple[Raw, Raw], request_: Request) -> None:
    key, version, body = request_
    deadline = time.monotonic() + (5 if key in ASKS else 0)
    while True:
        theirs, mine = (raw.ask(key, version, **body) for raw in both)
        want, want_texts = texts_apart(without(theirs, request_))
        got, got_texts = texts_apart(without(mine, request_))
        if got == want or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    assert got == want, label(request_)
    for our_text, text in zip(got_texts, want_texts, strict=True):
        # Kafka has no text in places where ours has one.
        assert our_text == text or not text, label(request_)


def configurations(raw: Raw, topic: str) -> dict[str, tuple[Any, ...]]:
    key, version, body = describe(TOPIC, topic)
    return {
        c["Name"]: (c["Value"], c["ConfigType"], c["ReadOnly"], c["IsSensitive"])
        for c in raw.ask(key, version, **body)["Results"][0]["Configs"]
        if c["Name"] not in SET_BY_HARNESS | {"max.message.bytes"}  # set for the broker above
    }


def test_every_topic_configuration(both: tuple[Raw, Raw]) -> None:
    """The same names, types and defaults."""
    tables = []
    for raw in both:
        key, version, body = create("like-all")
        raw.ask(key, version, **body)
        tables.append(wait_for("the topic", partial(configurations, raw, "like-all")))
    assert tables[0] == tables[1]

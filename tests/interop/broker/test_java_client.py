# SPDX-License-Identifier: Apache-2.0
"""kafka-clients 4.1, by java/Clients.java: what the command line tools do not reach."""

import pytest

from conftest import Topic
from harness.broker import Broker
from harness.client import Client

from .common import CODECS, batches, read_back, stored_codecs
from .tools import Tools

SETTINGS = {"group.min.session.timeout.ms": "500"}
PACKAGE = "org.apache.kafka.clients.consumer."
EAGER, COOPERATIVE = "RangeAssignor", "CooperativeStickyAssignor"


@pytest.mark.parametrize("codec", CODECS)
def test_produce(tools: Tools, client: Client, node: Broker, topic: Topic, codec: str) -> None:
    """Idempotent, acks=1 and acks=0, each 500 records."""
    client.create_topic(topic())
    found = tools.scenario("produce", topic(), codec)
    assert found["offsets"] == [*range(1000), *[-1] * 500]
    got = read_back(client, topic())
    wanted = [
        (
            None if i % 3 == 0 else b"k%d" % i,
            None if i % 5 == 0 else b"v%d" % i + b"x" * (i % 50),
            (("n", b"%d" % i), ("n", None)),
        )
        for i in range(500)
    ]
    assert [(r.key, r.value, r.headers) for r in got] == wanted * 3
    assert stored_codecs(node, topic()) == {codec}
    first = [b for b in batches(node, topic()) if b.base_offset < 500]
    assert {b.producer for b in first} == {first[0].producer} and first[0].producer >= 0
    assert [b.sequence for b in first] == [b.base_offset for b in first]


@pytest.mark.parametrize("assignor", (EAGER, COOPERATIVE))
def test_rebalance(tools: Tools, topic: Topic, assignor: str) -> None:
    """Three members with listeners, read_committed, offsets committed one by one."""
    found = tools.scenario("rebalance", topic(), PACKAGE + assignor)
    assert found["got"] == {str(p): [f"{p}-{i}" for i in range(found["sent"])] for p in range(6)}
    assert found["lost"] == 0
    if assignor == COOPERATIVE:
        assert len(found["first revoked"]) == 4
        assert sorted(found["first assigned"]) == list(range(6))
    else:
        assert len(found["first revoked"]) >= 6


def test_static_members(tools: Tools, topic: Topic) -> None:
    assert tools.scenario("static", topic()) == {
        "same partitions": True,
        "same generation": True,
        "undisturbed": True,
        "alone": [0, 1, 2, 3],
    }


def test_positions(tools: Tools, topic: Topic) -> None:
    found = tools.scenario("positions", topic())
    assert found.pop("late ms") < 2000
    assert found == {
        "earliest": 2,
        "latest": 20,
        "max timestamp": 7,
        "earliest local": 2,
        "by time": 4,
        "too late": -1,
        "by time, consumer": 4,
        "empty": 0,
        "late": ["late"],
    }


def test_limits(tools: Tools, topic: Topic) -> None:
    """A batch that does not fit into the answer comes with a later one, and is never cut."""
    found = tools.scenario("limits", topic())
    assert len(found) == 4
    assert all(ends == [10, 10, 10, 10] for ends in found.values())


def test_topics(tools: Tools, topic: Topic) -> None:
    """describeTopics by name and by id, describeLogDirs, electLeaders, deleteTopics by id."""
    found = tools.scenario("topics", topic())
    assert 1000 < found.pop("size") < 10_000
    assert found == {
        "partitions": 2,
        "replication": 1,
        "retention": "7777777",
        "same id": True,
        "by id": f"{topic()} 3",
        "leaders": [1, 1, 1],
        "listed": True,
        "usable": True,
        "elected": "ElectionNotNeededException",
        "cluster": 1,
        "controller": 1,
        "unknown name": "UnknownTopicOrPartitionException",
        "unknown id": "UnknownTopicIdException",
    }


def test_configs(tools: Tools, topic: Topic) -> None:
    assert tools.scenario("configs", topic()) == {
        "changed": {"cleanup.policy": "delete,compact"},
        "bad": "InvalidConfigurationException",
        "resources": True,
    }


def test_groups(tools: Tools, topic: Topic) -> None:
    one, other = topic(), topic("other")
    assert tools.scenario("groups", one, other) == {
        "set": {f"{one}-0": 5, f"{other}-0": 6},
        "state": "Stable",
        "type": "Classic",
        "assignor": "range",
        "client": "me",
        "assigned": [f"{one}-0"],
        "classic": "Stable",
        "stable": True,
        "empty": False,
        "of type classic": True,
        "of type consumer": False,
        "alter while alive": "UnknownMemberIdException",
        "delete subscribed": "GroupSubscribedToTopicException",
        "delete other": "",
        "left": {f"{one}-0": 5},
        "delete while alive": "GroupNotEmptyException",
        "delete": "",
        "delete again": "GroupIdNotFoundException",
        "described": "GroupIdNotFoundException",
    }


def test_producers(tools: Tools, topic: Topic) -> None:
    found = tools.scenario("producers", topic())
    assert 0 <= found.pop("age") < 20_000
    assert found == {
        "count": 1,
        "epoch": 0,
        "sequence": 6,
        "transaction": False,
    }


def test_errors(tools: Tools, topic: Topic) -> None:
    assert tools.scenario("errors", topic(), topic("no")) == {
        "name 3": "InvalidTopicException",
        "name 1": "InvalidTopicException",
        "name 0": "InvalidTopicException",
        "name 250": "InvalidTopicException",
        "again": "TopicExistsException",
        "replicas": "InvalidReplicationFactorException",
        "records": "OffsetOutOfRangeException",
        "too large": "RecordTooLargeException",
        "fits": "",
        "unknown": "TimeoutException",
        "deleted": "UnknownTopicOrPartitionException",
    }


def test_unsupported(ours: None, tools: Tools, topic: Topic, client: Client) -> None:
    """A transactional id and group.protocol=consumer: final errors, at once."""
    client.create_topic(topic())
    found = tools.scenario("unsupported", topic())
    assert found.pop("seconds") < 5
    assert found["group protocol"] == "UnsupportedVersionException"
    assert found["transactions"] not in ("", "TimeoutException")

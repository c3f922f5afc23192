# SPDX-License-Identifier: Apache-2.0
"""kafkajs 2.2.4, by node/clients.js. The broker makes topics on first use here."""

from typing import Any

import pytest

from conftest import Topic
from harness import node as nodejs
from harness.broker import Broker, Cluster
from harness.certs import Authority
from harness.client import Client

from .common import NOW, batches, read_back, stored_codecs

SETTINGS = {
    "auto.create.topics.enable": "true",
    "num.partitions": "1",
    "group.min.session.timeout.ms": "500",
}


@pytest.fixture
def run(address: str, topic: Topic) -> Any:
    def scenario(name: str, **more: Any) -> Any:
        return nodejs.scenario(name, **{"brokers": [address], "topic": topic(), **more})

    return scenario


@pytest.mark.parametrize("codec", ("none", "gzip", "snappy"))
def test_produce_consume(run: Any, client: Client, node: Broker, topic: Topic, codec: str) -> None:
    found = run("produce", codec=codec, now=NOW)
    assert found["sent"] == 600
    wanted = [
        {
            "key": f"k{i}" if i % 50 % 3 else None,
            "value": f"v{i} " + "x" * 100 if i % 50 % 5 else None,
            "timestamp": NOW + i,
            "headers": [["number", str(i)], ["empty", ""]],
            "partition": 0,
        }
        for i in range(200)
    ] * 3
    assert found["got"] == [{**record, "offset": i} for i, record in enumerate(wanted)]
    stored = read_back(client, topic())
    assert [(r.key, r.value, r.timestamp) for r in stored] == [
        (
            None if w["key"] is None else str(w["key"]).encode(),
            None if w["value"] is None else str(w["value"]).encode(),
            w["timestamp"],
        )
        for w in wanted
    ]
    assert stored_codecs(node, topic()) == {codec}


def test_idempotent(run: Any, client: Client, node: Broker, topic: Topic) -> None:
    run("idempotent")
    assert [r.value for r in read_back(client, topic())] == [b"%d" % i for i in range(300)]
    found = list(batches(node, topic()))
    assert len(found) == 30 and {b.producer for b in found} == {found[0].producer}
    assert found[0].producer >= 0
    assert [b.sequence for b in found] == [b.base_offset for b in found]


def test_long_poll(run: Any) -> None:
    found = run("longPoll")
    assert found["got"] == ["one", "two"]
    assert max(found["waits"]) < 2000


def test_rebalance(run: Any) -> None:
    """Three members, eager: every record once and in order."""
    found = run("rebalance")
    for partition in range(6):
        mine = [(r["offset"], r["value"]) for r in found["got"] if r["partition"] == partition]
        assert mine == [(i, f"{partition}-{i}") for i in range(found["sent"])]


def test_resume(run: Any) -> None:
    found = run("resume")
    assert found == {"first": 40, "values": [*map(str, range(40, 100)), "more"]}


def test_topics(run: Any) -> None:
    assert run("topics") == {
        "created": True,
        "again": False,
        "bad": "INVALID_TOPIC_EXCEPTION",
        "replicas": "INVALID_REPLICATION_FACTOR",
        "partitions": [[0, 1], [1, 1], [2, 1]],
        "listed": True,
        "cluster": [1, 1],
        "before": [["cleanup.policy", "delete"], ["retention.ms", "7777777"]],
        "after": [["cleanup.policy", "compact"], ["retention.ms", "604800000"]],
    }


def test_offsets(run: Any) -> None:
    found = run("offsets", now=NOW)
    assert (found["all"]["low"], found["all"]["high"]) == ("10", "50")
    assert found["timed"]["offset"] == "16"
    assert found["late"]["offset"] == "50"


def test_groups(run: Any, topic: Topic) -> None:
    assert run("groups") == {
        "state": "Stable",
        "members": ["kafkajs"],
        "listed": [{"groupId": f"{topic()}-group", "protocolType": "consumer"}],
        "deleteAlive": "KafkaJSDeleteGroupsError",
        "committed": ["3"],
        "reset": ["-2"],
        "deleted": 0,
        "after": "Dead",
    }


def test_errors(run: Any) -> None:
    found = run("errors")
    assert found["tooLarge"] == "MESSAGE_TOO_LARGE"
    assert found["fits"] == ""
    assert found["unknown"] == "UNKNOWN_TOPIC_OR_PARTITION"
    assert found["deleted"] == "UNKNOWN_TOPIC_OR_PARTITION"


def test_automatic_topic(run: Any, client: Client, topic: Topic) -> None:
    found = run("automatic")
    assert found["got"] == ["first"]
    assert found["bad"] == "INVALID_TOPIC_EXCEPTION"
    assert client.topics()[topic()] == 1


@pytest.mark.parametrize("listener", ("SSL", "MTLS"))
def test_tls(
    run: Any, peer: Cluster, client: Client, topic: Topic, authority: Authority, listener: str
) -> None:
    more = {"ca": str(authority.cert)}
    if listener == "MTLS":
        me = authority.issue("kafkajs")
        more |= {"cert": str(me.cert), "key": str(me.key)}
    client.create_topic(topic())
    assert run("tls", brokers=[peer.bootstrap(listener)], **more) == {"offset": "0"}
    assert [r.value for r in read_back(client, topic())] == [b"over TLS"]


def test_transactional_id(ours: None, run: Any) -> None:
    """There are no transactions: an error that says so, at once."""
    found = run("transactions")
    assert found["error"] != "" and found["ms"] < 5000

# SPDX-License-Identifier: Apache-2.0
"""franz-go 1.22.2, by go/main.go: the newest version of every request, from ApiVersions v5 on."""

from typing import Any

import pytest

from conftest import Topic
from harness import golang
from harness.broker import Broker
from harness.client import Client

from .common import CODECS, NOW, batches, check_codec, read_back

SETTINGS = {"group.min.session.timeout.ms": "500"}


@pytest.fixture
def run(address: str, topic: Topic) -> Any:
    def scenario(name: str, *words: str) -> Any:
        return golang.scenario(name, address, topic(), *words)

    return scenario


@pytest.mark.parametrize("codec", CODECS)
def test_produce_consume(run: Any, client: Client, node: Broker, topic: Topic, codec: str) -> None:
    """acks=all with idempotence, 1 and 0, 200 records each."""
    got = run("produce", codec, str(NOW))["got"]
    wanted = [
        {
            "partition": 0,
            "key": f"k{i}" if i % 3 else None,
            "value": f"v{i}" + "x" * 100 if i % 5 else None,
            "timestamp": NOW + i,
            "headers": [["n", str(i)], ["n", ""]],
        }
        for i in range(200)
    ] * 3
    assert got == [{**record, "offset": i} for i, record in enumerate(wanted)]
    assert len(read_back(client, topic())) == 600
    check_codec(node, topic(), codec)
    first = [b for b in batches(node, topic()) if b.base_offset < 200]
    assert {b.producer for b in first} == {first[0].producer} and first[0].producer >= 0
    assert [b.sequence for b in first] == [b.base_offset for b in first]


def test_long_poll(run: Any) -> None:
    found = run("longPoll")
    assert (found["empty"], found["values"]) == (0, ["one", "two"])
    assert max(found["waits"]) < 2000


@pytest.mark.parametrize("balancer", ("range", "cooperative-sticky"))
def test_rebalance(run: Any, balancer: str) -> None:
    """Three members: every record once, those of a partition in order."""
    found = run("rebalance", balancer)
    for partition in range(6):
        mine = [(r["offset"], r["value"]) for r in found["got"] if r["partition"] == partition]
        assert mine == [(i, f"{partition}-{i}") for i in range(found["sent"])]
    if balancer == "cooperative-sticky":
        assert found["revoked"] == 4
    else:
        assert found["revoked"] >= 6


def test_static_members(run: Any) -> None:
    assert run("static") == {"undisturbed": True, "names": ["one", "two"], "removed": ""}


def test_resume(run: Any) -> None:
    found = run("resume")
    assert [r["value"] for r in found["got"]] == [str(i) for i in range(4, 10)]
    assert found["committed"] == 10


def test_admin(run: Any) -> None:
    assert run("admin") == {
        "created": [2, 1],
        "again": "TOPIC_ALREADY_EXISTS",
        "bad name": "INVALID_TOPIC_EXCEPTION",
        "replicas": "INVALID_REPLICATION_FACTOR",
        "grown": "",
        "shrunk": "INVALID_PARTITIONS",
        "same id": True,
        "altered": "",
        "configs": {"retention.ms": "7777777", "segment.ms": "999999"},
        "resource": True,
        "low": 3,
        "start": 3,
        "end": 10,
        "committed": 10,
        "timed": 5,
        "max": 9,
        "local": 3,
        "size": True,
        "elected": "ELECTION_NOT_NEEDED",
        "producers": 1,
        "epoch end": 10,
        "listed": "Empty",
        "of type classic": True,
        "offset deleted": "",
        "group deleted": "",
        "deleted again": "GROUP_ID_NOT_FOUND",
        "topic deleted": "",
        "gone": "UNKNOWN_TOPIC_OR_PARTITION",
    }


def test_failures(run: Any) -> None:
    assert run("failures") == {
        "too large": "MESSAGE_TOO_LARGE",
        "fits": "",
        "unknown": "UNKNOWN_TOPIC_OR_PARTITION",
        "deleted": "UNKNOWN_TOPIC_OR_PARTITION",
    }


def test_transactional_id(ours: None, run: Any, client: Client, topic: Topic) -> None:
    """There are no transactions: an error that says so, at once."""
    client.create_topic(topic())
    found = run("transactions")
    assert found["error"] != "" and "deadline" not in found["error"] and found["ms"] < 5000

# SPDX-License-Identifier: Apache-2.0
"""MirrorMaker 2 of Kafka 4.1, out of the broker and into it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition

from harness.broker import Cluster
from harness.certs import Authority
from harness.client import Client, numbered
from harness.compare import assert_same
from harness.farshore_broker import peer_class
from harness.java import QUICK_FLAGS
from harness.mirror import MirrorMaker2, mm2_properties
from harness.process import wait_for

from .common import CODECS, shapes
from .conftest import wait_coordinator

# Everything as often as it can be told to.
OFTEN = {
    "tasks.max": "2",
    "emit.checkpoints.interval.seconds": "1",
    "sync.group.offsets.enabled": "true",
    "sync.group.offsets.interval.seconds": "1",
    "refresh.groups.interval.seconds": "1",
    "emit.heartbeats.interval.seconds": "1",
    "offset.lag.max": "0",
    "groups": "readers",
    "offset.flush.interval.ms": "1000",
    "west->east.emit.heartbeats.enabled": "false",
}


@dataclass
class Link:
    """East, west and a worker that mirrors `orders` from one to the other."""

    east: Cluster
    source: Client
    target: Client
    worker: MirrorMaker2


@pytest.fixture(scope="module")
def link(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Link]:
    folder = tmp_path_factory.mktemp("mm2")
    east, west = (peer_class()(name, folder, authority=authority) for name in ("east", "west"))
    props = mm2_properties(east, west, "orders", more=OFTEN)
    worker = MirrorMaker2(folder, props, flags=QUICK_FLAGS)
    try:
        for cluster in (east, west):
            cluster.start()
        for cluster in (east, west):
            wait_coordinator(cluster.wait_ready())
        source, target = Client(east), Client(west)
        source.create_topic("orders", partitions=2, retention_ms=7_777_777)
        worker.start()
        wait_for("the worker", lambda: "east.orders" in target.topics(), 120)
        yield Link(east, source, target, worker)
    finally:
        worker.kill()
        east.stop()
        west.stop()


def committed(client: Client, group: str) -> dict[tuple[str, int], int]:
    futures = client.admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])
    found: Any = futures[group].result(10)
    return {(p.topic, p.partition): p.offset for p in found.topic_partitions}


def test_records(link: Link) -> None:
    """Records of every codec, from before the worker was there and from while it runs."""
    for codec in CODECS:
        link.source.produce("orders", shapes(100), 0, codec)
    assert assert_same(link.source, "orders", link.target, "east.orders") == 500
    for codec in CODECS:
        link.source.produce("orders", numbered(500, size=200), 1, codec)
    assert assert_same(link.source, "orders", link.target, "east.orders") == 3000


def test_topic_follows(link: Link) -> None:
    """Settings and new partitions of the source come to the target (KIP-382)."""

    def config() -> dict[str, str]:
        return link.target.topic_config("east.orders")

    wait_for("setting", lambda: config().get("retention.ms") == "7777777")
    link.source.alter_config("orders", retention_ms=8_888_888)
    wait_for("change", lambda: config().get("retention.ms") == "8888888")
    link.source.grow_topic("orders", 3)
    link.source.produce("orders", numbered(50), 2)
    wait_for("partition", lambda: len(link.target.leaders("east.orders")) == 3)
    assert_same(link.source, "orders", link.target, "east.orders")


def test_group_follows(link: Link) -> None:
    """A group's offsets are translated and set on the target."""
    places = [TopicPartition("orders", 0, 500), TopicPartition("orders", 1, 2500)]
    futures = link.source.admin.alter_consumer_group_offsets(
        [ConsumerGroupTopicPartitions("readers", places)]
    )
    futures["readers"].result(10)

    def synced() -> bool:
        found = committed(link.target, "readers")
        return found == {("east.orders", 0): 500, ("east.orders", 1): 2500}

    wait_for("group readers", synced)


def test_internal_topics(link: Link) -> None:
    """The worker made its topics, and found them compacted as it asked."""
    topics = link.target.topics()
    for name in ("configs", "offsets", "status"):
        topic = f"mm2-{name}.east.internal"
        assert topic in topics
        assert link.target.topic_config(topic)["cleanup.policy"] == "compact"
    assert link.target.offsets("mm2-configs.east.internal")[1] > 0
    assert link.target.topic_config("east.checkpoints.internal")["cleanup.policy"] == "compact"
    wait_for("heartbeats", lambda: sum(link.target.end_offsets("heartbeats")) > 0)
    log = link.worker.process.log_text()
    assert " ERROR " not in log, [line for line in log.splitlines() if " ERROR " in line]


def test_restart(link: Link) -> None:
    """The worker goes on where its committed offsets say, also when the brokers were away."""
    wait_for("offsets", lambda: sum(link.target.end_offsets("mm2-offsets.east.internal")) > 0)
    link.worker.stop()
    link.source.produce("orders", numbered(300, start=9000), 1)
    link.east.broker(1).restart()
    link.worker.start()
    count = assert_same(link.source, "orders", link.target, "east.orders")
    assert count == 3350

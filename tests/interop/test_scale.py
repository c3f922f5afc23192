# SPDX-License-Identifier: Apache-2.0
"""A thousand partitions of which few are busy. tests/bench/scale measures ten times as many."""

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.client import Client, numbered
from harness.compare import assert_same
from harness.fleet import (
    TOPIC_PARTITIONS,
    Arrivals,
    big_cluster,
    make_fleet,
    memory_folder,
    produce_each,
    topic_names,
    wait_active,
)
from harness.mirror import MEMORY_CAP, Mirror, mm2_properties

PARTITIONS = 1000
CAP = MEMORY_CAP + PARTITIONS * 4096


@dataclass
class Many:
    """Two clusters; the source holds the fleet."""

    source: Client
    target: Client
    mirror: Mirror

    def cpu_percent(self, seconds: float) -> float:
        """Of the mirror, of one core."""
        began = self.mirror.process.usage().cpu_s
        time.sleep(seconds)
        return (self.mirror.process.usage().cpu_s - began) / seconds * 100


@pytest.fixture
def many(tmp_path: Path) -> Iterator[Many]:
    folder = memory_folder("scale-test-", tmp_path)
    east = big_cluster("east", folder, heap="-Xmx512m")
    west = big_cluster("west", folder, east.authority, heap="-Xmx512m")
    try:
        east.start()
        west.start()
        east.wait_ready()
        west.wait_ready()
        source, target = Client(east), Client(west)
        make_fleet(source, PARTITIONS)
        props = mm2_properties(
            east,
            west,
            ".*",
            more={"emit.heartbeats.enabled": "false", "heartbeats.replication.enabled": "false"},
        )
        yield Many(source, target, Mirror(tmp_path, props))
    finally:
        east.stop()
        west.stop()
        shutil.rmtree(folder, ignore_errors=True)


def test_thousand_partitions(many: Many) -> None:
    """All copied at the first start; known within seconds at the next; idle ones cost nothing; a
    change of some topics disturbs no other partition."""
    mirror, fleet = many.mirror, {name: TOPIC_PARTITIONS for name in topic_names(PARTITIONS)}
    with mirror:
        Arrivals(many.target, "east.", fleet).wait(60)
        wait_active(mirror, PARTITIONS, 30)
        assert mirror.metric("farshore_records_total") == PARTITIONS
    with mirror:
        wait_active(mirror, PARTITIONS, 10)
        assert many.cpu_percent(3) <= 5
        busy, grower, fresh = "fleet-0007", "fleet-0008", "fresh"
        many.source.produce(busy, numbered(500), 3)
        many.source.grow_topic(grower, TOPIC_PARTITIONS + 1)
        many.source.create_topic(fresh, TOPIC_PARTITIONS)
        produce_each(many.source, [fresh])
        many.source.produce(grower, numbered(10), TOPIC_PARTITIONS)
        many.source.produce(busy, numbered(500, 500), 3)
        for name in (busy, grower, fresh):
            assert_same(many.source, name, many.target, f"east.{name}")
        wait_active(mirror, PARTITIONS + 1 + TOPIC_PARTITIONS, 10)
        assert mirror.metric("farshore_partition_faults_total") == 0
        assert mirror.process.usage().rss_max <= CAP

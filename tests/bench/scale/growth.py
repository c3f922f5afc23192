# SPDX-License-Identifier: Apache-2.0
"""One mirror over a fleet of topics: its start, its rest, its work, and a change in the middle."""

import json
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from harness.broker import Cluster
from harness.client import Client
from harness.fleet import (
    GROUP_PARTITIONS,
    TOPIC_PARTITIONS,
    Arrivals,
    commit_groups,
    ends_sum,
    group_offsets,
    make_fleet,
    produce_each,
    topic_names,
    wait_active,
)
from harness.mirror import Mirror, MirrorMaker2, mm2_properties
from harness.process import Process, wait_for

from pace import RATE, Pacer

MIB = 1 << 20
FIRST_S = 300  # the longest wait for a first start
GROWN = TOPIC_PARTITIONS + 5
WARM_S = 2
FIRST_MOVER = 90000


@dataclass(frozen=True)
class Rest:
    """A mirror that has nothing to do."""

    cpu_percent: float  # of one core
    rss_mib: float


@dataclass(frozen=True)
class Work:
    """1 000 records a second in one topic, all others idle."""

    cpu_percent: float
    p50_ms: float  # added latency
    p99_ms: float
    max_ms: float


@dataclass(frozen=True)
class Page:
    """One answer over HTTP."""

    seconds: float
    mib: float


@dataclass(frozen=True)
class Growth:
    """What a mirror of so many partitions takes."""

    partitions: int
    created_s: float  # from the start of the process: all topics are made
    copied_s: float  # and every partition's record is there
    first_peak_mib: float
    restart_s: float  # a second start: all positions known, nothing waits
    peak_mib: float  # of the second start
    rest: Rest  # without consumer groups
    groups_s: float  # as many groups, all of them new: until all are on the target
    group_move_s: float  # one group commits at the source: until the target has it
    groups_rest: Rest  # with these groups, which stand still
    work: Work
    change: Work  # a topic comes and another one grows meanwhile
    change_s: float  # until both are copied
    metrics: Page
    links: Page
    scraped_peak_mib: float  # after these pages


class Fleet:
    """Both clusters. Sizes are tried in ascending order, since the fleet only grows."""

    def __init__(self, source: Cluster, target: Cluster, folder: Path, seconds: int):
        self.source, self.target = source, target
        self.source_client, self.target_client = Client(source), Client(target)
        self.folder = folder
        self.seconds = seconds  # that each rate is measured over
        self.groups = 0  # that were made
        self.movers = 0  # and those that moved
        self.paced = 1  # number of the next paced record
        self.began = 0.0

    def properties(self, partitions: int, side: str) -> dict[str, str]:
        self.source.name = f"{side}{partitions}"
        return mm2_properties(
            self.source,
            self.target,
            f"fleet-.*, more-{partitions}-.*",
            more={
                "refresh.topics.interval.seconds": "10",
                "sync.topic.configs.interval.seconds": "600",
                "tasks.max": "4",
                "refresh.groups.interval.seconds": "10",
                "sync.group.offsets.enabled": "true",
                "sync.group.offsets.interval.seconds": "5",
                "emit.checkpoints.interval.seconds": "5",
            },
        )

    # -- Farshore

    def grow(self, partitions: int) -> Growth:
        make_fleet(self.source_client, partitions)
        grower = f"more-{partitions}-a"
        self.source_client.create_topic(grower, TOPIC_PARTITIONS)
        produce_each(self.source_client, [grower])
        props = self.properties(partitions, "f")
        wanted = {name: TOPIC_PARTITIONS for name in [*topic_names(partitions), grower]}
        count = sum(wanted.values())
        mirror = Mirror(self.folder, props, name=f"farshore-{partitions}")
        try:
            mirror.start()
            created, copied = self._arrive(f"{self.source.name}.", wanted)
            wait_active(mirror, count, 60)
            first = mirror.process.usage().rss_max
            mirror.stop()
            mirror.start()
            wait_active(mirror, count, 60)
            restarted = time.monotonic() - mirror.process.started_at
            peak = mirror.process.usage().rss_max
            rest = self._rest(mirror.process)
            groups_s, group_move_s = self._groups(mirror, partitions)
            groups_rest = self._rest(mirror.process)
            work = self._work(mirror)
            changer = Change(self, grower)
            changer.start()
            change = self._work(mirror)
            changer.join()
            metrics, links = page(mirror, "/metrics"), page(mirror, "/v1/links")
            scraped = mirror.process.usage().rss_max
            mirror.stop()
        finally:
            mirror.kill()
        return Growth(
            partitions,
            created - self.began,
            copied - self.began,
            first / MIB,
            restarted,
            peak / MIB,
            rest,
            groups_s,
            group_move_s,
            groups_rest,
            work,
            change,
            changer.took(),
            metrics,
            links,
            scraped / MIB,
        )

    def _arrive(self, prefix: str, wanted: dict[str, int]) -> tuple[float, float]:
        self.began = time.monotonic()
        return Arrivals(self.target_client, prefix, wanted).wait(FIRST_S)

    def _rest(self, process: Process) -> Rest:
        time.sleep(5)
        cpu, at = process.usage().cpu_s, time.monotonic()
        time.sleep(2 * self.seconds)
        percent = (process.usage().cpu_s - cpu) / (time.monotonic() - at) * 100
        return Rest(percent, process.rss() / MIB)

    def _groups(self, mirror: Mirror, groups: int) -> tuple[float, float]:
        """Make the groups that are missing; they stand at the end of their topics. Until all are
        on the target, and until it has what one of them commits anew."""
        topics = topic_names(groups)
        commit_groups(self.source_client, range(self.groups, groups), lambda _: 1, topics)
        self.groups = groups
        began = time.monotonic()
        known = groups + self.movers
        wait_for(f"{groups} groups", lambda: in_step(mirror) == known, FIRST_S, 1)
        took = time.monotonic() - began
        number = FIRST_MOVER + self.movers  # none that a larger fleet makes, too
        self.movers += 1
        topic = topics[number % len(topics)]
        produce_each(self.source_client, [topic])
        commit_groups(self.source_client, [number], lambda _: 2, topics)
        began = time.monotonic()
        wanted = [2] * GROUP_PARTITIONS
        wait_for(
            "the new group's offsets",
            lambda: group_offsets(self.target_client, f"group-{number:05d}") == wanted,
            60,
            0.2,
        )
        return took, time.monotonic() - began

    def _work(self, mirror: Mirror) -> Work:
        """Two paced seconds for warming up, then `seconds` that are measured."""
        topic = topic_names(1)[0]
        copy = f"{self.source.name}.{topic}"
        Pacer(self.source_client, topic, self.paced, WARM_S).result()
        self.paced += WARM_S * RATE
        far = (self.target_client, copy)
        pacer = Pacer(self.source_client, topic, self.paced, self.seconds, far)
        self.paced += self.seconds * RATE
        cpu, at = mirror.process.usage().cpu_s, time.monotonic()
        time.sleep(self.seconds)
        percent = (mirror.process.usage().cpu_s - cpu) / (time.monotonic() - at) * 100
        found = pacer.result()
        return Work(percent, *(found[f"added_{name}_ms"] for name in ("p50", "p99", "max")))

    # -- MirrorMaker 2

    def mm2(self, partitions: int) -> tuple[float, Rest]:
        """Seconds until every record is there, and how it rests."""
        make_fleet(self.source_client, partitions)
        props = self.properties(partitions, "m")
        wanted = {name: TOPIC_PARTITIONS for name in topic_names(partitions)}
        with MirrorMaker2(self.folder, props, f"mm2-{partitions}") as mirror:
            _made, copied = self._arrive(f"{self.source.name}.", wanted)
            return copied - self.began, self._rest(mirror.process)


class Change(threading.Thread):
    """In the middle of the work: one topic grows and another one comes."""

    def __init__(self, fleet: Fleet, grower: str):
        super().__init__(daemon=True)
        self.fleet, self.grower = fleet, grower
        self.prefix = f"{fleet.source.name}."
        self.seconds = 0.0
        self.failed: Exception | None = None

    def run(self) -> None:
        try:
            time.sleep(4)
            began = time.monotonic()
            source, target = self.fleet.source_client, self.fleet.target_client
            fresh = self.grower[:-1] + "b"
            source.grow_topic(self.grower, GROWN)
            source.create_topic(fresh, TOPIC_PARTITIONS)
            produce_each(source, [fresh])
            wanted = {self.grower: GROWN, fresh: TOPIC_PARTITIONS}
            copies = {self.prefix + name: n for name, n in wanted.items()}
            wait_for(
                "the change",
                lambda: all(target.topics().get(name) == n for name, n in copies.items())
                and ends_sum(target, copies) >= 2 * TOPIC_PARTITIONS,
                60,
                0.2,
            )
            self.seconds = time.monotonic() - began
        except Exception as err:  # pylint: disable=broad-except
            self.failed = err

    def took(self) -> float:
        if self.failed is not None:
            raise self.failed
        return self.seconds


def in_step(mirror: Mirror) -> int:
    """Groups of which all positions are on the target."""
    status, body = mirror.get("/v1/groups?positions=no")
    assert status == 200, body[:200]
    found = json.loads(body)["groups"]
    return sum(
        group["partitions"] == GROUP_PARTITIONS
        and group["waiting"] == group["unknown"] == 0
        and group["synced_ms"] is not None
        for group in found
    )


def page(mirror: Mirror, path: str) -> Page:
    began = time.monotonic()
    status, body = mirror.get(path)
    assert status == 200, body[:200]
    return Page(time.monotonic() - began, len(body) / MIB)

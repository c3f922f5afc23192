# SPDX-License-Identifier: Apache-2.0
"""Where a fault must show: the log, the API, the metrics, the durable record. And that it concerns
nobody else."""

import json
import re
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from .client import Client, Record
from .mirror import Mirror
from .process import wait_for

HEALTHY = ("ACTIVE", "CATCHING_UP")
STOPPED = ("DATA_LOSS", "TOPIC_RECREATED", "SOURCE_TRUNCATED", "FOREIGN_WRITE", "REFUSED")
GAPS = "{}.gaps.internal"

# Nothing in these tests is on its way for longer, so policies need not wait for it.
SOON_SURE = 'request_lifetime = "1 s"'

# What the log tells of a gap's record; -1 where the record has nothing.
LOGGED = (
    "source_first",
    "source_last",
    "target_first",
    "target_last",
    "count",
    "source_next",
    "target_next",
)

# What the API and the log say of a moment may differ by so much, and a test lasts no longer than AGE.
SECONDS = 5.0
AGE = 180.0


def fields(line: str) -> dict[str, str]:
    """The fields of a logfmt line."""
    return {
        key: json.loads(value) if value.startswith('"') else value
        for key, value in re.findall(r'(\w+)=("(?:[^"\\]|\\.)*"|\S*)', line)
    }


def events(mirror: Mirror, event: str, **want: object) -> list[dict[str, str]]:
    """The log's lines of this event whose fields are these, over all starts of the mirror."""
    return [
        found
        for line in mirror.process.log_text().splitlines()
        if f"event={event} " in line
        for found in [fields(line)]
        if all(found.get(key) == str(value) for key, value in want.items())
    ]


# -- a state that lasts


def assert_state_shown(
    mirror: Mirror, topic: str, state: str, partition: int = 0, reason: str = "", timeout: float = 30
) -> dict[str, Any]:
    """The partition is in that state, and stays in it; log, API and metrics say so alike: state,
    reason (which has `reason` in it), time since. Its entry of /v1/links. One that is tried again is
    in another state for a moment, so all is looked at until it fits."""

    def probe() -> dict[str, Any]:
        entry = mirror.wait_state(state, topic, partition, 0)
        if reason not in entry["reason"]:
            raise ValueError(f"because {entry['reason']}")
        assert entry["reason"]
        assert entry["needs_person"] == (state in STOPPED)
        since = time.time() - entry["since_ms"] / 1000
        assert -1 < since < AGE, since
        assert mirror.link()["partitions"][state] >= 1

        told = events(mirror, "partition_state", topic=topic, partition=partition, state=state)
        assert told and any(line["reason"] == entry["reason"] for line in told), told
        assert told[-1]["level"] == ("error" if state in STOPPED else "warn"), told

        labels = {"topic": topic, "partition": str(partition)}
        shown = mirror.metrics("farshore_partition_state")
        assert [
            (found["state"], value)
            for found, value in shown
            if found["topic"] == topic and found["partition"] == str(partition)
        ] == [(state, 1)]
        seconds = mirror.metric("farshore_partition_state_seconds", **labels)
        assert abs(seconds - (time.time() - entry["since_ms"] / 1000)) < SECONDS
        assert mirror.metric("farshore_partition_faults_total", **labels) >= 1
        return entry

    return wait_for(f"{topic}-{partition} {state} with {reason!r}", probe, timeout)


# -- what a policy passed over


def stored_gaps(target: Client, topic: str, cause: str, where: str) -> list[dict[str, Any]]:
    """What the target holds, the newest record of each key, oldest key first."""
    newest: dict[bytes, dict[str, Any]] = {}
    for stored in target.read(where) if where in target.topics() else []:
        assert stored.record.key is not None and stored.record.value is not None
        key = json.loads(stored.record.key)
        if key["topic"] == topic and key["cause"] == cause:
            newest[stored.record.key] = json.loads(stored.record.value)
    return list(newest.values())


def shown_gaps(mirror: Mirror, topic: str, cause: str) -> list[dict[str, Any]]:
    """What /v1/gaps says."""
    status, body = mirror.get(f"/v1/gaps?topic={topic}")
    assert status == 200
    (link,) = json.loads(body)["links"]
    return [gap for gap in link["gaps"] if gap["cause"] == cause]


def assert_gaps_shown(
    target: Client, mirror: Mirror, topic: str, cause: str, count: int = 1
) -> list[dict[str, Any]]:
    """Wait until the target holds so many records of gaps; then log, API and metrics say the same, and
    the partitions copy again. The records."""
    name = mirror.link()["name"]
    source = name.split("->")[0]
    where = GAPS.format(source)

    def probe() -> list[dict[str, Any]] | None:
        found = stored_gaps(target, topic, cause, where)
        assert len(found) <= count, found
        return found if len(found) == count else None

    found = wait_for(f"{count} {cause} of {topic}", probe)
    wait_for("the API to know it", lambda: shown_gaps(mirror, topic, cause) == found, 5)
    for gap in found:
        assert gap["link"] == name and gap["target_topic"] == f"{source}.{topic}"
        assert gap["reason"] and abs(gap["time_ms"] / 1000 - time.time()) < AGE
        _assert_gap_logged(mirror, gap, where)
    for partition in {gap["partition"] for gap in found}:
        _assert_gaps_counted(mirror, [gap for gap in found if gap["partition"] == partition])
        entry = mirror.wait_state("ACTIVE", topic, partition)
        assert entry["reason"] == "" and not entry["needs_person"]
    return found


def _assert_gap_logged(mirror: Mirror, gap: Mapping[str, Any], where: str) -> None:
    """Two lines: the state, at the level of what needs a person; and what was recorded."""
    which = {"topic": gap["topic"], "partition": gap["partition"]}
    states = events(mirror, "partition_state", state=gap["cause"], **which)
    assert states and all(line["level"] == "error" and line["reason"] for line in states)
    lines = events(mirror, "gap_recorded", cause=gap["cause"], **which)
    same = [
        line
        for line in lines
        if line["reason"] == gap["reason"]
        and all(int(line[name]) == gap.get(name, -1) for name in LOGGED)
    ]
    assert same and same[-1]["recorded_in"] == where, (gap, lines)


def _assert_gaps_counted(mirror: Mirror, found: list[dict[str, Any]]) -> None:
    """What the metrics count is what is recorded, unless a crash had it recorded twice."""
    first = found[0]
    labels = {"topic": first["topic"], "partition": str(first["partition"])}
    assert mirror.metric("farshore_gap_records_total", cause=first["cause"], **labels) == len(found)
    assert mirror.metric("farshore_partition_faults_total", **labels) >= 1
    if first["cause"] == "DATA_LOSS":
        missing = sum(gap["count"] for gap in found)
        assert mirror.metric("farshore_missing_records_total", **labels) == missing
    if first["cause"] == "REFUSED":
        assert mirror.metric("farshore_dead_letters_total", **labels) == len(found)


def assert_nothing_recorded(target: Client, mirror: Mirror, topic: str, cause: str) -> None:
    """A partition that is stopped has given nothing up: no gap anywhere."""
    source = mirror.link()["source"]
    assert not stored_gaps(target, topic, cause, GAPS.format(source))
    assert not shown_gaps(mirror, topic, cause)
    assert not events(mirror, "gap_recorded", topic=topic, cause=cause)
    assert mirror.metric("farshore_gap_records_total", topic=topic, cause=cause) == 0


# -- those that are not concerned


class Bystander:
    """A partition that a fault does not concern: while this is entered it gets a record at a time, and
    each must come to the target before the next goes. It never stops: no fault is counted, no other
    state is logged, and no record takes longer than `patience`."""

    def __init__(
        self,
        source: Client,
        target: Client,
        mirror: Mirror,
        topic: str,
        partition: int = 1,
        patience: float = 5,
    ):
        self.source, self.target = Client(source.cluster), Client(target.cluster)
        self.mirror, self.topic, self.partition = mirror, topic, partition
        self.patience = patience
        self.sent: list[bytes] = []
        self.slowest = 0.0
        self.failed: Exception | None = None
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.mirrored = f"{source.cluster.name}.{topic}"
        self.labels = {"topic": topic, "partition": str(partition)}
        self.before = 0
        self.faults = 0.0
        self.told = 0

    def __enter__(self) -> "Bystander":
        def caught_up() -> bool:
            self.before = self.source.offsets(self.topic, self.partition)[1]
            return self.target.offsets(self.mirrored, self.partition)[1] == self.before

        wait_for(f"{self.topic}-{self.partition} to be copied", caught_up)
        wait_for("a healthy state", self._healthy)
        self.faults = self._faults()
        self.told = len(self._left())
        self.thread.start()
        return self

    def _healthy(self) -> bool:
        entry = self.mirror.partition(self.topic, self.partition)
        return entry is not None and entry["state"] in HEALTHY

    def _faults(self) -> float:
        return self.mirror.metric("farshore_partition_faults_total", **self.labels)

    def _left(self) -> list[dict[str, str]]:
        return [
            line
            for line in events(self.mirror, "partition_state", **self.labels)
            if line["state"] not in HEALTHY
        ]

    def __exit__(self, kind: type[BaseException] | None, *_rest: object) -> None:
        self.done.set()
        self.thread.join(self.patience + 60)
        if kind is None:
            self.check()

    def _run(self) -> None:
        try:
            producer = Producer({**self.source.config, "linger.ms": 0, "acks": "1"})
            while not self.done.is_set():
                self._send_one(producer)
                self.done.wait(0.05)
        except Exception as err:  # pylint: disable=broad-except # told by check()
            self.failed = err

    def _send_one(self, producer: Producer) -> None:
        value = b"bystander %d" % len(self.sent)
        producer.produce(self.topic, value, b"bystander", self.partition)
        if producer.flush(30):
            raise TimeoutError("the source takes no record")
        self.sent.append(value)
        began = time.monotonic()
        want = self.before + len(self.sent)
        wait_for(
            f"record {len(self.sent)} of {self.topic}-{self.partition}",
            lambda: self.target.offsets(self.mirrored, self.partition)[1] >= want,
            self.patience,
            0.02,
        )
        self.slowest = max(self.slowest, time.monotonic() - began)

    def check(self) -> None:
        where = f"{self.topic}-{self.partition}"
        if self.failed is not None:
            raise AssertionError(f"{where} stopped: {self.failed}") from self.failed
        assert self.sent, f"{where}: nothing was sent"
        assert self._healthy(), self.mirror.partition(self.topic, self.partition)
        assert self._faults() == self.faults
        assert not self._left()[self.told :], self._left()
        got: list[Record] = [s.record for s in self.target.read(self.mirrored, self.partition)]
        assert [r.value for r in got if r.key == b"bystander"] == self.sent


# -- a mirror whose policies change


class RuledMirror:
    """A mirror that is not started yet, with a configuration of its own, whose `policies` a test
    changes while it runs."""

    def __init__(self, mirror: Mirror, source: Client, target: Client, topics: str):
        self.mirror = mirror
        self.config: Path = mirror.process.log.with_suffix(".conf")
        a, b = source.cluster, target.cluster
        self.head = (
            f'clusters = {{ {a.name} = {{ bootstrap = "{a.bootstrap()}"; }};'
            f' {b.name} = {{ bootstrap = "{b.bootstrap()}"; }}; }};\n'
            f'links = ( {{ source = "{a.name}"; target = "{b.name}"; topics = "{topics}";'
            ' refresh_topics_interval = "1 s"; sync_configs_interval = "1 s";'
            f" replication_factor = 1; runs_replication_factor = 1; {SOON_SURE};"
        )
        mirror.process.argv[1:3] = ["--config", str(self.config)]
        self._write()

    def _write(self, *policies: str) -> None:
        entries = ", ".join(f'"{entry}"' for entry in policies)
        self.config.write_text(f"{self.head} policies = [ {entries} ]; }} );\n")

    def rule(self, *policies: str) -> None:
        """From now on these entries are in force."""
        seen = len(events(self.mirror, "setting_changed"))
        self._write(*policies)
        self.mirror.process.signal(signal.SIGHUP)
        wait_for(
            "the new policies",
            lambda: [
                line
                for line in events(self.mirror, "setting_changed")[seen:]
                if "policies" in str(line) and line["in_force"] == "now"
            ],
        )

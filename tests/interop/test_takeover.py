# SPDX-License-Identifier: Apache-2.0
"""MirrorMaker 2 copied and was killed; the mirror goes on in its place (issue 5, part 2)."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Callable

import pytest

from conftest import Pair
from harness.broker import Cluster
from harness.client import Client, Record, Stored, numbered
from harness.command import farshore
from harness.java import QUICK_FLAGS
from harness.mirror import Mirror, MirrorMaker2, mm2_properties
from harness.process import wait_for

# Everything that a takeover reads is as MM2 makes it by itself.
FLOW = {
    "tasks.max": "2",
    "emit.checkpoints.enabled": "false",
    "emit.heartbeats.enabled": "false",
    "east.consumer.isolation.level": "read_committed",
    # A worker that was killed gets its tasks back at once, and not after five minutes.
    "west.scheduled.rebalance.max.delay.ms": "0",
    "west.session.timeout.ms": "6000",
    "west.heartbeat.interval.ms": "2000",
}
# How often it stores its positions: often, once; then not while a test looks.
OFTEN = {"west.offset.flush.interval.ms": "2000"}
RARELY = {"west.offset.flush.interval.ms": "600000"}
POSITIONS = "links.east->west.take_over=positions"
RUNS = "links.east->west.take_over=runs"

Offsets = list[tuple[int, int]]


def content(stored: Stored) -> tuple[bytes | None, bytes | None]:
    return stored.record.key, stored.record.value


def pairs(source: Sequence[Stored], target: Sequence[Stored]) -> Offsets:
    """Source and target offset of each target record that lies beyond all source records before."""
    at = {content(s): s.offset for s in source}
    assert len(at) == len(source), "the source's records are all different"
    found: Offsets = []
    for stored in target:
        offset = at.get(content(stored), -1)
        if offset > (found[-1][0] if found else -1):
            found.append((offset, stored.offset))
    return found


def doubled(target: Sequence[Stored]) -> int:
    return len(target) - len({content(s) for s in target})


@dataclass
class Left:
    """What MM2 left behind: its target partitions' records, by source topic."""

    pair: Pair
    records: dict[str, list[Stored]]


def taking_over(pair: Pair, topics: str, how: str) -> Mirror:
    made = pair.mirror(topics, more=FLOW)
    made.process.argv += ["--set", how]
    return made


def refill(pair: Pair, topics: Sequence[str], start: int, count: int) -> None:
    """Every topic gets `count` records and more that say their number."""
    plain, transactional, compacted = topics
    pair.source.produce(plain, numbered(count, start, size=200), 0, "lz4")
    part = count // 20
    for i in range(20):
        records = numbered(part, start + i * part)
        pair.source.transaction(transactional, records, commit=i % 3 != 1)
    keyed = [Record(b"key%d" % (i % 70), b"%d" % i) for i in range(start, start + count)]
    pair.source.produce(compacted, keyed)


def wait_copied(client: Client, ends: dict[str, int], timeout: float) -> None:
    """Until much of a refill is on the target; of the compacted topic little may be left of it."""
    for topic, end in ends.items():
        more = 20 if topic.endswith("compact") else 400
        wait_for(
            f"copy of {topic}",
            lambda t=topic, want=end + more: client.offsets(f"east.{t}")[1] > want,
            timeout,
        )


def run_and_kill(
    worker: MirrorMaker2,
    pair: Pair,
    topics: Sequence[str],
    start: int,
    meanwhile: Callable[[], object] = lambda: None,
) -> None:
    """Refill, let it copy most of that, or as much again of what it had copied, and kill it."""
    ends = {t: pair.target.offsets(f"east.{t}")[1] for t in topics}
    refill(pair, topics, start, 1200)
    worker.start()
    wait_copied(pair.target, ends, 120)
    meanwhile()
    worker.kill()


POSITIONS_TOPIC = "mm2-offsets.east.internal"


def stored_positions(client: Client) -> list[tuple[int, Stored]]:
    """Partition and record of every position that MM2 stored."""
    parts = range(len(client.leaders(POSITIONS_TOPIC)))
    return [(p, record) for p in parts for record in client.read(POSITIONS_TOPIC, p)]


def put_back(client: Client, positions: list[tuple[int, Stored]]) -> None:
    """As if it had been killed before it stored any later ones."""
    for partition, stored in positions:
        record = Record(stored.record.key, stored.record.value)
        client.produce(POSITIONS_TOPIC, [record], partition)


def refuses_to_begin(pair: Pair, topic: str) -> None:
    """While MM2 runs nothing is taken over."""
    mirror = taking_over(pair, topic, POSITIONS)

    def says_why() -> bool:
        entry = mirror.partition(topic)
        return entry is not None and "still runs" in entry["reason"]

    with mirror:
        wait_for("a refusal", says_why)
        entry = mirror.partition(topic)
        assert entry is not None and entry["state"] == "STARTING"


@pytest.fixture(scope="module")
def left(
    clusters: tuple[Cluster, Cluster],
    clients: tuple[Client, Client],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Left]:
    folder = tmp_path_factory.mktemp("mm2")
    pair = Pair(*clusters, *clients, folder)
    pair.need_transactions()
    topics = ["took-plain", "took-txn", "took-compact"]
    for topic in topics[:2]:
        pair.source.create_topic(topic)
    pair.source.create_topic(
        topics[2],
        cleanup_policy="compact",
        segment_ms=500,
        min_cleanable_dirty_ratio="0.01",
        max_compaction_lag_ms=600,
    )
    workers = [
        MirrorMaker2(
            folder,
            mm2_properties(pair.east, pair.west, ",".join(topics), more={**FLOW, **flush}),
            name=f"mm2-{number}",
            flags=QUICK_FLAGS,
        )
        for number, flush in enumerate((OFTEN, RARELY))
    ]
    refill(pair, topics, 0, 1200)
    workers[0].start()
    try:
        wait_for("topics", lambda: {f"east.{t}" for t in topics} <= set(pair.target.topics()), 120)
        wait_copied(pair.target, dict.fromkeys(topics, 0), 60)
        wait_for("positions", lambda: len(stored_positions(pair.target)) >= len(topics), 60)
        workers[0].kill()
        positions = stored_positions(pair.target)
        run_and_kill(workers[1], pair, topics, 1200)
        put_back(pair.target, positions)
        run_and_kill(workers[1], pair, topics, 2400, lambda: refuses_to_begin(pair, topics[0]))
        # What it has not copied; and from now on both logs keep what they have.
        refill(pair, topics, 3600, 300)
        for client, name in ((pair.source, topics[2]), (pair.target, f"east.{topics[2]}")):
            client.alter_config(name, min_cleanable_dirty_ratio="1", max_compaction_lag_ms=None)
        time.sleep(1)
        yield Left(pair, {t: pair.target.read(f"east.{t}") for t in topics})
    finally:
        for worker in workers:
            worker.kill()


def check_records(left: Left, topic: str) -> tuple[list[Stored], list[Stored]]:
    """None is missing, in the source's order; none is there twice but what MM2 doubled."""
    pair, before = left.pair, left.records[topic]
    source = pair.source.read(topic)
    have = {content(s) for s in before}
    fresh = [s for s in source if content(s) not in have]
    wait_for(
        f"{topic} to be copied",
        lambda: pair.target.offsets(f"east.{topic}")[1] >= before[-1].offset + 1 + len(fresh),
        60,
    )
    target = pair.target.read(f"east.{topic}")
    assert [content(s) for s in target[len(before) :]] == [content(s) for s in fresh]
    assert [content(s) for s in target[: len(before)]] == [content(s) for s in before]
    if not topic.endswith("compact"):
        found = pairs(source, target)
        assert [s for s, _ in found] == [s.offset for s in source]
    return source, target


def takeover(mirror: Mirror, topic: str) -> dict[str, Any] | None:
    """What /v1/links says of the takeover; None: this process did not take it over."""
    entry = mirror.partition(topic)
    assert entry is not None
    return entry.get("takeover")


def translate(mirror: Mirror, topic: str, offsets: Sequence[int], back: bool) -> list[Any]:
    """The mirror's answers, one an offset."""
    name = f"east.{topic}" if back else topic
    words = ["translate", name, 0, *offsets, *(["--back"] if back else [])]
    answer = farshore(*words, "--json", "--url", f"http://{mirror.http}")
    found: list[Any] = answer.json()["translations"]
    assert len(found) == len(offsets), answer.err
    return found


def check_translation(mirror: Mirror, topic: str, found: Offsets) -> None:
    """Every offset, both ways, against the pairs: the first at or beyond it."""
    for back, places in ((False, found), (True, [(t, s) for s, t in found])):
        answers = translate(mirror, topic, range(places[-1][0] + 1), back)
        index = 0
        for offset, answer in enumerate(answers):
            if places[index][0] < offset:
                index += 1
            want = places[index][1]
            assert answer["exact"] and answer["translated"] == want, (offset, back, want, answer)


@pytest.mark.parametrize("topic", ["took-plain"])
def test_goes_on_where_it_stopped(left: Left, topic: str) -> None:
    """Without --take-over it refuses; with it it goes on at the furthest record copied."""
    refused = left.pair.mirror(topic, more=FLOW)
    with refused:
        entry = refused.wait_state("FOREIGN_WRITE", topic)
        assert "--take-over" in entry["reason"]
    with taking_over(left.pair, topic, POSITIONS) as mirror:
        mirror.wait_state("ACTIVE", topic)
        source, target = check_records(left, topic)
        found = takeover(mirror, topic)
        assert found is not None and found["ahead"] == 0
        assert 0 < found["doubled"] <= doubled(left.records[topic])
        assert found["doubled_ranges"]
        assert mirror.metric("farshore_takeover_records", topic=topic, kind="copied") > 0
        mirror.wait_log(f"event=taken_over .*topic={topic}")
        places = pairs(source, target)
        offsets = range(0, places[-1][0], 7)
        for offset, answer in zip(offsets, translate(mirror, topic, offsets, False)):
            want = next(t for s, t in places if s >= offset)
            low = answer["translated"]
            assert low <= want <= low + answer["max_behind"], (offset, want, answer)
    # The second start finds its own table; nothing is taken over again.
    left.pair.source.produce(topic, numbered(10, 90000))
    with taking_over(left.pair, topic, POSITIONS) as again:
        again.wait_state("ACTIVE", topic)
        wait_for("the rest", lambda: len(left.pair.target.read(f"east.{topic}")) == len(target) + 10)
        assert takeover(again, topic) is None
    with left.pair.mirror(topic, more=FLOW) as plain:
        plain.wait_state("ACTIVE", topic)


@pytest.mark.parametrize("topic", ["took-txn", "took-compact"])
def test_recovers_runs(left: Left, topic: str) -> None:
    """Every offset translates exactly, also below where MM2 was killed. The mirror is killed, too,
    while it takes over."""
    mirror = taking_over(left.pair, topic, RUNS)
    for pause in (0.3, 0.8, 1.2):
        mirror.start()
        time.sleep(pause)
        mirror.kill()
    with mirror:
        mirror.wait_state("ACTIVE", topic)
        source, target = check_records(left, topic)
        check_translation(mirror, topic, pairs(source, target))
        found = takeover(mirror, topic)
    # None if it was done just before the last kill.
    if found is not None:
        assert found["runs_recovered"]
        assert topic.endswith("compact") or found["doubled"] == doubled(left.records[topic])

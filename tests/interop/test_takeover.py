# SPDX-License-Identifier: Apache-2.0
"""MirrorMaker 2 copied and was killed; the mirror goes on in its place (issue 5, part 2)."""

import time
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from conftest import Pair
from harness.broker import Cluster
from harness.client import Client, Record, Stored, numbered
from harness.command import farshore
from harness.groups import Groups, Log, content, furthest
from harness.groups import Offsets as GroupOffsets
from harness.java import QUICK_FLAGS
from harness.mirror import Mirror, MirrorMaker2, mm2_properties, write_properties
from harness.process import wait_for
from test_groups import Commits, every_offset, in_step, wait_moved
from test_mm2_surface import by_command, checkpoints, mm2_classes

# Everything that a takeover reads is as MM2 makes it by itself.
FLOW = {
    "tasks.max": "2",
    "emit.heartbeats.enabled": "false",
    "groups": "took-.*",
    "emit.checkpoints.interval.seconds": "1",
    "sync.group.offsets.enabled": "true",
    "sync.group.offsets.interval.seconds": "1",
    "refresh.groups.interval.seconds": "1",
    "east.consumer.isolation.level": "read_committed",
    # A worker that was killed gets its tasks back at once, and not after five minutes.
    "west.scheduled.rebalance.max.delay.ms": "0",
    "west.session.timeout.ms": "6000",
    "west.heartbeat.interval.ms": "2000",
}
# How often it stores its positions: often, once; then not while a test looks.
OFTEN = {"west.offset.flush.interval.ms": "2000"}
RARELY = {"west.offset.flush.interval.ms": "600000"}
# Two plain topics: one is taken over by its positions, the others by walking both logs.
PLAIN, MORE, TRANSACTIONAL, COMPACTED = "took-plain", "took-more", "took-txn", "took-compact"
TOPICS = [PLAIN, MORE, TRANSACTIONAL, COMPACTED]
WALKED = TOPICS[1:]
POSITIONS = "links.east->west.take_over=positions"
RUNS = "links.east->west.take_over=runs"

Offsets = list[tuple[int, int]]
Logs = dict[str, tuple[list[Stored], list[Stored]]]  # the source's and the target's, by topic


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
    groups: Commits  # that were there while it ran


def taking_over(
    pair: Pair, topics: str, how: str, more: Mapping[str, str] | None = None
) -> Mirror:
    made = pair.mirror(topics, more={**FLOW, **(more or {})})
    made.process.argv += ["--set", how]
    return made


def refill(pair: Pair, start: int, count: int) -> None:
    """Every topic gets `count` records and more that say their number."""
    for plain in (PLAIN, MORE):
        pair.source.produce(plain, numbered(count, start, size=200), 0, "lz4")
    part = count // 20
    pair.source.transactions(
        TRANSACTIONAL, ((numbered(part, start + i * part), i % 3 != 1) for i in range(20))
    )
    keyed = [Record(b"key%d" % (i % 70), b"%d" % i) for i in range(start, start + count)]
    pair.source.produce(COMPACTED, keyed)


def target_ends(client: Client) -> dict[str, int]:
    return {t: client.offsets(f"east.{t}")[1] for t in TOPICS}


def wait_copied(client: Client, ends: dict[str, int], timeout: float) -> None:
    """Until much of a refill is on the target; of the compacted topic little may be left of it."""
    for topic, end in ends.items():
        more = 20 if topic == COMPACTED else 300
        wait_for(
            f"copy of {topic}",
            lambda t=topic, want=end + more: client.offsets(f"east.{t}")[1] > want,
            timeout,
        )


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


def some_groups(pair: Pair, prefix: str) -> Commits:
    """Groups that MM2 moves: each has a position in every topic that it will be asked about."""
    commits: Commits = {}
    for topic in WALKED:
        low, high = pair.source.offsets(topic)
        for number, offset in enumerate(range(low, high + 1, 1 + high // 20)):
            commits.setdefault(f"took-{prefix}-{number}", {})[(topic, 0)] = offset
    with Groups(pair.source) as groups:
        groups.commit(commits)
    return commits


def copy_and_kill(pair: Pair, folder: Path) -> Commits:
    """MM2 copies, stores its positions once, copies more, and is killed."""
    worker = mirror_maker(pair, folder, "first", OFTEN)
    refill(pair, 0, 800)
    moved = some_groups(pair, "old")
    try:
        worker.start()
        wait_for("topics", lambda: {f"east.{t}" for t in TOPICS} <= set(pair.target.topics()), 120)
        wait_copied(pair.target, dict.fromkeys(TOPICS, 0), 60)
        wait_for("positions", lambda: len(stored_positions(pair.target)) >= len(TOPICS), 60)
        positions = stored_positions(pair.target)
        ends = target_ends(pair.target)
        refill(pair, 800, 800)
        wait_copied(pair.target, ends, 60)
    finally:
        worker.kill()
    put_back(pair.target, positions)
    return moved


def copy_again_and_kill(pair: Pair, folder: Path) -> Commits:
    """It begins at the positions that it stored, and is killed again, in mid-copy."""
    worker = mirror_maker(pair, folder, "second", RARELY)
    ends = target_ends(pair.target)
    refill(pair, 1600, 800)
    moved = some_groups(pair, "mid")
    try:
        worker.start()
        wait_copied(pair.target, ends, 120)
        with Groups(pair.target) as groups:
            wait_for("a group", lambda: any(groups.offsets(moved).values()), 60)
        refuses_to_begin(pair, PLAIN)
    finally:
        worker.kill()
    return moved


def mirror_maker(pair: Pair, folder: Path, name: str, flush: dict[str, str]) -> MirrorMaker2:
    # Else it looks through every jar for plugins before it begins.
    quick = {"west.plugin.discovery": "service_load"}
    props = mm2_properties(pair.east, pair.west, ",".join(TOPICS), more={**FLOW, **flush, **quick})
    return MirrorMaker2(folder, props, name=name, flags=QUICK_FLAGS)


@pytest.fixture(scope="module")
def left(
    clusters: tuple[Cluster, Cluster],
    clients: tuple[Client, Client],
    tmp_path_factory: pytest.TempPathFactory,
) -> Left:
    folder = tmp_path_factory.mktemp("mm2")
    pair = Pair(*clusters, *clients, folder)
    pair.need_transactions()
    for topic in TOPICS[:-1]:
        pair.source.create_topic(topic)
    pair.source.create_topic(
        COMPACTED,
        cleanup_policy="compact",
        segment_ms=500,
        min_cleanable_dirty_ratio="0.01",
        max_compaction_lag_ms=600,
    )
    moved = {**copy_and_kill(pair, folder), **copy_again_and_kill(pair, folder)}
    # What it has not copied; and from now on both logs keep what they have.
    refill(pair, 2400, 300)
    for client, name in ((pair.source, COMPACTED), (pair.target, f"east.{COMPACTED}")):
        client.alter_config(name, min_cleanable_dirty_ratio="1", max_compaction_lag_ms=None)
    time.sleep(1)
    return Left(pair, {t: pair.target.read(f"east.{t}") for t in TOPICS}, moved)


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
    if topic != COMPACTED:
        found = pairs(source, target)
        assert [s for s, _ in found] == [s.offset for s in source]
    return source, target


def entry_of(mirror: Mirror, topic: str) -> dict[str, Any]:
    """The entry of the topic's partition in /v1/links, whichever link has it."""
    (found,) = (
        found["partitions"][0]
        for link in mirror.links()
        for found in link["topics"]
        if found["source"] == topic
    )
    return dict(found)


def takeover(mirror: Mirror, topic: str) -> dict[str, Any] | None:
    """What /v1/links says of the takeover; None: this process did not take it over."""
    return entry_of(mirror, topic).get("takeover")


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


def test_goes_on_where_it_stopped(left: Left) -> None:
    """Without --take-over it refuses; with it it goes on at the furthest record copied, and no group
    passes over a record."""
    topic = PLAIN
    refused = left.pair.mirror(topic, more=FLOW)
    with refused:
        entry = refused.wait_state("FOREIGN_WRITE", topic)
        assert "--take-over" in entry["reason"]
    end = left.pair.source.offsets(topic)[1]
    commits: Commits = {f"took-by-{o}": {(topic, 0): o} for o in [*range(0, end, 97), end]}
    with Groups(left.pair.source) as groups:
        groups.commit(commits)
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
        with Groups(left.pair.target) as groups:

            def moved() -> bool:
                """Early where only a bound is known, never late; and exact at the end."""
                at = moves(commits, groups.offsets(commits), topic)
                check_groups(source, target, at[-1:], True)
                return check_groups(source, target, at, False) < len(at)

            wait_for("the groups", moved, 20, every=0.3)
    # The second start finds its own table; nothing is taken over again.
    left.pair.source.produce(topic, numbered(10, 90000))
    with taking_over(left.pair, topic, POSITIONS) as again:
        again.wait_state("ACTIVE", topic)
        want = len(target) + 10
        wait_for("the rest", lambda: len(left.pair.target.read(f"east.{topic}")) == want)
        assert takeover(again, topic) is None
    with left.pair.mirror(topic, more=FLOW) as plain:
        plain.wait_state("ACTIVE", topic)


def check_groups(
    source: Sequence[Stored], target: Sequence[Stored], moved: Offsets, exact: bool
) -> int:
    """Groups by where they were and where they are: nothing is passed over, and if `exact` what
    comes next is the same. How many are not exact."""
    here, there, last = Log(source), Log(target), furthest(source, target)
    other = 0
    for offset, place in moved:
        index = bisect_left(here.at, offset)
        assert index == len(last) or place <= last[index], (offset, place, last[index])
        other += here.next_content(offset) != there.next_content(place)
    assert not exact or other == 0, f"{other} of {len(moved)} groups read another record next"
    return other


def positions(commits: Commits, topic: str) -> dict[str, int]:
    return {g: places[(topic, 0)] for g, places in commits.items() if (topic, 0) in places}


def moves(commits: Commits, moved: Mapping[str, GroupOffsets], topic: str) -> Offsets:
    """Where the groups with a position in this topic were, and where they are."""
    place = (f"east.{topic}", 0)
    return [(o, moved[group][place].offset) for group, o in positions(commits, topic).items()]


def check_forward(left: Left, commits: Commits, logs: Logs) -> None:
    """The groups at every offset, and those that MM2 had moved before."""

    def check(moved: Mapping[str, GroupOffsets]) -> bool:
        ahead = 0
        for topic, (source, target) in logs.items():
            at, by_mm2 = moves(commits, moved, topic), moves(left.groups, moved, topic)
            assert len(at) > 100 and len(by_mm2) > 20
            check_groups(source, target, at, True)
            # MM2 put some where it doubled records, beyond the first place: they never go back.
            ahead += check_groups(source, target, by_mm2, False)
        assert all(c.leader_epoch == -1 for g in commits for c in moved[g].values())
        print(f"{ahead} positions are MM2's own")
        return True

    everyone = {**commits, **left.groups}
    with Groups(left.pair.target) as groups:
        wait_for("the groups", lambda: check(groups.offsets(everyone)), 30, every=0.5)


def check_back(mirror: Mirror, left: Left, logs: Logs) -> None:
    """Groups at every offset of the copies go on in the originals."""
    names = {f"east.{t}": t for t in WALKED}
    ends = {copy: left.pair.target.offsets(copy)[1] for copy in names}
    commits = every_offset("took-back", ends, dict.fromkeys(names, 0))
    with Groups(left.pair.target) as groups:
        groups.commit(commits)
    with Groups(left.pair.source) as groups:
        wait_moved(groups, commits, names)
        wait_for("all in step", lambda: in_step(mirror, "west->east"), 30, every=0.2)
        moved = groups.offsets(commits)
    for copy, topic in names.items():
        source, target = logs[topic]
        places, here = pairs(source, target), Log(source)
        for group, at in positions(commits, copy).items():
            index = bisect_left(places, at, key=lambda pair: pair[1])
            found = here.next(moved[group][(topic, 0)].offset)
            want = here.next(places[index][0]) if index < len(places) else None
            assert found == want, (copy, group, moved[group])


def check_told(mirror: Mirror, left: Left, commits: Commits, logs: Logs) -> None:
    """The checkpoints of all groups are exact, also of those of which MM2 had told something else;
    RemoteClusterUtils and `farshore translate` say the same."""
    everyone = {**commits, **left.groups}
    exact = {}
    for topic, (source, target) in logs.items():
        places = [*pairs(source, target), (source[-1].offset + 1, target[-1].offset + 1)]
        for group, offset in positions(everyone, topic).items():
            place = places[min(bisect_left(places, (offset, 0)), len(places) - 1)]
            exact[group, f"east.{topic}", 0] = (offset, place[1])
    wait_for("the checkpoints", lambda: exact.items() <= checkpoints(left.pair.target).items())
    # Java reads all checkpoints anew for each group: half a second.
    groups = [*list(commits)[::900], *list(left.groups)[::11]]
    west = {"bootstrap.servers": left.pair.west.bootstrap()}
    client = write_properties(left.pair.folder / "client.properties", west)
    answers = mm2_classes("ask", str(client), "east", *groups)["translateOffsets"]
    asked = ("--url", f"http://{mirror.http}")
    direct = ("--mm2", mirror.process.argv[2], "--link", "east->west", "--direct")
    for group in groups:
        want = {f"east.{t}-0": exact[group, f"east.{t}", 0][1] for t, _ in everyone[group]}
        assert answers[group] == by_command(group, *asked) == by_command(group, *direct) == want


def test_recovers_runs(left: Left) -> None:
    """M7: every offset translates exactly, also below where MM2 was killed, and groups at every
    offset move exactly, both ways. The mirror is killed, too, while it takes over."""
    pair = left.pair
    low = {t: pair.source.offsets(t)[0] for t in WALKED}
    commits = every_offset("took-at", {t: pair.source.offsets(t)[1] for t in WALKED}, low)
    with Groups(pair.source) as groups:
        groups.commit(commits)
    both_ways = {
        "west->east.enabled": "true",
        "west->east.topics": "none",
        "east->west.groups": "took-(at|old|mid)-.*",
        "west->east.groups": "took-back-.*",
    }
    mirror = taking_over(pair, ",".join(WALKED), RUNS, both_ways)
    for pause in (0.3, 0.8, 1.2):
        mirror.start()
        time.sleep(pause)
        mirror.kill()
    logs: Logs = {}
    with mirror:
        for topic in WALKED:
            wait_for(topic, lambda t=topic: entry_of(mirror, t)["state"] == "ACTIVE", 30)
            logs[topic] = check_records(left, topic)
            check_translation(mirror, topic, pairs(*logs[topic]))
            found = takeover(mirror, topic)
            # None if it was done just before the last kill.
            if found is not None:
                assert found["runs_recovered"]
                assert topic == COMPACTED or found["doubled"] == doubled(left.records[topic])
        check_forward(left, commits, logs)
        check_back(mirror, left, logs)
        check_told(mirror, left, commits, logs)

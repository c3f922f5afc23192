# SPDX-License-Identifier: Apache-2.0
"""Consumer groups go on at the target with exactly the record that comes next: M7."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest
from confluent_kafka import Consumer, TopicPartition

from conftest import Pair, Topic
from harness.broker import Cluster
from harness.client import Client, Record, numbered
from harness.compare import assert_same
from harness.groups import Committed, Groups, Log, Offsets
from harness.mirror import Mirror, mm2_properties
from harness.process import wait_for
from test_copy import UNCOMPACTED, cleaned

SYNC = {
    "sync.group.offsets.enabled": "true",
    "sync.group.offsets.interval.seconds": "1",
    "emit.checkpoints.interval.seconds": "1",
    "refresh.groups.interval.seconds": "1",
}


@pytest.fixture
def groups(pair: Pair) -> Iterator[tuple[Groups, Groups]]:
    both = Groups(pair.source), Groups(pair.target)
    yield both
    for one in both:
        one.close()


def transactional(client: Client, name: str) -> None:
    """Transactions of all sizes, a third of them aborted, plain records between them."""
    client.create_topic(name)

    def each() -> Iterator[tuple[list[Record], bool]]:
        at = 0
        for number in range(60):
            size = 1 + number * 7 % 40
            records = [Record(b"k", b"%s %d" % (name.encode(), at + i)) for i in range(size)]
            yield records, number % 3 != 1
            client.produce(name, [Record(b"p", b"plain %d" % (at + 500_000))])
            at += size

    client.transactions(name, each())


def with_holes(client: Client, name: str) -> None:
    """A compacted topic of some 2500 offsets, most of them gone."""
    client.create_topic(
        name,
        cleanup_policy="compact",
        segment_bytes=1 << 20,
        min_cleanable_dirty_ratio="0.01",
    )
    client.produce(
        name,
        [Record(b"k%d" % (i % 97 if i % 5 else i), b"%d" % i + b"x" * 1000) for i in range(1400)],
    )
    client.produce(name, numbered(1100, start=50_000, size=1000))
    kept = cleaned(client, name, 2000)
    assert sum(b.offset != a.offset + 1 for a, b in zip(kept, kept[1:])) > 100


@dataclass
class Topics:
    """A plain, a transactional and a compacted topic of the source."""

    plain: str
    transactional: str
    holes: str

    def names(self) -> dict[str, str]:
        """And what their copies are called."""
        return {t: f"east.{t}" for t in (self.plain, self.transactional, self.holes)}


@pytest.fixture(scope="module")
def topics(clusters: tuple[Cluster, Cluster], clients: tuple[Client, Client]) -> Topics:
    if not clusters[0].transactions:
        pytest.skip("the source serves no transactions")
    source, made = clients[0], Topics("groups-plain", "groups-txn", "groups-holes")
    source.create_topic(made.plain)
    source.produce(made.plain, numbered(1000), batch_num_messages=7)
    transactional(source, made.transactional)
    with_holes(source, made.holes)
    return made


Commits = dict[str, dict[tuple[str, int], int]]


def every_offset(prefix: str, ends: dict[str, int], begin: dict[str, int]) -> Commits:
    """A group for each offset, with a position in each topic that has such an offset."""
    commits: Commits = {}
    for offset in range(min(begin.values()), max(ends.values()) + 1):
        places = {(t, 0): offset for t, end in ends.items() if begin[t] <= offset <= end}
        if places:
            commits[f"{prefix}-at-{offset}"] = places
    return commits


def wait_moved(groups: Groups, commits: Commits, names: dict[str, str]) -> dict[str, Offsets]:
    """The groups' offsets at the other cluster, once each has all of its positions there."""
    found: dict[str, Offsets] = {}

    def probe() -> bool:
        found.update(groups.offsets(commits))
        return all(
            {(names[t], p) for t, p in places} <= found[group].keys()
            for group, places in commits.items()
        )

    wait_for("the groups at the other cluster", probe, 60, every=0.5)
    return found


def check_next(here: Log, there: Log, offsets: dict[str, int], moved: dict[str, Committed]) -> None:
    """Each group reads next at the other cluster what it reads next here."""
    wrong = [
        (offset, moved[group].offset)
        for group, offset in offsets.items()
        if here.next(offset) != there.next(moved[group].offset)
    ]
    assert not wrong, f"{len(wrong)} of {len(offsets)} are wrong, the first {wrong[:5]}"


def check_all(
    here: Client,
    there: Client,
    names: dict[str, str],
    commits: Commits,
    moved: dict[str, Offsets],
    least: int = 100,
) -> None:
    for topic, other in names.items():
        at = {g: places[(topic, 0)] for g, places in commits.items() if (topic, 0) in places}
        assert len(at) > least
        check_next(
            Log(here.records(topic)),
            Log(there.records(other)),
            at,
            {group: moved[group][(other, 0)] for group in at},
        )


def more_of_all(client: Client, topics: Topics) -> None:
    client.produce(topics.plain, numbered(300, start=5000))
    client.transactions(
        topics.transactional,
        (
            ([Record(b"k", b"later %d" % (number * 50 + i)) for i in range(13)], number % 2 == 0)
            for number in range(20)
        ),
    )
    client.produce(topics.holes, numbered(200, start=90_000))


def test_every_offset(pair: Pair, topics: Topics, groups: tuple[Groups, Groups]) -> None:
    """M7: groups at every offset of a plain, a transactional and a compacted topic; F1: and after
    the mirror was killed, again and again."""
    names = topics.names()
    begin = {t: 0 for t in names}
    ends = {t: pair.source.offsets(t)[1] for t in names}
    commits = every_offset("forth", ends, begin)
    groups[0].commit(commits)
    mirror = pair.mirror(",".join(names), more={**SYNC, **UNCOMPACTED, "groups": "forth-.*"})
    with mirror:
        wait_moved(groups[1], commits, names)
        wait_for("all in step", lambda: in_step(mirror), 30, every=0.2)
        moved = groups[1].offsets(commits)
        check_all(pair.source, pair.target, names, commits, moved)
        assert all(c.leader_epoch == -1 for found in moved.values() for c in found.values())
        mirror.kill()
    more_of_all(pair.source, topics)
    ends = {t: pair.source.offsets(t)[1] for t in names}
    late = every_offset("forth-late", ends, {t: ends[t] - 300 for t in names})
    groups[0].commit(late)
    moves = {g: {k: v + 1 for k, v in places.items()} for g, places in list(commits.items())[::3]}
    groups[0].commit(moves)
    killed_early(mirror)
    with mirror:
        wait_moved(groups[1], late, names)
        wait_for("all in step", lambda: in_step(mirror), 30, every=0.2)
    check_all(pair.source, pair.target, names, late, groups[1].offsets(late))
    commits.update(moves)
    check_all(pair.source, pair.target, names, commits, groups[1].offsets(commits))


def killed_early(mirror: Mirror) -> None:
    """kill -9 while it looks around, and while it moves the first groups."""
    for pause in (0.1, 0.4, 0.9):
        mirror.start()
        time.sleep(pause)
        mirror.kill()


def in_step(mirror: Mirror, link: str = "") -> bool:
    """All groups that the mirror follows, or that this link does."""
    only = f"&link={quote(link)}" if link else ""
    _, text = mirror.get(f"/v1/groups?positions=no{only}")
    found = json.loads(text)["groups"]
    return bool(found) and all(
        g["waiting"] == 0 and g["unknown"] == 0 and g["synced_ms"] is not None for g in found
    )


def test_every_offset_back(pair: Pair, topics: Topics, groups: tuple[Groups, Groups]) -> None:
    """Failback: groups at every offset of the copies go on in the originals; the same when the
    mirror was killed, and more came meanwhile."""
    more = {
        **SYNC,
        **UNCOMPACTED,
        "west->east.enabled": "true",
        "west->east.topics": "none",
        "east->west.groups": "none",
        "west->east.groups": "back-.*",
    }
    names = {copy: t for t, copy in topics.names().items()}
    begin = dict.fromkeys(names, 0)
    mirror = pair.mirror(",".join(names.values()), more=more)

    def copied() -> dict[str, int]:
        for copy, t in names.items():
            assert_same(pair.source, t, pair.target, copy)
        return {copy: pair.target.offsets(copy)[1] for copy in names}

    with mirror:
        ends = copied()
        commits = every_offset("back", ends, begin)
        groups[1].commit(commits)
        moved = wait_moved(groups[0], commits, names)
        wait_for("all in step", lambda: in_step(mirror), 30, every=0.2)
        check_all(pair.target, pair.source, names, commits, groups[0].offsets(commits))
        assert moved.keys() == commits.keys()
        mirror.kill()
    more_of_all(pair.source, topics)
    killed_early(mirror)
    with mirror:
        late = every_offset("back-late", copied(), ends)
        groups[1].commit(late)
        wait_moved(groups[0], late, names)
        wait_for("all in step", lambda: in_step(mirror), 30, every=0.2)
    check_all(pair.target, pair.source, names, late, groups[0].offsets(late))


def test_the_targets_own(pair: Pair, topic: Topic, groups: tuple[Groups, Groups]) -> None:
    """A group with members at the target is left alone; positions never go back; metadata go
    along; what is excluded stays."""
    name, there = topic(), f"east.{topic()}"
    pair.source.create_topic(name)
    pair.source.produce(name, numbered(100))
    at = (name, 0)
    more = {**SYNC, "groups": f"{name}-.*", "groups.exclude": ".*-not"}
    with pair.mirror(name, more=more) as mirror:
        assert_same(pair.source, name, pair.target, there)
        groups[1].commit({f"{name}-ahead": {(there, 0): 30}})
        groups[0].commit(
            {
                f"{name}-g": {at: Committed(40, "note", 3)},
                f"{name}-busy": {at: 60},
                f"{name}-ahead": {at: 10},
                f"{name}-not": {at: 10},
            }
        )
        wait_for("g", lambda: groups[1].group(f"{name}-g") != {}, 30)
        assert groups[1].group(f"{name}-g") == {(there, 0): Committed(40, "note", -1)}
        assert groups[1].group(f"{name}-not") == {}
        assert groups[1].group(f"{name}-ahead") == {(there, 0): Committed(30)}
        wait_for("busy", lambda: groups[1].group(f"{name}-busy") != {}, 30)
        consumer = Consumer(
            {
                **pair.target.config,
                "group.id": f"{name}-busy",
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
            }
        )
        consumer.subscribe([there])
        message = wait_for("a record", lambda: consumer.poll(1), 30)
        assert message.offset() == 60  # just where it was at the source
        groups[0].commit({f"{name}-busy": {at: 90}})
        wait_for("it is seen", lambda: position(mirror, f"{name}-busy")["problem"] != "", 15)
        assert position(mirror, f"{name}-busy")["problem"] == "target_active"
        consumer.commit(offsets=[TopicPartition(there, 0, 70)], asynchronous=False)
        consumer.close()
        wait_for(
            "the group, when its members left",
            lambda: groups[1].group(f"{name}-busy")[(there, 0)].offset == 90,
            30,
        )
        assert position(mirror, f"{name}-ahead")["problem"] == "target_ahead"
        assert position(mirror, f"{name}-ahead")["skipped"] == 20
        # Reset at the source, and nobody asked to follow.
        groups[0].commit({f"{name}-g": {at: 5}})
        wait_for("it is seen", lambda: position(mirror, f"{name}-g")["problem"] == "rewound", 15)
        assert groups[1].group(f"{name}-g")[(there, 0)].offset == 40


def position(mirror: Mirror, group: str) -> dict[str, Any]:
    status, text = mirror.get(f"/v1/groups?group={group}")
    assert status == 200
    (found,) = json.loads(text)["groups"]
    return found["positions"][0]


def test_rewinds_and_deletion(pair: Pair, topic: Topic, groups: tuple[Groups, Groups]) -> None:
    """follow_rewinds: a group that was reset at the source is at the target too; group_deletion."""
    name, there = topic(), f"east.{topic()}"
    pair.source.create_topic(name)
    pair.source.produce(name, numbered(100))
    at = (name, 0)
    groups[0].commit({f"{name}-back": {at: 80}, f"{name}-gone": {at: 20}, f"{name}-own": {at: 20}})
    props = mm2_properties(pair.east, pair.west, name, more={**SYNC, "groups": f"{name}-.*"})
    sets = ("links.east->west.follow_rewinds=true", "links.east->west.group_deletion=delete")
    mirror = Mirror(pair.folder, props, *sets)
    pair.mirrors.append(mirror)
    with mirror:
        for group, offset in (("back", 80), ("gone", 20), ("own", 20)):
            wait_offset(groups[1], f"{name}-{group}", there, offset)
        groups[0].commit({f"{name}-back": {at: 30}})
        wait_offset(groups[1], f"{name}-back", there, 30)
        # Somebody used this one at the target: it is theirs.
        groups[1].commit({f"{name}-own": {(there, 0): 25}})
        for group in ("gone", "own"):
            pair.source.admin.delete_consumer_groups([f"{name}-{group}"])[
                f"{name}-{group}"
            ].result(30)
        mirror.wait_log(rf"event=group_deleted .*group={name}-gone ")
        mirror.wait_log(rf"event=group_gone .*group={name}-own at_target=kept")
    assert f"{name}-gone" not in groups[1].listed()
    assert groups[1].group(f"{name}-own")[(there, 0)].offset == 25


def wait_offset(groups: Groups, group: str, topic: str, offset: int) -> None:
    wait_for(
        f"{group} at {offset}",
        lambda: groups.group(group).get((topic, 0), Committed(-1)).offset == offset,
        30,
    )


def test_past_the_mirrored_end(pair: Pair, topic: Topic, groups: tuple[Groups, Groups]) -> None:
    """A group that read records which are not mirrored yet: clamped, then completed."""
    pair.need_transactions()
    name, there = topic(), f"east.{topic()}"
    pair.source.create_topic(name)
    pair.source.produce(name, numbered(10))
    with pair.mirror(name, more={**SYNC, "groups": f"{name}-.*"}) as mirror:
        assert_same(pair.source, name, pair.target, there)
        with pair.source.open_transaction(name, numbered(10, start=10)) as transaction:
            groups[0].commit({f"{name}-g": {(name, 0): 15}})
            wait_offset(groups[1], f"{name}-g", there, 10)
            seen = position(mirror, f"{name}-g")
            assert (seen["target_position"], seen["pending"], seen["exact"]) == (10, 5, True)
            transaction.commit_transaction(30)
        wait_offset(groups[1], f"{name}-g", there, 15)
        assert position(mirror, f"{name}-g")["pending"] == 0


def test_within_two_intervals(pair: Pair, topic: Topic, groups: tuple[Groups, Groups]) -> None:
    """A change at the source is at the target within two intervals, whenever it comes."""
    name, there, interval = topic(), f"east.{topic()}", 2
    pair.source.create_topic(name)
    pair.source.produce(name, numbered(100))
    groups[0].commit({f"{name}-g": {(name, 0): 1}})
    often = {"sync.group.offsets.interval.seconds": str(interval)}
    with pair.mirror(name, more={**SYNC, **often, "groups": f"{name}-.*"}):
        wait_offset(groups[1], f"{name}-g", there, 1)
        for number in range(2):
            time.sleep(0.7 * number)
            groups[0].commit({f"{name}-g": {(name, 0): 10 * number + 10}})
            began = time.monotonic()
            wait_offset(groups[1], f"{name}-g", there, 10 * number + 10)
            assert time.monotonic() - began < 2 * interval


def test_after_losses(pair: Pair, topic: Topic, groups: tuple[Groups, Groups]) -> None:
    """Groups in a topic that was made again, and before records that are gone: each goes on with
    the record that it reads next at the source."""
    again, lossy = topic("again"), topic("lossy")
    names = {again: f"east.{again}", lossy: f"east.{lossy}"}
    for name in names:
        pair.source.create_topic(name)
        pair.source.produce(name, numbered(100))
    mirror = pair.mirror(
        ",".join(names),
        "links.east->west.on_topic_recreated=restart",
        "links.east->west.on_data_loss=record_and_continue",
        "links.east->west.request_lifetime=1 s",
        more={**SYNC, "groups": f"{topic()}-.*"},
    )
    before = every_offset(f"{topic()}-old", dict.fromkeys(names, 100), dict.fromkeys(names, 0))
    groups[0].commit(before)
    with mirror:
        wait_moved(groups[1], before, names)
        mirror.kill()
    pair.source.delete_topic(again)
    pair.source.create_topic(again)
    pair.source.produce(again, numbered(150, start=1000))
    pair.source.produce(lossy, numbered(50, start=100))
    pair.source.delete_records(lossy, 120)
    # Those of the old topic are at other places now, some of them at lower ones than before.
    after = every_offset(f"{topic()}-old", {again: 150, lossy: 150}, {again: 0, lossy: 100})
    groups[0].commit(after)
    with mirror:
        for name, end in ((again, 250), (lossy, 130)):
            wait_for(name, lambda t=name, n=end: pair.target.offsets(names[t])[1] == n)
        wait_for("all in step", lambda: in_step(mirror), 30, every=0.2)
    check_all(pair.source, pair.target, names, after, groups[1].offsets(after), least=50)
    # What lies before the loss is where it was.
    moved = groups[1].offsets(before)
    for group, places in before.items():
        if places[lossy, 0] < 100:
            assert moved[group][names[lossy], 0].offset == places[lossy, 0]

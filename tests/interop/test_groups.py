# SPDX-License-Identifier: Apache-2.0
"""Consumer groups go on at the target with exactly the record that comes next: M7."""

from collections.abc import Iterator

import pytest

from conftest import Pair, Topic
from harness.client import Client, Record, numbered
from harness.compare import assert_same
from harness.groups import Committed, Groups, Log, Offsets
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


def transactional(pair: Pair, name: str) -> None:
    """Transactions of all sizes, a third of them aborted, plain records between them."""
    pair.source.create_topic(name)
    at = 0
    for number in range(60):
        size = 1 + number * 7 % 40
        records = [Record(b"k", b"%s %d" % (name.encode(), at + i)) for i in range(size)]
        pair.source.transaction(name, records, commit=number % 3 != 1)
        pair.source.produce(name, [Record(b"p", b"plain %d" % (at + 500_000))])
        at += size


def with_holes(pair: Pair, name: str) -> None:
    """A compacted topic of some 2500 offsets, most of them gone."""
    pair.source.create_topic(
        name,
        cleanup_policy="compact",
        segment_bytes=1 << 20,
        min_cleanable_dirty_ratio="0.01",
    )
    pair.source.produce(
        name,
        [Record(b"k%d" % (i % 97 if i % 5 else i), b"%d" % i + b"x" * 1000) for i in range(1400)],
    )
    pair.source.produce(name, numbered(1100, start=50_000, size=1000))
    kept = cleaned(pair, name, 2000)
    assert sum(b.offset != a.offset + 1 for a, b in zip(kept, kept[1:])) > 100


def check_every_offset(
    source: Client, target: Client, topic: str, groups: dict[str, int], moved: dict[str, Offsets]
) -> None:
    """Each group reads next at the target what it reads next at the source."""
    at_source, at_target = Log(source.records(topic)), Log(target.records(f"east.{topic}"))
    wrong = []
    for group, offset in groups.items():
        committed = moved[group].get((f"east.{topic}", 0))
        if committed is None:
            wrong.append((offset, None))
        elif at_source.next(offset) != at_target.next(committed.offset):
            wrong.append((offset, committed.offset))
    assert not wrong, f"{topic}: {len(wrong)} of {len(groups)} are wrong, the first {wrong[:5]}"


def test_every_offset(pair: Pair, topic: Topic, groups: tuple[Groups, Groups]) -> None:
    """Groups at every offset of a plain, a transactional and a compacted topic."""
    plain, txn, holes = topic("plain"), topic("txn"), topic("holes")
    pair.source.create_topic(plain)
    pair.source.produce(plain, numbered(1000), batch_num_messages=7)
    transactional(pair, txn)
    with_holes(pair, holes)
    names = {t: {} for t in (plain, txn, holes)}
    ends = {t: pair.source.offsets(t)[1] for t in names}
    commits: dict[str, dict[tuple[str, int], int]] = {}
    for offset in range(max(ends.values()) + 1):
        group = f"{plain}-at-{offset}"
        commits[group] = {}
        for t, end in ends.items():
            if offset <= end:
                commits[group][(t, 0)] = offset
                names[t][group] = offset
    groups[0].commit(commits)
    more = {**SYNC, **UNCOMPACTED, "groups": f"{plain}-at-.*"}
    with pair.mirror(f"{plain},{txn},{holes}", more=more):
        for t in names:
            assert_same(pair.source, t, pair.target, f"east.{t}")
        last = f"{plain}-at-{max(ends.values())}"

        def synced() -> bool:
            return all(
                len(groups[1].group(g)) == len(commits[g]) for g in (last, f"{plain}-at-0")
            )

        wait_for("the groups at the target", synced, 30)
        wait_for(
            "all of them",
            lambda: all(
                len(found) == len(commits[g])
                for g, found in groups[1].offsets(commits).items()
            ),
            30,
        )
    moved = groups[1].offsets(commits)
    for t, at in names.items():
        check_every_offset(pair.source, pair.target, t, at, moved)
    assert all(c.leader_epoch == -1 for found in moved.values() for c in found.values())
    assert sum(len(found) for found in moved.values()) == sum(len(c) for c in commits.values())

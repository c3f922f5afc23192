# SPDX-License-Identifier: Apache-2.0
"""Groups at both of two clusters that are mirrored to each other, while both are written to."""

import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import inf

import pytest

from conftest import Pair, Topic
from harness.client import Client
from harness.compare import assert_same
from harness.groups import Groups, Log, Place, furthest
from harness.mirror import Mirror
from harness.process import wait_for
from test_groups import SYNC, Commits
from test_two_way import IDENTITY, PARTITIONS, Topics, both_ways, check_everything, traffic


Moved = dict[str, dict[Place, int]]


@dataclass
class Side:
    """One cluster, its groups, and what its partitions are called at the other."""

    client: Client
    groups: Groups
    names: Mapping[Place, Place]
    committed: Commits

    def commit(self, prefix: str, count: int) -> None:
        """Groups that share out every partition as it is now, from its begin to its end."""
        made: Commits = {}
        for place in self.names:
            end = self.client.offsets(*place)[1]
            for number in range(count + 1):
                made.setdefault(f"{prefix}-{number}", {})[place] = end * number // count
        self.groups.commit(made)
        self.committed.update(made)

    def moved(self, other: "Side") -> Moved:
        """Where its groups are at the other cluster, by the partitions' names here."""
        found = other.groups.offsets(self.committed)
        return {
            group: {p: at[there].offset for p, there in self.names.items() if there in at}
            for group, at in found.items()
        }


@pytest.fixture(name="sides")
def both_sides(pair: Pair) -> Iterator[tuple[Side, Side]]:
    with Groups(pair.source) as east, Groups(pair.target) as west:
        yield Side(pair.source, east, {}, {}), Side(pair.target, west, {}, {})


def places_of(topics: Topics, policy: str) -> dict[Place, Place]:
    """Partitions of east by name, and what they are called at west."""
    found: dict[Place, Place] = {}
    for topic in topics.names():
        for partition in range(PARTITIONS):
            if policy == "Identity":
                found[topic, partition] = topic, partition
            else:
                found[topic, partition] = f"east.{topic}", partition
                found[f"west.{topic}", partition] = topic, partition
    return found


class Judge:
    """Where the groups of a side belong at the other, by the records of both logs."""

    def __init__(self, here: Side, there: Side):
        self.here = here
        self.logs = {
            place: (Log(here.client.records(*place)), Log(there.client.records(*other)))
            for place, other in here.names.items()
        }
        self.furthest = {
            place: furthest(log.records, other.records)
            for place, (log, other) in self.logs.items()
        }

    def limit(self, place: Place, offset: int) -> float:
        """How far the group may be: up to the first record there that it has not read here."""
        index = bisect_left(self.logs[place][0].at, offset)
        return self.furthest[place][index] if index < len(self.furthest[place]) else inf

    def wrong(self, moved: Moved, exact: bool) -> list[str]:
        """What is past the limit; if `exact`, also what has not come to the record that is next."""
        found = []
        for group, places in moved.items():
            for place, offset in self.here.committed[group].items():
                limit, at = self.limit(place, offset), places.get(place, -1)
                early = self.logs[place][1].next_offset(at) < limit or at < 0
                # What the cleaner has removed at one side only is not told apart.
                if at > limit or (early and exact and "compacted" not in place[0]):
                    found.append(f"{group} {place} {offset} -> {at}, not {limit}")
        return found

    def drifted(self) -> list[str]:
        """Groups that another record follows at their own side now than when they committed."""
        return [
            f"{group} {place} {offset} -> {now[place].offset}"
            for group, now in self.here.groups.offsets(self.here.committed).items()
            for place, offset in self.here.committed[group].items()
            if self.logs[place][0].next_offset(offset)
            != self.logs[place][0].next_offset(now[place].offset)
        ]


@pytest.mark.parametrize(
    "policy", ["Identity", pytest.param("Default", marks=pytest.mark.long)]
)
def test_both_write(pair: Pair, topic: Topic, sides: tuple[Side, Side], policy: str) -> None:
    """F21, M7: groups that commit at either side go on at the other with the first record that they
    have not read, under equal names as under prefixes; nothing is passed over while both links and
    both sides write, and when the mirror is killed meanwhile."""
    pair.need_transactions(both=True)
    east, west = sides
    early: list[tuple[Moved, Moved]] = []
    prefix = topic("g")
    more = {**(IDENTITY if policy == "Identity" else {}), **SYNC, "groups": f"{prefix}-.*"}
    with traffic(pair, topic) as (topics, writers):
        east.names = places_of(topics, policy)
        west.names = {there: here for here, there in east.names.items()}
        props = both_ways(pair.east, pair.west, ", ".join(topics.names()), more)
        mirror = Mirror(pair.folder, props).start()
        pair.mirrors.append(mirror)
        for side in sides:
            for place in side.names:
                wait_for(f"{place}", lambda s=side, p=place: s.client.offsets(*p)[1] > 0)
        for turn in range(4):
            east.commit(f"{prefix}-east-{turn}", 10)
            west.commit(f"{prefix}-west-{turn}", 10)
            time.sleep(1)
            early.append((east.moved(west), west.moved(east)))
            if turn == 1:
                mirror.kill()
                mirror.start()
    if policy == "Identity":
        check_everything(pair, topics, writers)
    else:
        for name in (topics.plain, topics.transactional):
            assert_same(pair.source, name, pair.target, f"east.{name}")
            assert_same(pair.target, name, pair.source, f"west.{name}")
    east.commit(f"{prefix}-east-late", 300)
    west.commit(f"{prefix}-west-late", 300)
    judges = Judge(east, west), Judge(west, east)

    def wrong() -> list[str]:
        return judges[0].wrong(east.moved(west), True) + judges[1].wrong(west.moved(east), True)

    try:
        wait_for("the groups", lambda: not wrong(), 20, every=0.5)
    except TimeoutError:
        pass
    assert not wrong()
    for judge, snapshots in zip(judges, zip(*early)):
        assert not judge.drifted()
        for snapshot in snapshots:
            assert not judge.wrong(snapshot, False)
    mirror.stop()

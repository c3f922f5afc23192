# SPDX-License-Identifier: Apache-2.0
"""Committed offsets of many groups at once, by hand: thousands of consumers would take minutes."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf

from broker.raw import Raw

from .client import Client, Record, Stored
from .process import wait_for

OFFSET_COMMIT, OFFSET_FETCH, FIND_COORDINATOR, LIST_GROUPS = 8, 9, 10, 16
CONNECTIONS = 8  # a broker takes the requests of one in turn, and commits wait for each other
WINDOW = 40  # requests on their way on one

Place = tuple[str, int]  # topic, partition


@dataclass(frozen=True, slots=True)
class Committed:
    """What a group has committed of one partition."""

    offset: int
    metadata: str = ""
    leader_epoch: int = -1


Offsets = dict[Place, Committed]


class Groups:
    """The groups of a cluster of one broker."""

    def __init__(self, client: Client):
        self.client = client
        port = int(client.cluster.bootstrap().rsplit(":", 1)[1])
        self.lanes = [Raw(port) for _ in range(CONNECTIONS)]
        self.raw = self.lanes[0]

    def __enter__(self) -> "Groups":
        return self

    def __exit__(self, *_raised: object) -> None:
        self.close()

    def close(self) -> None:
        for lane in self.lanes:
            lane.socket.close()

    def commit(self, groups: Mapping[str, Mapping[Place, int | Committed]]) -> None:
        """As consumers without members do (assign, commit)."""
        self._coordinators_ready(list(groups)[:1])
        for number, (group, offsets) in enumerate(groups.items()):
            raw = self.lanes[number % CONNECTIONS]
            topics: dict[str, list[dict[str, object]]] = {}
            for (topic, partition), at in offsets.items():
                committed = at if isinstance(at, Committed) else Committed(at)
                topics.setdefault(topic, []).append(
                    {
                        "PartitionIndex": partition,
                        "CommittedOffset": committed.offset,
                        "CommittedLeaderEpoch": committed.leader_epoch,
                        "CommittedMetadata": committed.metadata,
                    }
                )
            raw.send(
                OFFSET_COMMIT,
                9,
                GroupId=group,
                Topics=[{"Name": t, "Partitions": parts} for t, parts in topics.items()],
            )
            if len(raw.asked) == WINDOW:
                self._committed(raw)
        for raw in self.lanes:
            while raw.asked:
                self._committed(raw)

    def _committed(self, raw: Raw) -> None:
        for topic in raw.receive()["Topics"]:
            for part in topic["Partitions"]:
                assert part["ErrorCode"] == 0, f"commit of {topic['Name']}: {part}"

    def _coordinators_ready(self, groups: Sequence[str]) -> None:
        """A cluster makes the offsets topic when the first coordinator is asked for."""

        def probe() -> bool:
            answer = self.raw.ask(FIND_COORDINATOR, 4, KeyType=0, CoordinatorKeys=list(groups))
            if not all(c["ErrorCode"] == 0 for c in answer["Coordinators"]):
                return False
            fetched = self._fetch(list(groups))
            return all(g["ErrorCode"] == 0 for g in fetched)

        wait_for("the coordinator", probe, 30)

    def _fetch(self, groups: list[str]) -> list[dict[str, object]]:
        asked = [{"GroupId": g, "Topics": None} for g in groups]
        return self.raw.ask(OFFSET_FETCH, 8, Groups=asked)["Groups"]

    def offsets(self, groups: Iterable[str]) -> dict[str, Offsets]:
        names = list(groups)
        found: dict[str, Offsets] = {}
        for at in range(0, len(names), 500):
            for group in self._fetch(names[at : at + 500]):
                assert group["ErrorCode"] == 0, group
                found[group["GroupId"]] = {
                    (t["Name"], p["PartitionIndex"]): Committed(
                        p["CommittedOffset"], p["Metadata"] or "", p["CommittedLeaderEpoch"]
                    )
                    for t in group["Topics"]
                    for p in t["Partitions"]
                    if p["CommittedOffset"] >= 0
                }
        return found

    def group(self, name: str) -> Offsets:
        return self.offsets([name])[name]

    def listed(self) -> dict[str, str]:
        """Group -> state."""
        answer = self.raw.ask(LIST_GROUPS, 4)
        assert answer["ErrorCode"] == 0
        return {g["GroupId"]: g["GroupState"] for g in answer["Groups"]}


Content = tuple[bytes | None, bytes | None]


def content(stored: Stored) -> Content:
    """What tells records apart where times and headers may differ."""
    return stored.record.key, stored.record.value


class Log:
    """The records of a partition, to ask what a consumer at an offset reads next."""

    def __init__(self, records: Iterable[Stored]):
        self.records = list(records)
        self.at = [r.offset for r in self.records]

    def next(self, offset: int) -> Record | None:
        index = bisect_left(self.at, offset)
        return self.records[index].record if index < len(self.records) else None

    def next_offset(self, offset: int) -> float:
        index = bisect_left(self.at, offset)
        return self.at[index] if index < len(self.at) else inf

    def next_content(self, offset: int) -> Content | None:
        index = bisect_left(self.at, offset)
        return content(self.records[index]) if index < len(self.records) else None


def furthest(here: Sequence[Stored], there: Sequence[Stored]) -> list[float]:
    """For each record here: up to which offset a reader there may stand and still come to this one
    and to all behind it. What is not there does not count."""
    last = {content(stored): stored.offset for stored in there}
    places = [float(last.get(content(stored), inf)) for stored in here]
    for index in range(len(places) - 1, 0, -1):
        places[index - 1] = min(places[index - 1], places[index])
    return places

# SPDX-License-Identifier: Apache-2.0
"""What a broker was asked to do and what it promised, and whether it kept its word.

Whatever was sent and not answered with success may have happened or not (once); what was
acknowledged must be there. Names of the invariants: B1 lost, B3 twice, B4 one offset with two
values, B11 order, B14 commits, B18 compaction.
"""

from dataclasses import dataclass, field

from raw import Connection, Partition, Seen


@dataclass
class Entry:
    """A record in the order in which it was sent."""

    value: bytes | None
    key: bytes | None = None
    offset: int | None = None  # once it is acknowledged


@dataclass
class Log:
    """One partition. Values are unique, except where a key is deleted (None)."""

    entries: list[Entry] = field(default_factory=list)
    start: int = 0  # acknowledged by DeleteRecords
    start_asked: int = 0
    retention: bool = False  # old records may go
    compacted: bool = False

    def add(self, key: bytes | None, value: bytes | None) -> Entry:
        entry = Entry(value, key)
        self.entries.append(entry)
        return entry

    def check(self, name: Partition, seen: list[Seen], start: int) -> None:
        assert start >= self.start, f"{name}: B13: start {start}, acknowledged {self.start}"
        if not self.retention:
            assert start <= max(self.start, self.start_asked), f"{name}: B1: start is {start}"
        self._check_order(name, seen)
        if self.compacted:
            self._check_keys(name, seen)
            return
        offsets = [s.offset for s in seen]
        assert not offsets or offsets == list(
            range(offsets[0], offsets[0] + len(offsets))
        ), f"{name}: holes in {offsets}"
        found = {s.offset: s.value for s in seen}
        for entry in self.entries:
            if entry.offset is not None and entry.offset >= start:
                value = found.get(entry.offset)
                assert entry.offset in found, f"{name}: B1: {entry.offset} is lost"
                assert value == entry.value, f"{name}: B4: {entry.offset} is {value!r:.40}"

    def _check_order(self, name: Partition, seen: list[Seen]) -> None:
        """What is read was sent, in this order, each once, and lies where it was said to."""
        at = 0
        for record in seen:
            while at < len(self.entries) and not self._is(self.entries[at], record):
                at += 1
            assert at < len(self.entries), (
                f"{name}: B3/B11: {record.key!r:.30}={record.value!r:.30} at {record.offset} was "
                "not sent, or is there twice or in another order"
            )
            at += 1

    @staticmethod
    def _is(entry: Entry, record: Seen) -> bool:
        return (
            entry.value == record.value
            and entry.key == record.key
            and entry.offset in (None, record.offset)
        )

    def _check_keys(self, name: Partition, seen: list[Seen]) -> None:
        """B18: the last acknowledged value of each key is its last one, or a later one that was
        sent is."""
        wanted: dict[bytes | None, int] = {}
        for number, entry in enumerate(self.entries):
            if entry.offset is not None:
                wanted[entry.key] = number
        last = {record.key: record for record in seen}
        for key, number in wanted.items():
            assert key in last, f"{name}: B18: {key!r} has no record any more"
            later = [e.value for e in self.entries[number:] if e.key == key]
            assert last[key].value in later, f"{name}: B18: {key!r} is {last[key].value!r:.30}"


@dataclass
class Promise:
    """Something asked for and perhaps done."""

    asked: bool = False
    done: bool = False


@dataclass
class Model:
    """All that a run has asked for."""

    logs: dict[Partition, Log] = field(default_factory=dict)
    commits: list[tuple[int, bool]] = field(default_factory=list)  # offset, acknowledged
    created: dict[str, Promise] = field(default_factory=dict)
    deleted: dict[str, Promise] = field(default_factory=dict)
    producers: list[int] = field(default_factory=list)

    def log(self, where: Partition) -> Log:
        return self.logs.setdefault(where, Log())

    def check(self, c: Connection, group: str, where: Partition) -> None:
        """Against a broker that was started again."""
        topics = c.topics()
        self._check_topics(topics)
        for name, log in self.logs.items():
            if name[0] in topics:
                seen, start = c.read_all(name)
                log.check(name, seen, start)
        if self.commits:
            self._check_commits(c.committed(group, where))

    def _check_topics(self, topics: dict[str, int]) -> None:
        for name, promise in self.created.items():
            deleted = self.deleted.get(name, Promise())
            if deleted.done:
                assert name not in topics, f"B15: {name} was deleted and is back"
            elif promise.done and not deleted.asked:
                assert topics.get(name), f"B15: {name} was made and is gone: {topics}"
        assert set(topics) <= set(self.created), f"B15: topics that nobody made: {topics}"

    def _check_commits(self, found: int) -> None:
        acked = [number for number, (_, done) in enumerate(self.commits) if done]
        first = acked[-1] if acked else 0
        allowed = [offset for offset, _ in self.commits[first:]] + ([] if acked else [-1])
        assert found in allowed, f"B14: committed is {found}, not one of {allowed}"

# SPDX-License-Identifier: Apache-2.0
"""The script of the sweeps: a little of everything that writes to the disk.

It makes topics, produces (idempotent, pipelined, in large batches that roll segments by size, and
with timestamps that roll them by time), compacts, deletes records, segments and a topic, commits
offsets, and looks at what it did. What it asked for and what was acknowledged goes into a Model.
"""

import random
import time
from typing import Callable, TypeVar

from model import Entry, Model, Promise
from raw import (
    STORAGE_ERROR,
    TOPIC_ALREADY_EXISTS,
    UNKNOWN_TOPIC_OR_PARTITION,
    Connection,
    Partition,
    Refused,
    Sequence,
    batch,
)
from server import Server

T = TypeVar("T")
GROUP = "readers"
ORDERED: Partition = ("ordered", 0)  # one idempotent producer
LOOSE: Partition = ("ordered", 1)  # a plain producer; records are deleted from its start
SHORT: Partition = ("short", 0)  # retention takes its segments
TABLE: Partition = ("table", 0)  # compacted
LARGE = random.Random(7).randbytes(250_000)
BACK_MS = 600_000  # timestamps start so long ago, so that they can be moved on to roll segments
# Faults that a client is told and that pass: storage, not leader, timeout, coordinator loading or
# away, unknown; a sequence that is ahead since an earlier batch failed.
PASSING = {STORAGE_ERROR, 6, 7, 14, 15, 16, -1, 45}
STARTING = {14, 15, 16}  # coordinators come up a moment after the broker
PATIENCE_S = 10


class Died(Exception):
    """The broker is gone, as a kill sweep wants it."""


class Script:
    """One run. `tolerant`: faults that a client may retry are retried (failing calls); otherwise
    nothing may go wrong but the end of the process."""

    def __init__(self, server: Server, *, tolerant: bool = False):
        self.server = server
        self.tolerant = tolerant
        self.model = Model()
        self.refused: list[int] = []  # error codes on the way
        self.clock = int(time.time() * 1000) - BACK_MS
        self.producer = (-1, -1)
        self.sequence = 0
        self.number = 0
        self.unsent: list[tuple[list[Entry], bytes]] = []  # of the idempotent producer
        self.connection: Connection | None = None

    # -- one request, with what may go wrong

    def conn(self) -> Connection:
        if self.connection is None:
            self.connection = self.server.connect()
        return self.connection

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def lost(self, why: Exception) -> None:
        """The connection broke: fine if the process ended, or if faults are expected."""
        self.close()
        end = time.monotonic() + 2
        while time.monotonic() < end and self.server.process.running():
            if self.tolerant:
                return
            time.sleep(0.001)
        if not self.server.process.running():
            raise Died from why
        raise AssertionError("the broker closed a connection for no reason") from why

    def ask(self, work: Callable[[Connection], T], ready: frozenset[int] = frozenset()) -> T | None:
        """Do it, again and again if faults are expected. None: an error code of `ready`."""
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                return work(self.conn())
            except Refused as err:
                if err.code in ready:
                    return None
                self.refused.append(err.code)
                passing = PASSING if self.tolerant else STARTING
                if err.code not in passing or time.monotonic() > end:
                    raise
            except OSError as err:
                self.lost(err)
                assert time.monotonic() < end, "no connection lasts"
            time.sleep(0.01)

    # -- steps

    def create(self, topic: str, partitions: int = 1, **configs: str | int) -> None:
        promise = self.model.created.setdefault(topic, Promise())
        promise.asked = True
        exists = frozenset({TOPIC_ALREADY_EXISTS}) if self.tolerant else frozenset()
        self.ask(lambda c: c.create_topic(topic, partitions, **configs), exists)
        promise.done = True

        def settled(c: Connection) -> None:
            for number in range(partitions):
                c.offset_at((topic, number), -1)

        # Kafka's leaders come up a moment after Metadata names them.
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                self.ask(settled)
                return
            except Refused as err:
                if err.code not in (3, 5, 6) or time.monotonic() > end:
                    raise
                time.sleep(0.02)

    def delete(self, topic: str) -> None:
        promise = self.model.deleted.setdefault(topic, Promise())
        promise.asked = True
        gone = frozenset({UNKNOWN_TOPIC_OR_PARTITION}) if self.tolerant else frozenset()
        self.ask(lambda c: c.delete_topic(topic), gone)
        promise.done = True

    def value(self, pad: bytes = b"") -> bytes:
        self.number += 1
        return b"v%06d" % self.number + pad

    def tick(self) -> int:
        """A timestamp beyond the last one by more than segment.ms."""
        self.clock += 5_000
        return self.clock

    def start_producer(self) -> None:
        found = self.ask(lambda c: c.init_producer())
        assert found is not None and found[0] not in self.model.producers, "a producer id again"
        self.producer = found
        self.model.producers.append(found[0])
        self.sequence = 0

    def queue_ordered(self, count: int, pad: bytes = b"") -> None:
        """A batch of the idempotent producer, to be sent by flush_ordered."""
        entries = [self.model.log(ORDERED).add(None, self.value(pad)) for _ in range(count)]
        data = batch(
            [(None, entry.value) for entry in entries], Sequence(*self.producer, self.sequence)
        )
        self.sequence += count
        self.unsent.append((entries, data))

    def flush_ordered(self) -> None:
        """All that is queued, in flight at once; what failed is sent again, in order."""

        def send(c: Connection) -> None:
            window = list(self.unsent)
            for _, data in window:
                c.send_batch(ORDERED, data)
            failed: Refused | None = None
            for item in window:
                try:
                    offset = c.receive_offset()
                except Refused as err:
                    failed = failed or err
                    continue
                for delta, entry in enumerate(item[0]):
                    assert entry.offset in (None, offset + delta), "B3: acknowledged elsewhere"
                    entry.offset = offset + delta
                self.unsent.remove(item)
            if failed is not None:
                raise failed

        self.ask(send)

    def produce(
        self, where: Partition, count: int, timestamp: int | None = None, pad: bytes = b""
    ) -> None:
        """A plain producer does not repeat what failed; it goes on with other records."""

        def attempt(c: Connection) -> None:
            entries = [self.model.log(where).add(None, self.value(pad)) for _ in range(count)]
            self._place(c, where, entries, timestamp)

        self.ask(attempt)

    def put(self, keys: dict[bytes, bytes | None], timestamp: int | None = None) -> None:
        def attempt(c: Connection) -> None:
            entries = [
                self.model.log(TABLE).add(key, None if v is None else self.value(v))
                for key, v in keys.items()
            ]
            self._place(c, TABLE, entries, timestamp)

        self.ask(attempt)

    @staticmethod
    def _place(
        c: Connection, where: Partition, entries: list[Entry], timestamp: int | None
    ) -> None:
        offset = c.produce(where, batch([(e.key, e.value) for e in entries], timestamp=timestamp))
        for delta, entry in enumerate(entries):
            entry.offset = offset + delta

    def commit(self, offset: int) -> None:
        self.model.commits.append((offset, False))
        self.ask(lambda c: c.commit(GROUP, ORDERED, offset))
        self.model.commits[-1] = (offset, True)

    def delete_records(self, where: Partition, before: int) -> None:
        log = self.model.log(where)
        log.start_asked = before
        self.ask(lambda c: c.delete_records(where, before))
        log.start = before

    def look(self, where: Partition) -> None:
        seen, start = self.ask(lambda c: c.read_all(where)) or ([], 0)
        self.model.log(where).check(where, seen, start)

    # -- the whole

    def run(self) -> None:
        """Died when the broker is killed on the way."""
        try:
            self._run()
        finally:
            self.close()

    def _run(self) -> None:
        self.model.log(TABLE).compacted = True
        self.model.log(SHORT).retention = True
        self.create("ordered", 2, segment_bytes=1 << 20)
        self.create(
            "table",
            cleanup_policy="compact",
            segment_ms=1000,
            min_cleanable_dirty_ratio="0.001",
            max_compaction_lag_ms=1,
        )
        self.create("short", segment_ms=1000, retention_bytes=1)
        self.create("doomed")
        self.start_producer()
        self.ask(lambda c: c.find_coordinator(GROUP))
        for turn in range(3):
            self.queue_ordered(3)
            self.queue_ordered(1, LARGE)
            self.queue_ordered(2)
            self.flush_ordered()
            self.queue_ordered(1, LARGE)
            self.flush_ordered()
            self.commit(2 + turn * 7)
            self.produce(LOOSE, 2)
            self.produce(LOOSE, 1)
            self.put({b"a": b"x" * 50, b"b": b"y", b"c%d" % turn: b"z"}, self.tick())
            self.put({b"b": None if turn == 1 else b"w", b"a": b"u"}, self.tick())
            self.produce(SHORT, 2, self.tick())
        self.produce(("doomed", 0), 2)
        self.delete_records(LOOSE, 4)
        self.delete("doomed")
        self.put({b"last": b"1"}, self.tick())
        self.produce(SHORT, 1, self.tick())
        self.wait_for_cleaning()
        for where in (ORDERED, LOOSE, TABLE, SHORT):
            self.look(where)
        self.queue_ordered(2)
        self.flush_ordered()
        self.commit(21)

    def wait_for_cleaning(self) -> None:
        """Compaction and retention come by themselves; give them a moment, a broker with faults
        no longer than others."""
        end = time.monotonic() + 2
        while time.monotonic() < end:
            seen, _ = self.ask(lambda c: c.read_all(TABLE)) or ([], 0)
            start = self.ask(lambda c: c.offset_at(SHORT, -2))
            if len(seen) < len(self.model.log(TABLE).entries) and start:
                return
            time.sleep(0.02)
        self.cleaned = False

    cleaned = True


def check_after(script: Script) -> None:
    """Everything that was promised holds, and the broker takes new work, without a fault."""
    script.tolerant, script.refused = False, []
    with script.server.connect() as c:
        script.model.check(c, GROUP, ORDERED)
    try:
        _go_on(script)
    finally:
        script.close()
    with script.server.connect() as c:
        script.model.check(c, GROUP, ORDERED)


def _go_on(after: Script) -> None:
    """As a client goes on that saw the broker come back."""
    topics = after.conn().topics()
    if after.producer[0] >= 0 and "ordered" in topics:
        # First what was never acknowledged, again; it may be there already.
        if after.unsent:
            after.flush_ordered()
        after.queue_ordered(2)
        after.flush_ordered()
    for where in (LOOSE, SHORT):
        if where[0] in topics:
            after.produce(where, 1, after.tick())
    if "table" in topics:
        after.put({b"a": b"after"}, after.tick())
    if "ordered" in topics:
        after.ask(lambda c: c.find_coordinator(GROUP))
        after.commit(100 + after.number)
    after.number += 1
    after.create(f"after-{after.number}")
    after.start_producer()
    assert set(after.refused) <= STARTING

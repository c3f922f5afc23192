# SPDX-License-Identifier: Apache-2.0
"""Two links between the same clusters, one each way: nothing goes round, nothing is missing.

F21 of the fault list, and what "active/active" promises: with MM2's default names each side gets
the other's topics under a prefix; with equal names both sides end with the same records.
"""

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from conftest import Pair, Topic
from harness.broker import Cluster
from harness.certs import Authority
from harness.client import IDEMPOTENT, Client, Record, numbered
from harness.compare import assert_same
from harness.mirror import MEMORY_CAP, Mirror, mm2_properties
from harness.process import wait_for

IDENTITY = {"replication.policy.class": "org.apache.kafka.connect.mirror.IdentityReplicationPolicy"}
PARTITIONS = 2
KEYS = 40
LONG_SECONDS = int(os.environ.get("FARSHORE_TWO_WAY_SECONDS", "600"))


def both_ways(a: Cluster, b: Cluster, topics: str, more: dict[str, str]) -> dict[str, str]:
    props = mm2_properties(a, b, topics)
    props[f"{b.name}->{a.name}.enabled"] = "true"
    props[f"{b.name}->{a.name}.topics"] = topics
    # Else each side may undo the other's change of a topic setting.
    props[f"{b.name}->{a.name}.sync.topic.configs.enabled"] = "false"
    return {**props, **more}


def mirrors(pair: Pair, topics: str, processes: int) -> list[Mirror]:
    """Both links with equal names, in one process or in two that know nothing of each other."""
    if processes == 1:
        made = [Mirror(pair.folder, both_ways(pair.east, pair.west, topics, IDENTITY))]
    else:
        made = [
            Mirror(
                pair.folder,
                mm2_properties(a, b, topics, more=IDENTITY),
                f"links.{a.name}->{b.name}.two_way=on",
                name=f"to-{b.name}",
            )
            for a, b in ((pair.east, pair.west), (pair.west, pair.east))
        ]
    pair.mirrors += made
    return made


# ---- traffic


@dataclass
class Topics:
    plain: str
    transactional: str
    compacted: str

    def names(self) -> list[str]:
        return [self.plain, self.transactional, self.compacted]


class Writer(threading.Thread):
    """Writes at one cluster, as `origin`, until told to stop; remembers what was acknowledged."""

    def __init__(self, client: Client, origin: str, topics: Topics, pause_s: float):
        super().__init__(daemon=True)
        self.client = client
        self.origin = origin
        self.topics = topics
        self.pause_s = pause_s
        self.sent: dict[tuple[str, int], list[bytes]] = {}
        self.error: Exception | None = None
        self.ending = threading.Event()
        self.number = 0

    def run(self) -> None:
        turn = 0
        try:
            while not self.ending.wait(self.pause_s):
                for partition in range(PARTITIONS):
                    self._turn(turn, partition)
                turn += 1
        except Exception as err:  # pylint: disable=broad-except
            self.error = err

    def _turn(self, turn: int, partition: int) -> None:
        # A producer that nobody has seen before, every third time.
        config = IDEMPOTENT if turn % 3 == 0 else {}
        codec = ("none", "lz4", "zstd")[turn % 3]
        records = self._records(400, 200)
        self.client.produce(self.topics.plain, records, partition, codec, **config)
        self._remember(self.topics.plain, partition, records)

        records = self._records(10, 20)
        commit = turn % 3 != 1
        self.client.transaction(
            self.topics.transactional,
            records,
            partition=partition,
            commit=commit,
            name=f"{self.origin}-{partition}",
        )
        if commit:
            self._remember(self.topics.transactional, partition, records)

        records = self._records(60, 1000)
        self.client.produce(self.topics.compacted, records, partition, codec)
        self._remember(self.topics.compacted, partition, records)

    def _records(self, count: int, size: int) -> Sequence[Record]:
        first = self.number
        self.number += count
        return [
            Record(
                b"%s-%d" % (self.origin.encode(), i % KEYS),
                (b"%s %09d " % (self.origin.encode(), i)).ljust(size, b"x"),
            )
            for i in range(first, self.number)
        ]

    def _remember(self, topic: str, partition: int, records: Sequence[Record]) -> None:
        values = [record.value or b"" for record in records]
        self.sent.setdefault((topic, partition), []).extend(values)

    def finish(self) -> None:
        self.ending.set()
        self.join(60)
        if self.error is not None:
            raise self.error


@contextmanager
def traffic(
    pair: Pair, topic: Topic, pause_s: float = 0.05
) -> Iterator[tuple[Topics, list[Writer]]]:
    """Topics on both sides, each with records of its own before, and writers at both."""
    topics = Topics(topic("plain"), topic("txn"), topic("compacted"))
    writers = []
    for client, origin in ((pair.source, "east"), (pair.target, "west")):
        client.create_topic(topics.plain, PARTITIONS)
        client.create_topic(topics.transactional, PARTITIONS)
        client.create_topic(
            topics.compacted,
            PARTITIONS,
            cleanup_policy="compact",
            segment_bytes=1 << 20,
            min_cleanable_dirty_ratio="0.01",
        )
        writers.append(Writer(client, origin, topics, pause_s))
    for writer in writers:
        writer.start()
    try:
        yield topics, writers
    finally:
        for writer in writers:
            writer.finish()


# ---- what must be true in the end


def values(client: Client, topic: str, partition: int) -> list[bytes]:
    return [stored.record.value or b"" for stored in client.records(topic, partition)]


def origin_of(value: bytes) -> bytes:
    return value.split(b" ", 1)[0]


def check_all(pair: Pair, topic: str, partition: int, writers: list[Writer]) -> int:
    """Each acknowledged record once at each side, in order for each origin."""
    sent = {w.origin.encode(): w.sent.get((topic, partition), []) for w in writers}
    total = sum(len(of) for of in sent.values())
    for client, name in ((pair.source, "east"), (pair.target, "west")):
        where = f"{topic}-{partition} at {name}"

        def arrived(client: Client = client) -> list[bytes] | None:
            got = values(client, topic, partition)
            return got if len(got) >= total else None

        try:
            got = wait_for(where, arrived, 30, every=0.5)
        except TimeoutError:
            got = values(client, topic, partition)
        twice = [value[:20] for value, n in Counter(got).items() if n > 1]
        assert not twice, f"{where}: {len(twice)} records twice: {twice[:5]}"
        for origin, of in sent.items():
            mine = [value for value in got if origin_of(value) == origin]
            lost = set(of) - set(mine)
            assert not lost, f"{where}: {len(lost)} of {origin!r} missing: {sorted(lost)[:3]}"
            assert mine == of, f"{where}: the records of {origin!r} are not in their order"
    return total


def latest(client: Client, topic: str, partition: int) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for stored in client.records(topic, partition):
        found[stored.record.key or b""] = stored.record.value or b""
    return found


def check_latest(pair: Pair, topic: str, partition: int, writers: list[Writer]) -> None:
    """Of a compacted topic: the newest value of each key, the same at both sides."""
    want: dict[bytes, bytes] = {}
    for writer in writers:
        for value in writer.sent.get((topic, partition), []):
            number = int(value.split(b" ", 2)[1])
            want[b"%s-%d" % (writer.origin.encode(), number % KEYS)] = value
    for client, name in ((pair.source, "east"), (pair.target, "west")):
        wait_for(
            f"the newest values of {topic}-{partition} at {name}",
            lambda client=client: latest(client, topic, partition) == want,
            30,
            every=0.5,
        )


def check_quiet(pair: Pair, topics: Topics) -> None:
    """Nothing moves any more: no record is on its way round."""

    def ends() -> list[list[int]]:
        return [c.end_offsets(t) for c in (pair.source, pair.target) for t in topics.names()]

    before = ends()
    time.sleep(2)
    assert ends() == before


def check_everything(pair: Pair, topics: Topics, writers: list[Writer]) -> int:
    total = 0
    for partition in range(PARTITIONS):
        total += check_all(pair, topics.plain, partition, writers)
        total += check_all(pair, topics.transactional, partition, writers)
        check_latest(pair, topics.compacted, partition, writers)
    check_quiet(pair, topics)
    return total


def kill_for(seconds: float, running: list[Mirror], chance: random.Random) -> int:
    """kill -9 of one or all of the mirrors, at random moments; they run again in the end."""
    end = time.monotonic() + seconds
    kills = 0
    while time.monotonic() < end:
        time.sleep(chance.uniform(0.05, 2))
        for mirror in chance.sample(running, chance.randint(1, len(running))):
            assert mirror.process.running(), mirror.process.log_tail()
            assert mirror.process.usage().rss_max <= MEMORY_CAP
            mirror.kill()
            kills += 1
        time.sleep(chance.choice((0, 0, 0.5)))
        for mirror in running:
            if not mirror.process.running():
                mirror.start()
    return kills


def run_both(pair: Pair, topic: Topic, processes: int, seconds: float) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    pair.need_transactions(both=True)
    with traffic(pair, topic) as (topics, writers):
        running = mirrors(pair, ", ".join(topics.names()), processes)
        for mirror in running:
            mirror.start()
        kills = kill_for(seconds, running, random.Random(seed))
    total = check_everything(pair, topics, writers)
    for mirror in running:
        for link in mirror.links():
            assert link["state"] in ("ACTIVE", "CATCHING_UP"), link["reason"]
        mirror.stop()
    sizes = [
        sum(c.end_offsets(t)[p] for t in topics.names() for p in range(PARTITIONS))
        for c in (pair.source, pair.target)
    ]
    print(f"{seconds} s, {processes} processes, {kills} kills, {total} records, ends {sizes}")


# ---- the tests


@pytest.mark.parametrize("processes", (1, 2))
def test_equal_names(pair: Pair, topic: Topic, processes: int) -> None:
    """F21, M1, M2, M3, M6, M13: writers at both sides, mirrors that are killed; same records."""
    run_both(pair, topic, processes, 8)


@pytest.mark.long
@pytest.mark.parametrize("processes", (1, 2))
def test_equal_names_for_long(pair: Pair, topic: Topic, processes: int) -> None:
    run_both(pair, topic, processes, LONG_SECONDS / 2)


def test_prefixes(pair: Pair, topic: Topic) -> None:
    """F21: by default each side gets the other's topic under its name, and no more than that."""
    name = topic()
    pair.source.create_topic(name)
    pair.target.create_topic(name)
    pair.source.produce(name, numbered(100))
    pair.target.produce(name, numbered(50, start=500))
    props = both_ways(pair.east, pair.west, f".*{name}", {})
    with Mirror(pair.folder, props) as mirror:
        pair.mirrors.append(mirror)
        assert assert_same(pair.source, name, pair.target, f"east.{name}") == 100
        assert assert_same(pair.target, name, pair.source, f"west.{name}") == 50
        time.sleep(3)  # topics are looked for every second
        for client, other in ((pair.source, "west"), (pair.target, "east")):
            assert {t for t in client.topics() if t.endswith(name)} == {name, f"{other}.{name}"}
            assert client.end_offsets(name) == [100 if client is pair.source else 50]


@pytest.fixture(name="south")
def third_cluster(tmp_path: Path, authority: Authority) -> Iterator[Client]:
    cluster = Cluster("south", tmp_path, authority=authority).start()
    try:
        yield Client(cluster.wait_ready())
    finally:
        cluster.stop()


def test_cycle_of_three(pair: Pair, south: Client, topic: Topic) -> None:
    """F21: east -> west -> south -> east ends as with MM2: a topic stops before its own cluster."""
    name = topic()
    ring = [pair.east, pair.west, south.cluster]
    clients = [pair.source, pair.target, south]
    for number, client in enumerate(clients):
        client.create_topic(name)
        client.produce(name, numbered(10, start=100 * number))
    props = {"clusters": "east, west, south"}
    for number, cluster in enumerate(ring):
        onward = ring[(number + 1) % 3]
        one = mm2_properties(cluster, onward, f".*{name}")
        one.pop("clusters")
        one.pop(f"{onward.name}->{cluster.name}.enabled")
        props |= one
    want = [
        {name, f"south.{name}", f"south.west.{name}"},
        {name, f"east.{name}", f"east.south.{name}"},
        {name, f"west.{name}", f"west.east.{name}"},
    ]
    with Mirror(pair.folder, props) as mirror:
        pair.mirrors.append(mirror)
        for client, names in zip(clients, want):
            for found in names:
                wait_for(
                    f"{found} at {client.cluster.name}",
                    lambda client=client, found=found: client.end_offsets(found) == [10],
                )
        time.sleep(3)
        for client, names in zip(clients, want):
            assert {t for t in client.topics() if t.endswith(name)} == names
            assert all(client.end_offsets(found) == [10] for found in names)


def test_epochs_follow_each_other(pair: Pair, topic: Topic) -> None:
    """M1, M2: what tells the next sequence is deleted; the target takes the next epoch."""
    name = topic()
    pair.source.create_topic(name)
    mirror = pair.mirror(name)
    for turn in range(1, 4):
        pair.source.produce(name, numbered(20, start=20 * turn))
        with mirror:
            wait_for(
                "the copies",
                lambda turn=turn: pair.target.end_offsets(f"east.{name}") == [20 * turn],
            )
            mirror.wait_state("ACTIVE", name)
        want = [record.value for record in numbered(20, start=20 * turn)]
        wait_for(
            "what is left",
            lambda want=want: values(pair.target, f"east.{name}", 0) == want,
        )
        pair.target.delete_records(f"east.{name}", 20 * turn)

# SPDX-License-Identifier: Apache-2.0
"""The mirror dies and comes back, at any moment: M1, M2, M13."""

import random
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from conftest import Pair, Topic
from harness.client import Client, Record, numbered
from harness.compare import assert_contiguous, assert_same
from harness.mirror import Mirror
from harness.process import wait_for
from harness.proxy import Proxy

KILLS = 20


class Traffic(threading.Thread):
    """Produces into three topics until told to stop: plain, lz4 in tiny batches, transactions.

    `scale` is how many times 100 records a turn adds to a partition, about;
    `pause_s` comes between.
    """

    def __init__(self, client: Client, topics: list[str], scale: int, pause_s: float):
        super().__init__(daemon=True)
        self.scale = scale
        self.pause_s = pause_s
        self.client = client
        self.topics = topics
        self.ending = threading.Event()
        self.error: Exception | None = None

    def run(self) -> None:
        plain, tiny, transactional = self.topics
        turn = 0
        try:
            while not self.ending.wait(self.pause_s):
                for partition in range(2):
                    self.client.produce(plain, self._records(turn, 80, 500), partition)
                    self.client.produce(
                        tiny,
                        self._records(turn, 12),
                        partition,
                        "lz4",
                        batch_num_messages=3,
                        linger_ms=0,
                    )
                    self._transact(transactional, turn, partition)
                turn += 1
        except Exception as err:  # pylint: disable=broad-except
            self.error = err

    def _transact(self, topic: str, turn: int, partition: int) -> None:
        records = self._records(turn, 8)
        if self.client.cluster.transactions:
            commit = turn % 3 != 1
            self.client.transaction(
                topic, records, codec="zstd", partition=partition, commit=commit
            )
        else:
            self.client.produce(topic, records, partition, "zstd")

    def _records(self, turn: int, share: int, size: int = 0) -> Sequence[Record]:
        count = share * self.scale
        return numbered(count, start=turn * count, size=size)

    def finish(self) -> None:
        self.ending.set()
        self.join(60)
        if self.error is not None:
            raise self.error


@contextmanager
def traffic(pair: Pair, topic: Topic, scale: int = 25, pause_s: float = 0) -> Iterator[list[str]]:
    """Three topics with a backlog, and more coming for as long as the context lasts."""
    topics = [topic(name) for name in ("plain", "tiny", "txn")]
    for name in topics:
        pair.source.create_topic(name, partitions=2)
    for partition in range(2):
        pair.source.produce(topics[0], numbered(75_000, start=10**9, size=2000), partition)
    writer = Traffic(pair.source, topics, scale, pause_s)
    writer.start()
    try:
        yield topics
    finally:
        writer.finish()


def compare_all(pair: Pair, topics: list[str]) -> None:
    for name in topics:
        assert assert_same(pair.source, name, pair.target, f"east.{name}") > 0
    before = {name: pair.target.end_offsets(f"east.{name}") for name in topics}
    time.sleep(0.5)  # for what a killed mirror may still have had on its way
    for name in topics:
        assert pair.target.end_offsets(f"east.{name}") == before[name]
        for partition in range(2):
            assert_contiguous(pair.target.records(f"east.{name}", partition))


def kill_often(pair: Pair, mirror: Mirror, topic: str, longest: float) -> None:
    """kill -9 at random moments after the start, KILLS times; most while `topic` is copied."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    underway = 0
    for _ in range(KILLS):
        mirror.start()
        time.sleep(chance.uniform(0.02, longest))
        assert mirror.process.running(), mirror.process.log_tail()
        mirror.kill()
        if f"east.{topic}" in pair.target.topics():
            mirrored = wait_for("ends", lambda: pair.target.end_offsets(f"east.{topic}"))
            underway += mirrored != pair.source.end_offsets(topic)
    assert underway > KILLS / 2


def test_kill_at_random_moments(pair: Pair, topic: Topic) -> None:
    """F1, M1, M2, M13, B5: killed 20 times during a copy; none missing, none twice."""
    with traffic(pair, topic) as topics:
        mirror = pair.mirror(", ".join(topics))
        kill_often(pair, mirror, topics[0], 0.35)
    with mirror:
        compare_all(pair, topics)


@pytest.mark.parametrize("way", ("far", "slow"))
def test_kill_with_writes_on_their_way(pair: Pair, topic: Topic, way: str) -> None:
    """F1, F5, F7, M2, M10: as above, with a long or a narrow way to the target.

    What a killed mirror had written to its sockets arrives after its successor has started.
    """
    with Proxy(pair.west.broker(1)) as proxy:
        if way == "far":
            proxy.delay(40)
        else:
            proxy.rate(20_000_000)
        with traffic(pair, topic) as topics:
            mirror = pair.mirror(", ".join(topics), listener=("PLAINTEXT", "PROXIED"))
            kill_often(pair, mirror, topics[0], 1.2)
        proxy.rate(0)
        with mirror:
            compare_all(pair, topics)


def test_kill_of_an_idle_mirror(pair: Pair, topic: Topic) -> None:
    """F1, M2: nothing is copied again after a kill when everything was copied before."""
    name = topic("t")
    pair.source.create_topic(name)
    pair.source.produce(name, numbered(5000, size=100))
    mirror = pair.mirror(name)
    for _ in range(2):
        with mirror:
            assert_same(pair.source, name, pair.target, f"east.{name}")
            time.sleep(1.2)
            mirror.kill()
    with mirror:
        pair.source.produce(name, numbered(10, start=5000))
        assert assert_same(pair.source, name, pair.target, f"east.{name}") == 5010


def test_sigterm_during_a_copy(pair: Pair, topic: Topic) -> None:
    """M13: SIGTERM drains and exits 0 within 5 s, again and again; then the copy is exact."""
    with traffic(pair, topic) as topics:
        mirror = pair.mirror(", ".join(topics))
        chance = random.Random(7)
        for _ in range(5):
            mirror.start()
            time.sleep(chance.uniform(0.05, 0.8))
            mirror.stop(timeout=5)
    with mirror:
        compare_all(pair, topics)


@pytest.mark.parametrize("away", ("source", "target"))
def test_sigterm_without_a_peer(pair: Pair, topic: Topic, away: str) -> None:
    """F8: a cluster that says nothing any more does not hold up the exit."""
    name = topic("t")
    pair.source.create_topic(name)
    pair.source.produce(name, numbered(1000))
    near_source = away == "source"
    listener = ("PROXIED", "PLAINTEXT") if near_source else ("PLAINTEXT", "PROXIED")
    with Proxy((pair.east if near_source else pair.west).broker(1)) as proxy:
        mirror = pair.mirror(name, listener=listener).start()
        assert_same(pair.source, name, pair.target, f"east.{name}")
        proxy.stall(True)
        pair.source.produce(name, numbered(1000, start=1000))
        time.sleep(0.3)
        mirror.stop(timeout=5)


def test_paused_mirror(pair: Pair, topic: Topic) -> None:
    """F2: SIGSTOP for longer than the brokers' patience with its requests, then on."""
    name = topic("t")
    pair.source.create_topic(name)
    with pair.mirror(name) as mirror:
        pair.source.produce(name, numbered(50_000, size=500))
        pid = str(mirror.process.pid)
        subprocess.run(["kill", "-STOP", pid], check=True)
        time.sleep(3)
        pair.source.produce(name, numbered(1000, start=50_000))
        subprocess.run(["kill", "-CONT", pid], check=True)
        assert_same(pair.source, name, pair.target, f"east.{name}")
        wait_for("lag 0", lambda: mirror.wait_state("ACTIVE", name)["lag_records"] == 0)

# SPDX-License-Identifier: Apache-2.0
"""Fixtures: one pair of clusters for nearly all tests, a folder and unique topic names for each."""

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pytest

from harness.broker import Cluster
from harness.certs import Authority
from harness.client import Client
from harness.farshore_broker import link_classes
from harness.mirror import Mirror, mm2_properties
from harness.paths import MIRROR

# The source's brokers take larger batches than the target's, whose limit is the default of 1 MiB.
EAST_MESSAGE_BYTES = 8 << 20


# A mirror of a test has the partitions of its own topics and no others.
QUIET = {
    "emit.heartbeats.enabled": "false",
    "heartbeats.replication.enabled": "false",
    "emit.offset-syncs.enabled": "false",
}


class Topic(Protocol):
    """Gives topic names of the test's own."""

    def __call__(self, name: str = "t") -> str: ...


@dataclass
class Pair:
    """Two clusters, `east` mirrored to `west`, and the folder of the test that looks at them."""

    east: Cluster
    west: Cluster
    source: Client
    target: Client
    folder: Path
    mirrors: list[Mirror] = field(default_factory=list)

    def need_transactions(self, *, both: bool = False) -> None:
        """At the source; `both`: the test writes at the target, too."""
        if not self.east.transactions:
            pytest.skip("the source serves no transactions")
        if both and not self.west.transactions:
            pytest.skip("the target serves no transactions")

    def mirror(
        self,
        topics: str,
        *sets: str,
        listener: tuple[str, str] = ("PLAINTEXT", "PLAINTEXT"),
        more: Mapping[str, str] | None = None,
    ) -> Mirror:
        """A mirror of these topics, not started; `more` are further properties, `sets` for --set."""
        more = {**QUIET, **(more or {})}
        props = mm2_properties(self.east, self.west, topics, listener=listener, more=more)
        made = Mirror(self.folder, props, *sets, name=f"mirror{len(self.mirrors)}")
        self.mirrors.append(made)
        return made


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="session")
def clusters(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority
) -> Iterator[tuple[Cluster, Cluster]]:
    folder = tmp_path_factory.mktemp("clusters")
    source_class, target_class = link_classes()
    east = source_class(
        "east",
        folder,
        authority=authority,
        overrides={"message.max.bytes": str(EAST_MESSAGE_BYTES)},
    ).start()
    west = target_class("west", folder, authority=authority).start()
    try:
        yield east.wait_ready(), west.wait_ready()
    finally:
        east.stop()
        west.stop()


@pytest.fixture(scope="session")
def clients(clusters: tuple[Cluster, Cluster]) -> tuple[Client, Client]:
    return Client(clusters[0]), Client(clusters[1])


@pytest.fixture
def pair(
    clusters: tuple[Cluster, Cluster], clients: tuple[Client, Client], tmp_path: Path
) -> Iterator[Pair]:
    made = Pair(*clusters, *clients, tmp_path)
    yield made
    # Those that a test which failed has left.
    for mirror in made.mirrors:
        mirror.kill()


@pytest.fixture
def topic(request: pytest.FixtureRequest) -> Topic:
    """Topic names of this test's own, since the clusters are shared."""
    test = request.node.name.removeprefix("test_")
    safe = "".join(c if c.isalnum() or c == "-" else "-" for c in test)

    def named(name: str = "t") -> str:
        return f"{safe.strip('-')}-{name}"

    return named


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows the end of its mirrors' logs."""
    report = yield
    found: dict[str, object] = getattr(item, "funcargs", {})
    pair = found.get("trio") or found.get("pair")
    if report.failed and isinstance(pair, Pair):
        for mirror in pair.mirrors:
            report.sections.append((mirror.process.log.name, mirror.process.log_tail()))
    return report


def pytest_configure() -> None:
    if not MIRROR.exists():
        raise pytest.UsageError(f"{MIRROR} is not built; ops/test builds it")

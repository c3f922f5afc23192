# SPDX-License-Identifier: Apache-2.0
"""Fixtures: one broker for each module, topics of its own for each test."""

from collections.abc import Generator, Iterator

import pytest

from harness.broker import Broker, Cluster
from harness.certs import Authority
from harness.client import Client
from harness.farshore_broker import FarshoreCluster, peer_class
from harness.process import wait_for

from .raw import Raw
from .tools import Tools

OFFSET_FETCH, FIND_COORDINATOR = 9, 10


def wait_coordinator(cluster: Cluster) -> None:
    """Kafka makes the offsets' topic when it is first asked for, and some clients do not wait."""

    def probe() -> bool:
        with Raw(cluster.broker(1).ports["PLAINTEXT"]) as raw:
            found = raw.ask(FIND_COORDINATOR, 3, Key="nobody", KeyType=0)
            asked = raw.ask(OFFSET_FETCH, 7, GroupId="nobody", Topics=None)
            return found["ErrorCode"] == asked["ErrorCode"] == 0

    wait_for("a coordinator", probe)


@pytest.fixture(scope="module")
def peer(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    authority: Authority,
) -> Iterator[Cluster]:
    """The broker under test. A module's SETTINGS are its settings."""
    folder = tmp_path_factory.mktemp(request.module.__name__.rpartition(".")[2])
    settings: dict[str, str] = getattr(request.module, "SETTINGS", {})
    made = peer_class()("peer", folder, authority=authority, overrides=settings).start()
    try:
        wait_coordinator(made.wait_ready())
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Cluster]:
    """Apache Kafka, to compare with."""
    if peer_class() is not FarshoreCluster:
        pytest.skip("two Kafkas say the same")
    folder = tmp_path_factory.mktemp("like-kafka")
    made = Cluster("kafka", folder, authority=authority).start()
    try:
        yield made.wait_ready()
    finally:
        made.stop()


@pytest.fixture(scope="module", name="both")
def fixture_both(kafka: Cluster, peer: Cluster) -> Iterator[tuple[Raw, Raw]]:
    """A connection to Kafka, and one to the broker under test."""
    with Raw(kafka.broker(1).ports["PLAINTEXT"]) as theirs:
        with Raw(peer.broker(1).ports["PLAINTEXT"]) as mine:
            yield theirs, mine


@pytest.fixture(scope="module")
def node(peer: Cluster) -> Broker:
    """Its only node."""
    return peer.broker(1)


@pytest.fixture(scope="module")
def client(peer: Cluster) -> Client:
    """librdkafka by way of the harness: makes topics, and reads what others wrote."""
    return Client(peer)


@pytest.fixture
def address(peer: Cluster) -> str:
    return peer.bootstrap()


@pytest.fixture(scope="module")
def tools(peer: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tools]:
    """Kafka's command line tools, pointed at the broker."""
    made = Tools(peer.bootstrap(), tmp_path_factory.mktemp("tools") / "log")
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def ours() -> None:
    """For what differs from Kafka by design."""
    if peer_class() is not FarshoreCluster:
        pytest.skip("Kafka does this differently")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows the end of the broker's log."""
    report = yield
    found: dict[str, object] = getattr(item, "funcargs", {})
    peer = found.get("peer")
    if report.failed and isinstance(peer, Cluster):
        for broker in peer.brokers:
            if broker.process is not None:
                report.sections.append((broker.process.log.name, broker.process.log_tail()))
    return report

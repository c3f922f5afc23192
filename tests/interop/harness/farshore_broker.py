# SPDX-License-Identifier: Apache-2.0
"""farshore-broker in the place of Apache Kafka: the same listeners, the same interface.

A `FarshoreCluster` is a `Cluster` of one node. `overrides` are the broker's settings, which have
Kafka's names where Kafka has one, so most tests need not know which of the two they talk to.
"""

import os

from .broker import LISTENERS, Broker, Cluster
from .paths import BROKER
from .process import Process

# What makes a test broker answer sooner; the same as for Kafka where both have the setting.
QUICK = {
    "group.initial.rebalance.delay.ms": "0",
    "offsets.topic.num.partitions": "1",
    "log.retention.check.interval.ms": "500",
    "log.cleaner.backoff.ms": "300",
}


class FarshoreBroker(Broker):
    """One node. Its ports and its data outlive restarts; its log file is kept over them."""

    def properties(self) -> dict[str, str]:
        settings = {**QUICK, "node.id": str(self.node), **self.cluster.overrides}
        for name in ("SSL", "MTLS", "BADNAME", "PROXIED"):
            settings[f"listeners.{name}.listen"] = f"127.0.0.1:{self.ports[name]}"
            settings[f"listeners.{name}.protocol"] = LISTENERS[name]
        settings["listeners.PROXIED.advertised"] = self.address("PROXIED")
        return {**settings, **self._tls_properties()}

    def _tls_properties(self) -> dict[str, str]:
        authority = self.cluster.authority
        name = f"{self.cluster.name}-{self.node}"
        good = authority.issue(name)
        other = authority.issue(f"{name}-other", "DNS:other.example")
        settings = {}
        for listener, identity in (("SSL", good), ("MTLS", good), ("BADNAME", other)):
            settings[f"listeners.{listener}.tls.cert"] = str(identity.cert)
            settings[f"listeners.{listener}.tls.key"] = str(identity.key)
        settings["listeners.MTLS.tls.ca"] = str(authority.cert)
        settings["listeners.MTLS.tls.client_auth"] = "required"
        return settings

    def prepare(self) -> None:
        self.data.mkdir(parents=True)
        argv = [str(BROKER), "--data", str(self.data)]
        argv += ["--listen", f"127.0.0.1:{self.ports['PLAINTEXT']}"]
        for key, value in self.properties().items():
            argv += ["--set", f"{key}={value}"]
        self.process = Process(argv, self.folder / "broker.log")

    def start(self) -> None:
        assert self.process is not None
        self.process.start()

    def stop(self) -> None:
        """SIGTERM; a broker in a test ends with 0."""
        assert self.process is not None
        code = self.process.stop(30)
        assert code == 0, f"exit code {code}:\n{self.process.log_tail()}"


class FarshoreCluster(Cluster):
    """One farshore-broker with the interface of a `Cluster`."""

    broker_class = FarshoreBroker
    transactions = False


CLASSES = {"farshore": FarshoreCluster, "kafka": Cluster}


def link_classes() -> tuple[type[Cluster], type[Cluster]]:
    """Source and target of the mirror's tests: $FARSHORE_LINK, "kafka-kafka" if it is not set."""
    source, target = os.environ.get("FARSHORE_LINK", "kafka-kafka").split("-")
    return CLASSES[source], CLASSES[target]


def peer_class() -> type[Cluster]:
    """What the tests of the broker talk to. Apache Kafka, when $FARSHORE_BROKER_PEER is "kafka",
    shows that the tests ask for nothing but what Kafka does."""
    kind = os.environ.get("FARSHORE_BROKER_PEER", "farshore")
    return CLASSES[kind]

# SPDX-License-Identifier: Apache-2.0
"""Apache Kafka clusters on loopback: KRaft, every node broker and controller at once.

Each broker has these listeners, all on 127.0.0.1:

    PLAINTEXT  for tests and mirrors
    SSL        a good certificate for 127.0.0.1 and localhost; asks for no client certificate
    MTLS       the same, and a client certificate is required
    BADNAME    a certificate of the same authority for another host name
    PROXIED    plain, but advertised with the port where a test may start a proxy
    SASL       plain, and a user of SASL_USERS must log in
    SASLTLS    the same over TLS
    CONTROLLER
"""

import base64
import shutil
import socket
import subprocess
import uuid
from pathlib import Path

from . import java
from .certs import Authority
from .ports import free_port
from .process import Process, wait_for

LISTENERS = {
    "PLAINTEXT": "PLAINTEXT",
    "SSL": "SSL",
    "MTLS": "SSL",
    "BADNAME": "SSL",
    "PROXIED": "PLAINTEXT",
    "SASL": "SASL_PLAINTEXT",
    "SASLTLS": "SASL_SSL",
    "CONTROLLER": "PLAINTEXT",
}
# For PLAIN; SCRAM knows whom a test adds.
SASL_USERS = {"mirror": "canary-0815=, ;"}
FORMATTED = "bootstrap.checkpoint"

# Everything that makes a small test cluster answer sooner, and one partition where Kafka takes 50.
FAST = {
    "auto.create.topics.enable": "false",
    "group.initial.rebalance.delay.ms": "0",
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.num.partitions": "1",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "log.initial.task.delay.ms": "200",
    "log.retention.check.interval.ms": "500",
    "log.segment.delete.delay.ms": "1000",
    "log.cleaner.backoff.ms": "300",
    "log.cleaner.dedupe.buffer.size": str(8 << 20),
    "controller.quorum.election.timeout.ms": "500",
    "controller.quorum.fetch.timeout.ms": "1000",
    "broker.heartbeat.interval.ms": "500",
    "broker.session.timeout.ms": "3000",
    "replica.lag.time.max.ms": "3000",
    "unclean.leader.election.enable": "false",
}


class Broker:
    """One node. Its ports and its data outlive restarts."""

    def __init__(self, cluster: "Cluster", node: int):
        self.cluster = cluster
        self.node = node
        self.ports = {name: free_port() for name in LISTENERS}
        self.proxy_port = free_port()
        self.folder = cluster.folder / f"node{node}"
        self.data = self.folder / "data"
        self.process: Process | None = None

    def address(self, listener: str = "PLAINTEXT") -> str:
        """What a client puts into bootstrap.servers."""
        port = self.proxy_port if listener == "PROXIED" else self.ports[listener]
        return f"127.0.0.1:{port}"

    def properties(self) -> dict[str, str]:
        replication = str(min(3, len(self.cluster.brokers)))
        listeners = ",".join(f"{name}://127.0.0.1:{port}" for name, port in self.ports.items())
        advertised = ",".join(
            f"{name}://{self.address(name)}" for name in LISTENERS if name != "CONTROLLER"
        )
        return {
            **FAST,
            "process.roles": "broker,controller",
            "node.id": str(self.node),
            "controller.quorum.voters": self.cluster.voters(),
            "controller.listener.names": "CONTROLLER",
            "listeners": listeners,
            "advertised.listeners": advertised,
            "listener.security.protocol.map": ",".join(
                f"{name}:{protocol}" for name, protocol in LISTENERS.items()
            ),
            "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": str(self.data),
            "offsets.topic.replication.factor": replication,
            "transaction.state.log.replication.factor": replication,
            "transaction.state.log.min.isr": "1",
            "min.insync.replicas": "1",
            **self._tls_properties(),
            **self._sasl_properties(),
            **self.cluster.overrides,
        }

    def _tls_properties(self) -> dict[str, str]:
        authority = self.cluster.authority
        good = authority.issue(f"{self.cluster.name}-{self.node}").keystore()
        other = authority.issue(
            f"{self.cluster.name}-{self.node}-other", "DNS:other.example"
        ).keystore()
        props = {
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(authority.cert),
            "ssl.keystore.type": "PEM",
        }
        stores = {"ssl": good, "mtls": good, "sasltls": good, "badname": other}
        for listener, store in stores.items():
            props[f"listener.name.{listener}.ssl.keystore.type"] = "PEM"
            props[f"listener.name.{listener}.ssl.keystore.location"] = str(store)
        props["listener.name.mtls.ssl.client.auth"] = "required"
        return props

    def _sasl_properties(self) -> dict[str, str]:
        security = "org.apache.kafka.common.security"
        users = " ".join(f'user_{name}="{word}"' for name, word in SASL_USERS.items())
        jaas = {
            "plain": f"{security}.plain.PlainLoginModule required {users};",
            "scram-sha-256": f"{security}.scram.ScramLoginModule required;",
            "scram-sha-512": f"{security}.scram.ScramLoginModule required;",
        }
        return {
            f"listener.name.{listener}.{key}": value
            for listener in ("sasl", "sasltls")
            for key, value in (
                ("sasl.enabled.mechanisms", ",".join(jaas).upper()),
                *((f"{name}.sasl.jaas.config", line) for name, line in jaas.items()),
            )
        }

    def prepare(self) -> None:
        self.folder.mkdir(parents=True)
        lines = [f"{key}={value}" for key, value in self.properties().items()]
        (self.folder / "server.properties").write_text("\n".join(lines) + "\n")
        self.data.mkdir()
        (self.data / "meta.properties").write_text(
            f"version=1\nnode.id={self.node}\ndirectory.id={_kafka_uuid()}\n"
            f"cluster.id={self.cluster.id}\n"
        )
        shutil.copy(_formatted(), self.data / FORMATTED)

    def start(self) -> None:
        flags = self.cluster.jvm_flags
        self.process = Process(
            java.command(
                "kafka.Kafka",
                str(self.folder / "server.properties"),
                heap=self.cluster.heap,
                flags=flags,
            ),
            self.folder / "broker.log",
        )
        self.process.start()

    def wait_ready(self, timeout: float = 180) -> None:
        """Until the client listener accepts; it opens last, when the broker is unfenced."""

        def probe() -> bool:
            assert self.process is not None
            if not self.process.running():
                raise RuntimeError(f"broker {self.node} ended:\n{self.process.log_tail()}")
            with socket.create_connection(("127.0.0.1", self.ports["PLAINTEXT"]), 1):
                return True

        wait_for(f"{self.cluster.name} broker {self.node}", probe, timeout)

    def stop(self) -> None:
        if self.process is not None:
            self.process.stop(60)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()

    def restart(self) -> None:
        """A clean stop, and the same broker again."""
        self.stop()
        self.start()
        self.wait_ready()


class Cluster:
    """Some brokers. `overrides` are server properties; the heap and flags are the JVMs'."""

    broker_class: type[Broker] = Broker
    transactions = True  # does it serve them?

    def __init__(
        self,
        name: str,
        folder: Path,
        *,
        nodes: int = 1,
        authority: Authority | None = None,
        overrides: dict[str, str] | None = None,
        heap: str = "-Xmx384m",
        jvm_flags: list[str] | None = None,
    ):
        self.name = name
        self.folder = folder / name
        self.id = _kafka_uuid()
        self.authority = authority or Authority(self.folder / "ca")
        self.overrides = overrides or {}
        self.heap = heap
        self.jvm_flags = jvm_flags
        self.brokers = [self.broker_class(self, node) for node in range(1, nodes + 1)]
        for broker in self.brokers:
            broker.prepare()

    def voters(self) -> str:
        return ",".join(f"{b.node}@{b.address('CONTROLLER')}" for b in self.brokers)

    def bootstrap(self, listener: str = "PLAINTEXT") -> str:
        return ",".join(b.address(listener) for b in self.brokers)

    def broker(self, node: int) -> Broker:
        return self.brokers[node - 1]

    def start(self) -> "Cluster":
        """Start every node; `wait_ready` is separate so that clusters start side by side."""
        for broker in self.brokers:
            broker.start()
        return self

    def wait_ready(self) -> "Cluster":
        for broker in self.brokers:
            broker.wait_ready()
        return self

    def stop(self) -> None:
        """Kill: the data are not needed any more."""
        for broker in self.brokers:
            broker.kill()


def _formatted() -> Path:
    """What `kafka-storage format` writes beside meta.properties, made once per Kafka version."""
    folder = java.jars() / "formatted"
    made = folder / FORMATTED
    if not made.exists():
        shutil.rmtree(folder, ignore_errors=True)
        config = folder.with_suffix(".properties")
        config.write_text(
            "process.roles=broker,controller\nnode.id=1\n"
            "controller.quorum.voters=1@127.0.0.1:1\n"
            "listeners=PLAINTEXT://127.0.0.1:2,CONTROLLER://127.0.0.1:1\n"
            f"controller.listener.names=CONTROLLER\nlog.dirs={folder}\n"
        )
        subprocess.run(
            java.command(
                "kafka.tools.StorageTool", "format", "-t", _kafka_uuid(), "-c", str(config)
            ),
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
    return made


def _kafka_uuid() -> str:
    """A random id as Kafka writes it: base64url without padding; never with a leading dash."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):
            return text

# SPDX-License-Identifier: Apache-2.0
"""The brokers that are measured, each with the settings that its users get."""

import os
import socket
import struct
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from harness.broker import Cluster
from harness.client import Client
from harness.farshore_broker import FarshoreCluster
from harness.process import Process
from harness.wire import Coder, api

# kafka-run-class.sh's KAFKA_JVM_PERFORMANCE_OPTS and kafka-server-start.sh's KAFKA_HEAP_OPTS.
JVM_HEAP = "-Xmx1G"
JVM_FLAGS = [
    "-Xms1G",
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
]
# The harness starts brokers with settings for quick tests. These are Kafka's defaults again, for
# both brokers where both have them.
DEFAULTS = {
    "group.initial.rebalance.delay.ms": "3000",
    "offsets.topic.num.partitions": "50",
    "log.retention.check.interval.ms": "300000",
    "log.cleaner.backoff.ms": "15000",
}
KAFKA_DEFAULTS = {
    **DEFAULTS,
    "num.network.threads": "3",
    "num.io.threads": "8",
    "log.initial.task.delay.ms": "30000",
    "log.segment.delete.delay.ms": "60000",
    "log.cleaner.dedupe.buffer.size": str(128 << 20),
    "broker.heartbeat.interval.ms": "2000",
    "broker.session.timeout.ms": "9000",
}
PAGE = os.sysconf("SC_PAGE_SIZE")
METADATA = 3
METADATA_VERSION = 4


@dataclass(frozen=True)
class Side:
    """A broker and how it is to store."""

    name: str
    title: str

    def cluster(self, folder: Path, limits: dict[str, str] | None = None) -> Cluster:
        more = limits or {}
        if self.name == "kafka":
            return Cluster(
                self.name,
                folder,
                heap=JVM_HEAP,
                jvm_flags=JVM_FLAGS,
                overrides={**KAFKA_DEFAULTS, **more},
            )
        fsync = "always" if self.name == "farshore-fsync" else "never"
        return FarshoreCluster(
            self.name, folder, overrides={**DEFAULTS, "log.fsync": fsync, **more}
        )


SIDES = [
    Side("kafka", "Apache Kafka 4.1"),
    Side("farshore", "Farshore"),
    Side("farshore-fsync", "Farshore, log.fsync=always"),
]


class Running:
    """One broker that runs, and its client for admin work."""

    def __init__(self, side: Side, folder: Path):
        self.side = side
        self.cluster = side.cluster(folder)
        self.broker = self.cluster.broker(1)
        self.started_ms = 0.0

    def start(self) -> "Running":
        self.cluster.start()
        self.cluster.wait_ready()
        return self

    def client(self) -> Client:
        return Client(self.cluster)

    def stop(self) -> None:
        self.broker.stop()

    def kill(self) -> None:
        self.broker.kill()

    @property
    def process(self) -> Process:
        assert self.broker.process is not None
        return self.broker.process

    def start_until_metadata(self, topic: str, partitions: int, timeout: float = 120) -> float:
        """Start the broker; ms from then until it answered Metadata with a leader for every
        partition of the topic."""
        ask = MetadataProbe(self.broker.ports["PLAINTEXT"], topic)
        begin = time.monotonic()
        self.broker.start()
        while time.monotonic() - begin < timeout:
            found = ask()
            if found == partitions:
                return (ask.answered - begin) * 1000
            if not self.process.running():
                raise RuntimeError(f"{self.side.name} ended:\n{self.process.log_tail()}")
            time.sleep(0.001)
        raise TimeoutError(f"{self.side.name}: no Metadata within {timeout} s")


class MetadataProbe:
    """How many partitions of the topic have a leader, by one request on a new connection; -1: no
    answer. What Python takes to read the answer, some 10 ms, is not the broker's: `answered` is when
    it was there."""

    def __init__(self, port: int, topic: str):
        self.port = port
        self.response = Coder(api(METADATA, "Response"), METADATA_VERSION)
        request = Coder(api(METADATA, "Request"), METADATA_VERSION)
        body = struct.pack(">hhihs", METADATA, METADATA_VERSION, 1, 1, b"b") + request.encode(
            {"Topics": [{"Name": topic}], "AllowAutoTopicCreation": False}
        )
        self.frame = struct.pack(">i", len(body)) + body
        self.answered = 0.0

    def __call__(self) -> int:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 5) as sock:
                sock.sendall(self.frame)
                (size,) = struct.unpack(">i", _read(sock, 4))
                answer = _read(sock, size)
        except OSError:
            return -1
        self.answered = time.monotonic()
        found = self.response.decode(answer[4:])["Topics"][0]
        if found["ErrorCode"] != 0:
            return -1
        return sum(p["ErrorCode"] == 0 and p["LeaderId"] >= 0 for p in found["Partitions"])


def _read(sock: socket.socket, count: int) -> bytes:
    out = bytearray()
    while len(out) < count:
        data = sock.recv(count - len(out))
        if not data:
            raise ConnectionError("closed")
        out += data
    return bytes(out)


class MemoryWatch:
    """The peak of a process's private memory (RssAnon), looked at 20 times a second, and the
    kernel's own high water mark of all resident memory (VmHWM), files mapped into it included."""

    def __init__(self, pid: int):
        self.pid = pid
        self.anon = 0
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "MemoryWatch":
        self.anon = self.look("RssAnon")
        self.thread.start()
        return self

    def __exit__(self, *_rest: object) -> None:
        self.ending.set()
        self.thread.join()

    def _run(self) -> None:
        while not self.ending.wait(0.05):
            self.anon = max(self.anon, self.look("RssAnon"))

    def look(self, key: str) -> int:
        with open(f"/proc/{self.pid}/status", encoding="ascii", errors="replace") as status:
            for line in status:
                if line.startswith(key + ":"):
                    return int(line.split()[1]) * 1024
        return 0

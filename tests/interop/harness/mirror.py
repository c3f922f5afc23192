# SPDX-License-Identifier: Apache-2.0
"""The program under test, and MirrorMaker 2 in its place for the benchmark's other side."""

import json
import os
import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Mapping

from . import java
from .broker import Cluster
from .paths import MIRROR
from .ports import free_port
from .process import Process, wait_for

# What a mirror may take: the cap on its buffers, and room for a build with sanitizers if need be.
MEMORY_CAP = int(os.environ.get("FARSHORE_MEMORY_MIB", "64")) << 20

# A mirror in a test looks around every second.
QUICK = {
    "replication.factor": "1",
    "offset-syncs.topic.replication.factor": "1",
    "checkpoints.topic.replication.factor": "1",
    "heartbeats.topic.replication.factor": "1",
    "config.storage.replication.factor": "1",
    "offset.storage.replication.factor": "1",
    "status.storage.replication.factor": "1",
    "refresh.topics.interval.seconds": "1",
    "sync.topic.configs.interval.seconds": "1",
}


def mm2_properties(
    source: Cluster,
    target: Cluster,
    topics: str,
    *,
    listener: tuple[str, str] = ("PLAINTEXT", "PLAINTEXT"),
    more: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """mm2.properties for one link, source.name -> target.name. `more` wins."""
    a, b = source.name, target.name
    props = {
        "clusters": f"{a}, {b}",
        f"{a}.bootstrap.servers": source.bootstrap(listener[0]),
        f"{b}.bootstrap.servers": target.bootstrap(listener[1]),
        f"{a}->{b}.enabled": "true",
        f"{b}->{a}.enabled": "false",
        f"{a}->{b}.topics": topics,
    }
    for cluster, name in ((source, listener[0]), (target, listener[1])):
        if name in ("SSL", "MTLS", "BADNAME"):
            props[f"{cluster.name}.security.protocol"] = "SSL"
            props[f"{cluster.name}.ssl.truststore.type"] = "PEM"
            props[f"{cluster.name}.ssl.truststore.location"] = str(cluster.authority.cert)
    return {**props, **QUICK, **(more or {})}


def write_properties(path: Path, props: Mapping[str, str]) -> Path:
    path.write_text("".join(f"{key}={value}\n" for key, value in props.items()))
    return path


class Mirror:
    """farshore-mirror with one mm2.properties. Restarts keep file, port and log."""

    def __init__(self, folder: Path, props: Mapping[str, str], *sets: str, name: str = "mirror"):
        self.http = f"127.0.0.1:{free_port()}"
        config = write_properties(folder / f"{name}.properties", props)
        argv = [str(MIRROR), "--mm2", str(config), "--set", f"http.listen={self.http}"]
        for item in sets:
            argv += ["--set", item]
        self.process = Process(argv, folder / f"{name}.log")

    def start(self) -> "Mirror":
        self.process.start()
        return self

    def stop(self, timeout: float = 5) -> None:
        """SIGTERM; it has `timeout` seconds and must exit with 0."""
        code = self.process.stop(timeout)
        assert code == 0, f"exit code {code}:\n{self.process.log_tail()}"

    def kill(self) -> None:
        self.process.kill()

    def __enter__(self) -> "Mirror":
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, *_rest: object) -> None:
        """A clean stop is part of every test that got so far."""
        if kind is None and self.process.running():
            self.stop()
        else:
            self.process.kill()

    # -- http

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://{self.http}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as err:
            return err.code, err.read().decode()

    def links(self) -> list[dict[str, Any]]:
        status, body = self.get("/v1/links")
        assert status == 200, body
        links: list[dict[str, Any]] = json.loads(body)["links"]
        return links

    def link(self) -> dict[str, Any]:
        (only,) = self.links()
        return only

    def sums(self) -> dict[str, Any]:
        """The only link without its topics; cheap however many partitions it has."""
        status, body = self.get("/v1/links?topics=no")
        assert status == 200, body
        (only,) = json.loads(body)["links"]
        return dict(only)

    def partition(self, source_topic: str, partition: int = 0) -> dict[str, Any] | None:
        """The partition's entry of /v1/links, None while the mirror does not know it."""
        entries: list[dict[str, Any]] = [
            entry
            for topic in self.link()["topics"]
            if topic["source"] == source_topic
            for entry in topic["partitions"]
            if entry["partition"] == partition
        ]
        return entries[0] if entries else None

    def wait_state(
        self, state: str, source_topic: str, partition: int = 0, timeout: float = 30
    ) -> dict[str, Any]:
        """Wait for the partition's state; the entry."""

        def probe() -> dict[str, Any] | None:
            entry = self.partition(source_topic, partition)
            if entry is None or entry["state"] != state:
                raise ValueError(f"is {entry}")
            return entry

        return wait_for(f"{source_topic}-{partition} {state}", probe, timeout)

    def wait_link(self, state: str, timeout: float = 30) -> dict[str, Any]:
        def probe() -> dict[str, Any] | None:
            entry = self.link()
            if entry["state"] != state:
                raise ValueError(f"is {entry['state']}: {entry['reason']}")
            return entry

        return wait_for(f"link {state}", probe, timeout)

    def wait_log(self, pattern: str, timeout: float = 30) -> str:
        """Wait for a log line that matches; the line."""
        compiled = re.compile(pattern)

        def probe() -> str | None:
            return next(
                (line for line in self.process.log_text().splitlines() if compiled.search(line)),
                None,
            )

        return wait_for(f"log line /{pattern}/", probe, timeout)

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the samples of `name` that carry these labels."""
        return sum(
            value
            for found, value in self.metrics(name)
            if all(found.get(key) == want for key, want in labels.items())
        )

    def metrics(self, name: str) -> list[tuple[dict[str, str], float]]:
        _status, body = self.get("/metrics")
        out = []
        for line in body.splitlines():
            match = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
            if match and match[1] == name:
                out.append(
                    (
                        dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match[2] or "")),
                        float(match[3]),
                    )
                )
        return out


class MirrorMaker2:
    """MM2 4.1 in its dedicated mode, with the heap that connect-mirror-maker.sh gives it."""

    # kafka-run-class.sh's KAFKA_JVM_PERFORMANCE_OPTS; the heap is connect-mirror-maker.sh's.
    FLAGS = [
        "-server",
        "-Xms256M",
        "-XX:+UseG1GC",
        "-XX:MaxGCPauseMillis=20",
        "-XX:InitiatingHeapOccupancyPercent=35",
        "-XX:+ExplicitGCInvokesConcurrent",
    ]

    def __init__(
        self,
        folder: Path,
        props: Mapping[str, str],
        name: str = "mm2",
        flags: list[str] | None = None,
    ):
        config = write_properties(folder / f"{name}.properties", props)
        self.process = Process(
            java.command(
                "org.apache.kafka.connect.mirror.MirrorMaker",
                str(config),
                heap="-Xmx2G",
                flags=self.FLAGS if flags is None else flags,
            ),
            folder / f"{name}.log",
        )

    def start(self) -> "MirrorMaker2":
        self.process.start()
        return self

    def stop(self, timeout: float = 60) -> None:
        """Its exit code says nothing: a JVM that SIGTERM ends gives 143."""
        self.process.stop(timeout)

    def kill(self) -> None:
        self.process.kill()

    def __enter__(self) -> "MirrorMaker2":
        return self.start()

    def __exit__(self, *_rest: object) -> None:
        self.process.kill()

# SPDX-License-Identifier: Apache-2.0
"""One mirror, one workload, one measurement."""

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from confluent_kafka import Consumer, TopicPartition

from harness.broker import Cluster
from harness.client import Client
from harness.mirror import Mirror, MirrorMaker2, mm2_properties
from harness.process import Process
from harness.proxy import Proxy
from workloads import PARTITIONS, Workload, stored_bytes

GIB = 1 << 30
POLL_S = 0.02
START_S = 180  # the longest wait for a first record
GROUPS_SYNCED = {
    "sync.group.offsets.enabled": "true",
    "sync.group.offsets.interval.seconds": "5",
    "emit.checkpoints.interval.seconds": "5",
}
STALL_S = 60  # the longest wait for the next one


@dataclass(frozen=True)
class Copy:
    """A topic copied from start to end."""

    start_s: float  # from the start of the process to the first record on the target
    mb_per_s: float  # after it
    cpu_per_gib: float  # CPU-seconds after it, for each stored GiB
    cpu_late_per_gib: float  # over the second half of the data, when a JVM has warmed up
    cpu_all_per_gib: float  # of the whole process
    memory_mib: float  # peak resident


class Running(Protocol):
    """What both mirrors offer."""

    process: Process

    def start(self) -> object: ...
    def stop(self) -> None: ...
    def kill(self) -> None: ...


class Bench:
    """The two clusters. The source is known as "m" to MM2 and as "f" to Farshore."""

    def __init__(self, source: Cluster, target: Cluster, folder: Path):
        self.source, self.target = source, target
        self.source_client, self.target_client = Client(source), Client(target)
        self.folder = folder
        self.runs = 0

    def mirror(self, side: str, work: Workload) -> Running:
        self.source.name = side
        listener = (
            "PROXIED" if work.source_delay_ms else "PLAINTEXT",
            "SSL" if work.target_tls else "PLAINTEXT",
        )
        props = mm2_properties(
            self.source,
            self.target,
            work.topic,
            listener=listener,
            more={
                "tasks.max": str(PARTITIONS),
                "refresh.topics.interval.seconds": "5",
                "sync.topic.configs.interval.seconds": "600",
                "groups": "group-.*",
                **(GROUPS_SYNCED if work.groups > 0 else {}),
                # A topic that is compressed in the source is to be so on the target.
                **(
                    {"target.producer.compression.type": work.codec}
                    if side == "m" and work.codec != "none"
                    else {}
                ),
            },
        )
        self.runs += 1
        name = f"{side}-{work.name}-{self.runs}"
        if side == "m":
            return MirrorMaker2(self.folder, props, name)
        return Mirror(self.folder, props, name=name)

    def copy(self, side: str, work: Workload) -> Copy:
        """Mirror the workload's topic once, into a target topic that does not exist yet."""
        mirrored = f"{side}.{work.topic}"
        self.forget(side, mirrored)
        total = sum(self.source_client.end_offsets(work.topic))
        stored = stored_bytes(self.source, work.topic)
        with ExitStack() as stack:
            if work.source_delay_ms:
                proxy = stack.enter_context(Proxy(self.source.broker(1)))
                proxy.delay(work.source_delay_ms)
            mirror = self.mirror(side, work)
            stack.callback(mirror.kill)
            mirror.start()
            begin = time.monotonic()
            with Ends(self.target_client, mirrored, work.partitions) as ends:
                first, first_at = ends.wait(1, START_S)
                cpu_first = mirror.process.usage().cpu_s
                half, _ = ends.wait(max(first, total // 2), STALL_S)
                cpu_half = mirror.process.usage().cpu_s
                _, done_at = ends.wait(total, STALL_S)
            usage = mirror.process.usage()
            mirror.stop()
        self.forget(side, mirrored)
        rest = stored * (1 - first / total)  # what came after the first look that found records
        late = stored * (1 - half / total)
        return Copy(
            start_s=first_at - begin,
            mb_per_s=rest / max(done_at - first_at, POLL_S) / 1e6,
            cpu_per_gib=(usage.cpu_s - cpu_first) / rest * GIB,
            cpu_late_per_gib=(usage.cpu_s - cpu_half) / max(late, 1) * GIB,
            cpu_all_per_gib=usage.cpu_s / stored * GIB,
            memory_mib=usage.rss_max / (1 << 20),
        )

    def forget(self, side: str, mirrored: str) -> None:
        """Delete the copy and all that the mirror remembers of it."""
        for topic in self.target_client.topics():
            if (
                topic == mirrored
                or (topic.endswith(".internal") and not topic.startswith("__"))
                or topic.endswith("heartbeats")
            ):
                self.target_client.delete_topic(topic)
        for topic in self.source_client.topics():
            if topic.endswith(".internal") or topic == "heartbeats":
                self.source_client.delete_topic(topic)


class Ends:
    """Watches how far a topic that may not exist yet has come."""

    def __init__(self, client: Client, topic: str, partitions: int):
        self.reader = Consumer({**client.config, "group.id": "bench", "log_level": 0})
        self.client = client
        self.topic = topic
        self.partitions = partitions
        self.exists = False

    def __enter__(self) -> "Ends":
        return self

    def __exit__(self, *_rest: object) -> None:
        self.reader.close()

    def now(self) -> int:
        if not self.exists:
            self.exists = self.topic in self.client.topics()
            if not self.exists:
                return 0
        return sum(
            self.reader.get_watermark_offsets(TopicPartition(self.topic, p), timeout=10)[1]
            for p in range(self.partitions)
        )

    def wait(self, records: int, patience: float) -> tuple[int, float]:
        """Until there are so many; (how many there are, when). Waits while there is progress."""
        last, last_at = -1, time.monotonic()
        while True:
            try:
                found = self.now()
            except Exception:  # pylint: disable=broad-except
                found = 0  # the topic is being made
            at = time.monotonic()
            if found >= records:
                return found, at
            if found > last:
                last, last_at = found, at
            if at - last_at > patience:
                raise TimeoutError(f"{self.topic}: {found} of {records} records")
            time.sleep(POLL_S)

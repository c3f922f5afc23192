# SPDX-License-Identifier: Apache-2.0
"""The workloads: what is in the source's topics, and how the mirror reaches the clusters."""

import itertools
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from harness.broker import Cluster
from harness.client import Client, Record
from harness.fleet import commit_groups

MIB = 1 << 20
PARTITIONS = 6
DISTINCT = 20_000  # values that are made; they repeat far outside any codec's window


@dataclass(frozen=True)
class Workload:
    """One topic and one way to mirror it. `share` is its part of --size-mb, in stored bytes."""

    name: str
    title: str
    topic: str
    share: float
    partitions: int = PARTITIONS
    codec: str = "none"
    value: str = "random 1024"  # or "random 100", "json"
    producer: dict[str, Any] = field(default_factory=dict)
    target_tls: bool = False
    source_delay_ms: int = 0
    groups: int = 0  # consumer groups, synced every 5 s


BATCH = {"batch_size": 64 * 1024, "linger_ms": 20}
PLAIN = Workload("plain", "1 KiB records, plain", "plain", 1.0, producer=BATCH)
WORKLOADS = [
    PLAIN,
    Workload("lz4", "JSON, lz4", "lz4", 0.25, codec="lz4", value="json", producer=BATCH),
    Workload(
        "small",
        "100-byte records, 10 a batch",
        "small",
        0.125,
        value="random 100",
        producer={"batch_num_messages": 10, "linger_ms": 1},
    ),
    Workload(
        "tls", "1 KiB records, TLS to the target", "plain", 1.0, producer=BATCH, target_tls=True
    ),
    Workload(
        "wan",
        "one partition, 50 ms each way",
        "wan",
        0.125,
        partitions=1,
        producer=BATCH,
        source_delay_ms=50,
    ),
    Workload(
        "groups", "1 KiB records, 1 000 groups", "groups", 0.25, producer=BATCH, groups=1000
    ),
]


def _json(chance: random.Random, number: int) -> bytes:
    return json.dumps(
        {
            "id": f"{chance.getrandbits(64):016x}",
            "sequence": number,
            "type": chance.choice(
                ["order.created", "order.paid", "order.shipped", "order.returned"]
            ),
            "customer": {
                "id": chance.randrange(10**9),
                "country": chance.choice(["DE", "FR", "US", "JP"]),
                "tier": chance.choice(["basic", "silver", "gold"]),
            },
            "items": [
                {
                    "sku": f"SKU-{chance.randrange(10**6):06d}",
                    "quantity": chance.randrange(1, 9),
                    "price": round(chance.uniform(1, 500), 2),
                }
                for _ in range(chance.randrange(1, 6))
            ],
            "currency": "EUR",
            "at": f"2026-01-{chance.randrange(1, 29):02d}T12:{chance.randrange(60):02d}:00Z",
        }
    ).encode()


def values(kind: str) -> list[bytes]:
    chance = random.Random(4711)
    if kind == "json":
        return [_json(chance, number) for number in range(DISTINCT)]
    size = int(kind.split()[1])
    return [chance.randbytes(size) for _ in range(DISTINCT)]


def stored_bytes(cluster: Cluster, topic: str) -> int:
    """What the topic's segments take on the disk of its one broker."""
    data = cluster.broker(1).folder / "data"
    return sum(path.stat().st_size for path in data.glob(f"{topic}-[0-9]*/*.log"))


def fill(cluster: Cluster, client: Client, work: Workload, size: int) -> None:
    """Produce until the topic stores about `size` bytes. Nothing if it exists already."""
    if work.topic in client.topics():
        return
    client.create_topic(work.topic, partitions=work.partitions)
    made = values(work.value)
    # The first records tell how much a record takes once it is stored.
    trial = 20_000
    client.produce_spread(
        work.topic, _records(made, trial), work.partitions, work.codec, **work.producer
    )
    each = stored_bytes(cluster, work.topic) / trial
    left = max(0, int(size * work.share / each) - trial)
    client.produce_spread(
        work.topic, _records(made, left), work.partitions, work.codec, **work.producer
    )
    if work.groups > 0:
        end = min(client.end_offsets(work.topic))
        commit_groups(
            client,
            range(work.groups),
            lambda number: number * end // work.groups,
            [work.topic],
            work.partitions,
        )


def _records(made: list[bytes], count: int) -> Iterator[Record]:
    return (Record(None, value) for value in itertools.islice(itertools.cycle(made), count))

# SPDX-License-Identifier: Apache-2.0
"""One question to two brokers: the answers must be the same.

Ids that each broker makes itself become names, in the order in which they come up.
"""

from collections.abc import Callable, Iterable
from typing import Any

from harness.batch import sealed
from harness.process import wait_for
from harness.wire import Message, varint

from .common import NOW
from .raw import Raw

PRODUCE, FETCH, LIST_OFFSETS, COMMIT, OFFSETS = 0, 1, 2, 8, 9
JOIN, HEARTBEAT, LEAVE, SYNC = 11, 12, 13, 14
DESCRIBE_GROUPS, LIST_GROUPS, MAKE, DELETE_RECORDS, EPOCHS = 15, 16, 19, 21, 23
DELETE_GROUPS, OFFSET_DELETE, PRODUCERS = 42, 47, 61
OLD_AND_NEW = {
    PRODUCE: (3, 8, 12),
    FETCH: (4, 11, 12),
    LIST_OFFSETS: (1, 4, 10),
    COMMIT: (2, 9),
    OFFSETS: (2, 7, 8, 9),
    JOIN: (0, 9),
    HEARTBEAT: (0, 4),
    LEAVE: (3, 5),
    SYNC: (0, 5),
    DESCRIBE_GROUPS: (0, 5, 6),
    LIST_GROUPS: (4, 5),
    MAKE: (5,),
    DELETE_RECORDS: (0, 2),
    EPOCHS: (2, 4),
    DELETE_GROUPS: (0, 2),
    OFFSET_DELETE: (0,),
    PRODUCERS: (0,),
}
IDS = ("MemberId", "Leader", "SessionId")
# Not compared: the broker's own words, when a record came, and what is told beside an error.
FREE = (
    "ErrorMessage",
    "BatchIndexErrorMessage",
    "LastTimestamp",
    "LogStartOffset",
    "AbortedTransactions",
)

Body = dict[str, Any] | Callable[[int], dict[str, Any]]  # of Kafka (0), of ours (1)


class Two:
    """Two connections, one to each broker."""

    def __init__(self, ports: Iterable[int]):
        self.ports = list(ports)
        self.raws = [Raw(port) for port in self.ports]
        self.ids: list[dict[Any, str]] = [{}, {}]

    def also(self) -> "Two":
        """Two more connections."""
        made = Two(self.ports)
        made.ids = self.ids
        return made

    def send(self, key: int, version: int, body: Body) -> None:
        for side, raw in enumerate(self.raws):
            raw.send(key, version, **(body(side) if callable(body) else body))

    def receive(self, note: str) -> list[Message]:
        answers = [raw.receive() for raw in self.raws]
        theirs, mine = (self._even(side, answer) for side, answer in enumerate(answers))
        assert mine == theirs, note
        return answers

    def ask(
        self, key: int, body: Body, note: str = "", versions: Iterable[int] = ()
    ) -> list[Message]:
        """In every version of the table; the last answers."""
        answers: list[Message] = []
        for version in versions or OLD_AND_NEW[key]:
            self.send(key, version, body)
            shown = "" if callable(body) else str(body)[:400]
            answers = self.receive(f"{key} v{version} {note} {shown}")
        return answers

    def close(self) -> None:
        for raw in self.raws:
            raw.socket.close()

    def _even(self, side: int, value: Any, name: str = "") -> Any:
        if isinstance(value, dict):
            return {k: self._even(side, v, k) for k, v in value.items() if k not in FREE}
        if isinstance(value, list):
            # Kafka answers in the order of its hash tables.
            items = [self._even(side, v, name) for v in value]
            return sorted(items, key=repr) if name != "RecordErrors" else items
        if name in IDS and value not in (None, "", 0):
            return self.ids[side].setdefault(value, f"id {len(self.ids[side])}")
        return "now" if name == "LogAppendTimeMs" and value >= 0 else value


def create(two: Two, topic: str, partitions: int = 1, **configs: str) -> None:
    """A topic whose leaders are at work at both."""
    named = [{"Name": k.replace("_", "."), "Value": v} for k, v in configs.items()]
    asked = {"Name": topic, "NumPartitions": partitions, "ReplicationFactor": 1, "Configs": named}
    places = [{"PartitionIndex": p, "Timestamp": -1} for p in range(partitions)]

    def ready(raw: Raw) -> bool:
        answer = raw.ask(LIST_OFFSETS, 1, Topics=[{"Name": topic, "Partitions": places}])
        return all(p["ErrorCode"] == 0 for p in answer["Topics"][0]["Partitions"])

    for raw in two.raws:
        made = raw.ask(MAKE, 5, Topics=[asked], timeoutMs=20000)
        assert made["Topics"][0]["ErrorCode"] == 0
        wait_for("the leaders", lambda raw=raw: ready(raw))


# -- records to send

def record(delta: int, key: bytes | None = None, value: bytes = b"v", time_delta: int = 0) -> bytes:
    body = b"\0" + varint(time_delta) + varint(delta)
    body += varint(-1) if key is None else varint(len(key)) + key
    body += varint(len(value)) + value + varint(0)
    return varint(len(body)) + body


def batch(*recs: bytes, **fields: int) -> bytes:
    """A batch of those records, or of one. The head has `fields`, right or wrong, and a right CRC."""
    payload = b"".join(recs) or record(0)
    n = max(len(recs), 1)
    head = {"epoch": -1, "last": n - 1, "first_time": NOW, "max_time": NOW, "count": n}
    return sealed(payload, **(head | fields))


def produce(
    topic: str, *parts: tuple[int, bytes], acks: int = -1, timeout: int = 5000
) -> dict[str, Any]:
    data = [{"Index": p, "Records": r} for p, r in parts]
    topics = [{"Name": topic, "PartitionData": data}]
    return {"Acks": acks, "TimeoutMs": timeout, "TopicData": topics}

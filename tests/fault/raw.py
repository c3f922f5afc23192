# SPDX-License-Identifier: Apache-2.0
"""A small Kafka client without opinions: it retries nothing, hides nothing and starts at once.

Versions are fixed, by name and not by topic id, and both Apache Kafka 4.1 and farshore-broker have
them.
"""

import ctypes
import ctypes.util
import socket
import struct
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from harness.wire import Coder, Message, Reader, api, response_header_bytes, varint

PRODUCE, FETCH, LIST_OFFSETS, METADATA = 0, 1, 2, 3
OFFSET_COMMIT, OFFSET_FETCH, FIND_COORDINATOR, API_VERSIONS = 8, 9, 10, 18
CREATE_TOPICS, DELETE_TOPICS, DELETE_RECORDS, INIT_PRODUCER_ID = 19, 20, 21, 22

VERSIONS = {
    PRODUCE: 9,
    FETCH: 12,
    LIST_OFFSETS: 6,
    METADATA: 9,
    OFFSET_COMMIT: 8,
    OFFSET_FETCH: 7,
    FIND_COORDINATOR: 3,
    API_VERSIONS: 3,
    CREATE_TOPICS: 5,
    DELETE_TOPICS: 4,
    DELETE_RECORDS: 2,
    INIT_PRODUCER_ID: 4,
}

NONE, OFFSET_OUT_OF_RANGE, UNKNOWN_TOPIC_OR_PARTITION = 0, 1, 3
TOPIC_ALREADY_EXISTS, STORAGE_ERROR = 36, 56
CLIENT_ID = "fault"
Partition = tuple[str, int]


class Refused(Exception):
    """An answer with an error code."""

    def __init__(self, what: str, code: int):
        super().__init__(f"{what}: error {code}")
        self.code = code


def check(what: str, code: int) -> None:
    if code != NONE:
        raise Refused(what, code)


# -- record batches


def _load_crc() -> Any:
    isal = ctypes.CDLL(ctypes.util.find_library("isal") or "libisal.so.2")
    isal.crc32_iscsi.restype = ctypes.c_uint32
    isal.crc32_iscsi.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.c_uint32]
    return isal.crc32_iscsi


_crc32_iscsi = _load_crc()


def crc32c(data: bytes) -> int:
    return int(_crc32_iscsi(data, len(data), 0xFFFFFFFF)) ^ 0xFFFFFFFF


@dataclass(frozen=True)
class Sequence:
    """What an idempotent producer stamps into a batch."""

    producer: int = -1
    epoch: int = -1
    base: int = -1


Pair = tuple[bytes | None, bytes | None]  # key and value


def batch(pairs: list[Pair], sequence: Sequence = Sequence(), timestamp: int | None = None) -> bytes:
    body = b"".join(_record(delta, key, value) for delta, (key, value) in enumerate(pairs))
    now = int(time.time() * 1000) if timestamp is None else timestamp
    covered = struct.pack(
        ">hiqqqhii",
        0,
        len(pairs) - 1,
        now,
        now,
        sequence.producer,
        sequence.epoch,
        sequence.base,
        len(pairs),
    )
    covered += body
    rest = struct.pack(">ibI", 0, 2, crc32c(covered)) + covered
    return struct.pack(">qi", 0, len(rest)) + rest


def _record(delta: int, key: bytes | None, value: bytes | None) -> bytes:
    body = b"\0" + varint(0) + varint(delta) + _slice(key) + _slice(value) + varint(0)
    return varint(len(body)) + body


def _slice(data: bytes | None) -> bytes:
    return varint(-1) if data is None else varint(len(data)) + data


@dataclass(frozen=True, slots=True)
class Seen:
    """A record as it was read."""

    offset: int
    key: bytes | None
    value: bytes | None


def records_of(data: bytes) -> list[Seen]:
    """The records of whole, uncompressed batches; what the broker cut off at the end is left out.
    Every checksum is verified."""
    out, at = [], 0
    while len(data) - at >= 61:
        base, length = struct.unpack_from(">qi", data, at)
        if len(data) - at < 12 + length:
            break
        (crc,) = struct.unpack_from(">I", data, at + 17)
        (attributes,) = struct.unpack_from(">h", data, at + 21)
        (count,) = struct.unpack_from(">i", data, at + 57)
        assert crc32c(data[at + 21 : at + 12 + length]) == crc, f"checksum at offset {base}"
        assert attributes & 0x27 == 0, f"attributes {attributes:#x} at offset {base}"
        reader = Reader(data[at + 61 : at + 12 + length])
        for _ in range(count):
            _zigzag(reader)
            reader.take(1)
            _zigzag(reader)
            delta = _zigzag(reader)
            key, value = _read_slice(reader), _read_slice(reader)
            assert _zigzag(reader) == 0, "headers"
            out.append(Seen(base + delta, key, value))
        at += 12 + length
    return out


def _zigzag(reader: Reader) -> int:
    value = reader.uvarint()
    return (value >> 1) ^ -(value & 1)


def _read_slice(reader: Reader) -> bytes | None:
    size = _zigzag(reader)
    return None if size < 0 else reader.take(size)


# -- the connection


class Connection:
    """One connection. Requests may be sent before earlier ones are answered; answers come in
    order. OSError when it ends."""

    def __init__(self, port: int, timeout: float = 10):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.asked: deque[tuple[int, int]] = deque()
        self.correlation = 0

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_rest: object) -> None:
        self.close()

    def close(self) -> None:
        self.sock.close()

    def send(self, key: int, message: Message, version: int | None = None) -> None:
        version = VERSIONS[key] if version is None else version
        self.correlation += 1
        body = request(key, version, self.correlation, message)
        self.sock.sendall(struct.pack(">i", len(body)) + body)
        self.asked.append((key, version))

    def receive(self) -> Message:
        key, version = self.asked.popleft()
        body = self.read_frame()
        return Coder(api(key, "Response"), version).decode(
            body[response_header_bytes(key, version) :]
        )

    def call(self, key: int, message: Message, version: int | None = None) -> Message:
        self.send(key, message, version)
        return self.receive()

    def read_frame(self) -> bytes:
        (size,) = struct.unpack(">i", self.read(4))
        return self.read(size)

    def read(self, count: int) -> bytes:
        out = bytearray()
        while len(out) < count:
            data = self.sock.recv(min(count - len(out), 1 << 20))
            if not data:
                raise ConnectionError("the broker closed the connection")
            out += data
        return bytes(out)

    # -- requests by name; Refused for an error code

    def create_topic(self, name: str, partitions: int = 1, **configs: str | int) -> None:
        """Config names take "_" for "."."""
        answer = self.call(
            CREATE_TOPICS,
            {
                "Topics": [
                    {
                        "Name": name,
                        "NumPartitions": partitions,
                        "ReplicationFactor": 1,
                        "Assignments": [],
                        "Configs": [
                            {"Name": key.replace("_", "."), "Value": str(value)}
                            for key, value in configs.items()
                        ],
                    }
                ],
                "timeoutMs": 10000,
            },
        )
        check(f"create {name}", answer["Topics"][0]["ErrorCode"])

    def delete_topic(self, name: str) -> None:
        answer = self.call(DELETE_TOPICS, {"TopicNames": [name], "TimeoutMs": 10000})
        check(f"delete {name}", answer["Responses"][0]["ErrorCode"])

    def topics(self) -> dict[str, int]:
        """Partitions with a leader, by topic; internal topics left out."""
        answer = self.call(METADATA, {"Topics": None, "AllowAutoTopicCreation": False})
        return {
            topic["Name"]: sum(p["LeaderId"] >= 0 for p in topic["Partitions"])
            for topic in answer["Topics"]
            if not topic["IsInternal"] and topic["ErrorCode"] == NONE
        }

    def init_producer(self) -> tuple[int, int]:
        """A producer id and its epoch."""
        answer = self.call(
            INIT_PRODUCER_ID, {"TransactionalId": None, "TransactionTimeoutMs": 60000}
        )
        check("producer id", answer["ErrorCode"])
        return answer["ProducerId"], answer["ProducerEpoch"]

    def send_batch(self, where: Partition, data: bytes, acks: int = -1) -> None:
        self.send(
            PRODUCE,
            {
                "TransactionalId": None,
                "Acks": acks,
                "TimeoutMs": 10000,
                "TopicData": [
                    {"Name": where[0], "PartitionData": [{"Index": where[1], "Records": data}]}
                ],
            },
        )

    def receive_offset(self) -> int:
        """The base offset of the batch sent first."""
        part = self.receive()["Responses"][0]["PartitionResponses"][0]
        check("produce", part["ErrorCode"])
        return int(part["BaseOffset"])

    def produce(self, where: Partition, data: bytes) -> int:
        self.send_batch(where, data)
        return self.receive_offset()

    def fetch(
        self, where: Partition, offset: int, max_bytes: int = 4 << 20, wait_ms: int = 0
    ) -> Message:
        """The partition's part of the answer."""
        answer = self.call(
            FETCH,
            {
                "MaxWaitMs": wait_ms,
                "MinBytes": 1,
                "MaxBytes": max_bytes,
                "SessionEpoch": -1,
                "Topics": [
                    {
                        "Topic": where[0],
                        "Partitions": [
                            {
                                "Partition": where[1],
                                "FetchOffset": offset,
                                "PartitionMaxBytes": max_bytes,
                            }
                        ],
                    }
                ],
            },
        )
        part: Message = answer["Responses"][0]["Partitions"][0]
        check(f"fetch {where} at {offset}", part["ErrorCode"])
        return part

    def read_all(self, where: Partition) -> tuple[list[Seen], int]:
        """Every record from the log's start to its high watermark, and that start. Where retention
        moves the start meanwhile, it begins again."""
        while True:
            start = self.offset_at(where, -2)
            try:
                return self._read_from(where, start), start
            except Refused as err:
                if err.code != OFFSET_OUT_OF_RANGE or self.offset_at(where, -2) == start:
                    raise

    def _read_from(self, where: Partition, offset: int) -> list[Seen]:
        end = self.offset_at(where, -1)
        out: list[Seen] = []
        while offset < end:
            data = self.fetch(where, offset)["Records"] or b""
            out += [seen for seen in records_of(data) if seen.offset >= offset]
            # Compaction may leave batches without records.
            step = _end_of_batches(data)
            assert step > offset, f"nothing at {offset} of {end} in {where}"
            offset = step
        return out

    def offset_at(self, where: Partition, timestamp: int) -> int:
        """-2: the start, -1: the end."""
        answer = self.call(
            LIST_OFFSETS,
            {
                "ReplicaId": -1,
                "Topics": [
                    {
                        "Name": where[0],
                        "Partitions": [{"PartitionIndex": where[1], "Timestamp": timestamp}],
                    }
                ],
            },
        )
        part = answer["Topics"][0]["Partitions"][0]
        check(f"offset of {where}", part["ErrorCode"])
        return int(part["Offset"])

    def delete_records(self, where: Partition, before: int) -> int:
        """The new start."""
        answer = self.call(
            DELETE_RECORDS,
            {
                "Topics": [
                    {
                        "Name": where[0],
                        "Partitions": [{"PartitionIndex": where[1], "Offset": before}],
                    }
                ],
                "TimeoutMs": 10000,
            },
        )
        part = answer["Topics"][0]["Partitions"][0]
        check(f"delete records of {where}", part["ErrorCode"])
        return int(part["LowWatermark"])

    def find_coordinator(self, group: str) -> None:
        answer = self.call(FIND_COORDINATOR, {"Key": group, "KeyType": 0})
        check(f"coordinator of {group}", answer["ErrorCode"])

    def commit(self, group: str, where: Partition, offset: int) -> None:
        """As a consumer without membership does."""
        answer = self.call(
            OFFSET_COMMIT,
            {
                "GroupId": group,
                "GenerationIdOrMemberEpoch": -1,
                "MemberId": "",
                "Topics": [
                    {
                        "Name": where[0],
                        "Partitions": [{"PartitionIndex": where[1], "CommittedOffset": offset}],
                    }
                ],
            },
        )
        check(f"commit of {group}", answer["Topics"][0]["Partitions"][0]["ErrorCode"])

    def committed(self, group: str, where: Partition) -> int:
        """-1: none."""
        answer = self.call(
            OFFSET_FETCH,
            {
                "GroupId": group,
                "Topics": [{"Name": where[0], "PartitionIndexes": [where[1]]}],
                "RequireStable": False,
            },
        )
        check(f"committed of {group}", answer["ErrorCode"])
        part = answer["Topics"][0]["Partitions"][0]
        check(f"committed of {group}", part["ErrorCode"])
        return int(part["CommittedOffset"])


def _end_of_batches(data: bytes) -> int:
    """The offset after the last whole batch; -1: there is none."""
    at, end = 0, -1
    while len(data) - at >= 61:
        base, length = struct.unpack_from(">qi", data, at)
        if len(data) - at < 12 + length:
            break
        end = base + struct.unpack_from(">i", data, at + 23)[0] + 1
        at += 12 + length
    return end


def request(key: int, version: int, correlation: int, message: Message) -> bytes:
    """A request with its header, without the length field."""
    schema = api(key, "Request")
    head = struct.pack(">hhih", key, version, correlation, len(CLIENT_ID)) + CLIENT_ID.encode()
    if version in schema.flex:
        head += b"\0"
    return head + Coder(schema, version).encode(message)

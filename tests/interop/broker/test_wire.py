# SPDX-License-Identifier: Apache-2.0
"""What clients rely on without showing it: waits, order, sessions, versions, refusals."""

import struct
import time
from typing import Any

import pytest

from conftest import Topic
from harness.batch import crc32c
from harness.broker import Broker
from harness.client import Client, Record
from harness.process import wait_for
from harness.wire import Message, schemas, uvarint

from .common import NOW
from .raw import Raw, records

PRODUCE, FETCH, LIST_OFFSETS, METADATA, API_VERSIONS = 0, 1, 2, 3, 18
INIT_PRODUCER_ID, FIND_COORDINATOR = 22, 10


def create(client: Client, topic: str, **more: Any) -> None:
    """A topic whose leader is at work; Kafka tells of it a moment before."""
    client.create_topic(topic, **more)
    wait_for("the leader", lambda: client.offsets(topic))


def fetch(topic: str, offset: int = 0, **more: Any) -> dict[str, Any]:
    """A request for one partition by name, without a session."""
    body = {
        "ReplicaId": -1,
        "MaxWaitMs": 0,
        "MinBytes": 1,
        "MaxBytes": 1 << 20,
        "SessionId": 0,
        "SessionEpoch": -1,
        "Topics": [
            {
                "Topic": topic,
                "Partitions": [
                    {
                        "Partition": 0,
                        "CurrentLeaderEpoch": -1,
                        "FetchOffset": offset,
                        "LastFetchedEpoch": -1,
                        "LogStartOffset": -1,
                        "PartitionMaxBytes": 1 << 20,
                    }
                ],
            }
        ],
    }
    return {**body, **more}


def produce(topic: str, data: bytes, acks: int = -1) -> dict[str, Any]:
    return {
        "Acks": acks,
        "TimeoutMs": 5000,
        "TopicData": [{"Name": topic, "PartitionData": [{"Index": 0, "Records": data}]}],
    }


def only(answer: Message) -> Message:
    """The one partition of a Produce or Fetch answer."""
    (topic,) = answer["Responses"]
    (partition,) = topic.get("Partitions") or topic["PartitionResponses"]
    found: Message = partition
    return found


@pytest.fixture
def raw(node: Broker) -> Any:
    with Raw(node.ports["PLAINTEXT"]) as made:
        yield made


# -- versions


def test_api_versions(raw: Raw) -> None:
    """Versions of the schemas, Produce from 0 on; every version of the answer says the same."""
    told = {}
    for version in (4, 3, 2, 1, 0):
        answer = raw.ask(API_VERSIONS, version, ClientSoftwareName="raw", ClientSoftwareVersion="1")
        assert answer["ErrorCode"] == 0
        found = {a["ApiKey"]: (a["MinVersion"], a["MaxVersion"]) for a in answer["ApiKeys"]}
        told[version] = found
    assert all(found == told[4] for found in told.values())
    by_key = {s.key: s.valid for s in schemas().values() if s.name.endswith("Request")}
    for key, (low, high) in told[4].items():
        valid = by_key[key]
        assert low == (0 if key == PRODUCE else valid.low), key
        assert valid.high is None or high <= valid.high
    needed = [*range(0, 4), *range(8, 17), *range(18, 24), 32, 33, 35, 37, 42, 43, 44, 47]
    assert set(needed + [60, 61, 74, 75]) <= set(told[4])


def test_api_versions_from_the_future(raw: Raw) -> None:
    """KIP-511: an unknown version gets the oldest answer with error 35 and the right range."""
    raw.send_bytes(struct.pack(">hhih", API_VERSIONS, 99, 77, 3) + b"raw" + b"\0" + b"anything")
    answer = raw.receive_bytes()
    correlation, error, count = struct.unpack_from(">ihi", answer)
    keys = [struct.unpack_from(">hhh", answer, 10 + 6 * i) for i in range(count)]
    assert (correlation, error) == (77, 35)
    assert (API_VERSIONS, 0, 4) in keys
    assert len(answer) == 10 + 6 * count
    assert raw.ask(API_VERSIONS, 0)["ErrorCode"] == 0  # and the connection lives


@pytest.mark.parametrize("key,version", ((PRODUCE, 2), (METADATA, 99), (999, 0), (-1, 0)))
def test_unsupported_request(raw: Raw, key: int, version: int) -> None:
    """What is not advertised closes the connection."""
    raw.send_bytes(struct.pack(">hhih", key, version, 1, 3) + b"raw" + bytes(50))
    assert raw.closed()


def test_client_software_name(raw: Raw) -> None:
    answer = raw.ask(API_VERSIONS, 3, ClientSoftwareName="a b", ClientSoftwareVersion="1")
    assert answer["ErrorCode"] == 42


def test_unknown_tags_are_skipped(raw: Raw) -> None:
    """A client newer than the broker may add tagged fields to header and body."""
    head = struct.pack(">hhih", METADATA, 12, 5, 3) + b"raw"
    tags = uvarint(1) + uvarint(1000) + uvarint(3) + b"abc"
    body = uvarint(1) + b"\0\0" + tags  # no topics, no creation, no operations
    raw.send_bytes(head + tags + body)
    raw.asked.append((5, METADATA, 12))
    answer = raw.receive()
    assert [b["NodeId"] for b in answer["Brokers"]] == [1] and answer["Topics"] == []


@pytest.mark.parametrize("size", (-1, 0x7FFFFFFF))
def test_bad_frame_size(raw: Raw, size: int) -> None:
    raw.socket.sendall(struct.pack(">i", size) + bytes(20))
    assert raw.closed()


# -- metadata


def test_metadata_of_all_and_none(raw: Raw, client: Client, topic: Topic) -> None:
    """null is all from version 1 on; an empty list is all in version 0 and none after it."""
    create(client, topic())

    def names(version: int, topics: list[Any] | None) -> set[str]:
        return {t["Name"] for t in raw.ask(METADATA, version, Topics=topics)["Topics"]}

    assert topic() in names(0, []) and topic() in names(1, None) and topic() in names(13, None)
    assert names(1, []) == names(13, []) == set()


@pytest.mark.parametrize("version", range(14))
def test_metadata_versions(raw: Raw, client: Client, topic: Topic, version: int) -> None:
    if topic() not in client.topics():
        create(client, topic(), partitions=2)
    answer = raw.ask(
        METADATA, version, Topics=[{"Name": topic()}, {"Name": "nobody"}, {"Name": "a b"}]
    )
    found = {t["Name"]: t for t in answer["Topics"]}
    assert [found[n]["ErrorCode"] for n in (topic(), "nobody", "a b")] == [0, 3, 17]
    partitions = sorted(found[topic()]["Partitions"], key=lambda p: int(p["PartitionIndex"]))
    assert [(p["PartitionIndex"], p["LeaderId"]) for p in partitions] == [(0, 1), (1, 1)]
    assert all(p["ReplicaNodes"] == p["IsrNodes"] == [1] for p in partitions)
    if version >= 7:
        assert all(p["LeaderEpoch"] == 0 for p in partitions)
    if version >= 10:
        assert found[topic()]["TopicId"] != bytes(16)


# -- produce


def test_produce_answer(raw: Raw, client: Client, topic: Topic) -> None:
    create(client, topic())
    for version in range(3, 13):
        answer = only(raw.ask(PRODUCE, version, **produce(topic(), records(b"a", b"b"))))
        assert answer["ErrorCode"] == 0 and answer["BaseOffset"] == 2 * (version - 3)
        assert answer["LogAppendTimeMs"] == -1
        assert answer.get("LogStartOffset", 0) == 0
    assert [s.record.value for s in client.read(topic())] == [b"a", b"b"] * 10


def test_no_answer_without_acks(raw: Raw, client: Client, topic: Topic) -> None:
    """acks=0 is never answered: the next answer belongs to the next request."""
    create(client, topic())
    raw.send(PRODUCE, 9, **produce(topic(), records(b"a"), acks=0))
    raw.asked.clear()
    answer = only(raw.ask(PRODUCE, 9, **produce(topic(), records(b"b"))))
    assert answer["BaseOffset"] == 1


def test_error_without_acks_closes(raw: Raw, topic: Topic) -> None:
    raw.send(PRODUCE, 9, **produce(topic("no"), records(b"a"), acks=0))
    assert raw.closed()


def _damage(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


BAD_BATCHES = {
    "flipped bit": (_damage(records(b"abc"), 68), 2),
    "flipped crc": (_damage(records(b"abc"), 18), 2),
    "two batches": (records(b"a") + records(b"b"), 87),
    "old magic": (records(b"a")[:16] + b"\1" + records(b"a")[17:], 87),
    "future": (records(b"a", timestamp=NOW + 10 * 86_400_000), 32),
}


@pytest.mark.parametrize("case", BAD_BATCHES)
def test_bad_batch(raw: Raw, client: Client, topic: Topic, case: str) -> None:
    """Refused with Kafka's code, nothing written, and the connection goes on."""
    data, error = BAD_BATCHES[case]
    create(client, topic())
    assert only(raw.ask(PRODUCE, 9, **produce(topic(), data)))["ErrorCode"] == error
    assert only(raw.ask(PRODUCE, 9, **produce(topic(), records(b"ok"))))["BaseOffset"] == 0


def test_bad_acks(raw: Raw, client: Client, topic: Topic) -> None:
    create(client, topic())
    answer = only(raw.ask(PRODUCE, 9, **produce(topic(), records(b"a"), acks=2)))
    assert answer["ErrorCode"] == 21


def test_compacted_topic_needs_keys(raw: Raw, client: Client, topic: Topic) -> None:
    create(client, topic(), cleanup_policy="compact")
    answer = only(raw.ask(PRODUCE, 9, **produce(topic(), records(b"a", b"b"))))
    assert answer["ErrorCode"] == 87
    assert [e["BatchIndex"] for e in answer["RecordErrors"]] == [0, 1]


def test_sequences(raw: Raw, client: Client, topic: Topic) -> None:
    """Kafka's rules for idempotent batches: in order, again, with a hole, from an older epoch."""
    create(client, topic())

    def init() -> Message | None:
        """Kafka's first answer is 14: it has to fetch a block of ids."""
        told = raw.ask(INIT_PRODUCER_ID, 4, TransactionalId=None, TransactionTimeoutMs=1000)
        return told if told["ErrorCode"] == 0 else None

    given = wait_for("a producer id", init)
    assert given["ProducerId"] >= 0 and given["ProducerEpoch"] == 0

    def send(sequence: int, count: int = 2, epoch: int = 0) -> tuple[int, int]:
        data = stamped(records(*[b"x"] * count), given["ProducerId"], epoch, sequence)
        answer = only(raw.ask(PRODUCE, 9, **produce(topic(), data)))
        return answer["ErrorCode"], answer["BaseOffset"]

    for number in range(7):
        assert send(2 * number) == (0, 2 * number)
    assert send(12) == (0, 12)  # the last again: its old offset
    assert send(4) == (0, 4)  # and the fifth last
    assert send(2)[0] == 45  # too old to be remembered
    assert send(20)[0] == 45
    assert send(12, count=3)[0] == 45
    assert send(14, epoch=1)[0] == 45  # a new epoch begins at 0
    assert send(0, epoch=1) == (0, 14)
    assert send(16, epoch=0)[0] == 47
    assert client.offsets(topic()) == (0, 16)


def stamped(data: bytes, producer: int, epoch: int, sequence: int) -> bytes:
    """The batch with a producer's numbers, its CRC made right."""
    covered = data[21:43] + struct.pack(">qhi", producer, epoch, sequence) + data[57:]
    return data[:17] + struct.pack(">I", crc32c(covered)) + covered


# -- fetch


def test_empty_fetch_waits(raw: Raw, client: Client, topic: Topic) -> None:
    """As long as it may, and not longer."""
    create(client, topic())
    for wait in (0, 300, 700):
        begun = time.monotonic()
        answer = only(raw.ask(FETCH, 12, **fetch(topic(), MaxWaitMs=wait)))
        assert wait / 1000 - 0.01 <= time.monotonic() - begun < wait / 1000 + 0.3
        assert answer["ErrorCode"] == 0 and not answer["Records"]
        assert (answer["HighWatermark"], answer["LogStartOffset"]) == (0, 0)


def test_fetch_is_woken(raw: Raw, client: Client, node: Broker, topic: Topic) -> None:
    """By enough bytes; too few do not wake it, and are there when its time is up."""
    create(client, topic())
    with Raw(node.ports["PLAINTEXT"]) as other:
        raw.send(FETCH, 12, **fetch(topic(), MaxWaitMs=20_000))
        time.sleep(0.2)
        begun = time.monotonic()
        other.ask(PRODUCE, 9, **produce(topic(), records(b"a")))
        assert only(raw.receive())["Records"]
        assert time.monotonic() - begun < 0.5

        raw.send(FETCH, 12, **fetch(topic(), 1, MaxWaitMs=1000, MinBytes=500))
        begun = time.monotonic()
        other.ask(PRODUCE, 9, **produce(topic(), records(b"b")))
        assert len(only(raw.receive())["Records"]) < 500
        assert 0.9 < time.monotonic() - begun < 1.5

        raw.send(FETCH, 12, **fetch(topic(), 1, MaxWaitMs=20_000, MinBytes=500))
        begun = time.monotonic()
        for _ in range(10):
            other.ask(PRODUCE, 9, **produce(topic(), records(b"c" * 100)))
        assert len(only(raw.receive())["Records"]) >= 500
        assert time.monotonic() - begun < 1


def test_error_does_not_wait(raw: Raw, client: Client, topic: Topic) -> None:
    create(client, topic())
    begun = time.monotonic()
    for offset, error in ((5, 1), (-7, 1)):
        answer = only(raw.ask(FETCH, 12, **fetch(topic(), offset, MaxWaitMs=10_000)))
        assert answer["ErrorCode"] == error
    answer = only(raw.ask(FETCH, 12, **fetch(topic("no"), MaxWaitMs=10_000)))
    assert answer["ErrorCode"] == 3
    assert time.monotonic() - begun < 1


def test_answers_in_order(raw: Raw, client: Client, topic: Topic) -> None:
    """Requests behind a waiting fetch wait too."""
    create(client, topic())
    begun = time.monotonic()
    raw.send(FETCH, 12, **fetch(topic(), MaxWaitMs=500))
    for _ in range(20):
        raw.send(METADATA, 9, Topics=[])
    raw.receive()
    assert time.monotonic() - begun >= 0.49
    for _ in range(20):
        assert raw.receive()["ControllerId"] == 1


def test_fetch_by_id(raw: Raw, client: Client, topic: Topic) -> None:
    """Version 13 and newer: by topic id alone; an unknown one says so."""
    create(client, topic())
    client.produce(topic(), [Record(None, b"a")])
    (told,) = raw.ask(METADATA, 12, Topics=[{"Name": topic()}])["Topics"]
    for version in range(13, 18):
        body = fetch(topic())
        body["Topics"][0]["TopicId"] = told["TopicId"]
        assert only(raw.ask(FETCH, version, **body))["Records"]
        body["Topics"][0]["TopicId"] = bytes(range(16))
        assert only(raw.ask(FETCH, version, **body))["ErrorCode"] == 100


def test_fetch_session(raw: Raw, client: Client, node: Broker, topic: Topic) -> None:
    """Incremental answers leave out what did not change; wrong ids and epochs are told."""
    create(client, topic())
    first = raw.ask(FETCH, 12, **fetch(topic(), SessionEpoch=0))
    session = first["SessionId"]
    if session == 0:
        pytest.skip("the broker keeps no sessions")
    again = raw.ask(FETCH, 12, **fetch(topic(), SessionId=session, SessionEpoch=1, Topics=[]))
    assert (again["ErrorCode"], again["Responses"]) == (0, [])
    client.produce(topic(), [Record(None, b"a")])
    third = raw.ask(FETCH, 12, **fetch(topic(), SessionId=session, SessionEpoch=2, Topics=[]))
    assert only(third)["Records"]
    wrong = raw.ask(FETCH, 12, **fetch(topic(), SessionId=session, SessionEpoch=9, Topics=[]))
    assert wrong["ErrorCode"] == 71
    wrong = raw.ask(FETCH, 12, **fetch(topic(), SessionId=session ^ 1, SessionEpoch=3, Topics=[]))
    assert wrong["ErrorCode"] == 70


def test_fetch_names_a_partition_again(raw: Raw, client: Client, topic: Topic) -> None:
    """It counts where it was named first, as it was named last (FetchRequest.fetchData)."""
    create(client, topic(), partitions=2)
    client.produce(topic(), [Record(None, b"a")])
    client.produce(topic(), [Record(None, b"b")])
    for epoch in (-1, 0):
        body = fetch(topic(), SessionEpoch=epoch)
        asked = body["Topics"][0]["Partitions"]
        asked += [{**asked[0], "Partition": 1}, {**asked[0], "FetchOffset": 1}]
        body["Topics"] *= 2
        (told,) = raw.ask(FETCH, 12, **body)["Responses"]
        assert [part["PartitionIndex"] for part in told["Partitions"]] == [0, 1]
        assert struct.unpack_from(">q", told["Partitions"][0]["Records"]) == (1,)


def test_first_batch_always_comes(raw: Raw, client: Client, topic: Topic) -> None:
    """One whole batch, though it is larger than every limit."""
    create(client, topic())
    client.produce(topic(), [Record(None, b"x" * 100_000)])
    body = fetch(topic(), MaxBytes=1000)
    body["Topics"][0]["Partitions"][0]["PartitionMaxBytes"] = 1000
    assert len(only(raw.ask(FETCH, 12, **body))["Records"]) > 100_000


def test_leader_epochs(raw: Raw, client: Client, topic: Topic) -> None:
    """A client with another epoch in mind is told which of the two is wrong."""
    create(client, topic())

    def error(epoch: int) -> int:
        body = fetch(topic())
        body["Topics"][0]["Partitions"][0]["CurrentLeaderEpoch"] = epoch
        code: int = only(raw.ask(FETCH, 12, **body))["ErrorCode"]
        return code

    assert error(0) == 0 and error(5) == 75


def test_coordinator_for_transactions(ours: None, raw: Raw) -> None:
    """A transactional id gets an error that no client retries."""
    answer = raw.ask(INIT_PRODUCER_ID, 4, TransactionalId="me", TransactionTimeoutMs=1000)
    assert answer["ErrorCode"] not in (0, 14, 15, 16, 51)

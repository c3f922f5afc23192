# SPDX-License-Identifier: Apache-2.0
"""Records, offsets and groups, answer by answer beside Apache Kafka, in old and new versions.

Both brokers get every request in the same order; two.py says what may differ.
"""

from typing import Any

import pytest

from conftest import Topic
from harness.broker import Cluster
from harness.process import wait_for
from harness.wire import Message

from .common import BAD_NAMES, NOW
from .conftest import wait_coordinator
from .raw import records
from .two import (
    COMMIT,
    DELETE_GROUPS,
    DELETE_RECORDS,
    DESCRIBE_GROUPS,
    EPOCHS,
    FETCH,
    HEARTBEAT,
    JOIN,
    LEAVE,
    LIST_GROUPS,
    LIST_OFFSETS,
    MAKE,
    OFFSET_DELETE,
    OFFSETS,
    PRODUCE,
    PRODUCERS,
    SYNC,
    Two,
    batch,
    create,
    produce,
    record,
)

@pytest.fixture(scope="module", name="ports")
def fixture_ports(kafka: Cluster, peer: Cluster) -> list[int]:
    wait_coordinator(kafka)
    return [cluster.broker(1).ports["PLAINTEXT"] for cluster in (kafka, peer)]


@pytest.fixture(name="two")
def fixture_two(ports: list[int]) -> Any:
    made = Two(ports)
    yield made
    made.close()


# -- records

HOUR = 3_600_000
BATCHES = {
    "good": batch(record(0), record(1)),
    "none": b"",
    "cut off": batch()[:-1],
    "half a head": batch()[:30],
    "crc": batch(crc=1),
    "magic 0": batch(magic=0),
    "magic 1": batch(magic=1),
    "magic 3": batch(magic=3),
    "size 5": batch(size=5),
    "size 0": batch(size=0),
    "size -1": batch(size=-1),
    "count 3 of 2": batch(record(0), record(1), count=3),
    "count 1 of 2": batch(record(0), record(1), count=1),
    "count 0": batch(count=0),
    "count -1": batch(count=-1),
    "last 5 of 1": batch(last=5),
    "last -1": batch(last=-1),
    "base 7": batch(base=7),
    "base -1": batch(base=-1),
    "two batches": batch() + batch(),
    "control": batch(bits=32),
    "unused bit": batch(bits=128),
    "epoch 5": batch(epoch=5),
    "too new": batch(first_time=NOW + 3 * HOUR, max_time=NOW + 3 * HOUR),
    "said to be too new": batch(max_time=NOW + 30 * HOUR),
    "is too new": batch(record(0), record(1, time_delta=30 * HOUR)),
    "no time": batch(first_time=-1, max_time=-1),
    "bytes behind the records": batch(record(0) + b"xx"),
    "half a record": batch(record(0)[:-1]),
    "no sequence": batch(producer=77, producer_epoch=0),
    "sequence, no producer": batch(sequence=0),
    "too large": batch(record(0, value=b"x" * 1_100_000)),
}


def test_batches(two: Two, topic: Topic) -> None:
    create(two, topic())
    for note, data in BATCHES.items():
        two.ask(PRODUCE, produce(topic(), (0, data)), note)


def test_produce(two: Two, topic: Topic) -> None:
    create(two, topic(), 2)
    for acks, timeout in ((1, 5000), (2, 5000), (-2, 5000), (-1, 0), (-1, -1)):
        body = produce(topic(), (0, batch()), acks=acks, timeout=timeout)
        two.ask(PRODUCE, body, f"acks {acks} timeout {timeout}")
    two.ask(PRODUCE, produce(topic(), (0, batch()), (9, batch()), (-1, batch()), (1, batch(crc=1))))
    for name in (*BAD_NAMES, "nope", "__consumer_offsets"):
        two.ask(PRODUCE, produce(name, (0, batch())))
    create(two, topic("c"), cleanup_policy="compact")
    keyed = record(0, b"k")
    for data in (batch(), batch(keyed, record(1)), batch(keyed), batch(record(0, b""))):
        two.ask(PRODUCE, produce(topic("c"), (0, data)))
    create(two, topic("l"), message_timestamp_type="LogAppendTime")
    two.ask(PRODUCE, produce(topic("l"), (0, batch(first_time=5, max_time=5))))
    create(two, topic("m"), message_timestamp_before_max_ms="60000", min_insync_replicas="2")
    two.ask(PRODUCE, produce(topic("m"), (0, batch(record(0), record(1)))))


SEQUENCES = (
    ((0, 0, 1), (0, 1, 1), (0, 0, 1), (0, 2, 1), (0, 5, 1), (0, 0, 2), (0, 3, 1)),
    ((0, 5, 1), (0, 6, 1), (1, 3, 1), (1, 0, 1), (0, 1, 1), (1, 1, 1), (2, 0, 1)),
    (*((3, i, 1) for i in range(7)), *((3, i, 1) for i in range(8))),
    ((0, 2**31 - 2, 2), (0, 0, 4), (0, 2**31 - 2, 2), (0, 2**31 - 2, 4), (0, 4, 1)),
    ((0, 2**31 - 2, 4), (0, 2**31 - 2, 4), (0, 2, 1), (32767, 0, 1), (32767, 1, 1)),
)


@pytest.mark.parametrize("case", range(len(SEQUENCES)))
def test_sequences(two: Two, topic: Topic, case: int) -> None:
    """Of idempotent producers: epoch, sequence, number of records."""
    create(two, topic())
    for epoch, sequence, count in SEQUENCES[case]:
        recs = (record(i) for i in range(count))
        data = batch(*recs, producer=5, producer_epoch=epoch, sequence=sequence)
        two.ask(PRODUCE, produce(topic(), (0, data)), f"{epoch} {sequence} {count}", (8,))
        two.ask(PRODUCERS, {"Topics": [{"Name": topic(), "PartitionIndexes": [0]}]})


# -- fetches


def part(offset: int, partition: int = 0, **more: int) -> dict[str, Any]:
    body = {"Partition": partition, "FetchOffset": offset, "PartitionMaxBytes": 1 << 20}
    return {**body, "CurrentLeaderEpoch": -1, "LastFetchedEpoch": -1, "LogStartOffset": -1, **more}


def fetch(topic: str, *parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    body = {"MaxWaitMs": 5, "MinBytes": 1, "MaxBytes": 1 << 20, "ForgottenTopicsData": []}
    topics = [{"Topic": topic, "Partitions": list(parts)}] if parts else []
    return {**body, "Topics": topics, **more}


def test_fetch(two: Two, topic: Topic) -> None:
    create(two, topic(), 2)
    for _ in range(2):
        two.ask(PRODUCE, produce(topic(), (0, records(*[b"x"] * 5))), "", (9,))
    for offset in (0, 3, 10, 11, -1, -2, 2**63 - 1):
        two.ask(FETCH, fetch(topic(), part(offset)))
    for epoch in (0, 1, 99):
        two.ask(FETCH, fetch(topic(), part(0, CurrentLeaderEpoch=epoch)))
        for offset in (5, 10, 20):
            two.ask(FETCH, fetch(topic(), part(offset, LastFetchedEpoch=epoch)), "", (12,))
    two.ask(FETCH, fetch(topic(), part(0, 1, LastFetchedEpoch=0)), "an empty log", (12,))
    two.ask(FETCH, fetch(topic(), part(0, 1), part(0, 7), part(0, -1)))
    two.ask(FETCH, fetch(topic(), part(0), MaxWaitMs=-1, MinBytes=-1))
    two.ask(FETCH, fetch(topic(), part(0), IsolationLevel=1))
    for name in (*BAD_NAMES, "nope"):
        two.ask(FETCH, fetch(name, part(0)))
    two.ask(FETCH, fetch(topic()))
    delete = {"Name": topic(), "Partitions": [{"PartitionIndex": 0, "Offset": 6}]}
    two.ask(DELETE_RECORDS, {"Topics": [delete], "TimeoutMs": 5000})
    for offset in (0, 5, 6, 7):
        two.ask(FETCH, fetch(topic(), part(offset)))
        two.ask(FETCH, fetch(topic(), part(offset, LastFetchedEpoch=0)), "", (12,))


def test_fetch_limits(two: Two, topic: Topic) -> None:
    """What each of several partitions gets. A batch that does not fit is no batch at all."""
    create(two, topic(), 3)
    for _ in range(3):
        for p in range(3):
            two.ask(PRODUCE, produce(topic(), (p, records(b"x" * 10_000))), "", (9,))
    for places in (((0, 0), (1, 0), (2, 0)), ((2, 0), (0, 3), (1, 1)), ((0, 9), (1, 0), (2, 2))):
        for most in (1, 15_000, 25_000, 45_000, 1_000_000):
            for each in (0, 1, 5_000, 15_000, 1_000_000):
                asked = [part(offset, p, PartitionMaxBytes=each) for p, offset in places]
                two.ask(FETCH, fetch(topic(), *asked, MaxBytes=most))


@pytest.mark.parametrize("version", (7, 11, 12))
def test_fetch_sessions(two: Two, topic: Topic, version: int) -> None:
    create(two, topic(), 2)
    two.ask(PRODUCE, produce(topic(), (0, batch())), "", (9,))
    session = [0, 0]

    def ask(note: str, epoch: int, *parts: dict[str, Any], **more: Any) -> None:
        def body(side: int) -> dict[str, Any]:
            mine = {"SessionId": session[side], "SessionEpoch": epoch, **more}
            return fetch(topic(), *parts, **mine)

        answers = two.ask(FETCH, body, note, (version,))
        if epoch == 0:
            session[:] = [answer["SessionId"] for answer in answers]

    ask("new", 0, part(0))
    ask("the same", 1)
    ask("read", 2, part(1))
    ask("nothing", 3)
    ask("again", 3)
    ask("ahead", 9)
    ask("other id", 4, SessionId=12345)
    ask("one more", 4, part(0, 1))
    ask("a bad one", 5, part(0, 7))
    ask("which stays", 6)
    ask("forgotten", 7, ForgottenTopicsData=[{"Topic": topic(), "Partitions": [7, 0]}])
    ask("out of range", 8, part(99))
    ask("closed", -1)
    ask("gone", 9)
    ask("new", 0, part(0))
    ask("and new", 0, part(0))
    ask("no session", 5, part(0), SessionId=0)
    ask("nothing at all", 0, SessionId=0)


# -- offsets


def offsets(topic: str, at: int, partition: int = 0, epoch: int = -1) -> dict[str, Any]:
    place = {"PartitionIndex": partition, "CurrentLeaderEpoch": epoch, "Timestamp": at}
    topics = [{"Name": topic, "Partitions": [place]}]
    return {"ReplicaId": -1, "IsolationLevel": 0, "Topics": topics, "TimeoutMs": 5000}


def test_list_offsets(two: Two, topic: Topic) -> None:
    create(two, topic(), 2)
    for deltas in ((0, 10, 20, 30, 40), (100, 20, 200), (60, 200, 200)):
        recs = [record(i, time_delta=delta) for i, delta in enumerate(deltas)]
        two.ask(PRODUCE, produce(topic(), (0, batch(*recs, max_time=NOW + max(deltas)))), "", (9,))
    times = [NOW + n for n in (-1, 0, 5, 10, 40, 41, 100, 101, 200, 201)]
    for at in (-1, -2, -3, -4, -5, -6, 0, 2**63 - 1, *times):
        two.ask(LIST_OFFSETS, offsets(topic(), at), f"{at - NOW}")
        two.ask(LIST_OFFSETS, offsets(topic(), at, 1), f"{at - NOW} in an empty log")
    for epoch in (0, 1, 99):
        two.ask(LIST_OFFSETS, offsets(topic(), -1, epoch=epoch))
    for name in (*BAD_NAMES, "nope"):
        two.ask(LIST_OFFSETS, offsets(name, -1))
    for partition in (9, -1):
        two.ask(LIST_OFFSETS, offsets(topic(), -1, partition))
    two.ask(LIST_OFFSETS, {**offsets(topic(), -1), "IsolationLevel": 1})
    for epoch, current in ((0, -1), (1, -1), (-1, -1), (0, 0), (0, 1)):
        for partition in (0, 1, 9):
            place = {"Partition": partition, "CurrentLeaderEpoch": current, "LeaderEpoch": epoch}
            topics = [{"Topic": topic(), "Partitions": [place]}]
            two.ask(EPOCHS, {"ReplicaId": -1, "Topics": topics})


def test_delete_records(two: Two, topic: Topic) -> None:
    create(two, topic(), 2)
    create(two, topic("c"), cleanup_policy="compact")
    two.ask(PRODUCE, produce(topic(), (0, records(*[b"x"] * 5))), "", (9,))
    places = [(topic(), 0, offset) for offset in (-2, 6, 0, 1, 0, 2)]
    places += [(topic(), 1, offset) for offset in (-1, 0, 1)] + [(topic(), 9, 0), (topic(), -1, 0)]
    places += [(name, 0, 0) for name in (*BAD_NAMES, "nope", "__consumer_offsets", topic("c"))]
    for name, partition, offset in [*places, (topic(), 0, -1)]:
        asked = {"Name": name, "Partitions": [{"PartitionIndex": partition, "Offset": offset}]}
        two.ask(DELETE_RECORDS, {"Topics": [asked], "TimeoutMs": 5000})


# -- groups


def join(group: str, member: str = "", **more: Any) -> dict[str, Any]:
    body = {"GroupId": group, "MemberId": member, "ProtocolType": more.pop("kind", "consumer")}
    protocols = [{"Name": n, "Metadata": n.encode()} for n in more.pop("protocols", ("a", "b"))]
    timeouts = {"SessionTimeoutMs": 10_000, "RebalanceTimeoutMs": 10_000}
    return {**body, **timeouts, "Protocols": protocols, **more}


def of_group(group: str, generation: int, member: str, **more: Any) -> dict[str, Any]:
    """Heartbeat and SyncGroup; `more` has the last word."""
    return {"GroupId": group, "GenerationId": generation, "MemberId": member, **more}


def commit(group: str, generation: int, member: str, topic: str, **more: Any) -> dict[str, Any]:
    place = {"PartitionIndex": 0, "CommittedOffset": 5, "CommittedLeaderEpoch": -1}
    topics = [{"Name": topic, "Partitions": [{**place, "CommittedMetadata": "m", **more}]}]
    who = {"GroupId": group, "GenerationIdOrMemberEpoch": generation, "MemberId": member}
    return {**who, "Topics": topics, "RetentionTimeMs": -1}


def committed(group: str, topic: str | None, *partitions: int) -> dict[str, Any]:
    topics = None if topic is None else [{"Name": topic, "PartitionIndexes": list(partitions)}]
    groups = [{"GroupId": name, "Topics": topics} for name in (group, "nobody", "")]
    return {"GroupId": group, "Topics": topics, "Groups": groups, "RequireStable": True}


def leave(group: str, *members: tuple[str, str | None]) -> dict[str, Any]:
    named = [{"MemberId": m, "GroupInstanceId": i} for m, i in members]
    return {"GroupId": group, "Members": named}


class Member:
    """One member of a group at both brokers, its ids and its generation."""

    def __init__(self, two: Two, group: str, version: int, **how: Any):
        self.two = two
        self.group = group
        self.version = version
        self.how = how
        self.ids = ["", ""]
        self.generations = [-1, -1]

    def send(self) -> None:
        self.two.send(JOIN, self.version, lambda i: join(self.group, self.ids[i], **self.how))

    def joined(self) -> None:
        answers = self.two.receive("join")
        self.ids = [answer["MemberId"] for answer in answers]
        self.generations = [answer["GenerationId"] for answer in answers]

    def join(self) -> None:
        self.send()
        self.joined()
        if self.version >= 4 and self.generations == [-1, -1]:
            self.send()
            self.joined()

    def sync(self, assignment: bytes | None = None, **other: Any) -> None:
        def body(side: int) -> dict[str, Any]:
            given = [{"MemberId": self.ids[side], "Assignment": assignment}] if assignment else []
            more = {"ProtocolType": "consumer", "ProtocolName": "a", "Assignments": given, **other}
            return of_group(self.group, self.generations[side], self.ids[side], **more)

        self.two.ask(SYNC, body, f"sync {other}", (5,))

    def beat(self, note: str, ahead: int = 0, **other: Any) -> None:
        def body(side: int) -> dict[str, Any]:
            return of_group(self.group, self.generations[side] + ahead, self.ids[side], **other)

        self.two.ask(HEARTBEAT, body, f"{note} {other}", (4,) if other else ())

    def commit(self, note: str, topic: str, ahead: int = 0, **other: Any) -> None:
        def body(side: int) -> dict[str, Any]:
            return commit(
                self.group, self.generations[side] + ahead, self.ids[side], topic, **other
            )

        self.two.ask(COMMIT, body, f"{note} {other}")

    def describe(self, note: str) -> None:
        body = {"Groups": [self.group], "IncludeAuthorizedOperations": True}
        self.two.ask(DESCRIBE_GROUPS, body, note)


def test_join_errors(two: Two, topic: Topic) -> None:
    long = "i" * 250
    cases: list[dict[str, Any]] = [
        {"SessionTimeoutMs": 5},
        {"SessionTimeoutMs": -1},
        {"SessionTimeoutMs": 1_800_001},
        {"MemberId": "nobody"},
        {"protocols": ()},
        {"kind": ""},
        {"protocols": (), "kind": ""},
        {"protocols": ("",)},
        {"GroupInstanceId": "i", "MemberId": "nobody"},
        {"GroupInstanceId": long},
        {"RebalanceTimeoutMs": -1},
    ]
    two.ask(JOIN, join(""))
    for i, case in enumerate(cases):
        versions = (5, 9) if "GroupInstanceId" in case else (0, 4, 9)
        for version in versions:
            two.ask(JOIN, join(f"{topic()}-{i}-{version}", **case), "", (version,))
    two.ask(DESCRIBE_GROUPS, {"Groups": [topic(), ""], "IncludeAuthorizedOperations": True})


@pytest.mark.parametrize("version", (0, 3, 4, 9))
def test_one_member(two: Two, topic: Topic, version: int) -> None:
    create(two, topic(), 2)
    one = Member(two, topic("g"), version)
    one.join()
    one.beat("before sync")
    one.commit("before sync", topic())
    one.sync(GenerationId=9)
    one.sync(MemberId="x")
    one.sync(ProtocolType="x")
    one.sync(ProtocolName="x")
    one.sync(b"A")
    one.sync(b"B")
    one.describe("stable")
    one.beat("well")
    one.beat("later", 1)
    for other in ({"MemberId": "x"}, {"MemberId": ""}, {"GroupId": "nobody"}, {"GroupId": ""}):
        one.beat("other", **other)
    for member in ("x", ""):
        two.ask(COMMIT, lambda i, m=member: commit(topic("g"), one.generations[i], m, topic()))
    one.commit("well", topic())
    one.commit("later", topic(), 1)
    for wrong in ({"PartitionIndex": 9}, {"PartitionIndex": -1}, {"CommittedOffset": -1}):
        one.commit("wrong", topic(), **wrong)
    for text in ("x" * 4096, "x" * 4097, "\u00e9" * 4096, None):
        one.commit("text", topic(), CommittedMetadata=text)
    for name in ("nope", *BAD_NAMES):
        one.commit("name", name)
        two.ask(OFFSETS, committed(topic("g"), name, 0))
    for group in (topic("simple"), "", topic("g")):
        for generation, member in ((-1, ""), (0, ""), (5, "x")):
            two.ask(COMMIT, commit(group, generation, member, topic()))
    two.ask(OFFSETS, committed(topic("g"), topic(), 0, 1, 9, -1))
    two.ask(OFFSETS, committed(topic("g"), None), "", (2, 7, 8, 9))
    two.ask(DELETE_GROUPS, {"GroupsNames": [topic("g"), "nobody", ""]})
    two.ask(OFFSET_DELETE, {"GroupId": "nobody", "Topics": []})
    two.ask(JOIN, lambda i: join(topic("g"), one.ids[i], kind="other"), "", (version,))
    two.ask(JOIN, lambda i: join(topic("g"), one.ids[i], protocols=("z",)), "", (version,))
    for members in ((), (("x", None),), (("", "zz"),), (("", None),)):
        two.ask(LEAVE, leave(topic("g"), *members))
    two.ask(LEAVE, lambda i: leave(topic("g"), (one.ids[i], None), ("x", None)), "", (5,))
    one.describe("empty")
    one.beat("when it left")
    one.commit("when it left", topic())
    two.ask(DELETE_GROUPS, {"GroupsNames": [topic("g")]}, "", (2,))
    one.describe("deleted")
    two.ask(OFFSETS, committed(topic("g"), topic(), 0))


@pytest.mark.parametrize("version", (5, 9))
def test_static_member(two: Two, topic: Topic, version: int) -> None:
    one = Member(two, topic("g"), version, GroupInstanceId="one")
    one.join()
    one.sync(b"A", GroupInstanceId="one")
    one.describe("static")
    wrong: list[dict[str, Any]] = [
        {"GroupInstanceId": "one", "MemberId": "x"},
        {"GroupInstanceId": "one", "MemberId": ""},
        {"GroupInstanceId": "two"},
        {"GroupInstanceId": None},
    ]
    for other in wrong:
        one.beat("wrong", **other)
        one.sync(**other)
    two.ask(JOIN, join(topic("g"), "x", GroupInstanceId="one"), "", (version,))
    again = Member(two, topic("g"), version, GroupInstanceId="one")
    again.join()
    one.sync(GroupInstanceId="one")
    again.sync(b"B", GroupInstanceId="one")
    again.describe("replaced")
    other_protocol = Member(two, topic("g"), version, GroupInstanceId="one", protocols=("b",))
    other_protocol.join()
    other_protocol.describe("with another protocol")
    two.ask(LEAVE, leave(topic("g"), ("x", "one"), ("", "one"), ("", "nine")))
    other_protocol.describe("gone")


@pytest.mark.parametrize("version", (0, 3, 5, 9))
def test_two_members(two: Two, topic: Topic, version: int) -> None:
    """The second comes while the first is at work, and stays when it leaves."""
    one = Member(two, topic("g"), version)
    second = Member(two.also(), topic("g"), version, protocols=("b",))
    one.join()
    one.sync(b"A")
    if version >= 4:
        second.send()
        second.joined()
        one.describe("one is announced")
    second.send()

    def waiting(raw_index: int) -> bool:
        answer = two.raws[raw_index].ask(DESCRIBE_GROUPS, 0, Groups=[topic("g")])
        return bool(answer["Groups"][0]["GroupState"] == "PreparingRebalance")

    for side in (0, 1):
        wait_for("the second", lambda side=side: waiting(side))
    one.describe("two are to join")
    one.beat("while the other waits")
    one.commit("while the other waits", "nope")
    one.sync()
    one.join()
    second.joined()
    second.two.send(
        SYNC, 4, lambda i: of_group(topic("g"), second.generations[i], second.ids[i])
    )
    one.beat("while the other waits")
    one.sync(b"A", ProtocolName="b")
    second.two.receive("sync")
    one.describe("two")
    second.join()  # answered at once: nothing changed
    second.how = {"protocols": ("b", "c")}
    second.send()
    two.ask(LEAVE, lambda i: leave(topic("g"), (one.ids[i], None)), "", (3,))
    second.joined()
    second.two.ask(LEAVE, lambda i: leave(topic("g"), (second.ids[i], None)), "", (3,))
    one.describe("none")
    second.two.ask(JOIN, lambda i: join(topic("g"), second.ids[i]), "", (version,))
    second.two.close()


def test_group_lists(two: Two, topic: Topic) -> None:
    """ListGroups by state and type, and what DescribeGroups, OffsetDelete and DeleteGroups say."""
    create(two, topic(), 2)
    stable = Member(two, topic("stable"), 9)
    stable.join()
    stable.sync(b"A")
    two.ask(COMMIT, commit(topic("simple"), -1, "", topic()), "", (8,))
    names = (topic("stable"), topic("simple"))
    states = ([], ["Stable"], ["stable"], ["EMPTY"], ["Empty", "nope"], ["Dead"], [""])
    types = ([], ["classic"], ["CLASSIC"], ["consumer"], ["nope"])

    def listed(raw_index: int, version: int, **filters: Any) -> list[Message]:
        found = two.raws[raw_index].ask(LIST_GROUPS, version, **filters)
        assert found["ErrorCode"] == 0
        return sorted((g for g in found["Groups"] if g["GroupId"] in names), key=str)

    for version in (0, 4, 5):
        for state in states:
            for kind in types:
                filters = {"StatesFilter": state, "TypesFilter": kind}
                assert listed(0, version, **filters) == listed(1, version, **filters), filters
    for name in (*names, "nobody"):
        for where in ((topic(), 0), (topic(), 9), ("nope", 0), ("a b", 0)):
            asked = {"Name": where[0], "Partitions": [{"PartitionIndex": where[1]}]}
            if name != topic("simple") or where != (topic(), 0):
                two.ask(OFFSET_DELETE, {"GroupId": name, "Topics": [asked]})
    two.ask(DELETE_GROUPS, {"GroupsNames": [*names, "nobody", ""]}, "", (2,))
    groups = [{"Name": "__consumer_offsets", "NumPartitions": 1, "ReplicationFactor": 1}]
    two.ask(MAKE, {"Topics": groups, "timeoutMs": 5000})

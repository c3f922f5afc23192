# SPDX-License-Identifier: Apache-2.0
"""Debian's kcat 1.7.1 with librdkafka 2.0.2: every mode of it."""

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from conftest import Topic
from harness.broker import Broker, Cluster
from harness.certs import Authority
from harness.client import Client, Record, numbered
from harness.process import wait_for

from .common import ACKS, CODECS, NOW, batches, read_back, stored_codecs

SETTINGS = {"group.min.session.timeout.ms": "500"}


def kcat(
    address: str, *args: str, stdin: str = "", fails: bool = False, timeout: float = 30
) -> subprocess.CompletedProcess[str]:
    """Run it; the exit code must be 0, or not 0 if it `fails`."""
    done = subprocess.run(
        ["kcat", "-b", address, "-m", "10", *args],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert (done.returncode != 0) == fails, f"exit code {done.returncode}: {done.stderr}"
    return done


def consume(address: str, topic: str, *args: str) -> list[dict[str, Any]]:
    """Up to the end of the topic, as JSON."""
    done = kcat(address, "-C", "-t", topic, "-e", "-q", "-J", *args)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_metadata(peer: Cluster, client: Client, topic: Topic) -> None:
    client.create_topic(topic("a"), partitions=3)
    client.create_topic(topic("b"))
    found = json.loads(kcat(peer.bootstrap(), "-L", "-J").stdout)
    assert found["brokers"] == [{"id": 1, "name": peer.bootstrap()}]
    assert found["controllerid"] == 1
    topics = {t["topic"]: t["partitions"] for t in found["topics"]}
    assert [p["partition"] for p in topics[topic("a")]] == [0, 1, 2]
    assert len(topics[topic("b")]) == 1
    for partition in topics[topic("a")]:
        assert partition["leader"] == 1
        assert partition["replicas"] == partition["isrs"] == [{"id": 1}]
    only = json.loads(kcat(peer.bootstrap(), "-L", "-J", "-t", topic("b")).stdout)
    assert [t["topic"] for t in only["topics"]] == [topic("b")]


@pytest.mark.parametrize("codec", CODECS)
def test_produce_consume(
    node: Broker, client: Client, topic: Topic, address: str, codec: str
) -> None:
    """Every codec with every acks; keys, nulls and headers; read back by kcat and by another."""
    client.create_topic(topic())
    sent: list[Record] = []
    for acks in ACKS:
        lines = [f"k{acks}-{i}\tvalue {i} " + "x" * 80 for i in range(50)]
        args = ["-P", "-t", topic(), "-K", "\t", "-z", codec, "-X", f"acks={acks}"]
        kcat(address, *args, "-H", "a=1", "-H", "b=", stdin="\n".join(lines))
        for line in lines:
            key, _, value = line.partition("\t")
            sent.append(Record(key.encode(), value.encode(), (("a", b"1"), ("b", b""))))
    kcat(address, "-P", "-t", topic(), "-K", "\t", "-z", codec, "-Z", stdin="key only\t\n")
    sent.append(Record(b"key only", None))
    kcat(address, "-P", "-t", topic(), "-z", codec, stdin="no key\n")
    sent.append(Record(None, b"no key"))

    got = read_back(client, topic())
    assert [(r.key, r.value, r.headers) for r in got] == [(r.key, r.value, r.headers) for r in sent]
    assert codec in stored_codecs(node, topic())
    for index, (want, line) in enumerate(zip(sent, consume(address, topic()), strict=True)):
        assert (line["topic"], line["partition"], line["offset"]) == (topic(), 0, index)
        assert line["key"] == (want.key.decode() if want.key is not None else None)
        assert line["payload"] == (want.value.decode() if want.value is not None else None)
        flat = [word for name, value in want.headers for word in (name, (value or b"").decode())]
        assert line.get("headers", []) == flat
        assert line["ts"] == got[index].timestamp


def test_idempotent(node: Broker, client: Client, topic: Topic, address: str) -> None:
    """A producer id, and sequence numbers that go up, over batches of ten."""
    client.create_topic(topic())
    lines = [f"value {i}" for i in range(500)]
    args = ["-X", "enable.idempotence=true", "-X", "batch.num.messages=10"]
    kcat(address, "-P", "-t", topic(), *args, stdin="\n".join(lines))
    assert [r.value.decode() for r in read_back(client, topic()) if r.value] == lines
    found = list(batches(node, topic()))
    assert len(found) >= 50
    assert {b.producer for b in found} == {found[0].producer} and found[0].producer >= 0
    assert [b.sequence for b in found] == [b.base_offset for b in found]


def test_offsets(client: Client, topic: Topic, address: str) -> None:
    """-Q and every way to say where -C begins."""
    client.create_topic(topic(), partitions=2)
    client.produce(
        topic(), [Record(None, b"%d" % i, (), NOW + 1000 * i) for i in range(100)], partition=1
    )
    query = {-2: 0, -1: 100, NOW: 0, NOW + 1: 1, NOW + 41_000: 41, NOW + 41_001: 42}
    for timestamp, offset in query.items():
        out = kcat(address, "-Q", "-t", f"{topic()}:1:{timestamp}").stdout
        assert out.split() == [topic(), "[1]", "offset", str(offset)]
    out = kcat(address, "-Q", "-t", f"{topic()}:1:{NOW + 10_000_000}").stdout
    assert out.split()[-1] in ("-1", "100")  # librdkafka: -1, newer ones the end

    def first(*args: str) -> list[str]:
        return [line["payload"] for line in consume(address, topic(), "-p", "1", *args)]

    everything = [str(i) for i in range(100)]
    assert first("-o", "beginning") == everything
    assert first("-o", "70") == everything[70:]
    assert first("-o", "-5") == everything[95:]
    assert first("-o", "end") == []
    assert first("-o", f"s@{NOW + 50_500}") == everything[51:]
    assert first("-o", f"s@{NOW + 50_500}", "-o", f"e@{NOW + 60_000}") == everything[51:60]
    assert first("-o", "10", "-c", "3") == everything[10:13]


def test_group(client: Client, topic: Topic, address: str) -> None:
    """-G reads everything of two topics, and nothing twice when it comes again."""
    one, two = topic("one"), topic("two")
    for name in (one, two):
        client.create_topic(name, partitions=2)
        for partition in range(2):
            client.produce(name, numbered(100), partition)

    def members_share(count: int) -> list[tuple[str, int, int]]:
        done = kcat(
            address,
            *("-G", topic("group"), "-q", "-J", "-c", str(count)),
            *("-X", "auto.offset.reset=earliest", one, two),
        )
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        return [(line["topic"], line["partition"], line["offset"]) for line in lines]

    got = members_share(250) + members_share(150)
    assert sorted(got) == sorted((t, p, o) for t in (one, two) for p in (0, 1) for o in range(100))


def test_killed_member(client: Client, topic: Topic, address: str, tmp_path: Path) -> None:
    """A member that dies without a word is put out after its session timeout, and the other gets
    its partitions."""
    client.create_topic(topic(), partitions=2)
    told = tmp_path / "stderr"

    def member(log: Path) -> subprocess.Popen[bytes]:
        session = ["-X", "session.timeout.ms=2000", "-X", "heartbeat.interval.ms=200"]
        with open(log, "wb") as out:
            return subprocess.Popen(
                ["kcat", "-b", address, "-G", topic("group"), *session, topic()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=out,
            )

    def last() -> str:
        lines = [line for line in told.read_text().splitlines() if "assigned:" in line]
        return lines[-1] if lines else ""

    with member(told) as staying:
        wait_for("both partitions", lambda: last().count(topic()) == 2)
        with member(tmp_path / "other") as dying:
            wait_for("one partition", lambda: last().count(topic()) == 1)
            dying.kill()
        begun = time.monotonic()
        wait_for("both again", lambda: last().count(topic()) == 2)
        assert 1 < time.monotonic() - begun < 6
        staying.terminate()


@pytest.mark.parametrize("listener", ("SSL", "MTLS"))
def test_tls(
    peer: Cluster, client: Client, topic: Topic, authority: Authority, listener: str
) -> None:
    """The broker's name is verified; with MTLS the client shows a certificate."""
    client.create_topic(topic())
    tls = ["-X", "security.protocol=ssl", "-X", f"ssl.ca.location={authority.cert}"]
    if listener == "MTLS":
        me = authority.issue("kcat")
        tls += ["-X", f"ssl.certificate.location={me.cert}", "-X", f"ssl.key.location={me.key}"]
    lines = [f"{i} " + "x" * 500 for i in range(2000)]
    address = peer.bootstrap(listener)
    kcat(address, "-P", "-t", topic(), *tls, stdin="\n".join(lines))
    assert [line["payload"] for line in consume(address, topic(), *tls)] == lines


@pytest.mark.parametrize("listener", ("BADNAME", "MTLS"))
def test_tls_refused(peer: Cluster, authority: Authority, listener: str) -> None:
    """A certificate for another name, and a client without a certificate where one is asked for."""
    address = peer.bootstrap(listener)
    tls = ["-X", "security.protocol=ssl", "-X", f"ssl.ca.location={authority.cert}"]
    kcat(address, "-L", *tls, "-m", "1", fails=True)
    if listener == "BADNAME":  # nothing but the name is wrong
        kcat(address, "-L", *tls, "-X", "ssl.endpoint.identification.algorithm=none")


def test_errors(client: Client, topic: Topic, address: str, tmp_path: Path) -> None:
    """Unknown topic and partition, a record that is too large, a deleted topic."""
    unknown = topic("unknown")
    soon = ["-X", "topic.metadata.propagation.max.ms=100"]
    done = kcat(address, "-P", "-t", unknown, *soon, stdin="x", fails=True)
    assert "Unknown topic" in done.stderr, done.stderr
    done = kcat(address, "-C", "-t", unknown, "-e", "-q", fails=True)
    assert "Unknown topic" in done.stderr, done.stderr

    client.create_topic(topic("small"), max_message_bytes=10_000)
    large = tmp_path / "large"
    large.write_bytes(b"x" * 20_000)
    done = kcat(address, "-P", "-t", topic("small"), str(large), fails=True)
    assert "Message size too large" in done.stderr, done.stderr
    kcat(address, "-P", "-t", topic("small"), stdin="fits\n")
    assert [r.value for r in read_back(client, topic("small"))] == [b"fits"]

    client.delete_topic(topic("small"))
    done = kcat(address, "-P", "-t", topic("small"), *soon, stdin="x", fails=True)
    assert "Unknown topic" in done.stderr, done.stderr

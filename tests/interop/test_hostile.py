# SPDX-License-Identifier: Apache-2.0
"""A broker that means harm cannot crash the mirror or make it pass its memory cap."""

import asyncio
import os
import random
import struct
import time
from collections.abc import AsyncIterator, Callable

import pytest

from conftest import Pair, Topic
from harness import batch
from harness.client import numbered
from harness.compare import assert_same
from harness.hostile import API_VERSIONS, FETCH, METADATA, Hostile, Mangled, Mangler, change, frame
from harness.mirror import MEMORY_CAP, Mirror
from harness.process import wait_for
from harness.wire import Message, response_header_bytes


async def endless(head: bytes, piece: bytes) -> AsyncIterator[bytes]:
    """`head`, then `piece` for ever, as fast as the other side takes it, up to 4 GiB."""
    yield head
    for _ in range((4 << 30) // len(piece)):
        yield piece
        await asyncio.sleep(0)


def only(api: int, mangle: Callable[[int, bytes], Mangled]) -> Mangler:
    return lambda key, version, body: mangle(version, body) if key == api else None


def length(value: int) -> Callable[[int, bytes], Mangled]:
    """The frame's length says `value`; the body follows as it is."""
    return lambda _version, body: struct.pack(">i", value) + body


def metadata_of_millions(version: int, body: bytes) -> bytes:
    """60 MB of well-formed topics, each with one partition."""

    def edit(message: Message) -> None:
        first, *_ = message["Topics"] or [None]
        if first is not None:
            message["Topics"] = [
                {**first, "Name": f"millions-{i}", "TopicId": os.urandom(16)}
                for i in range(300_000)
            ]

    return change(body, METADATA, version, edit)


def metadata_count(version: int, body: bytes) -> bytes:
    """An array that claims 2^31-1 entries."""
    head = response_header_bytes(METADATA, version)
    throttle = 4 if version >= 3 else 0
    count = b"\xff\xff\xff\xff\x07" if version >= 9 else b"\x7f\xff\xff\xff"
    return frame(body[: head + throttle] + count + body[head + throttle + 4 :])


def metadata_redirect(version: int, body: bytes) -> bytes:
    """Brokers at addresses that are none."""

    def edit(message: Message) -> None:
        for broker in message["Brokers"]:
            broker.update(Host="\n" * 200 + "level=info event=forged", Port=-1)

    return change(body, METADATA, version, edit)


def fetch_records(records: Callable[[bytes], bytes]) -> Callable[[int, bytes], Mangled]:
    """Replace the records of every partition that has some."""

    def edit(message: Message) -> None:
        for topic in message["Responses"]:
            for partition in topic["Partitions"]:
                if partition["Records"]:
                    partition["Records"] = records(partition["Records"])

    return lambda version, body: change(body, FETCH, version, edit)


def bad_batch_length(value: int) -> Callable[[bytes], bytes]:
    return lambda records: records[:8] + struct.pack(">i", value) + records[12:]


def bad_count(records: bytes) -> bytes:
    """2^31-1 records, with a CRC that fits."""
    head = bytearray(records[:61])
    head[57:61] = b"\x7f\xff\xff\xff"
    head[23:27] = b"\x7f\xff\xff\xfe"
    size = 12 + struct.unpack_from(">i", records, 8)[0]
    covered = bytes(head[21:61]) + records[61:size]
    head[17:21] = struct.pack(">I", batch.crc32c(covered))
    return bytes(head) + records[61:size]


def random_bytes(_version: int, body: bytes) -> bytes:
    return frame(os.urandom(max(len(body), 64)))


def wrong_correlation(_version: int, body: bytes) -> bytes:
    return frame(b"\x7f\xff\xff\xff" + body[4:])


def truncated(_version: int, body: bytes) -> bytes:
    return frame(body[: len(body) // 2])


# What is done, and a word that the log must have about it ("" where any refusal will do).
ATTACKS: dict[str, tuple[Mangler, str]] = {
    "length-negative": (only(FETCH, length(-1)), "length|frame"),
    "length-zero": (only(FETCH, length(0)), ""),
    "length-2-gib": (only(FETCH, length(0x7FFFFFFF)), "length|frame|large"),
    "length-too-short": (only(FETCH, lambda _v, b: length(len(b) // 2)(_v, b)), ""),
    "length-2-gib-before-anything": (only(API_VERSIONS, length(0x7FFFFFFF)), "length|frame|large"),
    "endless-fetch": (
        only(FETCH, lambda _v, b: endless(struct.pack(">i", 0x7FFFFFF0) + b[:8], bytes(1 << 20))),
        "",
    ),
    "endless-metadata": (
        only(
            METADATA,
            lambda _v, b: endless(
                struct.pack(">i", 0x7FFFFFF0) + b, b"\x00\x00\x09endless-t" * 20_000
            ),
        ),
        "",
    ),
    "metadata-of-millions": (only(METADATA, metadata_of_millions), ""),
    "metadata-count": (only(METADATA, metadata_count), ""),
    "metadata-redirect": (only(METADATA, metadata_redirect), ""),
    "garbage-versions": (only(API_VERSIONS, random_bytes), ""),
    "garbage-metadata": (only(METADATA, random_bytes), ""),
    "garbage-fetch": (only(FETCH, random_bytes), ""),
    "truncated-fetch": (only(FETCH, truncated), ""),
    "wrong-correlation": (only(FETCH, wrong_correlation), "correlation"),
    "batch-length-negative": (only(FETCH, fetch_records(bad_batch_length(-100))), ""),
    "batch-length-tiny": (only(FETCH, fetch_records(bad_batch_length(3))), ""),
    "batch-count": (only(FETCH, fetch_records(bad_count)), ""),
    "garbage-records": (only(FETCH, fetch_records(lambda r: os.urandom(len(r)))), ""),
}


def assert_stands(mirror: Mirror, word: str) -> None:
    """Alive, answering, within its memory, and the log has said what is wrong."""
    mirror.wait_log(f"level=(warn|error).*({word})", timeout=20)
    time.sleep(1)
    assert mirror.process.running(), mirror.process.log_tail()
    assert mirror.get("/livez")[0] == 200
    assert mirror.process.usage().rss_max <= MEMORY_CAP
    forged = [
        line
        for line in mirror.process.log_text().splitlines()
        if line.startswith("level=info event=forged")
    ]
    assert not forged


@pytest.mark.parametrize("attack", ATTACKS)
def test_source_that_means_harm(pair: Pair, topic: Topic, attack: str) -> None:
    """F10, F11, F18 and the attacks on framing, arrays and batches; afterwards it copies on."""
    mangler, word = ATTACKS[attack]
    name = topic("t")
    pair.source.create_topic(name)
    pair.source.produce(name, numbered(500, size=100))
    mirror = pair.mirror(name, listener=("PROXIED", "PLAINTEXT"))
    with mirror:
        with Hostile(pair.east.broker(1), mangler) as hostile:
            wait_for("an answer that was changed", lambda: hostile.mangled > 0, 20)
            assert_stands(mirror, word)
        mirrored = f"east.{name}"
        if mirrored in pair.target.topics():
            assert pair.target.offsets(mirrored)[1] in (0, 500)
    with Hostile(pair.east.broker(1), lambda _key, _version, _body: None), mirror:
        assert_same(pair.source, name, pair.target, mirrored)


@pytest.mark.parametrize("attack", ("length-2-gib", "random", "truncated"))
def test_target_that_means_harm(pair: Pair, topic: Topic, attack: str) -> None:
    """The same from the side that is written to: every answer may lie."""
    harm = {"length-2-gib": length(0x7FFFFFFF), "random": random_bytes, "truncated": truncated}
    chance = random.Random(attack)
    seen = [0]

    def mangler(_key: int, version: int, body: bytes) -> Mangled:
        seen[0] += 1
        if seen[0] < 12 or chance.random() < 0.7:
            return None
        return harm[attack](version, body)

    name = topic("t")
    pair.source.create_topic(name)
    mirror = pair.mirror(name, listener=("PLAINTEXT", "PROXIED"))
    with mirror:
        with Hostile(pair.west.broker(1), mangler) as hostile:
            for turn in range(20):
                pair.source.produce(name, numbered(100, start=turn * 100))
                time.sleep(0.1)
            wait_for("an answer that was changed", lambda: hostile.mangled > 3, 20)
            assert_stands(mirror, "")
    with Hostile(pair.west.broker(1), lambda _key, _version, _body: None), mirror:
        assert_same(pair.source, name, pair.target, f"east.{name}")


@pytest.mark.parametrize("megabytes", (64, 1024))
def test_compressed_bomb(pair: Pair, topic: Topic, megabytes: int) -> None:
    """A batch with a hole, so that it must be decoded, that unpacks to a gigabyte."""
    bomb = batch.gzip_bomb(megabytes)
    name = topic("t")
    pair.source.create_topic(name, partitions=2)
    pair.source.produce(name, numbered(10), 0)

    def edit(message: Message) -> None:
        for found in message["Responses"]:
            for partition in found["Partitions"]:
                if partition["PartitionIndex"] == 0 and partition["Records"]:
                    partition["Records"] = bomb

    with Hostile(
        pair.east.broker(1), only(FETCH, lambda version, body: change(body, FETCH, version, edit))
    ):
        with pair.mirror(name, listener=("PROXIED", "PLAINTEXT")) as mirror:
            mirror.wait_state("REFUSED", name)
            assert_stands(mirror, name)
            pair.source.produce(name, numbered(10), 1)
            wait_for("the other partition", lambda: pair.target.offsets(f"east.{name}", 1)[1] == 10)
            assert pair.target.offsets(f"east.{name}", 0)[1] == 0

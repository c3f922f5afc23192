# SPDX-License-Identifier: Apache-2.0
"""Broken requests against a live broker (F11): each prefix and many mutations of captured frames.
It must go on serving a healthy client, with bounded memory."""

import os
import random
import socket
import struct
import time
from functools import cache

from conftest import LONG, NewServer
from harness.paths import ROOT
from raw import Connection, batch
from server import Server

FRAMES = ROOT / "tests" / "fixtures" / "frames.txt"
WHERE = ("healthy", 0)
MIB = 1 << 20
GROWTH_MIB = 64
MUTATIONS = 200_000 if LONG else 4_000
PREFIX_MAX = 10_000_000 if LONG else 300  # bytes of a frame of which every prefix is tried
NASTY = [0, 1, -1, 127, 128, 255, 2**15 - 1, -(2**15), 2**31 - 1, -(2**31), 0x16030100]


@cache
def captured() -> list[bytes]:
    """One request of each API and version."""
    found: dict[tuple[str, str], bytes] = {}
    for line in FRAMES.read_text().splitlines():
        kind, key, version, data = line.split()
        if kind == "req":
            found.setdefault((key, version), bytes.fromhex(data))
    return list(found.values())


class Target:
    """The broker, and the healthy client beside the broken ones."""

    def __init__(self, server: Server):
        self.server = server
        self.client = server.connect()
        self.client.create_topic("healthy")
        self.count = 0
        self.memory = server.memory()

    def send(self, data: bytes, patience: float) -> None:
        """On a connection of its own; an answer is awaited for so long, if at all."""
        with socket.create_connection(("127.0.0.1", self.server.port), 5) as sock:
            try:
                sock.sendall(data)
                if patience:
                    sock.settimeout(patience)
                    sock.recv(4096)
            except OSError:
                pass

    def check(self, what: str) -> None:
        begin = time.monotonic()
        assert self.server.process.running(), (
            f"{what}: ended with {self.server.code()}:\n{self.server.process.log_tail()}"
        )
        offset = self.client.produce(WHERE, batch([(None, b"%d" % self.count)]))
        assert offset == self.count, what
        self.count += 1
        with Connection(self.server.port) as fresh:
            assert len(fresh.fetch(WHERE, offset)["Records"]) > 61
        passed = time.monotonic() - begin
        assert passed < 2, f"{what}: a healthy client waited {passed:.1f} s"
        grown = (self.server.memory() - self.memory) / MIB
        assert grown < GROWTH_MIB, f"{what}: grown by {grown:.0f} MiB"

    def finish(self) -> None:
        self.check("at the end")
        seen, _ = self.client.read_all(WHERE)
        assert [s.value for s in seen] == [b"%d" % number for number in range(self.count)]
        self.server.stop()


def frame(body: bytes) -> bytes:
    return struct.pack(">i", len(body)) + body


def test_captured_requests(new_server: NewServer) -> None:
    """As they are, all on one connection each."""
    target = Target(new_server().start())
    for number, body in enumerate(captured()):
        target.send(frame(body), 0.05)
        target.check(f"frame {number}")
    target.finish()


def test_every_prefix(new_server: NewServer) -> None:
    """Once as a frame of its own, once as a frame that is never completed."""
    target = Target(new_server().start())
    for number, body in enumerate(captured()):
        for size in range(min(len(body), PREFIX_MAX)):
            target.send(frame(body[:size]), 0)
            if size % 3 == 0:
                target.send(frame(body)[: 4 + size], 0)
        target.check(f"prefixes of frame {number} {body[:4].hex()}")
    target.finish()


def mutate(chance: random.Random, body: bytes) -> bytes:
    out = bytearray(body)
    for _ in range(chance.choice([1, 1, 1, 2, 4, 16])):
        at = chance.randrange(len(out)) if out else 0
        match chance.randrange(6):
            case 0:
                out[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                out[at : at + 1] = bytes([(out[at] if out else 0) ^ 1 << chance.randrange(8)])
            case 2:
                out[at : at + 4] = struct.pack(">i", chance.choice(NASTY))
            case 3:
                out[at : at + 2] = struct.pack(">H", chance.choice(NASTY) & 0xFFFF)
            case 4:
                del out[at : at + chance.randrange(1, 16)]
            case 5:
                out[at:at] = chance.randbytes(chance.randrange(1, 16))
    return bytes(out)


def test_mutations(new_server: NewServer) -> None:
    """Requests with bytes changed, numbers made extreme, pieces cut out and put in. The API key and
    version stay in most of them, so that the decoders are reached."""
    seed = int(os.environ.get("FARSHORE_SEED", "0")) or random.randrange(1, 1 << 31)
    chance = random.Random(seed)
    target = Target(new_server().start())
    frames = captured()
    for number in range(MUTATIONS):
        body = chance.choice(frames)
        keep = 8 if chance.randrange(4) else 0
        data = frame(body[:keep] + mutate(chance, body[keep:]))
        if chance.randrange(50) == 0:
            data = chance.randbytes(chance.randrange(1, 200))
        target.send(data, 0.01 if number % 4 == 0 else 0)
        if number % 200 == 199:
            target.check(f"FARSHORE_SEED={seed}, before mutation {number}")
    target.finish()

# SPDX-License-Identifier: Apache-2.0
"""Damaged files (F18): flipped bits, zeroed blocks, cut and lengthened files of every kind.

The broker starts and tells what it repaired or lost, or ends with a line that says what is wrong.
It never crashes, and no acknowledged record disappears without being named. Each damage is tried
on a copy of the data of a clean stop and of a kill -9.

What may be lost silently: nothing but the tail of the last segment of a log after a kill. Cut off at
the end of a batch, or as a whole, it looks like one that was never written. A clean start reads no
records, so a bit that flipped is served as it is, and the checksum of its batch tells the client.
"""

import copy
import os
import random
import shutil
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

import pytest

from conftest import LONG, NewServer
from model import Log, Promise
from raw import Connection, Partition, Refused, Seen, records_of
from script import GROUP, LOOSE, ORDERED, STARTING, Script
from server import Server
from test_disk import assert_clear_end

EACH = 12 if LONG else 2  # tries of each kind of damage on each kind of file
Damage = Callable[[random.Random, bytearray], None]


def flip(chance: random.Random, data: bytearray) -> None:
    if data:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def zero(chance: random.Random, data: bytearray) -> None:
    """A block of up to 4 KiB reads as zeros."""
    at = chance.randrange(len(data) + 1) & ~0xFFF
    size = min(4096, len(data) - at)
    data[at : at + size] = bytes(size)


def cut(chance: random.Random, data: bytearray) -> None:
    del data[chance.randrange(len(data) + 1) :]


def empty(_chance: random.Random, data: bytearray) -> None:
    data.clear()


def lengthen(chance: random.Random, data: bytearray) -> None:
    data += chance.randbytes(chance.randrange(1, 5000))


def repeat_tail(chance: random.Random, data: bytearray) -> None:
    data += data[-chance.randrange(1, 400) :]


DAMAGES: dict[str, Damage] = {
    "flip": flip,
    "zero": zero,
    "cut": cut,
    "empty": empty,
    "lengthen": lengthen,
    "repeat": repeat_tail,
}


@dataclass(frozen=True)
class Kind:
    """Files that are alike; `records`: damage may cost records, or what was said about them, which
    are then named."""

    pattern: str
    records: bool = False


KINDS = {
    "log": Kind("[ost]*-[0-9]*/*.log", records=True),
    "index": Kind("[ost]*-[0-9]*/*.index"),
    "timeindex": Kind("[ost]*-[0-9]*/*.timeindex"),
    "snapshot": Kind("[ost]*-[0-9]*/*.snapshot"),
    "epochs": Kind("[ost]*-[0-9]*/leader-epoch-checkpoint"),
    # An id that reads as another topic's: the partition is offline.
    "topic-id": Kind("[ost]*-[0-9]*/partition.metadata", records=True),
    "metadata": Kind("__cluster_metadata-0/*.log", records=True),
    "metadata-index": Kind("__cluster_metadata-0/*index"),
    "offsets": Kind("__consumer_offsets-0/*.log", records=True),
    "recovery": Kind("recovery-point-offset-checkpoint"),
    "start": Kind("log-start-offset-checkpoint", records=True),
    "meta": Kind("meta.properties"),
    "clean-mark": Kind(".kafka_cleanshutdown"),
    "any": Kind("**/*", records=True),
}


@dataclass
class Prepared:
    """Data as a stop left them, and what they hold."""

    folder: Path
    script: Script
    clean: bool


@pytest.fixture(scope="module", params=["clean", "killed"], name="prepared")
def _prepared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder = tmp_path_factory.mktemp(request.param)
    server = Server(folder)
    try:
        server.start()
        script = Script(server)
        script.run()
        if request.param == "clean":
            server.stop()
    finally:
        server.kill()
    return Prepared(server.data, script, request.param == "clean")


def lost(c: Connection, where: Partition, log: Log) -> str:
    """What is missing of a partition, as text; "" if nothing. Wrong or doubled records fail."""
    try:
        start, end = c.offset_at(where, -2), c.offset_at(where, -1)
    except Refused as err:
        return f"error {err.code}"
    seen: list[Seen] = []
    offset, damaged = start, 0
    while offset < end:
        try:
            data = c.fetch(where, offset)["Records"] or b""
        except Refused as err:
            now = c.offset_at(where, -2)
            if now > offset:  # retention came in between
                seen, start, offset = [], now, now
                continue
            return f"error {err.code} at {offset} of {end}"
        if len(data) < 61:
            return f"nothing to read at {offset} of {end}"
        base, length = struct.unpack_from(">qi", data)
        (delta,) = struct.unpack_from(">i", data, 23)
        if length < 49 or len(data) < 12 + length or base + delta < offset:
            return f"no batch at {offset} of {end}"
        try:
            seen += [s for s in records_of(data[: 12 + length]) if s.offset >= offset]
        except AssertionError:
            damaged += 1  # the client's own check finds it
        offset = base + delta + 1
    known = copy.deepcopy(log)
    known._check_order(where, seen)  # pylint: disable=protected-access
    if damaged:
        return ""
    try:
        known.check(where, seen, start)
    except AssertionError as err:
        return str(err)
    return ""


def losses(server: Server, script: Script) -> list[tuple[str, str]]:
    """(what must be named, what is missing)"""
    out = []
    with server.connect() as c:
        topics = c.topics()
        for name, promise in script.model.created.items():
            gone = script.model.deleted.get(name, Promise()).done
            if gone and name in topics:
                out.append((name, "deleted and back"))
            elif not gone and promise.done and not topics.get(name):
                out.append((name, "topic is gone"))
        for where, log in script.model.logs.items():
            if topics.get(where[0], 0) > where[1]:
                if what := lost(c, where, log):
                    out.append((f"{where[0]}-{where[1]}", what))
        try:
            found = c.committed(GROUP, ORDERED)
        except Refused as err:
            found = -err.code
        if found != script.model.commits[-1][0]:
            out.append(("__consumer_offsets", f"committed is {found}"))
    return out


def assert_named(server: Server, missing: list[tuple[str, str]], file: str) -> None:
    said = [
        line
        for line in server.process.log_text().splitlines()
        if "level=warn" in line or "level=error" in line
    ]
    folder = file.split("/")[0]
    for name, what in missing:
        assert any(name in line or folder in line or file in line for line in said), (
            f"{name}: {what}, and nothing says so:\n" + "\n".join(said[-5:])
        )


def looks_unwritten(prepared: Prepared, path: Path, size: int) -> bool:
    """After a kill: the last segment of a log ends where a batch ends."""
    if prepared.clean or path.suffix != ".log":
        return False
    whole = (prepared.folder / path.parent.name / path.name).read_bytes()
    ends, at = {0}, 0
    while len(whole) - at > 12:
        at += 12 + struct.unpack_from(">i", whole, at + 8)[0]
        ends.add(at)
    last = max(p.name for p in (prepared.folder / path.parent.name).glob("*.log"))
    return path.name == last and size in ends


def try_one(new_server: NewServer, prepared: Prepared, kind: Kind, damage: str, seed: int) -> None:
    chance = random.Random(seed)
    server = new_server(f"{damage}{seed}")
    shutil.copytree(prepared.folder, server.data)
    files = sorted(p for p in server.data.glob(kind.pattern) if p.is_file() and p.name != ".lock")
    if not files:
        return
    # Files with something in them tell more.
    path = chance.choice([p for p in files if p.stat().st_size] or files)
    data = bytearray(path.read_bytes())
    DAMAGES[damage](chance, data)
    path.write_bytes(bytes(data))
    name = str(path.relative_to(server.data))
    server.launch()
    try:
        server.wait_ready()
    except RuntimeError:
        assert_clear_end(server)
        shutil.rmtree(server.data.parent)
        return
    missing = losses(server, prepared.script)
    assert kind.records or not missing, f"{name}: {missing}"
    if not looks_unwritten(prepared, path, len(data)):
        assert_named(server, missing, name)
    work_goes_on(server, prepared.script, not missing)
    code = server.process.stop(20)
    assert code == 0, f"{name}: exit code {code}:\n{server.process.log_tail()}"
    shutil.rmtree(server.data.parent)


def work_goes_on(server: Server, script: Script, whole: bool) -> None:
    """New work is taken; with nothing lost, the old producer goes on where it was."""
    after = Script(server)
    after.number, after.clock = script.number + 1000, script.clock
    try:
        after.create("after")
        after.produce(("after", 0), 1)
        if whole:
            after.model.logs = copy.deepcopy(script.model.logs)
            after.producer, after.sequence = script.producer, script.sequence
            after.queue_ordered(2)
            after.flush_ordered()
            after.commit(1000)
    finally:
        after.close()
    assert set(after.refused) <= STARTING


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", KINDS)
def test_damage(new_server: NewServer, prepared: Prepared, name: str, damage: str) -> None:
    first = int(os.environ.get("FARSHORE_SEED", "1"))
    for seed in range(first, first + EACH):
        try:
            try_one(new_server, prepared, KINDS[name], damage, seed)
        except Exception as err:
            raise AssertionError(f"FARSHORE_SEED={seed}: {err}") from err


@pytest.mark.parametrize("name", KINDS)
def test_missing_file(new_server: NewServer, prepared: Prepared, name: str) -> None:
    """Each file of the kind, one after the other."""
    files = sorted(p for p in prepared.folder.glob(KINDS[name].pattern) if p.is_file())
    if name == "any":
        files = files[:0]
    for number, file in enumerate(files[:: 1 if LONG else 3]):
        server = new_server(f"missing{number}")
        shutil.copytree(prepared.folder, server.data)
        relative = file.relative_to(prepared.folder)
        (server.data / relative).unlink()
        server.launch()
        try:
            server.wait_ready()
        except RuntimeError:
            assert_clear_end(server)
            continue
        missing = losses(server, prepared.script)
        assert KINDS[name].records or not missing, f"{relative}: {missing}"
        if not looks_unwritten(prepared, server.data / relative, 0):
            assert_named(server, missing, str(relative))
        assert server.process.stop(20) == 0, f"{relative}:\n{server.process.log_tail()}"


def test_torn_tail_is_cut(new_server: NewServer) -> None:
    """F17: after a kill the last batch is there in part, once for each length: it is cut off, all
    before it stays, and the offset is given again."""
    server = new_server("torn").start()
    script = Script(server)
    script.run()
    with server.connect() as c:
        end = c.offset_at(LOOSE, -1)
    server.kill()
    log = sorted((server.data / f"{LOOSE[0]}-{LOOSE[1]}").glob("*.log"))[-1]
    data = log.read_bytes()
    torn = struct.pack(">q", end) + data[8 : 12 + struct.unpack_from(">i", data, 8)[0]]
    for size in range(1, len(torn), 7):
        log.write_bytes(data + torn[:size])
        server.start()
        with server.connect() as c:
            assert c.offset_at(LOOSE, -1) == end
            script.model.check(c, GROUP, ORDERED)
        server.kill()
        assert log.stat().st_size == len(data), "the tail is still there"

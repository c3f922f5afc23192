# SPDX-License-Identifier: Apache-2.0
"""A disk that is really full (F15): a small file system of its own, filled and emptied again."""

import os
import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.process import wait_for
from raw import NONE, STORAGE_ERROR, Connection, Refused, batch
from server import Server

SIZE = 24 << 20
PAYLOAD = random.Random(11).randbytes(200_000)
KINDS = ["tmpfs", "ext4"]


def _mount(kind: str, folder: Path, image: Path) -> None:
    if kind == "tmpfs":
        command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "none", str(folder)]
    else:
        with open(image, "wb") as file:
            file.truncate(SIZE)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(image)], check=True, capture_output=True)
        command = ["mount", "-o", "loop", str(image), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"mount: {done.stderr.strip()}")


@pytest.fixture(name="small_disk", params=KINDS)
def _small_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("mounting takes root")
    folder = tmp_path / "small"
    folder.mkdir()
    _mount(request.param, folder, tmp_path / "image")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


@pytest.fixture(name="server")
def _server(small_disk: Path) -> Iterator[Server]:
    made = Server(small_disk / "broker")
    # The log file is not to fill the disk that it tells of.
    made.process.log = small_disk.parent / "broker.log"
    yield made
    made.kill()


def fill(c: Connection, topic: str, number: int = 0) -> list[bytes]:
    """Produce until refused; the values that were acknowledged."""
    acked: list[bytes] = []
    while len(acked) < 2 * SIZE // len(PAYLOAD):
        value = b"%s %06d " % (topic.encode(), number + len(acked)) + PAYLOAD
        try:
            c.produce((topic, 0), batch([(None, value)]))
        except Refused as err:
            assert err.code == STORAGE_ERROR, err
            return acked
        acked.append(value)
    raise AssertionError("the disk is never full")


def values(c: Connection, topic: str) -> list[bytes | None]:
    return [seen.value for seen in c.read_all((topic, 0))[0]]


def test_full_and_room_again(server: Server) -> None:
    """Refused, read, restarted while it is full, and freed by DeleteRecords."""
    server.start()
    with server.connect() as c:
        c.create_topic("t", segment_bytes=1 << 20)
        c.create_topic("u", segment_bytes=1 << 20)
        c.produce(("u", 0), batch([(None, b"first")]))
        acked = fill(c, "t")
        assert values(c, "t") == acked, "reads go on"
        assert values(c, "u") == [b"first"]
    said = server.process.log_text()
    assert "level=error" in said or "level=warn" in said, "it says nothing about it"
    server.kill()
    server.start()
    with server.connect() as c:
        assert values(c, "t") == acked
        half = len(acked) // 2
        c.delete_records(("t", 0), half)

        def accepted() -> bool:
            try:
                return c.produce(("t", 0), batch([(None, b"again")])) >= 0
            except Refused as err:
                assert err.code == STORAGE_ERROR, err
                return False

        wait_for("room again", accepted, 15)
        found = values(c, "t")
        assert found[: len(acked) - half] == acked[half:]
        assert found[-1] == b"again"
        c.produce(("u", 0), batch([(None, b"second")]))
    server.stop()
    server.start()
    with server.connect() as c:
        assert values(c, "u") == [b"first", b"second"]


def test_retention_makes_room(server: Server) -> None:
    """Nobody does anything: old segments go, and the producer's retries succeed."""
    server.start()
    with server.connect() as c:
        # Twice as much as there is room for, then less than half of it.
        c.create_topic("t", segment_bytes=1 << 20, retention_bytes=SIZE // 3)
        c.create_topic("u", segment_bytes=1 << 20)
        fill(c, "u")
        c.delete_records(("u", 0), -1)
        end = time.monotonic() + 30
        count = 0
        while count < 2 * SIZE // len(PAYLOAD):
            try:
                c.produce(("t", 0), batch([(None, b"%06d" % count + PAYLOAD)]))
                count += 1
            except Refused as err:
                assert err.code == STORAGE_ERROR, err
                assert time.monotonic() < end, "retention makes no room"
                time.sleep(0.05)
        found = [int((value or b"")[:6]) for value in values(c, "t")]
        assert found == list(range(found[0], count)) and found[0] > 0


def test_starts_on_a_full_disk(server: Server, small_disk: Path) -> None:
    """Not one byte is left: it starts and serves reads, or says why not; afterwards all is there."""
    server.start()
    with server.connect() as c:
        c.create_topic("t")
        acked = [b"%d" % number for number in range(20)]
        for value in acked:
            c.produce(("t", 0), batch([(None, value)]))
    server.kill()
    with open(small_disk / "ballast", "wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                pass
    server.launch()
    try:
        server.wait_ready()
        with server.connect() as c:
            assert values(c, "t") == acked
            try:
                c.create_topic("more")
                c.produce(("more", 0), batch([(None, bytes(100_000))]))
                code = NONE
            except Refused as err:
                code = err.code
            assert code != NONE, "stored where there is no room"
    except RuntimeError:
        assert server.code() > 0 and "level=error" in server.process.log_text()
    server.kill()
    (small_disk / "ballast").unlink()
    server.start()
    with server.connect() as c:
        assert values(c, "t") == acked
        c.produce(("t", 0), batch([(None, b"20")]))

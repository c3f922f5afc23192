# SPDX-License-Identifier: Apache-2.0
"""The power goes (F2): an ext4 of its own forgets all that it did not write yet.

EXT4_IOC_SHUTDOWN without a flush ends every write of the file system at once, as a power cut does;
what comes back after a new mount is what its journal and its device have. With log.fsync=always
nothing that was acknowledged may be missing, whenever it happens; with `never` that holds for what
a clean stop left.
"""

import fcntl
import os
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from script import Script, check_after
from server import Server
from shim import Shim
from sweep import points, sweep
from test_kill import ACTIONS, run_until_killed

SIZE = 64 << 20
EXT4_IOC_SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32), linux/fs/ext4/ext4.h
NO_LOG_FLUSH = struct.pack("I", 2)
# How much a file system may lose differs: by default it orders data before names.
OPTIONS = ["loop", "loop,data=writeback", "loop,nodelalloc,commit=1"]
SOME = 12


class Disk:
    """An image and the folder where it is mounted."""

    def __init__(self, folder: Path, options: str):
        self.image = folder / "image"
        self.folder = folder / "disk"
        self.options = options
        self.folder.mkdir(parents=True)
        with open(self.image, "wb") as file:
            file.truncate(SIZE)
        subprocess.run(["mkfs.ext4", "-q", str(self.image)], check=True, capture_output=True)
        done = self._mount()
        if done.returncode != 0:
            pytest.skip(f"mount: {done.stderr.strip()}")

    def _mount(self) -> "subprocess.CompletedProcess[str]":
        command = ["mount", "-o", self.options, str(self.image), str(self.folder)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def unmount(self) -> None:
        """Lazily, and what is mounted next is a copy: whoever looks into all file systems, or
        made a namespace meanwhile, keeps this one alive, as dead as it is."""
        subprocess.run(["umount", "-l", str(self.folder)], capture_output=True, check=False)

    def cut(self) -> None:
        """Off, and on again."""
        fd = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(fd, EXT4_IOC_SHUTDOWN, NO_LOG_FLUSH)
        finally:
            os.close(fd)
        self.unmount()
        then = self.image.with_suffix(".then")
        self.image.rename(then)
        subprocess.run(["cp", "--sparse=always", str(then), str(self.image)], check=True)
        then.unlink()
        # It could be mounted once: that it cannot again is no reason to skip.
        done = self._mount()
        assert done.returncode == 0, f"mount: {done.stderr.strip()}"


class Machine:
    """A broker whose data are on such a disk; what it says is kept elsewhere."""

    def __init__(self, folder: Path, options: str, fsync: str):
        self.disk = Disk(folder, options)
        self.server = Server(self.disk.folder / "broker", log_fsync=fsync)
        os.sync()  # the folder of the data directory is not the broker's
        self.server.process.log = folder / "broker.log"
        self.shim = Shim(self.server.data, folder / "control")

    def cut(self) -> None:
        self.server.kill()
        self.disk.cut()

    def end(self) -> None:
        self.server.kill()
        self.disk.unmount()
        self.disk.image.unlink()


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("mounting takes root")
    yield tmp_path
    for left in tmp_path.glob("*/disk"):
        subprocess.run(["umount", "-l", str(left)], capture_output=True, check=False)


def test_the_disk_forgets(folder: Path) -> None:
    """The tool itself: what was synced is there after a cut, what was not is gone."""
    disk = Disk(folder / "one", OPTIONS[0])
    for name, synced in (("kept", True), ("lost", False)):
        fd = os.open(disk.folder / name, os.O_WRONLY | os.O_CREAT)
        os.write(fd, b"x" * 5000)
        if synced:
            os.fsync(fd)
        os.close(fd)
    disk.cut()
    assert (disk.folder / "kept").read_bytes() == b"x" * 5000
    lost = disk.folder / "lost"
    assert not lost.exists() or lost.stat().st_size == 0
    disk.unmount()


def test_power_goes_at_every_call(folder: Path) -> None:
    """At the Nth disk call, and for some once more right after the start that follows."""
    counted = Machine(folder / "count", OPTIONS[0], "always")
    counted.shim.count()
    run_until_killed(counted.server, counted.shim)
    total = counted.shim.calls
    counted.end()

    def one(number: int) -> None:
        machine = Machine(folder / f"at{number}", OPTIONS[number % len(OPTIONS)], "always")
        machine.shim.arm(ACTIONS[number // 2 % 3], number)
        script = run_until_killed(machine.server, machine.shim)
        where = machine.shim.where() if machine.shim.fired else "past the end"
        try:
            machine.cut()
            if number % 3 == 0:
                machine.server.start()
                machine.cut()
            machine.server.start()
            check_after(script)
            machine.cut()
            machine.server.start()
            check_after(script)
            assert "event=log_damaged" not in machine.server.process.log_text()
        except Exception as err:
            raise AssertionError(f"off at {where}: {err}") from err
        finally:
            machine.end()

    sweep(points(total, SOME), one)


@pytest.mark.parametrize("fsync", ["always", "never"])
def test_power_goes_after_a_clean_stop(folder: Path, fsync: str) -> None:
    """Whatever the setting, a stop leaves everything on the disk."""
    machine = Machine(folder / "one", OPTIONS[0], fsync)
    machine.server.start()
    script = Script(machine.server)
    script.run()
    for _ in range(3):
        machine.server.stop()
        machine.cut()
        machine.server.start()
        check_after(script)
    machine.server.stop()
    assert "level=error" not in machine.server.process.log_text(), "a stop that was not clean"
    machine.end()

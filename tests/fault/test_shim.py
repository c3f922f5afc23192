# SPDX-License-Identifier: Apache-2.0
"""The shim itself: a suite that trusts it must know that it does what it says."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from shim import CHANGES, Action, Kind, Shim

# One call of each kind, in this order, between others that do not count.
SCRIPT = """
import os, sys
folder, outside = sys.argv[1], sys.argv[2]
os.mkdir(folder + "/d")
fd = os.open(folder + "/d/a", os.O_CREAT | os.O_RDWR, 0o600)
other = os.open(outside, os.O_CREAT | os.O_RDWR, 0o600)
os.write(other, b"not here")
os.fsync(other)
os.write(fd, b"0123456789")
os.pwrite(fd, b"abcdefgh", 10)
os.writev(fd, [b"xxxx", b"yyyyyy"])
os.fsync(fd)
os.fdatasync(fd)
os.ftruncate(fd, 30)
os.posix_fallocate(fd, 0, 40)
os.link(folder + "/d/a", folder + "/d/b")
os.rename(folder + "/d/b", folder + "/d/c")
os.unlink(folder + "/d/c")
assert os.pread(fd, 4, 0) == b"0123"
print("end")
"""
KINDS = [
    Kind.MKDIR,
    Kind.OPEN,
    Kind.WRITE,
    Kind.WRITE,
    Kind.WRITE,
    Kind.SYNC,
    Kind.SYNC,
    Kind.TRUNCATE,
    Kind.ALLOCATE,
    Kind.LINK,
    Kind.RENAME,
    Kind.UNLINK,
]


@pytest.fixture(name="shim")
def _shim(tmp_path: Path) -> Shim:
    folder = tmp_path / "watched"
    folder.mkdir()
    return Shim(folder, tmp_path / "control")


def run(shim: Shim) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/usr/bin/python3", "-S", "-E", "-c", SCRIPT, str(shim.folder), str(shim.path) + ".other"],
        env={**os.environ, **shim.env()},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_counts_calls_on_watched_files_only(shim: Shim) -> None:
    shim.count()
    done = run(shim)
    assert done.stdout == "end\n", done.stderr
    assert shim.calls == len(KINDS)
    assert shim.fired == 0


@pytest.mark.parametrize("action", [Action.KILL_BEFORE, Action.KILL_AFTER, Action.KILL_HALF])
def test_kills_at_each_call(shim: Shim, action: Action) -> None:
    for number, kind in enumerate(KINDS, 1):
        subprocess.run(["rm", "-rf", str(shim.folder / "d")], check=True)
        shim.arm(action, number)
        done = run(shim)
        assert done.returncode == -signal.SIGKILL, (number, done.stderr)
        assert (shim.fired, shim.get("fired_kind")) == (1, kind), number


@pytest.mark.parametrize(
    "action,sizes",
    [
        (Action.KILL_BEFORE, {3: 0, 4: 10, 5: 18}),
        (Action.KILL_AFTER, {3: 10, 4: 18, 5: 20}),
        (Action.KILL_HALF, {3: 5, 4: 14, 5: 18}),
    ],
)
def test_how_much_of_a_write_is_done(shim: Shim, action: Action, sizes: dict[int, int]) -> None:
    """writev comes after the first write: at 10, over the pwrite's bytes."""
    for number, size in sizes.items():
        subprocess.run(["rm", "-rf", str(shim.folder / "d")], check=True)
        shim.arm(action, number)
        run(shim)
        assert (shim.folder / "d" / "a").stat().st_size == size, number


@pytest.mark.parametrize("action,text", [(Action.EIO, "Input/output"), (Action.ENOSPC, "No space")])
def test_fails_each_call(shim: Shim, action: Action, text: str) -> None:
    for number in range(1, len(KINDS) + 1):
        subprocess.run(["rm", "-rf", str(shim.folder / "d")], check=True)
        shim.arm(action, number)
        done = run(shim)
        assert text in done.stderr, (number, done.stderr)
        assert shim.fired == 1


def test_reads_fail_when_asked_for(shim: Shim) -> None:
    shim.arm(Action.EIO, 1, kinds=frozenset({Kind.READ}))
    done = run(shim)
    assert "Input/output" in done.stderr and done.stdout == ""


def test_a_short_write_says_so(shim: Shim) -> None:
    shim.arm(Action.SHORT, 1, kinds=CHANGES & {Kind.WRITE})
    done = run(shim)
    assert done.stdout == "end\n", done.stderr
    assert (shim.folder / "d" / "a").read_bytes()[:5] == b"01234"
    assert shim.fired == 1


def test_fails_for_as_long_as_asked(shim: Shim) -> None:
    shim.arm(Action.ENOSPC, 1, times=1 << 60)
    assert "No space" in run(shim).stderr


def test_an_allocation_fails(shim: Shim) -> None:
    """Of a thousand one is refused, which the program sees."""
    shim.arm_allocation(0)
    done = subprocess.run(
        [
            "/usr/bin/python3",
            "-c",
            "import ctypes, struct\n"
            "malloc = ctypes.CDLL(None).malloc\n"
            "malloc.restype = ctypes.c_size_t\n"
            f"control = open({str(shim.path)!r}, 'r+b', 0)\n"
            "control.seek(48); control.write(struct.pack('<Q', 500))\n"
            "print([malloc(64) for _ in range(1000)].count(0))\n",
        ],
        env={**os.environ, **shim.env()},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert (done.stdout, shim.fired) == ("1\n", 1)

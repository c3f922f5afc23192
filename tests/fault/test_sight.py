# SPDX-License-Identifier: Apache-2.0
"""The shim sees every call by which the broker changes its disk: strace counts the same."""

import os
import re
import shutil
import signal
from pathlib import Path

import pytest

from conftest import NewServer
from script import Script
from shim import CHANGES, Shim

CALLS = {
    *("openat", "open", "creat", "write", "pwrite64", "writev", "pwritev", "pwritev2"),
    *("copy_file_range", "splice", "fsync", "fdatasync", "sync_file_range", "msync", "syncfs"),
    *("ftruncate", "truncate", "rename", "renameat", "renameat2", "unlink", "unlinkat", "rmdir"),
    *("link", "linkat", "symlink", "mkdir", "mkdirat", "fallocate"),
}


def changes(trace: Path, folder: Path) -> list[str]:
    """The traced calls that the shim is to count. -y names the file of each descriptor."""
    out = []
    for line in trace.read_text(errors="replace").splitlines():
        call = re.match(r"\d+ +(\w+)\((.*)", line)
        if call is None or str(folder) not in call[2]:
            continue
        if call[1].startswith("open") and not re.search(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC", line):
            continue
        out.append(line)
    return out


def test_strace_counts_the_same(new_server: NewServer, tmp_path: Path) -> None:
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("no strace")
    server = new_server()
    trace = tmp_path / "trace"
    shim = Shim(server.data, tmp_path / "control")
    shim.count(CHANGES)
    names = ",".join(sorted(CALLS))
    server.process.argv = [
        *(strace, "-f", "-y", "-s", "0", "-o", str(trace), "-e", f"trace={names}"),
        *(f"-E{key}={value}" for key, value in shim.env().items()),
        *server.process.argv,
    ]
    server.start()
    Script(server).run()
    # strace passes SIGTERM on to nobody: end the broker, its child.
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text()
    for pid in children.split():
        os.kill(int(pid), signal.SIGTERM)
    assert server.process.wait(20) == 0
    found = changes(trace, server.data)
    assert len(found) == shim.calls, f"strace saw {len(found)}, the shim {shim.calls}"

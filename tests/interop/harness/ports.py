# SPDX-License-Identifier: Apache-2.0
"""Free loopback ports, below the kernel's ephemeral range: no outgoing connection takes one.

A broker that is down for a moment wants its port back, so a port that nobody has open may still be
another test process's. Each process takes ports from blocks that it alone has, by locks that end
with it.
"""

import fcntl
import os
import socket
import tempfile
from pathlib import Path

LOW, BLOCK, BLOCKS = 12000, 500, 40
_held: list[int] = []  # the locks' descriptors: closing one gives its block away
_ports: list[int] = []  # of the blocks so far; the one that was not given for longest is first


def _take_block() -> None:
    folder = Path(tempfile.gettempdir()) / f"farshore-test-ports-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    for i in range(BLOCKS):
        number = (os.getpid() + i) % BLOCKS
        lock = os.open(folder / str(number), os.O_RDONLY | os.O_CREAT, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            continue
        _held.append(lock)
        _ports[:0] = range(LOW + number * BLOCK, LOW + (number + 1) * BLOCK)
        return
    raise RuntimeError(f"every block of ports is taken; the locks are in {folder}")


def free_port() -> int:
    """A port that nobody has, and that this process did not give for a long while."""
    if not _held:
        _take_block()
    for _ in range(2):
        for _ in range(len(_ports)):
            port = _ports.pop(0)
            _ports.append(port)
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
                return port
        _take_block()
    raise RuntimeError("no free port")

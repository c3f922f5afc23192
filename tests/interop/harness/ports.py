# SPDX-License-Identifier: Apache-2.0
"""Free loopback ports, below the kernel's ephemeral range: no outgoing connection takes one."""

import itertools
import os
import socket

LOW, HIGH = 12000, 32000
_next = itertools.cycle(range(LOW + (os.getpid() * 97) % (HIGH - LOW), HIGH))


def free_port() -> int:
    for _ in range(HIGH - LOW):
        port = next(_next)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port")

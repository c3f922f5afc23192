# SPDX-License-Identifier: Apache-2.0
"""The harness itself: two test processes at once never take each other's ports."""

import subprocess
import sys

from harness import ports
from harness.paths import INTEROP

TAKE = """
from harness.ports import BLOCK, free_port
print(*(free_port() for _ in range(BLOCK)))
"""


def test_no_port_of_another_process() -> None:
    mine = {ports.free_port() for _ in range(ports.BLOCK)}
    done = subprocess.run(
        [sys.executable, "-c", TAKE], cwd=INTEROP, capture_output=True, text=True, check=True
    )
    theirs = {int(word) for word in done.stdout.split()}
    assert len(mine) > 1 and len(theirs) > 1
    assert mine.isdisjoint(theirs)

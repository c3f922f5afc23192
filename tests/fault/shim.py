# SPDX-License-Identifier: Apache-2.0
"""The fault shim (tests/tools/fault_shim.c) from outside: arm it, ask how far the program came."""

import mmap
import os
import struct
from enum import IntEnum
from pathlib import Path

from harness.paths import BUILD

SHIM = BUILD / "tests" / "tools" / "libfault-shim.so"
SIZE = 336


class Kind(IntEnum):
    """enum fault_kind"""

    OPEN = 0
    WRITE = 1
    SYNC = 2
    TRUNCATE = 3
    RENAME = 4
    UNLINK = 5
    LINK = 6
    MKDIR = 7
    ALLOCATE = 8
    READ = 9


class Action(IntEnum):
    """enum fault_action"""

    KILL_BEFORE = 0
    KILL_AFTER = 1
    KILL_HALF = 2
    EIO = 3
    ENOSPC = 4
    SHORT = 5


CHANGES = frozenset(Kind) - {Kind.READ}
FIELDS = {
    name: 8 * number
    for number, name in enumerate(
        [
            "calls",
            "call_at",
            "call_n",
            "action",
            "mask",
            "allocs",
            "alloc_at",
            "alloc_n",
            "fired",
            "fired_kind",
        ]
    )
}


class Shim:
    """One control file. It outlives the process, so the next one finds what is armed."""

    def __init__(self, folder: Path, control: Path):
        self.folder = folder
        self.path = control
        control.write_bytes(bytes(SIZE))
        with open(control, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), SIZE)
        self.disarm()

    def env(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(SHIM),
            "FARSHORE_FAULT_DIR": os.path.realpath(self.folder),
            "FARSHORE_FAULT_CONTROL": str(self.path),
        }

    def get(self, name: str) -> int:
        (value,) = struct.unpack_from("<Q", self.map, FIELDS[name])
        return int(value)

    def put(self, name: str, value: int) -> None:
        struct.pack_into("<Q", self.map, FIELDS[name], value)

    def count(self, kinds: frozenset[Kind] = CHANGES) -> None:
        """From now on count these calls, and do nothing."""
        self.disarm()
        self.put("calls", 0)
        self.put("mask", sum(1 << kind for kind in kinds))

    def arm(
        self, action: Action, at: int, *, times: int = 1, kinds: frozenset[Kind] = CHANGES
    ) -> None:
        """The `at`-th call from now on (1 is the next one) gets it."""
        self.count(kinds)
        self.put("action", action)
        self.put("call_n", times)
        self.put("fired", 0)
        self.put("call_at", at)

    def arm_allocation(self, at: int, times: int = 1) -> None:
        self.put("alloc_at", 0)
        self.put("allocs", 0)
        self.put("alloc_n", times)
        self.put("fired", 0)
        self.put("alloc_at", at)

    def disarm(self) -> None:
        self.put("call_at", 0)
        self.put("alloc_at", 0)

    @property
    def calls(self) -> int:
        return self.get("calls")

    @property
    def fired(self) -> int:
        return self.get("fired")

    def where(self) -> str:
        """What the last fault met."""
        path = bytes(self.map[80:SIZE]).split(b"\0")[0].decode(errors="replace")
        return f"{Kind(self.get('fired_kind')).name.lower()} {path.removeprefix(str(self.folder))}"

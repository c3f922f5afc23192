# SPDX-License-Identifier: Apache-2.0
"""A child process with a log file: started, stopped, killed, measured."""

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, TypeVar

T = TypeVar("T")
TICKS = os.sysconf("SC_CLK_TCK")


def wait_for(
    what: str, probe: Callable[[], T | None], timeout: float = 30, every: float = 0.05
) -> T:
    """Call `probe` until it returns something true; TimeoutError names `what` otherwise.

    An exception from the probe counts as "not yet"; the last one is named in the TimeoutError.
    """
    end = time.monotonic() + timeout
    last: Exception | None = None
    while True:
        try:
            last = None
            got = probe()
            if got:
                return got
        except Exception as err:  # pylint: disable=broad-except
            last = err
        if time.monotonic() >= end:
            raise TimeoutError(f"{what}: not within {timeout} s" + (f" ({last!r})" if last else ""))
        time.sleep(every)


@dataclass(frozen=True)
class Usage:
    """What a process has used so far."""

    cpu_s: float
    rss_max: int  # bytes, the high water mark


class Process:
    """One child. Its stdout and stderr go to `log`, appended over restarts."""

    def __init__(self, argv: list[str], log: Path, env: dict[str, str] | None = None):
        self.argv = argv
        self.log = log
        self.env = {**os.environ, **(env or {})}
        self.child: subprocess.Popen[bytes] | None = None
        self.started_at = 0.0

    def start(self) -> None:
        assert not self.running()
        with open(self.log, "ab") as out:
            self.started_at = time.monotonic()
            self.child = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=self.env,
            )

    def running(self) -> bool:
        return self.child is not None and self.child.poll() is None

    @property
    def pid(self) -> int:
        assert self.child is not None
        return self.child.pid

    def signal(self, sig: signal.Signals) -> None:
        if self.running():
            os.kill(self.pid, sig)

    def wait(self, timeout: float) -> int:
        """The exit code; subprocess.TimeoutExpired if it does not end."""
        assert self.child is not None
        return self.child.wait(timeout)

    def stop(self, timeout: float = 30) -> int:
        """SIGTERM, wait, the exit code. Killed if it does not go."""
        if self.child is None:
            return 0
        self.signal(signal.SIGTERM)
        try:
            return self.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def kill(self) -> None:
        if self.child is not None:
            self.signal(signal.SIGKILL)
            self.child.wait()

    def log_text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def log_tail(self, lines: int = 30) -> str:
        return "\n".join(self.log_text().splitlines()[-lines:])

    def usage(self) -> Usage:
        """CPU of the process and its reaped children, and its peak resident memory."""
        stat = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii", errors="replace")
        fields = stat[stat.rindex(")") + 2 :].split()
        ticks = sum(int(fields[i]) for i in (11, 12, 13, 14))  # utime stime cutime cstime
        return Usage(ticks / TICKS, self._status_bytes("VmHWM"))

    def rss(self) -> int:
        """Resident memory now, bytes."""
        return self._status_bytes("VmRSS")

    def _status_bytes(self, key: str) -> int:
        with open(f"/proc/{self.pid}/status", encoding="ascii", errors="replace") as status:
            for line in status:
                if line.startswith(key + ":"):
                    return int(line.split()[1]) * 1024
        raise ValueError(f"no {key} for pid {self.pid}")

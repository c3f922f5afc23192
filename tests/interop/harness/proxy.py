# SPDX-License-Identifier: Apache-2.0
"""The misbehaving TCP proxy (tests/tools/tcp_proxy.c) and words for its commands."""

import subprocess
from dataclasses import dataclass

from .broker import Broker
from .paths import PROXY

PRODUCE, FETCH = 0, 1


@dataclass(frozen=True)
class Stats:
    """Since the proxy started."""

    connections: int
    flips: int
    to_broker: int
    to_client: int


class Proxy:
    """Stands before one broker's PROXIED listener, at the port that this listener advertises."""

    def __init__(self, broker: Broker):
        argv = [str(PROXY), str(broker.proxy_port), str(broker.ports["PROXIED"])]
        self.child = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._answer() == "ready"

    def __enter__(self) -> "Proxy":
        return self

    def __exit__(self, *_rest: object) -> None:
        self.close()

    def close(self) -> None:
        assert self.child.stdin is not None and self.child.stdout is not None
        self.child.stdin.close()
        self.child.wait(10)
        self.child.stdout.close()

    def delay(self, each_way_ms: int) -> None:
        self._command(f"delay {each_way_ms}")

    def rate(self, bytes_per_second: int) -> None:
        self._command(f"rate {bytes_per_second}")

    def shred(self, segment_bytes: int) -> None:
        self._command(f"shred {segment_bytes}")

    def stall(self, on: bool) -> None:
        self._command(f"stall {int(on)}")

    def refuse(self, on: bool) -> None:
        self._command(f"refuse {int(on)}")

    def cut(self) -> None:
        self._command("cut")

    def flip(self, api: int, min_bytes: int, count: int) -> None:
        """One bit in the middle of the next `count` Produce requests or Fetch answers."""
        self._command(f"flip {api} {min_bytes} {count}")

    def stats(self) -> Stats:
        return Stats(*map(int, self._command("stats").split()))

    def _command(self, line: str) -> str:
        assert self.child.stdin is not None
        self.child.stdin.write(line + "\n")
        self.child.stdin.flush()
        word, _, rest = self._answer().partition(" ")
        assert word == "ok", f"{line}: {word} {rest}"
        return rest

    def _answer(self) -> str:
        assert self.child.stdout is not None
        return self.child.stdout.readline().strip()

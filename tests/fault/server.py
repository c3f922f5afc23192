# SPDX-License-Identifier: Apache-2.0
"""One farshore-broker on loopback: started in milliseconds, killed, started again."""

import signal
import time
from pathlib import Path

from harness.paths import BROKER
from harness.ports import free_port
from harness.process import Process

from raw import API_VERSIONS, Connection

# Periodic work comes soon, so that it falls into a test.
QUICK = {
    "offsets.topic.num.partitions": "1",
    "group.initial.rebalance.delay.ms": "0",
    "log.retention.check.interval.ms": "100",
    "log.cleaner.backoff.ms": "100",
}
START_S = 20


class Server:
    """Its folder, port and log file outlive restarts."""

    def __init__(self, folder: Path, **settings: str):
        """Settings take "_" for "."."""
        folder.mkdir(parents=True, exist_ok=True)
        self.data = folder / "data"
        self.port = free_port()
        chosen = {**QUICK, **{key.replace("_", "."): value for key, value in settings.items()}}
        argv = [str(BROKER), "--data", str(self.data), "--listen", f"127.0.0.1:{self.port}"]
        for key, value in chosen.items():
            argv += ["--set", f"{key}={value}"]
        self.process = Process(argv, folder / "broker.log")
        self.plain_env = dict(self.process.env)

    def launch(self, env: dict[str, str] | None = None) -> None:
        """Start and do not wait."""
        self.process.env = {**self.plain_env, **(env or {})}
        self.process.start()

    def start(self, env: dict[str, str] | None = None) -> "Server":
        self.launch(env)
        self.wait_ready()
        return self

    def wait_ready(self) -> None:
        """Until it answers; RuntimeError when it ended instead."""
        end = time.monotonic() + START_S
        while True:
            try:
                with Connection(self.port, 5) as c:
                    c.call(API_VERSIONS, {"ClientSoftwareName": "t", "ClientSoftwareVersion": "1"})
                    return
            except OSError:
                pass
            if not self.process.running():
                raise RuntimeError(f"ended with {self.code()}:\n{self.process.log_tail()}")
            assert time.monotonic() < end, f"does not answer:\n{self.process.log_tail()}"
            time.sleep(0.002)

    def connect(self, timeout: float = 10) -> Connection:
        return Connection(self.port, timeout)

    def code(self) -> int:
        """The exit code of a process that ended."""
        return self.process.wait(10)

    def stop(self) -> None:
        """A clean stop, which must succeed."""
        code = self.process.stop(20)
        assert code == 0, f"exit code {code}:\n{self.process.log_tail()}"

    def kill(self) -> None:
        self.process.kill()

    def freeze(self) -> None:
        self.process.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.signal(signal.SIGCONT)

    def spent(self, over_s: float) -> tuple[float, int]:
        """What its threads spend from now on for so long: CPU-seconds, to the nanosecond (ticks of
        10 ms are too coarse for a broker that idles), and how often one of them woke up."""
        before = self._spent()
        time.sleep(over_s)
        cpu_ns, wakes = (now - then for now, then in zip(self._spent(), before, strict=True))
        return cpu_ns / 1e9, wakes

    def _spent(self) -> tuple[int, int]:
        cpu_ns = wakes = 0
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            cpu_ns += int((task / "schedstat").read_text(encoding="ascii").split()[0])
            status = (task / "status").read_text(encoding="ascii", errors="replace")
            wakes += int(status.split("\nvoluntary_ctxt_switches:")[1].split()[0])
        return cpu_ns, wakes

    def memory(self) -> int:
        """Private memory now, bytes: what mapped files take does not count."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii", errors="replace") as status:
            for line in status:
                if line.startswith("RssAnon:"):
                    return int(line.split()[1]) * 1024
        raise ValueError("no RssAnon")

    def crashed(self) -> bool:
        """Ended by a signal that nobody sent, or by a sanitizer."""
        if self.process.running():
            return False
        code = self.code()
        return (code < 0 and code != -signal.SIGKILL) or "Sanitizer" in self.process.log_text()

# SPDX-License-Identifier: Apache-2.0
"""The Kafka jars (fetched once by Maven into the cache folder) and the command line of a JVM."""

import atexit
import fcntl
import hashlib
import json
import select
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import IO, Any

from .paths import CACHE, INTEROP

POM = INTEROP / "pom.xml"
SOURCES = INTEROP / "java"
LOG4J = INTEROP / "log4j2.properties"

# Tests start JVMs often and run them briefly: the first compiler alone and the smallest collector.
QUICK_FLAGS = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xss512k", "-XX:-UsePerfData"]


def jars() -> Path:
    """The folder of jars, filled on first use and whenever pom.xml changes."""
    want = hashlib.sha256(POM.read_bytes()).hexdigest()[:16]
    folder = CACHE / "jars"
    stamp = folder / f"{want}.stamp"
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "jars.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists():
            shutil.rmtree(folder, ignore_errors=True)
            subprocess.run(
                [
                    "mvn",
                    "-q",
                    "-B",
                    "-f",
                    str(POM),
                    "dependency:copy-dependencies",
                    f"-DoutputDirectory={folder}",
                    "-DincludeScope=runtime",
                ],
                check=True,
                stdin=subprocess.DEVNULL,
            )
            stamp.touch()
    return folder


def classes() -> Path:
    """The folder of the tests' own classes, compiled on first use and whenever they change."""
    sources = sorted(SOURCES.glob("*.java"))
    want = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]
    folder = CACHE / "classes" / want
    path = f"{jars()}/*"
    with open(CACHE / "classes.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            # Those of other versions stay: a program of one may be running.
            made = Path(tempfile.mkdtemp(dir=CACHE))
            subprocess.run(
                ["javac", "-proc:none", "-cp", path, "-d", str(made), *map(str, sources)],
                check=True,
                stdin=subprocess.DEVNULL,
            )
            folder.parent.mkdir(exist_ok=True)
            made.rename(folder)
    return folder


def command(
    main: str, *args: str, heap: str = "-Xmx384m", flags: list[str] | None = None
) -> list[str]:
    """The argument vector that runs `main` with every Kafka jar on its class path."""
    flags = QUICK_FLAGS if flags is None else flags
    return [
        "java",
        heap,
        *flags,
        f"-Dlog4j2.configurationFile={LOG4J}",
        "-Djava.awt.headless=true",
        "-cp",
        f"{jars()}/*",
        main,
        *args,
    ]


def own_command(main: str, *args: str) -> list[str]:
    """The same for one of the tests' own classes; its log goes to stderr."""
    words = command(main, *args)
    words[words.index("-cp") + 1] += f":{classes()}"
    words.insert(1, "-Dtests.log=SYSTEM_ERR")
    return words


class Answering:
    """One of the tests' own classes as a child that answers questions until the tests end: a JVM
    takes seconds to come up, and its classes as long to load."""

    def __init__(self, main: str):
        self.main = main
        self.log: IO[bytes] = tempfile.TemporaryFile()
        self.child: subprocess.Popen[bytes] | None = None

    def ask(self, *words: str, timeout: float = 120) -> Any:
        """What the class found; AssertionError with what it says if it failed."""
        if self.child is None or self.child.poll() is not None:
            self._start()
        child = self.child
        assert child is not None and child.stdin is not None and child.stdout is not None
        child.stdin.write(json.dumps(words).encode() + b"\n")
        child.stdin.flush()
        ready, _, _ = select.select([child.stdout], [], [], timeout)
        line = child.stdout.readline() if ready else b""
        if not line:
            self.stop()
            self.log.seek(0)
            raise AssertionError(f"{self.main} {words[0]}: {self.log.read()[-4000:].decode()}")
        answer = json.loads(line)
        assert "error" not in answer, answer["error"]
        return answer["found"]

    def _start(self) -> None:
        self.child = subprocess.Popen(
            own_command(self.main),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
        )
        atexit.register(self.stop)

    def stop(self) -> None:
        if self.child is not None:
            self.child.kill()
            self.child.wait()
            self.child = None

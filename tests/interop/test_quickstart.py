# SPDX-License-Identifier: Apache-2.0
"""ops/quickstart, with the programs that are built: what it promises, and that nothing stays."""

import os
import re
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.paths import BUILD, ROOT
from harness.ports import free_port
from harness.process import Process, wait_for

SCRIPT = ROOT / "ops" / "quickstart"
PORTS = ("EAST_PORT", "EAST_HTTP", "WEST_PORT", "WEST_HTTP", "MIRROR_HTTP")


@pytest.fixture(name="place")
def _place(tmp_path: Path) -> dict[str, str]:
    """Ports and a folder for temporary files that nobody else uses."""
    (tmp_path / "tmp").mkdir()
    ports = {name: str(free_port()) for name in PORTS}
    return {**ports, "TMPDIR": str(tmp_path / "tmp"), "FARSHORE_BUILD": str(BUILD)}


@pytest.fixture(name="demo")
def _demo(place: dict[str, str], tmp_path: Path) -> Iterator[Process]:
    # A shell cannot trap what was ignored when it began, as Ctrl-C is for jobs in the background.
    command = ["env", "--default-signal=INT", str(SCRIPT)]
    process = Process(command, tmp_path / "quickstart.log", env=place)
    process.start()
    yield process
    if process.running():
        process.stop()


def quickstart(place: dict[str, str], *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SCRIPT, *args],
        env={**os.environ, **place},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def left_over(place: dict[str, str]) -> list[str]:
    """Files, and processes: what is started inherits the folder's name."""
    folder = place["TMPDIR"]
    found = [str(path) for path in Path(folder).iterdir()]
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if f"TMPDIR={folder}".encode() in (entry / "environ").read_bytes():
                found.append((entry / "cmdline").read_text(errors="replace"))
        except OSError:
            continue
    return found


def test_check(place: dict[str, str]) -> None:
    """Records flow both ways, the group's position is seen, and all is gone after it."""
    done = quickstart(place, "--check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("\nverified: ") == 4 and done.stdout.endswith("== all verified\n")
    assert not left_over(place)


def test_interrupt(place: dict[str, str], demo: Process) -> None:
    """It says what to open; Ctrl-C ends it and leaves nothing."""
    wait_for("it runs", lambda: "Ctrl-C ends" in demo.log_text(), timeout=60)
    text = demo.log_text()
    pages = re.findall(r"http://127\.0\.0\.1:\d+/\S*", text)
    assert len(pages) >= 3, text
    for page in pages:
        with urllib.request.urlopen(page, timeout=5) as answer:
            assert answer.status == 200
    assert left_over(place)
    demo.signal(signal.SIGINT)
    assert demo.wait(30) == 130
    assert not left_over(place)


@pytest.mark.parametrize("port", ("abc", "0", "70000", "taken", "twice"))
def test_ports(place: dict[str, str], port: str) -> None:
    """A port that cannot be used is one line, before anything is done."""
    if port == "twice":
        place["WEST_PORT"] = place["EAST_PORT"]
    elif port != "taken":
        place["WEST_PORT"] = port
    with socket.socket() as other:
        if port == "taken":
            other.bind(("127.0.0.1", int(place["WEST_HTTP"])))
            other.listen()
        done = quickstart(place, "--check")
    assert done.returncode == 1 and not done.stdout
    (line,) = done.stderr.splitlines()
    assert ("WEST_HTTP" if port == "taken" else "WEST_PORT") in line, line

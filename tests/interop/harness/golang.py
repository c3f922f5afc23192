# SPDX-License-Identifier: Apache-2.0
"""franz-go: the program of go/main.go, built once into the cache folder.

franz-go asks for a newer Go than Debian 12 has. Where the installed one is too old, a newer one is
fetched in the way that Go itself does it since 1.21: as the module golang.org/toolchain, checked
against the checksum database like every module.
"""

import fcntl
import hashlib
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

from .paths import CACHE, INTEROP

SOURCES = INTEROP / "go"
TOOLCHAIN = "1.26.8"
ENV = {
    **os.environ,
    "GOMODCACHE": str(CACHE / "go" / "modules"),
    "GOCACHE": str(CACHE / "go" / "build"),
    "GOTOOLCHAIN": "local",
    "GOFLAGS": "-modcacherw",
    "CGO_ENABLED": "0",
}


def _go(*args: str, go: str = "go") -> str:
    return subprocess.run(
        [go, *args], cwd=SOURCES, env=ENV, check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)))


def _go_command() -> str:
    """The installed Go, or a newer one beside it."""
    match = re.search(r"go(\d+\.\d+(?:\.\d+)?)", _go("version"))
    wanted = re.search(r"^go (\S+)$", (SOURCES / "go.mod").read_text(), re.M)
    assert match and wanted
    if _numbers(match[1]) >= _numbers(wanted[1]):
        return "go"
    host = f"{_go('env', 'GOOS').strip()}-{_go('env', 'GOARCH').strip()}"
    module = f"golang.org/toolchain@v0.0.1-go{TOOLCHAIN}.{host}"
    fetched = subprocess.run(
        ["go", "mod", "download", "-json", module],
        cwd=CACHE,
        env=ENV,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    folder = Path(json.loads(fetched.stdout)["Dir"])
    for tools in (folder / "bin", folder / "pkg" / "tool" / host.replace("-", "_")):
        for tool in tools.iterdir():
            tool.chmod(0o755)  # modules' files come without the x
    return str(folder / "bin" / "go")


def program() -> Path:
    """Built on first use and whenever its sources change."""
    parts = [(SOURCES / name).read_bytes() for name in ("main.go", "go.mod", "go.sum")]
    want = hashlib.sha256(b"".join(parts)).hexdigest()[:16]
    made = CACHE / "go" / f"clients-{want}"
    made.parent.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "go.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            _go("build", "-buildvcs=false", "-o", str(made), ".", go=_go_command())
    return made


def scenario(name: str, address: str, topic: str, *words: str) -> Any:
    """Run one of go/main.go; what it found."""
    done = subprocess.run(
        [str(program()), name, address, topic, *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{name} ended with {done.returncode}: {done.stdout}{done.stderr}"
    return json.loads(done.stdout)

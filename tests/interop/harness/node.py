# SPDX-License-Identifier: Apache-2.0
"""kafkajs, fetched once by npm into the cache folder, and programs that use it."""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from .paths import CACHE, INTEROP

SOURCES = INTEROP / "node"


def modules() -> Path:
    """The folder node_modules, filled on first use and whenever the lock file changes."""
    want = hashlib.sha256((SOURCES / "package-lock.json").read_bytes()).hexdigest()[:16]
    folder = CACHE / "node"
    stamp = folder / f"{want}.stamp"
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "node.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            for name in ("package.json", "package-lock.json"):
                shutil.copy(SOURCES / name, folder)
            subprocess.run(
                ["npm", "ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"],
                cwd=folder,
                check=True,
                stdin=subprocess.DEVNULL,
            )
            stamp.touch()
    return folder / "node_modules"


def scenario(name: str, **asked: Any) -> Any:
    """Run one of node/clients.js; what it found."""
    done = subprocess.run(
        ["node", str(SOURCES / "clients.js"), name, json.dumps(asked)],
        env={**os.environ, "NODE_PATH": str(modules()), "KAFKAJS_NO_PARTITIONER_WARNING": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{name} ended with {done.returncode}: {done.stdout}{done.stderr}"
    return json.loads(done.stdout)

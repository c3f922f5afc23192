# SPDX-License-Identifier: Apache-2.0
"""Where things are. Environment variables override; nothing else in the harness knows a path."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
INTEROP = ROOT / "tests" / "interop"
CACHE = Path(os.environ.get("FARSHORE_CACHE", ROOT / ".cache"))
BUILD = Path(os.environ.get("FARSHORE_BUILD", ROOT / "build" / "release"))
MIRROR = Path(os.environ.get("FARSHORE_MIRROR", BUILD / "mirror" / "farshore-mirror"))
PROXY = Path(os.environ.get("FARSHORE_PROXY", BUILD / "tests" / "tools" / "tcp-proxy"))
BROKER = Path(os.environ.get("FARSHORE_BROKER", BUILD / "cluster" / "farshore-broker"))
FARSHORE = Path(os.environ.get("FARSHORE_COMMAND", BUILD / "tools" / "farshore"))

# SPDX-License-Identifier: Apache-2.0
"""What the fault tests share: a broker in the test's folder, and how much is to be tried."""

import os
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from harness.paths import BROKER
from server import Server
from shim import SHIM

LONG = os.environ.get("FARSHORE_LONG", "") not in ("", "0")


class NewServer(Protocol):
    """Makes a broker, not started, that is killed when the test is over."""

    def __call__(self, name: str = "broker", **settings: str) -> Server: ...


@pytest.fixture
def new_server(tmp_path: Path) -> Iterator[NewServer]:
    made: list[Server] = []

    def make(name: str = "broker", **settings: str) -> Server:
        made.append(Server(tmp_path / name, **settings))
        return made[-1]

    yield make
    for server in made:
        server.kill()
    shutil.rmtree(tmp_path, ignore_errors=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows the end of the broker's log."""
    report = yield
    folder = getattr(item, "funcargs", {}).get("tmp_path")
    if report.failed and folder is not None:
        for log in sorted(folder.glob("*/broker.log"))[:3]:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-30:])
            report.sections.append((str(log.parent.name), tail))
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("long") and not LONG:
            item.add_marker(pytest.mark.skip(reason="only with FARSHORE_LONG=1"))


def pytest_configure() -> None:
    for program in (BROKER, SHIM):
        if not program.exists():
            raise pytest.UsageError(f"{program} is not built; ops/test builds it")

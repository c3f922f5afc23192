# SPDX-License-Identifier: Apache-2.0
"""Allocations that fail (F20): an error or a closed connection, never a crash, and what was
acknowledged stays."""

import shutil
from pathlib import Path

from conftest import NewServer
from script import GROUP, ORDERED, Died, Script, check_after
from shim import Shim
from sweep import points, sweep
from test_disk import assert_clear_end

NEVER = 1 << 60
SOME = 24
AT_START = 20


def test_fail_allocations_at_work(new_server: NewServer, tmp_path: Path) -> None:
    """One allocation, or from every fourth point on twenty in a row."""
    server = new_server("count")
    shim = Shim(server.data, tmp_path / "count.control")
    server.start(shim.env())
    shim.arm_allocation(NEVER)
    Script(server).run()
    total = shim.get("allocs")
    server.kill()

    def one(number: int) -> None:
        broker = new_server(f"at{number}")
        shim = Shim(broker.data, tmp_path / "control")
        broker.start(shim.env())
        shim.arm_allocation(number, 20 if number % 4 == 0 else 1)
        script = Script(broker, tolerant=True)
        try:
            script.run()
        except Died as err:
            raise AssertionError(
                f"exit code {broker.code()}:\n{broker.process.log_tail()}"
            ) from err
        shim.disarm()
        with broker.connect() as c:
            script.model.check(c, GROUP, ORDERED)
        broker.kill()
        broker.start()
        check_after(script)
        broker.kill()
        shutil.rmtree(broker.data.parent)

    sweep(points(min(total, 20_000), SOME), one)


def test_fail_allocations_at_the_start(new_server: NewServer, tmp_path: Path) -> None:
    """It starts all the same or says why not; the data are untouched."""
    server = new_server()
    shim = Shim(server.data, tmp_path / "control")
    server.start()
    script = Script(server)
    script.run()
    server.kill()
    shim.arm_allocation(NEVER)
    server.start(shim.env())
    total = shim.get("allocs")
    server.kill()

    def one(number: int) -> None:
        shim.arm_allocation(number)
        server.launch(shim.env())
        try:
            server.wait_ready()
            server.kill()
        except RuntimeError:
            assert_clear_end(server)

    sweep(points(min(total, 20_000), AT_START), one)
    server.start()
    check_after(script)

# SPDX-License-Identifier: Apache-2.0
"""kill -9 at every disk call of the script (F1: B1, B3, B4, B11, B14, B15, B16, B18).

The shim ends the broker before the Nth call that changes the disk, after it, or in the middle of
it. Then it starts again without harm, and what it had acknowledged must be there, once and in
order.
"""

import shutil
import signal
from pathlib import Path

import pytest

from conftest import NewServer
from script import Died, Script, check_after
from server import Server
from shim import Action, Shim
from sweep import points, sweep

ACTIONS = [Action.KILL_BEFORE, Action.KILL_HALF, Action.KILL_AFTER]
SOME = 60


def run_until_killed(server: Server, shim: Shim) -> Script:
    """The script, then a clean stop, with whatever is armed."""
    script = Script(server)
    server.launch(shim.env())
    try:
        server.wait_ready()
        script.run()
        server.process.stop(20)
    except (Died, RuntimeError):
        pass
    code = server.code()
    assert code == (-signal.SIGKILL if shim.fired else 0), (
        f"exit code {code}:\n{server.process.log_tail()}"
    )
    return script


def count_calls(new_server: NewServer, tmp_path: Path, **settings: str) -> int:
    server = new_server("count", **settings)
    shim = Shim(server.data, tmp_path / "count.control")
    shim.count()
    script = run_until_killed(server, shim)
    assert script.cleaned, "the script saw no compaction or no retention: it tests too little"
    assert shim.calls > 50, "the shim does not see what the broker writes"
    return shim.calls


@pytest.mark.parametrize("fsync", ["always", "never"])
def test_kill_at_every_call(new_server: NewServer, tmp_path: Path, fsync: str) -> None:
    """With `never` a killed process loses nothing either: the system has its bytes."""
    total = count_calls(new_server, tmp_path, log_fsync=fsync)

    def one(number: int) -> None:
        server = new_server(f"at{number}", log_fsync=fsync)
        shim = Shim(server.data, tmp_path / "control")
        shim.arm(ACTIONS[number % 3], number)
        script = run_until_killed(server, shim)
        where = shim.where() if shim.fired else "past the end"
        if number % 5 == 0:
            # Once more while it recovers.
            shim.arm(ACTIONS[number % 2], 1 + number // 5 % 25)
            server.launch(shim.env())
            try:
                server.wait_ready()
            except RuntimeError:
                pass
            server.kill()
            where += ", then " + (shim.where() if shim.fired else "later")
        try:
            server.start()
            check_after(script)
            if number % 4 == 0:
                server.stop()
            else:
                server.kill()
            server.start()
            check_after(script)
        except Exception as err:
            raise AssertionError(f"killed at {where}: {err}") from err
        server.kill()
        said = server.process.log_text()
        assert "event=checkpoint_missing" not in said, f"killed at {where}: a loss that was none"
        shutil.rmtree(server.data.parent)

    sweep(points(total, SOME if fsync == "always" else SOME // 3), one)


def test_many_crashes_in_a_row(new_server: NewServer) -> None:
    """The same data through crash after crash, each with new work before it."""
    server = new_server().start()
    script = Script(server)
    script.run()
    for _ in range(8):
        server.kill()
        server.start()
        check_after(script)
    server.stop()
    server.start()
    check_after(script)
    assert "level=error" not in server.process.log_text(), "a kill damages nothing"

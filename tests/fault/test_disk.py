# SPDX-License-Identifier: Apache-2.0
"""Disk calls that fail (F15, F16): the write is refused or repeated, reads go on, nothing that was
acknowledged is lost, and a sync that failed acknowledges nothing."""

import shutil
import signal
import time
from pathlib import Path

import pytest

from conftest import NewServer
from raw import NONE, STORAGE_ERROR, Connection, Refused, batch
from script import Died, Script, check_after
from server import Server
from shim import CHANGES, Action, Kind, Shim
from sweep import points, sweep

SWEEPS = {
    "any": (CHANGES, 24),
    "names": (frozenset({Kind.RENAME, Kind.UNLINK, Kind.LINK}), 24),
}
FOREVER = 1 << 60
WHERE = ("t", 0)


def assert_clear_end(server: Server) -> None:
    """It gave up by itself and says why."""
    code = server.code()
    assert code > 0, f"exit code {code}:\n{server.process.log_tail()}"
    last = server.process.log_tail(3)
    clear = "level=error" in last or "farshore-broker: " in last
    assert clear, f"exit code {code} without a reason:\n{server.process.log_tail()}"


def count_calls(new_server: NewServer, tmp_path: Path, kinds: frozenset[Kind]) -> int:
    server = new_server("count")
    shim = Shim(server.data, tmp_path / "count.control")
    shim.count(kinds)
    server.start(shim.env())
    Script(server).run()
    server.stop()
    return shim.calls


@pytest.mark.parametrize("name", SWEEPS)
def test_fail_every_call(new_server: NewServer, tmp_path: Path, name: str) -> None:
    """One call fails, the next one works again. Short writes, which are no error, too. Calls that
    put files in their place are few and have a sweep of their own."""
    kinds, some = SWEEPS[name]
    total = count_calls(new_server, tmp_path, kinds)
    actions = [Action.EIO, Action.ENOSPC, Action.SHORT]

    def one(number: int) -> None:
        server = new_server(f"at{number}")
        shim = Shim(server.data, tmp_path / "control")
        action = actions[number % 3]
        shim.arm(action, number, kinds=kinds)
        script = Script(server, tolerant=action != Action.SHORT)
        server.launch(shim.env())
        try:
            server.wait_ready()
            script.run()
            # How many calls there are depends on time, too: the look at it all is to meet none.
            shim.disarm()
            with server.connect() as c:
                script.model.check(c, "readers", ("ordered", 0))
        except (Died, RuntimeError):
            assert action != Action.SHORT, "a short write is no reason to end"
            assert_clear_end(server)
        except Exception as err:
            raise AssertionError(f"{action.name} at {shim.where()}: {err}") from err
        where = f"{action.name} at {shim.where()}" if shim.fired else "past the end"
        server.kill()
        try:
            server.start()
            check_after(script)
        except Exception as err:
            raise AssertionError(f"{where}: {err}") from err
        server.kill()
        shutil.rmtree(server.data.parent)

    sweep(points(total, some), one)


def produce_code(c: Connection, value: bytes) -> int:
    try:
        c.produce(WHERE, batch([(None, value)]))
    except Refused as err:
        return err.code
    return NONE


def until_accepted(c: Connection, value: bytes, patience: float = 10) -> None:
    end = time.monotonic() + patience
    while produce_code(c, value) != NONE:
        assert time.monotonic() < end, "does not recover"
        time.sleep(0.1)


@pytest.mark.parametrize("action", [Action.EIO, Action.ENOSPC])
@pytest.mark.parametrize("kind", [Kind.WRITE, Kind.SYNC, Kind.ALLOCATE])
def test_no_write_works_for_a_while(
    new_server: NewServer, tmp_path: Path, action: Action, kind: Kind
) -> None:
    server = new_server()
    shim = Shim(server.data, tmp_path / "control")
    server.start(shim.env())
    with server.connect() as c:
        c.create_topic("t")
        for number in range(3):
            c.produce(WHERE, batch([(None, b"before %d" % number)]))
        shim.arm(action, 1, times=FOREVER, kinds=frozenset({kind}))
        codes = {produce_code(c, b"during") for _ in range(5)}
        if shim.fired:
            assert codes == {STORAGE_ERROR}, codes
        seen, _ = c.read_all(WHERE)
        assert [s.value for s in seen][:3] == [b"before %d" % n for n in range(3)]
        assert b"during" not in [s.value for s in seen] or not shim.fired, "read, but refused"
        shim.disarm()
        until_accepted(c, b"after")
    server.kill()
    server.start()
    with server.connect() as c:
        values = [s.value for s in c.read_all(WHERE)[0]]
    assert values[:3] == [b"before %d" % n for n in range(3)]
    assert values[-1] == b"after" and values.count(b"after") == 1


def test_a_failed_sync_acknowledges_nothing(new_server: NewServer, tmp_path: Path) -> None:
    """The next sync succeeds, as Linux has it after an error: the pages are lost all the same. The
    refused record may stay or go, but it was not acknowledged, and later ones are on their own."""
    server = new_server()
    shim = Shim(server.data, tmp_path / "control")
    server.start(shim.env())
    with server.connect() as c:
        c.create_topic("t")
        c.produce(WHERE, batch([(None, b"first")]))
        shim.arm(Action.EIO, 1, kinds=frozenset({Kind.SYNC}))
        for number in range(4):
            c.send_batch(WHERE, batch([(None, b"together %d" % number)]))
        codes = []
        for _ in range(4):
            try:
                c.receive_offset()
                codes.append(NONE)
            except Refused as err:
                codes.append(err.code)
        assert shim.fired == 1, "the broker does not sync what it acknowledges"
        assert codes[0] == STORAGE_ERROR, codes
        until_accepted(c, b"last")
        values = [s.value for s in c.read_all(WHERE)[0]]
        for number, code in enumerate(codes):
            if code == NONE:
                assert values.count(b"together %d" % number) == 1
        assert values[0] == b"first" and values[-1] == b"last"
    assert "level=error" in server.process.log_text() or "level=warn" in server.process.log_text()


def test_reads_that_fail(new_server: NewServer, tmp_path: Path) -> None:
    """They are an error to the reader, or the end of its connection; the next one works."""
    server = new_server()
    shim = Shim(server.data, tmp_path / "control")
    server.start(shim.env())
    values = [b"%d" % number * 100 for number in range(50)]
    with server.connect() as c:
        c.create_topic("t")
        for value in values:
            c.produce(WHERE, batch([(None, value)]))
    for number in range(1, 12):
        shim.arm(Action.EIO, number, kinds=frozenset({Kind.READ}))
        try:
            with server.connect() as c:
                found = [s.value for s in c.read_all(WHERE)[0]]
                assert found == values
        except Refused as err:
            assert err.code == STORAGE_ERROR, err
        except ConnectionError:
            pass
        shim.disarm()
        with server.connect() as c:
            assert [s.value for s in c.read_all(WHERE)[0]] == values
            c.produce(WHERE, batch([(None, b"%d" % number)]))
            values.append(b"%d" % number)
    assert server.process.running()


def test_no_more_files_can_be_opened(new_server: NewServer, tmp_path: Path) -> None:
    """F21: opening a file for writing fails with ENOSPC for a while: topics are refused, others go
    on, and it passes."""
    server = new_server()
    shim = Shim(server.data, tmp_path / "control")
    server.start(shim.env())
    with server.connect() as c:
        c.create_topic("t")
        c.produce(WHERE, batch([(None, b"1")]))
        shim.arm(Action.ENOSPC, 1, times=FOREVER, kinds=frozenset({Kind.OPEN, Kind.MKDIR}))
        try:
            c.create_topic("new")
        except Refused:
            pass
        assert [s.value for s in c.read_all(WHERE)[0]] == [b"1"]
        shim.disarm()
        until_accepted(c, b"2")
        end = time.monotonic() + 10
        while c.topics().get("newer") != 1:
            assert time.monotonic() < end, "no topic can be made any more"
            try:
                c.create_topic("newer")
            except Refused:
                time.sleep(0.1)
        c.produce(("newer", 0), batch([(None, b"1")]))
    server.process.signal(signal.SIGTERM)
    assert server.process.wait(20) == 0

# SPDX-License-Identifier: Apache-2.0
"""Peers that are slow, silent, gone or too many (F2, F8, F10, F21): the others must not notice."""

import os
import resource
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from conftest import LONG, NewServer
from harness.process import wait_for
from raw import API_VERSIONS, FETCH, METADATA, PRODUCE, Connection, Refused, batch, request
from server import Server

WHERE = ("t", 0)
MIB = 1 << 20
HEALTHY_S = 1.0  # for one request of a client that does nothing wrong
IDLE_CPU_S = 10e-6  # a second, for a connection that says nothing; some 0.5e-6 are used
IDLE_WAKES = 100  # a second, however many connections there are; some 10 are needed
APIS = {"ClientSoftwareName": "t", "ClientSoftwareVersion": "1"}


def frame(body: bytes) -> bytes:
    return struct.pack(">i", len(body)) + body


class Healthy:
    """A client that does nothing wrong, and how long it waits at the worst."""

    def __init__(self, server: Server):
        self.c = server.connect()
        self.count = 0
        self.worst = 0.0
        self.c.create_topic("t")

    def work(self, times: int = 20) -> None:
        for _ in range(times):
            begin = time.monotonic()
            offset = self.c.produce(WHERE, batch([(None, b"%d" % self.count)]))
            assert self.c.fetch(WHERE, offset)["Records"]
            self.count += 1
            self.worst = max(self.worst, time.monotonic() - begin)
        with self.c.__class__(self.c.sock.getpeername()[1]) as fresh:
            fresh.call(API_VERSIONS, APIS)
        assert self.worst < HEALTHY_S, f"a healthy client waited {self.worst:.2f} s"

    def finish(self) -> None:
        self.work()
        assert self.c.offset_at(WHERE, -1) == self.count


@contextmanager
def bounded_memory(server: Server, mib: int) -> Iterator[None]:
    """Private memory grows by no more, at the end and on the way (looked at by `note`)."""
    before = server.memory()
    yield
    grown = (server.memory() - before) / MIB
    assert grown < mib, f"grown by {grown:.0f} MiB"


def test_stop_and_go(new_server: NewServer) -> None:
    """F2: frozen for three seconds with requests in flight; all are answered, in order."""
    server = new_server().start()
    healthy = Healthy(server)
    with server.connect(30) as c:
        for _ in range(3):
            server.freeze()
            for number in range(50):
                c.send_batch(WHERE, batch([(None, b"%d" % number)]))
            time.sleep(1 if not LONG else 10)
            server.thaw()
            offsets = [c.receive_offset() for _ in range(50)]
            assert offsets == list(range(offsets[0], offsets[0] + 50))
            healthy.count += 50
    healthy.finish()
    server.stop()


def test_five_thousand_idle_connections(new_server: NewServer) -> None:
    """Half of them said something once. They take little, and nobody waits for them."""
    count = 5000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < count + 500:
        pytest.skip(f"needs {count + 500} open files, the limit is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        server = new_server(max_connections="6000", max_connections_per_ip="6000").start()
        healthy = Healthy(server)
        hello = frame(request(API_VERSIONS, 3, 1, APIS))
        with bounded_memory(server, 64), ExitStack() as stack:
            conns = []
            for number in range(count):
                sock = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 10))
                if number % 2:
                    sock.sendall(hello)
                conns.append(sock)
                if number % 500 == 0:
                    healthy.work(2)
            for sock in conns[1::2]:
                assert sock.recv(1), "closed for no reason"
            healthy.work(50)
            # Each look is long enough for all that is done once a second. Where others use up the
            # machine its clock charges what they took to whoever runs: one quiet look will do.
            for _ in range(5):
                cpu_s, wakes = server.spent(over_s=1)
                assert wakes < IDLE_WAKES, f"{wakes} wake-ups in a second"
                if cpu_s < IDLE_CPU_S * count:
                    break
            assert cpu_s < IDLE_CPU_S * count, f"{cpu_s:.3f} s of CPU in a second"
            healthy.work()
            with open(f"/proc/{server.process.pid}/status", encoding="ascii") as status:
                assert "VmRSS" in status.read()
            per_connection = server.memory() / count
            assert per_connection < 12 << 10, f"{per_connection:.0f} bytes each"
        healthy.finish()
        server.stop()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_more_connections_than_allowed(new_server: NewServer) -> None:
    """Beyond max.connections they are closed; those that are there go on; room is used again."""
    server = new_server(max_connections="50").start()
    healthy = Healthy(server)
    with ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 5))
        for _ in range(20):
            healthy.c.produce(WHERE, batch([(None, b"%d" % healthy.count)]))
            healthy.count += 1

    def works() -> bool:
        with server.connect(2) as c:
            c.call(API_VERSIONS, APIS)
            return True

    wait_for("a new connection", works, 10)
    healthy.finish()


def test_more_connections_than_files(new_server: NewServer) -> None:
    """F21: with 150 descriptors and 300 peers: no spin, no end, descriptors are left for the logs,
    and it passes."""
    server = new_server()
    server.process.argv = ["prlimit", "--nofile=150:150", *server.process.argv]
    server.start()
    healthy = Healthy(server)
    with ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 5))
        time.sleep(0.5)
        cpu = server.process.usage().cpu_s
        time.sleep(1)
        used = server.process.usage().cpu_s - cpu
        assert used < 0.5, f"spins without descriptors: {used:.2f} CPU-seconds in 1 s"
        healthy.c.produce(WHERE, batch([(None, b"%d" % healthy.count)]))
        healthy.count += 1
        healthy.c.create_topic("more", 5)
        healthy.c.produce(("more", 3), batch([(None, b"x")]))

    def works() -> bool:
        with server.connect(2) as c:
            c.call(API_VERSIONS, APIS)
            return True

    wait_for("a new connection", works, 10)
    healthy.finish()


def big_topic(server: Server, mib: int) -> None:
    payload = os.urandom(500_000)
    with server.connect() as c:
        c.create_topic("big")
        for _ in range(2 * mib):
            c.produce(("big", 0), batch([(None, payload)]))


def fetch_big(correlation: int) -> bytes:
    return frame(
        request(
            FETCH,
            12,
            correlation,
            {
                "MaxWaitMs": 0,
                "MinBytes": 1,
                "MaxBytes": 8 << 20,
                "SessionEpoch": -1,
                "Topics": [
                    {
                        "Topic": "big",
                        "Partitions": [
                            {"Partition": 0, "FetchOffset": 0, "PartitionMaxBytes": 8 << 20}
                        ],
                    }
                ],
            },
        )
    )


def test_readers_that_never_read(new_server: NewServer) -> None:
    """100 clients ask for 8 MiB, forty times each, and read nothing; others ask for metadata."""
    server = new_server().start()
    healthy = Healthy(server)
    big_topic(server, 16)
    ask = b"".join(fetch_big(number) for number in range(40))
    metadata = b"".join(
        frame(request(METADATA, 9, n, {"Topics": None, "AllowAutoTopicCreation": False}))
        for n in range(2000)
    )
    with bounded_memory(server, 96), ExitStack() as stack:
        for number in range(100):
            sock = stack.enter_context(socket.socket())
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(("127.0.0.1", server.port))
            sock.setblocking(False)
            try:
                sock.send(metadata if number % 2 else ask)
            except BlockingIOError:
                pass
            healthy.work(1)
        time.sleep(2)
        healthy.work()
    healthy.finish()
    server.stop()


def test_readers_are_slow_but_read(new_server: NewServer) -> None:
    """A client with a small window gets all of it, right, in the end."""
    server = new_server().start()
    healthy = Healthy(server)
    big_topic(server, 4)
    with server.connect(30) as c:
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
        for number in range(3):
            c.sock.sendall(fetch_big(number))
        for number in range(3):
            body = c.read_frame()
            assert struct.unpack_from(">i", body) == (number,)
            assert len(body) > 3 << 20
            healthy.work(5)
    healthy.finish()


def test_one_byte_a_second(new_server: NewServer) -> None:
    """300 peers that dribble a request, or announced 100 MiB and send nothing more."""
    server = new_server().start()
    healthy = Healthy(server)
    hello = frame(request(API_VERSIONS, 3, 1, APIS))
    large = struct.pack(">ihhih", 100 << 20, PRODUCE, 9, 1, -1) + b"\0"
    with bounded_memory(server, 48), ExitStack() as stack:
        conns = [
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 5))
            for _ in range(300)
        ]
        for number, sock in enumerate(conns):
            if number % 3 == 0:
                # A first valid request, then a large frame.
                sock.sendall(hello)
                sock.sendall(large)
            elif number % 3 == 1:
                sock.sendall(large)
        for at in range(60 if LONG else 5):
            for sock in conns[2::3]:
                try:
                    sock.sendall(hello[at : at + 1])
                except OSError:
                    pass  # the broker may lose patience
            healthy.work(5)
            time.sleep(1)
    healthy.finish()


def test_large_frames_before_the_first_request(new_server: NewServer) -> None:
    """Lengths that cannot be: closed at once, before anything is allocated (CVE-2022-34917)."""
    server = new_server().start()
    healthy = Healthy(server)
    lengths = [-1, -(2**31), 2**31 - 1, 0x16030100, 0x47455420, 101 << 20]
    for length in lengths:
        with socket.create_connection(("127.0.0.1", server.port), 5) as sock:
            sock.sendall(struct.pack(">i", length) + bytes(64))
            sock.settimeout(5)
            try:
                assert sock.recv(1) == b"", f"length {length} is taken"
            except ConnectionError:
                pass
    with bounded_memory(server, 32):
        healthy.finish()


def test_a_client_that_closes_its_side(new_server: NewServer) -> None:
    """F8: requests, then FIN: the answers come all the same, or the connection ends; no leak."""
    server = new_server().start()
    healthy = Healthy(server)
    ask = frame(request(METADATA, 9, 7, {"Topics": None, "AllowAutoTopicCreation": False}))
    before = len(os.listdir(f"/proc/{server.process.pid}/fd"))
    for _ in range(200):
        with socket.create_connection(("127.0.0.1", server.port), 5) as sock:
            sock.sendall(ask * 3)
            sock.shutdown(socket.SHUT_WR)
            sock.settimeout(5)
            while sock.recv(1 << 16):
                pass
    for number in range(500):
        sock = socket.create_connection(("127.0.0.1", server.port), 5)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.sendall((ask * 3)[: number % 90])
        sock.close()
    healthy.finish()

    def closed() -> bool:
        return len(os.listdir(f"/proc/{server.process.pid}/fd")) <= before + 5

    wait_for("connections to be forgotten", closed, 10)


def test_waiting_fetches_of_clients_that_are_gone(new_server: NewServer) -> None:
    """A thousand parked fetches whose clients reset: none is answered into nothing, none stays."""
    server = new_server(max_connections="3000", max_connections_per_ip="3000").start()
    healthy = Healthy(server)
    fetch = frame(
        request(
            FETCH,
            12,
            1,
            {
                "MaxWaitMs": 20000,
                "MinBytes": 1 << 20,
                "MaxBytes": 1 << 20,
                "SessionEpoch": -1,
                "Topics": [
                    {
                        "Topic": "t",
                        "Partitions": [
                            {"Partition": 0, "FetchOffset": 0, "PartitionMaxBytes": 1 << 20}
                        ],
                    }
                ],
            },
        )
    )
    with bounded_memory(server, 32):
        conns = [socket.create_connection(("127.0.0.1", server.port), 5) for _ in range(1000)]
        for sock in conns:
            sock.sendall(fetch)
        healthy.work()
        for number, sock in enumerate(conns):
            if number % 2:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
        healthy.work(50)

    def closed() -> bool:
        return len(os.listdir(f"/proc/{server.process.pid}/fd")) < 100

    wait_for("connections to be forgotten", closed, 10)
    healthy.finish()
    server.stop()


def test_too_many_requests_in_flight(new_server: NewServer) -> None:
    """A producer that sends 64 MiB without reading one answer; then it reads them all."""
    server = new_server().start()
    healthy = Healthy(server)
    payload = batch([(None, os.urandom(100_000))])
    with bounded_memory(server, 96), server.connect(30) as c:
        c.create_topic("flood")
        sent = 0
        c.sock.settimeout(2)
        try:
            for _ in range(640):
                c.send_batch(("flood", 0), payload)
                sent += 1
        except TimeoutError:
            raise AssertionError("answers of 60 bytes each stop the requests") from None
        c.sock.settimeout(30)
        offsets = [c.receive_offset() for _ in range(sent)]
        assert offsets == list(range(sent))
        healthy.work()
    healthy.finish()


def test_refuses_more_than_it_may_hold(new_server: NewServer) -> None:
    """queued.max.request.bytes holds over all connections: half-sent requests do not pile up."""
    server = new_server(queued_max_request_bytes=str(16 * MIB)).start()
    healthy = Healthy(server)
    hello = frame(request(API_VERSIONS, 3, 1, APIS))
    body = request(PRODUCE, 9, 1, {"TransactionalId": None, "Acks": -1, "TimeoutMs": 1000})
    large = struct.pack(">i", 8 * MIB) + body + bytes(4 * MIB)
    before = server.memory()
    with ExitStack() as stack:
        for _ in range(40):
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 5))
            sock.sendall(hello)
            assert sock.recv(4096)
            sock.setblocking(False)
            try:
                sock.send(large)
            except OSError:
                pass
        time.sleep(1)
        grown = server.memory() - before
        assert grown < 64 * MIB, f"grown by {grown / MIB:.0f} MiB"

    def works() -> bool:
        try:
            healthy.work(1)
        except Refused:
            return False
        return True

    wait_for("work again", works, 15)


def test_connection_reuse_after_errors(new_server: NewServer) -> None:
    """An error answer is no reason to lose the connection."""
    server = new_server().start()
    with Connection(server.port) as c:
        for _ in range(3):
            with pytest.raises(Refused):
                c.produce(("missing", 0), batch([(None, b"x")]))
            with pytest.raises(Refused):
                c.create_topic("bad/name")
        c.create_topic("t")
        assert c.produce(WHERE, batch([(None, b"x")])) == 0

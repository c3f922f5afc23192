# SPDX-License-Identifier: Apache-2.0
"""One connection that speaks Kafka by hand, for what no client lets a test see."""

import socket
import struct
from typing import Any

from harness.batch import batch, record_head
from harness.wire import Coder, Message, api, response_header_bytes, varint

from .common import NOW


class Raw:
    """Requests go out as they are asked for; answers are read in order."""

    def __init__(self, port: int):
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.last = 0
        self.asked: list[tuple[int, int, int]] = []  # correlation id, api, version

    def __enter__(self) -> "Raw":
        return self

    def __exit__(self, *_rest: object) -> None:
        self.socket.close()

    def send(self, key: int, version: int, **body: Any) -> None:
        coder = Coder(api(key, "Request"), version)
        self.last += 1
        head = struct.pack(">hhih", key, version, self.last, 3) + b"raw"
        if coder.flexible:
            head += b"\0"
        self.send_bytes(head + coder.encode(body))
        self.asked.append((self.last, key, version))

    def send_bytes(self, frame: bytes) -> None:
        self.socket.sendall(struct.pack(">i", len(frame)) + frame)

    def receive(self) -> Message:
        """The next answer, which must be to the oldest request that has none."""
        correlation, key, version = self.asked.pop(0)
        frame = self.receive_bytes()
        assert struct.unpack_from(">i", frame) == (correlation,)
        return Coder(api(key, "Response"), version).decode(
            frame[response_header_bytes(key, version) :]
        )

    def receive_bytes(self) -> bytes:
        (size,) = struct.unpack(">i", self._exactly(4))
        return self._exactly(size)

    def ask(self, key: int, version: int, **body: Any) -> Message:
        self.send(key, version, **body)
        return self.receive()

    def closed(self, timeout: float = 10) -> bool:
        """Does the broker close the connection, without another byte?"""
        self.socket.settimeout(timeout)
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def _exactly(self, size: int) -> bytes:
        got = b""
        while len(got) < size:
            piece = self.socket.recv(size - len(got))
            if not piece:
                raise ConnectionError("closed by the broker")
            got += piece
        return got


def records(*values: bytes, timestamp: int = NOW) -> bytes:
    """A batch of records without keys."""
    payload = b"".join(record_head(i, len(v)) + v + varint(0) for i, v in enumerate(values))
    return batch(0, payload, records=len(values), last_delta=len(values) - 1, timestamp=timestamp)

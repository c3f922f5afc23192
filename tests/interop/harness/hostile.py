# SPDX-License-Identifier: Apache-2.0
"""A real broker's answers, changed on their way by whoever means harm.

It stands at a broker's PROXIED port like the proxy, but knows whole frames: each answer is given to
a `Mangler`, which returns the bytes to send instead, length field and all.
"""

import asyncio
import struct
import threading
from collections import deque
from typing import AsyncIterator, Callable

from .broker import Broker
from .wire import Coder, Message, api, response_header_bytes

PRODUCE, FETCH, LIST_OFFSETS, METADATA, API_VERSIONS = 0, 1, 2, 3, 18

# (api key, version, answer without its length) -> what to send, or None: let it pass.
# An asynchronous iterator of bytes sends without end.
Mangled = bytes | AsyncIterator[bytes] | None
Mangler = Callable[[int, int, bytes], Mangled]


def frame(body: bytes) -> bytes:
    return struct.pack(">i", len(body)) + body


def change(body: bytes, key: int, version: int, edit: Callable[[Message], None]) -> bytes:
    """Decode the answer, let `edit` change it, encode it; the frame."""
    head = response_header_bytes(key, version)
    coder = Coder(api(key, "Response"), version)
    message = coder.decode(body[head:])
    edit(message)
    return frame(body[:head] + coder.encode(message))


class Hostile:
    """Listens at `broker.proxy_port` in a thread of its own until closed."""

    def __init__(self, broker: Broker, mangler: Mangler):
        self.broker = broker
        self.mangler = mangler
        self.mangled = 0  # answers changed so far
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        assert started.wait(10)

    def __enter__(self) -> "Hostile":
        return self

    def __exit__(self, *_rest: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._server = self._loop.run_until_complete(
            asyncio.start_server(self._serve, "127.0.0.1", self.broker.proxy_port, limit=1 << 20)
        )
        started.set()
        self._loop.run_forever()
        self._server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked: deque[tuple[int, int]] = deque()
        up_reader, up_writer = await asyncio.open_connection(
            "127.0.0.1", self.broker.ports["PROXIED"], limit=1 << 20
        )
        ways = [
            asyncio.ensure_future(self._requests(reader, up_writer, asked)),
            asyncio.ensure_future(self._answers(up_reader, writer, asked)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            writer.close()
            up_writer.close()

    async def _requests(
        self, reader: asyncio.StreamReader, out: asyncio.StreamWriter, asked: deque[tuple[int, int]]
    ) -> None:
        while True:
            body = await _read_frame(reader)
            key, version = struct.unpack_from(">hh", body)
            asked.append((key, version))
            out.write(frame(body))
            await out.drain()

    async def _answers(
        self, reader: asyncio.StreamReader, out: asyncio.StreamWriter, asked: deque[tuple[int, int]]
    ) -> None:
        while True:
            body = await _read_frame(reader)
            key, version = asked.popleft()
            sent = self.mangler(key, version, body)
            if sent is None:
                out.write(frame(body))
            else:
                self.mangled += 1
                if isinstance(sent, bytes):
                    out.write(sent)
                else:
                    async for piece in sent:
                        out.write(piece)
                        await out.drain()
            await out.drain()


async def _read_frame(reader: asyncio.StreamReader) -> bytes:
    (size,) = struct.unpack(">i", await reader.readexactly(4))
    return await reader.readexactly(size)

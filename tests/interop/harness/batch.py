# SPDX-License-Identifier: Apache-2.0
"""Record batches (magic 2) built by hand, for the ones that no client would send."""

import struct
import zlib
from functools import cache

from .wire import varint

GZIP = 1


@cache
def _table() -> tuple[int, ...]:
    out = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        out.append(crc)
    return tuple(out)


def crc32c(data: bytes) -> int:
    table, crc = _table(), 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def record_head(offset_delta: int, value_bytes: int) -> bytes:
    """What stands before the value of a record with a null key; no headers follow it."""
    body = b"\0" + varint(0) + varint(offset_delta) + varint(-1) + varint(value_bytes)
    return varint(len(body) + value_bytes + 1) + body


def batch(
    base_offset: int,
    payload: bytes,
    *,
    records: int,
    last_delta: int,
    codec: int = 0,
    timestamp: int = 1_700_000_000_000,
) -> bytes:
    """A batch around `payload`, already compressed; the CRC is right whatever else is not."""
    covered = (
        struct.pack(">hiqqqhii", codec, last_delta, timestamp, timestamp, -1, -1, -1, records)
        + payload
    )
    rest = struct.pack(">ibI", 0, 2, crc32c(covered)) + covered
    return struct.pack(">qi", base_offset, len(rest)) + rest


@cache
def gzip_bomb(megabytes: int) -> bytes:
    """One record of zeros with a hole behind it, so that it must be decoded to be renumbered."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    size = megabytes << 20
    out = [packer.compress(record_head(0, size))]
    zeros = bytes(1 << 20)
    out += [packer.compress(zeros) for _ in range(megabytes)]
    out += [packer.compress(varint(0)), packer.flush()]
    return batch(0, b"".join(out), records=1, last_delta=1, codec=GZIP)

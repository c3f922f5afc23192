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


HEAD = struct.Struct(">qiibIhiqqqhii")
CRC_AT, COVERED_AT = 17, 21


def sealed(payload: bytes, **fields: int) -> bytes:
    """A batch around `payload`, of one record unless `fields` of the head say otherwise, right or
    wrong. The CRC is right, unless it is one of them."""
    head = {
        "base": 0,
        "size": HEAD.size - 12 + len(payload),
        "epoch": 0,
        "magic": 2,
        "crc": 0,
        "bits": 0,
        "last": 0,
        "first_time": 0,
        "max_time": 0,
        "producer": -1,
        "producer_epoch": -1,
        "sequence": -1,
        "count": 1,
    } | fields
    data = HEAD.pack(*head.values()) + payload
    crc = fields.get("crc", crc32c(data[COVERED_AT:]))
    return data[:CRC_AT] + struct.pack(">I", crc) + data[COVERED_AT:]


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
    return sealed(
        payload,
        base=base_offset,
        bits=codec,
        last=last_delta,
        first_time=timestamp,
        max_time=timestamp,
        count=records,
    )


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

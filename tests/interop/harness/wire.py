# SPDX-License-Identifier: Apache-2.0
"""Kafka messages as dicts, coded by the schemas in lib/wire/schemas.txt.

A second reader of those facts, slow and plain, for tests that change messages on their way.
"""

import struct
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from .paths import ROOT

SCHEMAS = ROOT / "lib" / "wire" / "schemas.txt"
FIXED = {
    "bool": ">?",
    "int8": ">b",
    "int16": ">h",
    "uint16": ">H",
    "int32": ">i",
    "uint32": ">I",
    "int64": ">q",
    "float64": ">d",
    "uuid": ">16s",
}
Message = dict[str, Any]


@dataclass(frozen=True)
class Versions:
    """A range; `high` of None has no end, low > high is empty."""

    low: int
    high: int | None

    def __contains__(self, version: int) -> bool:
        return self.low <= version and (self.high is None or version <= self.high)

    @staticmethod
    def parse(text: str) -> "Versions":
        if text in ("none", "-"):
            return Versions(1, 0)
        if text.endswith("+"):
            return Versions(int(text[:-1]), None)
        low, _, high = text.partition("-")
        return Versions(int(low), int(high or low))


NEVER = Versions(1, 0)


@dataclass
class Field:
    """One line of the table; `fields` are those of its struct type."""

    name: str
    type: str  # without the "[]"
    array: bool
    versions: Versions
    null: Versions = NEVER
    tag: int = -1
    tagged: Versions = NEVER
    default: str | None = None
    fields: list["Field"] = field(default_factory=list)

    def default_value(self) -> Any:
        if self.default == "null":
            return None
        if self.array:
            return []
        if self.type in ("string", "bytes", "records"):
            return "" if self.type == "string" else b""
        if self.type == "uuid":
            return bytes(16)
        if self.type in FIXED:
            return int(self.default or "0", 0) if self.type != "bool" else self.default == "true"
        return {}


@dataclass
class Schema:
    """A request, a response or a record type."""

    name: str
    key: int = -1
    valid: Versions = NEVER
    flex: Versions = NEVER
    fields: list[Field] = field(default_factory=list)
    structs: dict[str, list[Field]] = field(default_factory=dict)


def _parse_field(words: list[str]) -> Field:
    out = Field(
        words[0], words[1].removeprefix("[]"), words[1].startswith("[]"), Versions.parse(words[2])
    )
    for word in words[3:]:
        name, _, value = word.partition("=")
        if name == "null":
            out.null = Versions.parse(value)
        elif name == "def":
            out.default = value
        elif name == "tag":
            number, _, versions = value.partition("@")
            out.tag, out.tagged = int(number), Versions.parse(versions)
    if out.versions is NEVER or words[2] == "-":
        out.versions = out.tagged
    return out


@cache
def schemas() -> dict[str, Schema]:
    """Every message of the table by name."""
    out: dict[str, Schema] = {}
    stack: list[list[Field]] = []
    for line in SCHEMAS.read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        depth = len(line) - len(line.lstrip(" "))
        words = line.split()
        if depth == 0:
            pairs = dict(word.split("=", 1) for word in words if "=" in word)
            schema = Schema(
                words[0],
                int(pairs.get("key", -1)),
                Versions.parse(pairs.get("v", "none")),
                Versions.parse(pairs.get("flex", "none")),
            )
            out[words[0]] = schema
            stack = [schema.fields]
            continue
        del stack[depth:]
        if words[0] == "struct":
            schema.structs[words[1]] = []
            stack.append(schema.structs[words[1]])
        else:
            stack[-1].append(_parse_field(words))
            stack.append(stack[-1][-1].fields)
    return out


@cache
def api(key: int, kind: str) -> Schema:
    """The schema of "Request" or "Response" `key`."""
    return next(s for s in schemas().values() if s.key == key and s.name.endswith(kind))


def response_header_bytes(key: int, version: int) -> int:
    """Correlation id, and an empty tagged section in flexible versions (never for ApiVersions)."""
    return 5 if key != 18 and version in api(key, "Response").flex else 4


class Coder:
    """One message in one version."""

    def __init__(self, schema: Schema, version: int):
        self.schema = schema
        self.version = version
        self.flexible = version in schema.flex

    def decode(self, data: bytes) -> Message:
        reader = Reader(data)
        out = self._read_struct(reader, self.schema.fields)
        assert reader.at == len(data), f"{len(data) - reader.at} bytes left"
        return out

    def encode(self, message: Message) -> bytes:
        out = bytearray()
        self._write_struct(out, self.schema.fields, message)
        return bytes(out)

    def _fields_of(self, f: Field) -> list[Field]:
        return f.fields or self.schema.structs.get(f.type, [])

    # -- reading

    def _read_struct(self, r: "Reader", fields: list[Field]) -> Message:
        out = {f.name: f.default_value() for f in fields if self.version in f.versions}
        for f in fields:
            if self.version in f.versions and self.version not in f.tagged:
                out[f.name] = self._read(r, f)
        if self.flexible:
            tags = {f.tag: f for f in fields if self.version in f.tagged}
            for _ in range(r.uvarint()):
                tag, data = r.uvarint(), r.take(r.uvarint())
                if tag in tags:
                    out[tags[tag].name] = self._read(Reader(data), tags[tag])
        return out

    def _read(self, r: "Reader", f: Field) -> Any:
        if f.array:
            count = r.length(self.flexible, 4)
            return None if count < 0 else [self._read_one(r, f) for _ in range(count)]
        return self._read_one(r, f)

    def _read_one(self, r: "Reader", f: Field) -> Any:
        if f.type in FIXED:
            return r.fixed(FIXED[f.type])
        if f.type in ("string", "bytes", "records"):
            size = r.length(self.flexible, 2 if f.type == "string" else 4)
            if size < 0:
                return None
            data = r.take(size)
            return data.decode() if f.type == "string" else data
        if not f.array and self.version in f.null and r.fixed(">b") < 0:
            return None
        return self._read_struct(r, self._fields_of(f))

    # -- writing

    def _write_struct(self, out: bytearray, fields: list[Field], message: Message) -> None:
        for f in fields:
            if self.version in f.versions and self.version not in f.tagged:
                self._write(out, f, message.get(f.name, f.default_value()))
        if not self.flexible:
            return
        tags = sorted(
            (
                f
                for f in fields
                if self.version in f.tagged
                and message.get(f.name, f.default_value()) != f.default_value()
            ),
            key=lambda f: f.tag,
        )
        out += uvarint(len(tags))
        for f in tags:
            body = bytearray()
            self._write(body, f, message[f.name])
            out += uvarint(f.tag) + uvarint(len(body)) + body

    def _write(self, out: bytearray, f: Field, value: Any) -> None:
        if not f.array:
            self._write_one(out, f, value)
            return
        out += self._length(-1 if value is None else len(value), 4)
        for item in value or []:
            self._write_one(out, f, item)

    def _write_one(self, out: bytearray, f: Field, value: Any) -> None:
        if f.type in FIXED:
            out += struct.pack(FIXED[f.type], value)
        elif f.type in ("string", "bytes", "records"):
            data = value.encode() if isinstance(value, str) else value
            out += self._length(-1 if data is None else len(data), 2 if f.type == "string" else 4)
            out += data or b""
        else:
            if not f.array and self.version in f.null:
                out += struct.pack(">b", -1 if value is None else 1)
            if value is not None:
                self._write_struct(out, self._fields_of(f), value)

    def _length(self, count: int, width: int) -> bytes:
        if self.flexible:
            return uvarint(count + 1)
        return struct.pack(">h" if width == 2 else ">i", count)


class Reader:
    """A cursor; running past the end is an error of struct or an assertion."""

    def __init__(self, data: bytes):
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        assert 0 <= count <= len(self.data) - self.at, "past the end"
        self.at += count
        return self.data[self.at - count : self.at]

    def fixed(self, layout: str) -> Any:
        return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]

    def uvarint(self) -> int:
        value = shift = 0
        while True:
            byte: int = self.fixed(">B")
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def length(self, flexible: bool, width: int) -> int:
        if flexible:
            return self.uvarint() - 1
        count: int = self.fixed(">h" if width == 2 else ">i")
        return count


def uvarint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def varint(value: int) -> bytes:
    """Zigzag, as in records."""
    return uvarint((value << 1) ^ (value >> 63))

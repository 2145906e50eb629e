"""The part of FlatBuffers that the external-plugin protocol uses: tables, strings, byte vectors, vectors of tables.

Reading is checked against the frame's bounds: an offset that leads out of it raises MalformedFrame, never reads elsewhere.
Writing goes forward, children after their parent, so that a message is one join of byte strings.
https://flatbuffers.dev/internals/ describes the layout.
"""

from __future__ import annotations

import functools
import struct
from typing import Any, Callable, List, Optional, Sequence, Tuple, TypeVar

Entry = Tuple[str, Optional[str]]

_U16 = struct.Struct("<H").unpack_from
_U32 = struct.Struct("<I").unpack_from
_I32 = struct.Struct("<i").unpack_from
_FIELDS = [struct.Struct("<%dH" % count).unpack_from for count in range(9)]

#: Bytes of text that entries may decode to, for each byte of the frame: overlapping strings must not multiply.
_EXPANSION = 4


class MalformedFrame(Exception):
    """The bytes are not the message that they claim to be."""


_Reader = TypeVar("_Reader", bound=Callable[..., Any])


def bounded(reader: _Reader) -> _Reader:
    """Makes what an offset out of the frame raises a MalformedFrame; a plugin's own IndexError is another thing."""

    @functools.wraps(reader)
    def read(*arguments: Any) -> Any:
        try:
            return reader(*arguments)
        except (struct.error, IndexError) as error:
            raise MalformedFrame(str(error)) from None

    return read  # type: ignore[return-value]


def root(data: bytes, start: int) -> int:
    """Position of the root table of the message at `start`."""
    offset: int = _U32(data, start)[0]
    return start + offset


def fields(data: bytes, table: int, count: int) -> Sequence[int]:
    """For each of the table's first `count` fields its offset in the table, 0 where it is absent."""
    vtable = table - _I32(data, table)[0]
    if vtable < 0:
        raise MalformedFrame("a vtable before the message")
    present = (_U16(data, vtable)[0] - 4) >> 1
    if present < 0:
        raise MalformedFrame("a vtable of less than 4 bytes")
    if present >= count:
        found: Tuple[int, ...] = _FIELDS[count](data, vtable + 4)
    else:
        found = _FIELDS[present](data, vtable + 4) + (0,) * (count - present)
    return found


def uint8(data: bytes, table: int, field: int, default: int = 0) -> int:
    return data[table + field] if field else default


def uint16(data: bytes, table: int, field: int) -> int:
    return _U16(data, table + field)[0] if field else 0


def uint32(data: bytes, table: int, field: int) -> int:
    return _U32(data, table + field)[0] if field else 0


def octets(data: bytes, table: int, field: int) -> Optional[bytes]:
    """A vector of bytes (a string is one too), or None where it is absent."""
    if not field:
        return None
    at = table + field
    at += _U32(data, at)[0]
    end = at + 4 + _U32(data, at)[0]
    if end > len(data):
        raise MalformedFrame("a vector beyond the message")
    return data[at + 4 : end]


def text(data: bytes, table: int, field: int) -> Optional[str]:
    """A string; bytes that are not UTF-8 become lone surrogates, and the same bytes again when written."""
    value = octets(data, table, field)
    return None if value is None else str(value, "utf-8", "surrogateescape")


def entries(data: bytes, table: int, field: int) -> List[Entry]:
    """A vector of TextEntry, in order."""
    if not field:
        return []
    at = table + field
    at += _U32(data, at)[0]
    count = _U32(data, at)[0]
    size = len(data)
    if count * 4 > size - at - 4:
        raise MalformedFrame("a vector beyond the message")
    budget = size * _EXPANSION
    result: List[Entry] = []
    for index in range(count):
        at += 4
        entry = at + _U32(data, at)[0]
        name_field, value_field = fields(data, entry, 2)
        name = text(data, entry, name_field)
        if name is None:
            raise MalformedFrame("an entry without a name")
        value = text(data, entry, value_field)
        budget -= len(name) + (len(value) if value else 0)
        if budget < 0:
            raise MalformedFrame("entries of more text than the message has")
        result.append((name, value))
    return result


_LENGTH = struct.Struct("<I").pack
#: vtable and table of an entry: with a name and a value; with a name alone.
_ENTRY_VTABLES = struct.pack("<4H", 8, 12, 4, 8) + struct.pack("<4H", 6, 8, 4, 0)
_FULL_ENTRY = struct.Struct("<iII").pack
_NAME_ENTRY = struct.Struct("<iI").pack
_PADDING = (b"", b"\0\0\0", b"\0\0", b"\0")


def write_octets(value: bytes) -> bytes:
    """A vector of bytes, filled up to a multiple of 4."""
    size = len(value)
    return _LENGTH(size) + value + _PADDING[size & 3]


def _write_text(value: str) -> bytes:
    octets_ = value.encode("utf-8", "surrogateescape")
    size = len(octets_)
    return _LENGTH(size) + octets_ + b"\0" + _PADDING[(size + 1) & 3]


def write_text(value: str) -> bytes:
    """A string: its bytes and a zero, filled up to a multiple of 4."""
    return _write_text(value)


def write_entries(values: Sequence[Entry]) -> bytes:
    """A vector of TextEntry, complete in itself.

    count | offsets … | two vtables | entry, its strings | entry, its strings | …
    """
    count = len(values)
    vtables = 4 + 4 * count
    position = vtables + len(_ENTRY_VTABLES)
    offsets: List[int] = []
    tables: List[bytes] = []
    for index, (name, value) in enumerate(values):
        offsets.append(position - (4 + 4 * index))
        name_octets = _write_text(name)
        if value is None:
            piece = _NAME_ENTRY(position - vtables - 8, 4) + name_octets
        else:
            piece = _FULL_ENTRY(position - vtables, 8, 4 + len(name_octets)) + name_octets + _write_text(value)
        tables.append(piece)
        position += len(piece)
    return struct.pack("<%dI" % (count + 1), count, *offsets) + _ENTRY_VTABLES + b"".join(tables)

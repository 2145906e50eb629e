"""The messages of Apache APISIX's external-plugin protocol, as a runner reads and writes them.

A frame: 1 byte type, 3 bytes length (big-endian), a FlatBuffers message (api7/ext-plugin-proto, ext-plugin.fbs).
Functions that write return whole frames.
"""

from __future__ import annotations

import struct
from typing import List, NamedTuple, Optional, Sequence, Tuple

from . import flatbuffer as fb
from .flatbuffer import Entry

ERROR = 0
PREPARE_CONF = 1
HTTP_REQ_CALL = 2
EXTRA_INFO = 3
HTTP_RESP_CALL = 4

BAD_REQUEST = 0
SERVICE_UNAVAILABLE = 1
CONF_TOKEN_NOT_FOUND = 2

HEADER_BYTES = 4
MAX_FRAME_BYTES = (1 << 24) - 1

METHODS = (
    "GET", "HEAD", "POST", "PUT", "DELETE", "MKCOL", "COPY", "MOVE",
    "OPTIONS", "PROPFIND", "PROPPATCH", "LOCK", "UNLOCK", "PATCH", "TRACE",
)  # fmt: skip

_INFO_VAR = 1
_INFO_REQ_BODY = 2
_INFO_RESP_BODY = 3
_ACTION_STOP = 1
_ACTION_REWRITE = 2


class FrameTooLarge(Exception):
    """The answer does not fit a frame (16 MiB)."""


class PrepareConf(NamedTuple):
    key: str
    #: Name and JSON text of each plugin, in the order of their execution.
    plugins: List[Tuple[str, str]]


class RequestHead(NamedTuple):
    """The parts of HTTPReqCall.Req that are read at once; the rest by `Request`, when it is asked for."""

    table: int
    id: int
    source_ip: int
    method: int
    path: int
    args: int
    headers: int
    conf_token: int


class ResponseHead(NamedTuple):
    table: int
    id: int
    status: int
    headers: int
    conf_token: int


@fb.bounded
def read_prepare_conf(data: bytes, start: int) -> PrepareConf:
    table = fb.root(data, start)
    conf, key = fb.fields(data, table, 2)
    plugins = [(name, value if value is not None else "") for name, value in fb.entries(data, table, conf)]
    return PrepareConf(fb.text(data, table, key) or "", plugins)


@fb.bounded
def read_request(data: bytes, start: int) -> RequestHead:
    """`source_ip`, `path`, `args` and `headers` are field offsets of the table, to be read later."""
    table = fb.root(data, start)
    id_, source_ip, method, path, args, headers, token = fb.fields(data, table, 7)
    return RequestHead(
        table,
        fb.uint32(data, table, id_),
        source_ip,
        fb.uint8(data, table, method),
        path,
        args,
        headers,
        fb.uint32(data, table, token),
    )


@fb.bounded
def read_response(data: bytes, start: int) -> ResponseHead:
    table = fb.root(data, start)
    id_, status, headers, token = fb.fields(data, table, 4)
    return ResponseHead(
        table, fb.uint32(data, table, id_), fb.uint16(data, table, status), headers, fb.uint32(data, table, token)
    )


@fb.bounded
def read_extra_info(data: bytes, start: int) -> Optional[bytes]:
    """What was asked for; None where the gateway has no such value."""
    table = fb.root(data, start)
    return fb.octets(data, table, fb.fields(data, table, 1)[0])


def frame(kind: int, payload: bytes) -> bytes:
    size = len(payload)
    if size > MAX_FRAME_BYTES:
        raise FrameTooLarge("%d bytes in one frame" % size)
    return (kind << 24 | size).to_bytes(4, "big") + payload


# Layout of each message: root offset, vtable (filled up to 4), table, children. The numbers in a vtable: its own size,
# the table's size, then the offset of each field in the table.
_ONE_FIELD = struct.pack("<I3HHi", 12, 6, 8, 4, 0, 8)


def write_error(code: int) -> bytes:
    return frame(ERROR, _ONE_FIELD + struct.pack("<B3x", code))


def write_token(token: int) -> bytes:
    return frame(PREPARE_CONF, _ONE_FIELD + struct.pack("<I", token))


_RESP = struct.Struct("<I5HHiIIB3x").pack
_UNCHANGED = frame(HTTP_REQ_CALL, _ONE_FIELD + bytes(4))[:-4]
_STOP = struct.Struct("<5HHiIIH2x").pack
_REWRITE = struct.Struct("<7HHiIIIII").pack


def write_unchanged(request_id: int) -> bytes:
    """HTTPReqCall.Resp without an action: the request goes on as it is."""
    return _UNCHANGED + request_id.to_bytes(4, "little")


def write_stop(request_id: int, status: int, headers: Sequence[Entry], body: bytes) -> bytes:
    # Resp's table is at 16, Stop's vtable at 32, its table at 44, its children from 60.
    headers_octets = fb.write_entries(headers)
    payload = (
        _RESP(16, 10, 16, 4, 12, 8, 0, 12, request_id, 44 - 24, _ACTION_STOP)
        + _STOP(10, 16, 12, 4, 8, 0, 12, 60 - 48, 60 + len(headers_octets) - 52, status)
        + headers_octets
        + fb.write_octets(body)
    )
    return frame(HTTP_REQ_CALL, payload)


def write_rewrite(
    request_id: int,
    path: Optional[str],
    headers: Sequence[Entry],
    args: Sequence[Entry],
    response_headers: Sequence[Entry],
    body: Optional[bytes],
) -> bytes:
    # Resp's table is at 16, Rewrite's vtable at 32, its table at 48, its children from 72.
    children = (
        None if path is None else fb.write_text(path),
        fb.write_entries(headers) if headers else None,
        fb.write_entries(args) if args else None,
        fb.write_entries(response_headers) if response_headers else None,
        None if body is None else fb.write_octets(body),
    )
    position = 72
    slots: List[int] = []
    offsets: List[int] = []
    for index, child in enumerate(children):
        slots.append(0 if child is None else 4 + 4 * index)
        offsets.append(0 if child is None else position - (52 + 4 * index))
        position += 0 if child is None else len(child)
    payload = (
        _RESP(16, 10, 16, 4, 12, 8, 0, 12, request_id, 48 - 24, _ACTION_REWRITE)
        + _REWRITE(14, 24, *slots, 0, 16, *offsets)
        + b"".join([child for child in children if child is not None])
    )
    return frame(HTTP_REQ_CALL, payload)


_RESPONSE = struct.Struct("<I6HiIH2xII").pack


def write_response(request_id: int, status: int, headers: Sequence[Entry], body: Optional[bytes]) -> bytes:
    """HTTPRespCall.Resp. `status` 0 and `body` None: as upstream sent them."""
    # The vtable is at 4, the table at 16, its children from 36.
    headers_octets = fb.write_entries(headers) if headers else b""
    body_octets = b"" if body is None else fb.write_octets(body)
    at_body = 36 + len(headers_octets)
    payload = (
        _RESPONSE(
            16, 12, 20, 4, 8, 12 if headers else 0, 0 if body is None else 16,
            12, request_id, status, 36 - 28 if headers else 0, 0 if body is None else at_body - 32,
        )
        + headers_octets
        + body_octets
    )  # fmt: skip
    return frame(HTTP_RESP_CALL, payload)


_INFO = struct.Struct("<I4HiIB3x").pack


def _extra_info(kind: int, info: bytes, table: int) -> bytes:
    """`info`: vtable and table of the union's member, its table `table` bytes in."""
    # The vtable is at 4, the table at 12, the member from 24.
    return frame(EXTRA_INFO, _INFO(12, 8, 12, 8, 4, 8, 24 + table - 16, kind) + info)


def write_ask_var(name: str) -> bytes:
    return _extra_info(_INFO_VAR, struct.pack("<3HHiI", 6, 8, 4, 0, 8, 4) + fb.write_text(name), 8)


ASK_REQUEST_BODY = _extra_info(_INFO_REQ_BODY, struct.pack("<2Hi", 4, 4, 4), 4)
ASK_RESPONSE_BODY = _extra_info(_INFO_RESP_BODY, struct.pack("<2Hi", 4, 4, 4), 4)

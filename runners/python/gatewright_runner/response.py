"""What a plugin answers with: `Response` in the request phase (it ends the request), `UpstreamResponse` in the response phase."""

from __future__ import annotations

from typing import Dict, List, Mapping, Optional, Union

from . import protocol
from .flatbuffer import Entry
from .header_fields import Changes
from .message import Ask, Message, octets


def _status(code: int) -> int:
    if isinstance(code, bool) or not isinstance(code, int) or not 200 <= code <= 599:
        raise ValueError("a status is a whole number from 200 to 599, not %r" % (code,))
    return code


class Response:
    """Empty, the request goes on. A status, header or body set here ends it: the client gets this, the upstream nothing."""

    __slots__ = ("_status", "_headers", "_body")

    def __init__(self) -> None:
        self._status = 0
        self._headers: Optional[Changes] = None
        self._body: Optional[bytes] = None

    def set_status_code(self, code: int) -> None:
        self._status = _status(code)

    def get_status_code(self) -> int:
        """200 where none was set."""
        return self._status or 200

    def set_header(self, name: str, value: str) -> None:
        if self._headers is None:
            self._headers = Changes()
        self._headers.set(name, value)

    def add_header(self, name: str, value: str) -> None:
        if self._headers is None:
            self._headers = Changes()
        self._headers.add(name, value)

    def set_headers(self, headers: Mapping[str, str]) -> None:
        for name, value in headers.items():
            self.set_header(name, value)

    def get_header(self, name: str) -> Optional[str]:
        found = self._headers.get(name) if self._headers else None
        return found[0][1] if found else None

    def get_headers(self) -> Dict[str, str]:
        return {name: value for name, value in self._entries() if value is not None}

    def set_body(self, body: Union[str, bytes]) -> None:
        """Text goes as UTF-8."""
        self._body = octets(body)

    def get_body(self) -> str:
        return str(self._body or b"", "utf-8", "surrogateescape")

    def changed(self) -> bool:
        return self._status != 0 or self._headers is not None or self._body is not None

    def answer(self, request_id: int) -> bytes:
        return protocol.write_stop(request_id, self.get_status_code(), self._entries(), self._body or b"")

    def _entries(self) -> List[Entry]:
        return self._headers.entries() if self._headers else []


class UpstreamResponse(Message):
    """The upstream's response, in `response_filter`. What is not set goes to the client as it came."""

    __slots__ = ("_head", "_status")

    _ask_body = protocol.ASK_RESPONSE_BODY

    def __init__(self, data: bytes, head: protocol.ResponseHead, ask: Ask) -> None:
        super().__init__(data, head.table, head.headers, ask)
        self._head = head
        self._status = 0

    def get_id(self) -> int:
        return self._head.id

    def get_status_code(self) -> int:
        return self._status or self._head.status

    def set_status_code(self, code: int) -> None:
        self._status = _status(code)

    def answer(self) -> bytes:
        return protocol.write_response(self._head.id, self._status, self._changed_headers(), self._new_body)

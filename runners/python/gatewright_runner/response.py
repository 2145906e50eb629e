"""What a plugin answers with: `Response` in the request phase (it ends the request), `UpstreamResponse` in the response phase."""

from __future__ import annotations

import asyncio
from typing import Dict, List, Mapping, Optional, Union

from . import flatbuffer as fb
from . import protocol
from .flatbuffer import Entry
from .header_fields import Changes
from .request import Ask


_entries = fb.bounded(fb.entries)


def _status(code: int) -> int:
    if isinstance(code, bool) or not isinstance(code, int) or not 200 <= code <= 599:
        raise ValueError("a status is a whole number from 200 to 599, not %r" % (code,))
    return code


def _octets(body: Union[str, bytes]) -> bytes:
    return body.encode() if isinstance(body, str) else bytes(body)


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
        self._body = _octets(body)

    def get_body(self) -> str:
        return str(self._body or b"", "utf-8", "surrogateescape")

    def changed(self) -> bool:
        return self._status != 0 or self._headers is not None or self._body is not None

    def answer(self, request_id: int) -> bytes:
        return protocol.write_stop(request_id, self.get_status_code(), self._entries(), self._body or b"")

    def _entries(self) -> List[Entry]:
        return self._headers.entries() if self._headers else []


class UpstreamResponse:
    """The upstream's response, in `response_filter`. What is not set goes to the client as it came."""

    __slots__ = ("_data", "_head", "_ask", "_came", "_vars", "_body", "_status", "_headers", "_new_body")

    def __init__(self, data: bytes, head: protocol.ResponseHead, ask: Ask) -> None:
        self._data = data
        self._head = head
        self._ask = ask
        self._came: Optional[List[Entry]] = None
        self._vars: Dict[str, Optional[bytes]] = {}
        self._body: Optional[bytes] = None
        self._status = 0
        self._headers: Optional[Changes] = None
        self._new_body: Optional[bytes] = None

    def get_id(self) -> int:
        return self._head.id

    def get_status_code(self) -> int:
        return self._status or self._head.status

    def set_status_code(self, code: int) -> None:
        self._status = _status(code)

    def get_header(self, name: str) -> Optional[str]:
        values = self.get_header_values(name)
        return values[0] if values else None

    def get_header_values(self, name: str) -> List[str]:
        wanted = name.lower()
        return [value for key, value in self._all_headers() if key.lower() == wanted and value is not None]

    def get_headers(self) -> Dict[str, str]:
        return {name: value for name, value in self._all_headers() if value is not None}

    def set_header(self, name: str, value: str) -> None:
        if self._headers is None:
            self._headers = Changes()
        self._headers.set(name, value)

    def remove_header(self, name: str) -> None:
        if self._headers is None:
            self._headers = Changes()
        self._headers.remove(name)

    def get_var(self, name: str) -> str:
        """A variable of the gateway, of the request too (`uri`, `http_x`, `consumer_name` …); '' where it has no value."""
        if name not in self._vars:
            self._vars[name] = self._ask(protocol.write_ask_var(name))
        value = self._vars[name]
        return "" if value is None else str(value, "utf-8", "surrogateescape")

    async def get_var_async(self, name: str) -> str:
        return await asyncio.get_running_loop().run_in_executor(None, self.get_var, name)

    def get_body_bytes(self) -> bytes:
        """The upstream's body, whole; one round trip, once."""
        if self._new_body is not None:
            return self._new_body
        if self._body is None:
            self._body = self._ask(protocol.ASK_RESPONSE_BODY) or b""
        return self._body

    async def get_body_bytes_async(self) -> bytes:
        return await asyncio.get_running_loop().run_in_executor(None, self.get_body_bytes)

    def get_body(self) -> str:
        return str(self.get_body_bytes(), "utf-8", "surrogateescape")

    def set_body(self, body: Union[str, bytes]) -> None:
        self._new_body = _octets(body)

    def answer(self) -> bytes:
        return protocol.write_response(
            self._head.id, self._status, self._headers.entries() if self._headers else (), self._new_body
        )

    def _all_headers(self) -> List[Entry]:
        if self._came is None:
            self._came = _entries(self._data, self._head.table, self._head.headers)
        return self._came if self._headers is None else self._headers.apply(self._came)

"""What the request and the upstream's response have in common: header fields, a body, variables of the gateway.

Nothing is decoded before it is asked for. Changes are kept beside what came, and only they go back to the gateway.
"""

from __future__ import annotations

import asyncio
from typing import Callable, Dict, List, Mapping, Optional, Sequence, Union

from . import flatbuffer as fb
from . import protocol
from .flatbuffer import Entry
from .header_fields import Changes

entries = fb.bounded(fb.entries)

#: Sends a question to the gateway and waits for its answer.
Ask = Callable[[bytes], Optional[bytes]]


def octets(body: Union[str, bytes]) -> bytes:
    """Text goes as UTF-8."""
    return body.encode() if isinstance(body, str) else bytes(body)


class Message:
    """Its methods may be called during the filter alone, from the thread or task that runs it."""

    __slots__ = ("_data", "_table", "_headers_at", "_ask", "_came", "_vars", "_body", "_header_changes", "_new_body")

    #: The question for its body.
    _ask_body = b""

    def __init__(self, data: bytes, table: int, headers_at: int, ask: Ask) -> None:
        """`headers_at`: the headers' field offset in the table at `table`."""
        self._data = data
        self._table = table
        self._headers_at = headers_at
        self._ask = ask
        self._came: Optional[List[Entry]] = None
        self._vars: Dict[str, Optional[bytes]] = {}
        self._body: Optional[bytes] = None
        self._header_changes: Optional[Changes] = None
        self._new_body: Optional[bytes] = None

    def get_header(self, name: str) -> Optional[str]:
        """The first value of a header, its name without case, or None."""
        values = self.get_header_values(name)
        return values[0] if values else None

    def get_header_values(self, name: str) -> List[str]:
        wanted = name.lower()
        return [value for key, value in self._all_headers() if key.lower() == wanted and value is not None]

    def get_headers(self) -> Dict[str, str]:
        """A copy; of several fields of one name the last, as Apache's runner gives it."""
        return {name: value for name, value in self._all_headers() if value is not None}

    def set_header(self, name: str, value: str) -> None:
        """Replaces every header of that name. On a request, `host` changes the upstream's Host."""
        if self._header_changes is None:
            self._header_changes = Changes()
        self._header_changes.set(name, value)

    def set_headers(self, headers: Mapping[str, str]) -> None:
        """Sets each of them; headers that are not named stay."""
        for name, value in headers.items():
            self.set_header(name, value)

    def remove_header(self, name: str) -> None:
        if self._header_changes is None:
            self._header_changes = Changes()
        self._header_changes.remove(name)

    def get_var(self, name: str) -> str:
        """A variable of the gateway (`host`, `request_id`, `consumer_name` …), of the request in both phases; '' where it has
        no value.

        One round trip to the gateway, once for each name. In an `async` filter use `get_var_async`.
        """
        if name not in self._vars:
            self._vars[name] = self._ask(protocol.write_ask_var(name))
        value = self._vars[name]
        return "" if value is None else str(value, "utf-8", "surrogateescape")

    async def get_var_async(self, name: str) -> str:
        return await asyncio.get_running_loop().run_in_executor(None, self.get_var, name)

    def get_body_bytes(self) -> bytes:
        """The body, whole; b'' where there is none. One round trip, once."""
        if self._new_body is not None:
            return self._new_body
        if self._body is None:
            self._body = self._ask(self._ask_body) or b""
        return self._body

    async def get_body_bytes_async(self) -> bytes:
        return await asyncio.get_running_loop().run_in_executor(None, self.get_body_bytes)

    def get_body(self) -> str:
        """The body as UTF-8 text; other bytes become lone surrogates."""
        return str(self.get_body_bytes(), "utf-8", "surrogateescape")

    def set_body(self, body: Union[str, bytes]) -> None:
        """Text goes as UTF-8."""
        self._new_body = octets(body)

    def _changed_headers(self) -> Sequence[Entry]:
        return self._header_changes.entries() if self._header_changes else ()

    def _all_headers(self) -> List[Entry]:
        if self._came is None:
            self._came = entries(self._data, self._table, self._headers_at)
        return self._came if self._header_changes is None else self._header_changes.apply(self._came)

"""The request as a plugin sees it in the request phase."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Dict, List, Mapping, Optional, Sequence, Union

from . import flatbuffer as fb
from . import protocol
from .flatbuffer import Entry
from .header_fields import Changes
from .message import Ask, Message, entries

_text = fb.bounded(fb.text)
_octets = fb.bounded(fb.octets)


class Request(Message):
    """One request. Its methods may be called during `filter` alone, from the thread or task that runs it."""

    __slots__ = ("_head", "_args", "_arg_changes", "_response_headers", "_new_uri")

    _ask_body = protocol.ASK_REQUEST_BODY

    def __init__(self, data: bytes, head: protocol.RequestHead, ask: Ask) -> None:
        super().__init__(data, head.table, head.headers, ask)
        self._head = head
        self._args: Optional[List[Entry]] = None
        self._arg_changes: Optional[Dict[str, List[Entry]]] = None
        self._response_headers: Optional[Changes] = None
        self._new_uri: Optional[str] = None

    # What came

    def get_id(self) -> int:
        """The gateway's number for the call; for logs, it is used again."""
        return self._head.id

    def get_conf_token(self) -> int:
        return self._head.conf_token

    def get_method(self) -> str:
        number = self._head.method
        if number >= len(protocol.METHODS):
            raise fb.MalformedFrame("method %d" % number)
        return protocol.METHODS[number]

    def get_uri(self) -> str:
        """The path, without query; what an earlier plugin set, where one did."""
        if self._new_uri is not None:
            return self._new_uri
        return _text(self._data, self._table, self._head.path) or ""

    def get_remote_addr(self) -> str:
        """The client's address as text; '' where the gateway sent none."""
        octets = _octets(self._data, self._table, self._head.source_ip)
        if octets is not None and len(octets) not in (0, 4, 16):
            raise fb.MalformedFrame("an address of %d bytes" % len(octets))
        return str(ip_address(octets)) if octets else ""

    def get_arg(self, name: str) -> Optional[str]:
        """The first value of a query parameter ('' where it has none), or None."""
        values = self.get_arg_values(name)
        return values[0] if values else None

    def get_arg_values(self, name: str) -> List[str]:
        return [value or "" for key, value in self._all_args() if key == name]

    def get_args(self) -> Dict[str, str]:
        """A copy; of several parameters of one name the last."""
        return {name: value or "" for name, value in self._all_args()}

    # What goes on to the upstream

    def set_uri(self, uri: str) -> None:
        """The path that goes upstream. Raises ValueError where it does not begin with '/' or holds a query."""
        if not uri.startswith("/") or "?" in uri or "#" in uri or any(ord(letter) < 0x20 for letter in uri):
            raise ValueError("a path begins with / and holds no query, fragment or control character: %r" % uri)
        self._new_uri = uri

    def set_arg(self, name: str, value: Union[str, Sequence[str]]) -> None:
        """Replaces every query parameter of that name, by one or by several."""
        values = [value] if isinstance(value, str) else list(value)
        if not values:
            return self.remove_arg(name)
        self._change_arg(name, [(name, each) for each in values])

    def set_args(self, args: Mapping[str, str]) -> None:
        """Sets each of them; parameters that are not named stay."""
        for name, value in args.items():
            self.set_arg(name, value)

    def remove_arg(self, name: str) -> None:
        self._change_arg(name, [(name, None)])

    def set_response_header(self, name: str, value: str) -> None:
        """A header of the response that the client will get, while the request goes on."""
        if self._response_headers is None:
            self._response_headers = Changes()
        self._response_headers.set(name, value)

    def answer(self) -> bytes:
        """The frame that tells the gateway what changed."""
        if (
            self._header_changes is None
            and self._new_uri is None
            and self._arg_changes is None
            and self._new_body is None
            and self._response_headers is None
        ):
            return protocol.write_unchanged(self._head.id)
        args: List[Entry] = []
        for change in (self._arg_changes or {}).values():
            args += change
        return protocol.write_rewrite(
            self._head.id,
            self._new_uri,
            self._changed_headers(),
            args,
            self._response_headers.entries() if self._response_headers else (),
            self._new_body,
        )

    def _all_args(self) -> List[Entry]:
        if self._args is None:
            self._args = entries(self._data, self._table, self._head.args)
        changes = self._arg_changes
        if changes is None:
            return self._args
        kept = [entry for entry in self._args if entry[0] not in changes]
        return kept + [entry for change in changes.values() for entry in change if entry[1] is not None]

    def _change_arg(self, name: str, entries: List[Entry]) -> None:
        for text in (part for entry in entries for part in entry if part is not None):
            if not isinstance(text, str):
                raise TypeError("a query parameter is text, not %s" % type(text).__name__)
        if self._arg_changes is None:
            self._arg_changes = {}
        self._arg_changes[name] = entries


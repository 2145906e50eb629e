"""What may stand in a header field (RFC 9110 §5): checked before it goes to the gateway, so that a plugin cannot split one."""

from __future__ import annotations

import re
from typing import List, Optional

from .flatbuffer import Entry

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z").match
_FORBIDDEN = re.compile(r"[\0-\x08\x0a-\x1f\x7f]").search


def checked(name: str, value: str) -> Entry:
    """Raises ValueError on a name that is no token or a value with control characters (but tab); TypeError on anything but text."""
    if not isinstance(value, str):
        raise TypeError("a header's value is text, not %s" % type(value).__name__)
    if _FORBIDDEN(value):
        raise ValueError("the value of header %s holds a control character" % checked_name(name))
    return checked_name(name), value


def checked_name(name: str) -> str:
    if not isinstance(name, str) or not _NAME(name):
        raise ValueError("not a header's name: %r" % (name,))
    return name


class Changes:
    """Changes of fields by name, without case; each name once, the last change wins."""

    __slots__ = ("_changes",)

    def __init__(self) -> None:
        self._changes: dict[str, List[Entry]] = {}

    def set(self, name: str, value: str) -> None:
        self._changes[name.lower()] = [checked(name, value)]

    def add(self, name: str, value: str) -> None:
        self._changes.setdefault(name.lower(), []).append(checked(name, value))

    def remove(self, name: str) -> None:
        self._changes[name.lower()] = [(checked_name(name), None)]

    def get(self, name: str) -> Optional[List[Entry]]:
        return self._changes.get(name.lower())

    def apply(self, entries: List[Entry]) -> List[Entry]:
        """`entries` as they are after the changes."""
        kept = [entry for entry in entries if entry[0].lower() not in self._changes]
        return kept + [entry for entry in self.entries() if entry[1] is not None]

    def entries(self) -> List[Entry]:
        return [entry for change in self._changes.values() for entry in change]

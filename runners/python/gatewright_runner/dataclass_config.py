"""A configuration read into a dataclass: its fields are the configuration's, their types are checked, nothing is unknown."""

from __future__ import annotations

import dataclasses
import typing
from typing import Any, Callable, Dict, Union

from .json_schema import ConfigError

Read = Callable[[Any, str], Any]


class DataclassConfig:
    """Types: str, int, float, bool, Any, Optional, Union, Literal, list, dict of text, other dataclasses."""

    def __init__(self, class_: type) -> None:
        """Raises TypeError on a field of another type."""
        self._read = _dataclass(class_)

    def check(self, value: Any) -> Any:
        """An instance. Raises ConfigError with the field's path; what `__post_init__` raises goes on."""
        return self._read(value, "")


def _fail(path: str, what: str) -> None:
    raise ConfigError("%s: %s" % (path or "the configuration", what))


def _plain(class_: type, words: str) -> Read:
    def read(value: Any, path: str) -> Any:
        # JSON's true is an int in Python, not in a configuration.
        if not isinstance(value, class_) or isinstance(value, bool) is not (class_ is bool):
            _fail(path, "must be %s" % words)
        return value

    return read


def _number(value: Any, path: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        _fail(path, "must be a number")
    return float(value)


_PLAIN: Dict[Any, Read] = {
    str: _plain(str, "a string"),
    int: _plain(int, "a whole number"),
    bool: _plain(bool, "true or false"),
    float: _number,
    Any: lambda value, path: value,
}


def _reader(hint: Any) -> Read:
    if hint in _PLAIN:
        return _PLAIN[hint]
    if dataclasses.is_dataclass(hint):
        return _dataclass(typing.cast(type, hint))
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Union or type(hint).__name__ == "UnionType":
        return _union(arguments)
    if origin is typing.Literal:
        return _literal(arguments)
    if origin is list:
        return _list(_reader(arguments[0]))
    if origin is dict and arguments[0] is str:
        return _dict(_reader(arguments[1]))
    raise TypeError("a configuration cannot hold a %r" % (hint,))


def _literal(values: Any) -> Read:
    def read(value: Any, path: str) -> Any:
        if not any(type(value) is type(each) and value == each for each in values):
            _fail(path, "must be one of %s" % ", ".join(map(str, values)))
        return value

    return read


def _union(hints: Any) -> Read:
    readers = [_reader(hint) for hint in hints if hint is not type(None)]
    nullable = type(None) in hints

    def read(value: Any, path: str) -> Any:
        if value is None and nullable:
            return None
        for index, each in enumerate(readers):
            try:
                return each(value, path)
            except ConfigError:
                if index == len(readers) - 1:
                    raise
        return _fail(path, "must be null")

    return read


def _list(item: Read) -> Read:
    def read(value: Any, path: str) -> Any:
        if not isinstance(value, list):
            _fail(path, "must be an array")
        return [item(each, "%s[%d]" % (path, index)) for index, each in enumerate(value)]

    return read


def _dict(item: Read) -> Read:
    def read(value: Any, path: str) -> Any:
        if not isinstance(value, dict):
            _fail(path, "must be an object")
        return {name: item(each, "%s.%s" % (path, name)) for name, each in value.items()}

    return read


def _dataclass(class_: type) -> Read:
    hints = typing.get_type_hints(class_)
    fields = {field.name: field for field in dataclasses.fields(class_) if field.init}
    readers = {name: _reader(hints[name]) for name in fields}
    missing = dataclasses.MISSING
    required = [n for n, field in fields.items() if field.default is missing and field.default_factory is missing]

    def read(value: Any, path: str) -> Any:
        if not isinstance(value, dict):
            _fail(path, "must be an object")
        prefix = path + "." if path else ""
        for name in required:
            if name not in value:
                _fail(prefix + name, "is missing")
        for name in value:
            if name not in readers:
                _fail(prefix + name, "is not known")
        return class_(**{name: readers[name](each, prefix + name) for name, each in value.items()})

    return read

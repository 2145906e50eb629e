"""The keywords of JSON Schema that configurations of plugins need. Any other keyword is refused when the plugin is loaded,
so that no check is believed to happen that does not."""

from __future__ import annotations

import copy
import re
from typing import Any, Callable, Dict, List, Mapping

Check = Callable[[Any, str], None]


class ConfigError(Exception):
    """A configuration that its plugin refuses; the message names the field."""


_ANNOTATIONS = {"$schema", "$id", "title", "description", "examples", "$comment", "deprecated"}
_TYPES: Dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
}
#: keyword → (types that it looks at, what holds, in words)
_LIMITS: Dict[str, Any] = {
    "minimum": ("number", lambda value, limit: value >= limit, "must be at least %s"),
    "maximum": ("number", lambda value, limit: value <= limit, "must be at most %s"),
    "exclusiveMinimum": ("number", lambda value, limit: value > limit, "must be more than %s"),
    "exclusiveMaximum": ("number", lambda value, limit: value < limit, "must be less than %s"),
    "minLength": ("string", lambda value, limit: len(value) >= limit, "must have %s characters at least"),
    "maxLength": ("string", lambda value, limit: len(value) <= limit, "must have %s characters at most"),
    "minItems": ("array", lambda value, limit: len(value) >= limit, "must have %s items at least"),
    "maxItems": ("array", lambda value, limit: len(value) <= limit, "must have %s items at most"),
    "minProperties": ("object", lambda value, limit: len(value) >= limit, "must have %s properties at least"),
    "maxProperties": ("object", lambda value, limit: len(value) <= limit, "must have %s properties at most"),
}


class JsonSchema:
    """A schema, compiled. `default` of an object's property is filled in."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        """Raises ValueError on a keyword that is not known here."""
        self._check = _compile(schema)

    def check(self, value: Any) -> Any:
        """`value` itself, with its defaults. Raises ConfigError with the field's path."""
        self._check(value, "")
        return value


def _compile(schema: Any) -> Check:
    if schema is True:
        return lambda value, path: None
    if not isinstance(schema, Mapping):
        raise ValueError("a schema is an object: %r" % (schema,))
    checks: List[Check] = []
    for keyword, limit in schema.items():
        if keyword in _ANNOTATIONS or keyword in ("default", "required", "additionalProperties"):
            continue
        if keyword in _LIMITS:
            checks.append(_limit(keyword, limit))
        elif keyword in _KEYWORDS:
            checks.append(_KEYWORDS[keyword](limit))
        else:
            raise ValueError("JSON Schema keyword %s is not known" % keyword)
    if {"required", "additionalProperties", "properties"} & set(schema):
        checks.append(_object(schema))

    def check(value: Any, path: str) -> None:
        for each in checks:
            each(value, path)

    return check


def _fail(path: str, what: str) -> None:
    raise ConfigError("%s: %s" % (path or "the configuration", what))


def _type(limit: Any) -> Check:
    names = [limit] if isinstance(limit, str) else list(limit)
    unknown = [name for name in names if name not in _TYPES]
    if unknown:
        raise ValueError("JSON Schema type %s is not known" % unknown[0])

    def check(value: Any, path: str) -> None:
        if not any(_TYPES[name](value) for name in names):
            _fail(path, "must be %s" % " or ".join(names))

    return check


def _limit(keyword: str, limit: Any) -> Check:
    kind, holds, words = _LIMITS[keyword]

    def check(value: Any, path: str) -> None:
        if _TYPES[kind](value) and not holds(value, limit):
            _fail(path, words % limit)

    return check


def _same(left: Any, right: Any) -> bool:
    return type(left) is type(right) and bool(left == right)


def _enum(values: Any) -> Check:
    def check(value: Any, path: str) -> None:
        if not any(_same(value, each) for each in values):
            _fail(path, "must be one of %s" % ", ".join(map(str, values)))

    return check


def _pattern(pattern: str) -> Check:
    search = re.compile(pattern).search

    def check(value: Any, path: str) -> None:
        if isinstance(value, str) and not search(value):
            _fail(path, "must match %s" % pattern)

    return check


def _items(schema: Any) -> Check:
    item = _compile(schema)

    def check(value: Any, path: str) -> None:
        if isinstance(value, list):
            for index, each in enumerate(value):
                item(each, "%s[%d]" % (path, index))

    return check


def _object(schema: Mapping[str, Any]) -> Check:
    required = schema.get("required", [])
    properties = {name: _compile(each) for name, each in schema.get("properties", {}).items()}
    defaults = {
        name: each["default"]
        for name, each in schema.get("properties", {}).items()
        if isinstance(each, Mapping) and "default" in each
    }
    more = schema.get("additionalProperties", True)
    others = None if more is False else _compile(more)

    def check(value: Any, path: str) -> None:
        if not isinstance(value, dict):
            return
        for name, default in defaults.items():
            if name not in value:
                value[name] = copy.deepcopy(default)
        for name in required:
            if name not in value:
                _fail(_join(path, name), "is missing")
        for name, each in value.items():
            known = properties.get(name, others)
            if known is None:
                _fail(_join(path, name), "is not known")
            else:
                known(each, _join(path, name))

    return check


def _join(path: str, name: str) -> str:
    return "%s.%s" % (path, name) if path else name


_KEYWORDS: Dict[str, Callable[[Any], Check]] = {
    "type": _type,
    "enum": _enum,
    "const": lambda value: _enum([value]),
    "pattern": _pattern,
    "items": _items,
    "properties": lambda _: lambda value, path: None,
}

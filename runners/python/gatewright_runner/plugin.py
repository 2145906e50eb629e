"""What a plugin's author writes: a class derived from PluginBase, in a file of the plugins' folder."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, Mapping, Optional

from .dataclass_config import DataclassConfig
from .json_schema import ConfigError, JsonSchema
from .request import Request
from .response import Response, UpstreamResponse


class PluginBase:
    """A plugin. One instance serves all calls, in several threads at once: keep no state of a request in it."""

    #: JSON Schema of the configuration (the keywords that `json_schema.py` names), or
    schema: Optional[Mapping[str, Any]] = None
    #: a dataclass that the configuration is read into. With either, `config` gets the parsed configuration.
    config_class: Optional[type] = None

    def name(self) -> str:
        """The name that a route's `ext-plugin-*` configuration calls it by."""
        raise NotImplementedError("a plugin has a name")

    def config(self, conf: Any) -> Any:
        """Called when the gateway announces a configuration; what it returns is `conf` of the filters.

        `conf` is the text of the configuration, or with `schema` or `config_class` the checked value. Any exception
        refuses the configuration.
        """
        return conf

    def filter(self, conf: Any, request: Request, response: Response) -> Any:
        """The request phase (`ext-plugin-pre-req`, `ext-plugin-post-req`). May be `async`."""
        raise NotImplementedError("the plugin has no filter for requests")

    def response_filter(self, conf: Any, response: UpstreamResponse) -> Any:
        """The response phase (`ext-plugin-post-resp`). May be `async`."""
        raise NotImplementedError("the plugin has no filter for responses")


class LoadedPlugin:
    """A plugin with its name and its configuration's check, made once when its file is loaded."""

    __slots__ = ("name", "plugin", "slow_until", "_check")

    def __init__(self, plugin: PluginBase) -> None:
        """Raises TypeError or ValueError where the plugin is not one."""
        name = plugin.name() if callable(plugin.name) else plugin.name
        if not isinstance(name, str) or not name:
            raise ValueError("the plugin's name is %r" % (name,))
        self.name = name
        self.plugin = plugin
        #: time.monotonic() until when its calls are expected to take long; `Server` says so.
        self.slow_until = 0.0
        self._check: Any = None
        if plugin.schema is not None:
            self._check = JsonSchema(plugin.schema).check
        if plugin.config_class is not None:
            if self._check is not None:
                raise ValueError("a plugin has a schema or a config_class, not both")
            if not dataclasses.is_dataclass(plugin.config_class):
                raise TypeError("config_class is not a dataclass")
            self._check = DataclassConfig(plugin.config_class).check
        for phase in ("filter", "response_filter"):
            if not callable(getattr(plugin, phase)):
                raise TypeError("%s is not a method" % phase)

    def configure(self, text: str) -> Any:
        """`conf` of the filters. Raises ConfigError, or whatever the plugin's `config` does."""
        if self._check is None:
            return self.plugin.config(text)
        try:
            value = json.loads(text)
        except ValueError as error:
            raise ConfigError("the configuration is not JSON: %s" % error) from None
        return self.plugin.config(self._check(value))

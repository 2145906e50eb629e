"""Runs Python plugins for Gatewright and Apache APISIX, in processes beside the gateway."""

from __future__ import annotations

__version__ = "0.1.0"

from .json_schema import ConfigError
from .plugin import PluginBase
from .request import Request
from .response import Response, UpstreamResponse

__all__ = ["ConfigError", "PluginBase", "Request", "Response", "UpstreamResponse"]

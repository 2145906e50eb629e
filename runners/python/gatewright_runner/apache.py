"""Lets plugins written for Apache's Python runner load unchanged: the names that they import, bound to ours.

Differences that such a plugin can see: `config` is called once for a configuration, and the plugin is one object, not one for each
request; `set_method` (which the protocol cannot carry) does not exist; a wrong header or status is an exception, not `False`.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any, Dict

from .plugin import PluginBase
from .request import Request
from .response import Response

_MODULES: Dict[str, Dict[str, Any]] = {
    "apisix": {},
    "apisix.runner": {},
    "apisix.runner.http": {},
    "apisix.runner.http.request": {"Request": Request},
    "apisix.runner.http.response": {"Response": Response},
    "apisix.runner.plugin": {},
    "apisix.runner.plugin.core": {"PluginBase": PluginBase},
}


def install() -> None:
    """Puts the modules into `sys.modules`, over an installed `apisix` package: in this process the runner is ours."""
    for name, members in _MODULES.items():
        module = ModuleType(name, "Apache's name for a part of gatewright_runner")
        module.__path__ = []
        vars(module).update(members)
        sys.modules[name] = module
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, module)

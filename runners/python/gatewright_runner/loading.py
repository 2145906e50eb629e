"""The folder of plugins: each .py file in it, loaded, and again when one changes.

A file that does not load keeps its last good plugins and says why. A name that two files claim belongs to neither.
"""

from __future__ import annotations

import inspect
import os
import sys
import threading
from types import ModuleType
from typing import Any, Dict, List, Optional, Tuple

from . import log
from .plugin import LoadedPlugin, PluginBase

_Stamp = Tuple[int, int, int]


class PluginFolder:
    """`plugins` is replaced as a whole; `generation` grows with each change."""

    def __init__(self, folder: str) -> None:
        self._folder = os.path.abspath(folder)
        self._stamps: Dict[str, _Stamp] = {}
        self._files: Dict[str, List[LoadedPlugin]] = {}
        self._lock = threading.Lock()
        self.plugins: Dict[str, LoadedPlugin] = {}
        self.generation = 0

    def refresh(self) -> bool:
        """Loads what changed since the last time; True where something did. Raises OSError where the folder cannot be read."""
        with self._lock:
            stamps = self._read_stamps()
            if stamps == self._stamps:
                return False
            changed = [name for name in stamps if stamps[name] != self._stamps.get(name)]
            if self._stamps and any(self._is_imported(name) for name in set(changed) | (set(self._stamps) - set(stamps))):
                # A file that plugins import: they all see the new one.
                changed = list(stamps)
            self._forget_imported()
            for name in set(self._files) - set(stamps):
                del self._files[name]
            loaded = [name for name in sorted(changed) if not name.startswith("_") and self._load(name)]
            self._stamps = stamps
            self._publish()
            for name in loaded:
                log.info("loaded %s: %s" % (name, ", ".join(each.name for each in self._files[name]) or "no plugin"))
            return True

    def _read_stamps(self) -> Dict[str, _Stamp]:
        stamps: Dict[str, _Stamp] = {}
        with os.scandir(self._folder) as found:
            for entry in found:
                if entry.name.endswith(".py") and entry.is_file():
                    status = entry.stat()
                    stamps[entry.name] = (status.st_mtime_ns, status.st_size, status.st_ino)
        return stamps

    def _imported(self) -> List[str]:
        """Modules that came from the folder by a plugin's `import`."""
        names: List[str] = []
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None)
            if isinstance(file, str) and os.path.dirname(file) == self._folder:
                names.append(name)
        return names

    def _is_imported(self, file: str) -> bool:
        return file[:-3] in self._imported()

    def _forget_imported(self) -> None:
        for name in self._imported():
            del sys.modules[name]

    def _load(self, file: str) -> bool:
        path = os.path.join(self._folder, file)
        try:
            self._files[file] = load_file(path)
            return True
        except BaseException as error:  # a file may raise anything, SystemExit too
            if isinstance(error, KeyboardInterrupt):
                raise
            kept = ", the version before it stays" if file in self._files else ""
            log.failure("%s does not load%s" % (file, kept), error)
            return False

    def _publish(self) -> None:
        owners: Dict[str, List[Tuple[str, LoadedPlugin]]] = {}
        for file, plugins in self._files.items():
            for plugin in plugins:
                owners.setdefault(plugin.name, []).append((file, plugin))
        for name, claims in owners.items():
            if len(claims) > 1:
                log.error("plugin %s is in %s: none of them is used" % (name, " and ".join(file for file, _ in claims)))
        self.plugins = {name: claims[0][1] for name, claims in owners.items() if len(claims) == 1}
        self.generation += 1


def load_file(path: str) -> List[LoadedPlugin]:
    """The plugins that a file defines, from its present text. Raises whatever the file does."""
    with open(path, "rb") as file:
        source = file.read()
    module = ModuleType("gatewright_plugins." + os.path.basename(path)[:-3])
    # Not `__file__`: what the folder's own `import` brought is told by it.
    module.__dict__["__spec__"] = None
    sys.modules[module.__name__] = module  # dataclasses and pickle look their module up
    exec(compile(source, path, "exec", dont_inherit=True), module.__dict__)
    plugins = [LoadedPlugin(class_()) for class_ in _classes(module)]
    plain = _module_plugin(module)
    return plugins + ([plain] if plain else [])


def _classes(module: ModuleType) -> List[Any]:
    return [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, PluginBase)
        and value.__module__ == module.__name__
        and not inspect.isabstract(value)
        and value.name is not PluginBase.name
    ]


def _module_plugin(module: ModuleType) -> Optional[LoadedPlugin]:
    """A file without a class: `name = '…'` and functions `filter`, `response_filter`, `config` of the same shapes."""
    members = vars(module)
    if not isinstance(members.get("name"), str) or not {"filter", "response_filter"} & set(members):
        return None
    plugin = PluginBase()
    for member in ("name", "schema", "config_class", "config", "filter", "response_filter"):
        if member in members:
            setattr(plugin, member, members[member])
    return LoadedPlugin(plugin)

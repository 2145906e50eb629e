"""Configurations that the gateway announced, by token: read once, checked again when a plugin's file changes.

All processes of a runner serve the same tokens: the one that gets PrepareConf tells the supervisor, the others ask it.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from typing import Any, Dict, List, Optional, Tuple

from . import log, protocol
from .json_schema import ConfigError
from .loading import PluginFolder
from .plugin import LoadedPlugin

REGISTER = 1
LOOK_UP = 2

#: Each plugin of a configuration with its `conf`.
Chain = List[Tuple[LoadedPlugin, Any]]

_REPLY = struct.Struct("<IdI")
#: The supervisor answers from memory.
_SUPERVISOR_TIMEOUT_SECONDS = 5.0
_MAX_CACHED = 10_000


class Refused(Exception):
    """The configuration cannot be served; the message says why."""


def receive_exactly(connection: socket.socket, size: int) -> bytes:
    """Raises ConnectionError where the other side closes before."""
    pieces = bytearray()
    while len(pieces) < size:
        piece = connection.recv(min(size - len(pieces), 1 << 20))
        if not piece:
            raise ConnectionError("closed in the middle of a message")
        pieces += piece
    return bytes(pieces)


class Supervisor:
    """A process's line to the supervisor. Question: 1 byte kind, 4 bytes length, then a PrepareConf message or a token.
    Answer: token (0: none), seconds that it lives on, length, the message (for LOOK_UP)."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(_SUPERVISOR_TIMEOUT_SECONDS)
        self._connection = connection
        self._lock = threading.Lock()

    def ask(self, kind: int, payload: bytes) -> Tuple[int, float, bytes]:
        """Raises OSError where the supervisor does not answer."""
        with self._lock:
            self._connection.sendall(struct.pack("<BI", kind, len(payload)) + payload)
            token, lives, size = _REPLY.unpack(receive_exactly(self._connection, _REPLY.size))
            return token, lives, receive_exactly(self._connection, size)


class _Configuration:
    __slots__ = ("plugins", "chain", "generation", "expires", "refusal")

    def __init__(self, plugins: List[Tuple[str, str]], expires: float) -> None:
        self.plugins = plugins
        self.expires = expires
        self.chain: Chain = []
        self.generation = -1
        self.refusal: Optional[str] = None


class Configurations:
    def __init__(self, folder: PluginFolder, supervisor: Supervisor) -> None:
        self._folder = folder
        self._supervisor = supervisor
        self._by_token: Dict[int, _Configuration] = {}

    def prepare(self, message: bytes) -> int:
        """`message`: PrepareConf.Req. Returns its token. Raises Refused, or OSError where the supervisor is gone."""
        plugins = protocol.read_prepare_conf(message, 0).plugins
        generation = self._folder.generation
        chain = self._chain(plugins)
        token, lives, _ = self._supervisor.ask(REGISTER, message)
        configuration = self._remember(token, plugins, lives)
        configuration.chain, configuration.generation = chain, generation
        return token

    def chain(self, token: int) -> Optional[Chain]:
        """What to run; None for a token that is not known (any more). Raises Refused where a changed plugin now refuses."""
        configuration = self._by_token.get(token)
        if configuration is None or configuration.expires < time.monotonic():
            configuration = self._look_up(token)
            if configuration is None:
                return None
        generation = self._folder.generation
        if configuration.generation != generation:
            self._compile(configuration, generation)
        if configuration.refusal is not None:
            raise Refused(configuration.refusal)
        return configuration.chain

    def _compile(self, configuration: _Configuration, generation: int) -> None:
        try:
            configuration.chain = self._chain(configuration.plugins)
            configuration.refusal = None
        except Refused as refusal:
            configuration.refusal = str(refusal)
        configuration.generation = generation

    def _chain(self, plugins: List[Tuple[str, str]]) -> Chain:
        chain: Chain = []
        loaded = self._folder.plugins
        for name, text in plugins:
            plugin = loaded.get(name)
            if plugin is None:
                raise Refused("plugin %s is not known" % name)
            try:
                chain.append((plugin, plugin.configure(text)))
            except ConfigError as error:
                raise Refused("plugin %s: %s" % (name, error)) from None
            except Exception as error:
                log.failure("plugin %s: config" % name, error)
                raise Refused("plugin %s: %s" % (name, type(error).__name__)) from None
        return chain

    def _look_up(self, token: int) -> Optional[_Configuration]:
        self._by_token.pop(token, None)
        found, lives, message = self._supervisor.ask(LOOK_UP, struct.pack("<I", token))
        if not found:
            return None
        return self._remember(token, protocol.read_prepare_conf(message, 0).plugins, lives)

    def _remember(self, token: int, plugins: List[Tuple[str, str]], lives: float) -> _Configuration:
        if len(self._by_token) >= _MAX_CACHED:
            self._by_token.clear()
        configuration = _Configuration(plugins, time.monotonic() + lives)
        self._by_token[token] = configuration
        return configuration

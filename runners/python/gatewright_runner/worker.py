"""One process of the runner: what it consists of, its start and its end."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sys
import threading
import time
from typing import Any

from . import apache, log
from .configurations import Configurations, Supervisor
from .connection import Connection
from .loading import PluginFolder
from .server import Server
from .watchdog import Watchdog

#: Another connection beyond these is closed at once.
MAX_CONNECTIONS = 1024
_RELOAD_SECONDS = 0.5
#: Calls that run have this long to end after SIGTERM; APISIX sends SIGKILL after a second.
_DRAIN_SECONDS = 0.8


class _Stop(BaseException):
    pass


def run(listener: socket.socket, supervisor: socket.socket, lifeline: int, folder: str, timeout_seconds: float) -> None:
    """Serves until SIGTERM, or until the supervisor is gone (`lifeline`, a pipe's end, closes). Does not return."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # until there is something to finish
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with, args=(lifeline,), daemon=True).start()
    apache.install()
    sys.path.insert(0, os.path.abspath(folder))
    sys.dont_write_bytecode = True
    plugins = PluginFolder(folder)
    plugins.refresh()
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="async plugins", daemon=True).start()
    threading.Thread(target=_reload, args=(plugins,), name="reload", daemon=True).start()
    configurations = Configurations(plugins, Supervisor(supervisor))
    server = Server()
    watchdog = Watchdog(server, loop, timeout_seconds)
    # What is loaded now lives as long as the process; a call leaves no cycles.
    gc.collect()
    gc.freeze()
    try:
        signal.signal(signal.SIGTERM, _stop)
        server.start()
        while True:
            # One at a time, blocking: the kernel then gives connections to the processes in turn.
            accepted = _accept(listener)
            if len(server.connections) < MAX_CONNECTIONS:
                server.add(Connection(accepted, configurations, loop, timeout_seconds, server))
            else:
                log.error("more than %d connections" % MAX_CONNECTIONS)
                accepted.close()
    except _Stop:
        listener.close()
    until = time.monotonic() + _DRAIN_SECONDS
    while watchdog.active() and time.monotonic() < until:
        time.sleep(0.01)
    sys.stdout.flush()
    os._exit(0)


def _accept(listener: socket.socket) -> socket.socket:
    while True:
        try:
            return listener.accept()[0]
        except OSError as error:  # no file descriptor left, or a client that went away
            log.error("accept: %s" % error)
            time.sleep(0.05)


def _stop(_signal: int, _frame: Any) -> None:
    raise _Stop


def _die_with(lifeline: int) -> None:
    os.read(lifeline, 1)
    os._exit(1)


def _reload(plugins: PluginFolder) -> None:
    while True:
        time.sleep(_RELOAD_SECONDS)
        try:
            plugins.refresh()
        except OSError as error:
            log.error("the plugins' folder: %s" % error)
            time.sleep(5)

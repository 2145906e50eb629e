"""Ends calls whose plugin takes too long, and the process when too many plugins hang in it."""

from __future__ import annotations

import asyncio
import ctypes
import os
import threading
import time
from typing import Set

from . import log
from .connection import Connection, DeadlineExceeded

#: A thread that hangs cannot be ended from outside, only its process; the supervisor starts another.
_MAX_HANGING = 16
_GRACE_SECONDS = 0.1
EXIT_HANGING = 70


class Watchdog:
    def __init__(self, loop: asyncio.AbstractEventLoop, timeout_seconds: float) -> None:
        self._loop = loop
        self._timeout = timeout_seconds
        self._connections: Set[Connection] = set()
        self._hanging: Set[Connection] = set()
        self._loop_alive = time.monotonic()
        threading.Thread(target=self._run, name="watchdog", daemon=True).start()

    def add(self, connection: Connection) -> None:
        self._connections.add(connection)

    def remove(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self._hanging.discard(connection)

    def active(self) -> int:
        """Calls that are not answered yet."""
        return sum(1 for connection in list(self._connections) if connection.deadline)

    def count(self) -> int:
        return len(self._connections)

    def _run(self) -> None:
        pause = min(self._timeout / 4, 0.25)
        while True:
            time.sleep(pause)
            now = time.monotonic()
            for connection in list(self._connections):
                if connection.deadline and connection.abandon(now - _GRACE_SECONDS):
                    self._abandoned(connection)
            self._loop.call_soon_threadsafe(self._heartbeat)
            if len(self._hanging) >= _MAX_HANGING:
                self._exit("%d plugins hang" % len(self._hanging))
            if now - self._loop_alive > self._timeout + 1:
                self._exit("an async plugin blocks the event loop")

    def _abandoned(self, connection: Connection) -> None:
        log.error("plugin %s: no answer within %s s" % (connection.plugin or "?", self._timeout))
        self._hanging.add(connection)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(connection.thread_id), ctypes.py_object(DeadlineExceeded)
        )

    def _heartbeat(self) -> None:
        self._loop_alive = time.monotonic()

    def _exit(self, why: str) -> None:
        log.error("%s: this process ends" % why)
        os._exit(EXIT_HANGING)

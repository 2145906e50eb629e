"""Ends calls whose plugin takes too long and connections with half a frame, and the process when too many plugins hang in it."""

from __future__ import annotations

import asyncio
import ctypes
import os
import threading
import time
from typing import Set

from . import log
from .connection import FRAME_TIMEOUT_SECONDS, Connection, DeadlineExceeded
from .server import Server

#: A thread that hangs cannot be ended from outside, only its process; the supervisor starts another.
_MAX_HANGING = 16
_GRACE_SECONDS = 0.1
EXIT_HANGING = 70


class Watchdog:
    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop, timeout_seconds: float) -> None:
        self._server = server
        self._loop = loop
        self._timeout = timeout_seconds
        #: Connections of threads that were told to stop and did not.
        self._hanging: Set[Connection] = set()
        self._loop_alive = time.monotonic()
        threading.Thread(target=self._run, name="watchdog", daemon=True).start()

    def active(self) -> int:
        """Calls that are not answered yet."""
        return sum(1 for connection in list(self._server.connections.values()) if connection.deadline)

    def _run(self) -> None:
        pause = min(self._timeout / 4, 0.25)
        while True:
            time.sleep(pause)
            now = time.monotonic()
            connections = list(self._server.connections.values())
            self._hanging.intersection_update(connections)
            for connection in connections:
                if connection.deadline and connection.abandon(now - _GRACE_SECONDS):
                    self._abandoned(connection)
                elif 0 < connection.incomplete_since < now - FRAME_TIMEOUT_SECONDS:
                    connection.incomplete_since = 0.0
                    connection.shut("half a frame for %d seconds" % FRAME_TIMEOUT_SECONDS)
            self._loop.call_soon_threadsafe(self._heartbeat)
            if len(self._hanging) >= _MAX_HANGING:
                self._exit("%d plugins hang" % len(self._hanging))
            if now - self._loop_alive > self._timeout + 1:
                self._exit("an async plugin blocks the event loop")

    def _abandoned(self, connection: Connection) -> None:
        name = connection.loaded.name if connection.loaded else "?"
        log.error("plugin %s: no answer within %s s" % (name, self._timeout))
        self._hanging.add(connection)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(connection.thread_id), ctypes.py_object(DeadlineExceeded)
        )

    def _heartbeat(self) -> None:
        self._loop_alive = time.monotonic()

    def _exit(self, why: str) -> None:
        log.error("%s: this process ends" % why)
        os._exit(EXIT_HANGING)

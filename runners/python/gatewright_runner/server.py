"""The connections of one process, served by one thread as long as plugins do not wait, by more where they do.

One thread leads: it waits for events, and handles each itself, plugins and all, so that no call pays for a change of threads. When a call
waits (for the gateway, for an async plugin) or turns out to take long, another thread takes the lead, and this one ends its call alone.

    lead ──event──▶ handle ──▶ lead            a call that does not wait
                      └─ give away ──▶ finish the call, hand the connection back, rest until it is needed

Threads alone would do, but not well: with many of them the interpreter's lock goes to and fro at each system call, and calls a second
fall to a third or less, at times. `docs/decisions/0009-python-runner.md` has the figures.
"""

from __future__ import annotations

import select
import threading
import time
from collections import deque
from typing import Deque, Dict, Optional

from .connection import Connection

#: A call that the leader is in for longer loses it the lead; its plugin counts as slow for a while, and starts without the lead.
_SLOW_SECONDS = 0.004
_SLOW_FOR_SECONDS = 30.0


class Server:
    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._ready: Deque[int] = deque()
        self.connections: Dict[int, Connection] = {}
        self._lock = threading.Lock()
        #: What the leader handles now; None while it waits for events, or once it lost the lead.
        self._handled: Optional[Connection] = None
        self._began = 0.0
        self._resting = 0
        self._vacant = threading.Semaphore(0)
        self._calls = threading.Event()
        self._watching = True

    def start(self) -> None:
        threading.Thread(target=self._watch, name="slow calls", daemon=True).start()
        threading.Thread(target=self._serve, daemon=True).start()

    def add(self, connection: Connection) -> None:
        with self._lock:
            self.connections[connection.number] = connection
            self._epoll.register(connection.number, select.EPOLLIN)

    def give_away(self, connection: Connection) -> None:
        """By the thread that handles `connection`, before it waits; or by `_watch`. Does nothing where it does not lead."""
        with self._lock:
            if self._handled is not connection:
                return
            self._handled = None
            # Its thread alone reads from it until it hands it back.
            self._epoll.unregister(connection.number)
            rests = self._resting > 0
            if rests:
                self._resting -= 1
        if rests:
            self._vacant.release()
        else:
            threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            self._lead()
            with self._lock:
                self._resting += 1
            self._vacant.acquire()

    def _lead(self) -> None:
        """Until the lead is given away."""
        ready = self._ready
        while True:
            if not ready:
                ready.extend([number for number, _ in self._epoll.poll()])
                continue
            number = ready.popleft()
            connection = self.connections.get(number)
            if connection is None:
                continue  # It was closed since.
            self._began = time.monotonic()
            self._handled = connection
            if not self._watching:
                self._calls.set()
            alive = connection.handle()
            with self._lock:
                leads = self._handled is connection
                if leads:
                    self._handled = None
                if not alive:
                    self._forget(connection, leads)
                elif not leads:
                    self._epoll.register(number, select.EPOLLIN)
            if not leads:
                return

    def _forget(self, connection: Connection, registered: bool) -> None:
        if registered:
            self._epoll.unregister(connection.number)
        self.connections.pop(connection.number, None)
        connection.close()

    def _watch(self) -> None:
        seen = 0.0
        quiet = 0
        while True:
            time.sleep(_SLOW_SECONDS)
            connection, began = self._handled, self._began
            if connection is not None and began == seen:
                slow = connection.loaded
                if slow is not None:
                    slow.slow_until = time.monotonic() + _SLOW_FOR_SECONDS
                self.give_away(connection)
            quiet = quiet + 1 if connection is None and began == seen else 0
            seen = began
            if quiet > 50:
                # Nothing happens: the next call wakes it.
                self._calls.clear()
                self._watching = False
                if self._handled is None:
                    self._calls.wait()
                self._watching = True
                quiet = 0

"""The first process: binds the socket, starts the others, starts them again, and remembers every configuration's token.

It loads no plugin and serves no call, so that nothing a plugin does can end it. Single-threaded: it forks.
"""

from __future__ import annotations

import os
import secrets
import selectors
import signal
import socket
import stat
import struct
import sys
import time
from typing import Any, Dict, List, Optional, Tuple

from . import log, worker
from .configurations import LOOK_UP, REGISTER

_BACKLOG = 1024
#: A token outlives the gateway's own cache of it by this, so that it does not die on the way.
_EXPIRY_SLACK_SECONDS = 60
_MAX_CONFIGURATIONS = 16_384
_MAX_CONFIGURATION_BYTES = 64 << 20
#: A process that ends sooner is started again after a pause, up to 8 s.
_STABLE_SECONDS = 10
_MAX_PAUSE_SECONDS = 8


class AlreadyServed(Exception):
    """Another process serves the socket, or the path is no socket."""


def bind(path: str, mode: int) -> socket.socket:
    """Listens at `path`, in place of a socket that nobody serves any more. Raises AlreadyServed or OSError.

    Bound beside it and renamed, so that there is no moment with another mode, or without a socket.
    """
    _check_stale(path)
    beside = "%s.%d" % (path, os.getpid())
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        listener.bind(beside)
    finally:
        os.umask(mask)
    os.chmod(beside, mode)
    listener.listen(_BACKLOG)
    os.rename(beside, path)
    return listener


def _check_stale(path: str) -> None:
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise AlreadyServed("%s is not a socket" % path)
    except FileNotFoundError:
        return
    # A runner before this one may be on its way out.
    until = time.monotonic() + 3
    while True:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(1)
            try:
                probe.connect(path)
            except (ConnectionRefusedError, FileNotFoundError):
                return
        if time.monotonic() > until:
            raise AlreadyServed("%s is served by another process" % path)
        time.sleep(0.1)


class Tokens:
    """Configurations by token. Tokens are random: one of an earlier run finds nothing, not another configuration."""

    def __init__(self, expire_seconds: float) -> None:
        self._expire = expire_seconds
        self._messages: Dict[int, Tuple[bytes, float]] = {}
        self._tokens: Dict[bytes, int] = {}
        self._bytes = 0

    def register(self, message: bytes) -> Tuple[int, float]:
        """Its token and the seconds that it lives; the same again for the same message."""
        now = time.monotonic()
        token = self._tokens.get(message)
        if token is not None:
            self._forget(token)
        self._make_room(now, len(message))
        while token is None or token in self._messages:
            token = secrets.randbelow(0xFFFFFFFF) + 1
        lives = self._expire + _EXPIRY_SLACK_SECONDS
        self._messages[token] = (message, now + lives)
        self._tokens[message] = token
        self._bytes += len(message)
        return token, lives

    def look_up(self, token: int) -> Optional[Tuple[bytes, float]]:
        found = self._messages.get(token)
        if found is None:
            return None
        message, expires = found
        lives = expires - time.monotonic()
        if lives <= 0:
            self._forget(token)
            return None
        return message, lives

    def _make_room(self, now: float, size: int) -> None:
        """The oldest come first: they are dropped where they expired, or where there are too many."""
        for token, (_, expires) in list(self._messages.items()):
            full = len(self._messages) >= _MAX_CONFIGURATIONS or self._bytes + size > _MAX_CONFIGURATION_BYTES
            if expires > now and not full:
                return
            self._forget(token)

    def _forget(self, token: int) -> None:
        message, _ = self._messages.pop(token)
        del self._tokens[message]
        self._bytes -= len(message)


class _Process:
    def __init__(self, slot: int, pid: int, line: socket.socket) -> None:
        self.slot = slot
        self.pid = pid
        self.line = line
        self.started = time.monotonic()
        self.input = bytearray()
        self.output = bytearray()


class Supervisor:
    def __init__(
        self, path: str, listener: socket.socket, folder: str, processes: int, timeout: float, expire: float
    ) -> None:
        """`path` is where `listener` listens: it was bound under another name."""
        self._path = path
        self._listener = listener
        self._folder = folder
        self._count = processes
        self._timeout = timeout
        self._tokens = Tokens(expire)
        self._selector = selectors.DefaultSelector()
        self._lifeline = os.pipe()
        self._by_pid: Dict[int, _Process] = {}
        self._failures = [0] * processes
        #: Slots to start again, and when.
        self._due: List[Tuple[float, int]] = [(0.0, slot) for slot in range(processes)]
        self._stopping = False

    def run(self) -> None:
        """Until SIGTERM or SIGINT, from here on; then the processes have ended."""
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_read, False)
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._selector.register(wake_read, selectors.EVENT_READ, None)
        log.info("listening on unix:%s, plugins from %s, %d process(es)" % (self._path, self._folder, self._count))
        while not self._stopping:
            self._start_due()
            for key, events in self._selector.select(self._pause()):
                if key.data is None:
                    os.read(wake_read, 4096)
                else:
                    self._talk(key.data, events)
            self._reap()
        self._end()

    def _pause(self) -> Optional[float]:
        return max(0.0, min(at for at, _ in self._due) - time.monotonic()) if self._due else None

    def _start_due(self) -> None:
        now = time.monotonic()
        for at, slot in [each for each in self._due if each[0] <= now]:
            self._due.remove((at, slot))
            self._fork(slot)

    def _fork(self, slot: int) -> None:
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            self._become_worker(ours, theirs)
        theirs.close()
        ours.setblocking(False)
        process = _Process(slot, pid, ours)
        self._by_pid[pid] = process
        self._selector.register(ours, selectors.EVENT_READ, process)

    def _become_worker(self, ours: socket.socket, theirs: socket.socket) -> None:
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._selector.close()
            os.close(self._lifeline[1])
            ours.close()
            for process in self._by_pid.values():
                process.line.close()
            worker.run(self._listener, theirs, self._lifeline[0], self._folder, self._timeout)
        except BaseException as error:
            log.failure("a process does not start", error)
        finally:
            os._exit(1)

    def _talk(self, process: _Process, events: int) -> None:
        try:
            if events & selectors.EVENT_READ:
                piece = process.line.recv(1 << 20)
                if not piece:
                    self._selector.unregister(process.line)
                    return
                process.input += piece
                self._answer(process)
            if process.output:
                del process.output[: process.line.send(process.output)]
        except BlockingIOError:
            pass
        except OSError:
            self._selector.unregister(process.line)
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if process.output else 0)
        self._selector.modify(process.line, wanted, process)

    def _answer(self, process: _Process) -> None:
        data = process.input
        while len(data) >= 5:
            kind, size = struct.unpack_from("<BI", data)
            if len(data) < 5 + size:
                return
            payload = bytes(data[5 : 5 + size])
            del data[: 5 + size]
            if kind == REGISTER:
                token, lives = self._tokens.register(payload)
                process.output += struct.pack("<IdI", token, lives, 0)
            elif kind == LOOK_UP:
                (token,) = struct.unpack("<I", payload)
                message, lives = self._tokens.look_up(token) or (None, 0.0)
                known = b"" if message is None else message
                process.output += struct.pack("<IdI", 0 if message is None else token, lives, len(known)) + known

    def _reap(self) -> None:
        while self._by_pid:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            process = self._by_pid.pop(pid, None)
            if process is not None:
                self._ended(process, status)

    def _ended(self, process: _Process, status: int) -> None:
        if process.line in self._selector.get_map():
            self._selector.unregister(process.line)
        process.line.close()
        now = time.monotonic()
        stable = now - process.started > _STABLE_SECONDS
        self._failures[process.slot] = 0 if stable else self._failures[process.slot] + 1
        # The first time at once, then 1 s, 2 s, 4 s, 8 s.
        failures = self._failures[process.slot]
        pause = 0 if failures <= 1 else min(_MAX_PAUSE_SECONDS, 2 ** (failures - 2))
        how = "by signal %d" % os.WTERMSIG(status) if os.WIFSIGNALED(status) else "with %d" % os.WEXITSTATUS(status)
        log.error("process %d ended %s, another starts%s" % (process.pid, how, " in %d s" % pause if pause else ""))
        self._due.append((now + pause, process.slot))

    def _stop(self, _signal: int, _frame: Any) -> None:
        self._stopping = True

    def _end(self) -> None:
        self._listener.close()
        for pid in self._by_pid:
            os.kill(pid, signal.SIGTERM)
        until = time.monotonic() + 1.5
        while self._by_pid and time.monotonic() < until:
            pid, _ = os.waitpid(-1, os.WNOHANG)
            self._by_pid.pop(pid, None)
            if pid == 0:
                time.sleep(0.01)
        for pid in self._by_pid:
            os.kill(pid, signal.SIGKILL)


def serve(path: str, mode: int, folder: str, processes: int, timeout: float, expire: float) -> None:
    """Binds, runs, removes the socket. Raises AlreadyServed, OSError."""
    listener = bind(path, mode)
    identity = os.stat(path).st_ino
    try:
        Supervisor(path, listener, folder, processes, timeout, expire).run()
    finally:
        try:
            if os.stat(path).st_ino == identity:
                os.unlink(path)
        except FileNotFoundError:
            pass
    sys.stdout.flush()

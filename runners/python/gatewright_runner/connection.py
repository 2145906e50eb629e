"""One connection of the gateway, handled by one thread at a time: a frame in, plugins run, a frame out.

    bytes ──▶ whole frame ──▶ PrepareConf ──▶ token or error
                    └───────▶ HTTPReqCall / HTTPRespCall ──▶ plugins ⇄ ExtraInfo ──▶ answer or error
    anything else, or a frame that cannot be read: an error frame, and the connection is closed

A call that outlives its deadline is answered with an error by `Watchdog`, which closes the connection; whoever claims the
call first, by `_lock`, is the one that writes.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING, Any, Optional

from . import log, protocol
from .configurations import Configurations, Refused
from .flatbuffer import MalformedFrame
from .plugin import LoadedPlugin
from .request import Request
from .response import Response, UpstreamResponse

if TYPE_CHECKING:
    from .server import Server

#: A frame that has begun is whole within this; between frames a connection may rest.
FRAME_TIMEOUT_SECONDS = 10
#: Configurations and request heads. What the gateway is asked for (bodies) may fill a frame (16 MiB).
MAX_CALL_BYTES = 4 << 20

_READ_BYTES = 1 << 16
HEADER_BYTES = protocol.HEADER_BYTES


class DeadlineExceeded(BaseException):
    """Raised in the thread of a plugin that takes too long. Not an Exception, so that a plugin does not swallow it."""


class _Close(BaseException):
    """The connection ends; the message says why, for the log. Not an Exception, for the same reason."""


class Connection:
    def __init__(
        self,
        connection: socket.socket,
        configurations: Configurations,
        loop: asyncio.AbstractEventLoop,
        timeout_seconds: float,
        server: "Server",
    ) -> None:
        seconds = struct.pack("ll", FRAME_TIMEOUT_SECONDS, 0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, seconds)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, seconds)
        self._socket = connection
        #: The file descriptor, also once it is closed.
        self.number = connection.fileno()
        self._server = server
        self._configurations = configurations
        self._loop = loop
        self._timeout = timeout_seconds
        self._lock = threading.Lock()
        self._asking = threading.Lock()
        self._rest = b""
        #: time.monotonic() since when a frame is incomplete; 0 where none is.
        self.incomplete_since = 0.0
        self.thread_id = 0
        #: time.monotonic() by which the call has to be answered; 0 between calls.
        self.deadline = 0.0
        #: The plugin that runs.
        self.loaded: Optional[LoadedPlugin] = None
        self._abandoned = False

    def handle(self) -> bool:
        """Reads what there is and answers what is whole. False where the connection is over."""
        self.thread_id = threading.get_ident()
        try:
            piece = self._socket.recv(_READ_BYTES, socket.MSG_DONTWAIT)
            if not piece:
                if self._rest:
                    raise _Close("half a frame")
                return False
            data = self._rest + piece if self._rest else piece
            while len(data) >= HEADER_BYTES:
                size = HEADER_BYTES + int.from_bytes(data[1:4], "big")
                if size > MAX_CALL_BYTES:
                    self._socket.sendall(protocol.write_error(protocol.BAD_REQUEST))
                    raise _Close("a frame of %d bytes" % size)
                if len(data) < size:
                    break
                # What a plugin asks for is read after it.
                self._rest = data[size:]
                self._socket.sendall(self._answer(data[:size]))
                data = self._rest
            self._rest = data
            self.incomplete_since = time.monotonic() if data else 0.0
            return True
        except BlockingIOError:
            return True
        except _Close as reason:
            log.warn("connection closed: %s" % reason)
        except (OSError, DeadlineExceeded):
            pass  # The gateway went away, or the watchdog closed it and said why.
        return False

    def close(self) -> None:
        self.deadline = 0.0
        self._socket.close()

    def shut(self, why: str) -> None:
        """By the watchdog: ends the connection; its event tells the thread that handles it."""
        log.warn("connection closed: %s" % why)
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def abandon(self, now: float) -> bool:
        """By the watchdog: if the call's time is over, answers it with an error and closes. True where it did."""
        with self._lock:
            if not self.deadline or self.deadline > now or self._abandoned:
                return False
            self._abandoned = True
        try:
            self._socket.send(protocol.write_error(protocol.SERVICE_UNAVAILABLE), socket.MSG_DONTWAIT)
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        return True

    def _claim(self) -> None:
        """The call is over, the answer is ours to write; or the watchdog was there before."""
        with self._lock:
            if self._abandoned:
                raise DeadlineExceeded
            self.deadline = 0.0

    def _answer(self, data: bytes) -> bytes:
        kind = data[0]
        self.deadline = time.monotonic() + self._timeout
        try:
            if kind == protocol.HTTP_REQ_CALL:
                answer = self._request(data)
            elif kind == protocol.HTTP_RESP_CALL:
                answer = self._response(data)
            elif kind == protocol.PREPARE_CONF:
                answer = protocol.write_token(self._configurations.prepare(data[HEADER_BYTES :]))
            else:
                raise MalformedFrame("frame of type %d" % kind)
        except Refused as refusal:
            log.error("refused: %s" % refusal)
            answer = protocol.write_error(protocol.BAD_REQUEST)
        except MalformedFrame as error:
            self._claim()
            self._socket.sendall(protocol.write_error(protocol.BAD_REQUEST))
            raise _Close("malformed frame: %s" % error) from None
        except (_Close, DeadlineExceeded):
            raise
        except BaseException as error:  # a plugin's SystemExit too
            log.failure("plugin %s" % self.loaded.name if self.loaded else "a call", error)
            answer = protocol.write_error(protocol.SERVICE_UNAVAILABLE)
        self.loaded = None
        self._claim()
        return answer

    def _request(self, data: bytes) -> bytes:
        head = protocol.read_request(data, HEADER_BYTES)
        chain = self._configurations.chain(head.conf_token)
        if chain is None:
            return protocol.write_error(protocol.CONF_TOKEN_NOT_FOUND)
        request = Request(data, head, self._ask)
        response = Response()
        for loaded, conf in chain:
            self._begin(loaded)
            result = loaded.plugin.filter(conf, request, response)
            if result is not None:
                self._finish(result)
            if response.changed():
                return response.answer(head.id)
        return request.answer()

    def _response(self, data: bytes) -> bytes:
        head = protocol.read_response(data, HEADER_BYTES)
        chain = self._configurations.chain(head.conf_token)
        if chain is None:
            return protocol.write_error(protocol.CONF_TOKEN_NOT_FOUND)
        response = UpstreamResponse(data, head, self._ask)
        for loaded, conf in chain:
            self._begin(loaded)
            result = loaded.plugin.response_filter(conf, response)
            if result is not None:
                self._finish(result)
        return response.answer()

    def _begin(self, loaded: LoadedPlugin) -> None:
        self.loaded = loaded
        if loaded.slow_until and loaded.slow_until > time.monotonic():
            self._server.give_away(self)

    def _finish(self, result: Any) -> None:
        """Waits for an `async` filter; its value, like that of the others, means nothing."""
        if not inspect.iscoroutine(result):
            return
        self._server.give_away(self)
        task = asyncio.run_coroutine_threadsafe(result, self._loop)
        try:
            task.result(max(0.0, self.deadline - time.monotonic()))
        except concurrent.futures.TimeoutError:
            if task.done():
                raise
            task.cancel()
            raise TimeoutError("no answer within %s s" % self._timeout) from None

    def _ask(self, question: bytes) -> Optional[bytes]:
        """ExtraInfo: the gateway answers on the same connection before anything else."""
        self._server.give_away(self)
        with self._asking:
            self._socket.sendall(question)
            data = self._read_answer()
        if data[0] != protocol.EXTRA_INFO:
            raise _Close("the gateway did not answer a question for extra information")
        return protocol.read_extra_info(data, HEADER_BYTES)

    def _read_answer(self) -> bytes:
        """The gateway's next frame, whole. It may be as large as a frame can be."""
        pieces = [self._rest]
        have, size = len(self._rest), HEADER_BYTES
        while have < size:
            try:
                piece = self._socket.recv(_READ_BYTES)
            except BlockingIOError:  # SO_RCVTIMEO
                raise _Close("no answer of the gateway for %d seconds" % FRAME_TIMEOUT_SECONDS) from None
            if not piece:
                raise _Close("the gateway closed in the midst of a call")
            pieces.append(piece)
            have += len(piece)
            if size == HEADER_BYTES and have >= HEADER_BYTES:
                head = b"".join(pieces)
                pieces = [head]
                size = HEADER_BYTES + int.from_bytes(head[1:4], "big")
        data = b"".join(pieces)
        self._rest = data[size:]
        return data[:size]

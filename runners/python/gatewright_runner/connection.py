"""One connection of the gateway, served by a thread: a frame in, plugins run, a frame out.

    read a frame ──▶ PrepareConf ──▶ token or error
         ▲      └──▶ HTTPReqCall / HTTPRespCall ──▶ plugins ⇄ ExtraInfo ──▶ answer or error
         └──────────────────────────────────────────────────┘
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
from typing import Any, Optional

from . import log, protocol
from .configurations import Configurations, Refused
from .flatbuffer import MalformedFrame
from .request import Request
from .response import Response, UpstreamResponse

#: A frame that has begun is whole within this; between frames a connection may rest.
FRAME_TIMEOUT_SECONDS = 10
#: Configurations and request heads. What the gateway is asked for (bodies) may fill a frame (16 MiB).
MAX_CALL_BYTES = 4 << 20

_READ_BYTES = 1 << 16


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
    ) -> None:
        seconds = struct.pack("ll", FRAME_TIMEOUT_SECONDS, 0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, seconds)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, seconds)
        self._socket = connection
        self._configurations = configurations
        self._loop = loop
        self._timeout = timeout_seconds
        self._lock = threading.Lock()
        self._asking = threading.Lock()
        self._rest = b""
        self.thread_id = threading.get_ident()
        #: time.monotonic() by which the call has to be answered; 0 between calls.
        self.deadline = 0.0
        #: The plugin that runs, for the log.
        self.plugin = ""
        self._abandoned = False

    def serve(self) -> None:
        """Until the gateway closes, or sends what cannot be read."""
        try:
            while True:
                data = self._read_frame(resting=True)
                if data is None:
                    return
                self._socket.sendall(self._answer(data))
        except _Close as reason:
            log.warn("connection closed: %s" % reason)
        except (OSError, DeadlineExceeded):
            pass  # The gateway went away, or the watchdog closed it and said why.
        finally:
            self.deadline = 0.0
            self._socket.close()

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
                answer = protocol.write_token(self._configurations.prepare(data[protocol.HEADER_BYTES :]))
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
            log.failure("plugin %s" % self.plugin if self.plugin else "a call", error)
            answer = protocol.write_error(protocol.SERVICE_UNAVAILABLE)
        self.plugin = ""
        self._claim()
        return answer

    def _request(self, data: bytes) -> bytes:
        head = protocol.read_request(data, protocol.HEADER_BYTES)
        chain = self._configurations.chain(head.conf_token)
        if chain is None:
            return protocol.write_error(protocol.CONF_TOKEN_NOT_FOUND)
        request = Request(data, head, self._ask)
        response = Response()
        for loaded, conf in chain:
            self.plugin = loaded.name
            result = loaded.plugin.filter(conf, request, response)
            if result is not None:
                self._finish(result)
            if response.changed():
                return response.answer(head.id)
        return request.answer()

    def _response(self, data: bytes) -> bytes:
        head = protocol.read_response(data, protocol.HEADER_BYTES)
        chain = self._configurations.chain(head.conf_token)
        if chain is None:
            return protocol.write_error(protocol.CONF_TOKEN_NOT_FOUND)
        response = UpstreamResponse(data, head, self._ask)
        for loaded, conf in chain:
            self.plugin = loaded.name
            result = loaded.plugin.response_filter(conf, response)
            if result is not None:
                self._finish(result)
        return response.answer()

    def _finish(self, result: Any) -> None:
        """Waits for an `async` filter; its value, like that of the others, means nothing."""
        if not inspect.iscoroutine(result):
            return
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
        with self._asking:
            self._socket.sendall(question)
            data = self._read_frame(resting=False)
        if data is None or data[0] != protocol.EXTRA_INFO:
            raise _Close("the gateway did not answer a question for extra information")
        return protocol.read_extra_info(data, protocol.HEADER_BYTES)

    def _read_frame(self, resting: bool) -> Optional[bytes]:
        """A whole frame with its header; None at the end of the connection. `resting`: nothing is due."""
        data = self._rest
        while len(data) < protocol.HEADER_BYTES:
            piece = self._receive(resting and not data)
            if not piece:
                if data:
                    raise _Close("half a frame")
                return None
            data += piece
        size = protocol.HEADER_BYTES + int.from_bytes(data[1:4], "big")
        if resting and size > MAX_CALL_BYTES:
            self._socket.sendall(protocol.write_error(protocol.BAD_REQUEST))
            raise _Close("a frame of %d bytes" % size)
        if len(data) < size:
            pieces = [data]
            have = len(data)
            while have < size:
                piece = self._receive(False)
                if not piece:
                    raise _Close("half a frame")
                pieces.append(piece)
                have += len(piece)
            data = b"".join(pieces)
        self._rest = data[size:]
        return data[:size]

    def _receive(self, may_rest: bool) -> bytes:
        while True:
            try:
                return self._socket.recv(_READ_BYTES)
            except BlockingIOError:  # SO_RCVTIMEO
                if not may_rest:
                    raise _Close("half a frame for %d seconds" % FRAME_TIMEOUT_SECONDS) from None

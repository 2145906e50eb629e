"""Frames and connections as a gateway, or something worse, may send and end them."""

from __future__ import annotations

import os
import socket

from .case import RunnerTest
from .gateway import frame, request_call, response_call
from .plugins import PLUGINS


class Connections(RunnerTest):
    def setUp(self) -> None:
        self.runner_ = self.runner({"all.py": PLUGINS})
        self.gateway = self.connect(self.runner_)

    def unharmed(self) -> None:
        with self.runner_.connect() as other:
            token = other.prepare(("nothing", ""))
            self.assertEqual(other.ask(request_call(token))["action"], "none")

    def test_frames_of_another_type_or_that_cannot_be_read_are_an_error_and_the_end(self) -> None:
        token = self.gateway.prepare(("echo", ""))
        bad_offset = request_call(token)[:4] + b"\xff\xff\xff\x7f" + request_call(token)[8:]
        bad_string = bytearray(request_call(token, path="/aaaa"))
        at = bad_string.index(b"/aaaa")
        bad_string[at - 4 : at] = b"\xff\xff\xff\x00"
        for bytes_ in (frame(9, b""), frame(3, b""), frame(2, b""), frame(1, b"\4\0\0\0"), bad_offset, bytes(bad_string)):
            with self.runner_.connect() as gateway:
                gateway.send(bytes_)
                self.assertEqual(gateway.receive(), {"message": "Err.Resp", "code": "BAD_REQUEST"}, bytes_)
                self.assertIsNone(gateway.receive())
        self.unharmed()

    def test_a_frame_beyond_the_limit_is_refused_before_it_is_read(self) -> None:
        self.gateway.send(b"\2\xff\xff\xff" + bytes(100))
        self.assertEqual(self.gateway.receive(), {"message": "Err.Resp", "code": "BAD_REQUEST"})
        self.assertIsNone(self.gateway.receive())
        self.unharmed()

    def test_half_a_frame_and_the_end_harms_nobody(self) -> None:
        call = request_call(1)
        for size in (1, 3, 4, 10, len(call) - 1):
            with self.runner_.connect() as gateway:
                gateway.send(call[:size])
        self.runner_.expect_line("half a frame", 5)
        self.unharmed()

    def test_a_frame_may_come_byte_by_byte_and_several_at_once(self) -> None:
        token = self.gateway.prepare(("nothing", ""))
        call = request_call(token, 1)
        for index in range(len(call)):
            self.gateway.send(call[index : index + 1])
        self.assertEqual(self.gateway.receive()["id"], 1)  # type: ignore[index]
        self.gateway.send(request_call(token, 2) + request_call(token, 3))
        self.assertEqual([self.gateway.receive()["id"], self.gateway.receive()["id"]], [2, 3])  # type: ignore[index]

    def test_a_gateway_that_answers_a_question_with_something_else_is_closed(self) -> None:
        token = self.gateway.prepare(("upstream", ""))
        self.gateway.send(response_call(token))
        self.assertEqual(self.gateway.receive()["info"], "resp_body")  # type: ignore[index]
        self.gateway.send(response_call(token))
        self.assertIsNone(self.gateway.receive())
        self.unharmed()

    def test_a_gateway_that_goes_away_in_the_midst_of_a_call_harms_nobody(self) -> None:
        token = self.gateway.prepare(("upstream", ""))
        for _ in range(20):
            with self.runner_.connect() as gateway:
                gateway.send(response_call(token))
        self.unharmed()

    def test_a_large_body_is_read_and_answered_whole(self) -> None:
        self.runner_.write("large.py", "name = 'large'\ndef filter(c, q, r): r.set_body(q.get_body_bytes()[::-1])")
        self.runner_.expect_line("loaded large.py")
        token = self.gateway.prepare(("large", ""))
        body = os.urandom(1 << 16) * 160
        said = self.gateway.ask(request_call(token), req_body=body)
        self.assertEqual(said["body_hex"], body[::-1].hex())

    def test_garbage_on_many_connections_harms_nobody(self) -> None:
        for _ in range(100):
            with self.runner_.connect() as gateway:
                gateway.send(os.urandom(300))
                gateway.socket.shutdown(socket.SHUT_WR)
        self.unharmed()

"""The messages, held to frames that the protocol authors' own code wrote, and to frames that are broken."""

from __future__ import annotations

import json
import random
import struct
import unittest
from pathlib import Path
from typing import Any, Dict, List

from gatewright_runner import flatbuffer as fb
from gatewright_runner import protocol
from gatewright_runner.request import Request
from gatewright_runner.response import UpstreamResponse

from .gateway import read_message, request_call, table

VECTORS = Path(__file__).resolve().parents[3] / "test/vectors/ext-plugin/frames.json"


def vectors() -> List[Dict[str, Any]]:
    found: List[Dict[str, Any]] = json.loads(VECTORS.read_text())["vectors"]
    return found


def no_ask(_: bytes) -> None:
    raise AssertionError("nothing is to be asked")


class Vectors(unittest.TestCase):
    def test_what_a_gateway_says_is_read_as_it_is_meant(self) -> None:
        for vector in vectors():
            if vector["from"] == "gateway":
                with self.subTest(vector["name"]):
                    self.assertEqual(self.read(bytes.fromhex(vector["hex"])), vector["means"])

    def test_what_a_runner_says_is_written_so_that_it_means_the_same(self) -> None:
        for vector in vectors():
            if vector["from"] == "runner":
                with self.subTest(vector["name"]):
                    data = bytes.fromhex(vector["hex"])
                    said = read_message(data[0], data[4:])
                    self.assertEqual(said, vector["means"])
                    written = self.write(said)
                    self.assertEqual(int.from_bytes(written[1:4], "big"), len(written) - 4)
                    self.assertEqual(read_message(written[0], written[4:]), self.as_written(said))

    def read(self, data: bytes) -> Dict[str, Any]:
        if data[0] == protocol.PREPARE_CONF:
            table = fb.root(data, 4)
            conf, key = protocol.read_prepare_conf(data, 4)[1], fb.fields(data, table, 2)[1]
            means: Dict[str, Any] = {"message": "PrepareConf.Req", "conf": [list(each) for each in conf]}
            return {**means, "key": fb.text(data, table, key)} if key else means
        if data[0] == protocol.HTTP_REQ_CALL:
            head = protocol.read_request(data, 4)
            request = Request(data, head, no_ask)
            return {
                "message": "HTTPReqCall.Req",
                "id": request.get_id(),
                "method": request.get_method(),
                "path": request.get_uri(),
                "headers": [list(each) for each in fb.entries(data, head.table, head.headers)],
                "args": [list(each) for each in fb.entries(data, head.table, head.args)],
                "conf_token": request.get_conf_token(),
                "src_ip_hex": (fb.octets(data, head.table, head.source_ip) or b"").hex(),
            }
        if data[0] == protocol.HTTP_RESP_CALL:
            answer = protocol.read_response(data, 4)
            response = UpstreamResponse(data, answer, no_ask)
            return {
                "message": "HTTPRespCall.Req",
                "id": answer.id,
                "status": response.get_status_code(),
                "headers": [list(each) for each in fb.entries(data, answer.table, answer.headers)],
                "conf_token": answer.conf_token,
            }
        result = protocol.read_extra_info(data, 4)
        return {"message": "ExtraInfo.Resp", **({} if result is None else {"result_hex": result.hex()})}

    def write(self, said: Dict[str, Any]) -> bytes:
        body = bytes.fromhex(said["body_hex"]) if "body_hex" in said else None
        entries = {name: [tuple(each) for each in said.get(name, [])] for name in ("headers", "args", "resp_headers")}
        if said["message"] == "PrepareConf.Resp":
            return protocol.write_token(said["conf_token"])
        if said["message"] == "Err.Resp":
            return protocol.write_error(["BAD_REQUEST", "SERVICE_UNAVAILABLE", "CONF_TOKEN_NOT_FOUND"].index(said["code"]))
        if said["message"] == "HTTPRespCall.Resp":
            return protocol.write_response(said["id"], said["status"], entries["headers"], body)
        if said["message"] == "ExtraInfo.Req":
            if said["info"] == "var":
                return protocol.write_ask_var(said["name"])
            return protocol.ASK_REQUEST_BODY if said["info"] == "req_body" else protocol.ASK_RESPONSE_BODY
        if said["action"] == "none":
            return protocol.write_unchanged(said["id"])
        if said["action"] == "stop":
            return protocol.write_stop(said["id"], said["status"], entries["headers"], body or b"")
        return protocol.write_rewrite(
            said["id"], said.get("path"), entries["headers"], entries["args"], entries["resp_headers"], body
        )

    def as_written(self, said: Dict[str, Any]) -> Dict[str, Any]:
        # Stop is written with a body always; an empty one means the same as none.
        return {"body_hex": "", **said} if said.get("action") == "stop" else said


class BrokenFrames(unittest.TestCase):
    def test_bytes_that_lead_out_of_the_frame_are_malformed_never_another_error(self) -> None:
        whole = request_call(1, headers=[("host", "a"), ("x", "b")], args=[("q", "1"), ("f", None)])
        seed = 20260101
        chance = random.Random(seed)
        malformed = 0
        for _ in range(4000):
            data = bytearray(whole)
            for _ in range(chance.randint(1, 4)):
                data[chance.randrange(4, len(data))] = chance.choice((0, 1, 4, 0x7F, 0x80, 0xFF, chance.randrange(256)))
            if chance.random() < 0.3:
                del data[chance.randrange(4, len(data)) :]
            try:
                request = Request(bytes(data), protocol.read_request(bytes(data), 4), no_ask)
                request.get_headers(), request.get_args(), request.get_uri(), request.get_remote_addr()
            except fb.MalformedFrame:
                malformed += 1
        self.assertGreater(malformed, 400, "seed %d" % seed)

    def test_strings_that_overlap_do_not_multiply(self) -> None:
        count = 1000
        entry = 4 + 4 * count + 8  # all entries are the one after the vtable
        vector = count.to_bytes(4, "little")
        for index in range(count):
            vector += (entry - (4 + 4 * index)).to_bytes(4, "little")
        vector += struct.pack("<4HiI", 6, 8, 4, 0, 8, 4) + fb.write_text("x" * 1000)
        data = table(vector)
        root = fb.root(data, 0)
        with self.assertRaisesRegex(fb.MalformedFrame, "more text"):
            fb.entries(data, root, fb.fields(data, root, 1)[0])

    def test_an_answer_of_more_than_16_MiB_is_refused(self) -> None:
        with self.assertRaises(protocol.FrameTooLarge):
            protocol.write_stop(1, 200, [], bytes(1 << 24))


class Writing(unittest.TestCase):
    def test_bytes_that_are_not_utf8_come_out_as_they_went_in(self) -> None:
        octets = bytes(range(32, 256))
        text = str(octets, "utf-8", "surrogateescape")
        written = protocol.write_rewrite(1, None, [("x", text)], [], [], None)
        self.assertIn(octets, written)
        self.assertEqual(read_message(2, written[4:])["headers"], [["x", text]])

    def test_each_size_of_text_keeps_its_neighbours(self) -> None:
        for size in range(9):
            entries = [("n" * max(1, size), "v" * size), ("second", None), ("third", "t")]
            said = read_message(2, protocol.write_rewrite(1, "/" + "p" * size, entries, entries, entries, b"b" * size)[4:])
            self.assertEqual(said["headers"], [list(each) for each in entries])
            self.assertEqual(said["resp_headers"], [list(each) for each in entries])
            self.assertEqual((said["path"], said["body_hex"]), ("/" + "p" * size, b"b".hex() * size))


if __name__ == "__main__":
    unittest.main()

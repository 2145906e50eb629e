"""The gateway's side of the protocol, for tests: writes what a gateway sends, reads what a runner answers."""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from gatewright_runner import flatbuffer as fb

RUNNERS_FOLDER = Path(__file__).resolve().parents[1]
TIMEOUT_SECONDS = 20

Field = Any  # None: absent; (struct format, number): in the table; bytes: a child that it points to


def table(*fields: Field) -> bytes:
    """A message: root offset, vtable, table, children. Fields of 4 bytes each, which the reading does not presume."""
    size = 4 + 4 * len(fields)
    vtable = struct.pack("<HH", 4 + 2 * len(fields), size)
    vtable += b"".join(struct.pack("<H", 0 if field is None else 4 + 4 * i) for i, field in enumerate(fields))
    vtable += bytes(-len(vtable) % 4)
    body, children = struct.pack("<i", len(vtable)), b""
    for index, field in enumerate(fields):
        if isinstance(field, bytes):
            body += struct.pack("<I", size - (4 + 4 * index) + len(children))
            children += field
        elif field is None:
            body += bytes(4)
        else:
            body += struct.pack("<" + field[0], field[1]).ljust(4, b"\0")
    return struct.pack("<I", 4 + len(vtable)) + vtable + body + children


def frame(kind: int, payload: bytes) -> bytes:
    return bytes([kind]) + len(payload).to_bytes(3, "big") + payload


def prepare_conf(*plugins: Tuple[str, str], key: str = "") -> bytes:
    return frame(1, table(fb.write_entries(list(plugins)), fb.write_text(key)))


def request_call(
    token: int,
    id: int = 7,
    path: str = "/a",
    headers: Any = (),
    args: Any = (),
    method: int = 0,
    source_ip: bytes = b"\x7f\0\0\1",
) -> bytes:
    return frame(
        2,
        table(
            ("I", id),
            fb.write_octets(source_ip),
            ("B", method),
            fb.write_text(path),
            fb.write_entries(args),
            fb.write_entries(headers),
            ("I", token),
        ),
    )


def response_call(token: int, id: int = 9, status: int = 200, headers: Any = ()) -> bytes:
    return frame(4, table(("I", id), ("H", status), fb.write_entries(headers), ("I", token)))


def extra_info(result: Optional[bytes]) -> bytes:
    return frame(3, table(None if result is None else fb.write_octets(result)))


def read_message(kind: int, payload: bytes) -> Dict[str, Any]:
    """What a runner said. Keys are the names of test/vectors/ext-plugin/frames.json."""
    root = fb.root(payload, 0)
    if kind == 0:
        code = fb.uint8(payload, root, fb.fields(payload, root, 1)[0])
        return {"message": "Err.Resp", "code": ("BAD_REQUEST", "SERVICE_UNAVAILABLE", "CONF_TOKEN_NOT_FOUND")[code]}
    if kind == 1:
        token = fb.uint32(payload, root, fb.fields(payload, root, 1)[0])
        return {"message": "PrepareConf.Resp", "conf_token": token}
    if kind == 2:
        return _read_verdict(payload, root)
    if kind == 3:
        return _read_question(payload, root)
    id_, status, headers, body = fb.fields(payload, root, 4)
    said: Dict[str, Any] = {
        "message": "HTTPRespCall.Resp",
        "id": fb.uint32(payload, root, id_),
        "status": fb.uint16(payload, root, status),
    }
    return _with(said, payload, root, {"headers": headers}, body)


def _read_verdict(payload: bytes, root: int) -> Dict[str, Any]:
    id_, kind_field, action = fb.fields(payload, root, 3)
    said: Dict[str, Any] = {"message": "HTTPReqCall.Resp", "id": fb.uint32(payload, root, id_)}
    kind = fb.uint8(payload, root, kind_field)
    if kind == 0:
        return {**said, "action": "none"}
    at = root + action
    at += struct.unpack_from("<I", payload, at)[0]
    if kind == 1:
        status, headers, body = fb.fields(payload, at, 3)
        said.update(action="stop", status=fb.uint16(payload, at, status))
        said["headers"] = [list(entry) for entry in fb.entries(payload, at, headers)]
        return _with(said, payload, at, {}, body)
    path, headers, args, response_headers, body = fb.fields(payload, at, 5)
    said["action"] = "rewrite"
    if path:
        said["path"] = fb.text(payload, at, path)
    return _with(said, payload, at, {"headers": headers, "args": args, "resp_headers": response_headers}, body)


def _with(said: Dict[str, Any], payload: bytes, at: int, lists: Dict[str, int], body: int) -> Dict[str, Any]:
    for name, field in lists.items():
        if field:
            said[name] = [list(entry) for entry in fb.entries(payload, at, field)]
    octets = fb.octets(payload, at, body)
    if octets is not None:
        said["body_hex"] = octets.hex()
    return said


def _read_question(payload: bytes, root: int) -> Dict[str, Any]:
    kind, info = fb.fields(payload, root, 2)
    name = ("none", "var", "req_body", "resp_body")[fb.uint8(payload, root, kind)]
    said: Dict[str, Any] = {"message": "ExtraInfo.Req", "info": name}
    if name == "var":
        at = root + info
        at += struct.unpack_from("<I", payload, at)[0]
        said["name"] = fb.text(payload, at, fb.fields(payload, at, 1)[0])
    return said


class Gateway:
    """One connection to a runner."""

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(TIMEOUT_SECONDS)
        self.socket.connect(path)

    def __enter__(self) -> "Gateway":
        return self

    def __exit__(self, *_: Any) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def receive(self) -> Optional[Dict[str, Any]]:
        """The next message; None where the runner closed."""
        header = self._exactly(4)
        if header is None:
            return None
        payload = self._exactly(int.from_bytes(header[1:], "big"))
        assert payload is not None, "half a frame"
        return read_message(header[0], payload)

    def _exactly(self, size: int) -> Optional[bytes]:
        data = b""
        while len(data) < size:
            try:
                piece = self.socket.recv(size - len(data))
            except ConnectionResetError:
                piece = b""
            if not piece:
                assert not data, "half a frame"
                return None
            data += piece
        return data

    def ask(self, data: bytes, **information: Optional[bytes]) -> Dict[str, Any]:
        """Sends and answers questions (`req_body`, `resp_body`, or a variable's name) until there is an answer."""
        self.send(data)
        while True:
            said = self.receive()
            assert said is not None, "the runner closed"
            if said["message"] != "ExtraInfo.Req":
                return said
            self.send(extra_info(information[said.get("name", said["info"])]))

    def prepare(self, *plugins: Tuple[str, str]) -> int:
        said = self.ask(prepare_conf(*plugins))
        assert said["message"] == "PrepareConf.Resp", said
        token: int = said["conf_token"]
        return token


class Runner:
    """A runner in processes of its own, with a folder of plugins. `close` ends it."""

    def __init__(self, files: Dict[str, str], *options: str, **environment: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="gatewright-runner-")
        self.folder = Path(self._folder.name)
        self.plugins = self.folder / "plugins"
        self.plugins.mkdir()
        self.socket = str(self.folder / "runner.sock")
        for name, text in files.items():
            self.write(name, text)
        self.process = self._start(options, environment)
        self.lines: List[str] = []
        self._more = threading.Condition()
        self._reader = threading.Thread(target=self._read_lines, daemon=True)
        self._reader.start()
        self.expect_line("listening on")

    def _start(self, options: Tuple[str, ...], environment: Dict[str, str]) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "gatewright_runner", "--plugins", str(self.plugins), *options],
            cwd=str(RUNNERS_FOLDER),
            env={**os.environ, "APISIX_LISTEN_ADDRESS": "unix:" + self.socket, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="backslashreplace",
        )

    def write(self, name: str, text: str) -> None:
        """Replaces a file of the plugins' folder at once."""
        beside = self.plugins / (name + ".new")
        beside.write_text(text)
        beside.rename(self.plugins / name)

    def _read_lines(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._more:
                self.lines.append(line.rstrip("\n"))
                self._more.notify_all()

    def expect_line(self, text: str, count: int = 1) -> str:
        """Waits until `count` lines of the output hold `text`; returns the last of them."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        with self._more:
            while True:
                found = [line for line in self.lines if text in line]
                if len(found) >= count:
                    return found[-1]
                left = deadline - time.monotonic()
                assert left > 0 and self.process.poll() is None, "no line %r in %r" % (text, self.lines)
                self._more.wait(min(left, 0.2))

    def connect(self) -> Gateway:
        return Gateway(self.socket)

    def worker_pids(self) -> List[int]:
        children = Path("/proc/%d/task/%d/children" % (self.process.pid, self.process.pid)).read_text()
        return [int(pid) for pid in children.split()]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Its exit code."""
        self.process.send_signal(number)
        return self.process.wait(TIMEOUT_SECONDS)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._reader.join(5)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._folder.cleanup()

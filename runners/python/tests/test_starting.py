"""What is wrong at the start is said in a line; the socket is as asked."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

from .gateway import RUNNERS_FOLDER, TIMEOUT_SECONDS, Gateway, Runner, request_call


class Starting(unittest.TestCase):
    def run_(self, *arguments: str, address: str = "") -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "gatewright_runner", *arguments],
            cwd=str(RUNNERS_FOLDER), env={**os.environ, "APISIX_LISTEN_ADDRESS": address},
            stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, timeout=TIMEOUT_SECONDS,
        )  # fmt: skip

    def test_what_is_wrong_is_said_in_a_line(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            plain = Path(folder) / "file"
            plain.write_text("mine")
            cases = [
                (self.run_("--plugins", folder), 1, "an address is unix:"),
                (self.run_("--plugins", folder, address="tcp:1"), 1, "an address is unix:"),
                (self.run_("--plugins", folder + "/none", address="unix:" + folder + "/s"), 1, "is not a folder"),
                (self.run_("--plugins", folder, address="unix:%s" % plain), 1, "is not a socket"),
                (self.run_("--plugins", folder, address="unix:/" + "x" * 200), 1, "bytes at most"),
                (self.run_("--plugins", folder, "--processes", "0", address="unix:" + folder + "/s"), 2, "--processes"),
                (self.run_(), 2, "--plugins"),
            ]
            for done, code, words in cases:
                self.assertEqual(done.returncode, code, done.stderr)
                self.assertIn(words, done.stderr)
                self.assertNotIn("Traceback", done.stderr)
            self.assertEqual(plain.read_text(), "mine")

    def test_a_socket_that_somebody_serves_is_not_taken(self) -> None:
        runner = Runner({})
        try:
            done = self.run_("--plugins", str(runner.plugins), address="unix:" + runner.socket)
            self.assertEqual(done.returncode, 1)
            self.assertIn("is served by another process", done.stderr)
            self.assertEqual(stat.S_IMODE(os.stat(runner.socket).st_mode), 0o600)
        finally:
            runner.close()

    def test_a_log_that_nobody_reads_is_no_reason_to_end(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            plugin = "name = 'p'\ndef filter(c, q, r): r.set_status_code(204)"
            (Path(folder) / "p.py").write_text(plugin)
            (Path(folder) / "bad.py").write_text("1 / 0")
            path = folder + "/s"
            read, write = os.pipe()
            os.close(read)
            runner = subprocess.Popen(
                [sys.executable, "-m", "gatewright_runner", "--plugins", folder, "--listen", "unix:" + path],
                cwd=str(RUNNERS_FOLDER), stdout=write, stderr=write,
            )  # fmt: skip
            os.close(write)
            try:
                while not os.path.exists(path):
                    self.assertIsNone(runner.poll())
                    time.sleep(0.01)
                with Gateway(path) as gateway:
                    self.assertEqual(gateway.ask(request_call(gateway.prepare(("p", ""))))["status"], 204)
            finally:
                runner.terminate()
                runner.wait(TIMEOUT_SECONDS)

    def test_the_sockets_mode_is_as_asked(self) -> None:
        runner = Runner({}, "--socket-mode", "666")
        try:
            self.assertEqual(stat.S_IMODE(os.stat(runner.socket).st_mode), 0o666)
        finally:
            runner.close()

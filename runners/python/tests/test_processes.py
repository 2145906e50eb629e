"""The processes of a runner: tokens that they share, their end and replacement."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from .case import RunnerTest
from .gateway import RUNNERS_FOLDER, TIMEOUT_SECONDS, Gateway, request_call
from .plugins import PLUGINS


class Processes(RunnerTest):
    def test_every_process_knows_the_tokens_of_the_others(self) -> None:
        runner = self.runner({"p.py": "import os\nname = 'pid'\ndef filter(c, q, r): r.set_body(str(os.getpid()))"}, "--processes", "3")
        runner.expect_line("loaded p.py", 3)
        token = self.connect(runner).prepare(("pid", ""))
        # Which process takes a connection is the kernel's choice.
        pids: set[str] = set()
        for _ in range(2000):
            pids.add(self.connect(runner).ask(request_call(token))["body_hex"])
            if len(pids) > 1:
                break
        self.assertGreater(len(pids), 1)

    def test_a_process_that_is_killed_is_replaced_and_tokens_stay(self) -> None:
        runner = self.runner({"p.py": "name = 'p'\ndef filter(c, q, r): r.set_status_code(204)"})
        runner.expect_line("loaded p.py")
        token = self.connect(runner).prepare(("p", ""))
        os.kill(runner.worker_pids()[0], signal.SIGKILL)
        runner.expect_line("ended by signal 9, another starts")
        runner.expect_line("loaded p.py", 2)
        self.assertEqual(self.connect(runner).ask(request_call(token))["status"], 204)

    def test_plugins_that_hang_in_numbers_end_their_process_and_another_takes_over(self) -> None:
        runner = self.runner({"all.py": PLUGINS}, "--timeout", "0.2")
        token = self.connect(runner).prepare(("hangs", "sleep"))
        for _ in range(16):
            self.connect(runner).send(request_call(token))
        runner.expect_line("plugins hang: this process ends")
        runner.expect_line("loaded all.py", 2)
        gateway = self.connect(runner)
        self.assertEqual(gateway.ask(request_call(gateway.prepare(("nothing", ""))))["action"], "none")

    def test_a_token_dies_with_its_time_and_is_given_anew(self) -> None:
        from gatewright_runner import supervisor

        tokens = supervisor.Tokens(-supervisor._EXPIRY_SLACK_SECONDS)
        token, _ = tokens.register(b"x")
        self.assertIsNone(tokens.look_up(token))
        kept = supervisor.Tokens(10)
        first = kept.register(b"x")[0]
        self.assertEqual(kept.register(b"x")[0], first)
        self.assertEqual(kept.look_up(first)[0], b"x")  # type: ignore[index]

    def test_configurations_beyond_the_most_drop_the_oldest(self) -> None:
        from gatewright_runner import supervisor

        tokens = supervisor.Tokens(10)
        first = tokens.register(b"0" * (1 << 20))[0]
        for index in range(100, 164):
            tokens.register(bytes([index]) * (1 << 20))
        self.assertTrue(tokens.look_up(first) is None, "the first is still there")
        self.assertLessEqual(tokens._bytes, 64 << 20)

    def test_sigterm_lets_a_call_end_removes_the_socket_and_exits_with_0(self) -> None:
        slow = "import time\nname = 's'\ndef filter(c, q, r):\n print('began')\n time.sleep(0.3)\n r.set_status_code(204)"
        runner = self.runner({"s.py": slow})
        gateway = self.connect(runner)
        gateway.send(request_call(gateway.prepare(("s", ""))))
        runner.expect_line("began")
        runner.process.send_signal(signal.SIGTERM)
        self.assertEqual(gateway.receive()["status"], 204)  # type: ignore[index]
        self.assertEqual(runner.process.wait(TIMEOUT_SECONDS), 0)
        self.assertFalse(os.path.exists(runner.socket))

    def test_a_supervisor_that_is_killed_takes_its_processes_with_it_and_the_next_replaces_the_socket(self) -> None:
        runner = self.runner({"p.py": "name = 'p'\ndef filter(c, q, r): r.set_status_code(204)"})
        runner.expect_line("loaded p.py")
        gateway = self.connect(runner)
        gateway.prepare(("p", ""))
        runner.process.kill()
        self.assertIsNone(gateway.receive())
        self.assertTrue(os.path.exists(runner.socket))
        environment = {**os.environ, "APISIX_LISTEN_ADDRESS": "unix:" + runner.socket}
        second = subprocess.Popen(
            [sys.executable, "-m", "gatewright_runner", "--plugins", str(runner.plugins)],
            cwd=str(RUNNERS_FOLDER), env=environment, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert second.stderr is not None
            self.assertIn("listening on", second.stderr.readline())
            with Gateway(runner.socket) as next_:
                self.assertGreater(next_.prepare(("p", "")), 0)
        finally:
            second.terminate()
            second.communicate(timeout=TIMEOUT_SECONDS)

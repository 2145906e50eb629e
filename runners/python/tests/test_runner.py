"""The runner as a gateway meets it: real processes, a real socket."""

from __future__ import annotations

import concurrent.futures
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Dict

from .gateway import RUNNERS_FOLDER, TIMEOUT_SECONDS, Gateway, Runner, frame, prepare_conf, request_call, response_call

#: As mission and documentation print it: written for Apache's runner.
STOP = '''
from typing import Any
from apisix.runner.http.request import Request
from apisix.runner.http.response import Response
from apisix.runner.plugin.core import PluginBase


class Stop(PluginBase):

    def name(self) -> str:
        """Name of the plugin registered in runner"""
        return "stop"

    def config(self, conf: Any) -> Any:
        """Parsing plugin configuration"""
        return conf

    def filter(self, conf: Any, request: Request, response: Response):
        # Print plugin configuration
        print(conf)

        # Get request nginx variables `host`
        host = request.get_var("host")
        print(host)

        # Get the request body
        body = request.get_body()
        print(body)

        # Set the response header
        response.set_header("X-Resp-A6-Runner", "Python")

        # Set the response body
        response.set_body("Hello, Python Runner of APISIX")

        # Set the response status
        response.set_status_code(201)
'''

PLUGINS = '''
import asyncio, dataclasses, sys, time
from typing import List, Literal, Optional
from gatewright_runner import PluginBase

class Rewrite(PluginBase):
    def name(self): return "rewrite"
    def filter(self, conf, request, response):
        request.set_header("X-Resp-A6-Runner", "Python")
        request.remove_header("x-secret")
        request.set_arg("a6_runner", "Python")
        request.set_arg("many", ["1", "2"])
        request.remove_arg("gone")
        request.set_uri("/a6/python/runner")
        request.set_body(b"new\\x00body")
        request.set_response_header("X-Seen", "yes")

class Echo(PluginBase):
    """Answers with what it sees."""
    def name(self): return "echo"
    def filter(self, conf, request, response):
        seen = [request.get_id(), request.get_method(), request.get_uri(), request.get_remote_addr(),
                request.get_header("X-MANY"), request.get_header_values("x-many"), request.get_arg("q"),
                request.get_arg_values("q"), request.get_arg("flag"), request.get_header("none"), request.get_arg("none")]
        response.set_body(repr(seen))

class Nothing(PluginBase):
    def name(self): return "nothing"
    def filter(self, conf, request, response): pass

class Throws(PluginBase):
    def name(self): return "throws"
    def filter(self, conf, request, response):
        {"IndexError": lambda: [][1], "exit": lambda: sys.exit(3), "raise": lambda: 1 / 0}[conf]()

class Hangs(PluginBase):
    def name(self): return "hangs"
    def filter(self, conf, request, response):
        if conf == "sleep": time.sleep(30)
        while True: pass

class AsyncPlugin(PluginBase):
    def name(self): return "async"
    async def filter(self, conf, request, response):
        if conf == "hang": await asyncio.sleep(60)
        if conf == "throw": raise ValueError("async")
        await asyncio.sleep(0)
        host, body = await asyncio.gather(request.get_var_async("host"), request.get_body_bytes_async())
        response.set_body(host.encode() + b" " + body)

class Checked(PluginBase):
    schema = {"type": "object", "required": ["limit"], "additionalProperties": False,
              "properties": {"limit": {"type": "integer", "minimum": 1}, "mode": {"enum": ["a", "b"], "default": "a"}}}
    def name(self): return "checked"
    def filter(self, conf, request, response):
        response.set_body(repr(sorted(conf.items())))

@dataclasses.dataclass
class Limit:
    count: int
    name: str = "x"
    hosts: List[str] = dataclasses.field(default_factory=list)
    mode: Optional[Literal["a", "b"]] = None

class Data(PluginBase):
    config_class = Limit
    def name(self): return "data"
    def filter(self, conf, request, response): response.set_body(repr(conf))

class Upstream(PluginBase):
    def name(self): return "upstream"
    def response_filter(self, conf, response):
        response.set_status_code(418)
        response.set_header("X-Len", str(len(response.get_body_bytes())))
        response.remove_header("Set-Cookie")
        response.set_body(response.get_header("content-type") + response.get_var("uri"))

class Injects(PluginBase):
    def name(self): return "injects"
    def filter(self, conf, request, response):
        request.set_header("x-a", "1\\r\\nx-admin: 1")
'''

MODULE = '''
name = "module"

def filter(conf, request, response):
    response.set_status_code(204)
'''


class RunnerTest(unittest.TestCase):
    def runner(self, files: Dict[str, str], *options: str, **environment: str) -> Runner:
        runner = Runner(files, *options, **environment)
        self.addCleanup(runner.close)
        return runner

    def connect(self, runner: Runner) -> Gateway:
        gateway = runner.connect()
        self.addCleanup(gateway.socket.close)
        return gateway


class Plugins(RunnerTest):
    runner_: Runner

    @classmethod
    def setUpClass(cls) -> None:
        cls.runner_ = Runner({"stop.py": STOP, "all.py": PLUGINS, "module.py": MODULE}, "--timeout", "0.6")

    @classmethod
    def tearDownClass(cls) -> None:
        cls.runner_.close()

    def setUp(self) -> None:
        self.gateway = self.connect(self.runner_)

    def text(self, said: Dict[str, str]) -> str:
        return bytes.fromhex(said["body_hex"]).decode()

    def test_a_plugin_written_for_apaches_runner_runs_as_it_is(self) -> None:
        token = self.gateway.prepare(("stop", '{"body":"hello"}'))
        said = self.gateway.ask(request_call(token), host=b"ops.example", req_body=b"the body")
        self.assertEqual((said["action"], said["status"], said["id"]), ("stop", 201, 7))
        self.assertEqual(said["headers"], [["X-Resp-A6-Runner", "Python"]])
        self.assertEqual(self.text(said), "Hello, Python Runner of APISIX")
        for line in ('{"body":"hello"}', "ops.example", "the body"):
            self.runner_.expect_line(line)

    def test_changes_of_the_request_and_nothing_else_go_back(self) -> None:
        token = self.gateway.prepare(("rewrite", "{}"))
        said = self.gateway.ask(request_call(token, headers=[("host", "a"), ("x-secret", "1")], args=[("q", "1")]))
        self.assertEqual(
            said,
            {
                "message": "HTTPReqCall.Resp",
                "id": 7,
                "action": "rewrite",
                "path": "/a6/python/runner",
                "headers": [["X-Resp-A6-Runner", "Python"], ["x-secret", None]],
                "args": [["a6_runner", "Python"], ["many", "1"], ["many", "2"], ["gone", None]],
                "resp_headers": [["X-Seen", "yes"]],
                "body_hex": b"new\0body".hex(),
            },
        )

    def test_a_plugin_sees_the_request(self) -> None:
        token = self.gateway.prepare(("echo", ""))
        headers = [("host", "a"), ("x-many", "1"), ("X-Many", "2")]
        call = request_call(token, 11, "/p", headers, [("q", "a b"), ("q", "c"), ("flag", None)], 2, bytes(15) + b"\1")
        expected = [11, "POST", "/p", "::1", "1", ["1", "2"], "a b", ["a b", "c"], "", None, None]
        self.assertEqual(self.text(self.gateway.ask(call)), repr(expected))

    def test_a_request_that_no_plugin_changes_goes_on(self) -> None:
        token = self.gateway.prepare(("nothing", ""), ("nothing", ""))
        self.assertEqual(self.gateway.ask(request_call(token))["action"], "none")

    def test_the_first_plugin_that_answers_ends_the_request(self) -> None:
        token = self.gateway.prepare(("nothing", ""), ("module", ""), ("throws", "raise"))
        self.assertEqual(self.gateway.ask(request_call(token))["status"], 204)

    def test_a_plugin_that_throws_is_an_error_that_names_it_and_the_connection_goes_on(self) -> None:
        for kind in ("raise", "IndexError", "exit"):
            token = self.gateway.prepare(("throws", kind))
            said = self.gateway.ask(request_call(token))
            self.assertEqual(said, {"message": "Err.Resp", "code": "SERVICE_UNAVAILABLE"}, kind)
        self.runner_.expect_line("plugin throws: ZeroDivisionError")
        self.runner_.expect_line("plugin throws: SystemExit")

    def test_a_header_that_would_split_is_an_error(self) -> None:
        token = self.gateway.prepare(("injects", ""))
        self.assertEqual(self.gateway.ask(request_call(token))["code"], "SERVICE_UNAVAILABLE")
        self.runner_.expect_line("holds a control character")

    def test_a_plugin_that_hangs_is_answered_at_its_deadline_and_others_are_unharmed(self) -> None:
        for count, how in enumerate(("sleep", "loop"), 1):
            token = self.gateway.prepare(("hangs", how))
            self.gateway.send(request_call(token))
            with self.runner_.connect() as other:
                other_token = other.prepare(("module", ""))
                self.assertEqual(other.ask(request_call(other_token))["status"], 204)
            self.assertEqual(self.gateway.receive(), {"message": "Err.Resp", "code": "SERVICE_UNAVAILABLE"})
            self.assertIsNone(self.gateway.receive())
            self.runner_.expect_line("plugin hangs: no answer within", count)
            self.gateway = self.connect(self.runner_)

    def test_async_plugins_ask_throw_and_have_a_deadline(self) -> None:
        token = self.gateway.prepare(("async", ""))
        said = self.gateway.ask(request_call(token), host=b"h", req_body=b"b")
        self.assertEqual(self.text(said), "h b")
        for how in ("throw", "hang"):
            token = self.gateway.prepare(("async", how))
            self.assertEqual(self.gateway.ask(request_call(token))["code"], "SERVICE_UNAVAILABLE")
        self.runner_.expect_line("plugin async: ValueError: async")
        self.runner_.expect_line("plugin async: TimeoutError")

    def test_the_response_phase_reads_and_changes_the_response(self) -> None:
        token = self.gateway.prepare(("upstream", ""))
        call = response_call(token, 9, 200, [("content-type", "text/plain"), ("set-cookie", "a=1")])
        said = self.gateway.ask(call, resp_body=b"12345", uri=b"/there")
        self.assertEqual((said["id"], said["status"]), (9, 418))
        self.assertEqual(said["headers"], [["X-Len", "5"], ["Set-Cookie", None]])
        self.assertEqual(self.text(said), "text/plain/there")

    def test_a_plugin_without_the_phase_that_is_called_is_an_error_not_skipped(self) -> None:
        token = self.gateway.prepare(("nothing", ""))
        self.assertEqual(self.gateway.ask(response_call(token))["code"], "SERVICE_UNAVAILABLE")
        token = self.gateway.prepare(("upstream", ""))
        self.assertEqual(self.gateway.ask(request_call(token))["code"], "SERVICE_UNAVAILABLE")

    def test_an_unknown_plugin_or_a_configuration_that_it_refuses_is_an_error_when_it_is_prepared(self) -> None:
        refused = [
            (("unknown", ""), "plugin unknown is not known"),
            (("checked", "{"), "plugin checked: the configuration is not JSON"),
            (("checked", "{}"), "plugin checked: limit: is missing"),
            (("checked", '{"limit":0}'), "plugin checked: limit: must be at least 1"),
            (("checked", '{"limit":true}'), "plugin checked: limit: must be integer"),
            (("checked", '{"limit":1,"mode":"c"}'), "plugin checked: mode: must be one of a, b"),
            (("checked", '{"limit":1,"limits":1}'), "plugin checked: limits: is not known"),
            (("data", '{"count":"1"}'), "plugin data: count: must be a whole number"),
            (("data", '{"count":1,"hosts":["a",2]}'), "plugin data: hosts[1]: must be a string"),
            (("data", '{"count":1,"mode":"c"}'), "plugin data: mode: must be one of a, b"),
            (("data", '{"name":"a"}'), "plugin data: count: is missing"),
            (("data", "[]"), "plugin data: the configuration: must be an object"),
        ]
        for conf, why in refused:
            with self.subTest(why):
                said = self.gateway.ask(prepare_conf(("nothing", ""), conf))
                self.assertEqual(said, {"message": "Err.Resp", "code": "BAD_REQUEST"})
                self.runner_.expect_line(why)

    def test_a_configuration_is_parsed_and_filled_in(self) -> None:
        token = self.gateway.prepare(("checked", '{"limit":2}'))
        self.assertEqual(self.text(self.gateway.ask(request_call(token))), "[('limit', 2), ('mode', 'a')]")
        token = self.gateway.prepare(("data", '{"count":3,"hosts":["a"]}'))
        expected = "Limit(count=3, name='x', hosts=['a'], mode=None)"
        self.assertEqual(self.text(self.gateway.ask(request_call(token))), expected)

    def test_a_token_that_was_never_given_is_not_found(self) -> None:
        said = self.gateway.ask(request_call(1))
        self.assertEqual(said, {"message": "Err.Resp", "code": "CONF_TOKEN_NOT_FOUND"})

    def test_the_same_configuration_has_the_same_token(self) -> None:
        first = self.gateway.prepare(("nothing", "1"))
        self.assertEqual(self.gateway.prepare(("nothing", "1")), first)
        self.assertNotEqual(self.gateway.prepare(("nothing", "2")), first)


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


class Reloading(RunnerTest):
    TEXT = "name = 'x'\ndef filter(conf, request, response): response.set_body('%s')\n"

    def body(self, gateway: Gateway, token: int) -> str:
        return bytes.fromhex(gateway.ask(request_call(token))["body_hex"]).decode()

    def test_a_changed_file_takes_effect_for_tokens_that_there_are(self) -> None:
        runner = self.runner({"x.py": self.TEXT % "one"})
        gateway = self.connect(runner)
        token = gateway.prepare(("x", ""))
        self.assertEqual(self.body(gateway, token), "one")
        runner.write("x.py", self.TEXT % "two")
        runner.expect_line("loaded x.py", 2)
        self.assertEqual(self.body(gateway, token), "two")

    def test_a_file_that_does_not_load_keeps_the_last_good_one_and_says_where(self) -> None:
        runner = self.runner({"x.py": self.TEXT % "one"})
        gateway = self.connect(runner)
        token = gateway.prepare(("x", ""))
        runner.write("x.py", "name = 'x'\ndef filter(conf request): pass\n")
        line = runner.expect_line("x.py does not load, the version before it stays")
        self.assertIn("SyntaxError", line + runner.expect_line("SyntaxError"))
        runner.expect_line("line 2")
        self.assertEqual(self.body(gateway, token), "one")

    def test_a_plugin_that_is_gone_or_refuses_its_configuration_now_is_an_error(self) -> None:
        runner = self.runner({"x.py": self.TEXT % "one", "y.py": "name = 'y'\ndef filter(c, q, r): pass"})
        gateway = self.connect(runner)
        token = gateway.prepare(("x", ""))
        runner.write("x.py", "schema = {'type': 'object'}\n" + self.TEXT % "two")
        runner.expect_line("loaded x.py", 2)
        self.assertEqual(gateway.ask(request_call(token))["code"], "BAD_REQUEST")
        token = gateway.prepare(("y", ""))
        (runner.plugins / "y.py").unlink()
        runner.write("z.py", "name = 'z'\ndef filter(c, q, r): pass")
        runner.expect_line("loaded z.py")
        self.assertEqual(gateway.ask(request_call(token))["code"], "BAD_REQUEST")

    def test_a_file_that_plugins_import_reloads_them(self) -> None:
        plugin = "import _shared\nname = 'x'\ndef filter(c, q, r): r.set_body(_shared.TEXT)\n"
        runner = self.runner({"x.py": plugin, "_shared.py": "TEXT = 'one'"})
        gateway = self.connect(runner)
        token = gateway.prepare(("x", ""))
        self.assertEqual(self.body(gateway, token), "one")
        runner.write("_shared.py", "TEXT = 'two'")
        runner.expect_line("loaded x.py", 2)
        self.assertEqual(self.body(gateway, token), "two")

    def test_a_name_that_two_files_claim_belongs_to_neither(self) -> None:
        runner = self.runner({"x.py": self.TEXT % "one", "y.py": self.TEXT % "two"})
        runner.expect_line("plugin x is in x.py and y.py")
        self.assertEqual(self.connect(runner).ask(prepare_conf(("x", "")))["code"], "BAD_REQUEST")

    def test_a_schema_with_an_unknown_keyword_is_a_plugin_that_does_not_load(self) -> None:
        runner = self.runner({"x.py": "schema = {'anyOff': []}\n" + self.TEXT % "one"})
        runner.expect_line("JSON Schema keyword anyOff is not known")
        self.assertEqual(self.connect(runner).ask(prepare_conf(("x", "")))["code"], "BAD_REQUEST")


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

    def test_the_sockets_mode_is_as_asked(self) -> None:
        runner = Runner({}, "--socket-mode", "666")
        try:
            self.assertEqual(stat.S_IMODE(os.stat(runner.socket).st_mode), 0o666)
        finally:
            runner.close()


class Concurrency(RunnerTest):
    def test_plugins_that_wait_do_so_side_by_side(self) -> None:
        gate = (
            "import threading\nname = 'gate'\nbarrier = threading.Barrier(20)\n"
            "def filter(c, q, r):\n barrier.wait(4)\n r.set_status_code(204)"
        )
        runner = self.runner({"gate.py": gate})
        token = self.connect(runner).prepare(("gate", ""))
        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            calls = [pool.submit(self.connect(runner).ask, request_call(token)) for _ in range(20)]
            self.assertEqual([call.result()["status"] for call in calls], [204] * 20)


if __name__ == "__main__":
    unittest.main()

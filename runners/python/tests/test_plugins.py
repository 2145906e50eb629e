"""What plugins see, answer and may not do, through a gateway's eyes."""

from __future__ import annotations

import concurrent.futures
from typing import Dict

from .case import RunnerTest
from .gateway import Runner, prepare_conf, request_call, response_call
from .plugins import MODULE, PLUGINS, STOP


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

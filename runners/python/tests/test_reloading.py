"""Plugin files that change while the runner serves."""

from __future__ import annotations

from .case import RunnerTest
from .gateway import Gateway, prepare_conf, request_call


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

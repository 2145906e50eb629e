"""What tests of a running runner have in common: real processes, a real socket, closed with the test."""

from __future__ import annotations

import unittest
from typing import Dict

from .gateway import Gateway, Runner


class RunnerTest(unittest.TestCase):
    def runner(self, files: Dict[str, str], *options: str, **environment: str) -> Runner:
        runner = Runner(files, *options, **environment)
        self.addCleanup(runner.close)
        return runner

    def connect(self, runner: Runner) -> Gateway:
        gateway = runner.connect()
        self.addCleanup(gateway.socket.close)
        return gateway

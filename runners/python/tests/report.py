"""Runs the tests and writes one JSON line for each to the file named by the first argument: its title, whether it passed, why not.

`npm test` reads them, so that its counts are of these tests, one by one.
"""

from __future__ import annotations

import json
import sys
import unittest
from pathlib import Path
from typing import Any, TextIO


class Lines(unittest.TestResult):
    def __init__(self, out: TextIO) -> None:
        super().__init__()
        self._out = out

    def addSuccess(self, test: unittest.TestCase) -> None:
        self._line(test, None)

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        super().addFailure(test, err)
        self._line(test, self.failures[-1][1])

    def addError(self, test: unittest.TestCase, err: Any) -> None:
        super().addError(test, err)
        self._line(test, self.errors[-1][1])

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._line(subtest, (self.failures + self.errors)[-1][1])

    def _line(self, test: unittest.TestCase, failure: Any) -> None:
        # "test_a_b (tests.test_plugins.Plugins.test_a_b)" and what a sub-test adds
        title = str(test).split(" ")[0]
        title = title[len("test_") :] if title.startswith("test_") else str(test)
        print(json.dumps({"title": title.replace("_", " "), "failure": failure}), file=self._out, flush=True)


if __name__ == "__main__":
    folder = Path(__file__).resolve().parent
    suite = unittest.TestLoader().discover(str(folder), top_level_dir=str(folder.parent))
    with open(sys.argv[1], "w") as out:
        result = suite.run(Lines(out))
        print(json.dumps({"ran": result.testsRun}), file=out)
    sys.exit(0 if result.wasSuccessful() else 1)

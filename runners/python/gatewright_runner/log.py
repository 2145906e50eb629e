"""Lines on stderr, which the gateway puts into its own log. A line is one write, so that processes do not mix them."""

from __future__ import annotations

import os
import sys
import traceback


def line(level: str, message: str) -> None:
    """Where nobody reads any more, it is lost: no reason to end."""
    try:
        sys.stderr.write("gatewright-runner[%d] %s: %s\n" % (os.getpid(), level, message))
        sys.stderr.flush()
    except OSError:
        pass


def info(message: str) -> None:
    line("info", message)


def warn(message: str) -> None:
    line("warn", message)


def error(message: str) -> None:
    line("error", message)


def failure(what: str, error_: BaseException) -> None:
    """An exception with its traceback, the runner's own frames left out where the plugin has some."""
    frames = traceback.extract_tb(error_.__traceback__)
    own = os.path.dirname(__file__)
    theirs = [frame for frame in frames if os.path.dirname(frame.filename) != own]
    kind = "".join(traceback.format_exception_only(type(error_), error_)).strip()
    line("error", "%s: %s\n%s" % (what, kind, "".join(traceback.format_list(theirs or frames[-1:])).rstrip()))

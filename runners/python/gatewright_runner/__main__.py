"""`python -m gatewright_runner --plugins DIR`: the address from APISIX_LISTEN_ADDRESS, as the gateway sets it."""

from __future__ import annotations

import argparse
import os
import sys
from typing import List, Optional, TextIO, cast

from . import __version__, log
from .supervisor import AlreadyServed, serve

_DEFAULT_EXPIRE_SECONDS = 3600
#: sun_path of Linux less the zero, less what is added while binding.
_MAX_PATH_BYTES = 107 - 8


def main(arguments: Optional[List[str]] = None) -> int:
    """Exit code 0 after SIGTERM, 1 where it cannot serve, 2 for wrong arguments."""
    options = _parser().parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        # What a plugin prints reaches the gateway's log at once, whatever it is.
        reconfigure = getattr(cast(TextIO, stream), "reconfigure", None)
        if reconfigure is not None:
            reconfigure(line_buffering=True, errors="backslashreplace")
    if not os.path.isdir(options.plugins):
        log.error("%s is not a folder" % options.plugins)
        return 1
    try:
        path = _socket_path(options.listen or os.environ.get("APISIX_LISTEN_ADDRESS", ""))
        expire = _expire_seconds(os.environ.get("APISIX_CONF_EXPIRE_TIME", ""))
        serve(path, options.socket_mode, options.plugins, options.processes, options.timeout, expire)
    except (AlreadyServed, OSError, ValueError) as error:
        log.error(str(error))
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("gatewright_runner", description="Runs Python plugins beside the gateway.")
    parser.add_argument("--plugins", required=True, metavar="DIR", help="folder of the plugins' .py files")
    parser.add_argument("--listen", metavar="unix:PATH", help="the socket; default: APISIX_LISTEN_ADDRESS")
    parser.add_argument("--socket-mode", type=_mode, default=0o600, metavar="MODE", help="octal; default: 600")
    parser.add_argument(
        "--processes", type=_positive, default=max(1, (os.cpu_count() or 1) // 2), help="default: half the cores"
    )
    parser.add_argument("--timeout", type=_seconds, default=5.0, metavar="SECONDS", help="for one call; default: 5")
    parser.add_argument("--version", action="version", version=__version__)
    return parser


def _mode(text: str) -> int:
    mode = int(text, 8)
    if not 0o200 <= mode <= 0o777:
        raise ValueError(text)
    return mode


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= 3600:
        raise ValueError(text)
    return seconds


def _socket_path(address: str) -> str:
    if not address.startswith("unix:") or address == "unix:":
        raise ValueError("an address is unix:/path/of/socket (APISIX_LISTEN_ADDRESS or --listen), not %r" % address)
    path = os.path.abspath(address[len("unix:") :])
    if len(os.fsencode(path)) > _MAX_PATH_BYTES:
        raise ValueError("the path of a socket has %d bytes at most: %s" % (_MAX_PATH_BYTES, path))
    return path


def _expire_seconds(text: str) -> float:
    if not text:
        return _DEFAULT_EXPIRE_SECONDS
    try:
        seconds = float(text)
    except ValueError:
        raise ValueError("APISIX_CONF_EXPIRE_TIME is not a number: %r" % text) from None
    if not 0 < seconds < 1e9:
        raise ValueError("APISIX_CONF_EXPIRE_TIME is out of range: %r" % text)
    return seconds


if __name__ == "__main__":
    sys.exit(main())

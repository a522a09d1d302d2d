"""The client's side of the control socket: one line each way, blocking.

The rule: whatever the socket cannot do becomes an `Unreachable` or a `Refused` with the exit code for the shell.
"""

import contextlib
import json
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from supervisor.listeners import reachable

UNREACHABLE = 4
DENIED = 77
_CONNECT_S = 5.0
_REPLY_S = 10.0


class Refused(Exception):  # noqa: N818 -- what happened, not a fault of ours
    """The daemon said no, or cannot be talked to; `code` is the exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class Unreachable(Refused):
    """Nobody answers on the control socket. `is_alive`: somebody has it, but is silent."""

    def __init__(self, path: Path, why: OSError | str) -> None:
        text = why if isinstance(why, str) else why.strerror or str(why)
        super().__init__(f"no daemon answers on {path}: {text}", UNREACHABLE)
        self.is_alive = isinstance(why, TimeoutError | BlockingIOError)


class Client:
    """One connection. Use as a context manager."""

    def __init__(self, path: Path, *, patience_s: float = _REPLY_S) -> None:
        self._path = path
        self._patience_s = patience_s
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._sock.settimeout(_CONNECT_S)
        try:
            with reachable(path) as address:
                self._sock.connect(address)
        except PermissionError as fault:
            self._sock.close()
            raise Refused(f"not allowed to talk to the daemon on {path}", DENIED) from fault
        except OSError as fault:
            self._sock.close()
            raise Unreachable(path, fault) from fault
        self._replies = self._sock.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._replies.close()
        self._sock.close()

    def call(self, command: str, args: Mapping[str, object] | None = None) -> Any:  # noqa: ANN401 -- JSON
        """Return the result of one command; raises Refused. Waits as long as the command may take."""
        for result in self.stream(command, args):
            return result
        raise Unreachable(self._path, "it hung up")

    def stream(self, command: str, args: Mapping[str, object] | None = None) -> Iterator[Any]:
        """Yield the results of one command as they come."""
        values = dict(args or {})
        timeout_s = values.get("timeout")
        waits_s = self._patience_s + (timeout_s if isinstance(timeout_s, int | float) else 0.0)
        self._sock.settimeout(None if values.get("follow") else waits_s)
        try:
            with contextlib.suppress(BrokenPipeError):  # it hung up early, and may have said why
                self._sock.sendall(json.dumps({"command": command, "args": values}).encode() + b"\n")
            while line := self._replies.readline():
                yield _result(line)
        except OSError as fault:
            raise Unreachable(self._path, fault) from fault


def _result(line: bytes) -> Any:  # noqa: ANN401 -- JSON
    reply = json.loads(line)
    if not reply["ok"]:
        raise Refused(reply["error"], reply["code"])
    return reply["result"]

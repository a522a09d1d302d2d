"""One server process: started on the main thread, dies with us, stopped within a deadline.

It has its own session, so Ctrl-C in the terminal reaches us alone and we stop it in order. The kernel signals it when
the *thread* that started it ends (PR_SET_PDEATHSIG), hence the main thread.
"""

import ctypes
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from priceverse.embedded.account import Account
from priceverse.embedded.errors import ServerFailed

ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
"""All that a server gets to see of our environment: nothing."""

_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1
_MAX_LOG_BYTES = 8 << 20
_STAMP = re.compile(r"^(\d+:\w \d+ \w+ \d{4} [\d:.]+ \S |[\d-]+ [\d:.]+ \w+ \[\d+\] )")
"""What Redis and PostgreSQL put before every line: process and time."""

_POLL_S = 0.02


class ServerProcess:
    """A server program and the log file that takes what it says."""

    def __init__(self, name: str, log: Path) -> None:
        self.name = name
        self._log = log
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._popen.pid if self._popen is not None and self._popen.poll() is None else None

    def spawn(self, argv: Sequence[str], account: Account, death_signal: signal.Signals) -> None:
        """Start the program. Only on the main thread; raises ServerFailed when it cannot be executed."""
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("a server must be started on the main thread, or it dies with the one that it was")
        command = account.command(argv, death_signal.name.removeprefix("SIG"))
        with self._open_log() as log:
            try:
                self._popen = subprocess.Popen(  # type: ignore[call-overload]  # noqa: S603 - options() is a mapping
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=ENVIRONMENT,
                    cwd="/",
                    start_new_session=True,
                    preexec_fn=_dies_with(os.getpid(), death_signal),  # noqa: PLW1509 - a prctl, safe after fork
                    **account.options(),
                )
            except OSError as error:
                raise ServerFailed(f"{self.name}: {command[0]} cannot be executed: {error.strerror}") from None

    def wait_until(self, ready: Callable[[], bool], timeout_s: float) -> None:
        """Wait until `ready()` says so. Raises ServerFailed when the process ends first or the time is over."""
        deadline = time.monotonic() + timeout_s
        while not ready():
            if self.pid is None:
                raise ServerFailed(f"{self.name} does not start: {self.last_words()} (log: {self._log})")
            if time.monotonic() > deadline:
                raise ServerFailed(f"{self.name} is not ready after {timeout_s:.0f} s (log: {self._log})")
            time.sleep(_POLL_S)

    def stop(self, first: signal.Signals, timeout_s: float) -> None:
        """End the process with `first`, and with SIGKILL when that takes longer than `timeout_s`."""
        if self._popen is None or self._popen.poll() is not None:
            return
        self._popen.send_signal(first)
        try:
            self._popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()

    def last_words(self) -> str:
        """Return the last line that the server wrote, for an error message."""
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines() if self._log.exists() else []
        last = next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
        return _STAMP.sub("", last)[:300]

    def _open_log(self) -> BinaryIO:
        self._log.parent.mkdir(mode=0o700, exist_ok=True)
        is_long = self._log.exists() and self._log.stat().st_size > _MAX_LOG_BYTES
        return self._log.open("wb" if is_long else "ab")


def _dies_with(parent: int, death_signal: signal.Signals) -> Callable[[], None]:
    """Return what the new process does before it executes the program."""

    def arm() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(death_signal))
        if os.getppid() != parent:  # it died before we were armed
            os._exit(1)

    return arm

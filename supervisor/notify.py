"""Tell systemd: READY, STATUS, WATCHDOG, RELOADING, STOPPING (sd_notify, without a library).

The rule: without NOTIFY_SOCKET every call does nothing, and a manager that has gone is no fault of ours. One whose
queue is full is waited for a moment where losing the word would mislead it; a status or a watchdog's beat is lost.
"""

import contextlib
import os
import socket
import time
from collections.abc import Mapping

_PATIENCE_S = 1.0


class Notifier:
    """Datagrams to the service manager. `watchdog_s` is how often to send WATCHDOG, if it wants that."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        environ = os.environ if environ is None else environ
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog_s = _watchdog_s(environ) if self._address else None
        self._status = ""

    def ready(self) -> None:
        self._send("READY=1", _PATIENCE_S)

    def status(self, line: str) -> None:
        """Show one line in `systemctl status`; sent only when it changes."""
        if line != self._status:
            self._status = line
            self._send(f"STATUS={line}")

    def watchdog(self) -> None:
        self._send("WATCHDOG=1")

    def reloading(self) -> None:
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}", _PATIENCE_S)

    def stopping(self) -> None:
        self._send("STOPPING=1", _PATIENCE_S)

    def _send(self, message: str, patience_s: float = 0.0) -> None:
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.settimeout(patience_s)
            with contextlib.suppress(OSError):
                sock.sendto(message.encode(), self._address)


def _watchdog_s(environ: Mapping[str, str]) -> float | None:
    """Return half of what the manager allows, or None if the watchdog is off or meant for another process."""
    allowed_us = environ.get("WATCHDOG_USEC", "")
    if not allowed_us.isdigit() or environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(allowed_us) / 1_000_000 / 2

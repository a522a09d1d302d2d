"""Where a private server listens: a unix socket in the state directory, else a free loopback port; always a password.

A unix socket's path must fit into 108 bytes, which a deep state directory exceeds.
"""

import os
import secrets
import socket
from pathlib import Path

LOOPBACK = "127.0.0.1"
_MAX_SOCKET_PATH_BYTES = 100


def fits(socket_path: Path) -> bool:
    """Tell whether a unix socket can have this path."""
    return len(os.fsencode(socket_path)) <= _MAX_SOCKET_PATH_BYTES


def free_port() -> int:
    """Return a loopback TCP port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def password(path: Path) -> str:
    """Return the password kept in `path`, readable by its owner alone; made up on the first call."""
    if not path.exists():
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(file, "w", encoding="ascii") as opened:
            opened.write(secrets.token_urlsafe(24))
    return path.read_text(encoding="ascii")

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


def choose_port(path: Path) -> None:
    """Keep a free loopback TCP port in the file `path`: the one there already, if nobody took it meanwhile."""
    if not (kept := port(path)) or not _is_free(kept):
        path.write_text(str(_free_port()), encoding="ascii")


def port(path: Path) -> int:
    """Return the port kept in `path`; 0 when there is none."""
    return int(path.read_text(encoding="ascii")) if path.exists() else 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def choose_password(path: Path) -> None:
    """Keep a random password in the file `path`, readable by its owner alone; one that is there stays."""
    if not path.exists():
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(file, "w", encoding="ascii") as opened:
            opened.write(secrets.token_urlsafe(24))


def password(path: Path) -> str:
    """Return the password kept in `path`."""
    return path.read_text(encoding="ascii")

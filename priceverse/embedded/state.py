"""The state directory of a private instance: one owner at a time, closed to other users.

The lock is a `flock`, so it ends with the process that holds it, however that ends; the file only adds who it is.
"""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from priceverse.embedded.errors import EmbeddedError, StateDirBusy

_LOCK = "lock"


class StateDir:
    """A state directory, made on entering and locked until leaving.

    Entering raises StateDirBusy while another process holds it. The lock is not inherited by programs started
    meanwhile.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._lock: int | None = None

    def __enter__(self) -> Self:
        try:
            _make(self.path)
            lock = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise EmbeddedError(f"{self.path}: cannot be used as state directory: {error.strerror}") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            who = holder(self.path) or "?"
            raise StateDirBusy(f"{self.path} is in use by process {who}: stop it or choose another directory") from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        self._lock = lock
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._lock is not None:
            os.ftruncate(self._lock, 0)
            os.close(self._lock)
            self._lock = None


def holder(path: Path) -> int | None:
    """Return the id of the process that runs on this state directory, None when nobody does."""
    try:
        lock = os.open(path / _LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.read(lock, 32).strip()
        return int(text) if text.isdigit() else None
    finally:
        os.close(lock)
    return None


def _make(path: Path) -> None:
    """Make the directory: for us alone, or passable for the account that a root user's PostgreSQL runs as."""
    path.mkdir(parents=True, exist_ok=True)
    if path.stat().st_uid == os.geteuid():
        path.chmod(0o711 if os.geteuid() == 0 else 0o700)

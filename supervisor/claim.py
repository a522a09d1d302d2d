"""The claim of one root on its control path: a lock, and the list of processes that a later root may have to reap.

Taken before anything is spawned. The rule: a process is killed only if its session was a recorded child's and it began
no earlier than that child, on the same boot; a pid alone proves nothing.
"""

import contextlib
import fcntl
import json
import os
import select
import signal
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from supervisor import procfs
from supervisor.errors import AlreadyRunning, ListenError

_GONE_S = 5.0


@dataclass(frozen=True, slots=True)
class Record:
    """A child as it is remembered: it leads a session of its own, whose id is its pid."""

    name: str
    pid: int
    started_ticks: int


@dataclass(frozen=True, slots=True)
class Orphan:
    name: str
    pid: int


class Claim:
    """Files beside the control socket: `.lock` and `.children`."""

    def __init__(self, control: Path) -> None:
        self._control = control
        self._children = control.with_name(f"{control.name}.children")

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock; raises AlreadyRunning naming the root that has it."""
        path = self._control.with_name(f"{self._control.name}.lock")
        try:
            path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as fault:
            raise ListenError(f"cannot create {path}: {fault.strerror}") from fault
        try:
            self._lock(fd)
            with contextlib.suppress(OSError):  # the disk is full: the lock holds without the name on it
                os.ftruncate(fd, 0)
                os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
            yield
            self._children.unlink(missing_ok=True)
        finally:
            os.close(fd)

    def _lock(self, fd: int) -> None:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.pread(fd, 32, 0).decode(errors="replace").strip() or "unknown"
            raise AlreadyRunning(f"already running (pid {pid}) on {self._control}") from None

    def remember(self, children: Iterable[Record]) -> None:
        """Record who is running now; replaces the last record whole. Raises OSError, as when the disk is full."""
        content = {"boot": procfs.boot_id(), "children": [asdict(child) for child in children]}
        fresh = self._children.with_name(f"{self._children.name}.new")
        fresh.write_text(json.dumps(content))
        fresh.rename(self._children)

    def reap(self) -> list[Orphan]:
        """Kill what an earlier root left behind, wait until it is gone, and return it."""
        names = {record.pid: record for record in self._remembered()}
        found = [seen for seen in procfs.all_processes() if _is_left_by(seen, names)] if names else []
        for seen in found:
            _end(seen.pid)
        return [Orphan(names[seen.session].name, seen.pid) for seen in found]

    def _remembered(self) -> list[Record]:
        try:
            content = json.loads(self._children.read_text())
            same_boot = content["boot"] == procfs.boot_id()
            return [Record(**child) for child in content["children"]] if same_boot else []
        except FileNotFoundError:
            return []
        except (ValueError, KeyError, TypeError):  # cut off by a crash of the machine: nothing runs from before it
            return []


def _is_left_by(seen: procfs.Usage, names: dict[int, Record]) -> bool:
    record = names.get(seen.session)
    return record is not None and not seen.is_zombie and seen.started_ticks >= record.started_ticks


def _end(pid: int) -> None:
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        deadline = time.monotonic() + _GONE_S
        while not select.select([pidfd], [], [], max(0.0, deadline - time.monotonic()))[0]:
            if time.monotonic() >= deadline:
                break
    except ProcessLookupError:
        pass
    finally:
        os.close(pidfd)

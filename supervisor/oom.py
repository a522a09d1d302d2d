"""Whether a SIGKILL was the kernel's, for want of memory, as far as the control group tells.

The signal looks the same whoever sent it, but `oom_kill` in the group's memory.events grows when the kernel did.
The rule: each kill counted there explains one death close to it; where nothing is counted (cgroup v1), memory is never
blamed.
"""

from collections import deque
from collections.abc import Callable
from pathlib import Path

NEAR_S = 5.0  # a large process takes a while to die, and is killed a moment before the count is read

Read = Callable[[], int | None]


class OomKills:
    """The kernel's kills that no death has been put down to yet. `look` now and then, so that old ones are old."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._known = read()
        self._seen_at: deque[float] = deque()

    def look(self, now: float) -> None:
        count = self._read()
        if count is not None and self._known is not None:
            self._seen_at.extend([now] * (count - self._known))
        self._known = count
        while self._seen_at and now - self._seen_at[0] > NEAR_S:
            self._seen_at.popleft()

    def explains(self, now: float) -> bool:
        """Return whether one of them may be the death noticed just now; it then explains no other."""
        self.look(now)
        if not self._seen_at:
            return False
        self._seen_at.popleft()
        return True


def counter(proc: Path = Path("/proc/self/cgroup"), mounted: Path = Path("/sys/fs/cgroup")) -> Read:
    """Return what reads the count of this process's own group; it returns None where there is none."""
    events = _events_file(proc, mounted)

    def read() -> int | None:
        try:
            lines = events.read_text(encoding="ascii").splitlines() if events is not None else []
        except OSError:
            return None
        return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)

    return read


def _events_file(proc: Path, mounted: Path) -> Path | None:
    try:
        lines = proc.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    unified = next((line.removeprefix("0::") for line in lines if line.startswith("0::")), None)
    return None if unified is None else mounted / unified.lstrip("/") / "memory.events"

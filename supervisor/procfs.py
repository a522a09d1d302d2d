"""What /proc says of a process. Reads only /proc/<pid>/*, which stays visible under systemd's ProcSubset=pid.

The rule: a process that has gone is `None`, not an error.
"""

import os
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Usage:
    """`started_ticks` (since boot) tells a process from a later one with the same pid."""

    pid: int
    session: int
    is_zombie: bool
    started_ticks: int
    cpu_s: float
    rss_bytes: int


def usage(pid: int) -> Usage | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()  # the command before it may contain anything
    return Usage(
        pid=pid,
        session=int(fields[3]),
        is_zombie=fields[0] in "ZX",
        started_ticks=int(fields[19]),
        cpu_s=(int(fields[11]) + int(fields[12])) / _TICKS_PER_S,
        rss_bytes=int(fields[21]) * _PAGE_BYTES,
    )


def all_processes() -> list[Usage]:
    pids = (int(entry) for entry in os.listdir("/proc") if entry.isdigit())  # noqa: PTH208 -- names only, no paths
    return [seen for pid in pids if (seen := usage(pid)) is not None]


def boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:  # hidden by ProcSubset=pid
        return ""

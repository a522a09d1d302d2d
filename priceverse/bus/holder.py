"""Who holds a lease: a process, named so that another one on the same machine can tell whether it still runs.

    <boot id>/<pid namespace>:<pid>:<start time>:<random>

The rule: dead is only who is known to be: a process of another machine, or of this one before it was booted, is not.
"""

import os
import secrets
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_STATE, _START_TIME = 0, 19
"""Places in /proc/PID/stat after the name, which is in parentheses."""


def myself() -> str:
    """Return a name for this process that nobody else has or had."""
    pid = os.getpid()
    return f"{_machine()}:{pid}:{_started(pid)}:{secrets.token_hex(4)}"


def is_dead(holder: str) -> bool:
    """Tell whether a holder is known not to run any more."""
    machine, _, process = holder.partition(":")
    if machine != _machine():
        return False
    pid, _, rest = process.partition(":")
    return pid.isdigit() and _started(int(pid)) != rest.partition(":")[0]


def _machine() -> str:
    try:
        return f"{_BOOT_ID.read_text().strip()}/{os.stat('/proc/self/ns/pid').st_ino}"  # noqa: PTH116 - it is no file
    except OSError:
        return secrets.token_hex(8)  # nobody's: leases simply run out


def _started(pid: int) -> str:
    """Return when a process was started, in ticks since boot; nothing if it does not run."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[_STATE] in "ZX" else fields[_START_TIME]

"""Servers that outlived their owner: found by the directory they work in, ended before another starts there.

Only for the holder of the state directory's lock: whoever works in there is then nobody's. The sessions of a server
count too; each ends within moments after it.
"""

import contextlib
import os
import signal
import time
from collections.abc import Collection
from pathlib import Path

_PATIENCE_S = 10.0
_POLL_S = 0.05


def see_off(folder: Path, programs: Collection[str], first: signal.Signals) -> None:
    """End the processes of `programs` that work in `folder`: with `first`, later with SIGKILL. Return when gone."""
    for signum in (first, signal.SIGKILL):
        for pid in _working_in(folder, programs):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signum)
        deadline = time.monotonic() + _PATIENCE_S
        while _working_in(folder, programs):
            if time.monotonic() > deadline:
                break
            time.sleep(_POLL_S)
        else:
            return


def _working_in(folder: Path, programs: Collection[str]) -> list[int]:
    return [
        int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and _works(entry, folder, programs)
    ]


def _works(process: Path, folder: Path, programs: Collection[str]) -> bool:
    with contextlib.suppress(OSError):  # gone, or somebody else's
        name = (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
        return name in programs and (process / "cwd").readlink() == folder.resolve()
    return False

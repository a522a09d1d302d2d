"""An instance in the background: start it and wait until it is ready, stop it and wait until it is gone."""

import os
import subprocess
import sys
import time
from pathlib import Path

import click

from priceverse.embedded.errors import EmbeddedError
from priceverse.embedded.state import holder

READY_LINE = "stop "
STOP_TIMEOUT_S = 60.0
LOG_KEEP_BYTES = 64 * 1024 * 1024


def log_file(state: Path) -> Path:
    """Return where an instance that does not own a terminal writes its log: one JSON object a line."""
    return state / "priceverse.log"


def rotate_log(state: Path) -> Path:
    """Put a large log of earlier runs aside (one is kept) and return the file to append to."""
    log = log_file(state)
    if log.exists() and log.stat().st_size > LOG_KEEP_BYTES:
        log.replace(log.with_suffix(".log.1"))
    return log


def start(state: Path) -> None:
    """Run this same command without `--detach` in a session of its own; return when it says that it is ready."""
    argv = [sys.executable, "-m", "priceverse", *(word for word in sys.argv[1:] if word != "--detach")]
    state.mkdir(parents=True, exist_ok=True)
    with open(rotate_log(state), "ab", opener=_private) as faults:
        before_bytes = faults.tell()
        try:
            child = subprocess.Popen(  # noqa: S603 - our own command line
                argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=faults, text=True, start_new_session=True
            )
        except OSError as error:
            raise EmbeddedError(f"{argv[0]} cannot be started: {error.strerror}") from None
    assert child.stdout is not None
    for line in child.stdout:
        click.echo(line.rstrip())
        if line.startswith(READY_LINE):
            return
    code = child.wait()
    last = log_file(state).read_bytes()[before_bytes:].decode(errors="replace").strip().rpartition("\n")[2]
    raise EmbeddedError(
        f"{last.removeprefix('Error: ')}\nit ended with exit code {code} before it was ready; see {log_file(state)}"
    )


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def stop(state: Path) -> str:
    """Stop the instance of `state` in order; return what to tell. Raises EmbeddedError when it does not end."""
    pid = holder(state)
    if pid is None:
        return f"nothing runs on {state}"
    os.kill(pid, 15)
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while holder(state) == pid:
        if time.monotonic() > deadline:
            raise EmbeddedError(f"process {pid} still runs {STOP_TIMEOUT_S:.0f} s after SIGTERM")
        time.sleep(0.05)
    return "stopped"

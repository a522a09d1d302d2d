"""The data directory of a private PostgreSQL: making it, and reading from it how its server is.

A directory is made under another name and renamed when complete, so a killed `initdb` leaves nothing half made. Role
and database are made in single-user mode: no server, no driver, no password on a command line.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from priceverse.embedded import remains
from priceverse.embedded.account import Account
from priceverse.embedded.errors import ServerFailed
from priceverse.embedded.process import ENVIRONMENT

NAME = "priceverse"
"""The role and the database."""

_ACCESS = "local all all scram-sha-256\nhost all all 127.0.0.1/32 scram-sha-256\n"
_PROGRAMS = ("postgres",)
_CREATE_S = 120


def create(data: Path, program: Path, account: Account, password: str) -> None:
    """Make a data directory with the role and the database `priceverse`. Raises ServerFailed."""
    unfinished = data.with_name(f"{data.name}.new")
    shutil.rmtree(unfinished, ignore_errors=True)
    initdb = [program.with_name("initdb"), "-D", unfinished, "-U", "postgres", "-E", "UTF8", "--locale=C"]
    _run([*map(str, initdb), "--auth=reject", "--no-instructions", "--no-sync"], account)
    access = unfinished / "pg_hba.conf"
    access.write_text(_ACCESS, encoding="ascii")
    _run([str(program), "--single", "-F", "-D", str(unfinished), "postgres"], account, _setup(password))
    _flush(unfinished)
    unfinished.rename(data)


def _setup(password: str) -> str:
    return f"CREATE ROLE {NAME} LOGIN CREATEROLE CREATEDB PASSWORD '{password}'\nCREATE DATABASE {NAME} OWNER {NAME}\n"


def major(data: Path) -> int:
    """Return the major version that made the directory. Raises ServerFailed."""
    try:
        return int((data / "PG_VERSION").read_text(encoding="ascii").strip())
    except (OSError, ValueError):
        raise ServerFailed(f"{data} is not a PostgreSQL data directory: remove it or choose another one") from None


def is_ready(data: Path, pid: int | None) -> bool:
    """Tell whether server `pid` takes connections, by the status that it keeps in its pid file."""
    lines = _pid_file(data)
    return len(lines) > 7 and lines[0] == str(pid) and lines[7] == "ready"


def clear_remains(data: Path, run: Path) -> None:
    """End a server that outlived its owner and remove the pid files of one that is gone.

    PostgreSQL itself refuses to start when the recorded number is in use again by anybody.
    """
    remains.see_off(data, _PROGRAMS, signal.SIGQUIT)
    for file in (data / "postmaster.pid", *run.glob(".s.PGSQL.*")):
        file.unlink(missing_ok=True)


def _flush(folder: Path) -> None:
    """Have everything on disk in one call, where `initdb` would wait for each of a thousand files."""
    opened = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(opened):
            raise ServerFailed(f"{folder} cannot be written: {os.strerror(ctypes.get_errno())}")
    finally:
        os.close(opened)


def _pid_file(data: Path) -> list[str]:
    with contextlib.suppress(OSError):
        return [line.strip() for line in (data / "postmaster.pid").read_text(encoding="utf-8").splitlines()]
    return []


def _run(argv: Sequence[str], account: Account, text: str = "") -> None:
    """Run one of PostgreSQL's programs to its end. Raises ServerFailed with what it said."""
    try:
        done = subprocess.run(  # type: ignore[call-overload]  # noqa: S603 - a mapping of options; PostgreSQL's own program
            account.command(argv, "KILL"),
            input=text,
            capture_output=True,
            text=True,
            timeout=_CREATE_S,
            env=ENVIRONMENT,
            cwd="/",
            check=False,
            **account.options(),
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ServerFailed(f"{argv[0]} cannot be run: {error}") from None
    faults = [line for line in done.stderr.splitlines() if "ERROR" in line or "FATAL" in line]
    if done.returncode or faults:
        said = faults or done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise ServerFailed(f"{argv[0]}: {said[-1].strip()}")

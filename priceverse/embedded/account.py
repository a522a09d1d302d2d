"""As whom PostgreSQL runs: as ourselves, or, because it refuses root, as an unprivileged account that exists already.

No account is ever created. When the account cannot pass the directories above the state or the programs (a 0700
parent, as `mktemp -d` or /root have), it gets one ambient capability for that, CAP_DAC_OVERRIDE: containers that drop
the milder CAP_DAC_READ_SEARCH still have it.
"""

import os
import pwd
import shutil
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from priceverse.embedded.errors import ServerFailed

_ACCOUNTS = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Account:
    """Whom to run a program as. The default is ourselves."""

    uid: int = field(default_factory=os.geteuid)
    gid: int = field(default_factory=os.getegid)
    setpriv: str | None = None

    @property
    def is_own(self) -> bool:
        return self.uid == os.geteuid()

    def command(self, argv: Iterable[str], death_signal: str) -> list[str]:
        """Return the command line; `death_signal` (`KILL`) is what the program gets when its parent dies."""
        if self.setpriv is None:
            return list(argv)
        caps = ("--inh-caps", "+dac_override", "--ambient-caps", "+dac_override")
        who = ("--reuid", str(self.uid), "--regid", str(self.gid), "--clear-groups")
        return [self.setpriv, *who, *caps, "--pdeathsig", death_signal, *argv]

    def options(self) -> Mapping[str, object]:
        """Return the arguments of `subprocess.Popen` that change to this account."""
        if self.is_own or self.setpriv is not None:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def give(self, path: Path) -> None:
        """Make the account the owner of a directory or file of its own."""
        if not self.is_own:
            os.chown(path, self.uid, self.gid)


def choose(home: Path, program: Path) -> Account:
    """Decide as whom to run `program` on the existing directory `home`. Raises ServerFailed."""
    owner = home.stat()
    if os.geteuid() != 0:
        if owner.st_uid != os.geteuid():
            raise ServerFailed(f"{home} belongs to another user: run as that user or choose another state directory")
        return Account()
    uid, gid = (owner.st_uid, owner.st_gid) if owner.st_uid else _unprivileged()
    if _can_pass(home, uid, gid) and _can_pass(program, uid, gid):
        return Account(uid, gid)
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise ServerFailed(
            f"PostgreSQL refuses root and account {uid} cannot reach {home} and {program}: "
            "choose a state directory that others may pass, or install setpriv (util-linux)"
        )
    return Account(uid, gid, setpriv)


def _unprivileged() -> tuple[int, int]:
    for name in _ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return entry.pw_uid, entry.pw_gid
    raise ServerFailed(f"PostgreSQL refuses root and none of the accounts {', '.join(_ACCOUNTS)} exists")


def _can_pass(path: Path, uid: int, gid: int) -> bool:
    """Tell by the permission bits whether an account reaches `path` through all directories above it."""
    return all(_may_search(parent.stat(), uid, gid) for parent in path.resolve().parents)


def _may_search(of: os.stat_result, uid: int, gid: int) -> bool:
    if of.st_uid == uid:
        return bool(of.st_mode & stat.S_IXUSR)
    return bool(of.st_mode & (stat.S_IXGRP if of.st_gid == gid else stat.S_IXOTH))

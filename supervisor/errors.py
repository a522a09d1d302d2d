"""Faults of the supervisor, drawn by whose they are.

    SupervisorError                 exit_code
    ├── SpecError                   78   the caller described an impossible tree
    ├── AlreadyRunning              75   another root holds the control socket
    ├── ListenError                 69   a listening socket could not be had
    └── ControlError                 –   a control client asked for what cannot be
    WireError                        –   the peer sent what the protocol does not know
    Leave                                a child ends itself, on purpose, with a meaning
    ├── Recycle                      3   replace me at once, nothing is wrong
    ├── UsageFault / ConfigFault    64 / 78   never restart me: somebody must change something
    └── Unavailable / TryLater      69 / 75   a dependency is away: back off, do not count it

The rule: an error that an operator may read says what came, where, and what is allowed.
"""

from enum import IntEnum
from typing import ClassVar


class Code(IntEnum):
    """Exit codes with a meaning between root and children (sysexits.h, and 3)."""

    DONE = 0
    CRASH = 1
    RECYCLE = 3
    USAGE = 64
    UNAVAILABLE = 69
    SOFTWARE = 70
    TEMPORARY = 75
    DENIED = 77
    CONFIG = 78


class SupervisorError(Exception):
    """A fault that ends the root; `exit_code` is what the program should exit with."""

    exit_code: ClassVar[int] = Code.SOFTWARE


class SpecError(SupervisorError):
    """A value in a tree description is impossible."""

    exit_code = Code.CONFIG

    def __init__(self, field: str, got: object, allowed: str) -> None:
        super().__init__(f"{field}: got {got!r}, allowed: {allowed}")
        self.field = field


class AlreadyRunning(SupervisorError):  # noqa: N818 -- reads as the state it reports
    """Another root owns the same control socket and state."""

    exit_code = Code.TEMPORARY


class ListenError(SupervisorError):
    """A listening or control socket cannot be bound."""

    exit_code = Code.UNAVAILABLE


class ControlError(Exception):
    """A control request that cannot be carried out; `code` becomes the client's exit code."""

    def __init__(self, message: str, code: int = 2) -> None:
        super().__init__(message)
        self.code = code


class WireError(Exception):
    """A frame that is not of the protocol: too long, not JSON, or of the wrong shape."""


class Leave(Exception):  # noqa: N818 -- an exit with a meaning, not an error
    """Raised inside a child to exit with a code that tells the root what to do next."""

    code: ClassVar[Code] = Code.CRASH


class Recycle(Leave):
    code = Code.RECYCLE


class UsageFault(Leave):
    code = Code.USAGE


class ConfigFault(Leave):
    code = Code.CONFIG


class Unavailable(Leave):
    code = Code.UNAVAILABLE


class TryLater(Leave):
    code = Code.TEMPORARY

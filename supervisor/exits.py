"""What a child's exit means and what follows from it (pure).

The rule: a child is blamed only for its own doing. A missing dependency and a SIGKILL that the root did not send are
the environment's: tried again, never counted against the child; only where memory ran out does trying wait longer and
longer.
"""

import signal
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from supervisor.errors import Code
from supervisor.spec import ChildSpec, Restart


class Decision(StrEnum):
    """What to do after an exit that nobody asked for."""

    RESTART = "restart"  # counted; at once after a healthy run, else after a delay
    RESTART_WITH_BACKOFF = "restart_with_backoff"  # not counted; delayed
    RECYCLE = "recycle"  # not counted; at once
    STOP = "stop"  # never again
    ESCALATE = "escalate"  # the whole tree stops, the root exits 70


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How one process ended. Exactly one of `code`, `signum` and `error` (the spawn failed) is set."""

    code: int | None = None
    signum: int | None = None
    error: str | None = None
    was_ready: bool = False
    was_oom: bool = False  # the kernel killed it for want of memory
    fault: str = ""  # why the root itself ended it: hung, unready, memory, protocol

    @property
    def is_config_fault(self) -> bool:
        return self.code in (Code.USAGE, Code.CONFIG)

    @property
    def is_from_outside(self) -> bool:
        """True for a SIGKILL that neither the root nor the kernel for want of memory sent: an operator, a drill."""
        return self.signum == signal.SIGKILL and not self.fault and not self.was_oom

    def __str__(self) -> str:
        if self.error is not None:
            return self.error
        name = f"exit code {self.code}" if self.signum is None else _signal_name(self.signum)
        return f"{name} (out of memory)" if self.was_oom else name


OnExit = Callable[[ChildSpec, Exit], Decision]


def on_child_exit(spec: ChildSpec, end: Exit) -> Decision:
    """Decide by exit code, signal and restart type; the default of the runtime's `on_child_exit` hook."""
    if end.is_config_fault:
        return Decision.STOP
    if end.code == Code.RECYCLE:
        return Decision.RECYCLE
    if not _wants_restart(spec.restart, end):
        return Decision.STOP
    if end.code in (Code.UNAVAILABLE, Code.TEMPORARY) or end.was_oom:
        return Decision.RESTART_WITH_BACKOFF
    if end.is_from_outside:
        return Decision.RECYCLE
    return Decision.RESTART


def _wants_restart(restart: Restart, end: Exit) -> bool:
    if restart is Restart.TRANSIENT:
        return end.code != Code.DONE
    return restart is Restart.PERMANENT


def _signal_name(signum: int) -> str:
    try:
        return signal.Signals(signum).name
    except ValueError:  # a real-time signal has no name
        return f"signal {signum}"

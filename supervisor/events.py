"""What happened, as values: each goes to the log, to the metrics and to `ctl events -f`.

The rule: an event's name is a constant snake_case phrase, everything else is data.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Name(StrEnum):
    """Every event that the supervisor itself reports."""

    WORKER_STARTED = "worker_started"
    WORKER_READY = "worker_ready"
    WORKER_EXITED = "worker_exited"
    WORKER_REPLACED = "worker_replaced"
    WORKER_BACKOFF = "worker_backoff"
    WORKER_STOPPING = "worker_stopping"
    WORKER_KILLED = "worker_killed"
    WORKER_HUNG = "worker_hung"
    WORKER_SPARED = "worker_spared"
    WORKER_STACKS = "worker_stacks"
    WORKER_UNREADY = "worker_unready"
    WORKER_MISBEHAVED = "worker_misbehaved"
    WORKER_MEMORY = "worker_memory"
    CHILD_FATAL = "child_fatal"
    CHILD_ADDED = "child_added"
    CHILD_REMOVED = "child_removed"
    BREAKER_OPENED = "breaker_opened"
    BREAKER_CLOSED = "breaker_closed"
    POOL_SCALED = "pool_scaled"
    POOL_ROLLED = "pool_rolled"
    KEYS_ASSIGNED = "keys_assigned"
    TREE_READY = "tree_ready"
    TREE_STOPPING = "tree_stopping"
    TREE_STOPPED = "tree_stopped"
    TREE_ESCALATED = "tree_escalated"
    TREE_RELOADED = "tree_reloaded"
    RELOAD_REFUSED = "reload_refused"
    ROOT_STALLED = "root_stalled"
    ORPHAN_REAPED = "orphan_reaped"
    RECORD_FAILED = "record_failed"
    ZYGOTE_WARM = "zygote_warm"
    ZYGOTE_EXITED = "zygote_exited"
    CONTROL_CHANGE = "control_change"
    CONTROL_DENIED = "control_denied"
    CONTROL_FAILED = "control_failed"


_LEVELS = {"debug", "info", "warning", "error"}
LEVELS: Mapping[str, str] = {
    Name.CHILD_FATAL: "error",
    Name.TREE_ESCALATED: "error",
    Name.WORKER_HUNG: "error",
    Name.WORKER_STACKS: "error",
    Name.WORKER_UNREADY: "error",
    Name.WORKER_KILLED: "warning",
    Name.WORKER_SPARED: "warning",
    Name.WORKER_BACKOFF: "warning",
    Name.WORKER_MISBEHAVED: "warning",
    Name.WORKER_MEMORY: "warning",
    Name.BREAKER_OPENED: "warning",
    Name.RELOAD_REFUSED: "warning",
    Name.ROOT_STALLED: "warning",
    Name.ORPHAN_REAPED: "warning",
    Name.RECORD_FAILED: "warning",
    Name.ZYGOTE_EXITED: "warning",
    Name.CONTROL_DENIED: "warning",
    Name.CONTROL_FAILED: "error",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One happening. `child` is empty for those of the tree; `at_ms` is UTC and for people only."""

    name: str
    at_ms: int
    child: str = ""
    data: Mapping[str, object] = field(default_factory=dict)

    @property
    def level(self) -> str:
        """Return debug, info, warning or error; an event of a child itself brings its own as data."""
        level = LEVELS.get(self.name) or str(self.data.get("level"))
        return level if level in _LEVELS else "info"

    def as_json(self) -> dict[str, object]:
        own: dict[str, object] = {"at_ms": self.at_ms, "event": self.name, "level": self.level, "child": self.child}
        return own | dict(self.data) | own  # what it is leads the line, and no data of a child's may hide it

"""The description of a tree: children, pools and listening sockets, as values.

First in the flow: whoever builds a `TreeSpec` learns here, before any process starts, what is impossible in it.
The rule: a bad value raises `SpecError` naming the field, what came and what is allowed.
"""

import re
import signal
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import Any

from supervisor.backoff import Backoff
from supervisor.errors import SpecError
from supervisor.intensity import Intensity

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")


class Restart(StrEnum):
    PERMANENT = "permanent"  # always
    TRANSIENT = "transient"  # unless it exits 0
    TEMPORARY = "temporary"  # never


class Strategy(StrEnum):
    """How keys and calls find a pool member."""

    ROUND_ROBIN = "round_robin"
    LEAST_LOADED = "least_loaded"
    CONSISTENT_HASH = "consistent_hash"
    LATENCY = "latency"
    ADAPTIVE = "adaptive"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSpec:
    """One process. `settings` (JSON) travel over its pipe and never appear in argv or environment.

    It inherits the root's environment, less what begins with one of `without_env`, plus `env`. `is_warm` has it forked
    by the tree's zygote, as far as there is one: then `argv` is `(sys.executable, "-m", module, …)`.
    """

    name: str
    argv: tuple[str, ...]
    is_warm: bool = False
    role: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    without_env: tuple[str, ...] = ()
    settings: Any = None
    restart: Restart = Restart.PERMANENT
    critical: bool = False
    order: int = 0
    ready_timeout_s: float = 30.0
    beat_interval_s: float = 2.0
    beat_misses: int = 3
    stop_signal: int = signal.SIGTERM
    stop_timeout_s: float = 10.0
    memory_soft_bytes: int | None = None
    memory_hard_bytes: int | None = None
    listeners: tuple[str, ...] = ()
    pool: str | None = None
    group: str | None = None

    def __post_init__(self) -> None:
        _check_name("child.name", self.name)
        where = f"child {self.name}"
        _check(bool(self.argv) and all(self.argv), f"{where}: argv", self.argv, "a program and its arguments")
        _check(self.restart in set(Restart), f"{where}: restart", self.restart, _names(Restart))
        for limit in ("ready_timeout_s", "beat_interval_s", "stop_timeout_s"):
            _check(getattr(self, limit) > 0, f"{where}: {limit}", getattr(self, limit), "seconds above 0")
        _check(self.beat_misses >= 1, f"{where}: beat_misses", self.beat_misses, "1 or more")
        _check(self.stop_signal in signal.valid_signals(), f"{where}: stop_signal", self.stop_signal, "a signal number")
        is_module = self.argv[:2] == (sys.executable, "-m") and len(self.argv) > 2
        _check(is_module or not self.is_warm, f"{where}: argv", self.argv, "sys.executable, -m, module … if is_warm")
        self._check_memory(where)

    @property
    def module(self) -> str | None:
        """Return the module that a zygote runs, None if the child is always executed."""
        return self.argv[2] if self.is_warm else None

    def _check_memory(self, where: str) -> None:
        soft, hard = self.memory_soft_bytes, self.memory_hard_bytes
        for name, limit in (("memory_soft_bytes", soft), ("memory_hard_bytes", hard)):
            _check(limit is None or limit > 0, f"{where}: {name}", limit, "bytes above 0, or none")
        if soft is not None and hard is not None:
            _check(soft <= hard, f"{where}: memory_soft_bytes", soft, f"at most memory_hard_bytes ({hard})")

    @property
    def beat_deadline_s(self) -> float:
        """Return how long a ready child may stay silent: the last of its missed beats is not waited for in full."""
        return self.beat_interval_s * (self.beat_misses - 0.25)


@dataclass(frozen=True, slots=True, kw_only=True)
class Autoscale:
    """When a pool grows and shrinks. Shares are 0 to 1; `queue` is the waiting work per member."""

    cpu: float = 0.60
    memory: float = 0.70
    saturation_up: float = 0.8
    saturation_down: float = 0.3
    queue: float = 100.0
    cooldown_s: float = 60.0
    down_penalty: float = 5.0
    samples_up: int = 2
    samples_down: int = 5

    def __post_init__(self) -> None:
        for share in ("cpu", "memory", "saturation_up"):
            _check(0 < getattr(self, share) <= 1, f"autoscale.{share}", getattr(self, share), "above 0, at most 1")
        _check(0 <= self.saturation_down < self.saturation_up, "autoscale.saturation_down", self.saturation_down,
               f"0 or more, below saturation_up ({self.saturation_up})")  # fmt: skip
        _check(self.queue > 0, "autoscale.queue", self.queue, "above 0")
        _check(self.cooldown_s >= 0, "autoscale.cooldown_s", self.cooldown_s, "0 or more")
        _check(self.down_penalty >= 1, "autoscale.down_penalty", self.down_penalty, "1 or more")
        for count in ("samples_up", "samples_down"):
            _check(getattr(self, count) >= 1, f"autoscale.{count}", getattr(self, count), "1 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSpec:
    """Equal children named `{name}.{n}`; `keys` are placed on them, each on one at a time.

    Without `autoscale` the size changes only by `ctl scale`.
    """

    name: str
    template: ChildSpec
    size: int
    minimum: int = 1
    maximum: int = 16
    strategy: Strategy = Strategy.CONSISTENT_HASH
    keys: tuple[str, ...] = ()
    autoscale: Autoscale | None = None

    def __post_init__(self) -> None:
        _check_name("pool.name", self.name)
        where = f"pool {self.name}"
        _check(1 <= self.minimum <= self.maximum, f"{where}: minimum", self.minimum, f"1 to maximum ({self.maximum})")
        _check(self.minimum <= self.size <= self.maximum, f"{where}: size", self.size,
               f"{self.minimum} to {self.maximum}")  # fmt: skip
        _check(self.strategy in set(Strategy), f"{where}: strategy", self.strategy, _names(Strategy))
        _check_unique(f"{where}: keys", self.keys)

    def member(self, index: int) -> ChildSpec:
        return replace(self.template, name=f"{self.name}.{index}", pool=self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class ZygoteSpec:
    """The process that imports `modules` once and forks the children that are `is_warm`.

    Its environment is made as a child's: what an interpreter reads when it starts (`PYTHON…`, `MALLOC_…`) belongs here.
    """

    modules: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    without_env: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerSpec:
    """A listening socket that the root binds once and hands to children: TCP (port 0 = any free one) or unix.

    Where clients speak first, `defer_accept_s` leaves a TCP connection in the kernel's queue, which outlives every
    child, until its first bytes have come, or so long.
    """

    name: str
    host: str = "127.0.0.1"
    port: int = 0
    path: Path | None = None
    backlog: int = 1024
    defer_accept_s: int = 0

    def __post_init__(self) -> None:
        _check_name("listener.name", self.name)
        _check(0 <= self.port <= 65535, f"listener {self.name}: port", self.port, "0 to 65535")
        _check(self.backlog >= 1, f"listener {self.name}: backlog", self.backlog, "1 or more")
        deferred = self.defer_accept_s
        _check(0 <= deferred <= 60, f"listener {self.name}: defer_accept_s", deferred, "0 to 60")


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeSpec:
    """All that one root runs. Without `control` there is no control socket, no lock and no reaping.

    `fixed` are values of the program round it that only a restart changes: a reload that finds another names its key.
    """

    children: tuple[ChildSpec, ...] = ()
    pools: tuple[PoolSpec, ...] = ()
    listeners: tuple[ListenerSpec, ...] = ()
    control: Path | None = None
    control_group: str | None = None
    backoff: Backoff = field(default_factory=Backoff)
    intensity: Intensity = field(default_factory=Intensity)
    zygote: ZygoteSpec | None = None
    fixed: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_unique("tree: name", [*(child.name for child in self.children), *(pool.name for pool in self.pools)])
        _check_unique("tree: listener", [listener.name for listener in self.listeners])
        self._check_pool_names()
        known = {listener.name for listener in self.listeners}
        for child in chain(self.children, (pool.template for pool in self.pools)):
            for wanted in child.listeners:
                _check(wanted in known, f"child {child.name}: listeners", wanted, _listed(known))

    def _check_pool_names(self) -> None:
        pools = {pool.name for pool in self.pools}
        for child in self.children:
            stem, _, index = child.name.rpartition(".")
            taken = stem in pools and index.isdigit()
            _check(not taken, "tree: name", child.name, f"not a member's name of pool {stem}")


def _check(holds: bool, where: str, got: object, allowed: str) -> None:
    if not holds:
        raise SpecError(where, got, allowed)


def _check_name(where: str, name: str) -> None:
    _check(bool(_NAME.fullmatch(name)), where, name, "1 to 63 of a-z 0-9 _ . - beginning with a letter or digit")


def _check_unique(where: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        _check(name not in seen, where, name, "each once")
        seen.add(name)


def _names(closed: type[StrEnum]) -> str:
    return ", ".join(closed)


def _listed(known: set[str]) -> str:
    return ", ".join(sorted(known)) or "none (the tree has no listeners)"

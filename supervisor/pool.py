"""How keys move between the members of a pool, and what a pool looks like in numbers (pure).

`fleet` carries the moves out. The rule: a key is given to its next owner only after the last one has confirmed that
it let go, or has died: never two owners, and no owner only while the next one takes over.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Holding:
    """One living member's keys: `told` is what it was sent last, `confirmed` what it said it works on."""

    name: str
    told: frozenset[str] = frozenset()
    confirmed: frozenset[str] = frozenset()
    is_ready: bool = True

    @property
    def is_pending(self) -> bool:
        return self.told != self.confirmed

    @property
    def busy(self) -> frozenset[str]:
        """Return every key that it may still be working on."""
        return self.told | self.confirmed


def assignments(target: Mapping[str, str], holdings: Sequence[Holding]) -> dict[str, frozenset[str]]:
    """Return the key sets to send now, so that `target` (key → owner) is reached step by step.

    A member that has not confirmed its last set is sent nothing. A key stays where it is until its next owner is ready.
    """
    ready = {holding.name for holding in holdings if holding.is_ready}
    due: dict[str, frozenset[str]] = {}
    for holding in holdings:
        if holding.is_ready and not holding.is_pending:
            others = frozenset().union(*(other.busy for other in holdings if other.name != holding.name))
            wanted = frozenset(key for key, owner in target.items() if owner == holding.name)
            unmoved = frozenset(key for key in holding.told if key in target and target[key] not in ready)
            keys = (holding.told & wanted) | (wanted - others) | unmoved
            if keys != holding.told:
                due[holding.name] = keys
    return due


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberStats:
    """What one member reports, in rates: per second since its last beat."""

    name: str
    is_ready: bool = False
    is_healthy: bool = True
    cpu: float = 0.0
    memory: float | None = None  # share of its limit, if it has one
    rss_bytes: int = 0
    saturation: float = 0.0
    queue: float = 0.0
    throughput_per_s: float = 0.0
    errors_per_s: float = 0.0
    latency_mean_s: float = 0.0
    latency_p99_s: float = 0.0
    keys: tuple[str, ...] = ()

    @property
    def error_rate(self) -> float:
        return self.errors_per_s / self.throughput_per_s if self.throughput_per_s > 0 else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolStats:
    """A pool in numbers. The mean is weighted by throughput; the p99 is that of the slowest member."""

    name: str
    active: int
    healthy: int
    queue: float
    throughput_per_s: float
    latency_mean_s: float
    latency_p99_s: float
    error_rate: float
    saturation: float
    cpu: float
    memory: float | None
    members: tuple[MemberStats, ...] = field(default=())


def summary(name: str, members: Iterable[MemberStats]) -> PoolStats:
    """Sum up the ready members of a pool."""
    known = tuple(members)
    active = [member for member in known if member.is_ready]
    throughput = sum(member.throughput_per_s for member in active)
    errors = sum(member.errors_per_s for member in active)
    slowness = sum(member.latency_mean_s * member.throughput_per_s for member in active)
    shares = [member.memory for member in active if member.memory is not None]
    return PoolStats(
        name=name,
        active=len(active),
        healthy=sum(member.is_healthy for member in active),
        queue=sum(member.queue for member in active),
        throughput_per_s=throughput,
        latency_mean_s=slowness / throughput if throughput > 0 else 0.0,
        latency_p99_s=max((member.latency_p99_s for member in active), default=0.0),
        error_rate=errors / throughput if throughput > 0 else 0.0,
        saturation=_mean([member.saturation for member in active]),
        cpu=_mean([member.cpu for member in active]),
        memory=_mean(shares) if shares else None,
        members=known,
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0

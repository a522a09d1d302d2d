"""Which pool member gets a key, or a call: the five strategies (pure).

The rule: as few keys move as the strategy allows, because a move costs a drain and an assign.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from supervisor.spec import Strategy

_BOUND = 1.25  # a member's keys, as a multiple of the mean
_FLOOR = 0.05  # an idle member is not infinitely better than a busy one
_WEIGHTS = {"cpu": 0.35, "memory": 0.2, "latency": 0.25, "errors": 0.2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A member as the strategies see it: shares are 0 to 1, `queue` is its waiting work."""

    name: str
    load: float = 0.0
    queue: float = 0.0
    cpu: float = 0.0
    memory: float = 0.0
    latency_s: float = 0.0
    errors: float = 0.0


def place(
    strategy: Strategy, keys: Collection[str], members: Sequence[Member], current: Mapping[str, str]
) -> dict[str, str]:
    """Return the owner of each key; `current` owners keep theirs up to their share. Empty without members."""
    if not members:
        return {}
    if strategy == Strategy.CONSISTENT_HASH:
        return _bounded(keys, members)
    quotas = _quotas(strategy, keys, members)
    placed = _kept(keys, quotas, current)
    counts = dict.fromkeys(quotas, 0) | _counted(placed)
    for key in sorted(set(keys) - set(placed)):
        owner = max(sorted(quotas), key=lambda name: quotas[name] - counts[name])
        placed[key] = owner
        counts[owner] += 1
    return placed


def choose(strategy: Strategy, members: Sequence[Member], *, key: str = "", turn: int = 0) -> str:
    """Return the member for one call; `turn` counts the calls, `key` is what a hash goes by. Needs a member."""
    ordered = sorted(members, key=lambda member: member.name)
    match strategy:
        case Strategy.ROUND_ROBIN:
            return ordered[turn % len(ordered)].name
        case Strategy.CONSISTENT_HASH:
            return _rendezvous(key, ordered)[0]
        case Strategy.LEAST_LOADED | Strategy.LATENCY | Strategy.ADAPTIVE:
            return min(ordered, key=lambda member: (score(strategy, member, members), member.queue)).name


def score(strategy: Strategy, member: Member, members: Sequence[Member]) -> float:
    """Return how unwelcome more work is at `member`, 0 to 1, among `members`."""
    match strategy:
        case Strategy.ROUND_ROBIN | Strategy.CONSISTENT_HASH:
            return 0.0
        case Strategy.LEAST_LOADED:
            return max(member.load, _relative(member.queue, [each.queue for each in members]) * 0.5)
        case Strategy.LATENCY:
            return _relative(member.latency_s, [each.latency_s for each in members])
        case Strategy.ADAPTIVE:
            latency = _relative(member.latency_s, [each.latency_s for each in members])
            parts = {"cpu": member.cpu, "memory": member.memory, "latency": latency, "errors": member.errors}
            return sum(_WEIGHTS[name] * min(1.0, share) for name, share in parts.items())


def _relative(value: float, others: Collection[float]) -> float:
    worst = max(others, default=0.0)
    return value / worst if worst > 0 else 0.0


def _rendezvous(key: str, members: Sequence[Member]) -> list[str]:
    """Return the members by hash, the key's own first: one that comes or goes moves its own keys only."""
    hashed = [(blake2b(f"{key}\0{member.name}".encode(), digest_size=8).digest(), member.name) for member in members]
    return [name for _, name in sorted(hashed, reverse=True)]


def _bounded(keys: Collection[str], members: Sequence[Member]) -> dict[str, str]:
    """Give each key its first member with room, so that a handful of keys does not end up on one member."""
    mean = len(keys) / len(members)
    room = dict.fromkeys((member.name for member in members), max(math.ceil(mean), int(_BOUND * mean)))
    placed: dict[str, str] = {}
    for key in sorted(keys):
        placed[key] = next(name for name in _rendezvous(key, members) if room[name] > 0)
        room[placed[key]] -= 1
    return placed


def _quotas(strategy: Strategy, keys: Collection[str], members: Sequence[Member]) -> dict[str, float]:
    """Return how many keys each member should have: inversely to its score."""
    weights = {member.name: 1 / (_FLOOR + score(strategy, member, members)) for member in members}
    total = sum(weights.values())
    return {name: len(keys) * weight / total for name, weight in weights.items()}


def _kept(keys: Collection[str], quotas: Mapping[str, float], current: Mapping[str, str]) -> dict[str, str]:
    """Leave keys where they are, up to the share rounded up: that slack is what keeps noise from moving them."""
    room = {name: math.ceil(quota - 1e-9) for name, quota in quotas.items()}
    kept: dict[str, str] = {}
    for key in sorted(keys):
        owner = current.get(key, "")
        if room.get(owner, 0) > 0:
            kept[key] = owner
            room[owner] -= 1
    return kept


def _counted(placed: Mapping[str, str]) -> dict[str, int]:
    owners = list(placed.values())
    return {owner: owners.count(owner) for owner in owners}

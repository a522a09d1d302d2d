"""How large a pool should be, and why (pure).

Fed one sample of the pool at a time. The rules: grow on any sign of overload that lasts, shrink only when every sign is
low for longer, never within the cooldown, and more reluctantly after a recent growth.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from supervisor.pool import PoolStats
from supervisor.spec import Autoscale

_MAX_STEP = 2.0  # at most doubled at once
_SHRINK_BELOW = 0.5  # of a target: far enough under it that one member fewer does not reach it


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What is remembered between samples."""

    high: int = 0  # samples in a row with something over its limit
    low: int = 0  # samples in a row with everything low
    scaled_at: float | None = None
    grown_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`size` is what the pool should have; `why` one sentence, `signs` each measure with its limits."""

    size: int
    why: str
    signs: Mapping[str, Mapping[str, float]]


def judge(
    rules: Autoscale, stats: PoolStats, *, size: int, bounds: tuple[int, int], memory: Memory, now: float
) -> tuple[Verdict, Memory]:
    """Decide on one sample; `bounds` are the smallest and largest size. The memory goes into the next call."""
    signs = _signs(rules, stats)
    over = [name for name, sign in signs.items() if sign["value"] > sign["up"]]
    is_low = all(sign["value"] <= sign["down"] for sign in signs.values())
    seen = replace(memory, high=memory.high + 1 if over else 0, low=memory.low + 1 if is_low else 0)
    asked, why = _wanted(rules, signs, over, seen, size)
    wanted = min(max(asked, bounds[0]), bounds[1])
    if wanted == size:
        return Verdict(size=size, why=why if asked == size else f"{why}, but {size} is its bound", signs=signs), seen
    left_s = _cooldown_left_s(rules, seen, now, is_growth=wanted > size)
    if left_s > 0:
        return Verdict(size=size, why=f"{why}, but cooling down for {left_s:.0f} s", signs=signs), seen
    acted = Memory(scaled_at=now, grown_at=now if wanted > size else seen.grown_at)
    return Verdict(size=wanted, why=why, signs=signs), acted


def _signs(rules: Autoscale, stats: PoolStats) -> dict[str, dict[str, float]]:
    active = max(stats.active, 1)
    signs = {
        "cpu": _sign(stats.cpu, rules.cpu, rules.cpu * _SHRINK_BELOW),
        "saturation": _sign(stats.saturation, rules.saturation_up, rules.saturation_down),
        "queue": _sign(stats.queue / active, rules.queue, rules.queue * _SHRINK_BELOW),
    }
    if stats.memory is not None:
        signs["memory"] = _sign(stats.memory, rules.memory, rules.memory)  # idle memory says nothing about load
    return signs


def _sign(value: float, up: float, down: float) -> dict[str, float]:
    return {"value": round(value, 4), "up": up, "down": down}


def _wanted(
    rules: Autoscale, signs: Mapping[str, Mapping[str, float]], over: list[str], seen: Memory, size: int
) -> tuple[int, str]:
    if over:
        ratio = min(_MAX_STEP, max(signs[name]["value"] / signs[name]["up"] for name in over))
        why = f"over the limit: {', '.join(over)}"
        if seen.high < rules.samples_up:
            return size, f"{why}, for {seen.high} of {rules.samples_up} samples"
        return max(size + 1, math.ceil(size * ratio)), why
    if seen.low:
        if seen.low < rules.samples_down:
            return size, f"low, for {seen.low} of {rules.samples_down} samples"
        return size - 1, f"all low: {', '.join(signs)}"
    return size, "within its limits"


def _cooldown_left_s(rules: Autoscale, memory: Memory, now: float, *, is_growth: bool) -> float:
    since = [] if memory.scaled_at is None else [memory.scaled_at + rules.cooldown_s - now]
    if not is_growth and memory.grown_at is not None:
        since.append(memory.grown_at + rules.cooldown_s * rules.down_penalty - now)
    return max(since, default=0.0)

"""What each child uses and reports, sampled; and the limits that follow from it: memory and health.

Hears beats, reads /proc. The rule: it never ends a child itself, it calls `replace` or tells the tree to kill.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import trio

from supervisor import procfs, wire
from supervisor.circuit import LIMIT, Circuit
from supervisor.events import Name
from supervisor.machine import Kind, State
from supervisor.placement import Member
from supervisor.pool import MemberStats
from supervisor.tree import Slot, Tree

SAMPLE_S = 2.0
RECYCLE_SPACING_S = 30.0  # for memory: one at a time, not all members at once

Replace = Callable[[Slot, str], None]


@dataclass(slots=True)
class Vital:
    """The latest figures of one process."""

    pid: int = 0
    cpu: float = 0.0  # cores
    rss_bytes: int = 0
    cpu_s: float = 0.0
    at: float = 0.0
    requests: float = 0.0
    errors: float = 0.0
    requests_per_s: float = 0.0
    errors_per_s: float = 0.0
    beat_at: float = 0.0


class Vitals:
    """Figures by child name."""

    def __init__(self, tree: Tree, replace: Replace) -> None:
        self._tree = tree
        self._replace = replace
        self._known: dict[str, Vital] = {}
        self._circuits: dict[str, Circuit] = {}
        self._recycled_at = -RECYCLE_SPACING_S
        tree.on_heard.append(self._heed)

    def of(self, name: str) -> Vital:
        return self._known.setdefault(name, Vital())

    def is_open(self, name: str) -> bool:
        """Return whether the child's circuit is open: it was replaced for its health and has not recovered."""
        return self._circuits.get(name, Circuit()).is_open

    async def watch(self) -> None:
        while True:
            self._tree.oom_kills.look(trio.current_time())
            for slot in list(self._tree.slots.values()):
                self._sample(slot)
            for name in self._known.keys() - self._tree.slots.keys():
                del self._known[name]
                self._circuits.pop(name, None)
            await trio.sleep(SAMPLE_S)

    def _sample(self, slot: Slot) -> None:
        seen = procfs.usage(slot.process.pid) if slot.process is not None else None
        if seen is None:
            self._known.pop(slot.spec.name, None)
            return
        vital, now = self.of(slot.spec.name), time.monotonic()
        if vital.pid == seen.pid:
            vital.cpu = (seen.cpu_s - vital.cpu_s) / max(now - vital.at, 1e-3)
        else:
            vital = self._known[slot.spec.name] = Vital(pid=seen.pid, beat_at=trio.current_time())
        vital.cpu_s, vital.at, vital.rss_bytes = seen.cpu_s, now, seen.rss_bytes
        self._check_memory(slot, seen.rss_bytes)

    def _check_memory(self, slot: Slot, rss_bytes: int) -> None:
        soft, hard = slot.spec.memory_soft_bytes, slot.spec.memory_hard_bytes
        if hard is not None and rss_bytes > hard:
            self._tree.report(Name.WORKER_MEMORY, slot.spec.name, rss_bytes=rss_bytes, limit_bytes=hard, limit="hard")
            self._tree.apply(slot.spec.name, Kind.KILL, reason="memory")
        elif soft is not None and rss_bytes > soft and slot.life.state is State.READY:
            now = trio.current_time()
            if now - self._recycled_at >= RECYCLE_SPACING_S:
                self._recycled_at = now
                self._tree.report(
                    Name.WORKER_MEMORY, slot.spec.name, rss_bytes=rss_bytes, limit_bytes=soft, limit="soft"
                )
                self._replace(slot, "memory")

    def _heed(self, slot: Slot, said: wire.Heard) -> None:
        if isinstance(said, wire.Beat):
            self._note_rates(slot, said)
            if slot.life.state is State.READY:
                self._note_health(slot, said)

    def _note_rates(self, slot: Slot, beat: wire.Beat) -> None:
        vital, now = self.of(slot.spec.name), trio.current_time()
        requests, errors = _number(beat, "requests"), _number(beat, "errors")
        elapsed_s = max(now - vital.beat_at, 1e-3)
        vital.requests_per_s = max(0.0, requests - vital.requests) / elapsed_s
        vital.errors_per_s = max(0.0, errors - vital.errors) / elapsed_s
        vital.requests, vital.errors, vital.beat_at = requests, errors, now

    def _note_health(self, slot: Slot, beat: wire.Beat) -> None:
        name = slot.spec.name
        before = self._circuits.get(name, Circuit())
        after = self._circuits[name] = before.seen(beat.healthy, trio.current_time())
        if before.is_open and not after.is_open:
            self._tree.report(Name.BREAKER_CLOSED, name)
        if after.unhealthy != before.unhealthy and after.unhealthy and after.unhealthy % LIMIT == 0:
            self._tree.report(Name.BREAKER_OPENED, name, reason=beat.reason)
            self._replace(slot, "unhealthy")

    # --- as the pools see it

    def stats(self, slot: Slot, keys: tuple[str, ...] = ()) -> MemberStats:
        vital, beat = self.of(slot.spec.name), slot.beat
        limit = slot.spec.memory_soft_bytes or slot.spec.memory_hard_bytes
        return MemberStats(
            name=slot.spec.name,
            is_ready=slot.life.state is State.READY,
            is_healthy=beat is None or beat.healthy,
            cpu=vital.cpu,
            memory=vital.rss_bytes / limit if limit else None,
            rss_bytes=vital.rss_bytes,
            saturation=_number(beat, "saturation") if _has(beat, "saturation") else (beat.busy if beat else 0.0),
            queue=_number(beat, "queue"),
            throughput_per_s=vital.requests_per_s,
            errors_per_s=vital.errors_per_s,
            latency_mean_s=_number(beat, "latency_mean_s"),
            latency_p99_s=_number(beat, "latency_p99_s"),
            keys=keys,
        )

    def member(self, slot: Slot) -> Member:
        stats = self.stats(slot)
        return Member(
            name=stats.name,
            load=stats.saturation,
            queue=stats.queue,
            cpu=stats.cpu,
            memory=stats.memory or 0.0,
            latency_s=stats.latency_mean_s,
            errors=stats.error_rate,
        )


def _has(beat: wire.Beat | None, stat: str) -> bool:
    return beat is not None and stat in beat.stats


def _number(beat: wire.Beat | None, stat: str) -> float:
    value = beat.stats.get(stat, 0.0) if beat is not None else 0.0
    return max(0.0, float(value)) if isinstance(value, int | float) else 0.0

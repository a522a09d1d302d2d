"""What the control socket shows of a running tree, as JSON-able values.

The rule: every reply carries `version`, and a key once published keeps its meaning.
"""

import os
from dataclasses import asdict

import trio

from supervisor.fleet import Fleet, Pool
from supervisor.machine import State
from supervisor.tree import Slot, Tree

VERSION = 1


def status(tree: Tree, fleet: Fleet) -> dict[str, object]:
    """Return every child and pool; `as_wanted` is False when a wanted child is not serving."""
    children = [
        child(slot, fleet) for slot in sorted(tree.slots.values(), key=lambda slot: (slot.spec.order, slot.index))
    ]
    zygote = tree.zygote.pid if tree.zygote is not None else None
    phase = "stopping" if tree.is_stopping else "running" if tree.is_started else "starting"
    return {
        "version": VERSION,
        "root": {"pid": os.getpid(), "phase": phase, "uptime_s": _age_s(tree.began_at), "zygote_pid": zygote},
        "as_wanted": all(each["as_wanted"] for each in children),
        "children": children,
        "pools": [pool(fleet, each) for each in fleet.pools.values()],
        "listeners": {name: list(address) for name, address in tree.addresses.items()},
    }


def child(slot: Slot, fleet: Fleet) -> dict[str, object]:
    stats, spec = fleet.vitals.stats(slot, fleet.keys_of(slot)), slot.spec
    return {
        "name": spec.name,
        "role": spec.role,
        "pid": slot.process.pid if slot.process is not None else None,
        "state": slot.life.state.value,
        "wanted": slot.life.wanted,
        "as_wanted": _is_as_wanted(slot),
        "uptime_s": _age_s(slot.spawned_at) if slot.life.has_process else None,
        "restarts": slot.restarts,
        "critical": spec.critical,
        "order": spec.order,
        "pool": spec.pool,
        "group": spec.group,
        "healthy": stats.is_healthy,
        "reason": slot.beat.reason if slot.beat is not None and not stats.is_healthy else slot.life.reason,
        "cpu": round(stats.cpu, 4),
        "rss_bytes": stats.rss_bytes,
        "load": round(stats.saturation, 4),
        "keys": list(stats.keys),
        "last_event": slot.last_event,
    }


def child_in_full(slot: Slot, fleet: Fleet) -> dict[str, object]:
    """Return all of one child except its settings and environment values, which may be secret."""
    spec, beat, life = slot.spec, slot.beat, slot.life
    return {
        "version": VERSION,
        **child(slot, fleet),
        "argv": list(spec.argv),
        "env": sorted(spec.env),
        "limits": {
            "restart": spec.restart,
            "ready_timeout_s": spec.ready_timeout_s,
            "beat_interval_s": spec.beat_interval_s,
            "beat_misses": spec.beat_misses,
            "stop_timeout_s": spec.stop_timeout_s,
            "memory_soft_bytes": spec.memory_soft_bytes,
            "memory_hard_bytes": spec.memory_hard_bytes,
        },
        "listeners": list(spec.listeners),
        "methods": sorted(slot.methods),
        "failures": {"delayed": life.failures, "failed_starts": life.failed_starts, "recent": len(life.recent),
                     "alarm": life.alarm},
        "deadline_in_s": None if life.deadline is None else round(life.deadline - trio.current_time(), 3),
        "beat": None if beat is None else {**asdict(beat), "age_s": _age_s(slot.beat_at)},
        "progress_age_s": _age_s(slot.progress_at) if life.has_process else None,
        "circuit_open": fleet.vitals.is_open(spec.name),
        "stats": asdict(fleet.vitals.stats(slot, fleet.keys_of(slot))),
    }  # fmt: skip


def pool(fleet: Fleet, each: Pool) -> dict[str, object]:
    stats = asdict(fleet.stats(each))
    stats.pop("members")
    spec = each.spec
    return {
        **stats,
        "size": each.size,
        "minimum": spec.minimum,
        "maximum": spec.maximum,
        "strategy": spec.strategy,
        "keys": {
            key: owner for slot in fleet.members(each) for key in fleet.keys_of(slot) for owner in [slot.spec.name]
        },
        "autoscale": spec.autoscale is not None,
        "rolling": each.rolling.locked(),
    }


def autoscale(each: Pool) -> dict[str, object]:
    """Say why a pool has its size: the last verdict with every sign beside its limits."""
    if each.spec.autoscale is None:
        return {
            "pool": each.spec.name,
            "size": each.size,
            "wanted": each.size,
            "why": "autoscaling is off",
            "signs": {},
        }
    if each.verdict is None:
        return {"pool": each.spec.name, "size": each.size, "wanted": each.size, "why": "no sample yet", "signs": {}}
    verdict = each.verdict
    return {
        "pool": each.spec.name,
        "size": each.size,
        "wanted": verdict.size,
        "why": f"held by ctl scale; otherwise: {verdict.why}" if each.is_held else verdict.why,
        "signs": verdict.signs,
    }


def _is_as_wanted(slot: Slot) -> bool:
    return slot.life.state in (State.READY, State.DONE) if slot.life.wanted else not slot.life.has_process


def _age_s(at: float) -> float:
    return round(trio.current_time() - at, 3)

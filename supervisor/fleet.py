"""Keep the pools: their size, their keys, and the rolling replacement of their members.

Between the pure rules (`pool`, `placement`, `autoscale`) and the `tree`. The rule: a member leaves in two steps, first
its keys, then its process; and whatever is planned starts a spare member before it takes one away.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

import trio

from supervisor import autoscale, placement, wire
from supervisor.errors import ControlError
from supervisor.events import Name
from supervisor.keyring import Keyring
from supervisor.machine import Kind, Life, State
from supervisor.pool import PoolStats, summary
from supervisor.spec import PoolSpec
from supervisor.tree import Slot, Tree
from supervisor.vitals import Vitals

SAMPLE_S = 5.0
_ENDS = {State.FATAL, State.DONE}


@dataclass(slots=True)
class Pool:
    """One pool as it runs."""

    spec: PoolSpec
    size: int
    is_held: bool = False  # at a size that a person asked for: autoscaling only watches
    spare: str = ""  # the extra member of a rolling restart
    leaving: set[str] = field(default_factory=set)
    ailing: set[str] = field(default_factory=set)  # to be replaced, for memory or health
    keyring: Keyring = field(default_factory=Keyring)
    memory: autoscale.Memory = field(default_factory=autoscale.Memory)
    verdict: autoscale.Verdict | None = None
    rolling: trio.Lock = field(default_factory=trio.Lock)
    turns: "count[int]" = field(default_factory=count)


class Fleet:
    """The pools by name. `vitals` must be set before `watch` runs."""

    def __init__(self, tree: Tree, nursery: trio.Nursery) -> None:
        self.pools: dict[str, Pool] = {}
        self.vitals = Vitals(tree, self.replace)
        self._tree = tree
        self._nursery = nursery
        tree.on_heard.append(self._heed)
        tree.on_step.append(self._note_step)

    # --- members

    def open(self, spec: PoolSpec) -> None:
        self.pools[spec.name] = Pool(spec, spec.size)
        for index in range(spec.size):
            self._tree.add(spec.member(index))

    def update(self, spec: PoolSpec) -> None:
        """Take over a changed description; the members' processes are not touched."""
        pool = self.pools[spec.name]
        before, pool.spec = pool.spec, spec
        for slot in self.members(pool):
            slot.spec = spec.member(_index(slot))
        size = spec.size if spec.size != before.size else min(max(pool.size, spec.minimum), spec.maximum)
        self.scale(spec.name, size, why="reload")
        self.settle(pool)

    def close(self, name: str) -> None:
        """Retire a whole pool."""
        for slot in self.members(self.pools.pop(name)):
            self._tree.retire(slot.spec.name, reason="pool removed")

    def members(self, pool: Pool) -> list[Slot]:
        return [slot for slot in self._tree.slots.values() if slot.spec.pool == pool.spec.name]

    def staying(self, pool: Pool) -> list[Slot]:
        return [slot for slot in self.members(pool) if not slot.is_retiring and slot.spec.name not in pool.leaving]

    def _regular(self, pool: Pool) -> list[Slot]:
        return [slot for slot in self.staying(pool) if slot.spec.name != pool.spare]

    def scale(self, name: str, size: int, *, why: str) -> None:
        """Set a pool's size; raises ControlError outside its bounds."""
        pool = self.pools[name]
        if not pool.spec.minimum <= size <= pool.spec.maximum:
            raise ControlError(f"pool {name} has {pool.spec.minimum} to {pool.spec.maximum} members, not {size}")
        before, pool.size = pool.size, size
        if before != size:
            self._tree.report(Name.POOL_SCALED, pool=name, size=size, before=before, why=why)
        while len(regular := self._regular(pool)) < size:
            self._add(pool)
        for slot in sorted(regular, key=_index)[size:]:
            pool.leaving.add(slot.spec.name)
            self._nursery.start_soon(self._dismiss, pool, slot, "scaled down")

    def hold(self, name: str, size: int) -> None:
        """Set a pool's size and keep autoscaling from changing it; 0 lets it decide again. Raises ControlError."""
        if size:
            self.scale(name, size, why="asked for")
        self.pools[name].is_held = size > 0

    def _add(self, pool: Pool) -> Slot:
        taken = {slot.spec.name for slot in self.members(pool)}
        spec = next(spec for spec in map(pool.spec.member, count()) if spec.name not in taken)
        return self._tree.add(spec)

    async def _dismiss(self, pool: Pool, slot: Slot, reason: str) -> None:
        await self._unload(pool, slot)
        if slot.spec.name in self._tree.slots:
            self._tree.retire(slot.spec.name, reason=reason)
        while slot.spec.name in self._tree.slots:
            await self._tree.changed.wait()
        pool.leaving.discard(slot.spec.name)
        if pool.spare == slot.spec.name:
            pool.spare = ""

    async def _unload(self, pool: Pool, slot: Slot) -> None:
        """Have a member's keys move away; gives up waiting after its stop deadline."""
        pool.leaving.add(slot.spec.name)
        self.settle(pool)
        with trio.move_on_after(slot.spec.stop_timeout_s):
            while not pool.keyring.is_free(slot.spec.name):
                await self._tree.changed.wait()

    # --- replacing

    def replace(self, slot: Slot, reason: str) -> None:
        """Replace a child by a fresh process: a pool member with a spare beside it, any other in place."""
        pool = self.pools.get(slot.spec.pool or "")
        if pool is None or self._tree.is_stopping:
            self._tree.apply(slot.spec.name, Kind.RENEW, reason=reason)
        elif slot.spec.name not in pool.leaving | pool.ailing:
            pool.ailing.add(slot.spec.name)
            self._nursery.start_soon(self._replace_one, pool, slot.spec.name, reason)

    async def _replace_one(self, pool: Pool, name: str, reason: str) -> None:
        try:
            await self._roll(pool, reason, only=name)
        except ControlError as fault:
            self._tree.report(Name.POOL_ROLLED, pool=pool.spec.name, reason=reason, fault=str(fault))
        pool.ailing.discard(name)

    async def roll(self, name: str, *, reason: str, only: str = "") -> list[str]:
        """Replace every member, or one, one at a time, never fewer serving than before; return their names.

        One that is asked for while another is under way begins when that is over. Raises ControlError if a fresh
        process does not get ready; the members not reached yet go on serving.
        """
        return await self._roll(self.pools[name], reason, only=only)

    async def _roll(self, pool: Pool, reason: str, *, only: str = "") -> list[str]:
        async with pool.rolling:
            wanted = sorted(slot.spec.name for slot in self._regular(pool) if slot.life.wanted)
            names = [name for name in wanted if only in ("", name)]
            renewed = await self._renew_all(pool, names, reason) if names else []
        self._tree.report(Name.POOL_ROLLED, pool=pool.spec.name, members=renewed, reason=reason)
        return renewed

    async def _renew_all(self, pool: Pool, names: Sequence[str], reason: str) -> list[str]:
        """Replace these one by one beside a spare, and return when that has gone again."""
        spare = self._add(pool)
        pool.spare = spare.spec.name
        try:
            await self._serving(spare)
            renewed = [name for name in names if await self._renew(pool, name, reason)]
        finally:
            pool.leaving.add(spare.spec.name)
            self._nursery.start_soon(self._dismiss, pool, spare, "spare no longer needed")
        while pool.spare in self._tree.slots:
            await self._tree.changed.wait()
        return renewed

    async def _renew(self, pool: Pool, name: str, reason: str) -> bool:
        """Replace one member in place; False if it was stopped or has left meanwhile."""
        slot = self._tree.slots.get(name)
        if slot is None or not slot.life.wanted or name in pool.leaving:
            return False
        await self._unload(pool, slot)
        spawns = slot.spawns
        self._tree.apply(name, Kind.DRAIN, reason=reason)
        self._tree.apply(name, Kind.WANT, reason=reason)
        try:
            await self._serving(slot, after=spawns)
        finally:
            pool.leaving.discard(name)
            self.settle(pool)
        return True

    async def _serving(self, slot: Slot, *, after: int = 0) -> None:
        limit_s = slot.spec.ready_timeout_s + 2 * slot.spec.stop_timeout_s
        with trio.move_on_after(limit_s):
            while self._tree.slots.get(slot.spec.name) is slot and slot.life.wanted and slot.life.state not in _ENDS:
                if slot.spawns > after and slot.life.state is State.READY:
                    return
                await self._tree.changed.wait()
        raise ControlError(f"{slot.spec.name} did not get ready ({slot.life.reason or slot.life.state})", code=3)

    # --- keys

    def settle(self, pool: Pool) -> None:
        """Let the keys go where they shall, as far as they can now."""
        if not self._tree.is_stopping:
            owners = [(slot, self.vitals.member(slot)) for slot in self.staying(pool)]
            pool.keyring.settle(pool.spec, self.members(pool), owners)

    def _heed(self, slot: Slot, said: wire.Heard) -> None:
        pool = self.pools.get(slot.spec.pool or "")
        if pool is not None and isinstance(said, wire.Assigned) and pool.keyring.confirm(slot.spec.name, said.keys):
            self._tree.report(Name.KEYS_ASSIGNED, slot.spec.name, keys=sorted(said.keys))
            self.settle(pool)
            self._tree.note_change()

    def _note_step(self, slot: Slot, before: Life) -> None:
        pool = self.pools.get(slot.spec.pool or "")
        if pool is not None and slot.life.state is not before.state:
            if not slot.life.has_process:
                pool.keyring.forget(slot.spec.name)
            self.settle(pool)

    # --- calls and numbers

    def choose(self, name: str, key: str = "") -> Slot:
        """Pick the member for one call by the pool's strategy; raises ControlError when none is ready."""
        pool = self.pools[name]
        ready = [slot for slot in self.staying(pool) if slot.life.state is State.READY]
        if not ready:
            raise ControlError(f"pool {name} has no ready member", code=3)
        members = [self.vitals.member(slot) for slot in ready]
        return self._tree.slots[placement.choose(pool.spec.strategy, members, key=key, turn=next(pool.turns))]

    def stats(self, pool: Pool) -> PoolStats:
        return summary(pool.spec.name, (self.vitals.stats(slot, self.keys_of(slot)) for slot in self.members(pool)))

    def keys_of(self, slot: Slot) -> tuple[str, ...]:
        pool = self.pools.get(slot.spec.pool or "")
        return pool.keyring.confirmed(slot.spec.name) if pool is not None else ()

    # --- time

    async def watch(self) -> None:
        """Every second: graces that ended, confirmations overdue, and every few seconds the scaling."""
        for tick in count():
            await trio.sleep(1.0)
            for pool in list(self.pools.values()):
                self._replace_unconfirming(pool)
                self.settle(pool)
                if tick % SAMPLE_S == 0:
                    self._autoscale(pool)

    def _replace_unconfirming(self, pool: Pool) -> None:
        for slot in self.members(pool):
            limit_s = slot.spec.ready_timeout_s + slot.spec.stop_timeout_s
            if pool.keyring.overdue_s(slot.spec.name) > limit_s:
                fault = f"assigned keys not confirmed in {limit_s:g} s"
                self._tree.report(Name.WORKER_MISBEHAVED, slot.spec.name, fault=fault)
                self._tree.apply(slot.spec.name, Kind.KILL, reason="assign")

    def _autoscale(self, pool: Pool) -> None:
        if pool.spec.autoscale is None or pool.rolling.locked() or self._tree.is_stopping:
            return
        bounds = pool.spec.minimum, pool.spec.maximum
        now = trio.current_time()
        pool.verdict, pool.memory = autoscale.judge(
            pool.spec.autoscale, self.stats(pool), size=pool.size, bounds=bounds, memory=pool.memory, now=now
        )
        if pool.verdict.size != pool.size and not pool.is_held:
            self.scale(pool.spec.name, pool.verdict.size, why=pool.verdict.why)


def _index(slot: Slot) -> int:
    return int(slot.spec.name.rpartition(".")[2])

"""The keys of one running pool: who shall have which, who was told, who has confirmed.

Between the pure rules (`placement`, `pool`) and the members' pipes; `fleet` says when to look again.
The rule: only what a member confirmed, or its death, frees a key for the next owner.
"""

from collections.abc import Sequence

import trio

from supervisor import placement
from supervisor.machine import State
from supervisor.placement import Member
from supervisor.pool import Holding, assignments
from supervisor.spec import PoolSpec, Strategy
from supervisor.tree import Slot

GRACE_S = 5.0  # a member that restarts keeps its keys for so long
REBALANCE_S = 10.0
_FIXED = {Strategy.ROUND_ROBIN, Strategy.CONSISTENT_HASH}
_GONE = {State.STOPPED, State.BACKOFF, State.FATAL, State.DONE}


class Keyring:
    """What the living members of a pool hold, by name."""

    def __init__(self) -> None:
        self._holdings: dict[str, Holding] = {}
        self._told_at: dict[str, float] = {}
        self._target: dict[str, str] = {}
        self._owners: tuple[str, ...] = ()
        self._placed_at = 0.0

    def settle(self, spec: PoolSpec, members: Sequence[Slot], owners: Sequence[tuple[Slot, Member]]) -> None:
        """Bring the keys one step nearer to where the strategy wants them: on `owners`, of all `members`."""
        if not spec.keys and not self._holdings:
            return
        self._note_living(members)
        self._place(spec, [member for slot, member in owners if may_own(slot)])
        slots = {slot.spec.name: slot for slot in members}
        for name, keys in assignments(self._target, list(self._holdings.values())).items():
            process = slots[name].process
            if process is not None and process.tell({"t": "assign", "keys": sorted(keys)}):
                held = self._holdings[name]
                self._holdings[name] = Holding(name, keys, held.confirmed, held.is_ready)
                self._told_at[name] = trio.current_time()

    def confirm(self, name: str, keys: frozenset[str]) -> bool:
        """Note what a member says it works on; False if that is not what it was told."""
        held = self._holdings.get(name)
        if held is None or held.told != keys:
            return False
        self._holdings[name] = Holding(name, held.told, keys, held.is_ready)
        return True

    def forget(self, name: str) -> None:
        """Free the keys of a member whose process is gone."""
        self._holdings.pop(name, None)

    def confirmed(self, name: str) -> tuple[str, ...]:
        held = self._holdings.get(name)
        return tuple(sorted(held.confirmed)) if held is not None else ()

    def is_free(self, name: str) -> bool:
        """Return whether a member works on no key any more."""
        return name not in self._holdings or not self._holdings[name].busy

    def overdue_s(self, name: str) -> float:
        """Return for how long a ready member has owed its confirmation."""
        held = self._holdings.get(name)
        is_owing = held is not None and held.is_pending and held.is_ready
        return trio.current_time() - self._told_at[name] if is_owing else 0.0

    def _note_living(self, members: Sequence[Slot]) -> None:
        living = {slot.spec.name: slot for slot in members if slot.life.has_process}
        for name in self._holdings.keys() - living.keys():
            self.forget(name)
        for name, slot in living.items():
            held, is_ready = self._holdings.get(name, Holding(name)), slot.life.state is State.READY
            if held.busy or is_ready:
                self._holdings[name] = Holding(name, held.told, held.confirmed, is_ready)

    def _place(self, spec: PoolSpec, owners: Sequence[Member]) -> None:
        names, now = tuple(member.name for member in owners), trio.current_time()
        is_due = spec.strategy not in _FIXED and now - self._placed_at >= REBALANCE_S
        if names != self._owners or is_due or self._target.keys() != set(spec.keys):
            self._target = placement.place(spec.strategy, spec.keys, owners, self._target)
            self._owners, self._placed_at = names, now


def may_own(slot: Slot) -> bool:
    """Return whether keys may be meant for a member: it is ready, or will be in a moment."""
    if slot.life.state is State.READY:
        return True
    since = slot.fell_at if slot.fell_at is not None else slot.spawned_at or trio.current_time()
    return slot.life.wanted and slot.life.state not in _GONE and trio.current_time() - since < GRACE_S

"""Deadlines: fired when they pass, forgiven when the root stood still, put off when too many fall silent at once.

Beside `tree`, which decides what a deadline means. The rule: a stall of the whole machine must not have the root end
everybody; of the children that run at most half (one at least) are being replaced for silence at any time, and the
others are listened to a little longer.
"""

from collections.abc import Sequence

import trio

from supervisor.events import Name
from supervisor.machine import Kind, Life, State
from supervisor.tree import Slot, Tree

TICK_S = 0.5
STALL_S = 1.0
HUNG_SHARE = 2
SPARE_S = 0.25
_REPLACING = {State.ABORTING, State.KILLING, State.WAITING, State.STARTING}


def room_for_hung(lives: Sequence[Life]) -> int:
    """Return how many more silent children may be ended now."""
    running = sum(life.has_process for life in lives)
    replacing = sum(life.is_hung and life.state in _REPLACING for life in lives)
    return max(0, max(1, running // HUNG_SHARE) - replacing)


class Alarms:
    """The clock of one tree."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._wake = trio.Event()
        self._wake_at = float("inf")
        self._spared: dict[str, float] = {}  # since which beat
        tree.on_step.append(self._note_step)

    async def watch(self) -> None:
        """Fire deadlines, for ever. Sleeping past one's own alarm means that the root stood still: all is forgiven."""
        while True:
            now = trio.current_time()
            deadlines = (slot.life.deadline for slot in self._tree.slots.values())
            self._wake_at = min((at for at in deadlines if at is not None), default=now + TICK_S)
            self._wake_at = min(max(self._wake_at, now), now + TICK_S)
            self._wake = trio.Event()
            with trio.move_on_at(self._wake_at):
                await self._wake.wait()
            late_s = trio.current_time() - self._wake_at
            if late_s > STALL_S:
                self._forgive(late_s)
            self._fire()

    def _note_step(self, slot: Slot, _before: Life) -> None:
        if slot.life.deadline is not None and slot.life.deadline < self._wake_at:
            self._wake.set()

    def _forgive(self, seconds: float) -> None:
        self._tree.report(Name.ROOT_STALLED, seconds=round(seconds, 3))
        for name in list(self._tree.slots):
            self._tree.apply(name, Kind.STALL, seconds=seconds)

    def _fire(self) -> None:
        now = trio.current_time()
        slots = list(self._tree.slots.values())
        for slot in sorted(slots, key=lambda slot: slot.beat_at):
            if slot.life.deadline is None or slot.life.deadline > now:  # perhaps only since the one before
                continue
            if slot.life.state is State.READY and not room_for_hung([each.life for each in slots]):
                self._spare(slot, now)
            else:
                self._tree.apply(slot.spec.name, Kind.DEADLINE)

    def _spare(self, slot: Slot, now: float) -> None:
        """Listen to a silent child a little longer; said once a silence."""
        assert slot.life.deadline is not None
        if self._spared.get(slot.spec.name) != slot.beat_at:
            self._spared[slot.spec.name] = slot.beat_at
            silent_s = round(now - slot.beat_at, 3)
            self._tree.report(Name.WORKER_SPARED, slot.spec.name, silent_s=silent_s, reason="others hang too")
        self._tree.apply(slot.spec.name, Kind.STALL, seconds=now - slot.life.deadline + SPARE_S)

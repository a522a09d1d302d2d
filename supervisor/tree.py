"""The running tree: every child's slot, and the one queue through which anything happens to it.

Frames, exits, deadlines (`alarms`) and commands all end in `apply`; `machine` decides, `order` says who is next, this
carries it out.
The rule: nothing here awaits between a decision and its actions, so decisions are serial.
"""

import random
import signal
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import trio

from supervisor import machine, oom, order, process, wire
from supervisor.asks import Asks
from supervisor.errors import Code, ControlError, WireError
from supervisor.events import Event, Name
from supervisor.exits import Decision, Exit, OnExit
from supervisor.machine import Input, Kind, Life, Rules, State
from supervisor.process import Process
from supervisor.spec import ChildSpec, TreeSpec
from supervisor.wire import JSON
from supervisor.zygote import Zygote

_BURST_FRAMES = 512
_FRAMES_PER_S = 256.0
_OWN = frozenset[str](Name)
_LAST_WORDS = 4  # reads of up to 256 KiB


@dataclass(slots=True)
class Slot:
    """One child's place in the tree; outlives its processes."""

    spec: ChildSpec
    index: int
    life: Life = field(default_factory=Life)
    process: Process | None = None
    spawns: int = 0
    spawned_at: float = 0.0
    fell_at: float | None = None  # when it last died unasked, until it is ready again
    changed_at: float = 0.0
    beat: wire.Beat | None = None
    beat_at: float = 0.0
    progress_at: float = 0.0
    methods: frozenset[str] = frozenset()
    is_greeted: bool = False  # the present process has said hello: its signal handlers stand
    last_event: str = ""
    is_retiring: bool = False  # leaves the tree once it has stopped

    @property
    def restarts(self) -> int:
        return max(0, self.spawns - 1)

    def seat(self) -> order.Seat:
        return order.Seat(self.spec.name, self.spec.order, self.index, self.spec.group, self.life)


class Tree:
    """Children by name. Call everything from the trio thread, which must be the main thread."""

    def __init__(
        self,
        spec: TreeSpec,
        listeners: Mapping[str, int],
        nursery: trio.Nursery,
        on_event: Callable[[Event], None],
        on_exit: OnExit,
    ) -> None:
        self.spec = spec
        self.slots: dict[str, Slot] = {}
        self.listeners = listeners
        self.addresses: Mapping[str, tuple[str, int]] = {}
        self.began_at = trio.current_time()
        self.is_open = False  # nothing starts before the whole description is in
        self.is_started = False
        self.is_stopping = False
        self.started = trio.Event()
        self.stopped = trio.Event()
        self.changed = trio.Event()  # set, and replaced, whenever anything has changed
        self.exit_code = int(Code.DONE)
        self.on_heard: list[Callable[[Slot, wire.Heard], None]] = []
        self.on_step: list[Callable[[Slot, Life], None]] = []
        self.on_process: list[Callable[[], None]] = []
        self._nursery = nursery
        self._on_event = on_event
        self._on_exit = on_exit
        self._queue: deque[tuple[str, Input]] = deque()
        self._is_busy = False
        self._indices = count()
        self.asks = Asks()
        self.oom_kills = oom.OomKills(oom.counter())
        self.zygote = (
            Zygote(spec.zygote.modules, process.environment(spec.zygote), self.report) if spec.zygote else None
        )

    # --- children

    def add(self, spec: ChildSpec, *, reason: str = "") -> Slot:
        slot = self.slots.setdefault(spec.name, Slot(spec, next(self._indices)))
        slot.spec, slot.is_retiring = spec, False  # one that is still on its way out comes back
        self.apply(spec.name, Kind.WANT, reason=reason)
        return slot

    def open(self) -> None:
        """Let the children start, in their order."""
        self.is_open = True
        self._settle()

    def retire(self, name: str, *, reason: str, kind: Kind = Kind.DRAIN) -> None:
        """Take a child out of the tree: finish, stop, forget."""
        self.slots[name].is_retiring = True
        self.apply(name, kind, reason=reason)

    def stop(self) -> None:
        """Stop all in reverse order; `stopped` is set at the end. Idempotent."""
        if not self.is_stopping:
            self.is_stopping = True
            self.report(Name.TREE_STOPPING, exit_code=self.exit_code)
            self._settle()

    def kill(self) -> None:
        """Stop all at once."""
        self.stop()
        for name in list(self.slots):
            self.apply(name, Kind.UNWANT, reason="quick stop")
            self.apply(name, Kind.KILL, reason="quick stop")

    async def ask(self, slot: Slot, method: str, params: Mapping[str, Any] | None = None, *, timeout_s: float) -> JSON:
        """Call a method of a child; raises ControlError if it has none, errs, dies or takes too long."""
        if slot.process is None or method not in slot.methods:
            raise ControlError(f"{slot.spec.name} does not answer {method}", code=3)
        return await self.asks.ask(slot.spec.name, slot.process.tell, method, params or {}, timeout_s)

    def report(self, name: str, child: str = "", /, **data: object) -> None:
        if child in self.slots:
            self.slots[child].last_event = name
        self._on_event(Event(name=name, at_ms=time.time_ns() // 1_000_000, child=child, data=data))

    # --- deciding

    def apply(self, name: str, kind: Kind, **brings: Any) -> None:  # noqa: ANN401 -- the fields of Input
        """Let something happen to a child, now or right after what is happening."""
        brings.setdefault("now", trio.current_time())
        self._queue.append((name, Input(kind=kind, draw=random.random(), **brings)))  # noqa: S311 -- jitter
        self._settle()

    def _settle(self) -> None:
        if self._is_busy:
            return
        self._is_busy = True
        try:
            while self._queue or self._advance():
                while self._queue:
                    self._step(*self._queue.popleft())
        finally:
            self._is_busy = False
        self.note_change()

    def note_change(self) -> None:
        """Wake those who wait on `changed`."""
        changed, self.changed = self.changed, trio.Event()
        changed.set()

    def _step(self, name: str, happened: Input) -> None:
        slot = self.slots.get(name)
        if slot is None:
            return
        before = slot.life
        slot.life, actions = machine.step(Rules(slot.spec, self.spec.backoff, self.spec.intensity), before, happened)
        if slot.life.state is not before.state:
            slot.changed_at = happened.now
        for action in actions:
            self._perform(slot, action)
        for watcher in self.on_step:
            watcher(slot, before)

    def _advance(self) -> bool:
        """Queue what follows from the present states; False if nothing does."""
        for slot in [slot for slot in self.slots.values() if slot.is_retiring and not slot.life.has_process]:
            del self.slots[slot.spec.name]
            self.report(Name.CHILD_REMOVED, slot.spec.name)
        self._escalate_if_due()
        seats = [slot.seat() for slot in self.slots.values()]
        now = trio.current_time()
        if self.is_stopping:
            names, happened = order.stoppable(seats), Input(kind=Kind.UNWANT, now=now, reason="shutdown")
            if not names and not any(seat.life.has_process for seat in seats):
                self.stopped.set()
        elif not self.is_open:
            return False
        else:
            self._note_start(seats)
            names, happened = order.startable(seats, started=self.is_started), Input(kind=Kind.GO, now=now)
        self._queue.extend((name, happened) for name in names)
        return bool(names)

    def _note_start(self, seats: list[order.Seat]) -> None:
        if not self.is_started and all(seat.life.is_settled for seat in seats):
            self.is_started = True
            self.started.set()
            self.report(Name.TREE_READY, children=len(seats))

    def _escalate_if_due(self) -> None:
        critical = [slot for slot in self.slots.values() if slot.spec.critical]
        fatal = [slot for slot in critical if slot.life.alarm]
        if not self.is_stopping and fatal and len(fatal) * 2 >= len(critical):
            is_config = all(slot.life.is_config_fault for slot in fatal)
            self._escalate(Code.CONFIG if is_config else Code.SOFTWARE, [slot.spec.name for slot in fatal])

    def _escalate(self, code: Code, fatal: list[str]) -> None:
        self.exit_code = code
        self.is_stopping = True
        self.report(Name.TREE_ESCALATED, exit_code=int(code), children=fatal)
        self.report(Name.TREE_STOPPING, exit_code=self.exit_code)

    # --- doing

    def _perform(self, slot: Slot, action: machine.Action) -> None:
        match action:
            case machine.Spawn():
                self._spawn(slot)
            case machine.Signal(signum):
                if slot.process is not None:
                    slot.process.signal(signum)
            case machine.Tell(word):
                if slot.process is not None:
                    slot.process.tell({"t": word})
            case machine.Report(name, data):
                self.report(name, slot.spec.name, **self._pid_of(slot), **data)
            case _:
                self._escalate(Code.SOFTWARE, [slot.spec.name])

    def _pid_of(self, slot: Slot) -> dict[str, object]:
        return {} if slot.process is None else {"pid": slot.process.pid}

    def _spawn(self, slot: Slot) -> None:
        slot.spawns += 1
        slot.spawned_at = slot.beat_at = slot.progress_at = trio.current_time()
        slot.beat, slot.methods, slot.is_greeted = None, frozenset(), False
        try:
            slot.process = process.spawn(slot.spec, self.listeners, self.zygote)
        except OSError as fault:
            self._ended(slot, Exit(error=f"cannot start {slot.spec.argv[0]}: {fault.strerror}"))
            return
        self._note_processes()
        self.report(Name.WORKER_STARTED, slot.spec.name, pid=slot.process.pid, restarts=slot.restarts)
        self._nursery.start_soon(self._attend, slot, slot.process)

    def _note_processes(self) -> None:
        for watcher in self.on_process:
            watcher()

    async def _attend(self, slot: Slot, child: Process) -> None:
        """Hear one process until its end."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(child.write_forever)
                nursery.start_soon(self._hear, slot, child)
                await child.exited()
                nursery.cancel_scope.cancel()
            for _ in range(_LAST_WORDS):  # bounded: what it left running may go on writing
                for said in child.hear_rest():
                    self._heed(slot, said)
        finally:  # also when the root itself is cancelled: nobody is left behind
            child.signal(signal.SIGKILL)
            returncode = child.reap()
            stacks = child.new_stacks()
            child.close()
            slot.process = None
        self._note_processes()
        if stacks:
            self.report(Name.WORKER_STACKS, slot.spec.name, pid=child.pid, stacks=stacks)
        self._ended(slot, self._exit_of(returncode, slot.life), pid=child.pid)

    def _exit_of(self, returncode: int, life: Life) -> Exit:
        was_ready = life.ready_at is not None
        if returncode >= 0:
            return Exit(code=returncode, was_ready=was_ready, fault=life.fault)
        is_own = bool(life.fault) or life.state in _ASKED
        was_oom = returncode == -signal.SIGKILL and not is_own and self.oom_kills.explains(trio.current_time())
        return Exit(signum=-returncode, was_ready=was_ready, was_oom=was_oom, fault=life.fault)

    def _ended(self, slot: Slot, end: Exit, **data: object) -> None:
        life, now = slot.life, trio.current_time()
        is_asked = not life.wanted or (life.state in _ASKED and not life.fault)
        uptime_s = round(now - slot.spawned_at, 3)
        self.report(Name.WORKER_EXITED, slot.spec.name, **data, end=str(end), expected=is_asked, uptime_s=uptime_s,
                    reason=life.fault or life.reason)  # fmt: skip
        self.asks.fail(slot.spec.name)
        decision = Decision.RECYCLE if is_asked else self._on_exit(slot.spec, end)
        self.apply(slot.spec.name, Kind.EXIT, end=end, decision=decision)
        if not is_asked:
            slot.fell_at = slot.fell_at or now
            if decision not in (Decision.STOP, Decision.ESCALATE):
                for name in order.dragged([each.seat() for each in self.slots.values()], slot.spec.name):
                    self.apply(name, Kind.RENEW, reason=f"restarted with {slot.spec.name}")

    # --- hearing

    async def _hear(self, slot: Slot, child: Process) -> None:
        credit, at = float(_BURST_FRAMES), trio.current_time()
        try:
            while said := await child.hear():
                for each in said:
                    self._heed(slot, each)
                now = trio.current_time()
                credit = min(_BURST_FRAMES, credit + (now - at) * _FRAMES_PER_S) - len(said)
                at = now
                if credit < 0:  # it floods its pipe: let the surplus wait in its own buffer
                    await trio.sleep(-credit / _FRAMES_PER_S)
        except WireError as fault:
            self.report(Name.WORKER_MISBEHAVED, slot.spec.name, fault=str(fault))
            self.apply(slot.spec.name, Kind.KILL, reason="protocol")

    def _heed(self, slot: Slot, said: wire.Heard) -> None:
        name = slot.spec.name
        match said:
            case wire.Hello():
                slot.is_greeted = True
            case wire.Ready():
                slot.methods = said.methods
                self._note_ready(slot)
            case wire.Beat():
                self._note_beat(slot, said)
            case wire.Said():
                self._note_event(name, said)
            case wire.Reply():
                self.asks.answer(slot.spec.name, said)
            case _:
                pass
        for watcher in self.on_heard:
            watcher(slot, said)

    def _note_event(self, name: str, said: wire.Said) -> None:
        if said.event in _OWN:
            fault = f"{said.event} is not for a child to say"
            self.report(Name.WORKER_MISBEHAVED, name, fault=fault)
        else:
            self.report(said.event, name, **said.data)

    def _note_ready(self, slot: Slot) -> None:
        was_starting = slot.life.state is State.STARTING
        self.apply(slot.spec.name, Kind.READY)
        if was_starting and slot.fell_at is not None:
            recovery_s = round(trio.current_time() - slot.fell_at, 3)
            self.report(Name.WORKER_REPLACED, slot.spec.name, **self._pid_of(slot), recovery_s=recovery_s)
            slot.fell_at = None

    def _note_beat(self, slot: Slot, beat: wire.Beat) -> None:
        now = trio.current_time()
        if slot.beat is None or slot.beat.counters != beat.counters:
            slot.progress_at = now
        slot.beat, slot.beat_at = beat, now
        self.apply(slot.spec.name, Kind.BEAT)


_ASKED = {State.DRAINING, State.STOPPING, State.KILLING, State.ABORTING}

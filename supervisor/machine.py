"""The life of one child as a table: state × input → (life, actions). Pure.

`tree` feeds it (timers, frames, exits, commands) and carries out the actions; every decision about one process is here.
The rules: no clock is read (`now` comes with the input and is monotonic), a child has one deadline at a time, and
`Spawn` stands in one cell only, WAITING × GO, so whoever gives no GO starts nothing.
"""

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeAlias

from supervisor.backoff import Backoff
from supervisor.events import Name
from supervisor.exits import Decision, Exit
from supervisor.intensity import Intensity
from supervisor.spec import ChildSpec, Restart

QUICK_S = 1.0  # a run that ends sooner after being ready is not recycled at once again and again
START_SPACING_S = 0.5  # between two starts of a child that somebody kills before it is ready
ABORT_GRACE_S = 1.0  # for the stacks to be written between SIGABRT and SIGKILL


class State(StrEnum):
    STOPPED = "stopped"  # not wanted, no process
    WAITING = "waiting"  # wanted, its turn to start has not come
    STARTING = "starting"  # running, has not said ready
    READY = "ready"  # serving
    DRAINING = "draining"  # finishing its work before it is stopped
    STOPPING = "stopping"  # asked to exit
    ABORTING = "aborting"  # hung or never ready: writing its stacks
    KILLING = "killing"  # SIGKILL sent
    BACKOFF = "backoff"  # no process until the delay is over
    FATAL = "fatal"  # given up; a critical child is still tried at the longest delay
    DONE = "done"  # finished, not to be restarted


class Kind(StrEnum):
    """What can happen to a child: the columns of the table."""

    WANT = "want"  # it shall run
    GO = "go"  # its turn to start
    READY = "ready"  # it said so
    BEAT = "beat"
    DEADLINE = "deadline"  # `Life.deadline` has passed
    EXIT = "exit"  # the process is gone, or could not be spawned
    UNWANT = "unwant"  # it shall stop
    DRAIN = "drain"  # it shall finish its work, then stop
    RENEW = "renew"  # replace the process by a fresh one, in place
    KILL = "kill"  # at once
    STALL = "stall"  # the root itself slept for `seconds`
    RESET = "reset"  # forget its failures


class Escalate:
    """Action: the whole tree has to stop."""


@dataclass(frozen=True, slots=True)
class Spawn:
    """Action: start the process."""


@dataclass(frozen=True, slots=True)
class Signal:
    """Action: send a signal to the process."""

    signum: int


@dataclass(frozen=True, slots=True)
class Tell:
    """Action: send the frame `stop` or `drain` to the process."""

    word: str


@dataclass(frozen=True, slots=True)
class Report:
    """Action: let the world know."""

    name: Name
    data: Mapping[str, object]


Action: TypeAlias = Spawn | Signal | Tell | Report | type[Escalate]


@dataclass(frozen=True, slots=True)
class Rules:
    """What the decisions about one child depend on besides its life."""

    spec: ChildSpec
    backoff: Backoff
    intensity: Intensity


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One cell's column, with what it brings: EXIT the end and the decision, STALL the seconds, others a reason."""

    kind: Kind
    now: float
    end: Exit | None = None
    decision: Decision = Decision.RESTART
    draw: float = 0.5
    seconds: float = 0.0
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """All that is remembered of one child between inputs."""

    state: State = State.STOPPED
    wanted: bool = False
    deadline: float | None = None
    started_at: float = 0.0  # of the present or last process
    ready_at: float | None = None  # of the present process
    failures: int = 0  # delayed restarts since it last was healthy for long
    immediate_spent: bool = False
    failed_starts: int = 0  # in a row, never ready
    recent: tuple[float, ...] = ()  # counted failures within the window
    alarm: bool = False  # fatal, and not yet healthy for long
    fault: str = ""  # why the root ends the present process
    is_hung: bool = False  # its last process fell silent, and no other is ready yet
    reason: str = ""  # in words, for people
    is_config_fault: bool = False

    @property
    def has_process(self) -> bool:
        return self.state in _RUNNING

    @property
    def is_settled(self) -> bool:
        """Return whether the children after it need not wait any longer."""
        return self.state in _SETTLED or not self.wanted


Step: TypeAlias = tuple[Life, tuple[Action, ...]]
Cell: TypeAlias = Callable[[Rules, Life, Input], Step]

_RUNNING = {State.STARTING, State.READY, State.DRAINING, State.STOPPING, State.ABORTING, State.KILLING}
_SETTLED = {State.READY, State.DONE, State.FATAL, State.STOPPED}


def step(rules: Rules, life: Life, happened: Input) -> Step:
    """Return what becomes of a child by `happened`, and what has to be done about it."""
    return TABLE[life.state][happened.kind](rules, life, happened)


def ignore(_rules: Rules, life: Life, _happened: Input) -> Step:
    return life, ()


# --- wanting, starting, serving


def wait(_rules: Rules, life: Life, happened: Input) -> Step:
    """Take the place in the queue of those to be started."""
    return replace(life, state=State.WAITING, wanted=True, deadline=None, reason=happened.reason), ()


def spawn(rules: Rules, life: Life, happened: Input) -> Step:
    born = replace(life, state=State.STARTING, wanted=True, started_at=happened.now, ready_at=None, fault="", reason="")
    return replace(born, deadline=happened.now + rules.spec.ready_timeout_s), (Spawn(),)


def serve(rules: Rules, life: Life, happened: Input) -> Step:
    deadline = happened.now + rules.spec.beat_deadline_s
    ready = replace(life, state=State.READY, ready_at=happened.now, deadline=deadline, failed_starts=0, is_hung=False)
    return ready, (Report(Name.WORKER_READY, {}),)


def beat(rules: Rules, life: Life, happened: Input) -> Step:
    return replace(_rested(rules, life, happened.now), deadline=happened.now + rules.spec.beat_deadline_s), ()


def shift(_rules: Rules, life: Life, happened: Input) -> Step:
    """Forgive what the root slept through: the child could not be heard."""
    return replace(life, deadline=None if life.deadline is None else life.deadline + happened.seconds), ()


def want_again(_rules: Rules, life: Life, _happened: Input) -> Step:
    """Start it once more as soon as the process that is on its way out has gone."""
    return replace(life, wanted=True), ()


# --- ending a process


def stop(rules: Rules, life: Life, happened: Input) -> Step:
    return _ask_to_exit(rules, replace(life, wanted=False), happened)


def renew(rules: Rules, life: Life, happened: Input) -> Step:
    return _ask_to_exit(rules, replace(life, wanted=True), happened)


def _ask_to_exit(rules: Rules, life: Life, happened: Input) -> Step:
    deadline = happened.now + rules.spec.stop_timeout_s
    leaving = replace(life, state=State.STOPPING, deadline=deadline, reason=happened.reason)
    report = Report(Name.WORKER_STOPPING, {"reason": happened.reason})
    return leaving, (report, Tell("stop"), Signal(rules.spec.stop_signal))


def drain(rules: Rules, life: Life, happened: Input) -> Step:
    deadline = happened.now + rules.spec.stop_timeout_s
    leaving = replace(life, state=State.DRAINING, wanted=False, deadline=deadline, reason=happened.reason)
    return leaving, (Report(Name.WORKER_STOPPING, {"reason": happened.reason, "drain": True}), Tell("drain"))


def drained_late(rules: Rules, life: Life, happened: Input) -> Step:
    """Its time to drain is over: the ordinary stop follows, with its own deadline."""
    late = replace(life, state=State.STOPPING, deadline=happened.now + rules.spec.stop_timeout_s)
    return late, (Tell("stop"), Signal(rules.spec.stop_signal))


def unwant(_rules: Rules, life: Life, happened: Input) -> Step:
    """Keep out what is on its way out already."""
    return replace(life, wanted=False, reason=happened.reason or life.reason), ()


def halt(_rules: Rules, life: Life, happened: Input) -> Step:
    """There is no process to end."""
    halted = replace(life, state=State.STOPPED, wanted=False, deadline=None, alarm=False, is_hung=False)
    return replace(halted, reason=happened.reason), ()


def abort(_rules: Rules, life: Life, happened: Input) -> Step:
    """Have the stacks of a process written that hangs or never got ready, then replace it."""
    is_hung = life.state is State.READY
    fault, name = ("hung", Name.WORKER_HUNG) if is_hung else ("unready", Name.WORKER_UNREADY)
    deadline = happened.now + ABORT_GRACE_S
    ending = replace(
        life, state=State.ABORTING, fault=fault, reason=fault, deadline=deadline, is_hung=is_hung or life.is_hung
    )
    return ending, (Report(name, {}), Signal(signal.SIGABRT))


def overdue(_rules: Rules, life: Life, _happened: Input) -> Step:
    killing = replace(life, state=State.KILLING, deadline=None)
    return killing, (Report(Name.WORKER_KILLED, {"reason": life.fault or "stop_timeout"}), Signal(signal.SIGKILL))


def kill(_rules: Rules, life: Life, happened: Input) -> Step:
    """End it at once: `reason` becomes its fault, if it is still wanted."""
    fault = life.fault or (happened.reason if life.state in (State.STARTING, State.READY) else "")
    killing = replace(life, state=State.KILLING, deadline=None, fault=fault, reason=happened.reason)
    return killing, (Report(Name.WORKER_KILLED, {"reason": happened.reason}), Signal(signal.SIGKILL))


# --- after a process


def gone(_rules: Rules, life: Life, _happened: Input) -> Step:
    """Note that a process that was asked to exit has done so."""
    state = State.WAITING if life.wanted else State.STOPPED
    return replace(life, state=state, deadline=None, ready_at=None, fault="", is_hung=False), ()


def killed(rules: Rules, life: Life, happened: Input) -> Step:
    """Judge an end by force: a fault of the child counts, a missed stop deadline does not."""
    return died(rules, life, happened) if life.fault and life.wanted else gone(rules, life, happened)


def died(rules: Rules, life: Life, happened: Input) -> Step:
    """Nobody asked for this exit: do what was decided about it."""
    if not life.wanted:
        return gone(rules, life, happened)
    end = happened.end or Exit(error="gone")
    ended = replace(_rested(rules, life, happened.now), deadline=None, fault="", reason=life.fault or str(end))
    started = replace(ended, ready_at=None)
    match happened.decision:
        case Decision.RECYCLE:
            return _recycled(rules, ended, happened, end)
        case Decision.STOP:
            return _never_again(rules, started, end)
        case Decision.ESCALATE:
            return replace(started, state=State.DONE, wanted=False), (Escalate,)
        case Decision.RESTART_WITH_BACKOFF:
            return _delayed(rules, ended, happened)
        case Decision.RESTART:
            return _counted(rules, ended, happened)


def _never_again(rules: Rules, life: Life, end: Exit) -> Step:
    if not end.is_config_fault:
        failed = end.code != 0 and rules.spec.restart is not Restart.TEMPORARY
        return replace(life, state=State.DONE, wanted=failed), ()
    fatal = replace(life, state=State.FATAL, alarm=True, is_config_fault=True)
    return fatal, (
        Report(Name.CHILD_FATAL, {"reason": life.reason, "retried": False, "critical": rules.spec.critical}),
    )


def _recycled(rules: Rules, life: Life, happened: Input, end: Exit) -> Step:
    """Start again at once; but a child that ends itself as soon as it is ready only once, then with growing delays."""
    if end.is_from_outside:
        return _interrupted(life, happened.now)
    if life.ready_at is None or happened.now - life.ready_at < QUICK_S:
        return _delayed(rules, life, happened)
    return replace(life, state=State.WAITING, ready_at=None, failures=0, immediate_spent=False), ()


def _interrupted(life: Life, now: float) -> Step:
    """Start again what somebody killed, its failures as they were: at once, or in a moment if it never got ready."""
    dead, start_at = replace(life, ready_at=None), life.started_at + START_SPACING_S
    if life.ready_at is not None or now >= start_at:
        return replace(dead, state=State.WAITING), ()
    data = {"delay_s": round(start_at - now, 3), "failures": life.failures, "reason": life.reason}
    return replace(dead, state=State.BACKOFF, deadline=start_at), (Report(Name.WORKER_BACKOFF, data),)


def _counted(rules: Rules, life: Life, happened: Input) -> Step:
    failed_starts = life.failed_starts + (life.ready_at is None)
    recent = rules.intensity.recent(life.recent, happened.now)
    counted = replace(life, recent=recent, failed_starts=failed_starts)
    if life.alarm or rules.intensity.exceeded(recent, failed_starts):
        return _give_up(rules, counted, happened.now)
    return _delayed(rules, counted, happened)


def _give_up(rules: Rules, life: Life, now: float) -> Step:
    retry_at = now + rules.backoff.max_s if rules.spec.critical else None
    fatal = replace(life, state=State.FATAL, alarm=True, ready_at=None, deadline=retry_at)
    data = {"reason": life.reason, "retried": rules.spec.critical, "critical": rules.spec.critical}
    return fatal, () if life.alarm else (Report(Name.CHILD_FATAL, data),)


def _delayed(rules: Rules, life: Life, happened: Input) -> Step:
    dead = replace(life, ready_at=None)
    if rules.backoff.immediate_first and life.ready_at is not None and not life.immediate_spent:
        return replace(dead, state=State.WAITING, immediate_spent=True), ()
    failures = life.failures + 1
    delay_s = rules.backoff.delay_s(failures, happened.draw)
    report = Report(Name.WORKER_BACKOFF, {"delay_s": round(delay_s, 3), "failures": failures, "reason": life.reason})
    return replace(dead, state=State.BACKOFF, failures=failures, deadline=happened.now + delay_s), (report,)


def _rested(rules: Rules, life: Life, now: float) -> Life:
    """Forget the failures of a child that has been ready for long enough."""
    if life.ready_at is None or now - life.ready_at < rules.backoff.reset_after_s:
        return life
    return replace(life, failures=0, immediate_spent=False, recent=(), alarm=False)


# --- operators


def forget(_rules: Rules, life: Life, _happened: Input) -> Step:
    return _forgotten(life), ()


def forget_and_wait(rules: Rules, life: Life, happened: Input) -> Step:
    return wait(rules, _forgotten(life), happened)


def _forgotten(life: Life) -> Life:
    return replace(
        life, failures=0, failed_starts=0, recent=(), immediate_spent=False, alarm=False, is_config_fault=False
    )


def _row(**cells: Cell) -> Mapping[Kind, Cell]:
    return {kind: cells.get(kind, ignore) for kind in Kind}


# A cell that is not named is `ignore`: the input means nothing in that state.
TABLE: Mapping[State, Mapping[Kind, Cell]] = {
    State.STOPPED: _row(want=wait, renew=wait, reset=forget),
    State.WAITING: _row(go=spawn, unwant=halt, drain=halt, reset=forget),
    State.STARTING: _row(ready=serve, deadline=abort, exit=died, unwant=stop, drain=stop, renew=renew, kill=kill,
                         stall=shift, reset=forget),
    State.READY: _row(beat=beat, deadline=abort, exit=died, unwant=stop, drain=drain, renew=renew, kill=kill,
                      stall=shift, reset=forget),
    State.DRAINING: _row(want=want_again, deadline=drained_late, exit=gone, unwant=unwant, drain=unwant,
                         renew=want_again, kill=kill, stall=shift, reset=forget),
    State.STOPPING: _row(want=want_again, deadline=overdue, exit=gone, unwant=unwant, drain=unwant, renew=want_again,
                         kill=kill, stall=shift, reset=forget),
    State.ABORTING: _row(want=want_again, deadline=overdue, exit=killed, unwant=unwant, drain=unwant, renew=want_again,
                         kill=kill, stall=shift, reset=forget),
    State.KILLING: _row(want=want_again, exit=killed, unwant=unwant, drain=unwant, renew=want_again, reset=forget),
    State.BACKOFF: _row(want=wait, deadline=wait, unwant=halt, drain=halt, renew=wait, reset=forget_and_wait),
    State.FATAL: _row(want=forget_and_wait, deadline=wait, unwant=halt, drain=halt, renew=forget_and_wait,
                      reset=forget_and_wait),
    State.DONE: _row(want=forget_and_wait, unwant=halt, drain=halt, renew=wait, reset=forget),
}  # fmt: skip

"""The state table: complete, and right in every run of inputs that can happen."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.backoff import Backoff
from supervisor.events import Name
from supervisor.exits import Decision, Exit
from supervisor.intensity import Intensity
from supervisor.machine import (
    START_SPACING_S,
    TABLE,
    Escalate,
    Input,
    Kind,
    Life,
    Report,
    Rules,
    Signal,
    Spawn,
    State,
    Tell,
    step,
)
from supervisor.spec import ChildSpec

BACKOFF = Backoff(initial_s=1, factor=2, max_s=30, reset_after_s=60)
HELD = [State.STARTING, State.READY, State.DRAINING, State.STOPPING, State.ABORTING, State.KILLING]


def rules(*, critical: bool = False, restarts: int = 5, failed_starts: int = 5) -> Rules:
    spec = ChildSpec(name="c", argv=("c",), critical=critical)
    return Rules(spec, BACKOFF, Intensity(restarts=restarts, failed_starts=failed_starts))


def play(inputs: Sequence[Input], life: Life | None = None, by: Rules | None = None) -> tuple[Life, list]:
    life, done = life or Life(), []
    for happened in inputs:
        life, actions = step(by or rules(), life, happened)
        done += actions
    return life, done


def at(now: float, kind: Kind, **brings) -> Input:
    return Input(kind=kind, now=now, **brings)


def crash(now: float, *, draw: float = 0.5, **end) -> Input:
    return at(now, Kind.EXIT, end=Exit(**({"code": 1} | end)), decision=Decision.RESTART, draw=draw)


def somebody_kills(now: float) -> Input:
    return at(now, Kind.EXIT, end=Exit(signum=9), decision=Decision.RECYCLE)


UP = [at(0, Kind.WANT), at(0, Kind.GO), at(1, Kind.READY)]


def test_the_table_is_complete():
    assert TABLE.keys() == set(State)
    assert all(row.keys() == set(Kind) for row in TABLE.values())


def test_a_child_is_wanted_started_and_serves():
    life, done = play(UP)
    assert (life.state, life.wanted, life.deadline) == (State.READY, True, 1 + 5.5)
    assert done == [Spawn(), Report(Name.WORKER_READY, {})]


def test_the_first_crash_after_being_ready_restarts_at_once_and_the_next_waits():
    life, _ = play([*UP, crash(2)])
    assert life.state is State.WAITING
    life, _ = play([at(2, Kind.GO), at(3, Kind.READY), crash(4)], life)
    assert (life.state, life.deadline) == (State.BACKOFF, 4 + 0.5)
    life, _ = play([at(5, Kind.DEADLINE), at(5, Kind.GO), at(6, Kind.READY), crash(7)], life)
    assert (life.state, life.deadline) == (State.BACKOFF, 7 + 1.0)


def test_a_minute_of_health_forgets_the_failures():
    life, _ = play([*UP, crash(2), at(2, Kind.GO), at(3, Kind.READY), crash(4), at(5, Kind.DEADLINE), at(5, Kind.GO)])
    life, _ = play([at(6, Kind.READY), at(66, Kind.BEAT)], life)
    assert (life.failures, life.recent, life.immediate_spent) == (0, (), False)
    assert play([crash(67)], life)[0].state is State.WAITING


def test_silence_is_answered_with_abort_then_kill():
    life, done = play([*UP, at(6.5, Kind.DEADLINE), at(7.5, Kind.DEADLINE)])
    assert [action.signum for action in done if isinstance(action, Signal)] == [6, 9]
    assert life.state is State.KILLING
    life, _ = play([crash(7.6, signum=9, code=None, fault="hung")], life)
    assert (life.state, life.reason) == (State.WAITING, "hung")


def test_it_counts_as_hung_until_another_process_is_ready_or_none_is_wanted():
    life, _ = play([*UP, at(6.5, Kind.DEADLINE)])
    assert life.is_hung
    dead, _ = play([at(7.5, Kind.DEADLINE), crash(7.6, signum=9, code=None, fault="hung"), at(8, Kind.GO)], life)
    assert (dead.state, dead.is_hung) == (State.STARTING, True)
    assert not play([at(9, Kind.READY)], dead)[0].is_hung
    assert not play([at(9, Kind.UNWANT), crash(9.1)], dead)[0].is_hung


def test_beats_before_ready_do_not_shorten_the_start():
    life, _ = play([at(0, Kind.WANT), at(0, Kind.GO), at(1, Kind.BEAT)])
    assert (life.state, life.deadline) == (State.STARTING, 30)


def test_a_standstill_of_the_root_moves_deadlines():
    life, _ = play([*UP, at(100, Kind.STALL, seconds=95)])
    assert life.deadline == 6.5 + 95


def test_a_missed_stop_deadline_is_not_a_failure():
    life, done = play([*UP, at(2, Kind.RENEW), at(12, Kind.DEADLINE)])
    assert Report(Name.WORKER_KILLED, {"reason": "stop_timeout"}) in done
    life, _ = play([crash(12.1, signum=9, code=None)], life)
    assert (life.state, life.recent) == (State.WAITING, ())


def test_what_was_stopped_while_hanging_stays_stopped():
    life, _ = play([*UP, at(6.5, Kind.DEADLINE), at(6.6, Kind.UNWANT), crash(7, fault="hung")])
    assert (life.state, life.wanted) == (State.STOPPED, False)


def test_starting_again_what_is_on_its_way_out():
    life, _ = play([*UP, at(2, Kind.UNWANT), at(3, Kind.WANT), crash(4)])
    assert (life.state, life.wanted, life.recent) == (State.WAITING, True, ())


@pytest.mark.parametrize("critical", [True, False])
def test_beyond_the_intensity_a_child_is_fatal_and_a_critical_one_still_tried(critical):
    by = rules(critical=critical, restarts=1)
    life, done = play([*UP, crash(2), at(2, Kind.GO), at(3, Kind.READY), crash(4)], by=by)
    assert (life.state, life.alarm) == (State.FATAL, True)
    assert life.deadline == (34 if critical else None)
    assert [action.name for action in done if isinstance(action, Report)][-1] == Name.CHILD_FATAL
    life, done = play([at(34, Kind.DEADLINE), at(34, Kind.GO), at(35, Kind.READY), crash(36)], life, by)
    assert (life.state if critical else State.FATAL) is State.FATAL
    assert not [action for action in done if isinstance(action, Report) and action.name == Name.CHILD_FATAL]


def test_failed_starts_in_a_row_are_counted_apart():
    by, life = rules(restarts=99, failed_starts=2), play([at(0, Kind.WANT)])[0]
    for now in (100, 200):  # far apart: the window never holds two
        life, _ = play([at(now, Kind.GO), crash(now + 9), at(now + 50, Kind.DEADLINE)], life, by)
    assert life.state is State.WAITING
    assert play([at(300, Kind.GO), crash(309)], life, by)[0].state is State.FATAL


@pytest.mark.parametrize(
    ("decision", "end", "state"),
    [
        (Decision.RECYCLE, Exit(code=3), State.WAITING),
        (Decision.RESTART_WITH_BACKOFF, Exit(code=69), State.WAITING),  # the first after being ready
        (Decision.STOP, Exit(code=0), State.DONE),
        (Decision.STOP, Exit(code=78), State.FATAL),
        (Decision.ESCALATE, Exit(code=1), State.DONE),
    ],
)
def test_what_was_decided_is_done_without_counting(decision, end, state):
    life, done = play([*UP, at(2, Kind.EXIT, end=end, decision=decision)])
    assert (life.state, life.recent) == (state, ())
    assert (Escalate in done) == (decision is Decision.ESCALATE)


def test_a_child_that_recycles_itself_again_and_again_is_slowed_down():
    leaves = {"end": Exit(code=3, was_ready=True), "decision": Decision.RECYCLE}
    life, _ = play([*UP, at(1.5, Kind.EXIT, **leaves)])
    assert life.state is State.WAITING
    life, _ = play([at(2, Kind.GO), at(3, Kind.READY), at(3.5, Kind.EXIT, **leaves)], life)
    assert (life.state, life.recent) == (State.BACKOFF, ())
    long_lived, _ = play([at(9, Kind.DEADLINE), at(9, Kind.GO), at(10, Kind.READY), at(20, Kind.EXIT, **leaves)], life)
    assert (long_lived.state, long_lived.failures) == (State.WAITING, 0)


def test_however_often_somebody_kills_it_it_is_back_at_once():
    life, _ = play(UP)
    for now in range(1, 20):
        life, _ = play([somebody_kills(now)], life)
        assert life.state is State.WAITING
        life, _ = play([at(now, Kind.GO), at(now + 0.1, Kind.READY)], life)


def test_killed_before_it_is_ready_it_starts_once_in_half_a_second_for_ever():
    life, _ = play([at(0, Kind.WANT), at(0, Kind.GO)])
    for _ in range(50):
        life, done = play([somebody_kills(life.started_at + 0.1)], life)
        assert (life.state, life.deadline) == (State.BACKOFF, life.started_at + START_SPACING_S)
        assert done == [Report(Name.WORKER_BACKOFF, {"delay_s": 0.4, "failures": 0, "reason": "SIGKILL"})]
        life, _ = play([at(life.deadline, Kind.DEADLINE), at(life.deadline, Kind.GO)], life)
    life, _ = play([somebody_kills(life.started_at + 0.7)], life)
    assert (life.state, life.failed_starts, life.recent) == (State.WAITING, 0, ())


def test_a_kill_from_outside_neither_adds_to_the_failures_nor_forgets_them():
    life, _ = play([*UP, crash(2), at(2, Kind.GO), at(3, Kind.READY), crash(4), at(5, Kind.DEADLINE), at(5, Kind.GO)])
    before = (life.failures, life.recent, life.immediate_spent)
    life, _ = play([at(6, Kind.READY), somebody_kills(7), at(7, Kind.GO), somebody_kills(7.1)], life)
    assert (life.failures, life.recent, life.immediate_spent) == before == (1, (2, 4), True)


def test_where_memory_ran_out_the_delay_grows():
    life, _ = play(UP)
    for now, state in ((2, State.WAITING), (4, State.BACKOFF)):
        dies = at(now, Kind.EXIT, end=Exit(signum=9, was_oom=True), decision=Decision.RESTART_WITH_BACKOFF)
        life, _ = play([dies], life)
        assert (life.state, life.recent) == (state, ())
        life, _ = play([at(now, Kind.GO), at(now + 1, Kind.READY)], life)


def test_a_drain_that_takes_too_long_becomes_a_stop_and_then_a_kill():
    life, done = play([*UP, at(2, Kind.DRAIN), at(12, Kind.DEADLINE)])
    assert (life.state, life.deadline) == (State.STOPPING, 22)
    life, more = play([at(22, Kind.DEADLINE)], life)
    assert [action for action in done + more if isinstance(action, Tell | Signal)] == [
        Tell("drain"),
        Tell("stop"),
        Signal(15),
        Signal(9),
    ]


def test_a_kill_for_a_fault_counts_and_one_that_was_asked_for_does_not():
    life, _ = play([*UP, at(2, Kind.KILL, reason="memory"), crash(2, signum=9, code=None)])
    assert (life.reason, len(life.recent)) == ("memory", 1)
    life, _ = play([*UP, at(2, Kind.RENEW), at(3, Kind.KILL, reason="memory"), crash(3, signum=9, code=None)])
    assert (life.state, life.recent) == (State.WAITING, ())


def test_what_became_unwanted_just_before_it_died_stays_away():
    life, _ = play([*UP, at(6.5, Kind.DEADLINE), at(6.6, Kind.UNWANT), at(6.7, Kind.EXIT, end=Exit(signum=6))])
    assert life.state is State.STOPPED


def test_resetting_the_failed_forgets_and_tries_again():
    life, _ = play([*UP, at(2, Kind.EXIT, end=Exit(code=78), decision=Decision.STOP)])
    assert (life.state, life.is_config_fault) == (State.FATAL, True)
    life, _ = play([at(3, Kind.RESET)], life)
    assert (life.state, life.alarm, life.is_config_fault) == (State.WAITING, False, False)


# --- any run of inputs


@st.composite
def runs(draw) -> list[Input]:
    """Return inputs in an order of time, exits with any end and decision."""
    now, inputs = 0.0, []
    for kind in draw(st.lists(st.sampled_from(list(Kind)), max_size=30)):
        now += draw(st.floats(0, 40))
        codes = [Exit(code=code, was_ready=draw(st.booleans())) for code in (0, 1, 3, 64, 69)]
        end = draw(st.sampled_from([*codes, Exit(signum=9), Exit(signum=9, was_oom=True)]))
        inputs.append(
            Input(
                kind=kind,
                now=now,
                end=end,
                decision=draw(st.sampled_from(list(Decision))),
                draw=draw(st.floats(0, 1, exclude_max=True)),
                seconds=draw(st.floats(0, 10)),
            )
        )
    return inputs


def believable(inputs: Sequence[Input], by: Rules):
    """Play those inputs that can happen: exits and frames only while a process runs, a GO only from the order."""
    life, processes = Life(), 0
    for happened in inputs:
        if happened.kind in (Kind.EXIT, Kind.READY, Kind.BEAT) and not processes:
            continue
        if happened.kind is Kind.DEADLINE and (life.deadline is None or happened.now < life.deadline):
            continue
        before = life
        life, actions = step(by, life, happened)
        processes += actions.count(Spawn()) - (happened.kind is Kind.EXIT)
        yield before, happened, life, actions, processes


@given(runs(), st.booleans())
def test_there_is_never_a_second_process(inputs, critical):
    for _, _, life, _, processes in believable(inputs, rules(critical=critical)):
        assert processes in (0, 1)
        assert life.has_process == bool(processes)


@given(runs(), st.booleans())
def test_nothing_is_spawned_unless_wanted_and_its_turn(inputs, critical):
    for before, happened, life, actions, _ in believable(inputs, rules(critical=critical)):
        if Spawn() in actions:
            assert (before.state, happened.kind) == (State.WAITING, Kind.GO)
            assert life.wanted


@given(runs())
def test_after_a_stop_only_a_want_brings_it_back(inputs):
    stopped = False
    for _, happened, life, actions, _ in believable(inputs, rules()):
        stopped = happened.kind in (Kind.UNWANT, Kind.DRAIN) or (
            stopped and happened.kind not in (Kind.WANT, Kind.RENEW)
        )
        if stopped:
            assert Spawn() not in actions
            assert not life.wanted


@given(runs(), st.booleans())
def test_delays_are_within_bounds(inputs, critical):
    for _, happened, life, _, _ in believable(inputs, rules(critical=critical)):
        if life.state in (State.BACKOFF, State.FATAL) and life.deadline is not None and happened.kind is Kind.EXIT:
            assert happened.now <= life.deadline <= happened.now + BACKOFF.max_s


@given(runs(), st.booleans())
def test_a_kill_from_outside_is_soon_made_good(inputs, critical):
    for before, happened, life, _, _ in believable(inputs, rules(critical=critical)):
        running = before.state in (State.STARTING, State.READY) and before.wanted
        if (
            happened.kind is Kind.EXIT
            and running
            and happened.decision is Decision.RECYCLE
            and happened.end.is_from_outside
        ):
            assert life.state is State.WAITING or life.deadline <= before.started_at + START_SPACING_S
            assert life.failures <= before.failures
            assert len(life.recent) <= len(before.recent)


@given(runs(), st.booleans())
def test_a_process_that_must_end_has_a_deadline_or_a_kill(inputs, critical):
    for _, _, life, _, _ in believable(inputs, rules(critical=critical)):
        if life.state in HELD:
            assert (life.deadline is None) == (life.state is State.KILLING)
        elif life.state is State.BACKOFF:
            assert life.deadline is not None


@given(runs(), st.booleans(), st.integers(0, 3), st.integers(0, 3))
def test_it_is_given_up_exactly_when_the_rules_say_so(inputs, critical, restarts, failed_starts):
    by = rules(critical=critical, restarts=restarts, failed_starts=failed_starts)
    for before, happened, life, _, _ in believable(inputs, by):
        counted = before.wanted and happened.kind is Kind.EXIT and happened.decision is Decision.RESTART
        if not counted or before.state not in (State.STARTING, State.READY):
            continue
        rested = before.ready_at is not None and happened.now - before.ready_at >= BACKOFF.reset_after_s
        recent = by.intensity.recent(() if rested else before.recent, happened.now)
        starts = before.failed_starts + (before.ready_at is None)
        beyond = len(recent) > restarts or starts > failed_starts or (before.alarm and not rested)
        assert (life.state is State.FATAL) == beyond

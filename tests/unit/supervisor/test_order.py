"""Who starts and who stops next."""

from hypothesis import given
from hypothesis import strategies as st

from supervisor.machine import Life, State
from supervisor.order import Seat, dragged, startable, stoppable

RUNNING = {State.STARTING, State.READY, State.DRAINING, State.STOPPING, State.ABORTING, State.KILLING}


def seat(name: str, state: State, order: int = 0, *, index: int = 0, group: str | None = None, wanted: bool = True):
    return Seat(name, order, index, group, Life(state=state, wanted=wanted))


def test_same_order_starts_side_by_side_and_the_next_waits():
    seats = [seat("a", State.WAITING), seat("b", State.WAITING), seat("c", State.WAITING, 1)]
    assert startable(seats, started=False) == ["a", "b"]


def test_a_given_up_or_stopped_child_does_not_hold_the_others():
    seats = [seat("a", State.FATAL), seat("b", State.STOPPED, wanted=False), seat("c", State.WAITING, 1)]
    assert startable(seats, started=False) == ["c"]


def test_a_child_in_backoff_holds_the_first_start_only():
    seats = [seat("a", State.BACKOFF), seat("c", State.WAITING, 1)]
    assert startable(seats, started=False) == []
    assert startable(seats, started=True) == ["c"]


def test_in_a_group_the_predecessor_comes_first_always():
    seats = [seat("a", State.STARTING, group="g"), seat("c", State.WAITING, 1, group="g", index=1)]
    assert startable(seats, started=True) == []


def test_the_last_order_stops_first_and_idle_ones_at_once():
    seats = [seat("a", State.READY), seat("b", State.BACKOFF), seat("c", State.READY, 2), seat("d", State.READY, 2)]
    assert stoppable(seats) == ["b", "c", "d"]


def test_rest_for_one_drags_those_after():
    seats = [seat(name, State.READY, index=index, group="g") for index, name in enumerate("abc")]
    seats.append(seat("x", State.READY, index=9))
    assert dragged(seats, "b") == ["c"]
    assert dragged(seats, "x") == []


@st.composite
def forests(draw):
    return [
        seat(f"c{n}", draw(st.sampled_from(list(State))), draw(st.integers(0, 3)), index=n, wanted=draw(st.booleans()))
        for n in range(draw(st.integers(0, 8)))
    ]


@given(forests())
def test_nothing_starts_before_an_unsettled_child_of_lower_order(seats):
    for name in startable(seats, started=False):
        order = next(each.order for each in seats if each.name == name)
        assert all(each.life.is_settled for each in seats if each.order < order)


@given(forests())
def test_nothing_stops_while_a_later_one_still_runs(seats):
    running = {each.name: each.order for each in seats if each.life.state in RUNNING}
    for name in stoppable(seats):
        if name in running:
            assert all(order <= running[name] for order in running.values())

"""The breaker's table of states, and the neighbour behind it."""

from functools import partial

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from priceverse.api.breaker import Breaker, Neighbour, State
from priceverse.rpc.errors import CallError, Code


class AwayError(Exception):
    reason = "asleep"


def ask(breaker, now_s, good):
    """Let one question pass, if it may; return whether it did."""
    admitted = breaker.admit(now_s)
    if admitted:
        breaker.end(now_s, good=good)
    return admitted


def opened(at_s=0.0):
    breaker = Breaker()
    for _ in range(5):
        ask(breaker, at_s, good=False)
    return breaker


def test_five_failures_in_a_row_open_it():
    breaker = Breaker()
    for good in (False, False, False, False, True, False, False, False, False):
        ask(breaker, 0, good)
    assert breaker.state is State.CLOSED
    ask(breaker, 0, good=False)
    assert breaker.state is State.OPEN


def test_nothing_passes_for_thirty_seconds():
    breaker = opened()
    assert not any(ask(breaker, now_s, good=True) for now_s in (0, 10, 29.9))
    assert breaker.wait_s(10) == 20
    assert ask(breaker, 30, good=True)


def test_three_good_trials_close_it():
    breaker = opened()
    for _ in range(2):
        assert ask(breaker, 31, good=True)
        assert breaker.state is State.HALF_OPEN
    assert ask(breaker, 31, good=True)
    assert breaker.state is State.CLOSED


def test_one_bad_trial_opens_it_again_for_as_long():
    breaker = opened()
    ask(breaker, 31, good=True)
    ask(breaker, 32, good=False)
    assert breaker.state is State.OPEN
    assert not breaker.admit(61)
    assert breaker.admit(62)


def test_no_more_than_three_trials_at_a_time():
    breaker = opened()
    assert [breaker.admit(31) for _ in range(5)] == [True, True, True, False, False]
    breaker.end(31, good=None)  # its caller gave up: one more may try
    assert breaker.admit(31)


@given(st.lists(st.tuples(st.floats(0, 20), st.sampled_from([True, False, None]), st.booleans()), max_size=200))
def test_it_never_gets_stuck(steps):
    breaker, now_s, asked = Breaker(), 0.0, 0
    for pause_s, good, ends in steps:
        now_s += pause_s
        if breaker.admit(now_s):
            asked += 1
            if ends:
                breaker.end(now_s, good=good)
                asked -= 1
    for _ in range(asked):
        breaker.end(now_s, good=None)
    for _ in range(3):
        now_s += 31
        ask(breaker, now_s, good=True)
    assert breaker.state is State.CLOSED


@pytest.fixture
def changes():
    return []


@pytest.fixture
def neighbour(changes):
    return Neighbour("redis", "Redis", Code.REDIS, AwayError, on_change=lambda *change: changes.append(change))


async def answer(fault=None):
    await trio.lowlevel.checkpoint()
    if fault:
        raise fault
    return 7


async def refusal(neighbour, fault=None):
    with pytest.raises(CallError) as error:
        await neighbour.ask(partial(answer, fault))
    return error.value


async def test_an_absent_neighbour_is_a_call_error(neighbour):
    error = await refusal(neighbour, AwayError())
    assert (error.code, error.message) == (Code.REDIS, "Redis is not available (asleep)")


async def test_an_open_breaker_spares_the_neighbour_and_says_when_to_come_back(neighbour, changes, autojump_clock):
    for _ in range(5):
        await refusal(neighbour, AwayError())
    error = await refusal(neighbour)
    assert (error.code, error.retry_after_s) == (Code.REDIS, 30)
    assert neighbour.stats() == {"state": "open", "refused": 1}
    await trio.sleep(30)
    for _ in range(3):
        assert await neighbour.ask(answer) == 7
    assert changes == [("breaker_opened", "redis"), ("breaker_closed", "redis")]


async def test_a_probe_passes_an_open_breaker_and_teaches_it_nothing(neighbour):
    for _ in range(5):
        await refusal(neighbour, AwayError())
    assert await neighbour.probe(answer) == 7
    assert neighbour.breaker.state is State.OPEN
    with pytest.raises(CallError):
        await neighbour.probe(partial(answer, AwayError()))


async def test_our_own_mistakes_and_impatience_do_not_count(neighbour):
    for _ in range(10):
        with pytest.raises(ZeroDivisionError):
            await neighbour.ask(partial(answer, ZeroDivisionError()))
        with trio.move_on_after(0):
            await neighbour.ask(trio.sleep_forever)
    assert neighbour.breaker.state is State.CLOSED

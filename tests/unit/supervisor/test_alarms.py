"""How many silent children may be ended at once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.alarms import HUNG_SHARE, room_for_hung
from supervisor.machine import Life, State

READY = Life(state=State.READY, wanted=True)
HUNG = Life(state=State.ABORTING, wanted=True, is_hung=True)
COMING = Life(state=State.STARTING, wanted=True, is_hung=True)
AWAY = Life(state=State.BACKOFF, wanted=True, is_hung=True)
"""Its replacement fails: that must not protect the others for ever."""


@pytest.mark.parametrize(
    ("lives", "room"),
    [
        ([READY], 1),
        ([READY] * 3, 1),
        ([READY] * 12, 6),
        ([READY] * 10 + [HUNG] * 2, 4),
        ([READY] * 10 + [HUNG, COMING], 4),
        ([READY] * 3 + [HUNG, COMING, COMING], 0),
        ([READY, HUNG], 0),
        ([READY, AWAY], 1),
        ([], 1),
    ],
)
def test_half_at_a_time_and_one_at_least(lives, room):
    assert room_for_hung(lives) == room


@given(st.lists(st.sampled_from([READY, HUNG, COMING, AWAY]), max_size=40))
def test_the_bound_holds_whatever_happens(lives):
    running = sum(life.has_process for life in lives)
    hung = sum(life in (HUNG, COMING) for life in lives)
    assert hung + room_for_hung(lives) <= max(1, running // HUNG_SHARE, hung)

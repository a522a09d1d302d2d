"""The pause before the next attempt: full jitter under a doubling ceiling, and what the venue asks for."""

import pytest
from tenacity import AsyncRetrying, Future, RetryCallState

from priceverse.collector.reconnect import CAP_S, DISCONNECTED, RATE_LIMITED, Ended, Pause, SessionFailed, Why


def after(attempt: int, ended: Ended) -> RetryCallState:
    state = RetryCallState(AsyncRetrying(), None, (), {})
    state.attempt_number = attempt
    state.outcome = Future(attempt)
    state.outcome.set_exception(SessionFailed(ended))
    return state


LOST = Ended(Why.LOST, "wss://x", "reset")


@pytest.mark.parametrize(
    ("attempt", "ceiling_s"), [(1, 1), (2, 2), (3, 4), (5, 16), (6, CAP_S), (10, CAP_S), (500, CAP_S)]
)
def test_full_jitter_under_a_doubling_ceiling(attempt: int, ceiling_s: float) -> None:
    pause = Pause(1.0)
    pauses = [pause(after(attempt, LOST)) for _ in range(500)]
    assert 0 <= min(pauses) < 0.1 * ceiling_s
    assert 0.9 * ceiling_s < max(pauses) <= ceiling_s


@pytest.mark.parametrize(
    ("status", "retry_after_s", "least_s", "code"),
    [
        (429, 90.0, 90.0, RATE_LIMITED),
        (429, None, 5.0, RATE_LIMITED),
        (418, None, 60.0, RATE_LIMITED),
        (403, None, 30.0, RATE_LIMITED),
        (451, None, 60.0, RATE_LIMITED),
        (418, 1.0, 1.0, RATE_LIMITED),
        (429, 1e9, 3600.0, RATE_LIMITED),
        (503, 12.0, 12.0, DISCONNECTED),
        (503, None, 0.0, DISCONNECTED),
        (None, None, 0.0, DISCONNECTED),
    ],
)
def test_what_the_venue_asks_for_is_obeyed(
    status: int | None, retry_after_s: float | None, least_s: float, code: str
) -> None:
    ended = Ended(Why.REFUSED, "wss://x", "no", status=status, retry_after_s=retry_after_s)
    assert ended.stay_away_s == least_s
    assert ended.code == code
    assert min(Pause(0.001)(after(1, ended)) for _ in range(20)) >= least_s

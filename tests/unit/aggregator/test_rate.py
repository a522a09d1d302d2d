"""A missing rate is said once when it lasts, and once when it is over."""

import pytest

from priceverse.aggregator import rate
from priceverse.pricing.convert import RateFault, Rates
from priceverse.pricing.desk import Desk
from priceverse.pricing.schedule import Pace, Position
from tests.fakes.market import seat_at


@pytest.fixture
def said(monkeypatch) -> list[tuple[str, str]]:
    """What was logged: level and reason."""
    lines: list[tuple[str, str]] = []

    class Logger:
        def warning(self, _, **data):
            lines.append(("warning", data["reason"]))

        def info(self, _, **data):
            lines.append(("info", data["pair"]))

    monkeypatch.setattr(rate, "get_logger", Logger)
    return lines


def test_a_lasting_fault_is_said_once_and_so_is_its_end(said):
    desk = Desk(Pace(), Rates())
    seat = seat_at(desk, "btc-usd", Position(0, 0), ("btc-rub",))
    watch = rate._Watch()
    for fault in (RateFault.MISSING, None, RateFault.STALE, RateFault.STALE, RateFault.STALE, None, None):
        seat.rate_fault = fault
        watch.look(desk)
    assert said == [("warning", "rate_stale"), ("info", "btc-usd")]


def test_another_fault_is_another_line(said):
    desk = Desk(Pace(), Rates())
    seat = seat_at(desk, "btc-usd", Position(0, 0), ("btc-rub",))
    watch = rate._Watch()
    for fault in (RateFault.MISSING, RateFault.MISSING, RateFault.STALE, RateFault.STALE):
        seat.rate_fault = fault
        watch.look(desk)
    assert said == [("warning", "rate_missing"), ("warning", "rate_stale")]

"""Fixtures of the simulator's unit tests: an instant, and trades to show."""

from collections.abc import Callable

import pytest

from priceverse.model.exchange import Side
from priceverse.simulator.history import History
from priceverse.simulator.match import Match

NOW_NS = 1_790_446_152_678_901_234
"""2026-09-26T18:09:12.678901234Z."""


@pytest.fixture
def now_ns() -> int:
    return NOW_NS


@pytest.fixture
def match() -> Callable[..., Match]:
    """Make a trade; every field has a usual value."""

    def make(symbol: str = "BTC", trade_id: int | str = 1, **fields: object) -> Match:
        usual = {"price": "84098.4", "volume": "0.04661621", "time_ns": NOW_NS, "side": Side.BUY, "order": 7}
        return Match(symbol, str(trade_id), **(usual | fields))  # type: ignore[arg-type]

    return make


@pytest.fixture
def history(match: Callable[..., Match]) -> Callable[..., History]:
    """Make a history of one symbol that holds some trades, a millisecond apart."""

    def make(symbol: str, ids: range = range(0)) -> History:
        made = History([symbol])
        for n, trade_id in enumerate(ids):
            made.add(match(symbol, trade_id, time_ns=NOW_NS + n * 1_000_000))
        return made

    return make

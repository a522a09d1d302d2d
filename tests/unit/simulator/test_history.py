"""What a venue remembers: oldest first, by id, by time, bounded."""

import pytest

from priceverse.model.exchange import Side
from priceverse.simulator.history import History


def ids(rows):
    return [int(row.trade_id) for row in rows]


def test_a_trade_comes_back_as_it_was(match):
    history = History(["BTC"])
    trade = match("BTC", "2290000001189048101", side=Side.SELL, order=12, count=3, price="1e-8")
    history.add(trade)
    assert history.last("BTC", 5) == [trade]


def test_pages_are_oldest_first(history):
    made = history("BTC", range(100, 120))
    assert ids(made.last("BTC", 3)) == [117, 118, 119]
    assert ids(made.last("BTC", 3, below=110)) == [107, 108, 109]
    assert ids(made.last("BTC", 3, above=117)) == [118, 119]
    assert ids(made.from_id("BTC", 105, 3)) == [105, 106, 107]
    assert ids(made.from_id("BTC", 500, 3)) == []
    assert ids(made.after_time("BTC", made.from_id("BTC", 105, 1)[0].time_ns, 2)) == [106, 107]


def test_it_keeps_a_bounded_number_of_the_newest(match):
    history = History(["BTC"], keep=50)
    for n in range(5000):
        history.add(match("BTC", n))
    kept = ids(history.last("BTC", 10_000))
    assert kept[-1] == 4999
    assert 50 <= len(kept) <= 1050


def test_an_unknown_symbol_is_not_listed_until_it_trades(match):
    history = History(["BTC"])
    assert "ETH" not in history
    with pytest.raises(KeyError):
        history.last("ETH", 1)
    history.add(match("ETH", 1))
    assert set(history) == {"BTC", "ETH"}


def test_an_id_that_is_no_number_is_kept_as_text(match):
    history = History(["BTC"])
    history.add(match("BTC", "60820e807857784acade95a7"))
    assert history.last("BTC", 1)[0].trade_id == "60820e807857784acade95a7"

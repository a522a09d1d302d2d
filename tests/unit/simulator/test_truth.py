"""The ground truth on disk."""

import json

from priceverse.model.exchange import Exchange, Side
from priceverse.simulator.truth import Truth, truth_line


def test_a_line_says_what_a_perfect_reader_would_have(match, now_ns):
    trade = match("BTC/USD", 109183836, side=Side.SELL)
    assert json.loads(truth_line(Exchange.KRAKEN, trade, "btc-usd", 1790446152700)) == {
        "exchange": "kraken",
        "symbol": "BTC/USD",
        "pair": "btc-usd",
        "price": "84098.4",
        "volume": "0.04661621",
        "timestamp": now_ns // 1_000_000,
        "trade_id": "109183836",
        "side": "sell",
        "sent": 1790446152700,
    }


def test_rows_of_several_fills_and_the_past_are_marked(match):
    line = json.loads(truth_line(Exchange.OKX, match(count=3), None, 1, historical=True))
    assert (line["count"], line["historical"], line["pair"]) == (3, True, None)


def test_the_file_is_appended_to_and_readable_after_a_flush(tmp_path, match):
    path = tmp_path / "truth.jsonl"
    for _ in range(2):
        with Truth(path, {("kraken", "BTC"): "btc-usd"}) as truth:
            truth.write(Exchange.KRAKEN, match("BTC"), 5)
            truth.flush()
            assert json.loads(path.read_text().splitlines()[-1])["pair"] == "btc-usd"
    assert len(path.read_text().splitlines()) == 2

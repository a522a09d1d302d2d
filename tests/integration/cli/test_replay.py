"""Recorded trades give the same bytes always, and the same numbers as a calculation that shares no code."""

import json
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest
from click.testing import CliRunner, Result

from priceverse.cli.replay import command
from priceverse.model.exchange import Exchange
from priceverse.simulator.listings import default_pairs, listings
from priceverse.simulator.match import NS_PER_MS, NS_PER_S
from priceverse.simulator.truth import truth_line
from priceverse.simulator.walk import Walk
from tests.e2e.recompute import Truth

START_MS = 1_790_000_250_000
LENGTH_S = 210
LATENCY_MS = 40


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three and a half minutes of a market, on both sides of a bucket's edge, as the simulator writes its truth."""
    file = tmp_path_factory.mktemp("replay") / "truth.jsonl"
    walk = Walk(Random(3), listings(), START_MS * NS_PER_MS, speed=1.0)
    pairs = default_pairs()
    with file.open("wb") as out:
        for listing, matches in walk.due(START_MS * NS_PER_MS + LENGTH_S * NS_PER_S):
            for match in matches:
                sent_ms = match.time_ms + LATENCY_MS
                out.write(truth_line(listing.exchange, match, pairs[listing.exchange.value, match.symbol], sent_ms))
    return file


def replay(file: Path, *words: str) -> Result:
    return CliRunner().invoke(command, ["--trades", str(file), *words], catch_exceptions=False)


@pytest.fixture(scope="module")
def lines(recording: Path) -> list[dict[str, object]]:
    done = replay(recording, "--json", "--rate", "2026-09-21=81.25")
    assert done.exit_code == 0
    return [json.loads(line, parse_float=Decimal) for line in done.stdout.splitlines()]


def test_the_same_input_gives_the_same_bytes(recording: Path) -> None:
    assert replay(recording, "--json").stdout_bytes == replay(recording, "--json").stdout_bytes


def test_prices_are_those_of_a_calculation_that_shares_no_code(recording: Path, lines: list[dict[str, object]]) -> None:
    truth = Truth(recording)
    compared = 0
    for line in lines:
        at_ms = line["timestamp"]
        whole = START_MS + 40_000 <= at_ms <= START_MS + (LENGTH_S - 10) * 1000
        if line["kind"] == "price" and line["pair"] in ("btc-usd", "usdt-usd") and whole:
            price, volume, venues = truth.index(line["pair"], at_ms - 30_000, at_ms)
            assert (Decimal(line["price"]), Decimal(line["volume"])) == (price, volume)
            assert set(line["sources"]) == venues
            compared += 1
    assert compared > 25


def test_candles_hold_every_trade_once(recording: Path, lines: list[dict[str, object]]) -> None:
    buckets: dict[tuple[str, int], list[tuple[int, str, Decimal, Decimal]]] = defaultdict(list)
    for pair, trades in Truth(recording).trades.items():
        for trade in trades:
            buckets[pair, trade[0] // 300_000 * 300_000].append(trade)
    found = {(line["pair"], line["timestamp"]): line for line in lines if line["kind"] == "candle"}
    compared = []
    for (pair, start_ms), trades in buckets.items():
        if pair not in ("usdt-usd", "btc-usd"):
            continue
        late = [trade for trade in trades if trade[0] > START_MS + 70_000]  # by then the reference has a price
        if pair == "btc-usd" and len(late) < len(trades):
            continue
        candle = found[pair, start_ms]
        compared.append(pair)
        assert candle["trades"] == len(trades)
        assert Decimal(candle["volume"]) == sum(trade[3] for trade in trades)
        if pair == "usdt-usd":
            assert Decimal(candle["quote_volume"]) == sum(trade[2] * trade[3] for trade in trades)
            assert Decimal(candle["high"]) == max(trade[2] for trade in trades)
            assert Decimal(candle["low"]) == min(trade[2] for trade in trades)
    assert sorted(compared) == ["btc-usd", "usdt-usd", "usdt-usd"]


def test_roubles_are_dollars_times_the_rate(lines: list[dict[str, object]]) -> None:
    prices = {(line["pair"], line["timestamp"]): Decimal(line["price"]) for line in lines if line["kind"] == "price"}
    roubles = {at_ms: price for (pair, at_ms), price in prices.items() if pair == "btc-rub"}
    assert len(roubles) > 10
    for at_ms, price in roubles.items():
        assert abs(price - prices["btc-usd", at_ms] * Decimal("81.25")) < Decimal("1e-6")


def test_one_pair_can_be_asked_for_and_people_get_a_line_each(recording: Path) -> None:
    said = replay(recording, "--pair", "xmr-usd").stdout.splitlines()
    assert len(said) > 15
    assert all("xmr-usd" in line for line in said)


@pytest.mark.parametrize("line", ["[]", "{", '{"pair": "btc-usd"}', '{"pair": "btc-usd", "timestamp": 1}'])
def test_a_line_that_is_no_trade_is_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / "bad.jsonl"
    file.write_text(f'{{"pair":null}}\n{line}\n', encoding="utf-8")
    done = replay(file)
    assert (done.exit_code, "line 2" in done.output) == (65, True)


def test_trades_of_a_pair_that_is_not_configured_are_counted(tmp_path: Path) -> None:
    row = {"exchange": Exchange.KRAKEN, "pair": "doge-usd", "price": "1", "volume": "1", "timestamp": START_MS}
    file = tmp_path / "other.jsonl"
    file.write_text(json.dumps({**row, "trade_id": "1"}) + "\n", encoding="utf-8")
    assert "1 trades of pairs that are not configured" in replay(file).stderr

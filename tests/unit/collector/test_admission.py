"""Which trades pass, and that memory is bounded."""

import json
from decimal import Decimal

import pytest

from priceverse.collector.admission import MAX_AHEAD_MS, MAX_BEHIND_MS, PASSING, Admission, Recent, Verdict
from priceverse.collector.coverage import MOST_PASSED_OVER, span
from priceverse.exchanges.okx import Okx
from priceverse.exchanges.protocol import Gap, Mark
from priceverse.model.trade import Trade
from tests.fakes.exchange import trade

NOW_MS = 1_790_000_000_000


@pytest.mark.parametrize(
    ("age_ms", "verdict"),
    [
        (0, Verdict.ADMITTED),
        (-MAX_AHEAD_MS, Verdict.ADMITTED),
        (-MAX_AHEAD_MS - 1, Verdict.CLOCK_AHEAD),
        (MAX_BEHIND_MS, Verdict.ADMITTED),
        (MAX_BEHIND_MS + 1, Verdict.CLOCK_BEHIND),
        (NOW_MS, Verdict.CLOCK_BEHIND),
    ],
)
def test_a_clock_that_is_wrong(age_ms: int, verdict: Verdict) -> None:
    assert Admission().judge(trade("BTC", "1", NOW_MS - age_ms), NOW_MS) is verdict


def test_a_trade_counts_once_per_symbol() -> None:
    admission = Admission()
    verdicts = [admission.judge(trade(symbol, "7", NOW_MS), NOW_MS) for symbol in ("BTC", "ETH", "BTC", "ETH")]
    assert verdicts == [Verdict.ADMITTED, Verdict.ADMITTED, Verdict.DUPLICATE, Verdict.DUPLICATE]


def test_an_old_trade_is_remembered_but_does_not_pass() -> None:
    admission = Admission()
    assert admission.judge(trade("BTC", "7", NOW_MS, historical=True), NOW_MS) is Verdict.HISTORICAL
    assert admission.judge(trade("BTC", "7", NOW_MS), NOW_MS) is Verdict.DUPLICATE
    assert admission.judge(trade("BTC", "7", NOW_MS, historical=True), NOW_MS) is Verdict.HISTORICAL


def test_a_block_trade_does_not_pass() -> None:
    assert Admission().judge(trade("BTC", "7", NOW_MS, block=True), NOW_MS) is Verdict.BLOCK


def test_at_least_the_capacity_is_remembered_and_at_most_twice_that() -> None:
    recent = Recent(100)
    for n in range(1000):
        assert str(n) not in recent
        recent.add(str(n))
    assert all(str(n) in recent for n in range(900, 1000))
    assert "0" not in recent
    assert len(recent._young) + len(recent._old) <= 200


def test_a_replay_of_what_was_missed_passes_once_something_was_had() -> None:
    admission = Admission(is_numbered=True)
    old = [admission.judge(trade("BTC", n, NOW_MS, historical=True), NOW_MS) for n in ("5", "6")]
    live = admission.judge(trade("BTC", "9", NOW_MS), NOW_MS)
    again = [admission.judge(trade("BTC", str(n), 0, historical=True), NOW_MS) for n in range(5, 12)]
    assert old == [Verdict.HISTORICAL] * 2
    assert live is Verdict.ADMITTED
    historical, backfilled = Verdict.HISTORICAL, Verdict.BACKFILLED
    assert again == [historical, historical, backfilled, backfilled, historical, backfilled, backfilled]


def test_a_trade_with_a_wrong_time_has_not_been_had() -> None:
    for admission in (Admission(), Admission(is_numbered=True)):
        assert admission.judge(trade("BTC", "7", NOW_MS + 60_000), NOW_MS) is Verdict.CLOCK_AHEAD
        assert admission.judge(trade("BTC", "7", NOW_MS), NOW_MS) is Verdict.ADMITTED


def test_of_a_row_half_had_the_rest_is_missing() -> None:
    admission = Admission(is_numbered=True)
    verdicts = [admission.judge(trade("BTC", "10", NOW_MS), NOW_MS)]
    verdicts.append(admission.judge(trade("BTC", "12", NOW_MS, count=3), NOW_MS))
    assert verdicts == [Verdict.ADMITTED, Verdict.DUPLICATE]
    coverage = admission.book("BTC").coverage
    assert coverage is not None
    assert [tuple(hole.span) for hole in coverage.holes] == [(11, 12)]


def test_ids_that_are_no_numbers_or_absurd_are_remembered_one_by_one() -> None:
    admission = Admission(is_numbered=True)
    for trade_id in ("7", "x-1", "999999999999"):
        assert admission.judge(trade("BTC", trade_id, NOW_MS), NOW_MS) is Verdict.ADMITTED
        assert admission.judge(trade("BTC", trade_id, NOW_MS), NOW_MS) is Verdict.DUPLICATE
    assert admission.judge(trade("BTC", "8", NOW_MS), NOW_MS) is Verdict.ADMITTED


@pytest.mark.parametrize("leap", [2 * MOST_PASSED_OVER, -2 * MOST_PASSED_OVER])
def test_a_live_trade_of_another_series_of_ids_passes_once(leap: int) -> None:
    """No trade of the market is thrown away because of what its number seems to say."""
    admission = Admission(is_numbered=True)
    first = 10 * MOST_PASSED_OVER
    ids = [first, first + leap, first + leap + 1, first + 1, first + leap]
    verdicts = [admission.judge(trade("BTC", str(trade_id), NOW_MS), NOW_MS) for trade_id in ids]
    assert verdicts == [Verdict.ADMITTED] * 4 + [Verdict.DUPLICATE]


def test_a_replay_of_long_ago_does_not_pass() -> None:
    admission = Admission(is_numbered=True)
    admission.judge(trade("BTC", str(10 * MOST_PASSED_OVER), NOW_MS), NOW_MS)
    assert admission.judge(trade("BTC", "7", NOW_MS, historical=True), NOW_MS) is Verdict.HISTORICAL


def test_a_row_of_okx_stands_for_its_matches_whichever_way_they_come_first() -> None:
    """The same matches: joined by the connection, one by one by history. Their volume is had once, to the digit."""
    adapter = Okx({"BTC-USDT": "btc-usd"})
    sizes = {120: "0.1", 121: "0.25", 122: "0.05", 123: "0.30", 124: "0.7"}
    common = {"instId": "BTC-USDT", "px": "42219.9", "side": "buy", "ts": str(NOW_MS)}
    push = {"arg": {"channel": "trades", "instId": "BTC-USDT"}}
    joined = {**common, "tradeId": "123", "sz": "0.60", "count": "3"}
    [row] = adapter.receive(json.dumps({**push, "data": [joined]}))
    [earlier] = adapter.receive(json.dumps({**push, "data": [{**common, "tradeId": "119", "sz": "1", "count": "1"}]}))
    assert isinstance(row, Trade)
    assert isinstance(earlier, Trade)
    rows = [{**common, "tradeId": str(number), "sz": size} for number, size in reversed(sizes.items())]
    reply = json.dumps({"code": "0", "msg": "", "data": rows}).encode()
    matches = adapter.page(Gap("BTC-USDT", Mark("119", NOW_MS)), "", reply).trades
    assert [int(match.trade_id) for match in matches] == list(sizes)
    for arrivals in ([earlier, row, *matches], [earlier, *matches, row]):
        admission = Admission(is_numbered=True)
        verdicts = [admission.judge(each, NOW_MS, wanted=each.historical) for each in arrivals]
        passed = [each for each, verdict in zip(arrivals, verdicts, strict=True) if verdict in PASSING]
        assert sum(each.volume for each in passed) == 1 + sum(map(Decimal, sizes.values()))
        assert max(span(each) for each in passed) == (124, 124)

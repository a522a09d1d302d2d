"""ChartsService: which candles, in which order, in which form, and the holes between them."""

from decimal import Decimal

import pytest

from priceverse.model.candle import Interval
from priceverse.rpc.envelope import Call
from priceverse.rpc.errors import CallError, Code
from priceverse.services.filling import without_holes
from tests.fakes.ports import NOW_MS, a_candle

CHARTS = "ChartsService@2.0.0"
HOUR_MS = 3_600_000


def hours_ago(*hours, **given):
    return [a_candle(NOW_MS - hour * HOUR_MS, close=f"{100 + hour}.00000000", **given) for hour in hours]


async def test_a_chart_is_columns_oldest_first(call, world):
    world.history.stored_candles = hours_ago(1, 3, 2)
    assert await call(CHARTS, "getChartData", pair="btc-usd") == {
        "dates": ["2025-12-31T21:00:00.000Z", "2025-12-31T22:00:00.000Z", "2025-12-31T23:00:00.000Z"],
        "series": [103, 102, 101],
        "ohlcv": {
            "open": [99, 99, 99],
            "high": [110, 110, 110],
            "low": [90, 90, 90],
            "close": [103, 102, 101],
            "volume": [2, 2, 2],
        },
    }
    assert world.replies.asked == [("chart", "btc-usd", "1hour", "7days", "null", "null")]


async def test_the_bucket_that_is_being_filled_is_in_the_chart(call, world):
    world.history.stored_candles = hours_ago(*range(24 * 8), interval=Interval.HOUR)
    chart = await call(CHARTS, "getChartData", pair="btc-usd", period="24hours")
    assert (len(chart["dates"]), chart["dates"][0]) == (24, "2025-12-31T00:00:00.000Z")
    since = {"from": "2025-12-31T21:30:00Z"}
    chart = await call(CHARTS, "getChartData", pair="btc-usd", **since)
    assert chart["dates"][0] == "2025-12-31T21:00:00.000Z"  # the bucket that the instant is in


async def test_a_page_of_candles_is_newest_first(call, world):
    world.history.stored_candles = hours_ago(*range(1, 11))
    page = await call(CHARTS, "getOHLCV", pair="btc-usd", interval="1hour", limit=2, offset=3)
    assert page["pagination"] == {"total": 10, "limit": 2, "offset": 3}
    assert [each["close"] for each in page["candles"]] == [104, 105]
    assert page["candles"][0] == {
        "timestamp": "2025-12-31T20:00:00.000Z",
        "open": 99,
        "high": 110,
        "low": 90,
        "close": 104,
        "volume": 2,
        "vwap": 100.5,
        "trades": 3,
    }


async def test_a_page_beyond_the_last_is_empty_and_says_how_many_there_are(call, world):
    world.history.stored_candles = hours_ago(1, 2)
    page = await call(CHARTS, "getOHLCV", pair="btc-usd", interval="1hour", offset=50)
    assert page == {"candles": [], "pagination": {"total": 2, "limit": 100, "offset": 50}}


async def test_a_range_of_candles(call, world):
    world.history.stored_candles = hours_ago(1, 2, 3, 4)
    given = {"from": "2025-12-31T21:00:00Z", "to": "2025-12-31T23:00:00Z"}
    page = await call(CHARTS, "getOHLCV", pair="btc-usd", interval="1hour", **given)
    assert [each["close"] for each in page["candles"]] == [102, 103]


async def test_what_an_exchange_told_is_marked(call, world):
    world.history.stored_candles = hours_ago(1, source="backfill")
    page = await call(CHARTS, "getOHLCV", pair="btc-usd", interval="1hour")
    assert page["candles"][0]["backfilled"] is True


async def test_holes_are_filled_only_on_request(call, world):
    world.history.stored_candles = hours_ago(1, 5)
    plain = await call(CHARTS, "getOHLCV", pair="btc-usd", interval="1hour")
    assert plain["pagination"]["total"] == 2
    filled = await call(CHARTS, "getOHLCV", pair="btc-usd", interval="1hour", fill="previous")
    assert filled["pagination"]["total"] == 5
    assert [(each["close"], each.get("filled", False)) for each in filled["candles"]] == [
        *((101, False), (105, True), (105, True), (105, True), (105, False)),
    ]
    flat = filled["candles"][1]
    assert (flat["open"], flat["high"], flat["low"], flat["volume"], flat["vwap"]) == (105, 105, 105, 0, None)


async def test_filled_pages_fit_together(call, world):
    world.history.stored_candles = hours_ago(2, 9, 6, 30)
    given = {"pair": "btc-usd", "interval": "1hour", "fill": "previous"}
    whole = await call(CHARTS, "getOHLCV", **given, limit=1000)
    parts = [await call(CHARTS, "getOHLCV", **given, limit=4, offset=offset) for offset in range(0, 40, 4)]
    assert [each for part in parts for each in part["candles"]] == whole["candles"]
    assert {part["pagination"]["total"] for part in parts} == {30}
    assert len(whole["candles"]) == 30


def test_nothing_is_invented_before_the_first_candle():
    grid = range(NOW_MS - 4 * HOUR_MS, NOW_MS + 1, HOUR_MS)
    found = without_holes(hours_ago(2), grid)
    assert [candle.start_ms for candle in found] == [NOW_MS - 2 * HOUR_MS, NOW_MS - HOUR_MS, NOW_MS]


@pytest.mark.parametrize("method", ["getChartData", "getOHLCV"])
@pytest.mark.parametrize("fill", ["none", "previous"])
async def test_no_candles_at_all(call, method, fill):
    given = {"fill": fill} if method == "getOHLCV" else {}
    error = await call(CHARTS, method, pair="btc-usd", interval="1day", **given)
    assert (error.code, error.details["pair"]) == ("CHART_2001", "btc-usd")


@pytest.mark.parametrize(
    ("given", "code", "path"),
    [
        ({"interval": "2hour"}, "CHART_2003", "$.input.interval"),
        ({"interval": None}, "CHART_2003", "$.input.interval"),
        ({"interval": "price_history; DROP TABLE x"}, "CHART_2003", "$.input.interval"),
        ({"limit": 0}, "VALIDATION_4004", "$.input.limit"),
        ({"limit": 1001}, "VALIDATION_4004", "$.input.limit"),
        ({"limit": 1.5}, "VALIDATION_4004", "$.input.limit"),
        ({"limit": "10"}, "VALIDATION_4004", "$.input.limit"),
        ({"offset": -1}, "VALIDATION_4004", "$.input.offset"),
        ({"offset": 10**30}, "VALIDATION_4004", "$.input.offset"),
        ({"fill": "zero"}, "VALIDATION_4004", "$.input.fill"),
        ({"from": "x"}, "VALIDATION_4003", "$.input.from"),
        ({"to": 1}, "VALIDATION_4003", "$.input.to"),
        ({"sort": "asc"}, "VALIDATION_4004", "$.input.sort"),
        ({"pair": ["btc-usd"]}, "VALIDATION_4001", "$.input.pair"),
    ],
)
async def test_each_wrong_parameter_has_its_code_and_path(call, given, code, path):
    error = await call(CHARTS, "getOHLCV", **{"pair": "btc-usd", "interval": "1hour"} | given)
    assert (error.code, error.details["path"]) == (code, path)


async def test_a_range_too_large_for_its_steps(call, world):
    given = {"pair": "btc-usd", "period": "custom", "from": "2025-10-01T00:00:00Z"}
    assert (await call(CHARTS, "getChartData", **given, interval="5min")).code == "CHART_2002"
    assert (await call(CHARTS, "getChartData", **given, interval="1day")).code == "CHART_2001"


async def test_an_absent_database_is_said(call, world):
    world.history.fault = CallError(Code.DATABASE, "away")
    assert (await call(CHARTS, "getOHLCV", pair="btc-usd", interval="1hour")).code == "SYSTEM_5001"


async def test_volumes_are_sent_in_the_places_of_the_schema(call, world):
    world.history.stored_candles = hours_ago(1, volume=Decimal("1.1234567891"), quote_volume=Decimal("112.34567891"))
    candle = (await call(CHARTS, "getOHLCV", pair="btc-usd", interval="1hour"))["candles"][0]
    assert (candle["volume"], candle["vwap"]) == (1.12345679, 100)


def test_the_hint_of_the_envelope_reaches_the_kept_replies():
    assert Call("s", "m", b"", max_age_s=1.5).max_age_s == 1.5

"""getPriceChange: between which prices, and when there is none to tell."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from priceverse.rpc.errors import CallError, Code
from priceverse.rpc.ports import Point
from priceverse.services.change import change_percent, tolerance_ms
from priceverse.services.spans import Span
from tests.fakes.ports import NOW_MS, a_price

PRICES = "PricesService@2.0.0"
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


def point(age_ms, price="100.00000000"):
    return Point(Decimal(price), NOW_MS - age_ms)


async def test_a_day_up_to_the_live_price(call, world):
    world.live.put(a_price(price="110.00000000", age_ms=500))
    world.history.points["btc-usd"] = [point(DAY_MS + 7_000), point(DAY_MS - 3_000, "101")]
    assert await call(PRICES, "getPriceChange", pair="btc-usd", period="24hours") == {
        "pair": "btc-usd",
        "startDate": NOW_MS - DAY_MS - 7_000,
        "endDate": NOW_MS - 500,
        "startPrice": 100,
        "endPrice": 110,
        "changePercent": 10,
    }
    assert world.replies.asked == [("change", "btc-usd", "24hours", "null", "null")]


async def test_a_span_of_the_past(call, world):
    world.history.points["btc-usd"] = [point(5 * HOUR_MS, "100"), point(2 * HOUR_MS, "98.5")]
    since, until = "2025-12-31T22:00:00+03:00", "2025-12-31T22:00:00Z"
    data = await call(PRICES, "getPriceChange", **{"pair": "btc-usd", "period": "custom", "from": since, "to": until})
    assert (data["startPrice"], data["endPrice"], data["changePercent"]) == (100, 98.5, -1.5)


async def test_without_a_live_price_history_has_the_last_word(call, world):
    world.history.points["btc-usd"] = [point(DAY_MS), point(60_000, "50")]
    data = await call(PRICES, "getPriceChange", pair="btc-usd", period="24hours")
    assert (data["endPrice"], data["endDate"], data["changePercent"]) == (50, NOW_MS - 60_000, -50)


@pytest.mark.parametrize(
    "points",
    [
        [],
        [point(60_000)],
        [point(DAY_MS)],
        [point(DAY_MS + 73 * 60_000), point(60_000)],
        [Point(Decimal(0), NOW_MS - DAY_MS), point(60_000)],
    ],
    ids=["nothing", "no beginning", "no end", "a beginning too old", "a beginning at zero"],
)
async def test_a_gap_is_no_change(call, world, points):
    world.history.points["btc-usd"] = points
    error = await call(PRICES, "getPriceChange", pair="btc-usd", period="24hours")
    assert error.code == "CHART_2001"


async def test_one_price_is_not_two(call, world):
    world.history.points["btc-usd"] = [point(10 * 60_000)]
    given = {"pair": "btc-usd", "period": "custom", "from": "2025-12-31T23:55:00Z", "to": "2025-12-31T23:58:00Z"}
    assert (await call(PRICES, "getPriceChange", **given)).code == "CHART_2001"


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"period": "1year"}, "VALIDATION_4002"),
        ({"period": None}, "VALIDATION_4002"),
        ({}, "VALIDATION_4002"),
        ({"period": "custom"}, "VALIDATION_4003"),
        ({"period": "custom", "from": "yesterday"}, "VALIDATION_4003"),
        ({"period": "custom", "from": "2025-12-31"}, "VALIDATION_4003"),
        ({"period": "custom", "from": "2025-12-31T00:00:00"}, "VALIDATION_4003"),
        ({"period": "custom", "from": 1767225600}, "VALIDATION_4003"),
        ({"period": "custom", "from": "2025-12-31T00:00:00Z", "to": "never"}, "VALIDATION_4003"),
        ({"period": "custom", "from": "2030-12-31T00:00:00Z"}, "CHART_2002"),
        ({"period": "custom", "from": "2001-12-31T00:00:00Z"}, "CHART_2002"),
        ({"period": "24hours", "pair": "doge-usd"}, "VALIDATION_4001"),
        ({"period": "24hours", "pair": 7}, "VALIDATION_4001"),
        ({"period": "24hours", "pair": "usdt-usd"}, "PRICE_1001"),
        ({"period": "24hours", "until": "now"}, "VALIDATION_4004"),
    ],
)
async def test_each_wrong_parameter_has_its_code(call, given, code):
    assert (await call(PRICES, "getPriceChange", **{"pair": "btc-usd"} | given)).code == code


async def test_an_absent_database_is_said(call, world):
    world.live.put(a_price())
    world.history.fault = CallError(Code.DATABASE, "away")
    assert (await call(PRICES, "getPriceChange", pair="btc-usd", period="7days")).code == "SYSTEM_5001"


@pytest.mark.parametrize(
    ("length_ms", "minutes"), [(60_000, 10), (DAY_MS, 72), (7 * DAY_MS, 504), (30 * DAY_MS, 1440), (900 * DAY_MS, 1440)]
)
def test_the_tolerance_grows_with_the_span(length_ms, minutes):
    assert tolerance_ms(Span(0, length_ms)) == minutes * 60_000


prices = st.decimals("0.00000001", "1000000000", places=8)


@given(prices, prices)
def test_the_percentage_is_exact_to_its_two_places(start, end):
    percent = change_percent(start, end)
    assert percent.as_tuple().exponent == -2
    assert abs(start * (1 + percent / 100) - end) <= start * Decimal("0.00005001")

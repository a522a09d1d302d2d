"""Charts and changes over HTTP, from the tables of a real PostgreSQL and through the cache of a real Redis."""

import json
from dataclasses import replace
from decimal import Decimal

import pytest
import trio

from priceverse.bus import keys
from priceverse.clock import iso_ms, now_ms
from priceverse.db import candles
from priceverse.db import prices as history
from priceverse.db.pool import Database
from priceverse.db.prices import HistoryRow
from priceverse.model.candle import Interval
from priceverse.model.price import Method
from tests.conftest import connect_redis
from tests.fakes.ports import a_candle
from tests.integration.api.conftest import WAIT_S

CHARTS = "ChartsService@2.0.0"
PRICES = "PricesService@2.0.0"
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
FIVE_MS = Interval.FIVE_MINUTES.ms


@pytest.fixture
async def stored(settings):
    """Three hours of whole candles up to the last whole hour, one day, and one price near each end of a day."""
    hour = now_ms() // HOUR_MS * HOUR_MS
    made = [
        a_candle(hour - n * FIVE_MS, f"{1000 + n}.00000000", Interval.FIVE_MINUTES, high=Decimal(2000))
        for n in range(1, 37)
    ]
    rows = [
        HistoryRow("btc-usd", Decimal(price), at_ms // 10_000 * 10_000, Method.VWAP, ("kraken",), Decimal(1))
        for price, at_ms in (("100", now_ms() - DAY_MS - 20_000), ("110", now_ms() - 15_000))
    ]
    async with Database(settings.database) as database:
        await candles.fill(database, Interval.FIVE_MINUTES, [replace(each, source="trades") for each in made])
        await history.insert(database, rows)
    return hour


@pytest.fixture
async def invoke(stored, handler):
    async with handler.client() as client:

        async def invoke(service, method, **given):
            asked = {"service": service, "method": method, "input": {"pair": "btc-usd"} | given}
            reply = await client.post("/netron/invoke", json=asked)
            return reply.status_code, json.loads(reply.text, parse_float=Decimal)

        yield invoke


async def test_five_minutes_as_they_are_stored(invoke, stored):
    status, said = await invoke(CHARTS, "getOHLCV", interval="5min", limit=2, offset=1)
    assert status == 200
    assert said["data"]["pagination"] == {"total": 36, "limit": 2, "offset": 1}
    assert [(each["timestamp"], each["close"]) for each in said["data"]["candles"]] == [
        (iso_ms(stored - 2 * FIVE_MS), 1002),
        (iso_ms(stored - 3 * FIVE_MS), 1003),
    ]
    assert said["hints"]["cache"] == {"maxAge": 60_000}


async def test_hours_are_rolled_up_from_them(invoke, stored):
    _, said = await invoke(CHARTS, "getOHLCV", interval="1hour")
    newest = said["data"]["candles"][0]
    assert (said["data"]["pagination"]["total"], newest["timestamp"]) == (3, iso_ms(stored - HOUR_MS))
    assert (newest["close"], newest["high"], newest["volume"], newest["trades"]) == (1001, 2000, 24, 36)


async def test_a_chart_of_a_day(invoke, stored):
    _, said = await invoke(CHARTS, "getChartData", period="24hours", interval="1hour")
    assert said["data"]["dates"] == [iso_ms(stored - n * HOUR_MS) for n in (3, 2, 1)]
    assert said["data"]["series"] == [1025, 1013, 1001]


async def test_a_chart_is_kept_for_everybody(invoke, redis_settings, settings):
    _, first = await invoke(CHARTS, "getOHLCV", interval="5min")
    key = keys.chart("btc-usd", "5min", "page", "100", "0", "null", "null", "none")
    with connect_redis(redis_settings) as redis, trio.fail_after(WAIT_S):
        while redis.get(key) is None:  # noqa: ASYNC110 - another program
            await trio.sleep(0.01)
        assert 3500 < redis.ttl(key) <= 3600
    async with Database(settings.database) as database:
        await database.run(lambda connection: connection.execute("DELETE FROM price_history_5min"))
    _, second = await invoke(CHARTS, "getOHLCV", interval="5min")
    assert second["data"] == first["data"]
    status, said = await invoke(CHARTS, "getOHLCV", interval="5min", limit=99)
    assert (status, said["error"]["code"]) == (404, "CHART_2001")


async def test_a_change_over_a_day_ends_at_the_live_price(invoke):
    _, said = await invoke(PRICES, "getPriceChange", period="24hours")
    data = said["data"]
    assert (data["startPrice"], data["endPrice"]) == (100, Decimal("64000.12345678"))
    assert data["changePercent"] == Decimal("63900.12")


async def test_a_change_between_two_instants(invoke, stored):
    since, until = iso_ms(stored - 2 * HOUR_MS), iso_ms(stored - HOUR_MS)
    status, said = await invoke(PRICES, "getPriceChange", **{"period": "custom", "from": since, "to": until})
    assert status == 200
    assert (said["data"]["startPrice"], said["data"]["endPrice"]) == (1025, 1013)


async def test_a_row_of_the_past_is_explained(invoke):
    status, said = await invoke(PRICES, "explainPrice", at=iso_ms(now_ms() - DAY_MS))
    assert status == 200
    assert (said["data"]["priceExact"], said["data"]["live"]) == ("100.00000000", False)


async def test_the_database_away_is_said(start, settings, unused_port):
    away = settings.database.model_copy(update={"host": "127.0.0.1", "port": unused_port})
    handler = await start(settings.model_copy(update={"database": away}))
    asked = {"service": CHARTS, "method": "getOHLCV", "input": {"pair": "btc-usd", "interval": "1hour"}}
    async with handler.client() as client:
        replies = [await client.post("/netron/invoke", json=asked) for _ in range(7)]
    assert {(reply.status_code, reply.json()["error"]["code"]) for reply in replies} == {(503, "SYSTEM_5001")}
    assert int(replies[-1].headers["retry-after"]) <= 30  # the breaker's

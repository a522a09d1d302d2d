"""TradingView's feed, as its library asks."""

import json

import pytest

from priceverse.rpc.limits import Quota
from tests.fakes.ports import NOW_MS, a_candle

NOW_S = NOW_MS // 1000
HOUR_S = 3600


async def ask(client, path):
    reply = await client.get(path)
    assert reply.status_code == 200
    return json.loads(await reply.get_data())


@pytest.fixture
def hours(world):
    """A candle for each of the last 1,500 hours but the first one hundred; its close is its age."""
    world.history.stored_candles = [a_candle(NOW_MS - h * HOUR_S * 1000, f"{h}.5") for h in range(100, 1501)]


async def test_the_library_learns_what_there_is(client):
    config = await ask(client, "/udf/config")
    assert config["supported_resolutions"] == ["5", "60", "1D"]
    assert (config["supports_search"], config["supports_group_request"]) == (True, False)
    reply = await client.get("/udf/time")
    assert (await reply.get_data(), reply.mimetype) == (str(NOW_S).encode(), "text/plain")


@pytest.mark.parametrize("symbol", ["btc-usd", "BTC-USD", "Priceverse:BTC-USD"])
async def test_a_symbol_is_known_by_each_of_its_names(client, symbol):
    found = await ask(client, f"/udf/symbols?symbol={symbol}")
    assert (found["ticker"], found["name"], found["session"], found["timezone"]) == (
        *("btc-usd", "BTC-USD", "24x7"),
        "Etc/UTC",
    )
    assert found["pricescale"] == 10**8


@pytest.mark.parametrize("path", ["symbols?symbol=no-such", "symbols", "history?symbol=no-such&resolution=60"])
async def test_an_unknown_symbol_is_told_in_the_body(client, path):
    assert await ask(client, f"/udf/{path}") == {"s": "error", "errmsg": "unknown_symbol"}


async def test_search_finds_by_part_of_the_name(client):
    assert [each["ticker"] for each in await ask(client, "/udf/search?query=RUB&limit=2")] == ["btc-rub", "eth-rub"]
    assert len(await ask(client, "/udf/search?query=")) == 6


async def test_bars_are_columns_oldest_first_in_seconds(client, hours):
    start, end = NOW_S - 102 * HOUR_S, NOW_S - 99 * HOUR_S
    assert await ask(client, f"/udf/history?symbol=BTC-USD&resolution=60&from={start}&to={end}") == {
        "s": "ok",
        "t": [start, start + HOUR_S, start + 2 * HOUR_S],
        "o": [99, 99, 99],
        "h": [110, 110, 110],
        "l": [90, 90, 90],
        "c": [102.5, 101.5, 100.5],
        "v": [2, 2, 2],
    }


async def test_more_than_a_page_of_bars_comes_whole(client, hours):
    bars = await ask(client, "/udf/history?symbol=btc-usd&resolution=60&from=-5&to=99999999999")
    assert (len(bars["t"]), bars["c"][0], bars["c"][-1]) == (1401, 1500.5, 100.5)


async def test_countback_wins_over_from(client, hours):
    path = f"/udf/history?symbol=btc-usd&resolution=60&from={NOW_S - HOUR_S}&to={NOW_S}&countback=3"
    assert (await ask(client, path))["c"] == [102.5, 101.5, 100.5]


async def test_a_hole_says_when_the_last_bar_before_it_was(client, hours):
    path = f"/udf/history?symbol=btc-usd&resolution=60&from={NOW_S - 50 * HOUR_S}&to={NOW_S}"
    assert await ask(client, path) == {"s": "no_data", "nextTime": NOW_S - 100 * HOUR_S}


async def test_before_everything_there_is_nothing(client):
    assert await ask(client, "/udf/history?symbol=btc-usd&resolution=60&from=0&to=1000") == {"s": "no_data"}


@pytest.mark.parametrize(
    ("query", "errmsg"),
    [
        ("resolution=7&from=0&to=1000", "resolution is one of 5, 60, 1D"),
        ("from=0&to=1000", "resolution is one of 5, 60, 1D"),
        ("resolution=60&from=x&to=1000", "from, to and countback are whole numbers"),
        ("resolution=60&from=0&to=1e3", "from, to and countback are whole numbers"),
        ("resolution=60&from=0&to=1000&countback=many", "from, to and countback are whole numbers"),
        ("resolution=60&from=1000&to=1000", "from is not before to, or in the future"),
    ],
)
async def test_a_wrong_question_is_told_in_the_body(client, query, errmsg):
    assert await ask(client, f"/udf/history?symbol=btc-usd&{query}") == {"s": "error", "errmsg": errmsg}


class Ration:
    """A limiter that lets a client make so many calls."""

    def __init__(self, calls):
        self.left = calls

    def take(self, client, method, limit):
        self.left -= 1
        return Quota(method, limit, max(self.left, 0), 3.2, 0.0 if self.left >= 0 else 2.5)


async def test_bars_tell_what_the_client_has_left(application, hours):
    client = application(limiter=Ration(1), client="1.2.3.4").test_client()
    bars = "/udf/history?symbol=btc-usd&resolution=60&from=-5&to=99999999999"
    reply = await client.get(bars)
    assert len(json.loads(await reply.get_data())["t"]) == 1401  # two pages for the price of one
    assert reply.headers["RateLimit-Policy"] == '"getOHLCV";q=20;w=60'
    assert (reply.headers["RateLimit"], "Retry-After" in reply.headers) == ('"getOHLCV";r=0;t=4', False)
    refused = await client.get(bars)
    assert json.loads(await refused.get_data())["s"] == "error"
    assert (refused.headers["RateLimit"], refused.headers["Retry-After"]) == ('"getOHLCV";r=0;t=4', "3")


@pytest.mark.parametrize(
    ("chosen", "found"), [("exchange=Priceverse&type=crypto", 6), ("exchange=Binance", 0), ("type=stock", 0)]
)
async def test_search_keeps_to_the_exchange_and_the_type_chosen(client, chosen, found):
    assert len(await ask(client, f"/udf/search?query=&{chosen}")) == found

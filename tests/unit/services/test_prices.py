"""PricesService: where a price comes from, when it is refused and what is said then."""

from datetime import date
from decimal import Decimal

import pytest

from priceverse.rpc.envelope import encode
from priceverse.rpc.errors import CallError, Code
from priceverse.services.prices import reply_of
from priceverse.services.quotes import quote_of
from tests.fakes.ports import LISTED, NOW_MS, a_price, a_quote, a_rate

PRICES = "PricesService@2.0.0"
AWAY = CallError(Code.REDIS, "Redis is not available")
DATABASE_AWAY = CallError(Code.DATABASE, "The database is not available")


async def test_a_live_price_needs_no_neighbour(call, world):
    world.live.put(a_price(age_ms=1_500))
    assert await call(PRICES, "getPrice", pair="btc-usd") == {
        "pair": "btc-usd",
        "price": 64000.12345678,
        "timestamp": NOW_MS - 1_500,
        "priceExact": "64000.12345678",
        "asOf": "2025-12-31T23:59:58.500Z",
        "sources": ["binance", "kraken"],
        "confidence": 1.23,
    }
    assert world.shared.asked == world.history.asked == []


async def test_degraded_is_said_only_when_true(call, world):
    world.live.put(a_price(degraded=True))
    assert (await call(PRICES, "getPrice", pair="btc-usd"))["degraded"] is True


@pytest.mark.parametrize("exact", ["64000.12000000", "0.00000001", "123456789012.12345678"])
def test_every_stored_digit_is_served(exact):
    sent = encode(reply_of(quote_of(a_price(price=exact))))
    price = sent.partition(b'"price":')[2].partition(b",")[0]
    assert Decimal(price.decode()) == Decimal(exact)
    assert f'"priceExact":"{exact}"'.encode() in sent


async def test_a_price_not_heard_yet_is_read_from_redis(call, world):
    world.shared.prices["btc-usd"] = a_price(price="2.00000000")
    assert (await call(PRICES, "getPrice", pair="btc-usd"))["priceExact"] == "2.00000000"
    assert world.history.asked == []


async def test_then_from_history_without_a_confidence(call, world):
    world.history.quotes["btc-usd"] = a_quote(price="3.00000000")
    data = await call(PRICES, "getPrice", pair="btc-usd")
    assert data["priceExact"] == "3.00000000"
    assert "confidence" not in data


async def test_history_serves_while_redis_is_away(call, world):
    world.shared.fault = AWAY
    world.history.quotes["btc-usd"] = a_quote()
    assert (await call(PRICES, "getPrice", pair="btc-usd"))["pair"] == "btc-usd"


async def test_a_stale_live_price_gives_way_to_a_fresh_one_elsewhere(call, world):
    world.live.put(a_price(age_ms=130_000))
    world.shared.prices["btc-usd"] = a_price(price="5.00000000")
    assert (await call(PRICES, "getPrice", pair="btc-usd"))["priceExact"] == "5.00000000"


@pytest.mark.parametrize(("age", "served"), [(120_000, True), (120_001, False), (-5_000, True)])
async def test_two_minutes_are_the_last_moment(call, world, age, served):
    world.live.put(a_price(age_ms=age))
    answer = await call(PRICES, "getPrice", pair="btc-usd")
    assert isinstance(answer, dict) is served


@pytest.mark.parametrize("where", ["live", "shared", "history"])
async def test_a_stale_price_is_an_error_that_shows_it(call, world, where):
    match where:
        case "live":
            world.live.put(a_price(price="7.00000000", age_ms=300_000))
        case "shared":
            world.shared.prices["btc-usd"] = a_price(price="7.00000000", age_ms=300_000)
        case "history":
            world.history.quotes["btc-usd"] = a_quote(price="7.00000000", age_ms=300_000)
    error = await call(PRICES, "getPrice", pair="btc-usd")
    assert error.code == "PRICE_1003"
    assert error.details == {
        "pair": "btc-usd",
        "lastPrice": Decimal("7.00000000"),
        "asOf": "2025-12-31T23:55:00.000Z",
        "ageMs": 300_000,
        "maxAgeMs": 120_000,
        "exchanges": {"binance": "EXCHANGE_3001", "kraken": "EXCHANGE_3001"},
    }


@pytest.mark.parametrize(
    ("reports", "named"),
    [
        ({"binance": {"connected": True}, "kraken": {"connected": True}}, None),
        ({"binance": {"connected": True}}, {"kraken": "EXCHANGE_3001"}),
        (
            {"binance": {"connected": False, "error_code": "EXCHANGE_3002"}, "kraken": {"connected": True}},
            {"binance": "EXCHANGE_3002"},
        ),
    ],
    ids=["none", "silent", "rate limited"],
)
async def test_a_price_that_cannot_be_served_names_the_exchanges_that_are_not_heard(call, world, reports, named):
    world.shared.reports = reports
    error = await call(PRICES, "getPrice", pair="btc-usd")
    assert (error.code, error.details.get("exchanges")) == ("PRICE_1002", named)


async def test_the_newest_of_several_stale_prices_is_shown(call, world):
    world.live.put(a_price(age_ms=400_000))
    world.history.quotes["btc-usd"] = a_quote(age_ms=200_000)
    error = await call(PRICES, "getPrice", pair="btc-usd")
    assert error.details["ageMs"] == 200_000


async def test_no_price_anywhere(call):
    error = await call(PRICES, "getPrice", pair="btc-usd")
    assert (error.code, error.details["pair"]) == ("PRICE_1002", "btc-usd")


@pytest.mark.parametrize(
    ("redis", "database", "code"),
    [(AWAY, None, "SYSTEM_5002"), (None, DATABASE_AWAY, "SYSTEM_5001"), (AWAY, DATABASE_AWAY, "SYSTEM_5002")],
)
async def test_a_price_that_could_not_be_looked_for_is_no_missing_price(call, world, redis, database, code):
    world.shared.fault, world.history.fault = redis, database
    error = await call(PRICES, "getPrice", pair="btc-usd")
    assert error.code == code


@pytest.mark.parametrize("pair", ["usdt-usd", "ltc-usd"])
async def test_a_known_pair_that_is_not_offered(call, world, pair):
    world.live.put(a_price(pair))
    error = await call(PRICES, "getPrice", pair=pair)
    assert (error.code, error.code.status) == ("PRICE_1001", 404)


@pytest.mark.parametrize("pair", ["doge-usd", "BTC-USD", "", "btc-usd ", "x" * 5000])
async def test_an_unknown_pair_names_the_available_ones(call, pair):
    error = await call(PRICES, "getPrice", pair=pair)
    assert (error.code, error.code.status) == ("VALIDATION_4001", 400)
    assert error.details == {"pair": pair, "availablePairs": list(LISTED)}
    assert len(error.message) < 200


async def test_roubles_without_a_rate_say_so(call, world):
    world.shared.known_rates = ()
    error = await call(PRICES, "getPrice", pair="btc-rub")
    assert (error.code, error.details["reason"]) == ("PRICE_1003", "rate_missing")


async def test_roubles_with_a_stale_rate_say_so_beside_the_last_price(call, world):
    world.shared.known_rates = (a_rate(date(2025, 12, 27)),)
    world.live.put(a_price("btc-rub", age_ms=130_000))
    error = await call(PRICES, "getPrice", pair="btc-rub")
    assert (error.code, error.details["ageMs"]) == ("PRICE_1003", 130_000)
    assert error.details["reason"] == "rate_stale"


async def test_a_good_rate_is_no_reason(call, world):
    world.shared.known_rates = (a_rate(date(2025, 12, 28)),)
    error = await call(PRICES, "getPrice", pair="btc-rub")
    assert (error.code, "reason" in error.details) == ("PRICE_1002", False)


async def test_a_rate_that_cannot_be_read_is_no_reason(call, world):
    world.shared.fault = AWAY
    world.live.put(a_price("btc-rub", age_ms=130_000))
    error = await call(PRICES, "getPrice", pair="btc-rub")
    assert (error.code, error.details["ageMs"], "reason" in error.details) == ("PRICE_1003", 130_000, False)


async def test_dollars_do_not_ask_for_the_rate(call, world):
    world.shared.known_rates = ()
    error = await call(PRICES, "getPrice", pair="btc-usd")
    assert error.code == "PRICE_1002"


async def test_several_prices_keep_the_order_asked_for(call, world):
    world.live.put(*(a_price(pair) for pair in LISTED))
    asked = ["xmr-rub", "btc-usd", "eth-usd"]
    assert [each["pair"] for each in await call(PRICES, "getMultiplePrices", pairs=asked)] == asked


async def test_one_unavailable_fails_the_call_by_name(call, world):
    world.live.put(a_price("btc-usd"))
    error = await call(PRICES, "getMultiplePrices", pairs=["btc-usd", "eth-usd"])
    assert (error.code, error.details["pair"]) == ("PRICE_1002", "eth-usd")


async def test_one_unknown_fails_the_call_before_any_is_looked_for(call, world):
    error = await call(PRICES, "getMultiplePrices", pairs=["btc-usd", "doge-usd"])
    assert (error.code, error.details["pair"]) == ("VALIDATION_4001", "doge-usd")
    assert world.shared.asked == []


@pytest.mark.parametrize(
    ("pairs", "path"),
    [
        ([], "$.input.pairs"),
        ([f"p{i}-usd" for i in range(11)], "$.input.pairs"),
        (["btc-usd", "eth-usd", "btc-usd"], "$.input.pairs[2]"),
        (["btc-usd", 5], "$.input.pairs[1]"),
        ("btc-usd", "$.input.pairs"),
    ],
)
async def test_pairs_are_one_to_ten_and_each_once(call, pairs, path):
    error = await call(PRICES, "getMultiplePrices", pairs=pairs)
    assert (error.code, error.details["path"]) == ("VALIDATION_4004", path)


async def test_properties_are_read_as_methods(call):
    assert await call(PRICES, "version") == "2.0.0"
    assert await call("PricesService", "supportedPairs") == list(LISTED)

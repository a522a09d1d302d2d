"""explainPrice: every source's part, why one does not count, and the rate used."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

from priceverse.model.explanation import Explanation, Reasons
from priceverse.model.price import Excluded, Method, Source
from priceverse.rpc.errors import CallError, Code
from tests.fakes.ports import NOW_MS, a_price, a_rate

PRICES = "PricesService@2.0.0"
KRAKEN = Source(
    exchange="kraken",
    vwap=Decimal("64000.5"),
    volume=Decimal("1.25"),
    trades=7,
    last_ms=NOW_MS - 1_100,
    conversion=Decimal(1),
    price=Decimal("64000.5"),
    weight=Decimal(1),
    excluded=None,
)
OKX = replace(KRAKEN, exchange="okx", weight=Decimal(0), excluded=Excluded.OUTLIER)


async def test_now(call, world):
    world.live.put(a_price(age_ms=100, details=(KRAKEN, OKX)))
    said = await call(PRICES, "explainPrice", pair="btc-usd")
    assert said["live"] is True
    assert (said["priceExact"], said["timestamp"], said["method"]) == ("64000.12345678", NOW_MS - 100, "vwap")
    assert said["windowStart"] < said["windowEnd"]
    assert said["sources"][0] == {
        "exchange": "kraken",
        "vwap": 64000.5,
        "volume": 1.25,
        "trades": 7,
        "lastTrade": "2025-12-31T23:59:58.900Z",
        "ageMs": 1_000,
        "conversion": 1,
        "price": 64000.5,
        "weight": 1,
    }
    assert (said["sources"][1]["excluded"], said["sources"][1]["weight"]) == ("outlier", 0)
    assert "rate" not in said


async def test_the_rate_of_a_rouble_price_is_shown_with_its_day(call, world):
    world.live.put(a_price("btc-rub", rate=a_rate().usd_rub, details=(KRAKEN,)))
    said = await call(PRICES, "explainPrice", pair="btc-rub")
    assert said["rate"] == {"value": 78.2267, "date": "2026-01-01"}


async def test_a_rate_that_is_not_known_any_more_has_no_day(call, world):
    world.live.put(a_price("btc-rub", rate=Decimal("77.5")))
    assert (await call(PRICES, "explainPrice", pair="btc-rub"))["rate"] == {"value": 77.5}


def a_row(age_ms, reasons=None):
    return Explanation("btc-usd", NOW_MS - age_ms, Decimal("63999.5"), Decimal(3), Method.VWAP, ("kraken",), reasons)


WHY = Reasons(
    source_pair="btc-usd",
    window_start_ms=NOW_MS - 3_630_000,
    window_end_ms=NOW_MS - 3_600_000,
    as_of_ms=NOW_MS - 3_600_500,
    confidence_bps=Decimal("2.345"),
    degraded=True,
    details=(KRAKEN,),
    rate=Decimal(78),
    rate_date=date(2025, 12, 31),
)


async def test_an_instant_of_the_past_is_the_row_before_it(call, world):
    world.history.explanations = [a_row(3_600_000, WHY), a_row(3_000_000, WHY)]
    said = await call(PRICES, "explainPrice", pair="btc-usd", at="2025-12-31T23:00:09+00:00")
    assert (said["live"], said["timestamp"], said["asOf"]) == (False, NOW_MS - 3_600_000, "2025-12-31T22:59:59.500Z")
    assert (said["confidence"], said["degraded"]) == (2.34, True)
    assert said["rate"] == {"value": 78, "date": "2025-12-31"}
    assert said["sources"][0]["exchange"] == "kraken"


async def test_a_row_without_reasons_is_shown_without(call, world):
    world.history.explanations = [a_row(3_600_000)]
    said = await call(PRICES, "explainPrice", pair="btc-usd", at="2025-12-31T23:00:00Z")
    assert (said["price"], said["sources"]) == (63999.5, [])
    assert "windowStart" not in said


async def test_no_row_near_the_instant(call, world):
    world.history.explanations = [a_row(3_600_000, WHY)]
    for at in ("2025-12-31T22:59:00Z", "2025-12-31T23:11:00Z"):
        assert (await call(PRICES, "explainPrice", pair="btc-usd", at=at)).code == "CHART_2001"


async def test_wrong_questions(call):
    assert (await call(PRICES, "explainPrice", pair="btc-usd", at="2031-01-01T00:00:00Z")).code == "CHART_2002"
    assert (await call(PRICES, "explainPrice", pair="btc-usd", at="soon")).code == "VALIDATION_4003"
    assert (await call(PRICES, "explainPrice", pair="x")).code == "VALIDATION_4001"


async def test_without_a_price_it_says_why_like_get_price(call, world):
    world.live.put(a_price(age_ms=300_000))
    assert (await call(PRICES, "explainPrice", pair="btc-usd")).code == "PRICE_1003"


async def test_a_price_of_which_only_history_knows_is_explained_from_there(call, world):
    """This process has not heard it: the row that getPrice would serve is the one that is explained."""
    world.shared.prices["btc-usd"] = a_price(age_ms=1_000)
    assert (await call(PRICES, "explainPrice", pair="btc-usd")).code == "PRICE_1002"
    world.history.explanations = [a_row(2_000, WHY)]
    said = await call(PRICES, "explainPrice", pair="btc-usd")
    assert (said["live"], said["timestamp"], said["price"]) == (False, NOW_MS - 2_000, 63999.5)


async def test_a_rate_that_cannot_be_read_has_no_day(call, world):
    world.live.put(a_price("btc-rub", rate=a_rate().usd_rub))
    world.shared.fault = CallError(Code.REDIS, "Redis is not available")
    assert (await call(PRICES, "explainPrice", pair="btc-rub"))["rate"] == {"value": 78.2267}

"""HealthService: what each part looks like, and what it all comes to."""

from datetime import date

import pytest

from priceverse.rpc.errors import CallError, Code
from tests.fakes.ports import LISTED, NOW_MS, a_price, a_rate

HEALTH = "HealthService@1.0.0"
REPORT = {"connected": True, "last_trade_ms": NOW_MS - 400, "error": ""}


@pytest.fixture
def healthy(world):
    world.live.put(*(a_price(pair) for pair in LISTED))
    world.shared.reports = {"binance": REPORT, "kraken": REPORT}
    return world


async def test_all_well(call, healthy):
    report = await call(HEALTH, "check")
    assert list(report) == ["status", "timestamp", "uptime", "version", "checks"]
    assert (report["status"], report["timestamp"], report["uptime"]) == ("healthy", "2026-01-01T00:00:00.000Z", 12.5)
    assert list(report["checks"]) == [
        "database",
        "redis",
        "history",
        "exchange.binance",
        "exchange.kraken",
        *(f"price.{pair}" for pair in LISTED),
        "rate",
        "supervisor",
    ]
    assert all(each["status"] == "up" for each in report["checks"].values())
    assert report["checks"]["database"] == {"status": "up", "latency": 2.0}


async def test_without_postgresql_it_is_degraded_and_still_ready(call, healthy):
    healthy.history.fault = CallError(Code.DATABASE, "connection refused")
    report = await call(HEALTH, "check")
    assert report["status"] == "degraded"
    assert report["checks"]["database"] == {"status": "down", "message": "connection refused"}
    assert await call(HEALTH, "ready") == {"status": "ok"}


async def test_without_redis_fresh_live_prices_keep_it_ready(call, healthy):
    healthy.shared.fault = CallError(Code.REDIS, "connection refused")
    report = await call(HEALTH, "check")
    assert report["status"] == "degraded"
    down = {name for name, each in report["checks"].items() if each["status"] == "down"}
    assert down == {"redis", "history", "exchange.binance", "exchange.kraken", "rate"}
    assert await call(HEALTH, "ready") == {"status": "ok"}


@pytest.mark.parametrize(
    ("reports", "message"),
    [
        ({}, "no aggregator reports"),
        ({"aggregator.1": {"history_fault": "No space left"}, "aggregator.0": {}}, "aggregator.1: No space left"),
    ],
)
async def test_history_that_is_not_written_is_named(call, healthy, reports, message):
    healthy.shared.storing = reports
    report = await call(HEALTH, "check")
    assert (report["status"], report["checks"]["history"]) == ("degraded", {"status": "down", "message": message})


async def test_redis_alone_can_make_it_ready(call, world):
    world.shared.prices["xmr-rub"] = a_price("xmr-rub")
    assert await call(HEALTH, "ready") == {"status": "ok"}


@pytest.mark.parametrize("age", [None, 120_001])
async def test_without_any_fresh_price_it_is_unhealthy(call, healthy, age):
    healthy.live.prices.clear()
    if age:
        healthy.live.put(*(a_price(pair, age_ms=age) for pair in LISTED))
    report = await call(HEALTH, "check")
    assert report["status"] == "unhealthy"
    assert {report["checks"][f"price.{pair}"]["status"] for pair in LISTED} == {"down"}
    assert await call(HEALTH, "ready") == {"status": "not_ready"}


async def test_one_stale_pair_degrades(call, healthy):
    healthy.live.put(a_price("xmr-usd", age_ms=500_000))
    report = await call(HEALTH, "check")
    assert report["status"] == "degraded"
    assert report["checks"]["price.xmr-usd"] == {"status": "down", "message": "stale: newest trade 500.0 s ago"}


@pytest.mark.parametrize(
    ("report", "message"),
    [
        (None, "its collector does not report"),
        ({"connected": False, "last_trade_ms": None, "error": "refused"}, "refused; no trade yet"),
        ({"connected": False}, "not connected; no trade yet"),
        (
            {"connected": False, "error": "refused: HTTP 429", "error_code": "EXCHANGE_3002"},
            "EXCHANGE_3002 refused: HTTP 429; no trade yet",
        ),
        ({}, "not connected; no trade yet"),
    ],
)
async def test_an_exchange_that_is_not_connected_is_named(call, healthy, report, message):
    healthy.shared.reports = {"binance": REPORT} | ({"kraken": report} if report is not None else {})
    found = await call(HEALTH, "check")
    assert found["status"] == "degraded"
    assert found["checks"]["exchange.kraken"] == {"status": "down", "message": message}
    assert found["checks"]["exchange.binance"] == {"status": "up", "message": "last trade 0.4 s ago"}


async def test_what_a_venues_stream_lacks_is_told_though_it_is_up(call, healthy):
    lost = {"pair": "btc-usd", "from_ms": NOW_MS - 2000, "to_ms": NOW_MS - 1000, "reason": "forgotten"}
    unserved = {"refused": {"ABC/USD": "delisted"}, "unanswered": ["XMRUSDT"]}
    report = REPORT | unserved | {"gaps_open": 2, "lost_total": 3, "lost": [lost]}
    healthy.shared.reports = {"binance": REPORT, "kraken": report}
    found = await call(HEALTH, "check")
    told = "losses: 3, the last of btc-usd from 2025-12-31T23:59:58.000Z to 2025-12-31T23:59:59.000Z (forgotten)"
    message = f"last trade 0.4 s ago; refused: ABC/USD; no answer for: XMRUSDT; holes being filled: 2; {told}"
    assert found["checks"]["exchange.kraken"] == {"status": "up", "message": message}


@pytest.mark.parametrize(
    ("rates", "message"), [((), "missing"), ((a_rate(date(2025, 12, 1)),), "stale: the newest is of 2025-12-01")]
)
async def test_a_missing_or_old_rate_degrades(call, healthy, rates, message):
    healthy.shared.known_rates = rates
    found = await call(HEALTH, "check")
    assert (found["status"], found["checks"]["rate"]) == ("degraded", {"status": "down", "message": message})


async def test_a_store_that_never_answers_is_down_in_time(call, healthy, autojump_clock):
    healthy.history.hangs = True
    found = await call(HEALTH, "check")
    assert found["status"] == "degraded"
    assert found["checks"]["database"]["message"] == "no answer within 5 s"
    assert autojump_clock.current_time() == pytest.approx(5.0, abs=0.01)


async def test_readiness_does_not_hang_with_redis(call, world, autojump_clock):
    world.shared.hangs = True
    assert await call(HEALTH, "ready") == {"status": "not_ready"}
    assert autojump_clock.current_time() == pytest.approx(5.0, abs=0.01)


async def test_a_leaving_handler_is_not_ready_and_lives(call, healthy):
    healthy.stopping = True
    assert await call(HEALTH, "ready") == {"status": "not_ready"}
    assert await call(HEALTH, "live") == {"status": "ok"}
    report = await call(HEALTH, "check")
    assert (report["status"], report["checks"]["supervisor"]["status"]) == ("unhealthy", "down")


async def test_live_asks_nobody(call, world):
    world.shared.hangs = world.history.hangs = True
    assert await call(HEALTH, "live") == {"status": "ok"}

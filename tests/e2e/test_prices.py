"""The main job, end to end: six exchanges' frames in, six live prices and exact history out."""

import time
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from tests.e2e.instance import PAIRS, Instance, eventually, running
from tests.e2e.recompute import Truth

VENUES = {
    "btc": ["binance", "bybit", "coinbase", "kraken", "kucoin", "okx"],
    "eth": ["binance", "bybit", "coinbase", "kraken", "kucoin", "okx"],
    "xmr": ["kraken", "kucoin"],
}


@pytest.fixture(scope="module")
def instance(tmp_path_factory):
    state = tmp_path_factory.mktemp("prices")
    with running(state, "--seed", "7", "--truth", str(state / "truth.jsonl")) as it:
        yield it


@pytest.mark.parametrize("pair", PAIRS)
def test_every_pair_is_served_from_its_venues_and_advances(instance: Instance, pair):
    venues = VENUES[pair.split("-")[0]] + (["cbr"] if pair.endswith("rub") else [])
    first = eventually(lambda: instance.price(pair), lambda p: p and p["sources"] == sorted(venues), 60)
    assert abs(first["timestamp"] - time.time() * 1000) < 30_000
    later = eventually(lambda: instance.price(pair), lambda p: p and p["timestamp"] > first["timestamp"], 30)
    assert Decimal(later["priceExact"]) > 0


def test_the_rouble_price_is_the_dollar_price_times_the_rate(instance: Instance):
    rows = eventually(
        lambda: instance.rows(
            "select u.price, r.price, u.sources, r.sources from price_history u join price_history r"
            " on r.timestamp = u.timestamp and r.pair = 'btc-rub' where u.pair = 'btc-usd'"
        ),
        lambda found: len(found) >= 2,
        60,
    )
    rates = {(rub / usd).quantize(Decimal("0.0001")) for usd, rub, *_ in rows}
    assert len(rates) == 1
    assert all(sorted([*dollars, "cbr"]) == roubles for *_, dollars, roubles in rows)


def test_history_equals_an_independent_recomputation_to_eight_decimals(instance: Instance):
    """Each row is the index over exactly its 30 s of what the simulator sent."""
    begun = datetime.now(UTC)
    rows = eventually(
        lambda: instance.rows(
            "select pair::text, extract(epoch from timestamp)::bigint, price, volume, sources from price_history"
            " where pair::text like '%%-usd' and timestamp > %s + interval '31 seconds' order by timestamp",
            begun,
        ),
        lambda found: len({row[1] for row in found}) >= 3,
        90,
    )
    truth = Truth(instance.state / "truth.jsonl")
    for pair, at_s, price, volume, sources in rows:
        expected = truth.index(pair, (at_s - 30) * 1000, at_s * 1000)
        assert (price, volume, set(sources)) == expected, (pair, at_s)
    assert {row[0] for row in rows} == {"btc-usd", "eth-usd", "xmr-usd", "usdt-usd"}


def test_history_is_on_the_grid_once_per_pair(instance: Instance):
    rows = instance.rows(
        "select extract(epoch from timestamp)::bigint %% 10, count(*), count(distinct (pair, timestamp))"
        " from price_history group by 1"
    )
    assert [(grid, count - distinct) for grid, count, distinct in rows] == [(0, 0)]


def test_health_tells_of_every_part(instance: Instance):
    status, health = eventually(lambda: instance.get("/health"), lambda r: r[1]["status"] == "healthy", 30)
    assert status == 200
    assert {"database", "redis", "binance", "kraken", "coinbase", "okx", "bybit", "kucoin"} <= {
        name.rpartition(".")[2] for name in health["checks"]
    }
    assert instance.get("/health/live")[0] == instance.get("/health/ready")[0] == 200


def test_a_pair_nobody_knows_is_refused_with_what_there_is(instance: Instance):
    status, reply = instance.invoke("PricesService@2.0.0", "getPrice", pair="doge-usd")
    assert (status, reply["success"], reply["error"]["code"]) == (400, False, "VALIDATION_4001")
    assert set(reply["error"]["details"]["availablePairs"]) == set(PAIRS)


def test_the_page_is_served(instance: Instance):
    import urllib.request

    with urllib.request.urlopen(instance.url + "/", timeout=10) as page:
        assert page.status == 200
        assert b"<html" in page.read().lower()

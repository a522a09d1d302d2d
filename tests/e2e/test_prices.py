"""The main job, end to end: six exchanges' frames in, six live prices and exact history out."""

import re
import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from priceverse.bus import keys
from priceverse.config.settings import Aggregation, Redis
from priceverse.embedded.redis import RedisServer
from tests.conftest import connect_redis
from tests.e2e.instance import PAIRS, Instance, eventually, running
from tests.e2e.recompute import BUCKET_MS, EXACT, Bar, Truth

LATENESS_MS = Aggregation().lateness_ms
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


def candles(instance: Instance) -> dict[str, tuple[int, dict[int, tuple[Any, ...]]]]:
    """Pair → the instant up to which its trades are in, and its buckets: all of the same moment."""
    found: dict[str, tuple[int, dict[int, tuple[Any, ...]]]] = {}
    for pair, position, start_ms, *values in instance.rows(
        "select c.pair::text, split_part(stream_id, '-', 1)::bigint + 1,"
        " (extract(epoch from timestamp) * 1000)::bigint,"
        " open, high, low, close, volume, quote_volume, trade_count from price_history_5min c"
        " join checkpoint p on p.pair::text = replace(c.pair::text, 'rub', 'usd')"
    ):
        found.setdefault(pair, (position - LATENESS_MS, {}))[1][start_ms] = tuple(values)
    return found


def test_candles_equal_an_independent_recomputation_exactly(instance: Instance):
    """What each bucket, the open one too, gains within some 30 s is what the simulator sent in that time."""
    eventually(lambda: instance.price("btc-usd"), lambda p: p and len(p["sources"]) == 6, 60)
    begun = time.time() * 1000
    one = eventually(lambda: candles(instance), lambda c: len(c) == 7 and min(at for at, _ in c.values()) > begun, 90)
    two = eventually(lambda: candles(instance), lambda c: all(c[pair][0] >= one[pair][0] + 20_000 for pair in one), 90)
    truth = Truth(instance.state / "truth.jsonl")
    for pair in ("btc-usd", "eth-usd", "xmr-usd", "usdt-usd"):
        (from_ms, before), (to_ms, after) = one[pair], two[pair]
        for start_ms in after:
            gained = truth.bar(pair, max(start_ms, from_ms), min(start_ms + BUCKET_MS, to_ms))
            assert after[start_ms] == (with_bar(before.get(start_ms), gained) if gained else before[start_ms])


def with_bar(known: tuple[Any, ...] | None, bar: Bar) -> tuple[Any, ...]:
    """A bucket after the trades of a stretch of time that follows it."""
    if known is None:
        return (bar.open, bar.high, bar.low, bar.close, bar.volume, bar.value, bar.trades)
    first, high, low, _, volume, value, trades = known
    ends = (first, max(high, bar.high), min(low, bar.low), bar.close)
    return (*ends, EXACT.add(volume, bar.volume), EXACT.add(value, bar.value), trades + bar.trades)


def test_rouble_candles_are_every_trade_times_the_rate(instance: Instance):
    (rate,) = {rate for (rate,) in instance.rows("select rate from usd_rub_rate order by date desc limit 1")}
    found = eventually(lambda: candles(instance), lambda c: "btc-rub" in c, 60)
    assert found["btc-rub"][1].keys() == found["btc-usd"][1].keys()
    for start_ms, roubles in found["btc-rub"][1].items():
        volume, dollars, trades = found["btc-usd"][1][start_ms][-3:]
        assert roubles[-3:] == (volume, EXACT.multiply(dollars, rate), trades)


def test_every_row_says_what_it_was_made_of(instance: Instance):
    """The price can be computed again by hand from what is stored with it."""
    rows = eventually(
        lambda: instance.rows(
            "select price, volume, explanation from price_history where pair = 'btc-usd'"
            " order by timestamp desc limit 3"
        ),
        bool,
        60,
    )
    for price, volume, reasons in rows:
        sources = [source for source in reasons["details"] if "excluded" not in source]
        again = sum(Decimal(source["price"]) * Decimal(source["volume"]) for source in sources)
        assert abs(again / sum(Decimal(source["volume"]) for source in sources) - price) < Decimal("1e-6")
        assert sum(Decimal(source["volume"]) for source in sources) == volume


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


def test_hours_and_days_are_the_sums_of_five_minutes(instance: Instance):
    sums = (
        "select array_agg(total order by total) from (select (pair, sum(volume), sum(quote_volume),"
        " sum(trade_count))::text as total from price_history_{} group by pair) as totals"
    )
    by_width = " union all ".join(f"({sums.format(width)})" for width in ("5min", "1hour", "1day"))

    def rolled_up() -> list[tuple[Any, ...]]:
        instance.rows("select roll_up_stale(1000)")  # beside the housekeeper, who does so every ten seconds
        return instance.rows(by_width)

    eventually(rolled_up, lambda found: len(found[0][0] or ()) == 7 and found[0] == found[1] == found[2], 60)


def test_every_key_in_redis_is_declared_and_lasts_as_long_as_it_says(instance: Instance):
    declared = {
        re.compile(re.sub(r"<[^>]+>", "[^:]+", pattern).replace("…", ".+")): ttl
        for pattern, ttl in re.findall(r"^\| `([^`]+)` \| [^|]+ \| ([^|]+) \|", keys.__doc__, re.MULTILINE)
    }
    with connect_redis(Redis.model_validate(RedisServer(instance.state).settings)) as client:
        found = {key.decode(): client.pttl(key) for key in client.scan_iter()}
    for key, ttl_ms in found.items():
        ttls = [ttl for pattern, ttl in declared.items() if pattern.fullmatch(key)]
        assert len(ttls) == 1, f"{key} is declared {len(ttls)} times"
        assert (ttl_ms == -1) == ttls[0].startswith(("none", "trimmed")) or ttl_ms == -2, f"{key} lasts {ttl_ms} ms"
    assert {key.partition(":")[0] for key in found} >= {"price", "rate", "stream", "stats", "lease", "fence"}

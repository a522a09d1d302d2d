"""Holes filled over real HTTP from six venues into a real database: exact, once, again, and never over trades."""

import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest
import trio
from click.testing import CliRunner, Result

from priceverse.backfill.fill import Filled
from priceverse.backfill.run import Wanted, filler, run
from priceverse.cli.backfill import command
from priceverse.clock import now_ms
from priceverse.config.grants import give, take
from priceverse.config.settings import Settings
from priceverse.db import candles
from priceverse.db.pool import Database
from priceverse.exchanges.candles import CANDLES
from priceverse.housekeeper import filling
from priceverse.model.candle import Candle, Interval
from priceverse.model.exchange import Exchange
from priceverse.pricing.convert import moscow_day
from priceverse.simulator.market import Running
from priceverse.simulator.venues.cbr import usd_rub

FIVE, HOUR, DAY = Interval
START = now_ms() // DAY.ms * DAY.ms - DAY.ms
"""As far back as Kraken tells of five minutes: 60 hours."""
SIX_HOURS = Wanted(("btc-rub", "xmr-usd"), START, START + 6 * HOUR.ms)


async def fill(settings: Settings, db: Database, wanted: Wanted = SIX_HOURS) -> dict[str, Filled]:
    done = await run(filler(settings, db), settings, wanted, lambda *_: None)
    return {filled.pair: filled for filled in done}


async def stored(db: Database, pair: str, interval: Interval = FIVE) -> list[Candle]:
    page = await candles.read(
        db, pair, interval, from_ms=START - 400 * DAY.ms, to_ms=START + 3 * DAY.ms, limit=2000, newest_first=False
    )
    return list(page.candles)


async def venue_candle(settings: Settings, exchange: Exchange, pair: str, start_ms: int) -> Candle:
    """What one venue says of one bucket, by a plain client."""
    symbol = settings.pairs[pair].symbols[exchange].symbol
    base = settings.exchanges.venue(exchange).rest_url
    url = CANDLES[exchange].request(base, symbol, FIVE, start_ms, start_ms + FIVE.ms).url
    async with httpx.AsyncClient() as client:
        reply = await client.get(url)
    (candle,) = CANDLES[exchange].read(pair, FIVE, start_ms, start_ms + FIVE.ms, reply.content)
    return candle


async def test_every_hole_is_filled_with_what_the_pairs_need_before_them(settings: Settings, db: Database) -> None:
    done = await fill(settings, db)
    assert list(done) == ["usdt-usd", "btc-usd", "btc-rub", "xmr-usd"]
    assert {pair: +filled.buckets for pair, filled in done.items()} == {pair: Counter(filled=72) for pair in done}
    for pair in done:
        found = await stored(db, pair)
        assert [each.start_ms for each in found] == [START + n * FIVE.ms for n in range(72)]
        assert {each.source for each in found} == {"backfill"}


async def test_venues_are_weighted_by_volume_and_usdt_is_converted(settings: Settings, db: Database) -> None:
    await fill(settings, db)
    at_ms = START + 7 * FIVE.ms
    usdt = next(each for each in await stored(db, "usdt-usd") if each.start_ms == at_ms)
    bitcoin = next(each for each in await stored(db, "btc-usd") if each.start_ms == at_ms)
    parts = [await venue_candle(settings, each, "btc-usd", at_ms) for each in settings.pairs["btc-usd"].symbols]
    in_usdt = {Exchange.BINANCE, Exchange.OKX, Exchange.BYBIT, Exchange.KUCOIN}
    factors = [usdt.vwap if each in in_usdt else Decimal(1) for each in settings.pairs["btc-usd"].symbols]
    assert bitcoin.volume == sum(part.volume for part in parts)
    expected = sum(part.quote_volume * (factor or 0) for part, factor in zip(parts, factors, strict=True))
    assert bitcoin.quote_volume == pytest.approx(expected, rel=Decimal("1e-15"))
    close = sum(part.close * (factor or 0) * part.volume for part, factor in zip(parts, factors, strict=True))
    assert bitcoin.close == pytest.approx(close / bitcoin.volume, abs=Decimal("1e-7"))


async def test_roubles_are_those_of_the_day_in_moscow(settings: Settings, db: Database) -> None:
    await fill(settings, db, Wanted(("btc-rub",), START, START + DAY.ms))
    pairs = list(zip(await stored(db, "btc-usd"), await stored(db, "btc-rub"), strict=True))
    rates = {roubles.quote_volume / dollars.quote_volume for dollars, roubles in pairs}
    assert {round(rate, 4) for rate in rates} == {usd_rub(moscow_day(each.start_ms)) for each, _ in pairs}
    assert len(pairs) == 288


async def test_what_is_there_stays_and_a_second_run_asks_nobody(
    settings: Settings, db: Database, running: Running
) -> None:
    ours = Candle(
        "xmr-usd", FIVE, START + FIVE.ms, Decimal(1), Decimal(3), Decimal(1), Decimal(2), Decimal(1), Decimal(2), 4,
        START + FIVE.ms, START + FIVE.ms + 9,
    )  # fmt: skip
    await candles.fill(db, FIVE, [ours])
    done = await fill(settings, db)
    assert done["xmr-usd"].buckets["filled"] == 71
    assert (await stored(db, "xmr-usd"))[1] == ours
    nobody = settings.model_copy(
        update={"exchanges": settings.exchanges.model_copy(update={"kucoin": replace_url(settings, 1)})}
    )
    again = await fill(nobody, db)
    assert all(not sum(filled.buckets.values()) for filled in again.values())


def replace_url(settings: Settings, port: int) -> Any:
    return settings.exchanges.kucoin.model_copy(update={"rest_url": f"http://127.0.0.1:{port}"})


async def test_a_venue_that_does_not_answer_leaves_the_hole_and_the_next_run_fills_it(
    settings: Settings, db: Database, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("priceverse.backfill.venues.RETRY_S", 0.01)
    deaf = settings.model_copy(
        update={"exchanges": settings.exchanges.model_copy(update={"kucoin": replace_url(settings, unused_tcp_port)})}
    )
    first = await fill(deaf, db)
    assert not first["xmr-usd"].is_complete
    assert first["xmr-usd"].buckets["unanswered"] == 72
    assert "kucoin" in first["xmr-usd"].faults[0]
    assert await stored(db, "xmr-usd") == []
    assert (await fill(settings, db))["xmr-usd"].buckets["filled"] == 72


async def test_a_venue_that_bars_us_is_left_out(settings: Settings, db: Database, running: Running) -> None:
    elsewhere = settings.exchanges.kucoin.model_copy(update={"rest_url": f"http://127.0.0.1:{running.port}/nowhere"})
    barred = settings.model_copy(update={"exchanges": settings.exchanges.model_copy(update={"kucoin": elsewhere})})
    done = await fill(barred, db)
    assert done["btc-usd"].buckets["filled"] == 72
    full = {each.start_ms: each.volume for each in await stored(db, "btc-usd")}
    parts = [await venue_candle(settings, each, "btc-usd", START) for each in Exchange if each is not Exchange.KUCOIN]
    assert full[START] == sum(part.volume for part in parts)


async def test_without_a_price_of_usdt_its_venues_are_left_out_and_the_rest_fills(
    settings: Settings, db: Database
) -> None:
    pairs = {name: pair for name, pair in settings.pairs.items() if name != "usdt-usd"}
    done = await fill(settings.model_copy(update={"pairs": pairs}), db)
    assert list(done) == ["btc-usd", "btc-rub", "xmr-usd"]
    assert done["btc-usd"].buckets["filled"] == 72
    kraken, coinbase = [
        await venue_candle(settings, each, "btc-usd", START) for each in (Exchange.KRAKEN, Exchange.COINBASE)
    ]
    assert (await stored(db, "btc-usd"))[0].volume == kraken.volume + coinbase.volume


async def test_older_parts_are_filled_in_coarser_candles_and_days_follow(settings: Settings, db: Database) -> None:
    long_ago = START - 40 * DAY.ms
    await fill(settings, db, Wanted(("xmr-usd",), long_ago, long_ago + DAY.ms))
    assert await stored(db, "xmr-usd") == []
    hours = await stored(db, "xmr-usd", HOUR)
    assert len(hours) == 24
    (day,) = await stored(db, "xmr-usd", DAY)
    assert (day.volume, day.open, day.close) == (sum(each.volume for each in hours), hours[0].open, hours[-1].close)


def own(pair: str, start_ms: int) -> Candle:
    one = Decimal(1)
    return Candle(pair, FIVE, start_ms, one, one, one, one, one, one, 1, start_ms, start_ms)


async def test_trades_of_the_last_hours_are_waited_for(settings: Settings, db: Database) -> None:
    await candles.fill(db, FIVE, [own("usdt-usd", now_ms() // FIVE.ms * FIVE.ms - 2 * HOUR.ms)])
    done = await fill(settings, db, Wanted(("usdt-usd",), now_ms() - HOUR.ms, now_ms()))
    assert not done["usdt-usd"].buckets


async def test_what_was_before_the_first_trade_is_not_waited_for(settings: Settings, db: Database) -> None:
    first_ms = now_ms() // FIVE.ms * FIVE.ms - 2 * FIVE.ms
    await candles.fill(db, FIVE, [own("btc-usd", first_ms), own("usdt-usd", first_ms - FIVE.ms)])
    await fill(settings, db, Wanted(("btc-rub",), first_ms - HOUR.ms, now_ms()))
    assert [each.start_ms for each in await stored(db, "usdt-usd")][-1] == first_ms - FIVE.ms
    for pair in ("btc-usd", "btc-rub"):
        filled = [each.start_ms for each in await stored(db, pair) if each.source == "backfill"]
        assert filled == list(range(first_ms - HOUR.ms, first_ms, FIVE.ms))


async def test_where_there_is_no_trade_yet_all_but_the_last_bucket_is_filled(settings: Settings, db: Database) -> None:
    at_ms = now_ms()
    await fill(settings, db, Wanted(("usdt-usd",), at_ms - HOUR.ms, at_ms))
    newest_ms = [each.start_ms for each in await stored(db, "usdt-usd")][-1]
    assert at_ms - 3 * FIVE.ms < newest_ms <= now_ms() - 2 * FIVE.ms


# --- the command


@pytest.fixture
def told(settings: Settings, tmp_path: Any) -> Callable[..., Result]:
    database = settings.database.model_dump(mode="json", context={"secrets": True})
    lines = [
        "[database]",
        *(f"{key} = {json.dumps(database[key])}" for key in ("host", "port", "database", "password")),
    ]
    lines += ["[cbr]", f'url = "{settings.cbr.url}"']
    for exchange in Exchange:
        lines += [f"[exchanges.{exchange}]", f'rest_url = "{settings.exchanges.venue(exchange).rest_url}"']
    file = tmp_path / "priceverse.toml"
    file.write_text("\n".join(lines), encoding="utf-8")

    def tell(*words: str) -> Result:
        return CliRunner().invoke(command, [*words, "--config", str(file)], catch_exceptions=False)

    return tell


def moment(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M")


async def in_thread(call: Callable[..., Result], *words: str) -> Result:
    return await trio.to_thread.run_sync(lambda: call(*words))


async def test_the_command_fills_and_says_so(told: Callable[..., Result], db: Database) -> None:
    span = ("--from", moment(START), "--to", moment(START + HOUR.ms))
    first = await in_thread(told, "--pair", "xmr-usd", *span, "--json")
    assert first.exit_code == 0, first.output
    said = [json.loads(line) for line in first.stdout.splitlines()]
    assert [(line["pair"], line["filled"], line["complete"]) for line in said] == [
        ("usdt-usd", 12, True), ("xmr-usd", 12, True),
    ]  # fmt: skip
    again = await in_thread(told, "--pair", "xmr-usd", *span)
    assert again.stdout.splitlines() == ["usdt-usd   no candle is missing", "xmr-usd    no candle is missing"]
    assert len(await stored(db, "xmr-usd")) == 12


@pytest.mark.parametrize("words", [("--pair", "doge-usd"), ("--from", "2026-02-02", "--to", "2026-02-01")])
async def test_the_command_refuses_what_makes_no_sense(told: Callable[..., Result], words: tuple[str, ...]) -> None:
    assert (await in_thread(told, *words)).exit_code == 2


# --- the housekeeper


def housekeepers(settings: Settings, *, enabled: bool) -> Settings:
    """What the housekeeper is given of settings with two pairs."""
    pairs = {name: settings.pairs[name] for name in ("usdt-usd", "xmr-usd", "xmr-rub")}
    backfill = settings.backfill.model_copy(update={"enabled": enabled, "days": 1})
    return take(give(settings.model_copy(update={"pairs": pairs, "backfill": backfill}), "housekeeper"), "housekeeper")


async def test_the_housekeeper_fills_the_last_days_where_that_is_wanted(settings: Settings, db: Database) -> None:
    counted: Counter[str] = Counter()
    stopping = trio.Event()

    def count(name: str, n: int) -> None:
        counted[name] += n
        if name == "rounds":
            stopping.set()

    with trio.fail_after(60):
        await filling.serve(db, housekeepers(settings, enabled=True), stopping, count)
    assert counted["candles_filled"] >= 3 * 250
    assert len(await stored(db, "xmr-rub")) >= 250


async def test_the_housekeeper_asks_nobody_where_that_is_not_wanted(settings: Settings, db: Database) -> None:
    await filling.serve(db, housekeepers(settings, enabled=False), trio.Event(), lambda *_: None)
    assert await stored(db, "xmr-usd") == []

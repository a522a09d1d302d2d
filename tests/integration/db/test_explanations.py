"""A stored row explains itself, one of a derived pair through its source's."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from priceverse.clock import now_ms
from priceverse.db import prices
from priceverse.db.explanations import explain
from priceverse.db.pool import Database
from priceverse.db.prices import HistoryRow
from priceverse.model.explanation import Reasons
from priceverse.model.price import Excluded, Method, Source

NOW_MS = now_ms() // 10_000 * 10_000
KRAKEN = Source(
    exchange="kraken",
    vwap=Decimal("64000.1"),
    volume=Decimal("1.5"),
    trades=3,
    last_ms=NOW_MS - 7,
    conversion=Decimal(1),
    price=Decimal("64000.1"),
    weight=Decimal(1),
    excluded=None,
)
OKX = replace(KRAKEN, exchange="okx", conversion=None, price=None, weight=Decimal(0), excluded=Excluded.NO_CONVERSION)
REASONS = Reasons(
    source_pair="btc-usd",
    window_start_ms=NOW_MS - 30_000,
    window_end_ms=NOW_MS,
    as_of_ms=NOW_MS - 7,
    confidence_bps=Decimal("0.00"),
    degraded=False,
    details=(KRAKEN, OKX),
)
ROW = HistoryRow("btc-usd", Decimal("64000.1"), NOW_MS, Method.VWAP, ("kraken",), Decimal("1.5"), REASONS)
ROUBLES = replace(REASONS, rate=Decimal("78.5431"), rate_date=date(2026, 1, 2))
DERIVED = replace(ROW, pair="btc-rub", price=Decimal("5026766.25"), sources=("cbr", "kraken"), reasons=ROUBLES)


@pytest.mark.parametrize("later_ms", [0, 9_999])
async def test_the_row_at_or_before_an_instant_is_explained(db: Database, later_ms: int) -> None:
    old = replace(ROW, timestamp_ms=NOW_MS - 10_000, reasons=replace(REASONS, degraded=True))
    await prices.insert(db, [ROW, old])
    found = await explain(db, "btc-usd", NOW_MS + later_ms)
    assert found is not None
    assert (found.pair, found.at_ms, found.price, found.volume) == ("btc-usd", NOW_MS, ROW.price, ROW.volume)
    assert (found.method, found.sources, found.reasons) == (Method.VWAP, ("kraken",), REASONS)


async def test_a_derived_row_has_the_details_of_its_source_and_its_rate(db: Database) -> None:
    await prices.insert(db, [ROW, DERIVED])
    found = await explain(db, "btc-rub", NOW_MS)
    assert found is not None
    assert (found.price, found.sources, found.reasons) == (DERIVED.price, DERIVED.sources, ROUBLES)


async def test_a_row_from_before_reasons_were_stored_has_none(db: Database) -> None:
    await prices.insert(db, [replace(ROW, reasons=None)])
    found = await explain(db, "btc-usd", NOW_MS)
    assert found is not None
    assert found.reasons is None


async def test_before_the_first_row_there_is_nothing_to_explain(db: Database) -> None:
    await prices.insert(db, [ROW])
    assert await explain(db, "btc-usd", NOW_MS - 1) is None
    assert await explain(db, "eth-usd", NOW_MS) is None

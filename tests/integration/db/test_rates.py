"""Official rates: by date, replaced when fetched again, the one in force and later ones."""

from datetime import date
from decimal import Decimal

from priceverse.db import rates
from priceverse.db.pool import Database
from priceverse.model.rate import Rate

OLD = Rate(Decimal("90.1234"), date(2026, 1, 9), 1_767_900_000_123)
IN_FORCE = Rate(Decimal("91.5"), date(2026, 1, 10), 1_767_990_000_000)
LATER = Rate(Decimal(100), date(2026, 1, 13), 1_768_000_000_000)
SUNDAY = date(2026, 1, 12)


async def test_the_rate_in_force_and_later_ones_by_date(db: Database) -> None:
    for rate in (LATER, OLD, IN_FORCE):
        await rates.save(db, rate)
    assert await rates.load(db, today=SUNDAY) == (IN_FORCE, LATER)


async def test_before_the_first_rate_there_are_only_later_ones(db: Database) -> None:
    await rates.save(db, LATER)
    assert await rates.load(db, today=SUNDAY) == (LATER,)


async def test_no_rate_at_all(db: Database) -> None:
    assert await rates.load(db) == ()


async def test_the_same_date_again_replaces(db: Database) -> None:
    corrected = Rate(Decimal("91.75"), IN_FORCE.date, IN_FORCE.fetched_ms + 5)
    await rates.save(db, IN_FORCE)
    await rates.save(db, corrected)
    assert await rates.load(db, today=SUNDAY) == (corrected,)

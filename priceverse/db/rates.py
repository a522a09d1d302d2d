"""`usd_rub_rate`: the official rate by the date from which it is in force."""

from collections.abc import Sequence
from datetime import date, timedelta

from priceverse.clock import now_ms
from priceverse.db.instants import to_datetime, to_ms
from priceverse.db.pool import Database
from priceverse.model.rate import Rate

_SAVE = """
    INSERT INTO usd_rub_rate (date, rate, fetched_at) VALUES (%s, %s, %s)
    ON CONFLICT (date) DO UPDATE SET rate = excluded.rate, fetched_at = excluded.fetched_at
"""
_LOAD = """
    SELECT date, rate, fetched_at FROM usd_rub_rate
    WHERE date >= coalesce((SELECT max(date) FROM usd_rub_rate WHERE date <= %(today)s), %(today)s) ORDER BY date
"""
_OF_DAYS = "SELECT date, rate, fetched_at FROM usd_rub_rate WHERE date = ANY (%s::date[])"
_MOSCOW_AHEAD_OF_UTC = timedelta(hours=3)


async def save(db: Database, rate: Rate) -> None:
    """Store a rate; one of the same date is replaced. Raises DatabaseUnavailable."""
    values = (rate.date, rate.usd_rub, to_datetime(rate.fetched_ms))
    await db.run(lambda connection: connection.execute(_SAVE, values))


async def load(db: Database, today: date | None = None) -> tuple[Rate, ...]:
    """Return the rate in force today and later ones, by date. Raises DatabaseUnavailable.

    `today` is a date in Moscow; default: the clock's.
    """
    day = today or (to_datetime(now_ms()) + _MOSCOW_AHEAD_OF_UTC).date()
    found = await db.run(lambda connection: connection.execute(_LOAD, {"today": day}).fetchall())
    return tuple(
        Rate(usd_rub=rate.normalize(), date=since, fetched_ms=to_ms(fetched)) for since, rate, fetched in found
    )


async def of_days(db: Database, days: Sequence[date]) -> dict[date, Rate]:
    """Return the rates that were set for these days in Moscow. Raises DatabaseUnavailable."""
    found = await db.run(lambda connection: connection.execute(_OF_DAYS, (list(days),)).fetchall())
    return {since: Rate(rate.normalize(), since, to_ms(fetched)) for since, rate, fetched in found}

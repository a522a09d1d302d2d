"""The official rate of past days: from our own table, else from the bank, which is asked for each day once.

The rule: a day's rate is what the bank says for that day. The newest one known before it may be older than a holiday.
"""

from collections.abc import Awaitable, Callable, Iterable
from datetime import date

import trio

from priceverse.db import rates
from priceverse.db.pool import Database
from priceverse.exchanges.cbr import RateRefused
from priceverse.log import get_logger
from priceverse.model.rate import Rate
from priceverse.net.errors import NetError

INTERVAL_S = 0.3
"""The bank names no limit; nobody minds three documents a second."""

Read = Callable[[date], Awaitable[Rate]]
"""Reads the bank's document of a day. Raises NetError, RateRefused."""


class Official:
    """Rates by the day in Moscow on which they were in force."""

    def __init__(self, db: Database, read: Read) -> None:
        self._db = db
        self._read = read
        self._known: dict[date, Rate] = {}

    async def on(self, days: Iterable[date]) -> dict[date, Rate]:
        """Return the rate of each day that has one; why others have none is in the log. Raises DatabaseUnavailable."""
        wanted = sorted(set(days) - self._known.keys())
        self._known |= await rates.of_days(self._db, wanted)
        for day in (day for day in wanted if day not in self._known):
            await self._ask(day)
        return {day: self._known[day] for day in days if day in self._known}

    async def _ask(self, day: date) -> None:
        try:
            rate = await self._read(day)
        except (NetError, RateRefused) as error:
            get_logger().warning("rate_of_day_unavailable", day=day.isoformat(), error=str(error))
            return
        if rate.date > day:
            get_logger().warning("rate_of_day_unavailable", day=day.isoformat(), error=f"it is for {rate.date}")
            return
        self._known[day] = rate
        await rates.save(self._db, rate)
        await trio.sleep(INTERVAL_S)

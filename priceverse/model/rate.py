"""The official currency rate of a central bank: a number for a date, never a number of the moment."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Rate:
    """Roubles per US dollar, in force on `date` (a day in Europe/Moscow) and until the next one is."""

    usd_rub: Decimal
    date: date
    fetched_ms: int

"""One run over pairs and a range: the ports put together. What `priceverse backfill` and the housekeeper call."""

from dataclasses import dataclass
from functools import partial

from priceverse.backfill.fill import Filled, Filler, Tell, in_order
from priceverse.backfill.official import Official
from priceverse.backfill.plan import Span, spans
from priceverse.backfill.venues import Venues, asking
from priceverse.clock import now_ms
from priceverse.config.settings import Settings
from priceverse.db.pool import Database
from priceverse.model.candle import Interval
from priceverse.net import bank


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to fill: pairs, a range, and candles of one interval; None: the finest that is kept."""

    pairs: tuple[str, ...]
    from_ms: int
    until_ms: int
    only: Interval | None = None


async def backfill(settings: Settings, wanted: Wanted, tell: Tell) -> list[Filled]:
    """Fill what is wanted over connections of its own. Raises DatabaseUnavailable."""
    async with Database(settings.database) as db:
        return await run(filler(settings, db), settings, wanted, tell)


def filler(settings: Settings, db: Database) -> Filler:
    """Return a filler that asks the configured venues and the Bank of Russia."""
    venues = Venues(settings, asking(settings), now_ms)
    return Filler(settings, db, venues, Official(db, partial(bank.read, settings.cbr)))


async def run(with_filler: Filler, settings: Settings, wanted: Wanted, tell: Tell) -> list[Filled]:
    """Fill one pair after the other, what it needs before it. Raises DatabaseUnavailable."""
    at_ms = now_ms()
    return [
        await with_filler.fill(pair, _spans(settings, wanted, at_ms, await with_filler.settled_ms(pair, at_ms)), tell)
        for pair in in_order(settings, wanted.pairs)
    ]


def _spans(settings: Settings, wanted: Wanted, at_ms: int, settled_ms: int) -> list[Span]:
    return spans(wanted.from_ms, min(wanted.until_ms, settled_ms), at_ms, settings.retention, wanted.only)

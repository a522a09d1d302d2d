"""`gap`: the times for which trades of an exchange are known to be missing."""

from collections.abc import Sequence

from priceverse.db.instants import to_datetime
from priceverse.db.pool import Database
from priceverse.model.loss import Loss

_RECORD = """
    INSERT INTO gap AS known (exchange, pair, "from", "to", reason)
    SELECT exchange, pair::pair_symbol, since, until, reason
    FROM unnest(%s::text[], %s::text[], %s::timestamptz[], %s::timestamptz[], %s::text[])
        AS told (exchange, pair, since, until, reason)
    WHERE pair = ANY (enum_range(NULL::pair_symbol)::text[])
    ON CONFLICT (exchange, pair, "from") DO UPDATE
        SET "to" = greatest(known."to", excluded."to"), reason = excluded.reason
"""


async def record(db: Database, losses: Sequence[Loss]) -> None:
    """Store losses of pairs that there are; one that begins where a known one does prolongs it.

    Raises DatabaseUnavailable.
    """
    longest = {(loss.exchange, loss.pair, loss.from_ms): loss for loss in sorted(losses, key=lambda loss: loss.to_ms)}
    rows = list(longest.values())
    columns = (
        [loss.exchange for loss in rows],
        [loss.pair for loss in rows],
        [to_datetime(loss.from_ms) for loss in rows],
        [to_datetime(loss.to_ms) for loss in rows],
        [loss.reason.value for loss in rows],
    )
    await db.run(lambda connection: connection.execute(_RECORD, columns))

"""What is known to be missing is recorded once, at its longest."""

from collections.abc import Callable

import psycopg

from priceverse.db import gaps
from priceverse.db.instants import to_ms
from priceverse.db.pool import Database
from priceverse.model.loss import Loss, LossReason

NOW_MS = 1_790_000_000_000


def loss(from_ms: int, to_ms: int, reason: LossReason = LossReason.FORGOTTEN) -> Loss:
    return Loss("bybit", "btc-usd", NOW_MS + from_ms, NOW_MS + to_ms, reason)


async def test_recorded_once_and_prolonged(db: Database, connect: Callable[[], psycopg.Connection]) -> None:
    await gaps.record(db, [loss(0, 10), loss(0, 20), loss(50, 51, LossReason.ABSENT)])
    await gaps.record(db, [loss(0, 15), loss(50, 99)])
    rows = connect().execute('SELECT exchange, pair, "from", "to", reason FROM gap ORDER BY "from"').fetchall()
    assert [
        (exchange, pair, to_ms(since) - NOW_MS, to_ms(until) - NOW_MS, why)
        for exchange, pair, since, until, why in rows
    ] == [
        ("bybit", "btc-usd", 0, 20, "forgotten"),
        ("bybit", "btc-usd", 50, 99, "forgotten"),
    ]

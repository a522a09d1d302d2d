"""What is lost for good is told at once, and stands in PostgreSQL with its time."""

from collections.abc import Callable
from datetime import UTC, datetime

import psycopg
import trio

from priceverse.collector.ledger import Ledger
from priceverse.collector.losses import Losses
from priceverse.config.settings import Database
from priceverse.model.exchange import Exchange
from priceverse.model.loss import LossReason

DEADLINE_S = 20.0
T0_MS = 1_790_000_000_000
GAPS = 'SELECT pair, "from", "to", reason FROM gap WHERE exchange = %s ORDER BY pair, "from"'


def at(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


async def test_a_loss_is_in_the_stats_at_once_and_in_the_table_soon(
    database_settings: Database, connect: Callable[[], psycopg.Connection], nursery: trio.Nursery
) -> None:
    ledger = Ledger(Exchange.BYBIT)
    losses = Losses(Exchange.BYBIT, ledger, database_settings)
    losses.note("btc-usd", T0_MS, T0_MS + 2500, LossReason.FORGOTTEN)
    losses.note("eth-usd", T0_MS, T0_MS, LossReason.DROPPED)
    losses.note("btc-usd", T0_MS + 9000, T0_MS + 9500, LossReason.ABSENT)
    seen = ledger.snapshot()
    assert (seen["lost_total"], [each["pair"] for each in seen["lost"]]) == (3, ["btc-usd", "eth-usd", "btc-usd"])
    assert ledger.streams() == {
        "btc-usd": {
            "trades": 0,
            "losses": 2,
            "lost_from": "2026-09-21T14:13:29.000Z",
            "lost_to": "2026-09-21T14:13:29.500Z",
            "lost_reason": "absent",
        },
        "eth-usd": {
            "trades": 0,
            "losses": 1,
            "lost_from": "2026-09-21T14:13:20.000Z",
            "lost_to": "2026-09-21T14:13:20.001Z",
            "lost_reason": "dropped",
        },
    }
    nursery.start_soon(losses.run)
    look, rows = connect(), []
    with trio.fail_after(DEADLINE_S):
        while len(rows) < 3:
            await trio.sleep(0.02)
            rows = look.execute(GAPS, ("bybit",)).fetchall()
    assert rows == [
        ("btc-usd", at(T0_MS), at(T0_MS + 2500), "forgotten"),
        ("btc-usd", at(T0_MS + 9000), at(T0_MS + 9500), "absent"),
        ("eth-usd", at(T0_MS), at(T0_MS + 1), "dropped"),
    ]
    nursery.cancel_scope.cancel()


async def test_postgresql_away_neither_hides_a_loss_nor_ends_the_collector(nursery: trio.Nursery) -> None:
    ledger = Ledger(Exchange.BYBIT)
    losses = Losses(Exchange.BYBIT, ledger, Database(host="127.0.0.1", port=1))
    nursery.start_soon(losses.run)
    losses.note("btc-usd", T0_MS, T0_MS + 2500, LossReason.FORGOTTEN)
    await trio.sleep(0.5)
    losses.note("btc-usd", T0_MS + 5000, T0_MS + 7500, LossReason.FORGOTTEN)
    assert ledger.snapshot()["lost_total"] == 2
    nursery.cancel_scope.cancel()

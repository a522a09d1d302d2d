"""What is lost for good is told at once, and stands in PostgreSQL with its time, whoever is away meanwhile."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import psycopg
import pytest
import trio

from priceverse.bus import keys
from priceverse.collector.ledger import Ledger
from priceverse.collector.losses import Losses
from priceverse.config.settings import Database as DatabaseSettings
from priceverse.config.settings import Redis
from priceverse.db.pool import Database
from priceverse.housekeeper import recording
from priceverse.model.exchange import Exchange
from priceverse.model.loss import LossReason
from tests.conftest import connect_redis

DEADLINE_S = 60.0
EVERY_S = 0.05
T0_MS = 1_790_000_000_000
GAPS = """SELECT pair, "from", "to", reason FROM gap WHERE exchange = 'bybit' ORDER BY pair, "from" """
Connect = Callable[[], psycopg.Connection]


def at(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


@asynccontextmanager
async def housekeeping(database: DatabaseSettings, redis: Redis) -> AsyncIterator[None]:
    """Record what is told, as the housekeeper does."""
    stopping = trio.Event()
    async with Database(database) as db, trio.open_nursery() as nursery:
        nursery.start_soon(recording.serve, db, redis, stopping, lambda *_: None, EVERY_S)
        yield
        stopping.set()


async def recorded(losses: Losses) -> None:
    """Wait until every loss is called recorded."""
    with trio.fail_after(DEADLINE_S):
        while losses.unrecorded():  # noqa: ASYNC110 - Redis tells nobody
            await trio.sleep(EVERY_S)


@pytest.fixture
def losses(redis_settings: Redis) -> Losses:
    return Losses(Exchange.BYBIT, Ledger(Exchange.BYBIT), redis_settings)


def test_a_loss_is_in_the_stats_at_once(redis_settings: Redis) -> None:
    ledger = Ledger(Exchange.BYBIT)
    losses = Losses(Exchange.BYBIT, ledger, redis_settings)
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


async def test_it_stands_in_the_table_before_it_is_forgotten(
    database_settings: DatabaseSettings, redis_settings: Redis, connect: Connect, losses: Losses, nursery: trio.Nursery
) -> None:
    losses.note("btc-usd", T0_MS, T0_MS + 2500, LossReason.FORGOTTEN)
    losses.note("eth-usd", T0_MS, T0_MS, LossReason.DROPPED)
    losses.note("btc-usd", T0_MS + 9000, T0_MS + 9500, LossReason.ABSENT)
    nursery.start_soon(losses.run, EVERY_S)
    async with housekeeping(database_settings, redis_settings):
        await recorded(losses)
    assert connect().execute(GAPS).fetchall() == [
        ("btc-usd", at(T0_MS), at(T0_MS + 2500), "forgotten"),
        ("btc-usd", at(T0_MS + 9000), at(T0_MS + 9500), "absent"),
        ("eth-usd", at(T0_MS), at(T0_MS + 1), "dropped"),
    ]
    nursery.cancel_scope.cancel()


async def test_what_a_redis_forgot_before_it_was_recorded_is_told_again(
    database_settings: DatabaseSettings, redis_settings: Redis, connect: Connect, losses: Losses, nursery: trio.Nursery
) -> None:
    losses.note("btc-usd", T0_MS, T0_MS + 2500, LossReason.FORGOTTEN)
    nursery.start_soon(losses.run, EVERY_S)
    with connect_redis(redis_settings) as client, trio.fail_after(DEADLINE_S):
        while not client.zcard(keys.LOSSES):  # noqa: ASYNC110 - Redis tells nobody
            await trio.sleep(EVERY_S)
        client.flushall()
    assert losses.unrecorded() == {"btc-usd"}
    async with housekeeping(database_settings, redis_settings):
        await recorded(losses)
    assert len(connect().execute(GAPS).fetchall()) == 1
    nursery.cancel_scope.cancel()


async def test_told_by_a_process_that_has_died_since(
    database_settings: DatabaseSettings, redis_settings: Redis, connect: Connect, losses: Losses, nursery: trio.Nursery
) -> None:
    losses.note("btc-usd", T0_MS, T0_MS + 2500, LossReason.FORGOTTEN)
    nursery.start_soon(losses.run, EVERY_S)
    look, rows = connect(), []
    with connect_redis(redis_settings) as client, trio.fail_after(DEADLINE_S):
        while not client.zcard(keys.LOSSES):  # noqa: ASYNC110 - Redis tells nobody
            await trio.sleep(EVERY_S)
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            async with housekeeping(database_settings, redis_settings):
                while not rows:
                    await trio.sleep(EVERY_S)
                    rows = look.execute(GAPS).fetchall()
    assert rows == [("btc-usd", at(T0_MS), at(T0_MS + 2500), "forgotten")]


async def test_neither_postgresql_nor_redis_away_hides_a_loss_or_ends_anybody(
    redis_settings: Redis, nursery: trio.Nursery
) -> None:
    for redis in (redis_settings, Redis(host="127.0.0.1", port=1)):
        losses = Losses(Exchange.BYBIT, Ledger(Exchange.BYBIT), redis)
        nursery.start_soon(losses.run, EVERY_S)
        losses.note("btc-usd", T0_MS, T0_MS + 2500, LossReason.FORGOTTEN)
        async with housekeeping(DatabaseSettings(host="127.0.0.1", port=1), redis):
            await trio.sleep(10 * EVERY_S)
        assert losses.unrecorded() == {"btc-usd"}
    nursery.cancel_scope.cancel()


def named(**changed: object) -> bytes:
    """A loss as it stands in Redis, but for what is changed."""
    usual = {"exchange": "kraken", "pair": "btc-usd", "from_ms": 1, "to_ms": 2, "reason": "absent"}
    return json.dumps(usual | changed).encode()


async def test_rubbish_beside_it_does_no_harm(
    database_settings: DatabaseSettings, redis_settings: Redis, connect: Connect, losses: Losses, nursery: trio.Nursery
) -> None:
    shapes = [b"", b"{", b"[]", b'{"exchange": 1}', b"\xff", b"[" * 9999]
    values = [named(from_ms=3), named(from_ms=-(10**15)), named(to_ms=10**18), named(to_ms=10**400), named(reason="x")]
    unknown = [named(exchange="mtgox"), named(pair="doge-usd"), named(pair="\x00")]
    with connect_redis(redis_settings) as client:
        client.zadd(keys.LOSSES, dict.fromkeys([*shapes, *values, *unknown], 0))
        losses.note("btc-usd", T0_MS, T0_MS + 2500, LossReason.FORGOTTEN)
        nursery.start_soon(losses.run, EVERY_S)
        async with housekeeping(database_settings, redis_settings):
            await recorded(losses)
        assert client.zcount(keys.LOSSES, 0, 0) == 0
    assert connect().execute("SELECT exchange FROM gap").fetchall() == [("bybit",)]
    nursery.cancel_scope.cancel()

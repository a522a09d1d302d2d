"""A collector that dies before it has fetched what was missed leaves word of it: its successor fetches it, or tells."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import psycopg
import pytest
import trio

from priceverse.bus import keys
from priceverse.clock import now_ms
from priceverse.collector.ledger import Ledger
from priceverse.collector.serve import Duties, serve
from priceverse.config.settings import Settings
from priceverse.model.exchange import Exchange
from tests.conftest import connect_redis
from tests.integration.backfill.conftest import DEADLINE_S, PAIRS, Stage, collecting, settled

NOTHING = ([], [], [])
Begin = Callable[..., Any]


def without_history(settings: Settings, exchange: Exchange) -> Settings:
    """Return settings with which trades come, but nobody answers when asked for those missed."""
    venue = settings.exchanges.venue(exchange).model_copy(update={"rest_url": "http://127.0.0.1:1"})
    return settings.model_copy(update={"exchanges": settings.exchanges.model_copy(update={exchange.value: venue})})


async def live_and_be_killed(settings: Settings, exchange: Exchange) -> None:
    """Run a collector until trades of all pairs are in the streams, then end it between two steps."""
    ledger = Ledger(exchange)

    async def ready() -> None:
        await trio.lowlevel.checkpoint()

    with trio.fail_after(DEADLINE_S):
        async with trio.open_nursery() as nursery:
            duties = Duties("collector", trio.Event(), ready, lambda _: None)
            nursery.start_soon(serve, settings, exchange, duties, ledger)
            while not ledger.snapshot()["trades"].keys() >= set(PAIRS):  # noqa: ASYNC110 - the ledger tells nobody
                await trio.sleep(0.02)
            queued = ledger.published + ledger.queue
            while ledger.published < queued + 2:  # noqa: ASYNC110 - as above
                await trio.sleep(0.02)
            nursery.cancel_scope.cancel()


async def no_mark_is_left(scene: Stage) -> None:
    """Wait until all that was missed is fetched, or recorded as lost."""
    with connect_redis(scene.settings.redis) as client, trio.fail_after(DEADLINE_S):
        while list(client.scan_iter(keys.backfill("*", "*"))):  # noqa: ASYNC110 - Redis tells nobody
            await trio.sleep(0.1)


@pytest.mark.parametrize(("exchange", "speed"), [(Exchange.COINBASE, 1.0), (Exchange.OKX, 1.0), (Exchange.BYBIT, 0.4)])
async def test_killed_twice_before_history_answered(stage: Begin, exchange: Exchange, speed: float) -> None:
    scene = await stage(speed=speed)
    async with collecting(scene, exchange):
        await trio.sleep(1)
    await trio.sleep(1)
    for _ in range(2):
        await live_and_be_killed(without_history(scene.settings, exchange), exchange)
        await trio.sleep(0.5)
    async with collecting(scene, exchange):
        await no_mark_is_left(scene)
        assert await settled(scene, exchange) == NOTHING


async def test_what_history_has_forgotten_by_then_is_told(
    stage: Begin,
    recording: None,
    connect: Callable[[], psycopg.Connection],
) -> None:
    scene = await stage(speed=2.0)
    exchange = Exchange.BYBIT
    async with collecting(scene, exchange):
        await trio.sleep(1)
    await trio.sleep(2)
    await live_and_be_killed(without_history(scene.settings, exchange), exchange)
    await trio.sleep(2)
    until_ms = now_ms()
    async with collecting(scene, exchange):
        await no_mark_is_left(scene)
    missing, doubled, wrong = await trio.to_thread.run_sync(scene.compare, exchange, until_ms)
    told = connect().execute('SELECT pair::text, "from", "to" FROM gap WHERE exchange = %s', [exchange]).fetchall()
    rows = [json.loads(line) for line in missing]
    assert rows
    assert (doubled, wrong) == ([], [])
    assert [row for row in rows if not any(covers(gap, row) for gap in told)] == []


def covers(gap: tuple[str, datetime, datetime], row: dict[str, Any]) -> bool:
    pair, since, until = gap
    return pair == row["pair"] and since.timestamp() * 1000 <= row["timestamp"] <= until.timestamp() * 1000

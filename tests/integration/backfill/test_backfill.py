"""Whatever an exchange does to its connections, the streams hold every trade, once, with its own digits."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
import trio

from priceverse.clock import now_ms
from priceverse.model.exchange import Exchange
from priceverse.model.loss import LossReason
from priceverse.simulator.faults import Kind
from tests.integration.backfill.conftest import collecting, settled

NOTHING = ([], [], [])
Begin = Callable[..., Any]

FAULTS: dict[Kind, dict[str, Any]] = {
    Kind.DROP: {"for_s": 0.5, "probability": 1.0},
    Kind.MUTE: {"for_s": 1.5},
    Kind.ACCEPT_THEN_CLOSE: {"for_s": 0.7},
    Kind.DUPLICATE: {"for_s": 1.5, "probability": 0.5},
    Kind.REORDER: {"for_s": 1.5, "probability": 0.5},
    Kind.GAP: {"for_s": 1.5, "probability": 0.3},
    Kind.MALFORMED: {"for_s": 1.5, "probability": 0.5},
    Kind.WRONG_CLOCK: {"for_s": 1.0, "skew_ms": 3_600_000},
    Kind.SLOW: {"for_s": 1.0, "delay_ms": 400},
    Kind.TOO_MANY_REQUESTS: {"for_s": 0.3},
}
NEEDS_A_CUT = (Kind.ACCEPT_THEN_CLOSE, Kind.TOO_MANY_REQUESTS)


async def test_every_fault_one_after_the_other_on_all_exchanges(stage: Begin) -> None:
    scene = await stage()
    seen: dict[Exchange, dict[str, Any]] = {}

    async def one(exchange: Exchange) -> None:
        async with collecting(scene, exchange) as ledger:
            for kind, options in FAULTS.items():
                scene.fault(kind, exchange, **options)
                if kind in NEEDS_A_CUT:
                    scene.hub.cut(exchange)
                await trio.sleep(options["for_s"] * 0.8)
            assert await settled(scene, exchange) == NOTHING
            seen[exchange] = ledger.snapshot()

    async with trio.open_nursery() as nursery:
        for exchange in Exchange:
            nursery.start_soon(one, exchange)
    for each in seen.values():
        assert each["backfilled"] > 0
        assert each["reconnects"] > 0


@pytest.mark.parametrize("exchange", [Exchange.BINANCE, Exchange.OKX, Exchange.KUCOIN])
async def test_a_new_process_fetches_what_came_between(stage: Begin, exchange: Exchange) -> None:
    scene = await stage()
    async with collecting(scene, exchange):
        await trio.sleep(2)
    await trio.sleep(2)
    async with collecting(scene, exchange) as ledger:
        found = await settled(scene, exchange)
        assert ledger.snapshot()["backfilled"] > 0
    assert found == NOTHING


async def test_a_replay_on_subscribing_closes_a_gap(stage: Begin) -> None:
    scene = await stage()
    async with collecting(scene, Exchange.KRAKEN) as ledger:
        scene.fault(Kind.ACCEPT_THEN_CLOSE, Exchange.KRAKEN, for_s=1)
        scene.hub.cut(Exchange.KRAKEN)
        await trio.sleep(1)
        found = await settled(scene, Exchange.KRAKEN)
        assert ledger.snapshot()["backfilled"] > 0
    assert found == NOTHING


async def test_what_no_history_has_is_recorded_with_its_time(
    stage: Begin,
    recording: None,
    connect: Callable[[], psycopg.Connection],
) -> None:
    scene = await stage(speed=10.0)
    began_ms = now_ms()
    async with collecting(scene, Exchange.BYBIT) as ledger:
        await trio.sleep(1)
        scene.fault(Kind.TOO_MANY_REQUESTS, Exchange.BYBIT, for_s=3)
        scene.hub.cut(Exchange.BYBIT)
        while not ledger.snapshot()["lost"]:  # noqa: ASYNC110 - the ledger tells nobody
            await trio.sleep(0.1)
        loss = ledger.snapshot()["lost"][0]
        connection, rows = connect(), []
        while not rows:
            await trio.sleep(0.1)
            rows = connection.execute('SELECT exchange, pair, "from", "to", reason FROM gap').fetchall()
    assert (loss["exchange"], loss["reason"]) == ("bybit", LossReason.FORGOTTEN)
    assert began_ms < loss["from_ms"] < loss["to_ms"] < now_ms()
    exchange, pair, since, until, reason = rows[0]
    assert (exchange, pair, reason) == ("bybit", loss["pair"], "forgotten")
    assert (round(since.timestamp() * 1000), round(until.timestamp() * 1000)) == (loss["from_ms"], loss["to_ms"])

"""A real collector between a real simulator that misbehaves and a real Redis, and the truth to compare with."""

import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import trio

from priceverse.bus import keys
from priceverse.clock import now_ms
from priceverse.collector.ledger import Ledger
from priceverse.collector.serve import Duties, serve
from priceverse.config.settings import Database, Redis, Settings
from priceverse.db.pool import Database as Pool
from priceverse.housekeeper import recording as recorder
from priceverse.model.exchange import Exchange
from priceverse.simulator.faults import Fault, Kind
from priceverse.simulator.hub import Hub
from priceverse.simulator.market import Options
from priceverse.simulator.market import serve as simulate
from tests.conftest import connect_redis

DEADLINE_S = 120.0
SETTLE_MOST_S = 60.0
PAIRS = ("btc-usd", "eth-usd")

Findings = tuple[list[str], list[str], list[str]]


@dataclass
class Stage:
    """The market, its truth and the streams."""

    hub: Hub
    settings: Settings
    truth: Path

    def fault(self, kind: Kind, exchange: Exchange, for_s: float, **options: Any) -> None:
        """Begin a fault on one venue."""
        self.hub.faults.add(Fault(kind, exchange, time.time_ns() + int(for_s * 1e9), **options))
        if kind is Kind.DROP:
            self.hub.cut(exchange)

    def streams(self, exchange: Exchange) -> dict[tuple[str, str], list[dict[str, str]]]:
        """Return the venue's entries by (pair, trade id)."""
        held: dict[tuple[str, str], list[dict[str, str]]] = {}
        with connect_redis(self.settings.redis) as client:
            for pair in PAIRS:
                for _, raw in client.xrange(keys.trades(pair)):
                    entry = {name.decode(): value.decode() for name, value in raw.items()}
                    if entry["exchange"] == exchange:
                        held.setdefault((pair, entry["trade_id"]), []).append(entry)
        return held

    def compare(self, exchange: Exchange, until_ms: int) -> Findings:
        """Return what is missing, doubled and wrong in the streams, of what was sent since their first entry."""
        held = self.streams(exchange)
        first = {pair: min(int(each[0]["timestamp"]) for (p, _), each in held.items() if p == pair) for pair in PAIRS}
        missing, wrong = [], []
        for line in self.truth.read_text().splitlines():
            row = json.loads(line)
            pair = row["pair"]
            if row["exchange"] != exchange or pair not in PAIRS or row["timestamp"] <= first[pair]:
                continue
            if row.get("historical") or row["sent"] >= until_ms:
                continue
            ids = (str(int(row["trade_id"]) - n) for n in range(row.get("count", 1)))
            entries = [entry for each in ids for entry in held.get((pair, each), [])[:1]]
            volume = sum((Decimal(entry["volume"]) for entry in entries), Decimal())
            if volume < Decimal(row["volume"]):
                missing.append(line)
            elif volume > Decimal(row["volume"]) or any(Decimal(e["price"]) != Decimal(row["price"]) for e in entries):
                wrong.append(line)
        return missing, [str(key) for key, each in held.items() if len(each) > 1], wrong


@pytest.fixture
async def stage(redis_settings: Redis, nursery: trio.Nursery, tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """Start a market."""

    async def begin(speed: float = 1.0, **options: object) -> Stage:
        truth = tmp_path / "truth.jsonl"
        running = await nursery.start(simulate, Options(seed=5, speed=speed, truth=truth))
        chosen: dict[str, object] = {"reconnect_base_delay": 50, "mute_timeout_s": 1.1, "max_reconnect_attempts": 1000}
        for exchange in Exchange:
            where = f"127.0.0.1:{running.port}/{exchange}"
            chosen[exchange.value] = {"ws_url": f"ws://{where}", "rest_url": f"http://{where}"}
        settings = Settings.model_validate({"redis": redis_settings, "exchanges": chosen, **options})
        return Stage(running.hub, settings, truth)

    yield begin
    nursery.cancel_scope.cancel()


@asynccontextmanager
async def collecting(stage: Stage, exchange: Exchange) -> AsyncIterator[Ledger]:
    """Run a collector; it is finished on leaving."""
    ledger, stopping, ready = Ledger(exchange), trio.Event(), trio.Event()

    async def say_ready() -> None:
        ready.set()
        await trio.lowlevel.checkpoint()

    async def run() -> None:
        await serve(stage.settings, exchange, Duties("collector", stopping, say_ready, lambda _: None), ledger)

    with trio.fail_after(DEADLINE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            await ready.wait()
            while not ledger.snapshot()["trades"].keys() >= set(PAIRS):  # noqa: ASYNC110 - the ledger tells nobody
                await trio.sleep(0.05)
            yield ledger
            stopping.set()


async def settled(stage: Stage, exchange: Exchange) -> Findings:
    """Wait until nothing is missing any more, for a while, and return what `compare` says."""
    until_ms = now_ms()
    with trio.move_on_after(SETTLE_MOST_S):
        while True:
            await trio.sleep(0.5)
            found = await trio.to_thread.run_sync(stage.compare, exchange, until_ms)
            if not found[0]:
                return found
    return found


@pytest.fixture
async def recording(database_settings: Database, redis_settings: Redis) -> AsyncIterator[None]:
    """Record what collectors tell as lost, as the housekeeper does."""
    stopping = trio.Event()
    async with Pool(database_settings) as db, trio.open_nursery() as nursery:
        nursery.start_soon(recorder.serve, db, redis_settings, stopping, lambda *_: None, 0.1)
        yield
        stopping.set()

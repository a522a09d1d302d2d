"""A whole collector in this process: a scripted exchange on loopback at one end, a real Redis at the other."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest

from priceverse.bus import keys
from priceverse.clock import iso_ms, now_ms
from priceverse.collector.ledger import Ledger
from priceverse.collector.reconnect import Ended
from priceverse.collector.serve import Duties, serve
from priceverse.config.settings import Redis, Settings
from priceverse.model.exchange import Exchange
from tests.conftest import connect_redis

DEADLINE_S = 20.0


@dataclass
class Running:
    """A collector at work."""

    ledger: Ledger
    stopping: trio.Event = field(default_factory=trio.Event)
    written: int = 0
    ended: Ended | None = None
    _progress: trio.Event = field(default_factory=trio.Event)

    @property
    def seen(self) -> dict[str, Any]:
        return self.ledger.snapshot()

    def on_written(self, count: int) -> None:
        self.written += count
        self._progress.set()
        self._progress = trio.Event()

    async def wrote(self, count: int) -> None:
        """Wait until so many trades are in the streams."""
        while self.written < count:
            await self._progress.wait()

    async def until(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait until the ledger says so."""
        while not condition(self.seen):  # noqa: ASYNC110 - the ledger tells nobody when it changes
            await trio.sleep(0.01)
        return self.seen


@asynccontextmanager
async def collecting(
    redis: Redis, exchange: Exchange = Exchange.KRAKEN, *, url: str, **options: object
) -> AsyncIterator[Running]:
    """Run a collector against `url`; stopped, and finished, on leaving."""
    venue = {"ws_url": url, "rest_url": url.replace("ws", "http", 1)}
    chosen = {"reconnect_base_delay": 10, exchange.value: venue} | options
    settings = Settings.model_validate({"redis": redis, "exchanges": chosen})
    running = Running(Ledger(exchange))
    ready = trio.Event()

    async def say_ready() -> None:
        ready.set()
        await trio.lowlevel.checkpoint()

    async def run() -> None:
        duties = Duties(f"collector.{exchange}", running.stopping, say_ready, running.on_written)
        running.ended = await serve(settings, exchange, duties, running.ledger)

    with trio.fail_after(DEADLINE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            await ready.wait()
            yield running
            running.stopping.set()


class Kraken:
    """The server's end of Kraken's protocol, as far as a script needs it."""

    def __init__(self, socket: WebSocketConnection) -> None:
        self.socket = socket

    @classmethod
    async def accept(cls, request: WebSocketRequest, *, refuse: tuple[str, ...] = ()) -> "Kraken":
        """Accept the connection and answer its subscription."""
        venue = cls(await request.accept())
        await venue.say({"channel": "status", "type": "update", "data": [{"system": "online"}]})
        asked = json.loads(await venue.socket.get_message())
        for symbol in asked["params"]["symbol"]:
            if symbol in refuse:
                error = f"Currency pair not supported {symbol}"
                await venue.say({"method": "subscribe", "success": False, "error": error, "symbol": symbol})
            else:
                result = {"channel": "trade", "snapshot": False, "symbol": symbol}
                await venue.say({"method": "subscribe", "success": True, "result": result})
        return venue

    async def say(self, frame: dict[str, object]) -> None:
        await self.socket.send_message(json.dumps(frame))

    async def trade(self, *ids: int, symbol: str = "BTC/USD", kind: str = "update") -> None:
        """Send trades in one frame."""
        await self.socket.send_message(trades_frame(*ids, symbol=symbol, kind=kind))

    async def stay(self) -> None:
        """Read until the client leaves."""
        try:
            while True:
                await self.socket.get_message()
        except ConnectionClosed:
            return


def trades_frame(*ids: int, symbol: str = "BTC/USD", kind: str = "update") -> str:
    """A frame of trades of now, at a price with digits that a float would lose."""
    now = iso_ms(now_ms())
    row = (
        '{{"symbol":"{s}","side":"buy","price":84099.10,"qty":0.10000000,"ord_type":"limit","trade_id":{i},'
        '"timestamp":"{t}"}}'
    )
    rows = ",".join(row.format(s=symbol, i=each, t=now) for each in ids)
    return f'{{"channel":"trade","type":"{kind}","data":[{rows}]}}'


@pytest.fixture
def stream(redis_settings: Redis) -> Callable[[str], list[dict[str, str]]]:
    """Read a whole stream of trades."""

    def read(pair: str = "btc-usd") -> list[dict[str, str]]:
        with connect_redis(redis_settings) as client:
            entries = client.xrange(keys.trades(pair))
        return [{name.decode(): value.decode() for name, value in fields.items()} for _, fields in entries]

    return read

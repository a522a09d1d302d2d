"""Trades per second from the Redis stream to the updated window on one core, beside the seed's design on the same.

Run: `python tests/bench/aggregate.py [trades]`, 30 s. Ours: XREADGROUP pages, exact windows, candles, history rows,
live prices, in a stream of 500 trades a second. After it our cost per trade without Redis, as the window grows tenfold.

The seed's: per trade one ZADD and one XACK, each awaited before the next, and every 10 s of trades a ZRANGEBYSCORE over
the window. Three times: awaited on trio, a thread hop a command, so that design stands against design in one language
on one loop, which is what the goal's twenty-fold is held against; the same commands from a plain blocking client; and
as it is written, on Node with ioredis (from npm, into a folder that is thrown away; left out where there is no npm).
The ratios are what to trust on a noisy machine.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import redis
import trio

from priceverse.aggregator.garbage import collect_rarely
from priceverse.aggregator.stream import Followed
from priceverse.bus import group, keys
from priceverse.bus.client import RedisDoor, connect
from priceverse.bus.entries import Received, StreamId, encode
from priceverse.bus.trades import BLOCK_S, TradeReader
from priceverse.config.settings import Redis
from priceverse.embedded.redis import RedisServer
from priceverse.model.exchange import Quote, Side
from priceverse.model.trade import Trade
from priceverse.pricing.convert import Rates
from priceverse.pricing.desk import Desk, Seat
from priceverse.pricing.entry import Entry
from priceverse.pricing.index import Rules
from priceverse.pricing.pricer import Market, PairPricer
from priceverse.pricing.schedule import Grid, Pace

PAIR = "btc-usd"
VENUES = ("binance", "bybit", "coinbase", "kraken", "kucoin", "okx")
TRADES = 100_000
SPAN_MS = 200_000
SEED_SHARE = 10
"""The seed's design gets a tenth of the trades: it is slow."""

GOAL, GOAL_RATIO = 50_000, 20

Call = Callable[[Callable[[redis.Redis], Any]], Awaitable[Any]]


def fill(client: redis.Redis, trades: int) -> int:
    """Write a stream that looks as if it had been recorded over the last `SPAN_MS`; return its first ms."""
    random, start_ms = Random(1), time.time_ns() // 1_000_000 - SPAN_MS
    pipe = client.pipeline(transaction=False)
    for number in range(trades):
        at_ms = start_ms + number * SPAN_MS // trades
        price = Decimal(random.randrange(6_399_000, 6_401_000)).scaleb(-2)
        volume = Decimal(random.randrange(1, 10**7)).scaleb(-8)
        trade = Trade(VENUES[number % 6], "", PAIR, price, volume, at_ms - random.randrange(200), str(number), Side.BUY)
        pipe.execute_command("XADD", keys.trades(PAIR), f"{at_ms}-{number}", *encode(Received(trade, at_ms)))
        if number % 1000 == 999:
            pipe.execute()
    pipe.execute()
    return start_ms


async def ours(settings: Redis, start_ms: int, trades: int) -> float:
    """Return trades per second through the aggregator's reading path."""
    market = Market(PAIR, dict.fromkeys(VENUES, Quote.USD), Rules())
    pricer = PairPricer(market, Grid(), Grid().position_at(start_ms))
    desk = Desk(Pace(), Rates())
    desk.seats[PAIR] = Seat(pricer)
    followed, rows, live, candles = Followed(pricer, StreamId(0, 0)), 0, 0, 0
    collect_rarely()
    async with RedisDoor(settings, extra_timeout_s=BLOCK_S) as door:
        await group.seek(door, PAIR, StreamId(0, 0))
        reader, taken = TradeReader(door, "bench"), 0
        begun, used = time.perf_counter(), time.process_time()
        while taken < trades:
            found, _ = await reader.read([PAIR], {})
            taken += followed.take(found[PAIR])
            settled = desk.settle()
            rows += sum(len(done.rows) for done in settled)
            candles += sum(candle.trades for done in settled for candle in done.candles)
            live += len(desk.due(found[PAIR].complete_ms))
        spent, used = time.perf_counter() - begun, time.process_time() - used
    print(f"  {rows} history rows, {live} live prices, {candles} trades in candles on the way")
    print(
        f"  ours, all threads    {used / trades * 1e6:>9.2f} us CPU per trade: {trades / used:,.0f} trades/s of a core"
    )
    return trades / spent


def growing(trades: int) -> None:
    """Print the CPU time per trade, without Redis, over windows of more and more trades."""
    random, spans_ms = Random(2), (600_000, 200_000, 60_000)
    prices = [Decimal(random.randrange(6_399_000, 6_401_000)).scaleb(-2) for _ in range(2000)]
    for span_ms in spans_ms:
        market = Market(PAIR, dict.fromkeys(VENUES, Quote.USD), Rules())
        pricer, desk, most = PairPricer(market, Grid(), Grid().position_at(1_800_000_000_000)), Desk(Pace(), Rates()), 0
        desk.seats[PAIR] = Seat(pricer)
        entries = []
        for number in range(trades):
            at_ms = 1_800_000_000_000 + number * span_ms // trades
            volume = Decimal(random.randrange(1, 10**7)).scaleb(-8)
            entry = Entry((at_ms, number), VENUES[number % 6], str(number), prices[number % 2000], volume, at_ms, at_ms)
            entries.append(entry)
        begun = time.process_time()
        for number, entry in enumerate(entries):
            pricer.feed(entry)
            if number % 250 == 0:
                desk.settle()
                desk.due(entry.timestamp_ms)
                most = max(most, pricer.window_trades)
        spent = time.process_time() - begun
        print(f"  window of {most:>7,} trades {spent / trades * 1e6:>6.2f} us CPU per trade")


async def seeds(call: Call, name: str, trades: int) -> float:
    """Return trades per second through the seed's design, as sequential as it is written there."""
    stream, buffer = keys.trades(PAIR), f"buffer:{name}"
    await call(lambda client: client.xgroup_create(stream, name, id="0"))
    taken, begun, next_ms = 0, time.perf_counter(), 0
    read = ("XREADGROUP", "GROUP", name, name, "COUNT", 100, "STREAMS", stream, ">")
    while taken < trades:
        for _, entries in await call(lambda client: client.execute_command(*read)):
            for identifier, flat in entries:
                fields = dict(zip(flat[::2], flat[1::2], strict=True))
                at_ms = int(fields[b"timestamp"])
                trade = {"price": float(fields[b"price"]), "volume": float(fields[b"volume"]), "timestamp": at_ms}
                member = json.dumps(trade | {"exchange": fields[b"exchange"].decode()})
                await call(lambda client, member=member, at_ms=at_ms: client.zadd(buffer, {member: at_ms}))
                await call(lambda client, identifier=identifier: client.xack(stream, name, identifier))
                taken += 1
                if at_ms >= next_ms:
                    next_ms = at_ms + 10_000
                    await aggregate(call, buffer, at_ms)
    return taken / (time.perf_counter() - begun)


async def aggregate(call: Call, buffer: str, now_ms: int) -> float:
    """The seed's VWAP over the sorted set."""
    members = await call(lambda client: client.zrangebyscore(buffer, now_ms - 30_000, now_ms))
    found = [json.loads(member) for member in members]
    await call(lambda client: client.zremrangebyscore(buffer, 0, now_ms - 30_000))
    return sum(trade["price"] * trade["volume"] for trade in found) / sum(trade["volume"] for trade in found)


async def compare(settings: Redis, trades: int) -> None:
    with connect(settings) as client:
        start_ms = fill(client, trades)
        client.set_response_callback("XREADGROUP", lambda reply, **_: reply)  # the seed decodes for itself

        async def blocking(work: Callable[[redis.Redis], Any]) -> Any:
            return work(client)

        async def awaited(work: Callable[[redis.Redis], Any]) -> Any:
            return await trio.to_thread.run_sync(work, client)

        rate = await ours(settings, start_ms, trades)
        print(f"  ours                 {rate:>9,.0f} trades/s   goal {GOAL:,}")
        few = trades // SEED_SHARE
        show("seed's, awaited", rate, await seeds(awaited, "awaited", few), f"   goal {GOAL_RATIO}")
        show("seed's, blocking", rate, await seeds(blocking, "blocking", few))
        if shutil.which("npm"):
            show("seed's, Node", rate, on_node(settings, few))


def show(name: str, ours: float, seeds: float, goal: str = "") -> None:
    print(f"  {name:<20} {seeds:>9,.0f} trades/s   ratio {ours / seeds:.1f}{goal}")


def on_node(settings: Redis, trades: int) -> float:
    """Return trades per second of the seed's design as it is written."""
    with tempfile.TemporaryDirectory(prefix="pv-") as folder:
        subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", "ioredis"], cwd=folder, check=True)
        program = Path(shutil.copy(Path(__file__).with_name("aggregate_seed.mjs"), folder))
        password = settings.password.get_secret_value() if settings.password else ""
        told = (str(settings.unix_socket), password, keys.trades(PAIR), str(trades))
        return float(subprocess.run(["node", program, *told], check=True, capture_output=True, timeout=60).stdout)


def main() -> None:
    trades = int(sys.argv[1]) if len(sys.argv) > 1 else TRADES
    with tempfile.TemporaryDirectory(prefix="pv-") as folder:
        server = RedisServer(Path(folder))
        server.start()
        try:
            trio.run(compare, Redis.model_validate(server.settings), trades)
            growing(trades)
        finally:
            server.stop()


if __name__ == "__main__":
    main()

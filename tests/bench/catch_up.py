"""After PostgreSQL was away: how much faster than real time history and candles catch up, and what they hold meanwhile.

Run: `python tests/bench/catch_up.py [minutes trades_per_second]`. Both ways to catch up, on real servers with fsync on:
the process lived and its outbox is stored; or it was killed, and all is read and computed from the stream again.
"""

import gc
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from decimal import Decimal
from functools import partial
from pathlib import Path
from random import Random

import psycopg
import trio

from priceverse.aggregator import history, plan
from priceverse.aggregator.history import Outbox
from priceverse.aggregator.serve import Duties, serve
from priceverse.bus import keys
from priceverse.bus.client import connect
from priceverse.bus.entries import Received, encode
from priceverse.clock import now_ms
from priceverse.config.settings import Settings
from priceverse.db import commits, migrate
from priceverse.db.pool import Database
from priceverse.embedded.postgres import PostgresServer
from priceverse.embedded.redis import RedisServer
from priceverse.model.candle import merged
from priceverse.model.exchange import Side
from priceverse.model.trade import Trade
from priceverse.pricing.convert import Rates
from priceverse.pricing.desk import Desk, Seat, Settled
from priceverse.pricing.entry import Entry
from priceverse.pricing.pricer import PairPricer
from priceverse.pricing.reference import Reference

PAIRS = ("btc-usd", "eth-usd", "xmr-usd", "usdt-usd")
LEVELS = {"btc-usd": Decimal(64000), "eth-usd": Decimal(3000), "xmr-usd": Decimal(150), "usdt-usd": Decimal("0.9993")}


def trades(settings: Settings, pairs: Sequence[str], start_ms: int, seconds: int, per_s: int) -> Iterator[Received]:
    """Yield `per_s` trades a second over all pairs, in the order in which they are received."""
    random = Random(1)
    venues = {pair: sorted(exchange.value for exchange in settings.pairs[pair].symbols) for pair in pairs}
    for number in range(seconds * per_s):
        at_ms = start_ms + number * 1000 // per_s
        pair = pairs[number % len(pairs)]
        price = LEVELS[pair] * Decimal(random.randrange(9_990, 10_010)).scaleb(-4)
        volume = Decimal(random.randrange(1, 10**7)).scaleb(-8)
        exchange = random.choice(venues[pair])
        trade = Trade(exchange, "", pair, price, volume, at_ms - random.randrange(200), str(number), Side.BUY)
        yield Received(trade, at_ms)


def fill(settings: Settings, start_ms: int, seconds: int, per_s: int) -> None:
    """Write the streams as if all of it had been recorded since `start_ms`."""
    with connect(settings.redis) as client:
        pipe = client.pipeline(transaction=False)
        for number, received in enumerate(trades(settings, PAIRS, start_ms, seconds, per_s)):
            name = f"{received.received_ms}-{number}"
            pipe.execute_command("XADD", keys.trades(received.trade.pair), name, *encode(received))
            if number % 1000 == 999:
                pipe.execute()
        pipe.execute()


def settled(settings: Settings, start_ms: int, seconds: int, per_s: int) -> list[Settled]:
    """Return what a process would hold that could not store anything."""
    grid, desk = plan.grid(settings), Desk(plan.pace(settings), Rates())
    reference = plan.reference(settings)
    assert reference is not None
    begin = grid.position_at(start_ms)
    desk.reference = Reference(reference, grid, grid.belongs_to(begin.instant_ms))
    desk.seats = {pair: Seat(PairPricer(plan.market(settings, pair), grid, begin), (), 1) for pair in PAIRS}
    for number, received in enumerate(trades(settings, PAIRS, start_ms, seconds, per_s)):
        entry = _entry(received, number)
        desk.seats[received.trade.pair].pricer.feed(entry)
        if received.trade.pair == reference.pair:
            desk.reference.pricer.feed(entry)
    for pricer in [desk.reference.pricer, *(seat.pricer for seat in desk.seats.values())]:
        pricer.reach(start_ms + seconds * 1000)
    return desk.settle()


def _entry(received: Received, number: int) -> Entry:
    trade = received.trade
    place = (received.received_ms, number)
    return Entry(place, trade.exchange, trade.trade_id, trade.price, trade.volume, trade.timestamp_ms, place[0])


async def outbox(settings: Settings, waiting: list[Settled]) -> float:
    """Return how long storing takes."""
    stored = trio.Event()

    async def acknowledged(_: object) -> None:
        stored.set()

    async with Database(settings.database) as db, trio.open_nursery() as nursery:
        for pair in PAIRS:
            await commits.claim(db, pair, 1, waiting[0].since)
        box = Outbox(partial(history.commit, db), acknowledged)
        began_s = trio.current_time()
        box.put(waiting)
        nursery.start_soon(box.run)
        assert await box.flushed(PAIRS, 600)
        spent_s = trio.current_time() - began_s
        nursery.cancel_scope.cancel()
    return spent_s


async def restarted(settings: Settings, end_ms: int) -> float:
    """Return how long an aggregator takes from its start until everything up to `end_ms` is stored."""
    stopping, spent_s = trio.Event(), 0.0
    send, receive = trio.open_memory_channel[frozenset[str]](1)
    await send.send(frozenset(PAIRS))

    async def nothing(*_: object) -> None:
        await trio.lowlevel.checkpoint()

    duties = Duties("bench", stopping, nothing, receive, nothing, lambda _: None, lambda *_: None, lambda *_: None)
    async with Database(settings.database) as db, trio.open_nursery() as nursery:
        began_s = trio.current_time()
        nursery.start_soon(serve, settings, duties)
        while spent_s == 0.0:
            await trio.sleep(0.05)
            reached = await commits.checkpoints(db, PAIRS)
            if len(reached) == len(PAIRS) and all(int(each.partition("-")[0]) >= end_ms for each in reached.values()):
                spent_s = trio.current_time() - began_s
        stopping.set()
    return spent_s


def position(settings: Settings, at_ms: int) -> None:
    """Let everything up to `at_ms` be stored, and nothing after."""
    with psycopg.connect(**_login(settings), autocommit=True) as connection:
        connection.execute("TRUNCATE price_history, price_history_5min")
        stored = (f"{at_ms - 1}-0", settings.aggregation.lateness_ms)
        connection.execute("UPDATE checkpoint SET stream_id = %s, lateness_ms = %s", stored)


def _login(settings: Settings) -> dict[str, object]:
    at = settings.database
    password = at.password.get_secret_value() if at.password else None
    return {"host": at.host, "port": at.port, "dbname": at.database, "user": at.user, "password": password}


def measure(folder: Path, minutes: int, per_s: int) -> None:
    servers = (RedisServer(folder), PostgresServer(folder))
    for server in servers:
        server.start()
    try:
        settings = Settings(redis=servers[0].settings, database=servers[1].settings)
        migrate.up(settings)
        seconds = minutes * 60
        start_ms = (now_ms() // 10_000 - minutes * 6 - 1) * 10_000 + 2000
        began_s = time.perf_counter()
        waiting = settled(settings, start_ms, seconds, per_s)
        held = len(waiting), len(merged(candle for done in waiting for candle in done.candles))
        print(f"  {minutes} min of {len(PAIRS)} pairs, {per_s} trades/s: {held[0]} instants, {held[1]} candles waiting")
        print(f"  computed in          {time.perf_counter() - began_s:>8.2f} s")
        took_s = trio.run(outbox, settings, waiting)
        print(f"  outbox stored in     {took_s:>8.2f} s   {seconds / took_s:>8.0f} x real time")
        position(settings, start_ms)
        fill(settings, start_ms, seconds, per_s)
        took_s = trio.run(restarted, settings, start_ms + seconds * 1000 - 20_000)
        print(f"  restarted, all again {took_s:>8.2f} s   {seconds / took_s:>8.0f} x real time")
        del waiting
        gc.collect()
        print(f"  peak memory of this process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB")
    finally:
        for server in reversed(servers):
            server.stop()


def main() -> None:
    minutes, per_s = (int(each) for each in (*sys.argv[1:], "10", "100")[:2]) if len(sys.argv) > 2 else (10, 100)
    with tempfile.TemporaryDirectory(prefix="pv-") as folder:
        measure(Path(folder), minutes, per_s)


if __name__ == "__main__":
    main()

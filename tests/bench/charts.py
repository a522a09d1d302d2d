"""Charts: getOHLCV limit 100, never from the cache, over thirty days of candles, at a steady rate.

    python tests/bench/charts.py [--rate 200] [--seconds 10] [--days 30]

One handler with real PostgreSQL and Redis. The calls are sent when they are due, whether or not earlier ones have been
answered, and timed from then; each has another pair, length and page than the one before, and takes no kept answer.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from itertools import product
from pathlib import Path

import trio

sys.path.insert(0, str(Path(__file__).parent))
import api

from priceverse.config.settings import Settings
from priceverse.db import candles, migrate, rollup
from priceverse.db.pool import Database
from priceverse.embedded.postgres import PostgresServer
from priceverse.embedded.redis import RedisServer
from priceverse.embedded.state import StateDir
from priceverse.model.candle import Candle, Interval

CONNECTIONS = 64
PAIRS = ("btc-usd", "eth-usd", "xmr-usd")
MIX = tuple(product(PAIRS, Interval, (0, 100, 500)))


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--rate", type=int, default=200)
    given.add_argument("--seconds", type=int, default=10)
    given.add_argument("--days", type=int, default=30)
    args = given.parse_args()
    with servers() as settings:
        print(f"filling {len(PAIRS)} pairs with {args.days} days of candles", flush=True)
        trio.run(fill, settings, args.days)
        with api.handlers(settings, 1) as (port, pids):
            trio.run(offered, port, args.rate, 1)  # prepares statements
            spent = -api.cpu_s(pids[0]), -postgres_cpu_s()
            took_ms, bad = trio.run(offered, port, args.rate, args.seconds)
            spent = spent[0] + api.cpu_s(pids[0]), spent[1] + postgres_cpu_s()
    took_ms.sort()
    p50, p99 = (took_ms[int(len(took_ms) * share)] for share in (0.5, 0.99))
    handler, postgres = (each * 1000 / len(took_ms) for each in spent)
    print(
        f"getOHLCV {len(took_ms)} calls at {args.rate}/s: p50 {p50:.1f} ms   p99 {p99:.1f} ms (goal 100)   "
        f"worst {took_ms[-1]:.1f} ms   {bad} failed\n"
        f"CPU a call: handler {handler:.2f} ms, PostgreSQL {postgres:.2f} ms   load {os.getloadavg()[0]:.1f}"
    )


def postgres_cpu_s() -> float:
    """Return what the server's processes have used, those that serve a connection among them."""
    return sum(api.cpu_s(pid) for pid in api.below(os.getpid()) if "postgres" in api.command(pid))


@contextmanager
def servers() -> Iterator[Settings]:
    """Start PostgreSQL, migrated, and Redis."""
    with tempfile.TemporaryDirectory(prefix="pv-") as folder:
        path = Path(folder)
        path.chmod(0o711)
        with StateDir(path):
            redis, postgres = RedisServer(path), PostgresServer(path)
            redis.start()
            postgres.start()
            settings = Settings.model_validate(
                {
                    "redis": dict(redis.settings),
                    "database": dict(postgres.settings),
                    "api": {"rate_limit": {"enabled": False}},
                    "supervisor": {"control_socket": str(path / "control.sock")},
                    "logging": {"level": "error"},
                }
            )
            migrate.up(settings)
            yield settings
            postgres.stop()
            redis.stop()


async def fill(settings: Settings, days: int) -> None:
    """Store the candles of a walk, with a hole now and then."""
    step_ms = Interval.FIVE_MINUTES.ms
    newest_ms = time.time_ns() // 1_000_000 // step_ms * step_ms
    count = days * 288
    async with Database(settings.database) as database:
        for pair in PAIRS:
            made = [candle(pair, newest_ms - n * step_ms, n) for n in range(count) if n % 97]
            for at in range(0, len(made), 2000):
                await candles.fill(database, Interval.FIVE_MINUTES, made[at : at + 2000])
        while await rollup.roll_up_stale(database):
            pass
        await database.run(lambda connection: connection.execute("ANALYZE"))


def candle(pair: str, start_ms: int, n: int) -> Candle:
    price, volume = Decimal(60_000 + n * 37 % 1000), Decimal(n % 50 + 1)
    return Candle(
        pair=pair,
        interval=Interval.FIVE_MINUTES,
        start_ms=start_ms,
        open=price,
        high=price + 10,
        low=price - 10,
        close=price + 1,
        volume=volume,
        quote_volume=price * volume,
        trades=100,
        opened_ms=start_ms,
        closed_ms=start_ms + 299_000,
    )


async def offered(port: int, per_s: int, seconds: int) -> tuple[list[float], int]:
    """Send calls when they are due; return how long each took from then, ms, and how many failed."""
    took_ms: list[float] = []
    bad = 0
    send, receive = trio.open_memory_channel[tuple[float, bytes]](per_s * seconds)

    async def serve() -> None:
        nonlocal bad
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            async for due_s, request in receive:
                await stream.send_all(request)
                good = await answered(stream)
                took_ms.append((trio.current_time() - due_s) * 1000)
                bad += not good

    async with trio.open_nursery() as nursery:
        for _ in range(CONNECTIONS):
            nursery.start_soon(serve)
        began_s = trio.current_time()
        for n in range(per_s * seconds):
            due_s = began_s + n / per_s
            await trio.sleep_until(due_s)
            send.send_nowait((due_s, request(n)))
        send.close()
    return took_ms, bad


def request(n: int) -> bytes:
    pair, interval, offset = MIX[n % len(MIX)]
    given = {"pair": pair, "interval": interval.value, "limit": 100, "offset": offset}
    call = {"service": "ChartsService", "method": "getOHLCV", "input": given, "hints": {"cache": {"maxAge": 0}}}
    body = json.dumps(call).encode()
    head = b"POST /netron/invoke HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % len(body) + body


async def answered(stream: trio.SocketStream) -> bool:
    said = b""
    while b"\r\n\r\n" not in said:
        said += await stream.receive_some()
    head, _, body = said.partition(b"\r\n\r\n")
    size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    while len(body) < size:
        body += await stream.receive_some()
    return head.startswith(b"HTTP/1.1 200") and b'"success":true' in body


main()

"""An aggregator is killed with an hour of trades in its streams: when is its successor's first live price out?

Run: `python -m tests.bench.takeover [trades]`, a minute. The hour has 500,000 trades unless told otherwise, 95 of 100
in btc-usd, the others in usdt-usd. A process that owns both pairs is killed and another one started at once, with
trades coming all the time. Prints when, after the kill, the next live price of each pair was there, and when the
successor had read everything again, which is when candles and history go on. Both contain the start of the process.
"""

import signal
import subprocess
import sys
import tempfile
import threading
import time
from decimal import Decimal
from pathlib import Path
from random import Random

import redis

from priceverse.aggregator import plan
from priceverse.bus import keys
from priceverse.bus.client import connect
from priceverse.bus.entries import Received, encode
from priceverse.bus.payload import decode
from priceverse.clock import now_ms
from priceverse.config.settings import Settings
from priceverse.db import migrate
from priceverse.embedded.postgres import PostgresServer
from priceverse.embedded.redis import RedisServer
from priceverse.model.exchange import Side
from priceverse.model.trade import Trade

OWNER = Path(__file__).parent.parent / "integration/aggregator/owner.py"
PAIRS = {"btc-usd": Decimal(64_000), "usdt-usd": Decimal(1)}
TRADES, BATCH, HOUR_MS = 500_000, 1000, 3_600_000
WITHIN_S = 120.0


class Market:
    """Trades at random, 95 of 100 in btc-usd."""

    def __init__(self, settings: Settings, client: redis.Redis) -> None:
        self._venues = {pair: sorted(plan.market(settings, pair).quotes) for pair in PAIRS}
        self._client = client
        self._random = Random(1)
        self._number = 0

    def write(self, count: int, from_ms: int, to_ms: int | None = None) -> None:
        """Append trades, spread over a stretch of time, or all at `from_ms` by Redis's clock."""
        pipe = self._client.pipeline(transaction=False)
        for number in range(count):
            at_ms = from_ms + number * (to_ms - from_ms) // count if to_ms else from_ms
            trade = self._trade(at_ms)
            place = f"{at_ms}-{self._number}" if to_ms else "*"
            pipe.execute_command("XADD", keys.trades(trade.pair), place, *encode(Received(trade, at_ms)))
            if len(pipe) >= BATCH:
                pipe.execute()
        pipe.execute()

    def run(self, stop: threading.Event) -> None:
        while not stop.wait(0.02):
            self.write(10, now_ms())

    def _trade(self, at_ms: int) -> Trade:
        self._number += 1
        pair = "btc-usd" if self._random.random() < 0.95 else "usdt-usd"
        price = PAIRS[pair] * Decimal(self._random.randrange(9_990, 10_010)).scaleb(-4)
        volume = Decimal(self._random.randrange(1, 10**6)).scaleb(-6)
        venue = self._random.choice(self._venues[pair])
        return Trade(venue, "", pair, price, volume, at_ms, str(self._number), Side.BUY)


def main() -> None:
    trades = int(sys.argv[1]) if len(sys.argv) > 1 else TRADES
    with tempfile.TemporaryDirectory(prefix="pv-") as folder:
        run(Path(folder), trades)


def run(state: Path, trades: int) -> None:
    state.chmod(0o711)
    servers = RedisServer(state), PostgresServer(state)
    for server in servers:
        server.start()
    try:
        settings = Settings(redis=servers[0].settings, database=servers[1].settings)
        migrate.up(settings)
        with connect(settings.redis) as client, connect(settings.redis) as other:
            measure(settings, client, Market(settings, other), trades)
    finally:
        for server in servers:
            server.stop()


def measure(settings: Settings, client: redis.Redis, market: Market, trades: int) -> None:
    market.write(trades, now_ms() - HOUR_MS, now_ms())
    stop = threading.Event()
    thread = threading.Thread(target=market.run, args=(stop,))
    thread.start()
    owners = [start(settings)]
    try:
        listen(owners[0])
        priced(client, now_ms())
        time.sleep(15)  # a commit or two
        killed_ms = now_ms()
        owners[0].send_signal(signal.SIGKILL)
        owners.append(start(settings))
        for pair, at_ms in priced(client, killed_ms).items():
            print(f"  live price of {pair:<9} {(at_ms - killed_ms) / 1000:>6.2f} s after the kill")
        listen(owners[1])
        print(f"  all read again          {(now_ms() - killed_ms) / 1000:>6.2f} s after the kill")
    finally:
        for owner in owners:
            owner.kill()
            owner.wait()
        stop.set()
        thread.join()


def start(settings: Settings) -> "subprocess.Popen[bytes]":
    given = settings.model_dump_json(context={"secrets": True})
    command = [sys.executable, str(OWNER), given, *PAIRS]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def listen(owner: "subprocess.Popen[bytes]") -> None:
    assert owner.stdout is not None
    assert owner.stdout.readline() == b"owning\n"


def priced(client: redis.Redis, since_ms: int) -> dict[str, int]:
    """Wait for prices computed after `since_ms`; return when they were there."""
    found: dict[str, int] = {}
    deadline_s = time.monotonic() + WITHIN_S
    while len(found) < len(PAIRS) and time.monotonic() < deadline_s:
        for pair in PAIRS.keys() - found.keys():
            payload = client.get(f"price:{pair}")
            if payload and decode(payload).computed_ms > since_ms:
                found[pair] = now_ms()
        time.sleep(0.01)
    return found


if __name__ == "__main__":
    main()

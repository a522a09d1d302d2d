"""From a trade that was received to the live price that contains it, in Redis and on the channel.

Run: `python -m tests.bench.live [seconds]`, 30 s of trades unless told otherwise. An aggregator in a process of its
own, 500 trades a second in two pairs, all of them timed: until the first announcement of btc-usd whose newest trade is
as new, and until the key could be read with it. Prints p50, p99 and the longest, beside the goal.
"""

import signal
import sys
import tempfile
import threading
import time
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path

from priceverse.bus import keys
from priceverse.bus.client import connect
from priceverse.bus.payload import decode
from priceverse.clock import now_ms
from priceverse.config.settings import Settings
from priceverse.db import migrate
from priceverse.embedded.postgres import PostgresServer
from priceverse.embedded.redis import RedisServer
from tests.bench.takeover import Market, listen, start

PAIR = "btc-usd"
SECONDS = 30.0
EVERY_S, AT_ONCE = 0.01, 5
GOAL_MS = 400

Seen = tuple[int, int]
"""The time of a price's newest trade, and when it was seen; ms."""


class Listener:
    """Notes when prices are announced, and when the key has them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.announced: list[Seen] = []
        self.readable: list[Seen] = []

    def run(self, stop: threading.Event) -> None:
        with connect(self._settings.redis) as client, client.pubsub(ignore_subscribe_messages=True) as channel:
            channel.subscribe(keys.price(PAIR))
            while not stop.is_set():
                message = channel.get_message(timeout=0.1)
                if message is None:
                    continue
                self.announced.append((decode(message["data"]).as_of_ms, now_ms()))
                stored = client.get(keys.price(PAIR))
                self.readable.append((decode(stored).as_of_ms, now_ms()))


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    with tempfile.TemporaryDirectory(prefix="pv-") as folder:
        run(Path(folder), seconds)


def run(state: Path, seconds: float) -> None:
    state.chmod(0o711)
    servers = RedisServer(state), PostgresServer(state)
    for server in servers:
        server.start()
    try:
        settings = Settings(redis=servers[0].settings, database=servers[1].settings)
        migrate.up(settings)
        measure(settings, seconds)
    finally:
        for server in servers:
            server.stop()


def measure(settings: Settings, seconds: float) -> None:
    listener, stop, sent = Listener(settings), threading.Event(), []
    thread = threading.Thread(target=listener.run, args=(stop,))
    owner = start(settings)
    try:
        listen(owner)
        thread.start()
        with connect(settings.redis) as client:
            market, until_s = Market(settings, client), time.monotonic() + seconds
            while time.monotonic() < until_s:
                at_ms = now_ms()
                market.write(AT_ONCE, at_ms)
                sent.append(at_ms)
                time.sleep(EVERY_S)
        time.sleep(1)
    finally:
        stop.set()
        thread.join()
        owner.send_signal(signal.SIGKILL)
        owner.wait()
    show("announced", sent, listener.announced)
    show("readable", sent, listener.readable)


def show(name: str, sent: Sequence[int], seen: Sequence[Seen]) -> None:
    """Print how long after they were sent trades were in a price, but for those before the first one."""
    as_of = [each for each, _ in seen]
    waited = sorted(
        seen[place][1] - at_ms
        for at_ms in sent
        if at_ms >= as_of[0] and (place := bisect_left(as_of, at_ms)) < len(seen)
    )
    p50, p99 = (waited[int(len(waited) * share)] for share in (0.5, 0.99))
    print(f"  {name:<10} p50 {p50:>4} ms   p99 {p99:>4} ms   longest {waited[-1]:>4} ms   goal p99 {GOAL_MS} ms")


if __name__ == "__main__":
    main()

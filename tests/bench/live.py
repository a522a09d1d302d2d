"""From a trade to the live price that contains it: in Redis, on the channel, and at a client of the API.

Run: `python -m tests.bench.live [seconds]`, 30 s of trades unless told otherwise, twice. First an aggregator in a
process of its own, 500 trades a second in two pairs, all of them timed: until the first announcement of btc-usd whose
newest trade is as new, and until the key could be read with it. Then a whole instance at 300 trades/s: from the moment
at which the simulator sent a trade's frame, as its ground truth tells, until a client that follows btc-usd over a
WebSocket has such a price; Binance alone trades the pair here, so that a price's time says which trades are in it.
Prints p50, p99 and the longest, beside the goals.
"""

import json
import os
import signal
import socket
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
from priceverse.config.defaults import DEFAULT_PAIRS
from priceverse.config.settings import Settings
from priceverse.db import migrate
from priceverse.embedded.postgres import PostgresServer
from priceverse.embedded.redis import RedisServer
from tests.bench.takeover import Market, listen, start

sys.path.insert(0, str(Path(__file__).parent))  # what the other benches share is beside them
import footprint
import instance
import streams

PAIR = "btc-usd"
SECONDS = 30.0
EVERY_S, AT_ONCE = 0.01, 5
GOAL_MS, CLIENT_GOAL_MS = 400, 500

SETTLE_S = 10
CALL = json.dumps(
    {"id": "s", "service": "PricesService@2.0.0", "method": "streamPrices", "input": {"pairs": [PAIR]}}
).encode()
ALONE = {"PRICEVERSE_PAIRS": json.dumps(DEFAULT_PAIRS | {PAIR: {"symbols": {"binance": "BTCUSDT"}}})}

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
    with tempfile.TemporaryDirectory(prefix="pv-") as folder:
        over_websocket(Path(folder), seconds)


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
    trades = [(at_ms, at_ms) for at_ms in sent]
    show("announced", trades, listener.announced, GOAL_MS)
    show("readable", trades, listener.readable, GOAL_MS)


def over_websocket(folder: Path, seconds: float) -> None:
    """Follow a pair as a client of a whole instance."""
    truth, speed = folder / "truth", f"{footprint.TRADES_PER_S / instance.WALK_PER_S:.2f}"
    words = ("--speed", speed, "--truth", str(truth))
    with instance.instance(folder / "state", *words, env=ALONE) as running:
        footprint.wait_for_price(running)
        time.sleep(SETTLE_S)
        seen = follow(running.api_port, seconds)
    with truth.open("rb") as lines:
        rows = [json.loads(line) for line in lines if b'"BTCUSDT"' in line and b'"binance"' in line]
    sent = [(row["timestamp"], row["sent"]) for row in rows if not row.get("historical")]
    show("WebSocket", sent, seen, CLIENT_GOAL_MS)


def follow(port: int, seconds: float) -> list[Seen]:
    """Return the time of each price that is streamed, and when it was here."""
    seen: list[Seen] = []
    until_s = time.monotonic() + seconds
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.sendall(streams.HANDSHAKE)
        assert client.recv(1 << 16).startswith(b"HTTP/1.1 101"), "no WebSocket"
        client.sendall(b"\x81" + bytes([0x80 | len(CALL)]) + bytes(4) + CALL)  # masked by four zeros
        while time.monotonic() < until_s:
            said, at_ms = client.recv(1 << 16), now_ms()
            seen += [(int(as_of), at_ms) for as_of in streams.TIMESTAMP.findall(said)]
    return seen


def show(name: str, trades: Sequence[tuple[int, int]], seen: Sequence[Seen], goal_ms: int) -> None:
    """Print how long after they were sent trades were in a price, but for those before the first one.

    Of a trade its own time is given, which prices tell, and when it was sent.
    """
    as_of = [each for each, _ in seen]
    waited = sorted(
        seen[place][1] - sent_ms
        for at_ms, sent_ms in trades
        if at_ms >= as_of[0] and (place := bisect_left(as_of, at_ms)) < len(seen)
    )
    p50, p99 = (waited[int(len(waited) * share)] for share in (0.5, 0.99))
    print(
        f"  {name:<10} p50 {p50:>4} ms   p99 {p99:>4} ms   longest {waited[-1]:>4} ms   goal p99 {goal_ms} ms   "
        f"{len(waited):,} trades, load {os.getloadavg()[0]:.1f}",
        flush=True,
    )


if __name__ == "__main__":
    main()

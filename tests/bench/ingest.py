"""Frames of a TLS WebSocket to trades: our link and adapters beside cryptofeed, on the same frames, core and run.

Run: `python tests/bench/ingest.py [--frames 100000] [--rounds 3] [--python PYTHON | --peer PYTHON] [VENUE …]`. The
frames are the captured ones of `../shared/wire` (else our own of `tests/frames`) that hold trades, over and over, one
TLS record each, sent as fast as they are taken (many records a system call: the server must not be the bottleneck).
Both clients are pinned to one core, the server to another; each venue's rounds take turns. Prints per venue the
processor time a trade cost each (the median round), and the ratio.

cryptofeed runs with uvloop in a throw-away environment made by `--python` in a temporary folder, unless `--peer` names
an interpreter that has it. It uses its own connection, connection handler, feed and callback; only its symbol table and
KuCoin's token, which it would fetch, are set by hand. Version 3 wants Python 3.13; ours is 3.11 and gets version 2.
Where cryptofeed speaks another dialect of a venue than we do it gets the same trades, as many a frame, in its own:
Binance's `aggTrade`, Coinbase's Advanced Trade; version 2 Kraken's first API, version 3 KuCoin's unified push. The goal
is a ratio of 2 on every venue, exit 1 below it; Kraken's first API has neither ids nor dates and proves nothing.
"""

import argparse
import json
import multiprocessing
import os
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from socket import create_server, socket
from typing import TypeVar

T = TypeVar("T")
Dialect = Callable[[Sequence], object]

ROOT = Path(__file__).resolve().parent.parent.parent
HOST = "127.0.0.1"
VENUES = ("binance", "kraken", "coinbase", "okx", "bybit", "kucoin")
PATHS = {"okx": "/ws/v5/public", "bybit": "/v5/public/spot"}
TIMEOUT_S = 60.0
GOAL = 2.0
BATCH = 100


# --- the server


def frames_of(venue: str, dialect: Dialect | None = None) -> tuple[dict[str, str], list[bytes], list[bytes], int]:
    """Return the symbol map, the frames that hold nothing but trades of its symbols, and how many trades those are.

    The second list are the same trades in the other dialect.
    """
    from priceverse.exchanges.registry import ADAPTERS
    from priceverse.model.exchange import Exchange
    from priceverse.model.trade import Trade

    shared = ROOT / "../shared/wire"
    folder = shared if shared.exists() else ROOT / "tests/frames"
    symbols = json.loads((folder / f"{venue}.symbols.json").read_text())
    adapter = ADAPTERS[Exchange(venue)](symbols)
    found, retold, trades = [], [], 0
    for frame in (folder / f"{venue}.jsonl").read_bytes().splitlines():
        items = adapter.receive(frame)
        if all(isinstance(item, Trade) for item in items):
            found.append(frame)
            retold.append(json.dumps(dialect(items)).encode() if dialect else frame)
            trades += len(items)
    return symbols, found, retold, trades


def agg_trade(trades: Sequence) -> dict:
    [trade] = trades
    number, symbol, at_ms = int(trade.trade_id), trade.symbol, trade.timestamp_ms
    row = {"e": "aggTrade", "E": at_ms, "s": symbol, "a": number, "p": str(trade.price), "q": str(trade.volume)}
    row |= {"f": number, "l": number, "T": at_ms, "m": trade.side == "sell", "M": True}
    return {"stream": f"{symbol.lower()}@aggTrade", "data": row}


def kraken_v1(trades: Sequence) -> list:
    times = [f"{trade.timestamp_ms // 1000}.{trade.timestamp_ms % 1000:03}000" for trade in trades]
    rows = [
        [str(trade.price), str(trade.volume), at, str(trade.side)[0], "l", ""]
        for trade, at in zip(trades, times, strict=True)
    ]
    return [337, rows, "trade", trades[0].symbol]


def advanced_trade(trades: Sequence) -> dict:
    from priceverse.clock import iso_ms

    [trade] = trades
    at, amounts = iso_ms(trade.timestamp_ms), {"price": str(trade.price), "size": str(trade.volume)}
    row = {"trade_id": trade.trade_id, "product_id": trade.symbol, **amounts, "side": trade.side.upper(), "time": at}
    events = [{"type": "update", "trades": [row]}]
    return {"channel": "market_trades", "client_id": "", "timestamp": at, "sequence_num": 0, "events": events}


def unified(trades: Sequence) -> dict:
    [trade] = trades
    at_ns, amounts = trade.timestamp_ms * 1_000_000, {"p": str(trade.price), "q": str(trade.volume)}
    row = {"E": 1, "M": at_ns, "S": str(trade.side), **amounts, "s": trade.symbol, "ti": trade.trade_id}
    return {"T": "trade.SPOT", "P": at_ns, "d": row}


def dialects(python: str) -> dict[str, Dialect]:
    """Return how the cryptofeed of an interpreter wants to be told a venue's trades, where not as we are."""
    asked = "from importlib.metadata import version; print(version('cryptofeed'))"
    version = subprocess.run([python, "-c", asked], check=True, capture_output=True, text=True).stdout
    both = {"binance": agg_trade, "coinbase": advanced_trade}
    return both | ({"kraken": kraken_v1} if version.startswith("2.") else {"kucoin": unified})


def serve(listener: socket, tls: tuple[str, str], frames: list[bytes], count: int) -> None:
    """Shake hands with one client and send it so many frames."""
    import wsproto
    from wsproto.events import AcceptConnection, Request

    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    plain, _ = listener.accept()
    stream = Records(plain, *tls)
    websocket = wsproto.WSConnection(wsproto.ConnectionType.SERVER)
    while not any(isinstance(event, Request) for event in websocket.events()):
        websocket.receive_data(stream.read())
    stream.write([websocket.send(AcceptConnection())])
    messages = [_message(frame) for frame in frames]
    try:
        for first in range(0, count, BATCH):
            stream.write([messages[number % len(messages)] for number in range(first, min(count, first + BATCH))])
        plain.recv(1)
    except OSError:
        return


class Records:
    """TLS over a socket, one record per message, many of them in one write."""

    def __init__(self, plain: socket, certificate: str, key: str) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._plain = plain
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._when_read(self._tls.do_handshake)

    def read(self) -> bytes:
        return self._when_read(lambda: self._tls.read(65536))

    def write(self, messages: list[bytes]) -> None:
        for message in messages:
            self._tls.write(message)
        self._plain.sendall(self._outgoing.read())

    def _when_read(self, work: Callable[[], T]) -> T:
        while True:
            try:
                done = work()
            except ssl.SSLWantReadError:
                self._plain.sendall(self._outgoing.read())
                self._incoming.write(self._plain.recv(65536))
            else:
                self._plain.sendall(self._outgoing.read())
                return done


def _message(payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return b"\x81" + bytes((size,)) + payload
    return (
        b"\x81\x7e" + size.to_bytes(2, "big") + payload
        if size < 65536
        else b"\x81\x7f" + size.to_bytes(8, "big") + payload
    )


# --- the clients: each prints one JSON object


class Meter:
    """Counts trades; `done` once there are enough."""

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.trades = 0
        self.since: tuple[float, float] | None = None

    def count(self, trades: int = 1) -> bool:
        if self.since is None:
            self.since = (time.process_time(), time.monotonic())
        self.trades += trades
        return self.trades >= self.wanted

    def report(self) -> str:
        assert self.since is not None
        used_s, took_s = time.process_time() - self.since[0], time.monotonic() - self.since[1]
        return json.dumps({"trades": self.trades, "used_s": used_s, "took_s": took_s})


def ours(venue: str, url: str, ca: str, symbols: dict[str, str], wanted: int) -> None:
    """Read with our link and adapter."""
    import trio

    from priceverse.exchanges.registry import ADAPTERS
    from priceverse.model.exchange import Exchange
    from priceverse.model.trade import Trade
    from priceverse.net.tls import client_context
    from priceverse.net.websocket import LinkLimits, open_link

    async def read() -> None:
        receive, meter = ADAPTERS[Exchange(venue)](symbols).receive, Meter(wanted)
        async with trio.open_nursery() as nursery:
            link = await open_link(nursery, url, LinkLimits(10.0, 1 << 20), client_context(url, Path(ca)))
            async for frames in link:
                trades = [item for frame in frames for item in receive(frame) if type(item) is Trade]
                if meter.count(len(trades)):
                    break
            print(meter.report())
            nursery.cancel_scope.cancel()

    trio.run(read)


def peers(venue: str, url: str, ca: str, symbols: dict[str, str], wanted: int) -> None:
    """Read with cryptofeed."""
    import asyncio
    import inspect

    import uvloop
    from cryptofeed import exchanges
    from cryptofeed.callback import TradeCallback
    from cryptofeed.connection import WSAsyncConn
    from cryptofeed.connection_handler import ConnectionHandler
    from cryptofeed.defines import TRADES
    from cryptofeed.symbols import Symbols

    names = {"binance": "Binance", "kraken": "Kraken", "coinbase": "Coinbase", "okx": "OKX", "bybit": "Bybit"}
    feed_class = getattr(exchanges, names.get(venue, "KuCoin"))
    standard = {_standard(symbol): symbol for symbol in symbols}
    Symbols.set(feed_class.id, _table(venue, standard), {"instrument_type": dict.fromkeys(standard, "spot")})
    feed_class.http_sync = Token()
    meter = Meter(wanted)

    async def read() -> None:
        done = asyncio.Event()

        async def heard(trade: object, receipt_timestamp: float) -> None:
            if meter.count():
                done.set()

        feed = feed_class(symbols=list(standard), channels=[TRADES], callbacks={TRADES: TradeCallback(heard)})
        options = {
            "ssl": ssl.create_default_context(cafile=ca),
            "ping_interval": 10,
            "max_size": None,
            "max_queue": None,
        }
        connection = WSAsyncConn(url, feed.id, **options)

        async def nothing(_: object) -> None: ...

        roles = {"conn": connection, "subscribe": nothing, "handler": feed.message_handler, "authenticate": nothing}
        wanted_roles = inspect.signature(ConnectionHandler).parameters  # before version 3 it authenticates, too
        roles = {role: by for role, by in roles.items() if role in wanted_roles}
        handler = ConnectionHandler(**roles, retries=0, timeout=-1)
        run = handler.run if hasattr(handler, "run") else handler._create_connection  # 3 and 2
        reading = asyncio.ensure_future(run())
        await done.wait()
        reading.cancel()
        print(meter.report(), flush=True)
        os._exit(0)

    uvloop.install()
    asyncio.run(read())


class Token:
    """KuCoin's reply to whom asks for a token; what it says is not used."""

    def write(self, *_: object, **__: object) -> dict:
        server = {"endpoint": "wss://127.0.0.1", "pingInterval": 18000}
        return {"code": "200000", "data": {"token": "none", "instanceServers": [server]}}


def _standard(symbol: str) -> str:
    """Return a symbol as cryptofeed would call it."""
    for quote in ("USDT", "USDC", "USD"):
        if symbol.endswith(quote):
            return f"{symbol.removesuffix(quote).rstrip('-/')}-{quote}"
    return f"{symbol[:3]}-{symbol[3:].lstrip('-/')}"


def _table(venue: str, standard: dict[str, str]) -> dict[str, str]:
    """Return the venue's names by cryptofeed's own: Bybit's spot markets carry a slash there."""
    return {name: name.replace("-", "/") for name in standard} if venue == "bybit" else standard


# --- both


def run(python: str, who: str, venue: str, ca: tuple[str, str, str], plan: tuple) -> dict:
    """Let one client read from a server of its own; return what it reports."""
    symbols, frames, count, wanted = plan
    *server, authority = ca
    with create_server((HOST, 0)) as listener:
        url = f"wss://{HOST}:{listener.getsockname()[1]}{PATHS.get(venue, '/')}"
        source = multiprocessing.get_context("fork").Process(
            target=serve, args=(listener, tuple(server), frames, count)
        )
        source.start()
        told = json.dumps([venue, url, authority, symbols, wanted])
        try:
            done = subprocess.run(
                [python, __file__, who, told], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
            )
        finally:
            source.kill()
            source.join()
    if done.returncode or not done.stdout:
        raise SystemExit(f"{who} {venue}: {done.stderr[-2000:]}")
    return json.loads(done.stdout)


def certificate(folder: Path) -> tuple[str, str, str]:
    """Write a certificate for loopback, its key and its authority."""
    import trustme

    ca = trustme.CA()
    issued = ca.issue_cert(HOST)
    paths = [folder / name for name in ("server.pem", "server.key", "ca.pem")]
    for path, pem in zip(paths, (issued.cert_chain_pems[0], issued.private_key_pem, ca.cert_pem), strict=True):
        pem.write_to_path(str(path))
    return tuple(map(str, paths))


def environment(python: str, folder: Path) -> str:
    """Make an environment with cryptofeed and return its interpreter."""
    subprocess.run([python, "-m", "venv", str(folder)], check=True)
    peer = str(folder / "bin/python")
    subprocess.run([peer, "-m", "pip", "install", "-q", "cryptofeed", "uvloop"], check=True, stderr=subprocess.DEVNULL)
    return peer


def main() -> int:
    sys.path.insert(0, str(ROOT))
    if sys.argv[1:2] in (["--ours"], ["--theirs"]):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        (ours if sys.argv[1] == "--ours" else peers)(*json.loads(sys.argv[2]))
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--python", default=sys.executable, help="an interpreter to give cryptofeed an environment")
    parser.add_argument("--peer", help="an interpreter that has cryptofeed and uvloop")
    parser.add_argument("venues", nargs="*", metavar="VENUE", default=VENUES)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pv-") as name:
        folder = Path(name)
        python, tls = options.peer or environment(options.python, folder / "peer"), certificate(folder)
        speaks = dialects(python)
        print(
            f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; µs of processor a trade; goal {GOAL:g}"
        )
        worst = GOAL
        for venue in options.venues:
            symbols, frames, retold, trades = frames_of(venue, speaks.get(venue))
            count = options.frames // len(frames) * len(frames)
            wanted = count // len(frames) * trades * 99 // 100
            rounds: dict[str, list[float]] = {"--ours": [], "--theirs": []}
            for _ in range(options.rounds):
                for who, found in rounds.items():
                    interpreter, told = (sys.executable, frames) if who == "--ours" else (python, retold)
                    seen = run(interpreter, who, venue, tls, (symbols, told, count, wanted))
                    found.append(seen["used_s"] / seen["trades"] * 1e6)
            mine, theirs = (statistics.median(found) for found in rounds.values())
            note = "" if speaks.get(venue) is not kraken_v1 else "   (without ids and dates: not held to the goal)"
            worst = worst if note else min(worst, theirs / mine)
            print(
                f"{venue:8} {trades / len(frames):5.2f} trades a frame  ours {mine:6.2f} ({1e6 / mine:9,.0f}/s a core) "
                f"cryptofeed {theirs:6.2f} ({1e6 / theirs:9,.0f}/s)   ratio {theirs / mine:5.2f}{note}",
                flush=True,
            )
    return 0 if worst >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())

"""Frames of a TLS WebSocket to trades: our link and adapters beside cryptofeed, on the same frames, core and run.

Run: `python tests/bench/ingest.py [--frames 100000] [--rounds 3] [--peer PYTHON]`. The frames are the captured ones of
`../shared/wire` (else our own of `tests/frames`) that hold trades, over and over, one TLS record each, sent as fast as
they are taken (many records a system call: the server must not be the bottleneck). Both clients are pinned to one core,
the server to another; each venue's rounds take turns. Prints per venue the processor time a trade cost each (the median
round), and the ratio.

cryptofeed runs with uvloop in a throw-away environment made in a temporary folder, unless `--peer` names an interpreter
that has it. It uses its own connection, connection handler, feed and callback; only its symbol table and KuCoin's
token, which it would fetch, are set by hand. The venues are those whose frames both read the same way:
OKX, Bybit, KuCoin.
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
from collections.abc import Callable
from pathlib import Path
from socket import create_server, socket
from typing import TypeVar

T = TypeVar("T")

ROOT = Path(__file__).resolve().parent.parent.parent
HOST = "127.0.0.1"
VENUES = ("okx", "bybit", "kucoin")
PATHS = {"okx": "/ws/v5/public", "bybit": "/v5/public/spot", "kucoin": "/ws/"}
BATCH = 100


# --- the server


def frames_of(venue: str) -> tuple[dict[str, str], list[bytes], int]:
    """Return the symbol map, the frames that hold nothing but trades of its symbols, and how many trades those are."""
    from priceverse.exchanges.registry import ADAPTERS
    from priceverse.model.exchange import Exchange
    from priceverse.model.trade import Trade

    shared = ROOT / "../shared/wire"
    folder = shared if shared.exists() else ROOT / "tests/frames"
    symbols = json.loads((folder / f"{venue}.symbols.json").read_text())
    adapter = ADAPTERS[Exchange(venue)](symbols)
    found, trades = [], 0
    for frame in (folder / f"{venue}.jsonl").read_bytes().splitlines():
        items = adapter.receive(frame)
        if all(isinstance(item, Trade) for item in items):
            found.append(frame)
            trades += len(items)
    return symbols, found, trades


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

    import uvloop
    from cryptofeed import exchanges
    from cryptofeed.callback import TradeCallback
    from cryptofeed.connection import WSAsyncConn
    from cryptofeed.connection_handler import ConnectionHandler
    from cryptofeed.defines import TRADES
    from cryptofeed.symbols import Symbols

    feed_class = {"okx": exchanges.OKX, "bybit": exchanges.Bybit, "kucoin": exchanges.KuCoin}[venue]
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

        handler = ConnectionHandler(connection, nothing, feed.message_handler, nothing, 0, timeout=-1)
        handler.start(asyncio.get_running_loop())
        await done.wait()
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
    return (
        symbol
        if "-" in symbol
        else next(
            f"{symbol.removesuffix(quote)}-{quote}" for quote in ("USDT", "USDC", "USD") if symbol.endswith(quote)
        )
    )


def _table(venue: str, standard: dict[str, str]) -> dict[str, str]:
    """Return cryptofeed's own names: Bybit's spot markets carry a slash there."""
    return {name: name.replace("-", "/") for name in standard} if venue == "bybit" else standard


# --- both


def run(python: str, who: str, venue: str, ca: tuple[str, str, str], plan: tuple) -> dict:
    """Let one client read from a server of its own; return what it reports."""
    symbols, frames, count, wanted = plan
    *server, authority = ca
    with create_server((HOST, 0)) as listener:
        url = f"wss://{HOST}:{listener.getsockname()[1]}{PATHS[venue]}"
        source = multiprocessing.get_context("fork").Process(
            target=serve, args=(listener, tuple(server), frames, count)
        )
        source.start()
        told = json.dumps([venue, url, authority, symbols, wanted])
        try:
            done = subprocess.run(
                [python, __file__, who, told], capture_output=True, text=True, timeout=300, check=False
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


def environment(folder: Path) -> str:
    """Make an environment with cryptofeed and return its interpreter."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = str(folder / "bin/python")
    subprocess.run([python, "-m", "pip", "install", "-q", "cryptofeed", "uvloop"], check=True)
    return python


def main() -> None:
    sys.path.insert(0, str(ROOT))
    if sys.argv[1:2] in (["--ours"], ["--theirs"]):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        (ours if sys.argv[1] == "--ours" else peers)(*json.loads(sys.argv[2]))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer", help="an interpreter that has cryptofeed and uvloop")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pv-") as name:
        folder = Path(name)
        python, tls = options.peer or environment(folder / "peer"), certificate(folder)
        print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; µs of processor a trade")
        for venue in VENUES:
            symbols, frames, trades = frames_of(venue)
            count = options.frames // len(frames) * len(frames)
            plan = (symbols, frames, count, count // len(frames) * trades * 99 // 100)
            rounds: dict[str, list[float]] = {"--ours": [], "--theirs": []}
            for _ in range(options.rounds):
                for who, found in rounds.items():
                    seen = run(sys.executable if who == "--ours" else python, who, venue, tls, plan)
                    found.append(seen["used_s"] / seen["trades"] * 1e6)
            mine, theirs = (statistics.median(found) for found in rounds.values())
            print(
                f"{venue:8} {trades / len(frames):5.2f} trades a frame  ours {mine:6.2f} ({1e6 / mine:9,.0f}/s a core) "
                f"cryptofeed {theirs:6.2f} ({1e6 / theirs:9,.0f}/s)   ratio {theirs / mine:4.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()

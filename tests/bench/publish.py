"""One collector process from the exchange's TLS socket to the Redis stream: trades per second, and how late they are.

Run: `python tests/bench/publish.py [--seconds 10] [--rate 1000]`. An exchange on loopback sends Binance frames, one
trade and one TLS record each, as Binance does: first as fast as they are taken, then `--rate` a second. Prints the
trades per second that reached the stream and the processor time that each cost, then the time from the trade to its
entry in the stream (the entry's own id, Redis's clock; all three processes share this machine's).

The exchange and Redis (Valkey) run beside the collector on the same cores, and take from it what they need.
"""

import argparse
import multiprocessing
import os
import resource
import ssl
import sys
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from socket import IPPROTO_TCP, TCP_NODELAY, create_server, socket

import trio
import trustme
import wsproto
from wsproto.events import AcceptConnection, Request

from priceverse import log
from priceverse.bus import keys
from priceverse.bus.client import connect
from priceverse.collector.ledger import Ledger
from priceverse.collector.serve import Duties, serve
from priceverse.config.settings import Settings
from priceverse.embedded.redis import RedisServer
from priceverse.embedded.state import StateDir
from priceverse.model.exchange import Exchange

HOST = "127.0.0.1"
BEGIN_S = 1.0
FRAME = (
    '{"stream":"btcusdt@trade","data":{"e":"trade","E":%d,"s":"BTCUSDT","t":%d,"p":"61837.63000000","q":"0.02000000",'
    '"T":%d,"m":true,"M":true}}'
)


# --- the exchange


def exchange(listener: socket, tls: tuple[str, str], rate: int, seconds: float) -> None:
    """Serve one client: `rate` trades a second, 0 for as many as it takes."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*tls)
    plain, _ = listener.accept()
    plain.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)  # as servers of WebSockets do: a frame leaves when it is made
    stream = context.wrap_socket(plain, server_side=True)
    websocket = wsproto.WSConnection(wsproto.ConnectionType.SERVER)
    while not any(isinstance(event, Request) for event in websocket.events()):
        websocket.receive_data(stream.recv(65536))
    stream.sendall(websocket.send(AcceptConnection()))
    until_s = time.monotonic() + seconds
    try:
        for number in _paced(rate, until_s) if rate else _unpaced(until_s):
            now = time.time_ns() // 1_000_000
            payload = (FRAME % (now, number, now)).encode()
            stream.sendall(b"\x81\x7e" + len(payload).to_bytes(2, "big") + payload)
        time.sleep(2)
    except OSError:
        return


def _unpaced(until_s: float) -> Iterator[int]:
    number = 0
    while time.monotonic() < until_s:
        number += 1
        yield number


def _paced(rate: int, until_s: float) -> Iterator[int]:
    begun_s, number = time.monotonic(), 0
    while (now_s := time.monotonic()) < until_s:
        while number < (now_s - begun_s) * rate:
            number += 1
            yield number
        time.sleep(0.001)


# --- the collector


def collector(settings: Settings, seconds: float, result: Connection) -> None:
    """Collect, and send back what was published in the time and what processor time that took."""
    log.configure(level="error", pretty=True, file=sys.stderr)
    trio.run(_collect, settings, seconds, result)


async def _collect(settings: Settings, seconds: float, result: Connection) -> None:
    ledger, stopping = Ledger(Exchange.BINANCE), trio.Event()
    duties = Duties("collector.binance", stopping, trio.lowlevel.checkpoint, lambda _: None)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, settings, Exchange.BINANCE, duties, ledger)
        while not ledger.published:  # noqa: ASYNC110 - the ledger tells nobody
            await trio.sleep(0.01)
        await trio.sleep(BEGIN_S)
        before, used_s, begun_s = ledger.published, _used_s(), time.monotonic()
        await trio.sleep(seconds)
        result.send((ledger.published - before, _used_s() - used_s, time.monotonic() - begun_s))
        stopping.set()


def _used_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


# --- both together


def measure(redis: dict, tls: tuple[str, str, str], rate: int, seconds: float) -> tuple[int, float, float]:
    """Run an exchange and a collector; return trades published, processor seconds, seconds."""
    *server, ca = tls
    fork = multiprocessing.get_context("fork")
    with create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
        venue = {"ws_url": f"wss://{HOST}:{port}", "rest_url": f"https://{HOST}:{port}"}
        settings = Settings.model_validate({"redis": redis, "exchanges": {"tls_ca": ca, "binance": venue}})
        with connect(settings.redis) as client:
            client.flushall()
        receive, send = fork.Pipe(duplex=False)
        source = fork.Process(target=exchange, args=(listener, tuple(server), rate, seconds + 2 * BEGIN_S))
        sink = fork.Process(target=collector, args=(settings, seconds, send))
        source.start()
        sink.start()
        if not receive.poll(seconds + 30):
            raise SystemExit("the collector did not report")
        measured = receive.recv()
        for process in (source, sink):
            process.kill()
            process.join()
    return measured


def lateness_ms(redis: dict) -> list[int]:
    """Return for each entry of the stream how long after its trade it came, in order."""
    late = []
    with connect(Settings.model_validate({"redis": redis}).redis) as client:
        for identifier, fields in client.xrange(keys.trades("btc-usd")):
            late.append(int(identifier.partition(b"-")[0]) - int(fields[fields.index(b"timestamp") + 1]))
    return sorted(late)


def authority(folder: Path) -> tuple[str, str, str]:
    """Write a certificate for loopback, its key and its authority."""
    ca = trustme.CA()
    certificate = ca.issue_cert(HOST)
    paths = [folder / name for name in ("server.pem", "server.key", "ca.pem")]
    pems = (certificate.cert_chain_pems[0], certificate.private_key_pem, ca.cert_pem)
    for path, pem in zip(paths, pems, strict=True):
        pem.write_to_path(str(path))
    return tuple(map(str, paths))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rate", type=int, default=1000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pv-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        tls = authority(folder)
        with StateDir(folder / "state"):
            server = RedisServer(folder / "state")
            server.start()
            try:
                print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
                count, used_s, took_s = measure(dict(server.settings), tls, 0, options.seconds)
                print(
                    f"as fast as it goes: {count / took_s:,.0f} trades/s to the stream over TLS, "
                    f"{used_s / count * 1e6:.1f} µs of processor each: {count / used_s:,.0f} a core and second"
                )
                count, used_s, took_s = measure(dict(server.settings), tls, options.rate, options.seconds)
                late = lateness_ms(dict(server.settings))
                told = ", ".join(
                    f"p{share * 100:g} {late[int(share * (len(late) - 1))]}" for share in (0.5, 0.9, 0.99, 1)
                )
                print(
                    f"at {count / took_s:,.0f} trades/s: exchange → stream, ms: {told}; processor {used_s / took_s:.0%}"
                )
            finally:
                server.stop()


if __name__ == "__main__":
    main()

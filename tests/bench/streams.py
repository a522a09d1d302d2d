"""Streams: how late prices reach many clients of one handler, and what becomes of clients that never read.

    python tests/bench/streams.py [--clients 2000] [--silent 500] [--seconds 15]

One handler on core 0 with a real Redis; 6 pairs are published four times a second. The clients are raw WebSockets in
this process: what arrives is timed against the moment of publishing that stands in each event, on the same clock.
`--sse` takes server-sent events instead. The silent clients have small buffers and read nothing at all.
"""

import argparse
import json
import os
import re
import select
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import api

HANDSHAKE = (
    b"GET /netron/ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
)
SSE = b"GET /stream/prices HTTP/1.1\r\nHost: a\r\n\r\n"
CALL = json.dumps({"id": "s", "service": "PricesService@2.0.0", "method": "streamPrices"}).encode()
STREAM = b"\x81" + bytes([0x80 | len(CALL)]) + bytes(4) + CALL  # masked by four zeros
TIMESTAMP = re.compile(rb'"timestamp":(\d+)')
SETTLE_S = 3.0


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--clients", type=int, default=2000)
    given.add_argument("--silent", type=int, default=500)
    given.add_argument("--seconds", type=float, default=15)
    given.add_argument("--sse", action="store_true")
    args = given.parse_args()
    os.sched_setaffinity(0, {1})
    with api.prices() as settings:
        roomy = settings.model_copy(
            update={"api": settings.api.model_copy(update={"max_connections": args.clients + args.silent + 100})}
        )
        with api.handlers(roomy, 1) as (port, pids):
            print(f"load average {os.getloadavg()[0]:.1f}")
            if args.clients:
                many(port, pids[0], args)
            if args.silent:
                silent(port, pids[0], args)


def many(port: int, pid: int, args: argparse.Namespace) -> None:
    """Follow all pairs with many clients; print how late the events are and what that costs."""
    before = api.rss_mib(pid)
    with streams(port, args.clients, sse=args.sse) as poll:
        heard(poll, SETTLE_S)
        cpu, began = api.cpu_s(pid), time.monotonic()
        late = sorted(heard(poll, args.seconds))
        took = time.monotonic() - began
        grown = api.rss_mib(pid) - before
        cpu = (api.cpu_s(pid) - cpu) / took
    print(
        f"{args.clients} clients: {len(late) / took:,.0f} events/s   "
        f"late p50 {at(late, 0.5)} ms   p99 {at(late, 0.99)} ms   "
        f"worst {late[-1]} ms   handler {cpu:.0%} of a core   RSS +{grown:.0f} MiB"
    )


def silent(port: int, pid: int, args: argparse.Namespace) -> None:
    """Open streams that nobody reads beside some that are read; print when they are gone and how the others fare."""
    time.sleep(1)
    before, most, alone = api.rss_mib(pid), 0.0, files(pid)
    with streams(port, 100, sse=args.sse) as poll, streams(port, args.silent, sse=args.sse, deaf=True):
        began, gone_s, late = time.monotonic(), None, []
        while gone_s is None and time.monotonic() - began < 60:
            late += heard(poll, 0.5)
            most = max(most, api.rss_mib(pid))
            if files(pid) <= alone + 100:  # a client whose window is closed cannot be told; the handler has let it go
                gone_s = time.monotonic() - began
        late.sort()
    said = "NOT all gone after 60 s" if gone_s is None else f"all gone after {gone_s:.1f} s"
    print(
        f"{args.silent} silent clients: {said}   RSS at most +{most - before:.0f} MiB"
        f"   100 others: late p99 {at(late, 0.99)} ms, worst {late[-1]} ms"
    )


@contextmanager
def streams(port: int, count: int, *, sse: bool, deaf: bool = False) -> Iterator["Clients"]:
    """Open `count` streams."""
    clients = Clients()
    opened = []
    for n in range(count):
        opened.append(opened_one(port, sse=sse, deaf=deaf))
        clients.add(opened[-1])
        if not deaf and n % 20 == 0:
            heard(clients, 0.001)  # who is not read for long is dropped
    yield clients
    for client in opened:
        client.close()


def opened_one(port: int, *, sse: bool, deaf: bool) -> socket.socket:
    client = socket.socket()
    client.settimeout(20)
    if deaf:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    client.connect(("127.0.0.1", port))
    if sse:
        client.sendall(SSE)
    else:
        client.sendall(HANDSHAKE)
        assert b" 101 " in client.recv(4096)
        client.sendall(STREAM)
    client.setblocking(False)
    return client


class Clients:
    """All of them, as one thing to wait for."""

    def __init__(self) -> None:
        self.sockets: dict[int, socket.socket] = {}
        self._epoll = select.epoll()

    def add(self, client: socket.socket) -> None:
        self.sockets[client.fileno()] = client
        self._epoll.register(client.fileno(), select.EPOLLIN)

    def poll(self, wait_s: float) -> list[tuple[int, int]]:
        return self._epoll.poll(wait_s, len(self.sockets) + 1)


def heard(clients: Clients, seconds: float) -> list[int]:
    """Read for so long; return how late each event was, ms."""
    late: list[int] = []
    ends = time.monotonic() + seconds
    while (left := ends - time.monotonic()) > 0:
        for fd, _ in clients.poll(left):
            data = clients.sockets[fd].recv(65536)
            assert data, "a stream ended"
            now_ms = time.time_ns() // 1_000_000
            late += [now_ms - int(said) for said in TIMESTAMP.findall(data)]
    return late


def files(pid: int) -> int:
    """Return how many files a process has open, its connections among them."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def at(ordered: list[int], share: float) -> int:
    return ordered[int(len(ordered) * share)]


main()

"""Streams: how late prices reach many clients of one handler, and what becomes of clients that never read.

    python tests/bench/streams.py [--clients 2000] [--silent 500] [--seconds 15]

One handler on core 0 with a real Redis; 6 pairs are published four times a second. The clients are raw WebSockets in
this process, on core 1: what arrives is timed against the moment of publishing that stands in each event, on the same
clock. `--sse` takes server-sent events instead. The silent clients have small buffers and read nothing at all.
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
TIMESTAMP = re.compile(rb'"timestamp":(\d{13})')
"""Whole ones: a few are cut in two by the end of a read."""

READERS = 100
"""Clients that read, beside those that do not."""

GIVE_UP_S = 60.0


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
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
            alone = files(pids[0])
            if args.clients:
                many(port, pids[0], args)
            if args.silent:
                silent(port, pids[0], args, alone)


def many(port: int, pid: int, args: argparse.Namespace) -> None:
    """Follow all pairs with many clients; print how late the events are and what that costs."""
    before = api.rss_mib(pid)
    with streams(port, args.clients, sse=args.sse) as clients:
        clients.begin()
        cpu, own, began = api.cpu_s(pid), time.process_time(), time.monotonic()
        late = clients.read(args.seconds)
        took = time.monotonic() - began
        cpu, own = (api.cpu_s(pid) - cpu) / took, (time.process_time() - own) / took
        grown = api.rss_mib(pid) - before
    print(
        f"{args.clients:,} clients: {len(late) / took:,.0f} events/s, {len(late) / took / args.clients:.1f} each   "
        f"late {shown(late)} (goal: worst 500)   RSS {grown:+.0f} MiB (goal +150)\n"
        f"handler {cpu:.0%} of a core, this client {own:.0%}   load {os.getloadavg()[0]:.1f}",
        flush=True,
    )


def silent(port: int, pid: int, args: argparse.Namespace, alone: int) -> None:
    """Open streams that nobody reads beside some that are read; print when they are gone and how the others fare."""
    give_up = time.monotonic() + GIVE_UP_S
    while files(pid) > alone:
        assert time.monotonic() < give_up, "clients that left are not forgotten"
        time.sleep(0.1)
    before, most, gone_s, late = api.rss_mib(pid), 0.0, None, []
    with streams(port, READERS, sse=args.sse) as readers:
        readers.begin()
        with streams(port, args.silent, sse=args.sse, deaf=True, beside=readers):
            began = time.monotonic()
            while gone_s is None and time.monotonic() - began < GIVE_UP_S:
                late += readers.read(0.25)
                most = max(most, api.rss_mib(pid))
                if files(pid) <= alone + READERS:
                    gone_s = time.monotonic() - began
    said = f"NOT all gone after {GIVE_UP_S:.0f} s" if gone_s is None else f"all gone after {gone_s:.1f} s (goal 10)"
    print(
        f"{args.silent} clients that never read: {said}   RSS {most - before:+.0f} MiB (goal +64)   "
        f"{READERS} others: late {shown(late)} (goal: worst 500)"
    )


class Clients:
    """Many streams read by one loop: what counts is when the bytes come; nobody looks into them."""

    def __init__(self) -> None:
        self._sockets: dict[int, socket.socket] = {}
        self._epoll = select.epoll()

    def add(self, client: socket.socket) -> None:
        self._sockets[client.fileno()] = client
        self._epoll.register(client.fileno(), select.EPOLLIN)

    def begin(self) -> None:
        """Read until every client has heard something."""
        waited_for, give_up = set(self._sockets), time.monotonic() + GIVE_UP_S
        while waited_for:
            assert time.monotonic() < give_up, f"{len(waited_for)} of {len(self._sockets)} clients hear nothing"
            self.read(0.1, waited_for)
        self.read(1.0)

    def read(self, seconds: float, waited_for: set[int] | None = None) -> list[int]:
        """Read for so long; return how late each event was, ms."""
        late: list[int] = []
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            for fd, _ in self._epoll.poll(left, len(self._sockets) + 1):
                data = self._sockets[fd].recv(65536)
                assert data, "a stream ended"
                now_ms = time.time_ns() // 1_000_000
                found = TIMESTAMP.findall(data)
                late += [now_ms - int(said) for said in found]
                if waited_for and found:
                    waited_for.discard(fd)
        return late


@contextmanager
def streams(
    port: int, count: int, *, sse: bool, deaf: bool = False, beside: Clients | None = None
) -> Iterator[Clients]:
    """Open `count` streams, while those that are there and read go on reading."""
    clients = Clients()
    reading = beside or clients
    opened = []
    for n in range(count):
        opened.append(opened_one(port, sse=sse, deaf=deaf))
        clients.add(opened[-1])
        if (beside or not deaf) and n % 10 == 0:
            reading.read(0.001)  # who is not read for long is dropped
    yield clients
    for client in opened:
        client.close()


def opened_one(port: int, *, sse: bool, deaf: bool) -> socket.socket:
    client = socket.socket()
    client.settimeout(20)
    if deaf:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    client.connect(("127.0.0.1", port))
    client.sendall(SSE if sse else HANDSHAKE)
    assert client.recv(4096).startswith((b"HTTP/1.1 101 ", b"HTTP/1.1 200 "))
    if not sse:
        client.sendall(STREAM)
    client.setblocking(False)
    return client


def files(pid: int) -> int:
    """Return how many files a process has open, its connections among them."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def shown(late: list[int]) -> str:
    ordered = sorted(late)
    p50, p99, worst = (ordered[min(int(len(ordered) * share), len(ordered) - 1)] for share in (0.5, 0.99, 1.0))
    return f"p50 {p50} p99 {p99} worst {worst} ms"


if __name__ == "__main__":
    main()

"""SIGTERM to all gone, while 200 clients read nothing of what they asked for.

Run: `python tests/bench/supervision/stop.py [--rounds 3] [--clients 200]`. A whole instance (`priceverse up`). Half of
the clients hold `/stream/prices`, half send calls without end; none ever reads, so what is sent to them fills every
buffer. The limit is the stop deadline of one child (10 s) + 2 s.
"""

import selectors
import signal
import socket
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

from stage import UNLIMITED, gone_within, options, table

from tests.e2e.instance import alive, descendants, eventually, running

LIMIT_S = 10.0 + 2.0
GIVE_UP_S = 90.0
CLOG_S = 4.0  # shorter than the server bears with one that does not read
BODY = b'{"id": "1", "service": "PricesService@2.0.0", "method": "getPrices", "input": {"pairs": ["btc-usd"]}}'
HEAD = "POST /netron/invoke HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n"
CALL = HEAD.format(len(BODY)).encode() + BODY
STREAM = b"GET /stream/prices HTTP/1.1\r\nHost: x\r\n\r\n"


def main() -> None:
    arguments = options(__doc__ or "", rounds=3, clients=200)
    with tempfile.TemporaryDirectory(prefix="stage-") as folder:
        crowds = [0, *[arguments.clients] * arguments.rounds]
        rows = [[size, *measure(Path(folder) / f"state{each}", size)] for each, size in enumerate(crowds)]
    head = ["slow readers", "connected at SIGTERM", "processes", "all gone after, s", "limit, s", "left", "exit code"]
    table("SIGTERM under load with slow readers", head, rows)


def measure(state: Path, clients: int) -> list[object]:
    with running(state, env=UNLIMITED) as instance:
        eventually(lambda: instance.price("btc-usd"), bool, 60)
        with Crowd(int(instance.url.rpartition(":")[2]), clients) as crowd:
            time.sleep(CLOG_S if clients else 0)
            connected, pids = crowd.connected(), descendants(instance.process.pid) | {instance.process.pid}
            begun_s = time.monotonic()
            instance.process.send_signal(signal.SIGTERM)
            reaper = threading.Thread(target=instance.process.wait)
            reaper.start()
            gone_within(pids, GIVE_UP_S)
            took_s = time.monotonic() - begun_s
            left = len(alive(pids))
            reaper.join(1)
        return [connected, len(pids), f"{took_s:.2f}", f"{LIMIT_S:g}", left, instance.process.returncode]


class Crowd:
    """Clients that ask and never read."""

    def __init__(self, port: int, size: int) -> None:
        self._address = ("127.0.0.1", port)
        self._over = threading.Event()
        self._socks = [self._client() for _ in range(size)]
        self._writer = threading.Thread(target=self._write)

    def _client(self) -> socket.socket:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(10)
        sock.connect(self._address)
        sock.setblocking(False)
        return sock

    def __enter__(self) -> Self:
        for sock in self._socks[::2]:
            sock.send(STREAM)
        self._writer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._writer.join()
        for sock in self._socks:
            sock.close()

    def connected(self) -> int:
        """Return how many the server has not hung up on yet."""
        established = 1
        return sum(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO) == established for sock in self._socks)

    def _write(self) -> None:
        """Send calls as fast as they are taken, to every other client."""
        with selectors.DefaultSelector() as selector:
            for sock in self._socks[1::2]:
                selector.register(sock, selectors.EVENT_WRITE)
            while not self._over.wait(0.01) and selector.get_map():
                for key, _ in selector.select(0.1):
                    try:
                        key.fileobj.send(CALL * 10)
                    except BlockingIOError:
                        continue
                    except OSError:  # hung up on
                        with suppress(KeyError):
                            selector.unregister(key.fileobj)


if __name__ == "__main__":
    main()

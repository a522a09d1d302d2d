"""A Redis, a replica of it, and a Sentinel that lets the replica take over when the first has died."""

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from priceverse.config.settings import Redis
from priceverse.embedded import find

PASSWORD = "failover"
SENTINELS_PASSWORD = "watches"
READY_S = 20.0
_COMMON = f"requirepass {PASSWORD}\nmasterauth {PASSWORD}\nappendonly yes\nsave ''\nrepl-diskless-sync-delay 0\n"


class Servers:
    """`settings` name the Sentinel only; `kill` ends whoever was started as the primary."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = _free_ports(3)
        self._started: list[subprocess.Popen[bytes]] = []
        self.settings = Redis.model_validate(
            {
                "sentinels": [f"127.0.0.1:{self._ports[2]}"],
                "sentinel_name": "prices",
                "sentinel_password": SENTINELS_PASSWORD,
                "password": PASSWORD,
            }
        )

    @contextmanager
    def running(self) -> Iterator["Servers"]:
        primary, replica, sentinel = self._ports
        try:
            self._start(primary, _COMMON)
            self._start(replica, f"{_COMMON}replicaof 127.0.0.1 {primary}\n")
            _wait(replica, lambda client: client.info("replication").get("master_link_status") == "up")
            watch = f"sentinel monitor prices 127.0.0.1 {primary} 1\nsentinel auth-pass prices {PASSWORD}\n"
            bounds = "sentinel down-after-milliseconds prices 500\nsentinel failover-timeout prices 5000\n"
            self._start(sentinel, f"requirepass {SENTINELS_PASSWORD}\n{watch}{bounds}", "--sentinel")
            _wait(sentinel, lambda client: len(client.sentinel_slaves("prices")) == 1, SENTINELS_PASSWORD)
            yield self
        finally:
            for process in self._started:
                process.kill()
                process.wait()

    def kill(self) -> None:
        """Kill the primary, and wait until the Sentinel has another."""
        self._started[0].kill()
        self._started[0].wait()
        address = ("127.0.0.1", self._ports[1])
        _wait(
            self._ports[2],
            lambda client: client.sentinel_get_master_addr_by_name("prices") == address,
            SENTINELS_PASSWORD,
        )

    def _start(self, port: int, text: str, *options: str) -> None:
        home = self._folder / str(port)
        home.mkdir()
        file = home / "redis.conf"
        file.write_text(f"port {port}\nbind 127.0.0.1\ndir {home}\nlogfile {home}/log\n{text}", encoding="utf-8")
        self._started.append(subprocess.Popen([find.redis().path, file, *options]))


def _free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports


def _wait(port: int, is_so: Callable[[redis.Redis], bool], password: str = PASSWORD) -> None:
    deadline_s = time.monotonic() + READY_S
    with redis.Redis(
        "127.0.0.1", port, password=password, decode_responses=True, retry=Retry(NoBackoff(), 0)
    ) as client:
        while True:
            try:
                if is_so(client):
                    return
            except redis.ConnectionError:  # not there yet
                pass
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"Redis on port {port}")
            time.sleep(0.05)

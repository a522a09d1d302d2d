"""A Redis Cluster of three masters and a replica, on loopback, that may lose a master."""

import itertools
import random
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.retry import Retry

from priceverse.config.settings import Redis
from priceverse.embedded import find

MASTERS = 3
LOST = 1
"""The master that has a replica, and may be killed."""
READY_S = 30.0
PASSWORD = "cluster"
_COMMON = f"""
bind 127.0.0.1
requirepass {PASSWORD}
masterauth {PASSWORD}
save ''
repl-diskless-sync-delay 0
cluster-enabled yes
cluster-node-timeout 1000
stream-node-max-entries 10
"""


class ClusterServers:
    """`settings` name all nodes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        ports = _free_ports(2 * (MASTERS + 1))
        self._ports, self._bus_ports = ports[::2], ports[1::2]
        self._started: list[subprocess.Popen[bytes]] = []
        self._clients = [_client(port) for port in self._ports]
        self.settings = Redis.model_validate(
            {"mode": "cluster", "cluster_nodes": [f"127.0.0.1:{port}" for port in self._ports], "password": PASSWORD}
        )

    @contextmanager
    def running(self) -> Iterator["ClusterServers"]:
        try:
            for ports in zip(self._ports, self._bus_ports, strict=True):
                self._start(*ports)
            self._join()
            yield self
        finally:
            for process in self._started:
                process.kill()
                process.wait()
            for client in self._clients:
                client.close()

    def kill(self) -> None:
        """Kill a master, and wait until its replica has its slots and all nodes know it."""
        self.lose()
        replica = self._clients[-1]
        _until(lambda: replica.info("replication")["role"] == "master")
        self._until_all_say_ok([client for number, client in enumerate(self._clients) if number != LOST])

    def lose(self) -> None:
        """Kill a master."""
        self._started[LOST].kill()
        self._started[LOST].wait()

    def serve_what_is_left(self) -> None:
        """Let masters go on while another one's slots are nobody's."""
        for client in self._clients:
            client.config_set("cluster-require-full-coverage", "no")

    def move(self, key: str, to: int) -> None:
        """Move a key and its slot to another master."""
        source, target = self._clients[master_of(key)], self._clients[to]
        slot, names = key_slot(key.encode()), [each.execute_command("CLUSTER MYID") for each in (source, target)]
        target.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", names[0])
        source.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", names[1])
        source.migrate("127.0.0.1", self._ports[to], key, 0, 5000, auth=PASSWORD)
        for client in (target, source):
            client.execute_command("CLUSTER SETSLOT", slot, "NODE", names[1])

    def _start(self, port: int, bus_port: int) -> None:
        home = self._folder / str(port)
        home.mkdir(parents=True)
        file = home / "redis.conf"
        places = f"port {port}\ncluster-port {bus_port}\ndir {home}\nlogfile {home}/log\n"
        file.write_text(places + _COMMON, encoding="utf-8")
        self._started.append(subprocess.Popen([find.redis().path, file]))

    def _join(self) -> None:
        """Give each master its third of the slots, and the replica its master, once they know each other."""
        for client in self._clients:
            _until(client.ping)
        for number, client in enumerate(self._clients[:MASTERS]):
            first, beyond = (-(-part * REDIS_CLUSTER_HASH_SLOTS // MASTERS) for part in (number, number + 1))
            client.execute_command("CLUSTER ADDSLOTSRANGE", first, beyond - 1)
            client.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
        for ports in zip(self._ports[1:], self._bus_ports[1:], strict=True):
            self._clients[0].execute_command("CLUSTER MEET", "127.0.0.1", *ports)
        self._until_all_say_ok(self._clients)
        replica = self._clients[-1]
        replica.execute_command("CLUSTER REPLICATE", self._clients[LOST].execute_command("CLUSTER MYID"))
        _until(lambda: replica.info("replication").get("master_link_status") == "up")

    def _until_all_say_ok(self, clients: list[redis.Redis]) -> None:
        for client in clients:
            _until(lambda: self._is_ok(client))  # noqa: B023 - asked right here

    def _is_ok(self, client: redis.Redis) -> bool:
        said: dict[str, Any] = client.execute_command("CLUSTER INFO")
        return said["cluster_state"] == "ok" and int(said["cluster_known_nodes"]) == len(self._ports)


def master_of(key: str) -> int:
    """Return which of the masters is given the slot of a key."""
    return key_slot(key.encode()) * MASTERS // REDIS_CLUSTER_HASH_SLOTS


def _client(port: int) -> redis.Redis:
    return redis.Redis("127.0.0.1", port, password=PASSWORD, decode_responses=True, retry=Retry(NoBackoff(), 0))


def _free_ports(count: int) -> list[int]:
    """Return ports that are free and stay it: below those that outgoing connections get."""
    candidates = random.sample(range(10_000, 30_000), k=10 * count)
    return list(itertools.islice(filter(_is_free, candidates), count))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def _until(is_so: Callable[[], object]) -> None:
    deadline_s = time.monotonic() + READY_S
    while True:
        try:
            if is_so():
                return
        except redis.ConnectionError:  # not there yet
            pass
        if time.monotonic() > deadline_s:
            raise TimeoutError("Redis Cluster")
        time.sleep(0.05)

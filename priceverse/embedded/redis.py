"""A private Redis (or Valkey) server: append-only file, synced every second, nothing evicted.

Everything it is told stands in one file that only its owner can read, so the password is in no process list.
"""

import contextlib
import re
import signal
import socket
from collections.abc import Mapping
from pathlib import Path

from priceverse.embedded import address, find, remains
from priceverse.embedded.account import Account
from priceverse.embedded.errors import ServerFailed
from priceverse.embedded.process import ServerProcess

_PROGRAMS = ("redis-server", "valkey-server")
_READY_S = 30.0
_STOP_S = 10.0
_PROBE_S = 1.0
_ITS_FILES = re.compile("AOF|append only file|RDB")
_SETTINGS = {
    "appendonly": "yes",
    "appendfsync": "everysec",
    "aof-load-truncated": "yes",
    "save": '""',
    "maxmemory": "1gb",
    "maxmemory-policy": "noeviction",
    "client-output-buffer-limit": "pubsub 32mb 8mb 60",
    "daemonize": "no",
    "loglevel": "notice",
}


class RedisServer:
    """A Redis server under `state_dir`/redis; `start` brings back what an earlier one stored there."""

    def __init__(self, state_dir: Path) -> None:
        self._home = state_dir.absolute() / "redis"
        self._socket = self._home / "redis.sock"
        self._process = ServerProcess("Redis", state_dir.absolute() / "log" / "redis.log")

    @property
    def name(self) -> str:
        return self._process.name

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid

    @property
    def settings(self) -> Mapping[str, str | int]:
        """The configuration section `redis` of its clients; known once it was started, by whomever."""
        password = address.password(self._home / "password")
        if address.fits(self._socket):
            return {"unix_socket": str(self._socket), "password": password}
        return {"host": address.LOOPBACK, "port": self._port, "password": password}

    def start(self) -> None:
        """Start it and wait until it answers. Only on the main thread. Raises EmbeddedError."""
        self.prepare()
        self.spawn()
        self.wait_ready()

    def prepare(self) -> None:
        """Make the directory and the configuration file, and see off what an earlier server left behind."""
        self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
        remains.see_off(self._home, _PROGRAMS, signal.SIGTERM)
        address.choose_password(self._home / "password")
        if self.pid is None and not address.fits(self._socket):
            address.choose_port(self._home / "port")
        file = self._home / "redis.conf"
        file.touch(mode=0o600)
        file.write_text("".join(f"{key} {value}\n" for key, value in self._configuration().items()), encoding="utf-8")

    def spawn(self) -> None:
        """Start the process. Only on the main thread."""
        self._socket.unlink(missing_ok=True)
        argv = [str(find.redis().path), str(self._home / "redis.conf")]
        self._process.spawn(argv, Account(), signal.SIGKILL)

    def wait_ready(self) -> None:
        """Wait until it answers a PING, its data loaded."""
        try:
            self._process.wait_until(self._answers, _READY_S)
        except ServerFailed:
            if self.pid is not None or not _ITS_FILES.search(self._process.last_words()):
                raise
            raise ServerFailed(
                f"{find.redis()} cannot read {self._home}, which a newer Redis or Valkey wrote or something damaged: "
                "remove it (it holds the last hour's trades, no history) or choose another state directory"
            ) from None

    def stop(self) -> None:
        """Let it write what it has and end; kill it when that takes too long."""
        self._process.stop(signal.SIGTERM, _STOP_S)

    def _configuration(self) -> Mapping[str, object]:
        where = (
            {"port": 0, "unixsocket": _quoted(self._socket), "unixsocketperm": 700}
            if address.fits(self._socket)
            else {"bind": address.LOOPBACK, "port": self._port}
        )
        return {"dir": _quoted(self._home), "requirepass": self.settings["password"], **where, **_SETTINGS}

    @property
    def _port(self) -> int:
        return address.port(self._home / "port")

    def _answers(self) -> bool:
        is_local = address.fits(self._socket)
        to = str(self._socket) if is_local else (address.LOOPBACK, self._port)
        with socket.socket(socket.AF_UNIX if is_local else socket.AF_INET) as probe, contextlib.suppress(OSError):
            probe.settimeout(_PROBE_S)
            probe.connect(to)
            probe.sendall(f"AUTH {self.settings['password']}\r\nPING\r\n".encode())
            with probe.makefile("rb") as replies:
                return [replies.readline(), replies.readline()] == [b"+OK\r\n", b"+PONG\r\n"]
        return False


def _quoted(path: Path) -> str:
    return '"{}"'.format(str(path).replace("\\", "\\\\").replace('"', '\\"'))

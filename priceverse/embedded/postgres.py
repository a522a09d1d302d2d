"""A private PostgreSQL server: its role `priceverse`, its database `priceverse`, durable, small.

It runs the version that made its data directory. As root it runs as another account (`account`), which then owns
`state_dir`/postgres and nothing else.
"""

import signal
from collections.abc import Mapping
from pathlib import Path

from priceverse.embedded import address, cluster, find
from priceverse.embedded.account import Account, choose
from priceverse.embedded.errors import ServerFailed, ServersMissing
from priceverse.embedded.process import ServerProcess

_READY_S = 60.0
_STOP_S = 15.0
_SOCKET_PORT = 5432
_OPTIONS = {
    "unix_socket_permissions": "0700",
    "shared_buffers": "32MB",
    "max_connections": "100",
    "max_wal_size": "256MB",
    "recovery_init_sync_method": "syncfs",  # after a kill: one call instead of one per file, 0.1 s instead of 2
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    "logging_collector": "off",
    "log_checkpoints": "off",
    "jit": "off",
}


class PostgresServer:
    """A PostgreSQL server under `state_dir`/postgres; `start` makes the database or brings an existing one up.

    `options` are further server settings, for tests.
    """

    def __init__(self, state_dir: Path, options: Mapping[str, str] | None = None) -> None:
        self._state_dir = state_dir.absolute()
        self._home = self._state_dir / "postgres"
        self._data = self._home / "data"
        self._run = self._home / "run"
        self._options = dict(options or {})
        self._process = ServerProcess("PostgreSQL", self._state_dir / "log" / "postgres.log")
        self._program: Path | None = None
        self._account = Account()

    @property
    def name(self) -> str:
        return self._process.name

    @property
    def pid(self) -> int | None:
        """The process id of the postmaster while it runs."""
        return self._process.pid

    @property
    def settings(self) -> Mapping[str, str | int]:
        """The configuration section `database` of its clients; known once it was started, by whomever."""
        password = address.password(self._state_dir / "postgres.password")
        who = {"database": cluster.NAME, "user": cluster.NAME, "password": password}
        if self._is_local:
            return {"host": str(self._run), "port": _SOCKET_PORT, **who}
        return {"host": address.LOOPBACK, "port": self._port, **who}

    def start(self) -> None:
        """Start it and wait until it takes connections. Only on the main thread. Raises EmbeddedError."""
        self.prepare()
        self.spawn()
        self.wait_ready()

    def prepare(self) -> None:
        """Make the data directory if there is none, and see off what an earlier server left behind."""
        self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
        program = _program_for(self._data)
        self._program = program.path
        self._account = choose(self._home, program.path)
        self._account.give(self._home)
        address.choose_password(self._state_dir / "postgres.password")
        if self.pid is None and not self._is_local:
            address.choose_port(self._state_dir / "postgres.port")
        self._run.mkdir(mode=0o700, exist_ok=True)
        self._account.give(self._run)
        if not self._data.exists():
            cluster.create(self._data, program.path, self._account, str(self.settings["password"]))
        cluster.clear_remains(self._data, self._run)

    def spawn(self) -> None:
        """Start the process on the prepared directory. Only on the main thread."""
        if self._program is None:
            raise ServerFailed("PostgreSQL is not prepared")
        argv = [str(self._program), "-D", str(self._data)]
        for key, value in (_OPTIONS | self._listening() | self._options).items():
            argv += ["-c", f"{key}={value}"]
        # SIGQUIT: no checkpoint, so it is gone at once; its log brings everything back at the next start.
        self._process.spawn(argv, self._account, signal.SIGQUIT)

    def wait_ready(self) -> None:
        """Wait until it takes connections, its write-ahead log replayed."""
        self._process.wait_until(lambda: cluster.is_ready(self._data, self._process.pid), _READY_S)

    def stop(self) -> None:
        """End its sessions, checkpoint, stop; kill it when that takes too long."""
        self._process.stop(signal.SIGINT, _STOP_S)

    def _listening(self) -> dict[str, str]:
        if not self._is_local:
            return {"listen_addresses": address.LOOPBACK, "port": str(self._port), "unix_socket_directories": ""}
        folder = '"{}"'.format(str(self._run).replace('"', '""'))
        return {"listen_addresses": "", "port": str(_SOCKET_PORT), "unix_socket_directories": folder}

    @property
    def _is_local(self) -> bool:
        return address.fits(self._run / f".s.PGSQL.{_SOCKET_PORT}")

    @property
    def _port(self) -> int:
        return address.port(self._state_dir / "postgres.port")


def _program_for(data: Path) -> find.Program:
    if not data.exists():
        return find.postgres()
    major = cluster.major(data)
    try:
        return find.postgres(major)
    except ServersMissing:
        here = find.postgres()
        raise ServerFailed(
            f"{data} was made by PostgreSQL {major}, this machine has {here}: "
            f"install PostgreSQL {major} or choose another state directory"
        ) from None

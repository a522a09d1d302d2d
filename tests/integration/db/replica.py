"""A primary and a streaming replica of it: two real servers of the same cluster."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from priceverse.config.settings import Database as DatabaseSettings
from priceverse.embedded.postgres import PostgresServer

FAST = {"fsync": "off", "wal_receiver_timeout": "2s", "wal_retrieve_retry_interval": "100ms"}


class Pair:
    """Both servers; the replica is made from the primary with `pg_basebackup`."""

    def __init__(self, folder: Path) -> None:
        self.primary = PostgresServer(folder / "a", options=FAST)
        self._folder = folder
        self.replica = PostgresServer(folder / "b", options=FAST)

    @property
    def settings(self) -> DatabaseSettings:
        """The primary with the replica for reads: unix sockets are named after their directory."""
        here, there = self.primary.settings, self.replica.settings
        read_hosts = (f"{there['host']}:{there['port']}",)
        return DatabaseSettings.model_validate({**here, "read_hosts": read_hosts, "connect_timeout_s": 2})

    def start(self) -> None:
        self.primary.prepare()
        self._let_replicate()
        self.primary.spawn()
        self.primary.wait_ready()
        self._copy()
        self.replica.start()

    def stop(self) -> None:
        self.replica.stop()
        self.primary.stop()

    def restart_replica(self, options: Mapping[str, str] | None = None) -> None:
        self.replica.stop()
        self.replica = PostgresServer(self._folder / "b", options={**FAST, **(options or {})})
        self.replica.start()

    def _let_replicate(self) -> None:
        """Allow what only a superuser may allow, while nothing runs."""
        data = self.primary._data
        with (data / "pg_hba.conf").open("a", encoding="ascii") as access:
            access.write("local replication all scram-sha-256\nhost replication all 127.0.0.1/32 scram-sha-256\n")
        argv = [str(self.primary._program), "--single", "-D", str(data), "postgres"]
        self._run(argv, text="ALTER ROLE priceverse REPLICATION\n")

    def _copy(self) -> None:
        here = self.primary.settings
        self.replica._home.mkdir(mode=0o700, parents=True)
        self.primary._account.give(self.replica._home)
        program = self.primary._program
        assert program is not None
        argv = [str(program.with_name("pg_basebackup")), "-D", str(self.replica._data), "-R", "-c", "fast"]
        argv += ["-h", str(here["host"]), "-p", str(here["port"]), "-U", str(here["user"])]
        self._run(argv, environment={"PGPASSWORD": str(here["password"])})
        shutil.copy(self._folder / "a/postgres.password", self._folder / "b/postgres.password")

    def _run(self, argv: list[str], text: str = "", environment: Mapping[str, str] | None = None) -> None:
        account = self.primary._account
        done = subprocess.run(
            account.command(argv, "KILL"), input=text, capture_output=True, text=True, timeout=60, cwd="/", check=False,
            env=os.environ | (environment or {}), **account.options(),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

"""How a connection is made from the configuration: where to, as whom, with which bounds."""

from collections.abc import Sequence
from typing import Any

import psycopg

from priceverse.config.settings import Database
from priceverse.db.errors import no_connection

_KEEPALIVE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 15_000}
"""A peer that vanished without a word is noticed within half a minute."""


def place(settings: Database, hosts: Sequence[str] = ()) -> str:
    """Return for people where the database is."""
    return f"{', '.join(hosts) or f'{settings.host}:{settings.port}'}/{settings.database}"


def reading(settings: Database) -> Database:
    """Return how the API connects: as its own role, if there is one, and with its own patience."""
    change: dict[str, object] = {"statement_timeout_ms": settings.read_statement_timeout_ms}
    if settings.read_user is not None:
        change |= {"user": settings.read_user, "password": settings.read_password}
    return settings.model_copy(update=change)


def parameters(
    settings: Database, statement_timeout_ms: int | None = None, hosts: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the arguments of `psycopg.connect`; a statement timeout of 0 is none.

    `hosts`, each `host` or `host:port`, are tried instead of the configured one, in any order, standbys first.
    """
    timeout_ms = settings.statement_timeout_ms if statement_timeout_ms is None else statement_timeout_ms
    session = {
        "statement_timeout": timeout_ms,
        "idle_in_transaction_session_timeout": 60_000,
        "client_connection_check_interval": 1000,  # a statement whose client is gone ends
        "search_path": "public",
        "timezone": "UTC",
    }
    return {
        **(_many(hosts, settings.port) if hosts else {"host": settings.host, "port": settings.port}),
        "dbname": settings.database,
        "user": settings.user,
        "password": settings.password.get_secret_value() if settings.password else None,
        "connect_timeout": settings.connect_timeout_s,
        "application_name": "priceverse",
        "options": " ".join(f"-c {key}={value}" for key, value in session.items()),
        **_tls(settings),
        **_KEEPALIVE,
    }


def connect(settings: Database) -> psycopg.Connection:
    """Open one autocommit connection without statement timeout. Raises DatabaseUnavailable."""
    try:
        return psycopg.connect(**parameters(settings, statement_timeout_ms=0), autocommit=True)
    except psycopg.OperationalError as error:
        raise no_connection(error, place(settings)) from error


def _many(hosts: Sequence[str], port: int) -> dict[str, str]:
    """Return libpq's lists; psycopg does the trying, in its own order."""
    parts = [_host_and_port(each, port) for each in hosts]
    return {
        "host": ",".join(host for host, _ in parts),
        "port": ",".join(port for _, port in parts),
        "target_session_attrs": "prefer-standby",
        "load_balance_hosts": "random",
    }


def _host_and_port(text: str, usual: int) -> tuple[str, str]:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or (":" in host and not host.startswith("[")):
        return text.strip("[]"), str(usual)
    return host.strip("[]"), port


def _tls(settings: Database) -> dict[str, str]:
    if not settings.ssl:
        return {}
    return {"sslmode": "verify-full", "sslrootcert": str(settings.ssl_root_cert or "system")}

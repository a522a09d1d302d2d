"""Whose fault a failing statement is, decided by one table of SQLSTATEs.

What the server, its machine or the way to it does becomes DatabaseUnavailable, with a reason for metrics and a line for
people. Everything else (a constraint, a type, our SQL) is our own mistake and passes through unchanged.
"""

from collections.abc import Mapping
from enum import StrEnum

import psycopg


class Reason(StrEnum):
    """Why PostgreSQL did not do it."""

    AWAY = "away"
    REFUSED = "refused"
    NO_DATABASE = "no_database"
    NO_SCHEMA = "no_schema"
    EXHAUSTED = "exhausted"
    TIMEOUT = "timeout"
    BUSY = "busy"
    DISK_FULL = "disk_full"
    READ_ONLY = "read_only"


class DatabaseUnavailable(Exception):  # noqa: N818 - reads as the state it reports
    """PostgreSQL could not serve a request. Nothing is known to be committed; trying again is right."""

    def __init__(self, reason: Reason, text: str) -> None:
        super().__init__(text)
        self.reason = reason


_STATES: Mapping[str, Reason] = {
    "08": Reason.AWAY,  # connection exceptions
    "25006": Reason.READ_ONLY,
    "25P03": Reason.TIMEOUT,  # idle in transaction
    "25P04": Reason.TIMEOUT,  # transaction
    "28": Reason.REFUSED,  # authentication
    "3D": Reason.NO_DATABASE,
    "40": Reason.BUSY,  # deadlock, serialization
    "42501": Reason.REFUSED,  # privileges
    "42883": Reason.NO_SCHEMA,  # undefined function
    "42P01": Reason.NO_SCHEMA,  # undefined table
    "53100": Reason.DISK_FULL,
    "53": Reason.EXHAUSTED,  # connections, memory
    "55P03": Reason.BUSY,  # lock
    "57014": Reason.TIMEOUT,  # statement
    "57": Reason.AWAY,  # shutting down, starting up
    "58": Reason.AWAY,  # the server's own files
    "XX001": Reason.AWAY,  # corrupted data
}
"""By whole state, else by its first two characters, its class."""

_ADVICE: Mapping[Reason, str] = {
    Reason.AWAY: "is it running there? see database.host and database.port",
    Reason.REFUSED: "see database.user, database.password and database.ssl",
    Reason.NO_DATABASE: "create it: `createdb`",
    Reason.NO_SCHEMA: "run `priceverse migrate`",
    Reason.EXHAUSTED: "raise max_connections or lower database.pool.max",
}

_SAYINGS: Mapping[str, Reason] = {
    "No such file": Reason.AWAY,  # the unix socket
    "password": Reason.REFUSED,
    "authentication": Reason.REFUSED,
    "pg_hba.conf": Reason.REFUSED,
    "SSL": Reason.REFUSED,
    'role "': Reason.REFUSED,
    "does not exist": Reason.NO_DATABASE,
    "too many": Reason.EXHAUSTED,
    "remaining connection slots": Reason.EXHAUSTED,
    "timeout": Reason.TIMEOUT,
}
"""libpq gives no SQLSTATE for a refused connection, only the server's words; the first that occur decide."""


def unavailable(error: psycopg.Error) -> DatabaseUnavailable | None:
    """Return what `error` of a statement is to our callers; None when it is our own mistake."""
    state = error.sqlstate or ""
    reason = _STATES.get(state) or _STATES.get(state[:2])
    if reason is None and (state or not isinstance(error, psycopg.OperationalError)):
        return None
    return _explained(reason or Reason.AWAY, _line(error))


def no_connection(error: psycopg.Error, where: str) -> DatabaseUnavailable:
    """Return what a failed attempt to connect to `where` is to our callers."""
    said = _line(error)
    reason = next((reason for words, reason in _SAYINGS.items() if words in said), Reason.AWAY)
    return _explained(reason, f"no connection to PostgreSQL at {where}: {said}")


def _explained(reason: Reason, text: str) -> DatabaseUnavailable:
    return DatabaseUnavailable(reason, f"{text}: {_ADVICE[reason]}" if reason in _ADVICE else text)


def _line(error: psycopg.Error) -> str:
    """Return the words that matter of libpq's several lines."""
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return first.rpartition("failed: ")[2].removeprefix("FATAL: ").strip()[:300]

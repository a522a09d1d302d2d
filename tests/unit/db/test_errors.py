"""Whose fault a failing statement is."""

import psycopg
import pytest
from psycopg import errors

from priceverse.db.errors import Reason, no_connection, unavailable


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (errors.AdminShutdown, Reason.AWAY),
        (errors.CrashShutdown, Reason.AWAY),
        (errors.CannotConnectNow, Reason.AWAY),
        (errors.ConnectionFailure, Reason.AWAY),
        (errors.IoError, Reason.AWAY),
        (errors.DataCorrupted, Reason.AWAY),
        (errors.DiskFull, Reason.DISK_FULL),
        (errors.TooManyConnections, Reason.EXHAUSTED),
        (errors.OutOfMemory, Reason.EXHAUSTED),
        (errors.QueryCanceled, Reason.TIMEOUT),
        (errors.IdleInTransactionSessionTimeout, Reason.TIMEOUT),
        (errors.LockNotAvailable, Reason.BUSY),
        (errors.DeadlockDetected, Reason.BUSY),
        (errors.SerializationFailure, Reason.BUSY),
        (errors.ReadOnlySqlTransaction, Reason.READ_ONLY),
        (errors.InvalidPassword, Reason.REFUSED),
        (errors.InsufficientPrivilege, Reason.REFUSED),
        (errors.InvalidCatalogName, Reason.NO_DATABASE),
        (errors.UndefinedTable, Reason.NO_SCHEMA),
        (psycopg.OperationalError, Reason.AWAY),
    ],
)
def test_what_the_server_does_to_us_is_unavailability(kind: type[psycopg.Error], reason: Reason) -> None:
    found = unavailable(kind("so it goes\nin two lines"))
    assert found is not None
    assert found.reason is reason
    assert "so it goes" in str(found)
    assert "\n" not in str(found)


@pytest.mark.parametrize(
    "kind",
    [
        errors.SyntaxError,
        errors.UndefinedColumn,
        errors.CheckViolation,
        errors.UniqueViolation,
        errors.NotNullViolation,
        errors.NumericValueOutOfRange,
        errors.InvalidTextRepresentation,
        errors.DivisionByZero,
        psycopg.ProgrammingError,
        psycopg.InterfaceError,
    ],
)
def test_what_we_do_wrong_stays_what_it_is(kind: type[psycopg.Error]) -> None:
    assert unavailable(kind("oh")) is None


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (
            'connection to server at "10.0.0.1", port 1 failed: Connection refused\n\tIs it running?',
            Reason.AWAY,
        ),
        ('connection to server on socket "/x/.s.PGSQL.5432" failed: No such file or directory', Reason.AWAY),
        ('connection failed: FATAL:  password authentication failed for user "a"', Reason.REFUSED),
        ('connection failed: FATAL:  no pg_hba.conf entry for host "10.0.0.9"', Reason.REFUSED),
        ('connection failed: FATAL:  role "a" does not exist', Reason.REFUSED),
        ('connection failed: FATAL:  database "b" does not exist', Reason.NO_DATABASE),
        ("connection failed: FATAL:  sorry, too many clients already", Reason.EXHAUSTED),
        ("connection failed: FATAL:  remaining connection slots are reserved for roles", Reason.EXHAUSTED),
        ("connection failed: SSL error: certificate verify failed", Reason.REFUSED),
        ("connection timeout expired", Reason.TIMEOUT),
        ("connection failed: FATAL:  the database system is starting up", Reason.AWAY),
        ("Verbindung verweigert", Reason.AWAY),
        ("", Reason.AWAY),
    ],
)
def test_why_there_is_no_connection_is_one_line_with_the_place(said: str, reason: Reason) -> None:
    found = no_connection(psycopg.OperationalError(said), "db.example:5432/prices")
    assert found.reason is reason
    assert "db.example:5432/prices" in str(found)
    assert "\n" not in str(found)
    assert "FATAL" not in str(found)

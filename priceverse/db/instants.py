"""Instants between us and PostgreSQL: int ms UTC here, `timestamptz` there, exact both ways."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


def to_datetime(ms: int) -> datetime:
    """Return the instant as PostgreSQL takes it."""
    return _EPOCH + ms * _MS


def to_ms(instant: datetime) -> int:
    """Return the instant in ms UTC, floored."""
    return (instant - _EPOCH) // _MS

"""What can go wrong with a remote host, as one exception: where, what, and what the host said about coming back.

The rule: the text never holds a path, a query or a header, so it may be logged whatever the URL carried.
"""

import os
import socket
import ssl
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit


class NetError(Exception):
    """A remote host could not be used.

    `where` is scheme, host and port. `status` is the HTTP status where one was received; `retry_after_s` is how long
    the host asked to be left alone.
    """

    def __init__(self, where: str, what: str, *, status: int | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(f"{where}: {what}")
        self.where = where
        self.what = what
        self.status = status
        self.retry_after_s = retry_after_s


def origin(url: str) -> str:
    """Return scheme, host and port of `url`: what may be logged of it."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "unreadable URL"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def retry_after_s(value: str | None, now: datetime | None = None) -> float | None:
    """Read a `Retry-After` header, seconds or an HTTP date; None where it is absent or means nothing."""
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit() and len(value) < 10:
        return float(value)
    try:
        then = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    then = then if then.tzinfo else then.replace(tzinfo=UTC)
    return max(0.0, (then - (now or datetime.now(UTC))).total_seconds())


def reason(error: BaseException) -> str:
    """Say in one short line why a connection failed: the system's own words, from the innermost cause."""
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(dict.fromkeys(reason(part) for part in error.exceptions))
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate refused: {error.verify_message}"
    if isinstance(error, socket.gaierror | ssl.SSLError) and error.strerror:
        return error.strerror
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)  # its own text repeats the address
    cause = error.__cause__ or error.__context__
    return reason(cause) if cause is not None else str(error) or type(error).__name__

"""Logs: one JSON object a line on stdout, constant event names, data as keys, no secret, bounded length.

Every process calls `configure` once; `get_logger()` works anywhere afterwards. An event that comes too often is counted
instead of written: its next line says how many were suppressed.
"""

import logging
import os
import sys
import time
from contextlib import suppress
from io import TextIOWrapper
from typing import Any, TextIO, cast

from priceverse.lean import without

with without("rich"):
    import structlog
    from structlog.tracebacks import ExceptionDictTransformer
    from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

LEVELS = {"trace": 5, "debug": 10, "info": 20, "warn": 30, "warning": 30, "error": 40, "fatal": 50}
MAX_VALUE_CHARS = 2000
BURST, PER_S = 50, 5.0
"""So many lines of one event may come at once, and so many a second after that."""


def configure(*, level: str = "info", pretty: bool = False, file: TextIO | None = None, **bound: str) -> None:
    """Set up logging for this process; `bound` (child, role, exchange …) goes into every line."""
    processors: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        _Throttle(),
        structlog.processors.TimeStamper(fmt="%Y-%m-%dT%H:%M:%S.%fZ", utc=True),
        _milliseconds,
        structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False))  # locals hold secrets
        if not pretty
        else structlog.processors.format_exc_info,
        _bounded,
        structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())
        if pretty
        else structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
    ]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", _Sink(file or sys.stdout))),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(pid=os.getpid(), **bound)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(name)s: %(message)s", force=True)


def get_logger() -> FilteringBoundLogger:
    """Return the process's logger: `get_logger().info("trade_rejected", reason=…)`."""
    logger: FilteringBoundLogger = structlog.get_logger()
    return logger


class _Sink:
    """Where lines go. One that cannot be written (a full disk, a reader that has gone) is lost, and ends nobody."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        if isinstance(file, TextIOWrapper):  # what is no text, as in a file's name, is escaped as JSON does it
            file.reconfigure(errors="backslashreplace")

    def write(self, text: str) -> None:
        with suppress(OSError):
            self._file.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._file.flush()


class _Throttle:
    """A token bucket for each event name; the names are constants, so there are few."""

    def __init__(self) -> None:
        self._buckets: dict[str, tuple[float, float]] = {}
        self._suppressed: dict[str, int] = {}

    def __call__(self, _: WrappedLogger, __: str, event: EventDict) -> EventDict:
        name, now = str(event["event"]), time.monotonic()
        tokens, before = self._buckets.get(name, (float(BURST), now))
        tokens = min(BURST, tokens + (now - before) * PER_S)
        self._buckets[name] = (tokens - 1 if tokens >= 1 else tokens, now)
        if tokens < 1:
            self._suppressed[name] = self._suppressed.get(name, 0) + 1
            raise structlog.DropEvent
        if suppressed := self._suppressed.pop(name, 0):
            event["suppressed"] = suppressed
        return event


def _milliseconds(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    event["timestamp"] = event["timestamp"][:-4] + "Z"
    return event


def _bounded(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    for key, value in event.items():
        if isinstance(value, str) and len(value) > MAX_VALUE_CHARS:
            event[key] = value[:MAX_VALUE_CHARS] + "…"
    return event

"""Logs: one JSON object a line on stdout, constant event names, data as keys, no secret, bounded length.

Every process calls `configure` once; `get_logger()` works anywhere afterwards.
"""

import logging
import os
import sys
from typing import Any, TextIO

import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

LEVELS = {"trace": 5, "debug": 10, "info": 20, "warn": 30, "error": 40, "fatal": 50}
MAX_VALUE_CHARS = 2000


def configure(*, level: str = "info", pretty: bool = False, file: TextIO | None = None, **bound: str) -> None:
    """Set up logging for this process; `bound` (child, role, exchange …) goes into every line."""
    processors: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
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
        logger_factory=structlog.WriteLoggerFactory(file=file or sys.stdout),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(pid=os.getpid(), **bound)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(name)s: %(message)s", force=True)


def get_logger() -> FilteringBoundLogger:
    """Return the process's logger: `get_logger().info("trade_rejected", reason=…)`."""
    logger: FilteringBoundLogger = structlog.get_logger()
    return logger


def _milliseconds(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    event["timestamp"] = event["timestamp"][:-4] + "Z"
    return event


def _bounded(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    for key, value in event.items():
        if isinstance(value, str) and len(value) > MAX_VALUE_CHARS:
            event[key] = value[:MAX_VALUE_CHARS] + "…"
    return event

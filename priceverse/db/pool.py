"""Connections for a process: blocking, lent to worker threads, as many at a time as the pool may hold.

Connecting happens when a connection is asked for, so PostgreSQL may be away at any time, the start included; a failed
attempt is reported at once to everybody for a moment, which spares a server that comes up a storm of attempts. A
connection is probed before it is lent: those that a restart cut are replaced unseen.
"""

import contextlib
import logging
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import psycopg
import trio
from psycopg_pool import ConnectionPool, PoolTimeout

from priceverse.config import settings as config
from priceverse.db.connect import parameters, place
from priceverse.db.errors import DatabaseUnavailable, Reason, no_connection, unavailable
from priceverse.metrics import catalogue, tally
from priceverse.metrics.metric import Sample

__all__ = ["Database", "DatabaseUnavailable", "Reason"]

T = TypeVar("T")

_LOOK_S = 0.2
_SPARE_S = 0.5
_GIVE_UP_CONNECTING_S = 1.0
_LIFETIME_S = 600.0
"""Then a connection is made anew: of several hosts, those that came back get their share."""

logging.getLogger("psycopg").setLevel(logging.CRITICAL)  # our callers get what it would say, as exceptions


class Database:
    """A pool of connections to one database.

    `async with Database(settings) as db`, or `open` and `aclose`; neither waits for PostgreSQL.
    """

    def __init__(self, settings: config.Database, hosts: Sequence[str] = (), *, reads: bool = False) -> None:
        """Connect to one of `hosts`, standbys first, instead of the configured one.

        Who only `reads` spares the round trips of a transaction: at READ COMMITTED each statement sees its own moment.
        """
        self._settings = settings
        self._place = place(settings, hosts)
        self._limiter = trio.CapacityLimiter(settings.pool.max)
        self._limit_s = settings.connect_timeout_s + 2 * settings.statement_timeout_ms / 1000
        self._last_fault = _LastFault()
        self._pool = ConnectionPool(
            connection_class=_reporting(self._last_fault, self._place),
            kwargs={**parameters(settings, hosts=hosts), "autocommit": reads},
            min_size=settings.pool.min,
            max_size=settings.pool.max,
            open=False,
            check=_require_open,
            reconnect_timeout=_GIVE_UP_CONNECTING_S,
            max_lifetime=_LIFETIME_S,
            num_workers=1,
        )

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.aclose()

    async def open(self) -> None:
        """Let the pool begin to connect."""
        self._pool.open(wait=False)
        tally.watch(self._figures)
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        """Close all connections."""
        tally.unwatch(self._figures)
        with trio.CancelScope(shield=True):  # bounded by the pool's own patience with its threads
            await trio.to_thread.run_sync(self._pool.close)

    async def run(self, fn: Callable[[psycopg.Connection], T]) -> T:
        """Run `fn` in a worker thread, in one transaction (but for reads): committed when it returns, else rolled back.

        Raises DatabaseUnavailable; when cut off in the middle of a commit, the commit may have happened. A server that
        does not answer any more, and cancellation, cut the connection.
        """
        began_s = trio.current_time()
        try:
            return await self._bounded(fn)
        except DatabaseUnavailable as away:
            tally.count(catalogue.DATABASE_FAILURES, 1, away.reason)
            raise
        finally:
            tally.observe(catalogue.DATABASE, trio.current_time() - began_s)

    async def ping(self) -> float:
        """Return how long an empty transaction takes, seconds. Raises DatabaseUnavailable."""
        began = trio.current_time()
        await self.run(lambda connection: connection.execute("SELECT 1"))
        return trio.current_time() - began

    async def _bounded(self, fn: Callable[[psycopg.Connection], T]) -> T:
        loan = _Loan()
        try:
            with trio.move_on_after(self._limit_s):
                return await trio.to_thread.run_sync(self._run, fn, loan, limiter=self._limiter, abandon_on_cancel=True)
        finally:
            loan.end()
        raise DatabaseUnavailable(Reason.TIMEOUT, f"no answer from PostgreSQL within {self._limit_s:.0f} s")

    def _figures(self) -> Iterator[Sample]:
        """Yield how the pool is used: a `Watch`."""
        stats = self._pool.get_stats()
        idle = stats.get("pool_available", 0)
        yield Sample(catalogue.DATABASE_POOL, ("idle",), idle)
        yield Sample(catalogue.DATABASE_POOL, ("used",), stats.get("pool_size", 0) - idle)
        yield Sample(catalogue.DATABASE_WAITING, (), self._limiter.statistics().tasks_waiting)

    def _run(self, fn: Callable[[psycopg.Connection], T], loan: "_Loan") -> T:
        connection = self._borrow()
        try:
            with loan.of(connection), connection:
                return fn(connection)
        except psycopg.Error as error:
            if (reason := unavailable(error)) is None:
                raise
            raise reason from error
        finally:
            self._pool.putconn(connection)

    def _borrow(self) -> psycopg.Connection:
        began = time.monotonic()
        while True:
            if (fault := self._last_fault.since(began - _SPARE_S)) and not self._has_idle():
                raise DatabaseUnavailable(fault.reason, str(fault))  # one per caller: tracebacks grow
            with contextlib.suppress(PoolTimeout):
                return self._pool.getconn(timeout=_LOOK_S)
            if time.monotonic() - began > self._settings.connect_timeout_s:
                raise DatabaseUnavailable(Reason.AWAY, f"no connection to PostgreSQL at {self._place}")

    def _has_idle(self) -> bool:
        return self._pool.get_stats()["pool_available"] > 0


class _LastFault:
    """Why the latest attempt to connect failed, if it did."""

    def __init__(self) -> None:
        self._fault: DatabaseUnavailable | None = None
        self._at = 0.0

    def set(self, fault: DatabaseUnavailable | None) -> None:
        self._fault, self._at = fault, time.monotonic()

    def since(self, then: float) -> DatabaseUnavailable | None:
        return self._fault if self._at >= then else None


def _reporting(last_fault: _LastFault, where: str) -> type[psycopg.Connection]:
    """Return a connection class that tells `last_fault` how connecting went: the pool itself only waits and retries."""

    class Reporting(psycopg.Connection):
        @classmethod
        def connect(cls, *args: Any, **kwargs: Any) -> Self:  # noqa: ANN401 - passed on as they come
            try:
                connection = super().connect(*args, **kwargs)
            except psycopg.OperationalError as error:
                last_fault.set(no_connection(error, where))
                raise
            last_fault.set(None)
            return connection

    return Reporting


class _Loan:
    """The connection that a worker thread uses, so that the event loop can cut it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection: psycopg.Connection | None = None
        self._is_over = False

    @contextlib.contextmanager
    def of(self, connection: psycopg.Connection) -> Iterator[None]:
        with self._lock:
            if self._is_over:
                raise DatabaseUnavailable(Reason.TIMEOUT, "nobody waits for this any more")
            self._connection = connection
        try:
            yield
        finally:
            with self._lock:
                self._connection = None

    def end(self) -> None:
        """Close the socket under a statement that is still running."""
        with self._lock:
            self._is_over = True
            if self._connection is not None:
                _cut(self._connection)


def _require_open(connection: psycopg.Connection) -> None:
    """Raise unless the connection is as idle as we left it: what comes unasked is the server's farewell.

    No round trip: it costs nothing and cannot hang on a server that does.
    """
    wire = select.poll()
    wire.register(connection.fileno(), select.POLLIN)
    if wire.poll(0):
        connection.close()  # libpq has not noticed yet, and the pool asks libpq
        raise psycopg.OperationalError("the server closed the connection")


def _cut(connection: psycopg.Connection) -> None:
    with contextlib.suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as wire:
        wire.shutdown(socket.SHUT_RDWR)

"""Reads of the API: from a replica that keeps up, else from the primary, else from a replica that does not.

    run ─▶ replicas, if one answers and is at most `max_replica_lag_s` behind ─▶ primary ─▶ the replica all the same

The rule: a replica only ever takes load off. What it cannot do the primary is asked for, and an answer that is some
seconds old comes only when there is nobody with a newer one.
"""

from collections.abc import Callable
from typing import TypeVar

import psycopg
import trio

from priceverse.config import settings as config
from priceverse.db.connect import reading
from priceverse.db.pool import Database, DatabaseUnavailable
from priceverse.log import get_logger

T = TypeVar("T")

LOOK_EVERY_S = 1.0
LOOK_FOR_S = 2.0
"""A replica that takes longer to say how far it is, is not asked for anything."""
SHUN_S = 5.0

_LAG = """
    SELECT CASE
        WHEN NOT pg_is_in_recovery() THEN 0
        WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn()
            AND EXISTS (SELECT FROM pg_stat_get_wal_receiver() AS receiver WHERE receiver.pid IS NOT NULL) THEN 0
        ELSE coalesce(extract(epoch FROM now() - pg_last_xact_replay_timestamp()), 'infinity')
    END::float8
"""
"""Up to date is who has replayed all it has got and still gets it; else the age of the last transaction tells."""


class ReadDatabase(Database):
    """A pool on the primary and one on the replicas, both of the role that only reads."""

    def __init__(self, settings: config.Database) -> None:
        super().__init__(reading(settings), reads=True)
        hosts = settings.read_hosts
        self._replicas = Database(reading(settings), hosts, reads=True) if hosts else None
        self._max_lag_s = settings.max_replica_lag_s
        self._look_at_s = 0.0
        self._looking = trio.Lock()
        self._lag_s: float | None = None
        self._told = ""

    @property
    def lag_s(self) -> float | None:
        """How far the replica in use was behind when last looked at; None where none answered."""
        return self._lag_s

    async def open(self) -> None:
        """Let both pools begin to connect."""
        await super().open()
        if self._replicas is not None:
            await self._replicas.open()

    async def aclose(self) -> None:
        """Close all connections."""
        await super().aclose()
        if self._replicas is not None:
            await self._replicas.aclose()

    async def run(self, fn: Callable[[psycopg.Connection], T]) -> T:
        """Run `fn`, which only reads, maybe anew on another server. Raises DatabaseUnavailable."""
        replicas = self._replicas
        if replicas is None:
            return await super().run(fn)
        if await self._keeps_up(replicas):
            try:
                return await replicas.run(fn)
            except DatabaseUnavailable as away:
                self._leave(str(away))
        try:
            return await super().run(fn)
        except DatabaseUnavailable:
            if self._lag_s is None:
                raise
        return await replicas.run(fn)

    async def _keeps_up(self, replicas: Database) -> bool:
        """Look at the replica now and then: one caller looks, the others go by what is known."""
        if trio.current_time() >= self._look_at_s and not self._looking.locked():
            async with self._looking:
                await self._look(replicas)
        return self._lag_s is not None and self._lag_s <= self._max_lag_s

    async def _look(self, replicas: Database) -> None:
        lag_s: float | None = None
        reason = f"no answer within {LOOK_FOR_S:g} s"
        with trio.move_on_after(LOOK_FOR_S):
            try:
                lag_s = await replicas.run(_lag)
            except DatabaseUnavailable as away:
                reason = str(away)
        if lag_s is None:
            self._leave(reason)
            return
        self._lag_s = lag_s
        self._look_at_s = trio.current_time() + LOOK_EVERY_S
        self._tell("replica_behind" if lag_s > self._max_lag_s else "replica_in_use", lag_s=lag_s)

    def _leave(self, reason: str) -> None:
        """Ask the primary for a while."""
        self._lag_s = None
        self._look_at_s = trio.current_time() + SHUN_S
        self._tell("replica_left_out", reason=reason)

    def _tell(self, event: str, **data: object) -> None:
        if event != self._told:
            self._told = event
            log = get_logger().info if event == "replica_in_use" else get_logger().warning
            log(event, **data)


def _lag(connection: psycopg.Connection) -> float:
    row = connection.execute(_LAG).fetchone()
    assert row is not None
    return float(row[0])

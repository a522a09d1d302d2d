"""Reads go to a real streaming replica that keeps up, and to the primary when it does not, dies or hangs."""

import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import trio
from pydantic import SecretStr

from priceverse.config.settings import Database as DatabaseSettings
from priceverse.config.settings import Settings
from priceverse.db import migrate, reads
from priceverse.db.pool import Database, DatabaseUnavailable, Reason
from priceverse.db.reads import ReadDatabase
from tests.conftest import connect_database
from tests.integration.db.replica import Pair

WITHIN_S = 60.0


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    pair = Pair(tmp_path_factory.mktemp("replica"))
    pair.start()
    migrate.up(Settings(database=pair.settings))
    yield pair
    pair.stop()


@pytest.fixture
def pair(both: Pair) -> Iterator[Pair]:
    """Both servers running and as they were, whatever the test did to them."""
    yield both
    if both.primary.pid is None:
        both.primary.start()
    both.restart_replica()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads, "LOOK_EVERY_S", 0.05)
    monkeypatch.setattr(reads, "SHUN_S", 0.05)


@pytest.fixture
async def db(pair: Pair) -> AsyncIterator[ReadDatabase]:
    async with ReadDatabase(pair.settings) as database:
        yield database


def is_replica(connection: psycopg.Connection) -> bool:
    row = connection.execute("SELECT pg_is_in_recovery()").fetchone()
    assert row is not None
    return bool(row[0])


async def until(ask: Callable[[], Awaitable[object]], wanted: object) -> None:
    """Ask until the answer is the wanted one; servers that come and go are asked again."""
    with trio.fail_after(WITHIN_S):
        while True:
            try:
                if await ask() == wanted:
                    return
            except DatabaseUnavailable:
                pass
            await trio.sleep(0.02)


async def test_reads_are_served_by_the_replica_and_see_what_the_primary_wrote(pair: Pair, db: ReadDatabase) -> None:
    await until(lambda: db.run(is_replica), wanted=True)
    with connect_database(pair.settings) as primary:
        primary.execute("INSERT INTO usd_rub_rate VALUES ('2031-01-01', 81.25, now()) ON CONFLICT DO NOTHING")
    count = "SELECT count(*) FROM usd_rub_rate WHERE date = '2031-01-01'"
    await until(lambda: db.run(lambda connection: connection.execute(count).fetchone()), wanted=(1,))
    assert await db.run(is_replica)


async def test_a_replica_takes_no_writes(pair: Pair) -> None:
    async with Database(pair.settings, pair.settings.read_hosts) as replica:
        await until(lambda: replica.run(is_replica), wanted=True)
        with pytest.raises(DatabaseUnavailable) as caught:
            await replica.run(lambda connection: connection.execute("DELETE FROM gap"))
    assert caught.value.reason is Reason.READ_ONLY


async def test_a_dead_replica_costs_no_answer_and_is_read_again_when_it_is_back(pair: Pair, db: ReadDatabase) -> None:
    await until(lambda: db.run(is_replica), wanted=True)
    assert pair.replica.pid is not None
    pair.replica.stop()
    for _ in range(20):
        assert not await db.run(is_replica)
    pair.replica.start()
    await until(lambda: db.run(is_replica), wanted=True)


async def test_a_replica_that_hangs_is_left_out(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads, "LOOK_EVERY_S", 0.0)  # looks before each question, so that none is asked of who hangs
    monkeypatch.setattr(reads, "LOOK_FOR_S", 0.5)
    async with ReadDatabase(pair.settings) as db:
        await until(lambda: db.run(is_replica), wanted=True)
        pids = [pair.replica.pid, *_children(pair.replica.pid)]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            with trio.fail_after(WITHIN_S):
                assert not await db.run(is_replica)
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)


async def test_a_replica_that_lags_is_read_only_when_the_primary_is_away(pair: Pair) -> None:
    pair.restart_replica({"recovery_min_apply_delay": "1h"})
    behind = pair.settings.model_copy(update={"max_replica_lag_s": 0.001})
    async with ReadDatabase(behind) as db:
        with connect_database(pair.settings) as primary:
            primary.execute("INSERT INTO usd_rub_rate VALUES ('2031-01-02', 81.25, now()) ON CONFLICT DO NOTHING")
        await until(lambda: db.run(is_replica), wanted=False)
        await until(lambda: _lags(db), wanted=True)
        assert not await db.run(is_replica)
        pair.primary.stop()
        await until(lambda: db.run(is_replica), wanted=True)


async def test_without_the_primary_reads_go_on(pair: Pair, db: ReadDatabase) -> None:
    await until(lambda: db.run(is_replica), wanted=True)
    pair.primary.stop()
    for _ in range(5):
        await until(lambda: db.run(is_replica), wanted=True)


async def test_without_both_it_says_so(pair: Pair, db: ReadDatabase) -> None:
    pair.stop()
    with trio.fail_after(WITHIN_S), pytest.raises(DatabaseUnavailable):
        await db.run(is_replica)
    pair.primary.start()
    await until(lambda: db.run(is_replica), wanted=False)


async def test_without_replicas_the_primary_is_read(database_settings: DatabaseSettings) -> None:
    async with ReadDatabase(database_settings) as db:
        assert not await db.run(is_replica)
        assert db.lag_s is None


async def test_reads_are_bounded_by_a_patience_of_their_own(database_settings: DatabaseSettings) -> None:
    hasty = database_settings.model_copy(update={"read_statement_timeout_ms": 100})
    async with ReadDatabase(hasty) as db:
        with pytest.raises(DatabaseUnavailable) as caught:
            await db.run(lambda connection: connection.execute("SELECT pg_sleep(30)"))
    assert caught.value.reason is Reason.TIMEOUT


async def test_the_api_can_have_a_login_that_only_reads(database_settings: DatabaseSettings) -> None:
    name = f"reader_of_{database_settings.database}"
    with connect_database(database_settings) as owner:
        owner.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'r' IN ROLE priceverse_read".encode())
        owner.execute(f"GRANT {name} TO CURRENT_USER".encode())  # who may end its sessions, too
    change = {"read_user": name, "read_password": SecretStr("r")}
    async with ReadDatabase(database_settings.model_copy(update=change)) as db:
        assert await asked(db, "SELECT current_user::text") == [(name,)]
        assert await asked(db, "SELECT * FROM price_history, price_history_5min, candle_stale") == []
        for forbidden in FORBIDDEN:
            with pytest.raises(DatabaseUnavailable) as caught:
                await asked(db, forbidden)
            assert caught.value.reason is Reason.REFUSED


FORBIDDEN = (
    "DELETE FROM gap RETURNING 1",
    "SELECT roll_up_stale(1)",
    "SELECT ensure_candle_partitions('2031-01-01', '2031-01-01')",
    "SELECT drop_candle_partitions('5min', '2031-01-01')",
)


async def asked(db: ReadDatabase, query: str) -> list[tuple[object, ...]]:
    return await db.run(lambda connection: connection.execute(query.encode()).fetchall())


async def _lags(db: ReadDatabase) -> bool:
    await db.run(is_replica)
    return db.lag_s is not None and db.lag_s > 1


def _children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

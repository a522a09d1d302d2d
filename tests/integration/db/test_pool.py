"""What the door to PostgreSQL does when all is well, when we err, and when PostgreSQL fails us."""

import os
import signal
from collections.abc import Callable

import psycopg
import pytest
import trio

from priceverse.config.settings import Database as DatabaseSettings
from priceverse.config.settings import Pool
from priceverse.db.pool import Database, DatabaseUnavailable, Reason
from priceverse.embedded.postgres import PostgresServer

Connect = Callable[[], psycopg.Connection]
INSERT = "INSERT INTO usd_rub_rate (date, rate, fetched_at) VALUES ('2026-01-01', 90, now())"
COUNT = "SELECT count(*) FROM usd_rub_rate"


async def scalar(db: Database, query: str) -> object:
    row = await db.run(lambda connection: connection.execute(query).fetchone())
    assert row is not None
    return row[0]


async def healed(db: Database, within_s: float = 5) -> float:
    began = trio.current_time()
    with trio.fail_after(within_s):
        while True:
            try:
                await db.ping()
            except DatabaseUnavailable:
                await trio.sleep(0.05)
            else:
                return trio.current_time() - began


async def test_returning_commits(db: Database, connect: Connect) -> None:
    await db.run(lambda connection: connection.execute(INSERT))
    assert connect().execute(COUNT).fetchone() == (1,)


async def test_raising_rolls_back_and_the_exception_arrives_as_it_is(db: Database, connect: Connect) -> None:
    def half(connection: psycopg.Connection) -> None:
        connection.execute(INSERT)
        raise LookupError("ours")

    with pytest.raises(LookupError, match="ours"):
        await db.run(half)
    assert connect().execute(COUNT).fetchone() == (0,)


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        ("SELEC 1", psycopg.errors.SyntaxError),
        ("SELECT 1 / 0", psycopg.errors.DivisionByZero),
        ("INSERT INTO usd_rub_rate VALUES ('2026-01-01', -1, now())", psycopg.errors.CheckViolation),
        ("SELECT 'nonsense'::pair_symbol", psycopg.errors.InvalidTextRepresentation),
    ],
)
async def test_our_own_mistakes_are_not_called_unavailability(db: Database, query: str, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        await db.run(lambda connection: connection.execute(query.encode()))


async def test_more_callers_than_connections_all_get_their_turn(database_settings: DatabaseSettings) -> None:
    settings = database_settings.model_copy(update={"pool": Pool(min=0, max=2)})
    peak = 0

    async def call(db: Database) -> None:
        nonlocal peak
        active = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        peak = max(peak, int(str(await scalar(db, active + " AND pg_sleep(0.02) IS NOT NULL"))))

    async with Database(settings) as db, trio.open_nursery() as nursery:
        for _ in range(12):
            nursery.start_soon(call, db)
    assert 1 <= peak <= 2


async def test_a_statement_beyond_its_bound_is_a_timeout(database_settings: DatabaseSettings) -> None:
    async with Database(database_settings.model_copy(update={"statement_timeout_ms": 100})) as db:
        with pytest.raises(DatabaseUnavailable) as caught:
            await scalar(db, "SELECT pg_sleep(5)")
        assert caught.value.reason is Reason.TIMEOUT
        assert await scalar(db, "SELECT 1") == 1


async def test_connections_are_utc_and_see_only_our_schema(db: Database) -> None:
    assert await scalar(db, "SELECT current_setting('timezone')") == "UTC"
    assert await scalar(db, "SELECT current_setting('search_path')") == "public"


async def test_nobody_there_does_not_delay_opening_and_is_named(unused_tcp_port: int) -> None:
    settings = DatabaseSettings(host="127.0.0.1", port=unused_tcp_port, connect_timeout_s=2)
    with trio.fail_after(5):
        async with Database(settings) as db:
            with pytest.raises(DatabaseUnavailable, match=f"127.0.0.1:{unused_tcp_port}/priceverse") as caught:
                await db.ping()
            assert caught.value.reason is Reason.AWAY


async def test_many_callers_learn_at_once_that_nobody_is_there(unused_tcp_port: int) -> None:
    refused = 0

    async def call(db: Database) -> None:
        nonlocal refused
        with pytest.raises(DatabaseUnavailable):
            await db.ping()
        refused += 1

    async with Database(DatabaseSettings(host="127.0.0.1", port=unused_tcp_port, connect_timeout_s=10)) as db:
        with trio.fail_after(3):
            async with trio.open_nursery() as nursery:
                for _ in range(50):
                    nursery.start_soon(call, db)
    assert refused == 50


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"password": "wrong"}, Reason.REFUSED),
        ({"user": "nobody_we_know"}, Reason.REFUSED),
        ({"database": "nowhere"}, Reason.NO_DATABASE),
        ({"host": "/nonexistent"}, Reason.AWAY),
    ],
)
async def test_why_a_connection_is_refused_is_told(
    database_settings: DatabaseSettings, change: dict[str, str], reason: Reason
) -> None:
    plain = database_settings.model_dump(context={"secrets": True}) | change
    async with Database(DatabaseSettings.model_validate(plain)) as db:
        with pytest.raises(DatabaseUnavailable) as caught:
            await db.ping()
    assert caught.value.reason is reason


async def test_exhausted_connections_are_named_and_heal(database_settings: DatabaseSettings, connect: Connect) -> None:
    outside = connect()
    outside.execute(f"ALTER DATABASE {database_settings.database} CONNECTION LIMIT 1")
    async with Database(database_settings) as db:
        with pytest.raises(DatabaseUnavailable) as caught:
            await db.ping()
        assert caught.value.reason is Reason.EXHAUSTED
        outside.execute(f"ALTER DATABASE {database_settings.database} CONNECTION LIMIT -1")
        await healed(db)


async def test_a_database_that_turned_read_only_is_named(database_settings: DatabaseSettings, connect: Connect) -> None:
    connect().execute(f"ALTER DATABASE {database_settings.database} SET default_transaction_read_only = on")
    async with Database(database_settings) as db:
        with pytest.raises(DatabaseUnavailable) as caught:
            await db.run(lambda connection: connection.execute(INSERT))
        assert caught.value.reason is Reason.READ_ONLY


async def test_a_database_without_our_tables_asks_for_the_migrator(empty_database: DatabaseSettings) -> None:
    async with Database(empty_database) as db:
        with pytest.raises(DatabaseUnavailable, match="priceverse migrate") as caught:
            await scalar(db, COUNT)
        assert caught.value.reason is Reason.NO_SCHEMA


async def test_connections_cut_while_idle_are_replaced_unseen(
    database_settings: DatabaseSettings, connect: Connect
) -> None:
    async with Database(database_settings) as db:
        async with trio.open_nursery() as nursery:
            for _ in range(database_settings.pool.max):
                nursery.start_soon(scalar, db, "SELECT pg_sleep(0.3)")
        connect().execute(
            "SELECT pg_terminate_backend(pid, 20000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        assert await scalar(db, "SELECT 1") == 1


async def test_cancelling_ends_the_statement_on_the_server(db: Database, connect: Connect) -> None:
    with trio.move_on_after(0.3):
        await scalar(db, "SELECT pg_sleep(60)")
    running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'"
    outside = connect()
    with trio.fail_after(3):
        while outside.execute(running).fetchone() != (0,):  # noqa: ASYNC110 - the server has no event for us
            await trio.sleep(0.05)
    assert await scalar(db, "SELECT 1") == 1


async def test_a_restarted_server_is_found_again(own_server: PostgresServer, own_settings: DatabaseSettings) -> None:
    async with Database(own_settings) as db:
        await db.run(lambda connection: connection.execute(INSERT))
        own_server.stop()
        with pytest.raises(DatabaseUnavailable) as caught:
            await db.ping()
        assert caught.value.reason is Reason.AWAY
        own_server.start()
        await healed(db)
        assert await scalar(db, COUNT) == 1


async def test_a_server_killed_in_the_middle_of_a_statement(
    own_server: PostgresServer, own_settings: DatabaseSettings
) -> None:
    async with Database(own_settings.model_copy(update={"statement_timeout_ms": 5000})) as db:
        await db.ping()
        async with trio.open_nursery() as nursery:

            async def wait_for_it() -> None:
                with pytest.raises(DatabaseUnavailable) as caught:
                    await scalar(db, "SELECT pg_sleep(4)")
                assert caught.value.reason is Reason.AWAY

            nursery.start_soon(wait_for_it)
            await trio.sleep(0.2)
            assert own_server.pid
            os.kill(own_server.pid, signal.SIGKILL)
        own_server.start()
        await healed(db)


async def test_a_server_that_hangs_is_given_up_in_time(
    own_server: PostgresServer, own_settings: DatabaseSettings
) -> None:
    async with Database(own_settings.model_copy(update={"pool": Pool(min=1, max=1)})) as db:
        backend = int(str(await scalar(db, "SELECT pg_backend_pid()")))
        os.kill(backend, signal.SIGSTOP)
        try:
            with trio.fail_after(own_settings.connect_timeout_s + 4), pytest.raises(DatabaseUnavailable) as caught:
                await scalar(db, "SELECT 1")
            assert caught.value.reason is Reason.TIMEOUT
            assert await scalar(db, "SELECT 1") == 1  # on another connection
        finally:
            os.kill(backend, signal.SIGCONT)

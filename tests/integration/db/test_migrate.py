"""The migrator: up, down, up, from anywhere, at once, and never over a changed file."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner, Result

from priceverse.cli.migrate import command
from priceverse.config.settings import Database as DatabaseSettings
from priceverse.config.settings import Pair, Settings
from priceverse.db import migrate, migrations
from priceverse.db.errors import DatabaseUnavailable, Reason
from priceverse.db.migrations import Migration, SchemaChanged, SchemaOutdated
from tests.conftest import connect_database

NAMES = tuple(each.name for each in migrations.load())
SHAPE = """
    SELECT table_name, column_name, data_type, numeric_precision, numeric_scale, is_nullable, is_identity
    FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2
"""


@pytest.fixture
def settings(empty_database: DatabaseSettings) -> Settings:
    return Settings(database=empty_database)


def ask(settings: Settings, query: str) -> list[tuple[object, ...]]:
    with connect_database(settings.database) as connection:
        return connection.execute(query.encode()).fetchall()


def test_up_down_up_ends_where_it_was(settings: Settings) -> None:
    migrate.up(settings)
    shape = ask(settings, SHAPE)
    assert migrate.down(settings, len(NAMES)) == NAMES[::-1]
    left = ask(settings, "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'")
    assert left == [("schema_migration",)]
    assert ask(settings, "SELECT 1 FROM pg_type WHERE typname IN ('pair_symbol', 'aggregation_method')") == []
    assert migrate.up(settings).migrations == NAMES
    assert ask(settings, SHAPE) == shape


@pytest.mark.parametrize("count", range(1, len(NAMES)))
def test_each_step_can_be_taken_back_alone(settings: Settings, count: int) -> None:
    migrate.up(settings)
    assert migrate.down(settings, count) == NAMES[::-1][:count]
    assert migrate.plan(settings).migrations == NAMES[-count:]
    assert migrate.up(settings).migrations == NAMES[-count:]


def test_running_twice_does_nothing_the_second_time(settings: Settings) -> None:
    assert not migrate.up(settings).is_empty
    assert migrate.up(settings) == migrate.Plan((), ())


def test_two_hosts_at_once_share_the_work(settings: Settings) -> None:
    with ThreadPoolExecutor(6) as hosts:
        plans = list(hosts.map(lambda _: migrate.up(settings), range(6)))
    assert sorted(plan.migrations for plan in plans) == [()] * 5 + [NAMES]
    assert sum(plan.partitions for plan in plans) == settings.retention.partitions_ahead_days + 2


def test_two_databases_of_one_server_at_once(postgres_server: DatabaseSettings) -> None:
    """Roles belong to the server: the migrators meet there although each has its own lock."""
    names = [f"beside_{n}" for n in range(4)]
    with connect_database(postgres_server) as connection:
        for name in names:
            connection.execute(f"CREATE DATABASE {name}".encode())
        every = [Settings(database=postgres_server.model_copy(update={"database": name})) for name in names]
        with ThreadPoolExecutor(4) as hosts:
            plans = list(hosts.map(migrate.up, every))
        for name in names:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
    assert [plan.migrations for plan in plans] == [NAMES] * 4
    assert [plan.warnings for plan in plans] == [()] * 4


def test_a_changed_file_is_named_and_nothing_is_done(settings: Settings) -> None:
    migrate.up(settings)
    migrate.down(settings, 1)
    with connect_database(settings.database) as connection:
        connection.execute("UPDATE schema_migration SET checksum = 'other' WHERE name = %s", (NAMES[0],))
    for do in (migrate.up, migrate.plan, migrate.check, lambda given: migrate.down(given, 1)):
        with pytest.raises(SchemaChanged, match=f"{NAMES[0]}.up.sql was changed"):
            do(settings)
    assert len(ask(settings, "SELECT 1 FROM schema_migration")) == len(NAMES) - 1


def test_a_newer_database_is_refused(settings: Settings) -> None:
    migrate.up(settings)
    with connect_database(settings.database) as connection:
        connection.execute("INSERT INTO schema_migration (name, checksum) VALUES ('9999_future', 'x')")
    with pytest.raises(SchemaChanged, match="9999_future"):
        migrate.check(settings)


def test_a_file_that_fails_leaves_no_trace_and_the_ones_before_it_stay(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = (*migrations.load(), Migration("0900_broken", "CREATE TABLE half (n int); SELECT 1 / 0;", ""))
    monkeypatch.setattr(migrations, "load", lambda: known)
    with pytest.raises(psycopg.errors.DivisionByZero):
        migrate.up(settings)
    assert ask(settings, "SELECT to_regclass('half')") == [(None,)]
    assert migrate.plan(settings).migrations == ("0900_broken",)


def test_a_configured_pair_is_added_to_the_enum(settings: Settings) -> None:
    migrate.up(settings)
    more = settings.model_copy(
        update={"pairs": {**settings.pairs, "ltc-usd": Pair.model_validate({"symbols": {"kraken": "LTC/USD"}})}}
    )
    with pytest.raises(SchemaOutdated, match="pair ltc-usd: run `priceverse migrate`"):
        migrate.check(more)
    assert migrate.up(more) == migrate.Plan((), ("ltc-usd",))
    migrate.check(more)
    assert ask(settings, "SELECT 'ltc-usd'::pair_symbol::text") == [("ltc-usd",)]


def test_a_disabled_pair_is_not_asked_for(settings: Settings) -> None:
    migrate.up(settings)
    unused = Pair.model_validate({"enabled": False, "symbols": {"kraken": "DOGE/USD"}})
    migrate.check(settings.model_copy(update={"pairs": {**settings.pairs, "doge-usd": unused}}))


def test_an_empty_database_is_outdated_and_looking_changes_nothing(settings: Settings) -> None:
    with pytest.raises(SchemaOutdated, match=r"0001_price_history.*run `priceverse migrate`"):
        migrate.check(settings)
    assert [step.applied_at for step in migrate.status(settings)] == [None] * len(NAMES)
    assert ask(settings, "SELECT 1 FROM pg_class WHERE relnamespace = 'public'::regnamespace") == []


def test_rows_survive_a_step_back_and_forth_of_another_table(settings: Settings) -> None:
    migrate.up(settings)
    with connect_database(settings.database) as connection:
        connection.execute(
            "INSERT INTO price_history (pair, price, timestamp, method) VALUES ('btc-usd', 1, now(), 'vwap')"
        )
    migrate.down(settings, 1)
    migrate.up(settings)
    assert ask(settings, "SELECT count(*) FROM price_history") == [(1,)]


# --- roles


@pytest.fixture
def as_role(database_settings: DatabaseSettings) -> psycopg.Connection:
    with connect_database(database_settings) as connection:
        for role in ("priceverse_read", "priceverse_write"):
            connection.execute(f"GRANT {role} TO CURRENT_USER".encode())
        yield connection


ROW = "INSERT INTO price_history (pair, price, timestamp, method) VALUES ('btc-usd', 1, now(), 'vwap')"


def test_a_reader_reads_and_nothing_else(as_role: psycopg.Connection) -> None:
    as_role.execute("SET ROLE priceverse_read")
    as_role.execute("SELECT * FROM price_history, price_history_1day, checkpoint, usd_rub_rate, gap")
    for forbidden in (ROW, "DELETE FROM gap", "SELECT ensure_price_history_partitions('2030-01-01', 1)"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            as_role.execute(forbidden.encode())


def test_a_writer_writes_and_keeps_partitions_but_owns_nothing(as_role: psycopg.Connection) -> None:
    as_role.execute("SET ROLE priceverse_write")
    as_role.execute(ROW.encode())
    as_role.execute(
        "SELECT ensure_price_history_partitions('2030-01-01', 1), drop_price_history_partitions('2000-01-01')"
    )
    for forbidden in ("DROP TABLE price_history", "DELETE FROM schema_migration", "ALTER TABLE gap ADD n int"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            as_role.execute(forbidden.encode())


def test_a_login_that_may_not_create_roles_is_told_and_owns_the_tables(own_plain_login: Settings) -> None:
    done = migrate.up(own_plain_login)
    assert done.migrations == NAMES
    assert "priceverse_write" in " ".join(done.warnings)
    assert ask(own_plain_login, "SELECT tableowner FROM pg_tables WHERE tablename = 'gap'") == [("plain",)]
    assert migrate.up(own_plain_login).migrations == ()


# --- the command


def run(settings: Settings, *arguments: str, **change: object) -> Result:
    plain = settings.database.model_dump(context={"secrets": True}) | change
    given = {
        f"PRICEVERSE_DATABASE__{key.upper()}": str(plain[key])
        for key in ("host", "port", "database", "user", "password")
    }
    return CliRunner().invoke(command, list(arguments), env=given)


def test_the_command_says_what_it_does(settings: Settings) -> None:
    would = run(settings, "--dry-run")
    assert (would.exit_code, would.output.splitlines()) == (0, [f"would apply {name}" for name in NAMES])
    done = run(settings)
    assert done.exit_code == 0
    assert done.output.splitlines() == [
        *(f"applied  {name}" for name in NAMES), "added    pair usdt-usd", "made     5 daily partitions",
    ]  # fmt: skip
    assert run(settings).output == "nothing to do\n"
    assert run(settings, "--dry-run").output == "nothing to do\n"
    assert run(settings, "--down", "2").output.splitlines() == [f"reverted {name}" for name in NAMES[:-3:-1]]
    listed = run(settings, "--status").output.splitlines()
    assert [line.split()[0] for line in listed] == list(NAMES)
    assert [line.endswith("not applied") for line in listed] == [*[False] * (len(NAMES) - 2), True, True]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"host": "127.0.0.1", "port": 1}, "127.0.0.1:1/"),
        ({"password": "wrong"}, "database.password"),
        ({"database": "nowhere"}, "createdb"),
    ],
)
def test_the_command_fails_with_one_line(settings: Settings, change: dict[str, object], words: str) -> None:
    failed = run(settings, **change)
    assert failed.exit_code == 69
    assert len(failed.output.splitlines()) == 1
    assert words in failed.output
    assert "Traceback" not in failed.output


def test_the_command_refuses_a_changed_file_with_78(settings: Settings) -> None:
    run(settings)
    with connect_database(settings.database) as connection:
        connection.execute("UPDATE schema_migration SET checksum = 'other'")
    failed = run(settings)
    assert (failed.exit_code, NAMES[0] in failed.output) == (78, True)


def test_options_that_exclude_each_other(settings: Settings) -> None:
    assert run(settings, "--status", "--dry-run").exit_code == 2


def test_real_processes_at_once(settings: Settings) -> None:
    plain = settings.database
    environment = os.environ | {
        "PRICEVERSE_DATABASE__HOST": plain.host,
        "PRICEVERSE_DATABASE__PORT": str(plain.port),
        "PRICEVERSE_DATABASE__DATABASE": plain.database,
        "PRICEVERSE_DATABASE__PASSWORD": plain.password.get_secret_value() if plain.password else "",
    }
    argv = [sys.executable, "-m", "priceverse", "migrate"]
    both = [
        subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(2)
    ]
    said = [each.communicate(timeout=60)[0] for each in both]
    assert [each.returncode for each in both] == [0, 0], said
    assert sorted("applied" in each for each in said) == [False, True], said


def test_the_sql_is_part_of_the_package() -> None:
    import priceverse

    home = Path(priceverse.__file__).parent / "sql"
    assert {file.name for file in home.glob("*.sql")} >= {f"{NAMES[0]}.up.sql", f"{NAMES[0]}.down.sql", "roles.sql"}


def test_a_migrator_waits_for_its_turn_and_gives_up_in_the_end(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "_LOCK_PATIENCE", "SET lock_timeout = '200ms'")
    with connect_database(settings.database) as connection:
        connection.execute(migrate._LOCK.encode())
        with pytest.raises(DatabaseUnavailable) as caught:
            migrate.up(settings)
    assert caught.value.reason is Reason.BUSY

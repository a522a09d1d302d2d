"""Private servers: found, started, kept inside their directory, back again after anything, gone with their owner."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from priceverse.config.settings import Database, Redis
from priceverse.embedded import find, remains
from priceverse.embedded.errors import EmbeddedError, ServerFailed, ServersMissing, StateDirBusy
from priceverse.embedded.postgres import PostgresServer
from priceverse.embedded.redis import RedisServer
from priceverse.embedded.state import StateDir, holder
from tests.conftest import ROOT, connect_database, connect_redis
from tests.integration.embedded.conftest import hide_installed

NOBODY = 65534
DEEP = "/".join(["a-folder-with-a-long-name"] * 5)
HOLD = """
import sys, pathlib, time
from priceverse.embedded.postgres import PostgresServer
from priceverse.embedded.redis import RedisServer
from priceverse.embedded.state import StateDir
home = pathlib.Path(sys.argv[1])
with StateDir(home):
    servers = RedisServer(home), PostgresServer(home)
    for server in servers:
        server.start()
    print(*(server.pid for server in servers), flush=True)
    sys.stdin.read()
    for server in reversed(servers):
        server.stop()
"""


def put(server: RedisServer, value: str) -> None:
    with connect_redis(Redis.model_validate(server.settings)) as client:
        client.set("kept", value)


def got(server: RedisServer) -> object:
    with connect_redis(Redis.model_validate(server.settings)) as client:
        return client.get("kept")


def sql(server: PostgresServer, query: str) -> list[tuple[object, ...]]:
    with connect_database(Database.model_validate(server.settings)) as connection:
        cursor = connection.execute(query.encode())
        return cursor.fetchall() if cursor.description else []


def kill(server: RedisServer | PostgresServer) -> None:
    assert server.pid
    os.kill(server.pid, signal.SIGKILL)
    eventually(lambda: server.pid is None)


def eventually(fact: Callable[[], bool], within_s: float = 10) -> None:
    deadline = time.monotonic() + within_s
    while not fact():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def at_work_in(home: Path) -> dict[int, str]:
    """Command lines of the live processes whose working directory or command line is in `home`, by process id."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            directory, line = (entry / "cwd").readlink(), (entry / "cmdline").read_text()
        except OSError:
            continue
        if entry.name.isdigit() and str(home) in f"{directory} {line}" and is_alive(int(entry.name)):
            found[int(entry.name)] = line
    return found


# --- what they are


@pytest.mark.usefixtures("programs")
def test_postgres_is_what_was_asked_for(postgres: PostgresServer) -> None:
    postgres.start()
    shown = ("server_encoding", "timezone", "fsync", "max_connections", "shared_buffers")
    query = ", ".join(f"current_setting('{name}')" for name in shown)
    assert sql(postgres, f"SELECT {query}") == [("UTF8", "UTC", "on", "100", "32MB")]
    own = sql(postgres, "SELECT datcollate, pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'priceverse'")
    assert own == [("C", "priceverse")]
    assert sql(postgres, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") == [(False,)]


@pytest.mark.usefixtures("programs")
def test_redis_is_what_was_asked_for(redis: RedisServer) -> None:
    redis.start()
    with connect_redis(Redis.model_validate(redis.settings)) as client:
        config = client.config_get("appendonly", "appendfsync", "maxmemory-policy", "save")
        assert client.xadd("a", {"b": "c"})
    assert config == {
        "appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction", "save": ""
    }  # fmt: skip


def test_nobody_gets_in_without_the_password(redis: RedisServer, postgres: PostgresServer) -> None:
    redis.start()
    postgres.start()
    import psycopg
    import redis as client

    with (
        connect_redis(Redis.model_validate({**redis.settings, "password": "guess"})) as stranger,
        pytest.raises(client.AuthenticationError),
    ):
        stranger.ping()
    for user in ("priceverse", "postgres"):
        with pytest.raises(psycopg.OperationalError, match=r"password|fe_sendauth"):
            connect_database(Database.model_validate({**postgres.settings, "user": user, "password": "guess"}))


def test_the_password_is_in_no_process_list(tmp_path: Path, redis: RedisServer, postgres: PostgresServer) -> None:
    redis.start()
    postgres.start()
    lines = at_work_in(tmp_path).values()
    assert lines
    for secret in (redis.settings["password"], postgres.settings["password"]):
        assert not any(str(secret) in line for line in lines)
    for file in (tmp_path / "redis/password", tmp_path / "redis/redis.conf", tmp_path / "postgres.password"):
        assert file.stat().st_mode & 0o077 == 0


@pytest.mark.usefixtures("programs")
def test_a_deep_directory_gets_loopback_ports_that_stay(tmp_path: Path) -> None:
    servers = RedisServer(tmp_path / DEEP), PostgresServer(tmp_path / DEEP)
    try:
        for server in servers:
            server.start()
            assert server.settings["host"] == "127.0.0.1"
        put(servers[0], "x")
        assert sql(servers[1], "SELECT 1") == [(1,)]
        before = [server.settings for server in servers]
        for server in servers:
            server.stop()
            server.start()
        assert [server.settings for server in servers] == before
        assert got(servers[0]) == b"x"
    finally:
        for server in servers:
            server.stop()


# --- coming back


@pytest.mark.usefixtures("programs")
def test_redis_brings_everything_back(redis: RedisServer) -> None:
    redis.start()
    put(redis, "stopped")
    redis.stop()
    redis.start()
    assert got(redis) == b"stopped"
    put(redis, "killed")
    kill(redis)
    redis.start()
    assert got(redis) == b"killed"


def test_redis_survives_a_torn_end_of_its_file(tmp_path: Path, redis: RedisServer) -> None:
    redis.start()
    put(redis, "whole")
    kill(redis)
    tail = next((tmp_path / "redis/appendonlydir").glob("*.incr.aof"))
    with tail.open("ab") as file:
        file.write(b"*3\r\n$3\r\nSET\r\n$4\r\nke")
    redis.start()
    assert got(redis) == b"whole"


def test_data_that_redis_cannot_read_is_one_clear_line(tmp_path: Path, redis: RedisServer) -> None:
    redis.start()
    redis.stop()
    base = next((tmp_path / "redis/appendonlydir").glob("*.base.rdb"))
    base.write_bytes(base.read_bytes().replace(b"REDIS00", b"REDIS99").replace(b"VALKEY0", b"VALKEY9"))
    with pytest.raises(ServerFailed, match=r"cannot read .*redis, which a newer .*remove it") as caught:
        redis.start()
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("programs")
def test_postgres_brings_everything_back(postgres: PostgresServer) -> None:
    postgres.start()
    sql(postgres, "CREATE TABLE kept (word text)")
    sql(postgres, "INSERT INTO kept VALUES ('stopped')")
    postgres.stop()
    postgres.start()
    sql(postgres, "INSERT INTO kept VALUES ('killed')")
    kill(postgres)
    postgres.start()
    assert sql(postgres, "SELECT word FROM kept") == [("stopped",), ("killed",)]


def test_a_pid_file_whose_number_is_somebody_elses_is_no_obstacle(tmp_path: Path, postgres: PostgresServer) -> None:
    postgres.start()
    kill(postgres)
    file = tmp_path / "postgres/data/postmaster.pid"
    lines = file.read_text().splitlines()
    other = subprocess.Popen(["/bin/sleep", "60"], user=file.stat().st_uid if os.geteuid() == 0 else None)
    try:
        file.write_text("\n".join([str(other.pid), *lines[1:]]) + "\n")
        postgres.start()
        assert sql(postgres, "SELECT 1") == [(1,)]
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


@pytest.mark.parametrize("kind", [RedisServer, PostgresServer])
@pytest.mark.parametrize("is_stuck", [False, True])
def test_a_server_that_outlived_its_owner_is_ended_first(
    tmp_path: Path, kind: type[RedisServer | PostgresServer], is_stuck: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remains, "_PATIENCE_S", 1.0)
    former, server = kind(tmp_path), kind(tmp_path)
    former.start()
    try:
        assert former.pid
        if is_stuck:
            os.kill(former.pid, signal.SIGSTOP)
        server.start()
        assert former.pid is None
        assert server.pid
    finally:
        former.stop()
        server.stop()


def test_a_server_that_does_not_stop_is_killed(redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("priceverse.embedded.redis._STOP_S", 0.2)
    redis.start()
    assert redis.pid
    os.kill(redis.pid, signal.SIGSTOP)
    redis.stop()
    assert redis.pid is None


def test_a_server_that_takes_too_long_is_named(redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("priceverse.embedded.redis._READY_S", -1.0)
    with pytest.raises(ServerFailed, match="Redis is not ready"):
        redis.start()


def test_a_half_made_data_directory_is_made_anew(tmp_path: Path, postgres: PostgresServer) -> None:
    half = tmp_path / "postgres/data.new/base"
    half.mkdir(parents=True)
    postgres.start()
    assert sql(postgres, "SELECT 1") == [(1,)]
    assert not half.exists()


def test_a_data_directory_of_another_version_is_one_clear_line(tmp_path: Path, postgres: PostgresServer) -> None:
    postgres.start()
    postgres.stop()
    (tmp_path / "postgres/data/PG_VERSION").write_text("13\n")
    with pytest.raises(ServerFailed, match=r"made by PostgreSQL 13, this machine has .*/postgres \(\d") as caught:
        postgres.start()
    assert "\n" not in str(caught.value)


def test_a_server_of_the_data_directorys_version_is_preferred(
    tmp_path: Path, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(find, "_POSTGRES_FOLDERS", ())
        hide_installed(tmp_path / "path", patched)
        postgres.start()
        version = sql(postgres, "SHOW server_version")
        postgres.stop()
    postgres.start()
    assert sql(postgres, "SHOW server_version") == version


def test_a_server_that_cannot_start_says_why(postgres: PostgresServer) -> None:
    postgres._options["shared_buffers"] = "nonsense"
    with pytest.raises(ServerFailed, match=r"PostgreSQL does not start: FATAL: .*shared_buffers"):
        postgres.start()


# --- one owner


def test_a_second_owner_is_refused_by_name(tmp_path: Path) -> None:
    with StateDir(tmp_path / "state") as first:
        with pytest.raises(StateDirBusy, match=f"process {os.getpid()}"), StateDir(first.path):
            pass
        assert holder(first.path) == os.getpid()
    assert holder(tmp_path / "state") is None
    with StateDir(tmp_path / "state"):
        pass


def test_a_state_directory_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedError, match="cannot be used as state directory"), StateDir(tmp_path / "file"):
        pass


def test_servers_start_on_the_main_thread_only(redis: RedisServer) -> None:
    redis.prepare()
    refused: list[BaseException] = []

    def elsewhere() -> None:
        try:
            redis.spawn()
        except RuntimeError as error:
            refused.append(error)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert len(refused) == 1
    assert redis.pid is None


@contextmanager
def held(home: Path, account: int | None = None) -> "Iterator[tuple[subprocess.Popen[str], set[int]]]":
    """A process that runs both servers until its stdin ends, and their pids."""
    argv = [sys.executable, "-c", HOLD, str(home)]
    if account is not None:  # with one capability: the interpreter of this run may be one that only root can reach
        who = ["--reuid", str(account), "--regid", str(account), "--clear-groups"]
        argv = ["setpriv", *who, "--inh-caps", "+dac_override", "--ambient-caps", "+dac_override", *argv]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    with subprocess.Popen(
        argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as owner:
        try:
            assert owner.stdout
            yield owner, {int(pid) for pid in owner.stdout.readline().split()}
        finally:
            owner.kill()


def release(owner: "subprocess.Popen[str]") -> int:
    assert owner.stdin
    owner.stdin.close()
    return owner.wait(30)


def test_servers_die_with_a_killed_owner_and_the_next_owner_starts_at_once(tmp_path: Path) -> None:
    with held(tmp_path) as (owner, pids):
        assert len(pids) == 2
        owner.kill()
        owner.wait()
        with held(tmp_path) as (next_owner, next_pids):
            assert len(next_pids) == 2
            assert not any(is_alive(pid) for pid in pids)
            assert release(next_owner) == 0
    assert at_work_in(tmp_path) == {}


def test_stopping_leaves_no_process(tmp_path: Path) -> None:
    with held(tmp_path) as (owner, pids):
        assert len(pids & set(at_work_in(tmp_path))) == 2
        assert release(owner) == 0
        assert at_work_in(tmp_path) == {}


def test_an_unprivileged_user_needs_no_help() -> None:
    """As root this runs as nobody; as anybody else it is what all the other tests do."""
    account = NOBODY if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="pv-") as folder:
        os.chown(folder, account or -1, account or -1)
        with held(Path(folder, "state"), account) as (owner, pids):
            assert len(pids) == 2
            assert {Path(f"/proc/{pid}").stat().st_uid for pid in pids} == {account or os.geteuid()}
            assert release(owner) == 0


def test_postgres_is_never_root_and_owns_only_its_directory(tmp_path: Path, postgres: PostgresServer) -> None:
    postgres.start()
    assert postgres.pid
    assert Path(f"/proc/{postgres.pid}").stat().st_uid != 0
    strangers = {entry for entry in tmp_path.rglob("*") if entry.stat().st_uid != os.geteuid()}
    assert all((tmp_path / "postgres") in (entry, *entry.parents) for entry in strangers)


# --- finding


def test_nothing_installed_is_one_line_with_both_commands(wheels_only: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find, "_package", lambda name: None)
    for look in (find.redis, find.postgres):
        with pytest.raises(ServersMissing, match=r"apt-get install postgresql redis-server.*priceverse\[embedded\]"):
            look()


def test_a_server_too_old_is_named_and_passed_over(
    tmp_path: Path, wheels_only: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "redis-server"
    old.write_text("#!/bin/sh\necho 'Redis server v=6.2.14 sha=00000000:0 malloc=jemalloc-5.2.1 bits=64'\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find.redis().from_wheel
    monkeypatch.setattr(find, "_package", lambda name: None)
    with pytest.raises(ServersMissing, match=r"only .*redis-server \(6\.2\.14\)"):
        find.redis()


@pytest.mark.parametrize("script", ["exit 1", "echo gibberish", "kill -9 $$"])
def test_a_broken_program_counts_as_missing(
    tmp_path: Path, wheels_only: None, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    broken = tmp_path / "redis-server"
    broken.write_text(f"#!/bin/sh\n{script}\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find.redis().from_wheel


def test_the_newest_installed_postgres_wins_over_the_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for major in (14, 16, 13):
        folder = tmp_path / f"usr/lib/postgresql/{major}/bin"
        folder.mkdir(parents=True)
        for name in ("postgres", "initdb"):
            (folder / name).write_text(f"#!/bin/sh\necho 'postgres (PostgreSQL) {major}.2 (Debian {major}.2-1)'\n")
            (folder / name).chmod(0o755)
    (tmp_path / "usr/lib/postgresql/17/bin").mkdir(parents=True)
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(find, "_POSTGRES_FOLDERS", (f"{tmp_path.relative_to('/')}/usr/lib/postgresql/*/bin",))
    assert find.postgres().version == (16, 2)
    assert find.postgres(14).version == (14, 2)
    with pytest.raises(ServersMissing, match="no PostgreSQL 13 "):
        find.postgres(13)

"""`priceverse run` against the operator's servers: what it refuses before it starts, and that it serves."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

TIMEOUT_S = 60


def environment(database=None, redis=None, **more):
    """The environment variables that point at servers, as an operator would write them."""
    found = {name: value for name, value in os.environ.items() if not name.startswith("PRICEVERSE_")} | more
    if database is not None:
        for key in ("host", "port", "database", "user"):
            found[f"PRICEVERSE_DATABASE__{key.upper()}"] = str(getattr(database, key))
        found["PRICEVERSE_DATABASE__PASSWORD"] = database.password.get_secret_value()
    if redis is not None:
        found["PRICEVERSE_REDIS__PASSWORD"] = redis.password.get_secret_value()
        if redis.unix_socket:
            found["PRICEVERSE_REDIS__UNIX_SOCKET"] = str(redis.unix_socket)
        found["PRICEVERSE_REDIS__PORT"] = str(redis.port)
    return found


def run(env, *words):
    return subprocess.run(
        [sys.executable, "-m", "priceverse", "run", *words],
        env=env, capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
    )  # fmt: skip


def test_an_empty_database_is_refused_with_the_command_to_run(empty_database, redis_settings):
    done = run(environment(empty_database, redis_settings))
    assert done.returncode == 78
    assert done.stderr.startswith("priceverse: the database ")
    assert done.stderr.endswith("run `priceverse migrate`\n")
    assert "Traceback" not in done.stderr


def test_a_wrong_key_is_refused_with_file_and_key(tmp_path):
    file = tmp_path / "priceverse.toml"
    file.write_text("[app]\nprot = 1\n", encoding="utf-8")
    done = run(environment(), "--config", str(file))
    assert (done.returncode, done.stderr) == (78, f"priceverse: {file}: app.prot: unknown key\n")


@pytest.fixture
def port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        yield probe.getsockname()[1]


def test_a_taken_port_is_one_line(database_settings, redis_settings, tmp_path, port):
    more = {
        "PRICEVERSE_APP__HOST": "127.0.0.1",
        "PRICEVERSE_APP__PORT": str(port),
        "PRICEVERSE_SUPERVISOR__CONTROL_SOCKET": str(tmp_path / "control.sock"),
    }
    done = run(environment(database_settings, redis_settings, **more))
    assert done.returncode == 69
    assert len(done.stderr.splitlines()) == 1
    assert str(port) in done.stderr


def test_it_serves_and_stops_on_sigterm(database_settings, redis_settings, tmp_path):
    """Also without any exchange: the collectors retry, the rest is up."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        dead = f"127.0.0.1:{held.getsockname()[1]}"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            api = probe.getsockname()[1]
        more = {
            "PRICEVERSE_APP__HOST": "127.0.0.1",
            "PRICEVERSE_APP__PORT": str(api),
            "PRICEVERSE_SUPERVISOR__CONTROL_SOCKET": str(tmp_path / "control.sock"),
            "PRICEVERSE_EXCHANGES__ENABLED": "kraken",
            "PRICEVERSE_EXCHANGES__KRAKEN__WS_URL": f"ws://{dead}",
            "PRICEVERSE_CBR__URL": f"http://{dead}/",
        }
        env = environment(database_settings, redis_settings, **more)
        process = subprocess.Popen([sys.executable, "-m", "priceverse", "run"], env=env, stdout=subprocess.DEVNULL)
        try:
            assert live(f"http://127.0.0.1:{api}/health/live") == 200
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=TIMEOUT_S) == 0
        finally:
            process.kill()
            process.wait()


def live(url):
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as reply:
                return reply.status
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.1)

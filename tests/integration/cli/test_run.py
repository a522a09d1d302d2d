"""`priceverse run` against the operator's servers: what it refuses before it starts, and that it serves."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import contextmanager

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
    assert (done.returncode, done.stderr) == (78, f"priceverse: {file}: app.prot: unknown key; is port meant?\n")


@pytest.fixture
def dead():
    """A loopback address where nobody listens for as long as the test runs."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{held.getsockname()[1]}"


@pytest.fixture
def env(database_settings, redis_settings, tmp_path, dead):
    """An operator's environment: one venue, unreachable; any free port."""
    return environment(
        database_settings,
        redis_settings,
        PRICEVERSE_APP__HOST="127.0.0.1",
        PRICEVERSE_APP__PORT="0",
        PRICEVERSE_SUPERVISOR__CONTROL_SOCKET=str(tmp_path / "control.sock"),
        PRICEVERSE_METRICS__LISTEN="",
        PRICEVERSE_EXCHANGES__ENABLED="kraken",
        PRICEVERSE_EXCHANGES__KRAKEN__WS_URL=f"ws://{dead}",
        PRICEVERSE_EXCHANGES__OKX__WS_URL=f"ws://{dead}",
        PRICEVERSE_CBR__URL=f"http://{dead}/",
    )


@contextmanager
def daemon(env, *words, listener=None):
    """Run `priceverse run`; with `listener` as systemd would start it for that socket."""
    argv = [sys.executable, "-m", "priceverse", "run", *words]
    passed = ()
    if listener is not None:
        argv = [sys.executable, "-c", ACTIVATE, str(listener.fileno()), *argv]
        passed = (listener.fileno(),)
    process = subprocess.Popen(argv, env=env, stdout=subprocess.DEVNULL, pass_fds=passed)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=TIMEOUT_S)


ACTIVATE = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_FDS="1", LISTEN_FDNAMES="api", LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
"""


def get(port, path, timeout_s=10):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=timeout_s) as reply:
        return reply.status


def eventually(ask, good):
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        try:
            answer = ask()
        except (OSError, ValueError) as error:
            answer = error
        if good(answer):
            return answer
        assert time.monotonic() < deadline, answer
        time.sleep(0.1)


def ctl(env, *words):
    """Return the JSON that a control command prints."""
    socket_path = env["PRICEVERSE_SUPERVISOR__CONTROL_SOCKET"]
    done = subprocess.run(
        [sys.executable, "-m", "priceverse", "ctl", "--socket", socket_path, *words, "--json"],
        capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
    )  # fmt: skip
    return json.loads(done.stdout)


def status(env):
    return ctl(env, "status")


def children(env):
    return {child["name"]: child["state"] for child in status(env)["children"]}


def test_a_taken_port_is_one_line(env):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        port = str(held.getsockname()[1])
        done = run(env | {"PRICEVERSE_APP__PORT": port})
    assert done.returncode == 69
    assert len(done.stderr.splitlines()) == 1
    assert port in done.stderr


def test_it_serves_without_any_exchange_and_stops_on_sigterm(env):
    with daemon(env) as process:
        eventually(lambda: children(env), lambda c: isinstance(c, dict) and c.get("api.0") == "ready")
        assert get(status(env)["listeners"]["api"][1], "/health/live") == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=TIMEOUT_S) == 0


def test_sighup_adds_and_removes_children_as_the_file_says(env, tmp_path):
    del env["PRICEVERSE_EXCHANGES__ENABLED"]
    file = tmp_path / "priceverse.toml"
    file.write_text('[exchanges]\nenabled = ["kraken"]\n', encoding="utf-8")
    with daemon(env, "--config", str(file)) as process:
        eventually(lambda: children(env), lambda c: isinstance(c, dict) and c.get("collector.kraken") == "ready")
        file.write_text('[exchanges]\nenabled = ["okx"]\n', encoding="utf-8")
        process.send_signal(signal.SIGHUP)
        now = eventually(lambda: children(env), lambda c: isinstance(c, dict) and c.get("collector.okx") == "ready")
        eventually(lambda: children(env), lambda c: isinstance(c, dict) and "collector.kraken" not in c)
        assert "collector.okx" in now


def test_a_reload_replaces_those_whose_settings_changed_and_names_the_rest(env, tmp_path):
    del env["PRICEVERSE_METRICS__LISTEN"]
    silent = '[metrics]\nlisten = ""\n'
    file = tmp_path / "priceverse.toml"
    file.write_text(silent, encoding="utf-8")
    with daemon(env, "--config", str(file)):
        eventually(lambda: children(env), lambda c: isinstance(c, dict) and set(c.values()) == {"ready"})
        before = {child["name"]: child["pid"] for child in status(env)["children"]}

        louder = '[logging]\nlevel = "debug"\n'
        file.write_text(silent + louder, encoding="utf-8")
        plan = ctl(env, "reload")
        assert plan["live"] == {
            name: ["settings.logging.level"]
            for name in ("rates", "housekeeper", "collector.kraken", "aggregator", "api")
        }
        assert (plan["replaced"], plan["refused"]) == ({}, [])

        loud = '[metrics]\nlisten = "127.0.0.1:0"\n'
        file.write_text(louder + loud + "[cbr]\ninterval_s = 1800\n", encoding="utf-8")
        plan = ctl(env, "reload")
        assert plan["replaced"] == {"rates": ["settings.cbr.interval_s"]}
        assert plan["refused"] == ["metrics.listen: needs a restart of the root"]
        after = ctl(env, "wait", "--for", "ready", "--timeout", str(TIMEOUT_S))["children"]
        assert {child["name"] for child in after if child["pid"] != before[child["name"]]} == {"rates"}


def test_a_reload_of_a_wrong_file_changes_nothing(env, tmp_path):
    file = tmp_path / "priceverse.toml"
    file.write_text("", encoding="utf-8")
    with daemon(env, "--config", str(file)):
        eventually(lambda: children(env), lambda c: isinstance(c, dict) and set(c.values()) == {"ready"})
        file.write_text("[app]\nprot = 1\n", encoding="utf-8")
        socket_path = env["PRICEVERSE_SUPERVISOR__CONTROL_SOCKET"]
        done = subprocess.run(
            [sys.executable, "-m", "priceverse", "ctl", "--socket", socket_path, "reload"],
            capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
        )  # fmt: skip
        assert done.returncode != 0
        assert "app.prot: unknown key" in done.stderr
        assert set(children(env).values()) == {"ready"}


def test_an_upgrade_refuses_no_connection(env):
    """With the socket held outside, one daemon ends and the next begins while clients keep connecting."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1024)
        port = listener.getsockname()[1]
        env = env | {"PRICEVERSE_APP__PORT": str(port)}
        answers, failures, done = [], [], threading.Event()

        def ask() -> None:
            while not done.is_set():
                try:
                    answers.append(get(port, "/health/live", timeout_s=TIMEOUT_S))
                except OSError as error:
                    failures.append(error)

        with daemon(env, listener=listener) as first:
            eventually(lambda: get(port, "/health/live"), lambda a: a == 200)
            clients = [threading.Thread(target=ask) for _ in range(4)]
            for client in clients:
                client.start()
            eventually(lambda: len(answers), lambda n: n > 20)
            first.send_signal(signal.SIGTERM)
            assert first.wait(timeout=TIMEOUT_S) == 0
        before = len(answers)
        with daemon(env, listener=listener):
            eventually(lambda: len(answers), lambda n: n > before + 20)
            done.set()
            for client in clients:
                client.join(TIMEOUT_S)
    assert not failures
    assert set(answers) == {200}


def test_ctl_finds_the_daemon_also_beside_a_broken_configuration(tmp_path):
    """Under both of its names; which of them is installed is the wheel's matter."""
    program = "import sys; from priceverse.cli.ctl import command; command(prog_name='priceversectl')"
    for words in (["-m", "priceverse", "ctl"], ["-c", program]):
        asked = [sys.executable, *words, "status"]
        env = environment(PRICEVERSE_APP__PORT="none")
        done = subprocess.run(
            asked, env=env, capture_output=True, text=True, timeout=TIMEOUT_S, check=False, cwd=tmp_path
        )
        assert done.returncode == 4
        assert "app.port" in done.stderr
        assert "no daemon answers on /run/priceverse/control.sock" in done.stderr

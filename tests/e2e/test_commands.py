"""Every command that the README, the runbook, the schema's page and `--help` have, typed at a running instance.

The instance is that of `make run`. A command that goes on until Ctrl-C is typed at a terminal, seen, and interrupted.
"""

import os
import pty
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread, Timer

import pytest

from priceverse.cli.examples import EXAMPLES
from priceverse.embedded.postgres import PostgresServer
from priceverse.embedded.redis import RedisServer
from tests import programs
from tests.e2e.documents import ELSEWHERE, NOT_TYPED, ROOT, blocks, commands, in_line
from tests.e2e.instance import Instance, eventually, exchanges, running

README, RUNBOOK, SCHEMA = ROOT / "README.md", ROOT / "etc/operations.md", ROOT / "sql/README.md"
TIMEOUT_S = 120
ENDLESS = {"--watch": "btc-usd", "events -f": "restart", "ctl top": "collector.kraken", "simulate": "Ctrl-C"}
"""What goes on until Ctrl-C → what is seen of it before."""

PLACES = {
    "--state .priceverse": "--state $STATE",
    "priceverse ctl ": "priceverse ctl --socket $STATE/control.sock ",
    "https://prices.example.org": "$PRICEVERSE_URL",
    "http://127.0.0.1:3000": "$PRICEVERSE_URL",
    "https://www.cbr.ru/scripts": "${PRICEVERSE_CBR__URL%/*}",
    "/etc/bash_completion.d": ".",
    "${fpath[1]}": ".",
    "~/.config/fish/completions": ".",
    "journalctl -u priceverse -n 20 -o cat": "tail -n 20 $STATE/priceverse.log",
    "journalctl -u priceverse -o cat": "grep '^{' $STATE/priceverse.log",
    "NAME": "collector.kraken",
    "PAIR": "btc-usd",
    "2026-11-22T12:00:00Z": "$RECENTLY",
    "--port 8700": "--port 0",
    "--detach": "--detach --port 0",
}
"""What a document says → what it is here."""


def typed() -> list[str]:
    """All lines, each once, in the order of the documents."""
    lines = [*commands(README), *commands(SCHEMA)]
    lines += [line for program in ("priceverse", "journalctl") for line in in_line(RUNBOOK, program)]
    lines += [line for command in (*ORDER, *EXAMPLES) for line in EXAMPLES[command]]
    return [line for line in dict.fromkeys(lines) if line not in NOT_TYPED | ELSEWHERE]


ORDER = ("capture", "decode", "replay")
"""Each reads the file that the one before wrote."""


@dataclass(frozen=True)
class Terminal:
    """A shell in a folder of its own, with the instance's address and stores in its environment."""

    folder: Path
    env: dict[str, str]

    def type(self, line: str) -> None:
        """Type a line; it must do what it is for."""
        here = line
        for said, meant in PLACES.items():
            if said != "priceverse ctl " or "--state" not in line:
                here = here.replace(said, meant)
        seen = next((text for words, text in ENDLESS.items() if words in line), None)
        if seen is None:
            said = self.folder / "said"
            with said.open("wb") as file:  # a pipe would wait for what is detached
                done = subprocess.run(
                    ["bash", "-euo", "pipefail", "-c", here], cwd=self.folder, env=self.env,
                    stdin=subprocess.DEVNULL, stdout=file, stderr=file, timeout=TIMEOUT_S, check=False,
                )  # fmt: skip
            assert done.returncode == 0, f"{here}\n{said.read_text()}"
        else:
            self.watch(here, seen)

    def watch(self, line: str, seen: str) -> None:
        """Type a line at a terminal, wait for what is to be seen, press Ctrl-C."""
        screen, end = pty.openpty()
        process = subprocess.Popen(
            ["bash", "-c", f"exec {line}"], cwd=self.folder, env=self.env | {"TERM": "xterm", "COLUMNS": "120"},
            stdin=end, stdout=end, stderr=end, start_new_session=True,
        )  # fmt: skip
        os.close(end)
        patience = Timer(TIMEOUT_S, process.kill)
        patience.start()
        said = b""
        with suppress(OSError):  # nobody has the terminal any more
            while seen.encode() not in said:
                said += os.read(screen, 65536)
            process.send_signal(signal.SIGINT)
            while True:
                said += os.read(screen, 65536)
        patience.cancel()
        os.close(screen)
        assert process.wait(timeout=TIMEOUT_S) in {0, 130}, said
        assert seen.encode() in said
        assert b"Traceback" not in said


@pytest.fixture(scope="module")
def instance(tmp_path_factory) -> Iterator[Instance]:
    """What `make run` starts; the environment is as it is."""
    state = tmp_path_factory.mktemp("pv") / "s"
    line = next(line for line in commands(README) if line.startswith("make run"))
    make = [*shlex.split(line), "--silent", "--old-file=.venv/.ready", f"--directory={ROOT}"]
    with running(state, command=lambda flags: [*make, f"ARGS={' '.join(flags)}"]) as instance:
        eventually(lambda: instance.get("/health")[1]["status"], lambda status: status == "healthy", TIMEOUT_S)
        eventually(
            lambda: instance.get("/v2/candles/btc-usd?interval=1hour")[0], lambda status: status == 200, TIMEOUT_S
        )
        yield instance


@pytest.fixture(scope="module")
def webhook() -> Iterator[str]:
    """Somebody who takes notices."""

    class Taker(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Taker) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def terminal(instance, webhook, tmp_path_factory) -> Iterator[Terminal]:
    """A terminal beside the instance; what is asked of exchanges, a simulator answers."""
    database, cache = PostgresServer(instance.state).settings, RedisServer(instance.state).settings
    asked = 'SELECT to_char(max(timestamp), \'YYYY-MM-DD"T"HH24:MI:SS"Z"\') FROM price_history'
    [(recently,)] = eventually(lambda: instance.rows(asked), lambda rows: rows[0][0] is not None, TIMEOUT_S)
    with exchanges() as at:
        stores = {f"PRICEVERSE_DATABASE__{key.upper()}": str(value) for key, value in database.items()}
        stores |= {f"PRICEVERSE_REDIS__{key.upper()}": str(value) for key, value in cache.items()}
        own = {
            "PATH": f"{ROOT}/.venv/bin:{programs.path()}",
            "STATE": str(instance.state),
            "RECENTLY": recently,
            "PRICEVERSE_URL": instance.url,
            "PRICEVERSE_ALERTS__WEBHOOKS": webhook,
        }
        yield Terminal(tmp_path_factory.mktemp("typed"), programs.environment() | at | stores | own)


@pytest.mark.parametrize("line", typed())
def test_a_command_does_what_it_is_for(terminal, line):
    terminal.type(line)


@pytest.mark.parametrize("statement", [each for each in blocks(SCHEMA, "sql") if "ROLE" not in each])
def test_sql_that_is_shown_can_be_said(instance, statement):
    """The roles are made in tests/integration/db/test_logins.py."""
    instance.database(lambda connection: connection.execute(statement))


@pytest.mark.parametrize("statement", re.findall(r"`(select [^`]+)`", RUNBOOK.read_text(encoding="utf-8")))
def test_sql_of_the_runbook_can_be_said(instance, statement):
    instance.rows(statement)

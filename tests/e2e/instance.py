"""One whole instance, started as a person starts it, and what a test asks of it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import psycopg

from priceverse.cli.simulate import variables
from priceverse.embedded.postgres import PostgresServer

PAIRS = ("btc-usd", "eth-usd", "xmr-usd", "btc-rub", "eth-rub", "xmr-rub")
READY_S = 60.0
BARE = {"PRICEVERSE_API__RATE_LIMIT__ENABLED": "false", "PRICEVERSE_BACKFILL__ENABLED": "false"}
"""A test asks more often than a client may, and compares candles with the trades of its own time."""
T = TypeVar("T")


def eventually(ask: Callable[[], T], good: Callable[[T], bool], within_s: float, every_s: float = 0.1) -> T:
    """Ask until the answer is good; fail with the last answer when it is not within the time."""
    deadline = time.monotonic() + within_s
    while True:
        answer = ask()
        if good(answer):
            return answer
        assert time.monotonic() < deadline, f"not within {within_s} s; last: {answer!r}"
        time.sleep(every_s)


class Instance:
    """A running `priceverse up`; `url` is the API, `state` its directory."""

    def __init__(self, process: "subprocess.Popen[str]", state: Path, lines: list[str]) -> None:
        self.process = process
        self.state = state
        self.lines = lines
        self.url = next(line.split()[1] for line in lines if line.startswith("page")).rstrip("/")

    def get(self, path: str) -> tuple[int, Any]:
        return _ask(urllib.request.Request(self.url + path))

    def invoke(self, service: str, method: str, **given: Any) -> tuple[int, Any]:
        body = json.dumps({"id": "t", "service": service, "method": method, "input": given}).encode()
        return _ask(
            urllib.request.Request(
                self.url + "/netron/invoke", data=body, headers={"Content-Type": "application/json"}, method="POST"
            )
        )

    def price(self, pair: str) -> dict[str, Any] | None:
        """The price served, None while there is none; Decimals stay exact in `priceExact`."""
        try:
            status, reply = self.invoke("PricesService@2.0.0", "getPrice", pair=pair)
        except OSError:
            return None
        return reply["data"] if status == 200 else None

    def rows(self, sql: str, *given: Any) -> list[tuple[Any, ...]]:
        return self.database(lambda connection: connection.execute(sql, given).fetchall())

    def database(self, use: Callable[["psycopg.Connection[Any]"], T]) -> T:
        at = PostgresServer(self.state).settings
        with psycopg.connect(
            host=str(at["host"]), port=int(at["port"]), dbname=str(at["database"]), user=str(at["user"]),
            password=str(at.get("password") or ""), autocommit=True,
        ) as connection:  # fmt: skip
            return use(connection)

    def ctl(self, *words: str) -> dict[str, Any]:
        """The JSON that a control command prints; it must succeed."""
        done = subprocess.run(
            [sys.executable, "-m", "priceverse", "ctl", "--state", str(self.state), *words, "--json"],
            capture_output=True, text=True, timeout=90, check=False,
        )  # fmt: skip
        assert done.stdout, done.stderr
        reply: dict[str, Any] = json.loads(done.stdout)
        return reply

    def children(self) -> dict[str, int]:
        """Name → pid of every supervised child that is ready."""
        return {child["name"]: child["pid"] for child in self.ctl("status")["children"] if child["state"] == "ready"}

    def owners(self) -> dict[str, str]:
        """Pair → aggregator."""
        pools = {pool["name"]: pool for pool in self.ctl("status")["pools"]}
        owners: dict[str, str] = pools["aggregator"]["keys"]
        return owners

    def log(self) -> list[dict[str, Any]]:
        lines = (self.state / "priceverse.log").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)


def up(flags: Sequence[str]) -> list[str]:
    """The command that starts an instance."""
    return [sys.executable, "-m", "priceverse", "up", *flags]


@contextmanager
def running(
    state: Path, *flags: str, env: dict[str, str] | None = None, command: Callable[[Sequence[str]], list[str]] = up
) -> Iterator[Instance]:
    """Start `priceverse up`, or what else starts it; yield it when it says it is ready, stop it in the end."""
    process = subprocess.Popen(
        command(["--state", str(state), "--port", "0", *flags]),
        stdout=subprocess.PIPE, text=True, env=os.environ | BARE | (env or {}),
    )  # fmt: skip
    try:
        yield Instance(process, state, _until_ready(process, state))
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(timeout=60)
        assert process.stdout is not None
        process.stdout.close()


@contextmanager
def exchanges() -> Iterator[dict[str, str]]:
    """A simulator of one's own; the variables that lead the program there."""
    with subprocess.Popen(
        [sys.executable, "-m", "priceverse", "simulate", "--port", "0"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        [port] = re.findall(r"127\.0\.0\.1:(\d+)/", process.stdout.readline())
        yield variables(int(port))
        process.terminate()


def descendants(pid: int) -> set[int]:
    """Return the process ids below `pid`, all generations; whoever ends meanwhile is left out."""
    below: set[int] = set()
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in map(int, _read(task).split()):
                below |= {child} | descendants(child)
    return below


def command_line(pid: int) -> list[str]:
    """Return the words a process was started with, none when it has ended."""
    return _read(Path(f"/proc/{pid}/cmdline")).split("\0")


def alive(pids: set[int]) -> set[int]:
    """Return those that still run; a zombie does not."""
    return {pid for pid in pids if _state(pid) not in {"", "Z", "X"}}


def _state(pid: int) -> str:
    return next(iter(_read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()), "")


def _read(entry: Path) -> str:
    """Return what /proc says, nothing when the process ended before or while it was read."""
    try:
        return entry.read_text()
    except OSError:
        return ""


def _until_ready(process: "subprocess.Popen[str]", state: Path) -> list[str]:
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("stop "):
            return lines
    log = state / "priceverse.log"
    tail = log.read_text(encoding="utf-8")[-3000:] if log.exists() else ""
    raise AssertionError(f"it ended before it was ready: {lines} {tail}")


def _ask(request: urllib.request.Request) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.load(refused)

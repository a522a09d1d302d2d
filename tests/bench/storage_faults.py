"""A whole instance whose PostgreSQL has a full disk, then no connection left, then is killed.

Run as root: `python -m tests.bench.storage_faults [--for 20]`. PostgreSQL's directory is a tmpfs of 400 MB, which a
file fills up. Prints a line a fault: after how long the health report and the metrics named it, how old the oldest
live price was while it lasted (it is asked twice a second), after how long health was good again; and how many
instants of history are missing at the end. Exit 1 if metrics did not name a fault within 5 s, a live price was older
than 5 s, or an instant is missing.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psycopg

from priceverse.embedded.postgres import PostgresServer
from tests.e2e.instance import PAIRS, Instance, eventually, running

NAMED_WITHIN_S, OLDEST_S = 5.0, 5.0
SETTLE_S = 40.0


def main() -> int:
    chosen = arguments()
    state = Path(tempfile.mkdtemp(prefix="pv-full-"))
    state.chmod(0o711)
    disk = state / "postgres"
    disk.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400m,mode=0700", "none", disk], check=True)
    try:
        with running(state, "--seed", "5") as instance:
            return storm(instance, disk, chosen.seconds)
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def storm(instance: Instance, disk: Path, seconds: float) -> int:
    for pair in PAIRS:
        eventually(lambda pair=pair: instance.price(pair), bool, 60)
    eventually(lambda: is_good(instance), bool, 60)
    began_ms = time.time() * 1000
    results = [
        measured(reason, fault(instance, disk), instance, seconds)
        for reason, fault in (("disk_full", full), ("exhausted", exhausted), ("away", killed))
    ]
    time.sleep(SETTLE_S)
    missing = holes(instance, began_ms)
    print(f"history: {missing} instants missing since the first fault; load {os.getloadavg()[0]:.1f}")
    return 0 if all(results) and not missing else 1


def measured(reason: str, fault: AbstractContextManager[None], instance: Instance, seconds: float) -> bool:
    before, named, oldest_s = failures(instance, reason), {}, 0.0
    with fault:
        began_s = time.monotonic()
        while time.monotonic() - began_s < seconds:
            if "health" not in named and not is_good(instance):
                named["health"] = time.monotonic() - began_s
            if "metrics" not in named and failures(instance, reason) > before:
                named["metrics"] = time.monotonic() - began_s
            oldest_s = max(oldest_s, age_s(instance))
            time.sleep(0.5)
    ended_s = time.monotonic()
    eventually(lambda: is_good(instance), bool, 120)
    good_s = time.monotonic() - ended_s
    said = ", ".join(f"in {where} after {after_s:.1f} s" for where, after_s in sorted(named.items())) or "nowhere"
    print(
        f"{reason:<10} named {said}; oldest live price {oldest_s:.1f} s; good {good_s:.1f} s after its end", flush=True
    )
    unnoticed = reason == "away" and not named  # its keeper restarts it sooner than anybody asks
    return (unnoticed or named.get("metrics", 99.0) <= NAMED_WITHIN_S) and oldest_s <= OLDEST_S


@contextmanager
def full(instance: Instance, disk: Path) -> Iterator[None]:
    ballast = disk / "ballast"
    with ballast.open("wb") as file:
        try:
            while True:
                file.write(b"\\0" * (1 << 20))
                file.flush()
        except OSError:
            pass
    yield
    ballast.unlink()


@contextmanager
def exhausted(instance: Instance, disk: Path) -> Iterator[None]:
    at = PostgresServer(instance.state).settings
    held: list[psycopg.Connection] = []

    def take() -> None:
        try:
            while True:
                held.append(psycopg.connect(
                    host=str(at["host"]), port=int(at["port"]), dbname=str(at["database"]), user=str(at["user"]),
                    password=str(at["password"]), autocommit=True,
                ))  # fmt: skip
        except psycopg.OperationalError:
            return

    take()
    cut(held[0])
    for _ in range(10):
        take()  # faster than the pools: they find nothing left
    yield
    for each in held:
        each.close()


def cut(connection: psycopg.Connection) -> None:
    """End the sessions of the instance."""
    connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'priceverse' AND pid <> pg_backend_pid()"
    )


@contextmanager
def killed(instance: Instance, disk: Path) -> Iterator[None]:
    pid = int((disk / "data/postmaster.pid").read_text().splitlines()[0])
    os.kill(pid, 9)
    yield


def failures(instance: Instance, reason: str) -> float:
    """Return how many transactions failed for a reason, by the metrics of the whole instance."""
    url = next(line.split()[1] for line in instance.lines if line.startswith("metrics"))
    with urllib.request.urlopen(url, timeout=5) as page:
        lines = page.read().decode().splitlines()
    counted = [line for line in lines if "database_failures" in line and f'reason="{reason}"' in line]
    return sum(float(line.split()[1]) for line in counted)


def is_good(instance: Instance) -> bool:
    try:
        status, report = instance.get("/health")
    except OSError:
        return False
    return status == 200 and all(report["checks"][each]["status"] == "up" for each in ("database", "history"))


def age_s(instance: Instance) -> float:
    price = instance.price("btc-usd")
    return 0.0 if price is None else max(0.0, time.time() - price["timestamp"] / 1000)


def holes(instance: Instance, since_ms: float) -> int:
    found = instance.rows(
        "SELECT count(*), max(timestamp), min(timestamp) FROM price_history"
        " WHERE pair = 'btc-usd' AND timestamp >= to_timestamp(%s)",
        since_ms / 1000,
    )
    count, newest, oldest = found[0]
    return round((newest - oldest).total_seconds() / 10) + 1 - count


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--for", dest="seconds", type=float, default=20.0, help="length of each fault, seconds")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

"""A storm of kill -9 over a whole instance: is the API there, is the history exact?

Run: `python tests/bench/supervision/storm.py [--seconds 60] [--pause 0.6] [--roles all-but-collectors]`; the figure is
made with `--seconds 600`. Every `--pause` seconds, by chance up to half as much more or less so that the kills keep no
step with the client, a random child is drawn and dies, whatever it is doing. A client asks for a price every 20 ms,
each time on a fresh connection, and waits up to 5 s. What a killed handler was working on fails in any case; `with a
second try` is what a client sees that asks once more then, as many and as proxies do.

When all has come to rest the trades of the storm are counted: those of the simulator's truth in the streams, after
the collectors have fetched what they missed (missing, and how many of them are recorded as a gap; doubled; wrong), and
those of the streams in the candles (see `ledgers.py`). Every row of history is compared with an independent
recomputation from the truth: a row waits five seconds for late trades, so where collectors died it may lack some;
candles do not.

`--roles`: `all-but-collectors`, `all` (the simulator lives: it is the world), `both` in two storms, or names
(`aggregator,api`); a child drawn of another role is spared, so that each dies as often in every storm.
"""

import argparse
import http.client
import json
import math
import random
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import ledgers
from stage import UNLIMITED, ctl, quantile, signal_to, table

from tests.bench.faults import Found
from tests.e2e.instance import Instance, eventually, running
from tests.e2e.recompute import Truth

ALL = ("aggregator", "api", "rates", "housekeeper", "zygote", "collector")
PAIRS = ("btc-usd", "eth-usd", "xmr-usd", "usdt-usd")
ASK_EVERY_S = 0.02
PATIENCE_S = 5.0
VENUES = {"btc-usd": 6, "eth-usd": 6, "xmr-usd": 2}
"""How many exchanges make a price: when all do, the storm begins."""

GRID_S, WINDOW_S = 10, 30
SETTLE_S = 60.0
CALL = json.dumps(
    {"id": "1", "service": "PricesService@2.0.0", "method": "getPrice", "input": {"pair": "btc-usd"}}
).encode()


def main() -> None:
    arguments = parse()
    for roles in [ALL[:-1], ALL] if arguments.roles == "both" else [_roles(arguments.roles)]:
        with tempfile.TemporaryDirectory(prefix="stage-") as folder:
            one_storm(Path(folder) / "state", roles, arguments)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--pause", type=float, default=0.6)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--roles", default="all-but-collectors", help=f"of {', '.join(ALL)}; or all; or both storms")
    return parser.parse_args()


def _roles(named: str) -> Sequence[str]:
    return {"all-but-collectors": ALL[:-1], "all": ALL}.get(named) or named.split(",")


def one_storm(state: Path, roles: Sequence[str], arguments: argparse.Namespace) -> None:
    truth = state.with_suffix(".truth")
    with running(state, "--truth", str(truth), "--seed", str(arguments.seed), env=UNLIMITED) as instance:
        for pair, venues in VENUES.items():
            eventually(partial(instance.price, pair), partial(has_all, venues), 60)
        before = eventually(partial(ledgers.sums, instance), lambda found: len(found) == len(PAIRS) + 3, 60)
        with asking(instance.url.removeprefix("http://")) as client:
            begun_s = time.time()
            killed = kill(state / "control.sock", roles, arguments)
            ended_s = time.time()
        rows = settled_rows(instance, begun_s, ended_s)
        found = ledgers.fetched(instance, truth, begun_s, ended_s)
        after = ledgers.settled_sums(instance, ended_s)
        candles = list(ledgers.candles(instance, before, after))
        extremes = ledgers.extremes(instance, before, after)
    kills = ", ".join(f"{role} {number}" for role, number in sorted(killed.items()))
    head = ["asked", "failed", "of which", "available", "with a second try", "reply p50, s", "p99", "max"]
    table(f"{sum(killed.values())} kills in {ended_s - begun_s:.0f} s ({kills})", head, [client.figures()])
    head = ["exchange", "trades", "missing", "of them told as a gap", "doubled", "wrong"]
    table("Streams against the truth, after the fetching of what was missed", head, streams(found))
    head = ["pair", "trades in the streams", "in the candles", "lost", "doubled", "volume"]
    table(f"Candles against the streams; highest and lowest of usdt-usd: {extremes}", head, candles)
    head = ["rows due", "exact", "missing", "trades lost", "trades doubled", "otherwise wrong"]
    table("History against the truth, every 10 s, windows of 30 s", head, [judge(Truth(truth), rows, begun_s, ended_s)])


def streams(found: dict[str, Found]) -> list[list[object]]:
    rows: list[list[object]] = [
        [name, venue.truth, len(venue.missing), venue.lost, venue.doubled, len(venue.wrong)]
        for name, venue in found.items()
    ]
    sums = [sum(row[column] for row in rows) for column in range(1, 6)]  # type: ignore[misc] # all numbers
    return [*rows, ["all", *sums]]


def has_all(venues: int, price: dict | None) -> bool:
    return price is not None and len(price["sources"]) == venues


def kill(control: Path, roles: Sequence[str], arguments: argparse.Namespace) -> Counter[str]:
    """Draw a random child of all and kill it if it is of these roles; return how many of each."""
    killed: Counter[str] = Counter()
    draw, next_s = random.Random(arguments.seed), time.monotonic()
    until_s = next_s + arguments.seconds
    while (now_s := time.monotonic()) < until_s:
        next_s = max(next_s + draw.uniform(0.5, 1.5) * arguments.pause, now_s)
        status = ctl(control, "status")
        processes = [*status["children"], {"role": "zygote", "pid": status["root"]["zygote_pid"]}]
        victim = draw.choice([each for each in processes if each["role"] in ALL])
        if victim["role"] in roles and victim["pid"]:
            signal_to(victim["pid"], signal.SIGKILL)
            killed[victim["role"]] += 1
        time.sleep(max(0.0, next_s - time.monotonic()))
    return killed


class Client:
    """Asks for a price every 20 ms until it is stopped, whether or not the earlier replies have come."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._replies: list[tuple[float, str, str]] = []  # took, fault, fault of the second try
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask_on)
        self._thread.start()

    def stop(self) -> None:
        """Ask no more; returns when the last reply has come or is given up."""
        self._over.set()
        self._thread.join()

    def _ask_on(self) -> None:
        next_s = time.monotonic()
        with ThreadPoolExecutor(round(PATIENCE_S / ASK_EVERY_S)) as askers:
            while not self._over.wait(max(0.0, next_s - time.monotonic())):
                askers.submit(self._time, next_s)
                next_s += ASK_EVERY_S

    def _time(self, due_s: float) -> None:
        fault = self._ask()
        took_s = time.monotonic() - due_s
        self._replies.append((took_s, fault, fault and self._ask()))

    def _ask(self) -> str:
        """Return what failed, or nothing."""
        connection = http.client.HTTPConnection(self._address, timeout=PATIENCE_S)
        try:
            headers = {"Content-Type": "application/json", "Connection": "close"}
            connection.request("POST", "/netron/invoke", CALL, headers)
            reply = connection.getresponse()
            said = json.loads(reply.read())
        except (OSError, http.client.HTTPException) as fault:
            return type(fault).__name__
        finally:
            connection.close()
        return "" if said.get("success") else f"{reply.status} {said['error']['code']}"

    def figures(self) -> list[object]:
        asked, faults = len(self._replies), Counter(fault for _, fault, _ in self._replies if fault)
        twice = sum(1 for *_, again in self._replies if again)
        of_which = ", ".join(f"{fault} {number}" for fault, number in faults.items()) or "–"
        took_s = [took for took, *_ in self._replies]
        times = [f"{quantile(took_s, q):.3f}" for q in (0.5, 0.99, 1)]
        shares = [f"{1 - failed / asked:.3%}" for failed in (faults.total(), twice)]
        return [asked, faults.total(), of_which, *shares, *times]


@contextmanager
def asking(address: str) -> Iterator[Client]:
    client = Client(address)
    try:
        yield client
    finally:
        client.stop()


def due(begun_s: float, ended_s: float) -> list[int]:
    """Return the moments of the rows whose whole windows lie in the storm, and those of the first windows after it."""
    first, last = math.ceil((begun_s + WINDOW_S) / GRID_S) * GRID_S, int(ended_s) // GRID_S * GRID_S + GRID_S
    return list(range(first, last + 1, GRID_S))


Rows = list[tuple[str, int, object, object]]


def settled_rows(instance: Instance, begun_s: float, ended_s: float) -> Rows:
    """Return the rows of the storm when all are there, or when they should have been for long."""
    moments = due(begun_s, ended_s)
    deadline_s = time.monotonic() + SETTLE_S
    while True:
        rows: Rows = instance.rows(  # type: ignore[assignment] # what the columns are
            "select pair::text, extract(epoch from timestamp)::bigint, price, volume from price_history"
            " where pair::text = any(%s) and timestamp between to_timestamp(%s) and to_timestamp(%s)",
            list(PAIRS), moments[0], moments[-1],
        )  # fmt: skip
        if len(rows) == len(moments) * len(PAIRS) or time.monotonic() > deadline_s:
            return rows
        time.sleep(1)


def judge(truth: Truth, rows: Rows, begun_s: float, ended_s: float) -> list[object]:
    """Compare each row with the recomputation: volume says whether trades were lost or doubled."""
    moments = due(begun_s, ended_s)
    found = {(pair, at_s): (price, volume) for pair, at_s, price, volume in rows}
    verdicts: Counter[str] = Counter()
    for pair in PAIRS:
        for at_s in moments:
            verdict = verdict_on(truth, pair, at_s, found.get((pair, at_s)))
            verdicts[verdict] += 1
            if verdict != "exact":
                print(f"{verdict}: {pair} at {at_s} ({at_s - begun_s:+.0f} s): {found.get((pair, at_s))}")
    kinds = ("exact", "missing", "lost", "doubled", "wrong")
    return [len(moments) * len(PAIRS), *(verdicts[kind] for kind in kinds)]


def verdict_on(truth: Truth, pair: str, at_s: int, row: tuple[object, object] | None) -> str:
    price, volume, _ = truth.index(pair, (at_s - WINDOW_S) * 1000, at_s * 1000)
    if row is None:
        return "missing"
    if row == (price, volume):
        return "exact"
    return "lost" if row[1] < volume else "doubled" if row[1] > volume else "wrong"


if __name__ == "__main__":
    main()

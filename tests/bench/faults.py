"""Six collectors against a market that misbehaves in every way it can, at random by seed: is every trade had, once?

Run: `python tests/bench/faults.py [--seconds 60] [--seed 1] [--speed 1]`. Prints one line a venue: the trades of the
truth, how many are missing in the streams (and how many of those lie within a recorded loss), doubled, wrong; and what
it took. Exit 1 if any is missing, doubled or wrong.

The simulator, six collectors and a private Redis share this machine. OKX joins matches in a row and tells them apart in
its history, so its rows are compared by the volume of the ids that they stand for.
"""

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from random import Random

import trio

from priceverse import log
from priceverse.bus import keys
from priceverse.bus.client import connect
from priceverse.collector.ledger import Ledger
from priceverse.collector.serve import Duties, serve
from priceverse.config.settings import Settings
from priceverse.embedded.redis import RedisServer
from priceverse.embedded.state import StateDir
from priceverse.model.exchange import Exchange
from priceverse.simulator import market
from priceverse.simulator.faults import Fault, Kind
from priceverse.simulator.hub import Hub
from priceverse.simulator.match import NS_PER_MS, NS_PER_S

SETTLE_S = 15.0
SETTLE_MOST_S = 90.0
QUIET_S = (0.5, 3.0)

# Durations that the shortest history (Bybit: 60 rows) outlasts where REST is refused too; a wrong clock is one that
# can be told to be wrong.
FAULTS: dict[Kind, dict[str, object]] = {
    Kind.DROP: {"for_s": (0.0, 4.0), "probability": 0.5},
    Kind.MUTE: {"for_s": (1.0, 12.0)},
    Kind.ACCEPT_THEN_CLOSE: {"for_s": (1.0, 6.0)},
    Kind.DUPLICATE: {"for_s": (2.0, 10.0), "probability": 0.3},
    Kind.REORDER: {"for_s": (2.0, 10.0), "probability": 0.3},
    Kind.GAP: {"for_s": (2.0, 10.0), "probability": 0.2},
    Kind.MALFORMED: {"for_s": (2.0, 10.0), "probability": 0.3},
    Kind.WRONG_CLOCK: {"for_s": (2.0, 8.0), "skew_ms": (-7_200_000, 3_600_000, 60_000)},
    Kind.SLOW: {"for_s": (2.0, 8.0), "delay_ms": (50, 500, 2000)},
    Kind.TOO_MANY_REQUESTS: {"for_s": (0.5, 1.0)},
    Kind.OUTLIER: {"for_s": (2.0, 8.0), "probability": 0.05, "factor": (0.1, 10.0)},
    Kind.DEPEG: {"for_s": (2.0, 8.0)},
}

Key = tuple[str, str, str]


@dataclass
class Found:
    """What a venue's streams hold of the truth."""

    truth: int = 0
    missing: list[str] = field(default_factory=list)
    lost: int = 0
    doubled: int = 0
    wrong: list[str] = field(default_factory=list)


async def trouble(hub: Hub, rng: Random, seconds: float, begun: Counter[str]) -> None:
    """Let faults come and go until the time is over: each venue one after the other, at times two at once."""
    async with trio.open_nursery() as nursery:
        with trio.move_on_after(seconds):
            for exchange in Exchange:
                nursery.start_soon(_trouble_one, hub, exchange, Random(rng.random()), begun)
            await trio.sleep_forever()
        nursery.cancel_scope.cancel()
    hub.faults.clear()


async def _trouble_one(hub: Hub, exchange: Exchange, rng: Random, begun: Counter[str]) -> None:
    while True:
        await trio.sleep(rng.uniform(*QUIET_S))
        longest_s = 0.0
        for kind in rng.sample(list(FAULTS), rng.choice((1, 1, 2))):
            options = dict(FAULTS[kind])
            for_s = rng.uniform(*options.pop("for_s"))
            chosen = {key: rng.choice(value) if isinstance(value, tuple) else value for key, value in options.items()}
            until_ns = _now_ns() + int(for_s * NS_PER_S)
            target = None if kind is Kind.DEPEG else exchange
            hub.faults.add(Fault(kind, target, until_ns, **chosen))
            if kind is Kind.DROP:
                hub.cut(exchange)
            begun[kind.value] += 1
            longest_s = max(longest_s, for_s)
        await trio.sleep(longest_s)


def _now_ns() -> int:
    import time

    return time.time_ns()


def truth_of(path: Path, since_ms: dict[Key, int], until_ms: int) -> Iterator[dict]:
    """Yield the trades that every collector should have: those after its first, sent before the end."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            key = (row["exchange"], row["pair"])
            if not row.get("historical") and since_ms.get(key, until_ms) < row["timestamp"] and row["sent"] < until_ms:
                yield row


def streams(client: object, pairs: list[str]) -> dict[Key, list[tuple[str, str, int, str]]]:
    """Return what the streams hold: (exchange, pair, id) → price, volume, time, side of each entry."""
    held: dict[Key, list[tuple[str, str, int, str]]] = {}
    for pair in pairs:
        for _, raw in client.xrange(keys.trades(pair)):
            entry = {name.decode(): value.decode() for name, value in zip(raw[::2], raw[1::2], strict=True)}
            key = (entry["exchange"], pair, entry["trade_id"])
            found = (entry["price"], entry["volume"], int(entry["timestamp"]), entry["side"])
            held.setdefault(key, []).append(found)
    return held


def compare(row: dict, held: dict[Key, list[tuple[str, str, int, str]]]) -> tuple[str, int]:
    """Return what became of one trade of the truth (ok, missing, wrong), and how often too much it is there."""
    exchange, pair, last = row["exchange"], row["pair"], row["trade_id"]
    whole = held.get((exchange, pair, last), [])
    count = row.get("count", 1)
    parts = [held.get((exchange, pair, str(int(last) - n)), []) for n in range(1, count)] if count > 1 else []
    entries = [entry for part in (whole, *parts) for entry in part]
    if not entries:
        return "missing", 0
    volume = sum((Decimal(entry[1]) for entry in entries), Decimal())
    if volume < Decimal(row["volume"]):
        return "missing", 0
    doubled = sum(max(0, len(part) - 1) for part in (whole, *parts))
    told = (Decimal(row["price"]), row["timestamp"] if count == 1 else None, row["side"])
    same = all((Decimal(p), t if count == 1 else None, s) == told for p, _, t, s in entries)
    return ("ok" if same and (doubled or volume == Decimal(row["volume"])) else "wrong"), doubled


def judge(rows: Iterator[dict], held: dict, losses: list[dict]) -> dict[str, Found]:
    """Compare the streams with the truth, by venue."""
    found = {exchange.value: Found() for exchange in Exchange}
    for row in rows:
        venue = found[row["exchange"]]
        venue.truth += 1
        verdict, doubled = compare(row, held)
        venue.doubled += doubled
        if verdict == "missing":
            venue.missing.append(json.dumps(row))
            venue.lost += any(_is_within(row, loss) for loss in losses)
        elif verdict == "wrong":
            venue.wrong.append(f"{row}: {held.get((row['exchange'], row['pair'], row['trade_id']))}")
    return found


def _is_within(row: dict, loss: dict) -> bool:
    same = (row["exchange"], row["pair"]) == (loss["exchange"], loss["pair"])
    return same and loss["from_ms"] <= row["timestamp"] <= loss["to_ms"]


def report(found: dict[str, Found], ledgers: dict[Exchange, Ledger]) -> bool:
    """Print a table; tell whether nothing is missing, doubled or wrong."""
    print(f"{'venue':10}{'truth':>8}{'missing':>9}{'of it told':>11}{'doubled':>9}{'wrong':>7}", end="")
    print(f"{'reconnects':>12}{'gaps':>7}{'backfilled':>12}{'duplicates':>12}{'rejects':>9}{'losses':>8}")
    for exchange, ledger in ledgers.items():
        venue, seen = found[exchange.value], ledger.snapshot()
        print(f"{exchange.value:10}{venue.truth:8}{len(venue.missing):9}{venue.lost:11}{venue.doubled:9}", end="")
        print(f"{len(venue.wrong):7}{seen['reconnects']:12}{seen['gaps']:7}{seen['backfilled']:12}", end="")
        print(f"{seen['duplicates']:12}{sum(seen['rejects'].values()):9}{seen['lost_total']:8}")
    sums = [
        sum(each) for each in zip(*((len(v.missing), v.doubled, len(v.wrong)) for v in found.values()), strict=True)
    ]
    print(f"missing, doubled, wrong = {sums[0]}, {sums[1]}, {sums[2]} of {sum(v.truth for v in found.values())}")
    for loss in (loss for ledger in ledgers.values() for loss in ledger.snapshot()["lost"]):
        print(f"  told as lost: {loss}", file=sys.stderr)
    for name, venue in found.items():
        for line in (*venue.missing[:20], *venue.wrong[:5]):
            print(f"  {name}: {line}", file=sys.stderr)
    return not any(sums)


class Run:
    """One run: a market, six collectors, and the trouble between them."""

    def __init__(self, options: argparse.Namespace, folder: Path, redis: dict) -> None:
        self._options = options
        self._truth = folder / "truth.jsonl"
        self._redis = redis
        self.ledgers = {exchange: Ledger(exchange) for exchange in Exchange}
        self.begun: Counter[str] = Counter()

    async def run(self) -> dict[str, Found]:
        """Return what was found."""
        async with trio.open_nursery() as nursery:
            market_options = market.Options(truth=self._truth, seed=self._options.seed, speed=self._options.speed)
            running = await nursery.start(market.serve, market_options)
            settings = self._settings(running.port)
            stopping = trio.Event()
            for exchange in Exchange:
                duties = Duties(f"collector.{exchange}", stopping, trio.lowlevel.checkpoint, lambda _: None)
                nursery.start_soon(serve, settings, exchange, duties, self.ledgers[exchange])
            await trio.sleep(3)
            await trouble(running.hub, Random(self._options.seed), self._options.seconds, self.begun)
            found = await self._settled(settings, _now_ns() // NS_PER_MS)
            stopping.set()
            await trio.sleep(0.5)
            nursery.cancel_scope.cancel()
        return found

    async def _settled(self, settings: Settings, until_ms: int) -> dict[str, Found]:
        """Wait until nothing is missing any more, or for long enough."""
        with trio.move_on_after(SETTLE_MOST_S):
            await trio.sleep(SETTLE_S)
            while True:
                found = await trio.to_thread.run_sync(self._compare, settings, until_ms)
                if not any(venue.missing for venue in found.values()):
                    return found
                await trio.sleep(5)
        return await trio.to_thread.run_sync(self._compare, settings, until_ms)

    def _compare(self, settings: Settings, until_ms: int) -> dict[str, Found]:
        with connect(settings.redis) as client:
            held = streams(client, list(settings.source_pairs))
        first: dict[Key, int] = {}
        for (exchange, pair, _), entries in held.items():
            first[exchange, pair] = min(first.get((exchange, pair), until_ms), *(entry[2] for entry in entries))
        losses = [loss for ledger in self.ledgers.values() for loss in ledger.snapshot()["lost"]]
        return judge(truth_of(self._truth, first, until_ms), held, losses)

    def _settings(self, port: int) -> Settings:
        exchanges: dict[str, object] = {
            "reconnect_base_delay": 200,
            "max_reconnect_attempts": 1000,
            "mute_timeout_s": 5,
        }
        for exchange in Exchange:
            where = f"127.0.0.1:{port}/{exchange}"
            exchanges[exchange.value] = {"ws_url": f"ws://{where}", "rest_url": f"http://{where}"}
        return Settings.model_validate({"redis": self._redis, "exchanges": exchanges})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--speed", type=float, default=1.0)
    options = parser.parse_args()
    log.configure(level="error", pretty=True, file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="pv-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        with StateDir(folder):
            server = RedisServer(folder)
            server.start()
            try:
                run = Run(options, folder, server.settings)
                found = trio.run(run.run)
            finally:
                server.stop()
    print(f"faults: {', '.join(f'{kind} {count}' for kind, count in sorted(run.begun.items()))}")
    return 0 if report(found, run.ledgers) else 1


if __name__ == "__main__":
    sys.exit(main())

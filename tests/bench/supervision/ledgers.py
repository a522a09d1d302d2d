"""What a storm left of the trades: the streams beside the simulator's truth, the candles beside the streams.

    truth (a line a trade) ─ compare ─▶ streams (Redis) ─ compare ─▶ candles of five minutes (PostgreSQL)

The rule of candles that is checked: an entry of a stream is in the candles of checkpoint C, once, if its trade is older
than the last instant T that is settled at C and it reached the stream before T + lateness. So the difference of two
checkpoints is a sum over the entries between them, whatever was killed meanwhile.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import stage  # noqa: F401 -- makes the tests' own modules importable

from priceverse.bus import keys
from priceverse.bus.client import connect
from priceverse.config.settings import Aggregation, Redis
from priceverse.embedded.redis import RedisServer
from tests.bench.faults import Found, judge, streams, truth_of
from tests.e2e.instance import Instance

GRID_MS, LATENESS_MS = 10_000, Aggregation().lateness_ms
PAIRS = ("btc-usd", "eth-usd", "xmr-usd", "usdt-usd")
DERIVED = {"btc-rub": "btc-usd", "eth-rub": "eth-usd", "xmr-rub": "xmr-usd"}
FETCH_S = 150.0
SETTLE_S = 60.0
_SUMS = """
    SELECT mine.pair::text, done.stream_id, coalesce(sum(candle.trade_count), 0), coalesce(sum(candle.volume), 0)
    FROM unnest(%s::text[], %s::text[]) AS mine (pair, source)
    JOIN checkpoint AS done ON done.pair::text = mine.source
    LEFT JOIN price_history_5min AS candle ON candle.pair::text = mine.pair AND candle.source = 'trades'
    GROUP BY mine.pair, done.stream_id
"""
_EDGES = """
    SELECT extract(epoch from "timestamp")::bigint * 1000, high, low FROM price_history_5min WHERE pair = 'usdt-usd'
"""
_GAPS = """
    SELECT exchange, pair::text, (extract(epoch from "from") * 1000)::bigint, (extract(epoch from "to") * 1000)::bigint
    FROM gap
"""


@dataclass(frozen=True, slots=True)
class Sums:
    """What the candles of one pair hold in all, and the instant up to which they do."""

    settled_ms: int
    trades: int
    volume: Decimal


def sums(instance: Instance) -> dict[str, Sums]:
    """Return the sums of every pair, each with the checkpoint that it belongs to."""
    pairs = dict.fromkeys(PAIRS) | DERIVED
    rows = instance.rows(_SUMS, list(pairs), [source or pair for pair, source in pairs.items()])
    return {pair: Sums(_settled_ms(stream_id), trades, volume) for pair, stream_id, trades, volume in rows}


def _settled_ms(stream_id: str) -> int:
    """Return the last instant that is complete when everything up to this id, it included, has been read."""
    return (int(stream_id.partition("-")[0]) + 1 - LATENESS_MS) // GRID_MS * GRID_MS


def settled_sums(instance: Instance, ended_s: float) -> dict[str, Sums]:
    """Return the sums when they hold all of the storm, or when they should have done so for long."""
    deadline_s = time.monotonic() + SETTLE_S
    while True:
        found = sums(instance)
        is_done = len(found) == len(PAIRS) + len(DERIVED)
        if is_done and min(each.settled_ms for each in found.values()) > ended_s * 1000:
            return found
        if time.monotonic() > deadline_s:
            return found
        time.sleep(1)


def candles(instance: Instance, before: dict[str, Sums], after: dict[str, Sums]) -> Iterator[list[object]]:
    """Yield a line a pair: what the streams say that its candles gained between the two, and what they did gain."""
    entries = {pair: list(_entries(instance, pair)) for pair in PAIRS}
    for pair in (*PAIRS, *DERIVED):
        if pair not in before or pair not in after:
            yield [pair, "–", "–", "–", "–", "–"]
            continue
        first, last = before[pair], after[pair]
        due = [
            each for each in entries[DERIVED.get(pair, pair)]
            if each.is_in(last.settled_ms) and not each.is_in(first.settled_ms)
        ]  # fmt: skip
        gained, volume = last.trades - first.trades, last.volume - first.volume
        lost, doubled = max(0, len(due) - gained), max(0, gained - len(due))
        is_exact = volume == sum((each.volume for each in due), Decimal(0))
        yield [pair, len(due), gained, lost, doubled, "exact" if is_exact else f"off: {volume}"]


def extremes(instance: Instance, before: dict[str, Sums], after: dict[str, Sums]) -> str:
    """Say how many buckets of usdt-usd, which nothing converts, have the highest and lowest price of their trades."""
    if "usdt-usd" not in before or "usdt-usd" not in after:
        return "no candles of usdt-usd"
    first, last = before["usdt-usd"].settled_ms, after["usdt-usd"].settled_ms
    prices: dict[int, list[Decimal]] = {}
    for each in _entries(instance, "usdt-usd"):
        if each.is_in(last):
            prices.setdefault(each.at_ms // 300_000 * 300_000, []).append(each.price)
    rows = {start: (high, low) for start, high, low in instance.rows(_EDGES)}
    wanted = {start: (max(of), min(of)) for start, of in prices.items() if start + 300_000 > first}
    return f"{sum(rows.get(start) == edges for start, edges in wanted.items())} of {len(wanted)} buckets"


@dataclass(frozen=True, slots=True)
class _Entry:
    """One trade of a stream, where it stands first."""

    arrived_ms: int
    at_ms: int
    price: Decimal
    volume: Decimal

    def is_in(self, settled_ms: int) -> bool:
        return self.at_ms < settled_ms and self.arrived_ms < settled_ms + LATENESS_MS


def _entries(instance: Instance, pair: str) -> Iterator[_Entry]:
    known: set[tuple[bytes, bytes]] = set()
    with connect(_redis(instance)) as client:
        for identifier, raw in client.xrange(keys.trades(pair)):
            entry: dict[bytes, bytes] = dict(zip(raw[::2], raw[1::2], strict=True))
            if (key := (entry[b"exchange"], entry[b"trade_id"])) not in known:
                known.add(key)
                price, volume = (Decimal(entry[name].decode()) for name in (b"price", b"volume"))
                yield _Entry(int(identifier.partition(b"-")[0]), int(entry[b"timestamp"]), price, volume)


def fetched(instance: Instance, truth: Path, begun_s: float, ended_s: float) -> dict[str, Found]:
    """Compare the streams with the truth of the storm, by exchange, when what they lack is told or long overdue."""
    deadline_s = time.monotonic() + FETCH_S
    while True:
        found = _compared(instance, truth, int(begun_s * 1000), int(ended_s * 1000))
        if not any(len(venue.missing) > venue.lost for venue in found.values()) or time.monotonic() > deadline_s:
            return found
        time.sleep(2)


def _compared(instance: Instance, truth: Path, since_ms: int, until_ms: int) -> dict[str, Found]:
    names = ("exchange", "pair", "from_ms", "to_ms")
    losses: list[dict[str, Any]] = [dict(zip(names, row, strict=True)) for row in instance.rows(_GAPS)]
    with connect(_redis(instance)) as client:
        held = streams(client, list(PAIRS))
    first = {(exchange, pair): since_ms for exchange, pair, _ in held}
    return judge(truth_of(truth, first, until_ms), held, losses)


def _redis(instance: Instance) -> Redis:
    return Redis.model_validate(RedisServer(instance.state).settings)

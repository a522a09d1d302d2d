"""A kill storm over collectors and aggregators, and what it cost: all that the simulator sent against the candles.

Run: `python -m tests.bench.storm [minutes] [seconds between kills]`. A whole instance trades while random processes are
killed; when it has been quiet for a while, number, volume and value of the trades of every pair are compared, to the
last digit, first with what reached the streams, each trade once: what is off there is the aggregators' doing; then with
what was sent. There volume and value decide, for a row that joins several fills may come back from an exchange's
history as so many rows. A USDT trade is valued by the conversion that the rows of history say was in force.
"""

import json
import os
import random
import signal
import sys
import tempfile
import time
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import Any

from priceverse.bus import keys
from priceverse.bus.client import connect
from priceverse.bus.entries import decode
from priceverse.config.settings import Aggregation, Redis
from priceverse.embedded.redis import RedisServer
from tests.e2e.instance import Instance, eventually, running
from tests.e2e.recompute import EXACT, GRID_MS, Truth

PAIRS = ("btc-usd", "eth-usd", "xmr-usd", "usdt-usd")
LATENESS_MS = Aggregation().lateness_ms
QUIET_S = 60.0
CALM_S = 20.0

Totals = dict[str, tuple[int, tuple[int, Decimal, Decimal]]]


def totals(instance: Instance) -> Totals:
    """Return of each pair the instant up to which it is worked in, and number, volume and value of its trades."""
    rows = instance.rows(
        "select p.pair::text, split_part(p.stream_id, '-', 1)::bigint + 1, sum(trade_count)::bigint, sum(volume),"
        " sum(quote_volume) from checkpoint p join price_history_5min c on c.pair = p.pair group by 1, 2"
    )
    return {pair: (position_ms - LATENESS_MS, tuple(sums)) for pair, position_ms, *sums in rows}


def conversions(instance: Instance) -> dict[int, Decimal]:
    """Return the conversion of each instant, as the rows explain themselves."""
    found = instance.rows(
        "select distinct (extract(epoch from timestamp) * 1000)::bigint, source ->> 'conversion' from price_history,"
        " jsonb_array_elements(explanation -> 'details') as source where explanation ? 'details'"
        " and source ->> 'exchange' not in ('kraken', 'coinbase') and source ? 'conversion'"
    )
    return {at_ms: Decimal(factor) for at_ms, factor in found}


def storm(instance: Instance, seconds: float, every_s: float) -> int:
    """Kill until the time is over; return how many processes that were."""
    chance, killed, until_s = random.Random(1), 0, time.monotonic() + seconds
    while time.monotonic() < until_s:
        victims = {name: pid for name, pid in instance.children().items() if name.startswith(("collector", "aggreg"))}
        for name in chance.sample(sorted(victims), min(len(victims), chance.choice((1, 1, 2)))):
            os.kill(victims[name], signal.SIGKILL)
            killed += 1
        time.sleep(chance.uniform(0.5, 1.5) * every_s)
    return killed


def expected(truth: Truth, pair: str, from_ms: int, to_ms: int) -> tuple[int, Decimal, Decimal]:
    """Return number, volume and value of what the simulator sent in a stretch of time."""
    bar = truth.bar(pair, from_ms, to_ms)
    return (bar.trades, bar.volume, bar.value) if bar else (0, Decimal(0), Decimal(0))


def heard(instance: Instance) -> Truth:
    """Return what reached the streams, each trade once."""
    lines = {}
    with connect(Redis.model_validate(RedisServer(instance.state).settings)) as client:
        for pair in PAIRS:
            for identifier, fields in client.execute_command("XRANGE", keys.trades(pair), "-", "+"):
                trade = decode(identifier, fields)
                line = {
                    "pair": pair,
                    "timestamp": trade.timestamp_ms,
                    "exchange": trade.exchange,
                    "price": str(trade.price),
                    "volume": str(trade.volume),
                    "trade_id": trade.trade_id,
                }
                lines.setdefault((pair, trade.exchange, trade.trade_id), json.dumps(line))
    file = instance.state / "heard.jsonl"
    file.write_text("\n".join(lines.values()), encoding="utf-8")
    return Truth(file)


def gained(before: Totals, after: Totals, pair: str) -> tuple[Any, ...]:
    """Return what a pair's candles gained."""
    pairs = zip(after[pair][1], before[pair][1], strict=True)
    return tuple(EXACT.subtract(Decimal(one), Decimal(other)) for one, other in pairs)


def missing(sent: Truth, heard: Truth, pair: str, from_ms: int, to_ms: int) -> None:
    """Print the stretches of each exchange's trades that never reached the stream."""
    known = {(venue, number) for (_, venue, *_), number in zip(heard.trades[pair], heard.ids[pair], strict=True)}
    trades = sorted(
        (trade[1], trade[0], number) for trade, number in zip(sent.trades[pair], sent.ids[pair], strict=True)
    )
    inside = [trade for trade in trades if from_ms <= trade[1] < to_ms]
    for (venue, is_known), stretch in groupby(inside, lambda trade: (trade[0], (trade[0], trade[2]) in known)):
        if not is_known:
            lost = list(stretch)
            print(f"    {venue}: {len(lost)} trades, {lost[0][2]} to {lost[-1][2]}, {lost[0][1]} to {lost[-1][1]} ms")


def compare(instance: Instance, before: Totals) -> bool:
    """Print how far candles are from what was heard and from what was sent; tell whether nothing is missing."""
    after, worth, perfect = totals(instance), conversions(instance), True
    there, sent = heard(instance), Truth(instance.state / "truth.jsonl")
    for name, trades in (("heard", there), ("sent", sent)):
        trades.worth.update(worth)
        for pair in PAIRS:
            wanted = expected(trades, pair, before[pair][0], after[pair][0])
            found = gained(before, after, pair)
            off = [EXACT.subtract(Decimal(one), Decimal(other)) for one, other in zip(found, wanted, strict=True)]
            perfect &= not any(off[1:])
            print(f"  {pair:<9} {wanted[0]:>8} {name:<6} off by {off[0]:f} trades, {off[1]:f} volume, {off[2]:f} value")
            if trades is sent and any(off[1:]):
                missing(sent, there, pair, before[pair][0], after[pair][0])
    return perfect


def measure(instance: Instance, minutes: float, every_s: float) -> None:
    eventually(lambda: instance.price("btc-usd"), lambda p: p and len(p["sources"]) == 6, 90)
    begun_ms = time.time() * 1000 + GRID_MS
    before = eventually(
        lambda: totals(instance),
        lambda t: len(t) == len(PAIRS) and min(at for at, _ in t.values()) > begun_ms,
        120,
    )
    killed = storm(instance, minutes * 60, every_s)
    print(f"  {killed} processes killed in {minutes} min")
    time.sleep(CALM_S)
    until_s = time.monotonic() + QUIET_S
    while not compare(instance, before) and time.monotonic() < until_s:
        time.sleep(10)
        print("  again:")
    for row in instance.rows('select exchange, pair::text, "from", "to", reason from gap order by "from"'):
        print("  known to be missing:", *map(str, row))


def main() -> None:
    minutes, every_s = (float(each) for each in [*sys.argv[1:3], *("2", "5")[len(sys.argv) - 1 :]][:2])
    with tempfile.TemporaryDirectory(prefix="pv-") as folder:
        state = Path(folder)
        with running(state, "--seed", "5", "--truth", str(state / "truth.jsonl")) as instance:
            measure(instance, minutes, every_s)


if __name__ == "__main__":
    main()

"""A simulated day with each venue, as fast as it can be computed: what the venue heard, what the collector had.

Run: `python tests/bench/day.py [--hours 24] [--speed 0.02] [VENUE …]`. The simulator's server and a whole collector,
its history included, in one process and in virtual time; `--speed` scales the pace of trades, not the clocks. Prints
one line a venue (all, unless some are named): connections and the age at which they were replaced, tokens, pings and
pongs heard and the longest time between two, moments without a connection, trades of the truth, missing, doubled. Exit
1 if any is missing or doubled. A day takes one to four minutes of a core a venue.
"""

import argparse
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import trio
from trio.testing import MockClock

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from priceverse import log  # noqa: E402 - after the path
from priceverse.model.exchange import Exchange  # noqa: E402 - as above
from tests.fakes.virtual import START_NS, World  # noqa: E402 - as above

LAST_S = 30.0
"""What happened in the last moments may still be on its way, or unasked."""


def live(exchange: Exchange, hours: float, speed: float, folder: Path) -> bool:
    """Live through the day and print what it was like; tell whether nothing was lost or doubled."""
    world = World(exchange, folder / f"{exchange}.jsonl", speed=speed)
    began = time.monotonic()
    trio.run(world.live, hours * 3600, clock=MockClock(autojump_threshold=0))
    took_s = time.monotonic() - began
    had = [(received.trade.symbol, received.trade.trade_id) for received in world.held]
    ids, first_ms = set(had), min(received.trade.timestamp_ms for received in world.held)
    end_ms = START_NS // 10**6 + (hours * 3600 - LAST_S) * 1000
    truth = {key for key, row in world.told().items() if first_ms <= row["timestamp"] < end_ms}
    missing = truth - ids
    seen = world.witness
    ages_h = [(later - earlier) / 3.6e12 for earlier, later in pairwise(seen.connections)]
    renewed = f" renewed after {', '.join(f'{age_h:.2f}' for age_h in ages_h)} h" if ages_h else ""
    print(
        f"{exchange:9} {hours:g} h in {took_s:.0f} s: connections {len(seen.connections)}{renewed}, "
        f"tokens {seen.tokens}, pings {seen.pings}, pongs {seen.pongs}, longest between {seen.longest_silence_s:g} s, "
        f"breaks {world.breaks}; "
        f"trades {len(truth)}, missing {len(missing)}, doubled {len(had) - len(ids)}",
        flush=True,
    )
    return not missing and len(had) == len(ids)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--speed", type=float, default=0.02)
    parser.add_argument("venues", nargs="*", metavar="VENUE", type=Exchange, default=list(Exchange))
    options = parser.parse_args()
    log.configure(level="error", pretty=True, file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="pv-") as name:
        whole = [live(exchange, options.hours, options.speed, Path(name)) for exchange in options.venues]
    return 0 if all(whole) else 1


if __name__ == "__main__":
    sys.exit(main())

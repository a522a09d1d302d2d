"""The loops that make the market happen: a random walk for all venues, or a replay for each. Waiting is all they do."""

from collections.abc import Callable
from pathlib import Path
from random import Random

import trio

from priceverse.log import get_logger
from priceverse.model.exchange import Exchange
from priceverse.simulator import captured
from priceverse.simulator.faults import Faults, Kind
from priceverse.simulator.hub import Hub
from priceverse.simulator.listings import LISTINGS
from priceverse.simulator.match import NS_PER_S
from priceverse.simulator.replay import Schedule, capture_file, trade_frames
from priceverse.simulator.walk import START_USD, Walk

Clock = Callable[[], int]

PAST_S = 30.0
"""So much happened before the start, for what venues show of the past on subscribing."""

PAUSE_S = 0.002
"""At high speeds, trades go out together at most so often."""

CATCH_UP_NS = 5 * NS_PER_S
"""A process that was stopped for longer does not make up for it."""

SETTLE_S = 0.5
"""A replay begins so long after the first subscription: clients name their symbols in several messages."""

BATCH = 200


async def walk_forever(hub: Hub, seed: int, speed: float, now_ns: Clock) -> None:
    """Let a random walk happen on all venues, after a past that is only remembered."""
    past_ns = int(PAST_S / speed * NS_PER_S)
    walk = Walk(Random(seed), LISTINGS, now_ns() - past_ns, speed)  # noqa: S311 - a market, not a secret
    for listing, fills in walk.due(now_ns()):
        hub.recall(listing.exchange, fills)
    while True:
        await trio.sleep(max(PAUSE_S, (walk.next_ns - now_ns()) / NS_PER_S))
        now = now_ns()
        if now - walk.next_ns > CATCH_UP_NS:
            walk.skip_to(now - CATCH_UP_NS)
        _shake(walk, hub.faults, now)
        for listing, fills in walk.due(now):
            hub.happened(listing.exchange, fills, now)


async def replay(hub: Hub, exchange: Exchange, folder: Path, speed: float, now_ns: Clock) -> None:
    """Replay the capture of one venue, once, from the moment somebody subscribes there."""
    path = capture_file(folder, exchange)
    if not path.exists():
        return
    await hub.wait_wanted(exchange)
    await trio.sleep(SETTLE_S)
    schedule = Schedule(exchange, now_ns(), speed)
    count = 0
    with path.open(encoding="utf-8") as lines:
        for frame in trade_frames(exchange, lines):
            due = schedule.place(frame)
            wait_s = (due.at_ns - now_ns()) / NS_PER_S
            count += 1
            if wait_s > 0 or count % BATCH == 0:
                await trio.sleep(max(0, wait_s))
            hub.replayed(exchange, due.frame, captured.matches(exchange, due.frame.text), now_ns())
    get_logger().info("replay_finished", exchange=exchange.value, frames=count)


def _shake(walk: Walk, faults: Faults, now_ns: int) -> None:
    """Let those faults that the market itself makes take hold of it, or go."""
    depeg = faults.find(Kind.DEPEG, None, now_ns)
    walk.peg = depeg.peg if depeg else START_USD["usdt"]
    walk.outliers = {
        exchange: (fault.probability, fault.factor)
        for exchange in Exchange
        if (fault := faults.find(Kind.OUTLIER, exchange, now_ns))
    }

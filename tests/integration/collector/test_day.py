"""Hours with each venue in virtual time: what its protocol demands of a client is done, and no trade is lost by it.

The simulator's own server answers in memory. It pings, wants to be pinged, and cuts whoever does not keep to it; it
cuts everybody when their time is over. `tests/bench/day.py` lives through a whole day.
"""

from itertools import pairwise
from pathlib import Path

import pytest
from trio.testing import MockClock

from priceverse.model.exchange import Exchange
from tests.fakes.virtual import START_NS, World

HOUR_S = 3600.0
QUIET = 0.002
"""Few trades, so that hours pass quickly; what is looked for does not depend on them."""
LAST_S = 5.0
"""Trades of the last moments may still be on their way."""


async def lived(exchange: Exchange, folder: Path, hours: float, **options: float) -> World:
    """Let a collector listen for so long, with no history to ask for: what it has, it heard."""
    world = World(exchange, folder / "truth.jsonl", speed=QUIET, has_rest=False, **options)
    await world.live(hours * HOUR_S)
    return world


def lost(world: World, hours: float) -> list[dict]:
    """Return the trades that were sent to subscribers and not had; those before the first one had do not count."""
    had = {(received.trade.symbol, received.trade.trade_id) for received in world.held}
    assert len(had) == len(world.held)
    first_ms = min(received.trade.timestamp_ms for received in world.held)
    end_ms = START_NS // 10**6 + (hours * HOUR_S - LAST_S) * 1000
    return [row for key, row in world.told().items() if first_ms <= row["timestamp"] < end_ms and key not in had]


@pytest.mark.parametrize("exchange", [Exchange.BINANCE, Exchange.KUCOIN])
async def test_a_connection_is_renewed_before_it_is_cut_and_nothing_is_lost(
    autojump_clock: MockClock, tmp_path: Path, exchange: Exchange
) -> None:
    world = await lived(exchange, tmp_path, 3.0, lifetime_s=HOUR_S)
    opened_s = [(at_ns - START_NS) / 1e9 for at_ns in world.witness.connections]
    ages_s = [later - earlier for earlier, later in pairwise(opened_s)]
    assert len(ages_s) >= 3
    assert max(ages_s) == pytest.approx(0.95 * HOUR_S, abs=5.0)
    assert world.breaks == 0  # at no time was there no connection
    assert world.held
    assert lost(world, 3.0) == []
    assert world.witness.tokens == (len(opened_s) if exchange is Exchange.KUCOIN else 0)  # a new one each time


@pytest.mark.parametrize(
    ("exchange", "patience_s"),
    [(Exchange.BINANCE, 60.0), (Exchange.OKX, 30.0), (Exchange.BYBIT, 20.0), (Exchange.KUCOIN, 18.0)],
)
async def test_who_wants_to_hear_of_us_does_so_in_time(
    autojump_clock: MockClock, tmp_path: Path, exchange: Exchange, patience_s: float
) -> None:
    world = await lived(exchange, tmp_path, 0.5)
    seen = world.witness
    assert max(seen.pings, seen.pongs) >= 0.5 * HOUR_S / patience_s - 1
    assert seen.longest_silence_s <= patience_s
    assert (world.breaks, len(seen.connections)) == (0, 1)
    assert lost(world, 0.5) == []


@pytest.mark.parametrize("exchange", [Exchange.KRAKEN, Exchange.COINBASE])
async def test_a_market_without_trades_is_no_dead_connection(
    autojump_clock: MockClock, tmp_path: Path, exchange: Exchange
) -> None:
    world = World(exchange, tmp_path / "truth.jsonl", speed=1e-9, has_rest=False)
    await world.live(0.5 * HOUR_S)
    assert not world.held
    assert (world.breaks, len(world.witness.connections)) == (0, 1)


async def test_a_client_that_does_not_ping_is_cut(autojump_clock: MockClock, tmp_path: Path) -> None:
    """What the other tests rely on. Trades come often here, so that no connection is taken for mute before."""
    world = World(Exchange.KUCOIN, tmp_path / "truth.jsonl", speed=0.1, has_rest=False)
    world.deafen()
    await world.live(200.0)
    assert world.breaks >= 2
    assert "ping timeout" in world.ledger.snapshot()["error"]

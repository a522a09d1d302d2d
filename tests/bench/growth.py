"""How the cost of an instance grows: ten times the pairs, the trades, the clients, each beside the instance as it is.

Run: `.venv/bin/python tests/bench/growth.py`, 4 min. One at a time grows tenfold, the rest stays: pairs (btc, eth, xmr
and their rubles; the trades are shared out among them), 300 trades/s, 50 clients that ask for a price once a second
each. CPU and PSS are those of the instance's own processes; a market of this bench's plays the exchanges beside it.
Linear is a factor of ten, or of what this machine's market could make of it, which stands beside.
"""

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import trio

sys.path.insert(0, str(Path(__file__).parent))
import footprint
import instance

from priceverse import log
from priceverse.cli.simulate import variables
from priceverse.config.defaults import DEFAULT_PAIRS
from priceverse.simulator import feeds, listings, walk
from priceverse.simulator.listings import LISTINGS, Listing
from priceverse.simulator.market import Options, serve

TIMES = 10
SETTLE_S, SAMPLE_S = 15, 20
GROWN = ("btc", "eth", "xmr")
QUIET = {"PRICEVERSE_BACKFILL__ENABLED": "false"}
"""The candles of the week before are fetched at the start only."""


@dataclass(frozen=True, slots=True)
class Load:
    """How many of everything."""

    copies: int = 1
    trades_per_s: int = 300
    clients: int = 50


@dataclass(frozen=True, slots=True)
class Cost:
    """What the instance used, and what it had to do for it."""

    cpu: float
    mib: float
    trades_per_s: float
    calls_per_s: float
    failed: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--market", nargs=3, metavar=("PORT", "COPIES", "SPEED"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.market:
        port, copies, speed = given.market
        log.configure(level="error", pretty=True, file=sys.stderr)
        trio.run(market, int(port), int(copies), float(speed))
        return
    usual = Load()
    grown = {
        "pairs": replace(usual, copies=TIMES),
        "trades": replace(usual, trades_per_s=usual.trades_per_s * TIMES),
        "clients": replace(usual, clients=usual.clients * TIMES),
    }
    before = cost(usual)
    show("as it is", before)
    for name, load in grown.items():
        after = cost(load)
        had = {"trades": after.trades_per_s / before.trades_per_s, "clients": after.calls_per_s / before.calls_per_s}
        ratios = f"CPU {after.cpu / before.cpu:.1f} ×, memory {after.mib / before.mib:.1f} ×"
        show(f"{name} × {TIMES}", after, f"   {ratios} at {had.get(name, TIMES):.1f} × the {name} (goal: no more)")


def show(name: str, seen: Cost, ratios: str = "") -> None:
    print(
        f"{name:<14} CPU {seen.cpu:6.1%} of a core   PSS {seen.mib:6.0f} MiB   {seen.trades_per_s:5.0f} trades/s   "
        f"{seen.calls_per_s:4.0f} calls/s, {seen.failed:.0f} failed   load {os.getloadavg()[0]:.1f}{ratios}",
        flush=True,
    )


def cost(load: Load) -> Cost:
    """Run an instance under a load."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pv-")))
        state, traded = folder / "state", msgspec.json.encode(pairs(load.copies)).decode()
        port = stack.enter_context(playing(load))
        env = variables(port) | footprint.LIMITS | QUIET | {"PRICEVERSE_PAIRS": traded}
        running = stack.enter_context(instance.instance(state, "--live", env=env))
        footprint.wait_for_price(running)
        time.sleep(SETTLE_S)
        pids = footprint.processes(state)
        before, trades, began_s = footprint.cpus_s(pids), instance.traded(running), time.monotonic()
        said = instance.paced(folder, running.api_port, load.clients, SAMPLE_S, load.clients)
        took_s = time.monotonic() - began_s
        used = {name: spent_s - before[name] for name, spent_s in footprint.cpus_s(pids).items()}
        return Cost(
            cpu=footprint.total(used) / took_s,
            mib=footprint.total({name: footprint.pss_mib(pid) for name, pid in pids.items()}),
            trades_per_s=(instance.traded(running) - trades) / took_s,
            calls_per_s=said["answered"] / said["seconds"],
            failed=said["failed"],
        )


# --- the market


@contextmanager
def playing(load: Load) -> Iterator[int]:
    """Play the exchanges in a process of their own; yield the port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    speed = load.trades_per_s / instance.WALK_PER_S
    command = [sys.executable, __file__, "--market", str(port), str(load.copies), str(speed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "playing\n", "the market did not start"
            yield port
        finally:
            process.terminate()


async def market(port: int, copies: int, speed: float) -> None:
    """Let the usual market happen, each grown listing shared out among `copies`."""
    listings.LISTINGS = feeds.LISTINGS = tuple(copy for each in LISTINGS for copy in shared_out(each, copies))
    for asset in GROWN:
        for n in range(1, copies):
            walk.START_USD[f"{asset}{n}"], walk.SIGMA[f"{asset}{n}"] = walk.START_USD[asset], walk.SIGMA[asset]
    async with trio.open_nursery() as nursery:
        await nursery.start(serve, Options(port, speed=speed))
        print("playing", flush=True)


def shared_out(listing: Listing, copies: int) -> list[Listing]:
    if listing.asset not in GROWN:
        return [listing]
    return [
        replace(
            listing,
            symbol=copied(listing.symbol, n),
            pair=copied(listing.pair, n),
            sweeps_per_s=listing.sweeps_per_s / copies,
            default=True,
        )
        for n in range(copies)
    ]


def pairs(copies: int) -> dict[str, object]:
    """Return the default pairs, the grown ones `copies` times."""
    return {
        copied(name, n): renamed(pair, n)
        for name, pair in DEFAULT_PAIRS.items()
        for n in range(copies if name.partition("-")[0] in GROWN else 1)
    }


def renamed(pair: dict[str, object], n: int) -> dict[str, object]:
    match pair:
        case {"symbols": dict(symbols)}:
            return pair | {"symbols": {venue: copied(symbol, n) for venue, symbol in symbols.items()}}
        case {"derived_from": str(source)}:
            return pair | {"derived_from": copied(source, n)}
    return pair


def copied(name: str, n: int) -> str:
    """Return the name of a copy: `btc3-usd`, `BTC3/USD`; the first keeps its own."""
    for asset in GROWN if n else ():
        for spelt in (asset, asset.upper()):
            if name.startswith(spelt):
                return f"{spelt}{n}{name[len(spelt) :]}"
    return name


if __name__ == "__main__":
    main()

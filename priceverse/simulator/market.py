"""The whole simulator as one task: options in, a port out. What `python -m priceverse.simulator` and `simulate` run."""

import ssl
import time
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import trio

from priceverse.log import get_logger
from priceverse.model.exchange import Exchange
from priceverse.simulator.certificate import CertificateMissing, server_context
from priceverse.simulator.faults import Faults
from priceverse.simulator.feeds import replay, walk_forever
from priceverse.simulator.history import History
from priceverse.simulator.hub import TICK_S, Hub
from priceverse.simulator.listings import default_pairs, listings
from priceverse.simulator.replay import captured_symbols
from priceverse.simulator.server import Server
from priceverse.simulator.truth import FLUSH_EVERY_S, Truth
from priceverse.simulator.venues.binance import Binance
from priceverse.simulator.venues.bybit import Bybit
from priceverse.simulator.venues.coinbase import Coinbase
from priceverse.simulator.venues.kraken import Kraken
from priceverse.simulator.venues.kucoin import Kucoin
from priceverse.simulator.venues.okx import Okx
from priceverse.simulator.venues.protocol import Venue

LOOPBACK = "127.0.0.1"
VENUES: dict[Exchange, Callable[[History], Venue]] = {
    Exchange.BINANCE: Binance,
    Exchange.KRAKEN: Kraken,
    Exchange.COINBASE: Coinbase,
    Exchange.OKX: Okx,
    Exchange.BYBIT: Bybit,
    Exchange.KUCOIN: Kucoin,
}


@dataclass(frozen=True, slots=True)
class Options:
    """What to simulate. Without `replay` it is a walk; port 0 takes a free one; `tls`: a folder with a certificate."""

    port: int = 0
    replay: Path | None = None
    speed: float = 1.0
    seed: int = 0
    truth: Path | None = None
    tls: Path | None = None


@dataclass(frozen=True, slots=True)
class Running:
    """A simulator that serves."""

    port: int
    hub: Hub = field(repr=False)


class StartError(Exception):
    """The simulator cannot start; the text says why, and is for a person."""


async def serve(options: Options, *, task_status: trio.TaskStatus[Running] = trio.TASK_STATUS_IGNORED) -> None:
    """Run until cancelled. Raises StartError before it reports itself as started."""
    with ExitStack() as stack:
        truth = stack.enter_context(_truth(options.truth)) if options.truth else None
        venues = {exchange: _venue(exchange, options.replay) for exchange in Exchange}
        hub = Hub(venues, Faults(Random(options.seed)), truth)  # noqa: S311 - faults, not secrets
        tls = _certificate(options.tls) if options.tls else None
        listeners = await _listen(options.port)
        port: int = listeners[0].socket.getsockname()[1]
        async with trio.open_nursery() as nursery:
            for feed in _feeds(options, hub):
                nursery.start_soon(feed)
            nursery.start_soon(_tick_forever, hub)
            if truth:
                nursery.start_soon(_flush_forever, truth)
            nursery.start_soon(_doors(Server(hub, time.time_ns, is_secure=tls is not None), listeners, tls))
            get_logger().info("simulator_started", port=port, replay=str(options.replay or ""), speed=options.speed)
            task_status.started(Running(port, hub))


def _feeds(options: Options, hub: Hub) -> list[partial[Coroutine[Any, Any, None]]]:
    if options.replay is None:
        return [partial(walk_forever, hub, options.seed, options.speed, time.time_ns)]
    return [partial(replay, hub, each, options.replay, options.speed, time.time_ns) for each in Exchange]


def _venue(exchange: Exchange, folder: Path | None) -> Venue:
    history = History(listing.symbol for listing in listings(exchange))
    if folder is not None:
        try:
            history.list_symbols(captured_symbols(folder, exchange))
        except (OSError, UnicodeDecodeError) as error:
            raise StartError(f"the capture of {exchange} in {folder} cannot be read: {error}") from error
    return VENUES[exchange](history)


def _truth(path: Path) -> Truth:
    try:
        return Truth(path, default_pairs())
    except OSError as error:
        raise StartError(f"the truth cannot be written to {path}: {error.strerror}") from error


def _certificate(folder: Path) -> ssl.SSLContext:
    try:
        return server_context(folder)
    except CertificateMissing as missing:
        raise StartError(str(missing)) from missing


async def _listen(port: int) -> list[trio.SocketListener]:
    try:
        return await trio.open_tcp_listeners(port, host=LOOPBACK)
    except OSError as error:
        raise StartError(f"port {port} on {LOOPBACK} cannot be used: {error.strerror}; choose another") from error


def _doors(
    server: Server, listeners: list[trio.SocketListener], tls: ssl.SSLContext | None
) -> partial[Coroutine[Any, Any, Any]]:
    """Return what lets clients in."""
    if tls is None:
        return partial(trio.serve_listeners, server.handle, listeners)
    doors = [trio.SSLListener(each, tls, https_compatible=True) for each in listeners]
    return partial(trio.serve_listeners, server.handle, doors)


async def _tick_forever(hub: Hub) -> None:
    while True:
        await trio.sleep(TICK_S)
        hub.tick(time.time_ns())


async def _flush_forever(truth: Truth) -> None:
    while True:
        await trio.sleep(FLUSH_EVERY_S)
        truth.flush()

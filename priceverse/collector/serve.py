"""The collector's wiring: settings → ports → the feed, the publisher and the reports, until told to stop.

Nothing of the supervisor is known here: what a process needs of it comes as `Duties`.
"""

from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from functools import partial

import trio

from priceverse.bus import stats
from priceverse.bus.client import RedisDoor, RedisUnavailable
from priceverse.bus.trades import TradeWriter
from priceverse.collector.admission import Admission
from priceverse.collector.asker import Asker
from priceverse.collector.audit import Audit
from priceverse.collector.backfill import Backfill
from priceverse.collector.feed import Feed
from priceverse.collector.history import History
from priceverse.collector.intake import Intake
from priceverse.collector.ledger import Ledger
from priceverse.collector.losses import Losses
from priceverse.collector.marks import Marks
from priceverse.collector.publisher import Publisher
from priceverse.collector.recall import recall
from priceverse.collector.reconnect import Ended
from priceverse.collector.session import Crowded, Dial, Link, Ports, Venue
from priceverse.collector.subscription import Refusals
from priceverse.collector.throttle import Throttle
from priceverse.config.settings import Settings
from priceverse.exchanges.frames import MAX_FRAME
from priceverse.exchanges.protocol import Adapter, Request
from priceverse.exchanges.registry import ADAPTERS
from priceverse.model.exchange import Exchange
from priceverse.net.tls import client_context
from priceverse.net.websocket import LinkLimits, open_link

REPORT_EVERY_S = 2.0
LOG_EVERY_S = 60.0
FLUSH_S = 3.0


@dataclass(frozen=True, slots=True)
class Duties:
    """What the process owes its supervisor: a name, readiness, progress, and an end when `stopping` is set."""

    child: str
    stopping: trio.Event
    ready: Callable[[], Awaitable[None]]
    on_written: Callable[[int], None]


async def serve(settings: Settings, exchange: Exchange, duties: Duties, ledger: Ledger) -> Ended | None:
    """Collect from `exchange` until stopped (None) or until its attempts are used up (how the last one ended).

    Ready is said when the loops run, whether the exchange answers or not.
    """
    rest_url = settings.exchanges.venue(exchange).rest_url
    ended = None
    async with (
        aclosing(TradeWriter(settings.redis, settings.aggregation.stream_keep_s)) as writer,
        aclosing(Asker(settings.exchanges, rest_url)) as asker,
        trio.open_nursery() as nursery,
    ):
        publisher = Publisher(writer, ledger, duties.on_written)
        nursery.start_soon(publisher.run)
        nursery.start_soon(_report, settings, duties.child, ledger)
        adapter = ADAPTERS[exchange](settings.symbols(exchange))
        intake = Intake(ledger, publisher.offer, Admission(is_numbered=adapter.is_numbered))
        losses = Losses(exchange, ledger, settings.redis)
        publisher.missed = marks = Marks(adapter, intake.admission, losses.unrecorded)
        nursery.start_soon(losses.run)
        backfill = _backfill(adapter, History(adapter, rest_url, asker.ask, ledger), intake, ledger, losses)
        feed = feed_of(settings, adapter, intake, ledger, dialler(settings, nursery), crowded=publisher.crowded)
        with trio.CancelScope() as collecting:
            nursery.start_soon(_stop_at, duties.stopping, collecting)
            await duties.ready()
            async with RedisDoor(settings.redis) as door:
                await recall(door, adapter, intake.admission, marks, losses.note)
            nursery.start_soon(backfill.run)
            ended = await feed.run()
            await trio.sleep(ended.stay_away_s)  # a restarted process would not know what the venue asked for
        await publisher.flush(FLUSH_S)
        nursery.cancel_scope.cancel()
    return None if duties.stopping.is_set() else ended


async def _stop_at(stopping: trio.Event, collecting: trio.CancelScope) -> None:
    await stopping.wait()
    collecting.cancel()


def _backfill(adapter: Adapter, history: History, intake: Intake, ledger: Ledger, losses: Losses) -> Backfill | Audit:
    fetch = Backfill if adapter.is_numbered else Audit
    return fetch(adapter, history, intake, ledger, losses.note)


def feed_of(
    settings: Settings, adapter: Adapter, intake: Intake, ledger: Ledger, dial: Dial, *, crowded: Crowded = lambda: None
) -> Feed:
    """Return the feed of the adapter's exchange as it is configured."""
    chosen, addresses = settings.exchanges, settings.exchanges.venue(adapter.exchange)
    venue = Venue(adapter, tuple(adapter.pairs), addresses.ws_url, addresses.rest_url, chosen.mute_timeout_s)
    ports = Ports(
        dial=dial,
        ask=partial(_ask, settings),
        intake=intake,
        ledger=ledger,
        refusals=Refusals(),
        throttle=Throttle(LOG_EVERY_S),
        crowded=crowded,
    )
    base_delay_s = chosen.reconnect_base_delay / 1000
    return Feed(venue, ports, base_delay_s=base_delay_s, max_attempts=chosen.max_reconnect_attempts)


def dialler(settings: Settings, links: trio.Nursery) -> Dial:
    """Return what opens links as configured; their readers run in `links`."""
    chosen = settings.exchanges
    limits = LinkLimits(chosen.connect_timeout_s, chosen.max_frame_bytes)

    async def dial(url: str) -> Link:
        return await open_link(links, url, limits, client_context(url, chosen.tls_ca))

    return dial


async def _ask(settings: Settings, request: Request) -> bytes:
    from priceverse.net.http import fetch  # noqa: PLC0415 - who has nothing to ask saves httpx's memory

    reply = await fetch(
        request.url,
        method=request.method,
        timeout_s=settings.exchanges.connect_timeout_s,
        max_bytes=MAX_FRAME,
        tls=client_context(request.url, settings.exchanges.tls_ca),
    )
    return reply.body


async def _report(settings: Settings, child: str, ledger: Ledger) -> None:
    """Put the ledger on the bus again and again."""
    async with RedisDoor(settings.redis) as door:
        while True:
            with suppress(RedisUnavailable):  # the publisher says so; the report is old in two seconds anyway
                await stats.report(door, settings.app.name, child, ledger.snapshot())
            await trio.sleep(REPORT_EVERY_S)

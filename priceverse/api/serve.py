"""The handler put together: settings, a listening socket and a stop signal in; clients served until it is set.

The rule: it serves whatever is away. Redis or PostgreSQL may be gone at the start and at any time after it; what cannot
be answered then is answered with the error that says so.
"""

import socket
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

import trio

from priceverse import services
from priceverse.api import app
from priceverse.api.guard import Guard
from priceverse.api.listener import Limits, Server
from priceverse.api.live import LivePrices
from priceverse.api.meter import Meter
from priceverse.api.sources import DatabaseSource, RedisSource
from priceverse.bus import prices
from priceverse.bus.client import RedisDoor
from priceverse.clock import now_ms
from priceverse.config.settings import Settings
from priceverse.db.pool import Database
from priceverse.rpc.dispatch import Dispatcher
from priceverse.rpc.endpoint import Endpoint, Head, HttpReply
from priceverse.rpc.errors import CallError, Code
from priceverse.rpc.ports import Pairs, Policy, Ports

SNAPSHOT_WAIT_S = 2.0
"""So long the first prices are waited for before clients are let in."""

REDIS_TIMEOUT_S = 2.0
"""A client waits while we ask: less patience than the configuration may have."""

MAX_TIMEOUT_S = 30.0
"""No call may ask for more, whatever the configuration allows."""

Provide = Callable[[Callable[[], Mapping[str, float]]], None]


async def serve(
    settings: Settings,
    listener: socket.socket,
    stopping: trio.Event,
    *,
    ready: Callable[[], Awaitable[None]],
    provide: Provide,
    limits: Limits | None = None,
) -> None:
    """Serve until `stopping` is set and every client is gone; `ready` is awaited when the socket is listened to."""
    limits = limits or Limits()
    patience_s = min(settings.redis.timeout_s, REDIS_TIMEOUT_S)
    door = RedisDoor(settings.redis.model_copy(update={"timeout_s": patience_s}))
    live = LivePrices(max_price_age_ms=settings.api.max_price_age_ms, now_ms=now_ms)
    meter = Meter()
    async with Database(settings.database) as database, trio.open_nursery() as nursery:
        ports = _ports(settings, live=live, door=door, database=database, nursery=nursery, stopping=stopping)
        server = _server(settings, ports, live, meter, limits)
        await _follow(settings, live, nursery)
        async with trio.open_nursery() as serving:
            await serving.start(server.serve, listener, stopping, live.close)
            provide(lambda: {**meter.stats(), "saturation": server.connections / limits.connections})
            await ready()
        nursery.cancel_scope.cancel()
    await door.aclose()


def _ports(
    settings: Settings,
    *,
    live: LivePrices,
    door: RedisDoor,
    database: Database,
    nursery: trio.Nursery,
    stopping: trio.Event,
) -> Ports:
    listed = settings.listed_pairs
    exchanges = tuple(exchange.value for exchange in settings.exchanges.enabled)
    started_s = trio.current_time()
    return Ports(
        pairs=Pairs(
            listed=listed,
            known=frozenset(settings.pairs),
            derived=frozenset(pair for pair in listed if settings.pairs[pair].derived_from),
        ),
        exchanges=exchanges,
        policy=Policy(
            max_price_age_ms=settings.api.max_price_age_ms,
            max_rate_age_days=settings.cbr.max_age_days,
            health_timeout_s=settings.health.timeout / 1000,
        ),
        live=live,
        shared=RedisSource(door, nursery, instance=settings.app.name, pairs=listed, exchanges=exchanges),
        history=DatabaseSource(database, nursery, pairs=listed),
        now_ms=now_ms,
        uptime_s=lambda: trio.current_time() - started_s,
        stopping=stopping.is_set,
    )


def _server(settings: Settings, ports: Ports, live: LivePrices, meter: Meter, limits: Limits) -> Server:
    registry = services.registry()
    dispatcher = Dispatcher(registry, ports, max_timeout_s=min(settings.api.timeout_s, MAX_TIMEOUT_S))
    endpoint = Endpoint(dispatcher, max_batch=settings.api.max_batch, now_ms=now_ms, observe=meter.observe)
    application = app.create(
        settings, registry=registry, ports=ports, dispatcher=dispatcher, endpoint=endpoint, live=live
    )
    busy = endpoint.refuse(CallError(Code.OVERLOADED, "Too many connections"), Head())
    return Server(Guard(application, endpoint, ports.stopping), limits=limits, busy=_raw(busy))


def _raw(reply: HttpReply) -> bytes:
    """Return a reply as it goes over the wire, for where no HTTP machinery is worth starting."""
    extra = (("Content-Length", str(len(reply.body))), ("Connection", "close"), ("Retry-After", "1"))
    lines = [f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in (*reply.headers, *extra)]
    return "\r\n".join([*lines, "", ""]).encode() + reply.body


async def _follow(settings: Settings, live: LivePrices, nursery: trio.Nursery) -> None:
    """Subscribe to the live prices, and wait a moment for the first of them."""
    heard = trio.Event()

    async def subscribe() -> None:
        async with trio.open_nursery() as subscription:
            await subscription.start(prices.subscribe, settings.redis, settings.listed_pairs, live.put)
            heard.set()

    nursery.start_soon(subscribe)
    with trio.move_on_after(SNAPSHOT_WAIT_S):
        await heard.wait()

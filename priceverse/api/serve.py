"""The handler put together: settings, a listening socket and a stop signal in; clients served until it is set.

The rule: it serves whatever is away. Redis or PostgreSQL may be gone at the start and at any time after it; what cannot
be answered then is answered with the error that says so.
"""

import socket
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from time import perf_counter
from typing import Any

import trio

from priceverse import services
from priceverse.api import app
from priceverse.api.access import LINES_PER_S, LaneLog, Ration
from priceverse.api.auth import Auth
from priceverse.api.breaker import Neighbour
from priceverse.api.broadcast import Broadcast
from priceverse.api.callers import Callers
from priceverse.api.connection import Deadlines
from priceverse.api.cors import Cors
from priceverse.api.gate import Gate
from priceverse.api.guard import Guard
from priceverse.api.heads import head_of
from priceverse.api.lane import Rules
from priceverse.api.limits import Limits as ClientLimits
from priceverse.api.limits import Table
from priceverse.api.listener import Limits, Server
from priceverse.api.live import LivePrices
from priceverse.api.meter import Meter
from priceverse.api.replies import KeptReplies
from priceverse.api.seats import Seats
from priceverse.api.sources import DatabaseSource, RedisSource
from priceverse.api.websocket import Doors, WebSocket
from priceverse.api.wire import Renderer
from priceverse.bus import prices
from priceverse.bus.client import RedisDoor, RedisUnavailable
from priceverse.clock import now_ms
from priceverse.config.settings import Api, Settings
from priceverse.db.pool import DatabaseUnavailable
from priceverse.db.reads import ReadDatabase
from priceverse.metrics import tally
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
Emit = Callable[..., None]
OnAsk = Callable[[str, Callable[[], dict[str, Any]]], None]


def _unheard(*_: object, **__: object) -> None:
    """Hear what nobody asked for."""


async def serve(
    settings: Settings,
    listener: socket.socket,
    stopping: trio.Event,
    *,
    ready: Callable[[], Awaitable[None]],
    provide: Provide,
    emit: Emit = _unheard,
    on_ask: OnAsk = _unheard,
    limits: Limits | None = None,
) -> None:
    """Serve until `stopping` is set and every client is gone; `ready` is awaited when the socket is listened to.

    `emit` hears of breakers that open and close; `on_ask` is given the answer to `breakers`.
    """
    limits = limits or limits_of(settings.api)
    patience_s = min(settings.redis.timeout_s, REDIS_TIMEOUT_S)
    door = RedisDoor(settings.redis.model_copy(update={"timeout_s": patience_s}))
    broadcast = Broadcast()
    live = LivePrices(max_price_age_ms=settings.api.max_price_age_ms, now_ms=now_ms, on_event=broadcast.put)
    meter = Meter()
    tally.watch(meter.samples)
    charge = settings.api.rate_limit
    seats = Seats(charge.streams if charge.enabled else None, settings.supervisor.control_socket.with_name("streams"))
    async with ReadDatabase(settings.database) as database, trio.open_nursery() as nursery:
        redis, postgres = _neighbours(emit)
        on_ask("breakers", lambda: {each.name: each.stats() for each in (redis, postgres)})
        ports = _ports(
            settings,
            live=live,
            shared=_shared(settings, door, redis, nursery),
            history=DatabaseSource(database, postgres, nursery, pairs=settings.listed_pairs),
            replies=KeptReplies(door, redis, nursery, now_ms),
            stopping=stopping,
        )
        server = _server(settings, ports, broadcast=broadcast, seats=seats, meter=meter, limits=limits)
        nursery.start_soon(broadcast.run)
        await _follow(settings, live, nursery)
        async with trio.open_nursery() as serving:
            await serving.start(server.serve, listener, stopping, broadcast.close)
            provide(lambda: {**meter.stats(), "saturation": server.connections / limits.connections})
            await ready()
        nursery.cancel_scope.cancel()
    tally.unwatch(meter.samples)
    seats.close()
    await door.aclose()


def limits_of(chosen: Api) -> Limits:
    """Return what clients may have of this process."""
    deadlines = Deadlines(head_s=chosen.head_timeout_s, idle_s=chosen.idle_timeout_s, send_s=chosen.send_timeout_s)
    return Limits(connections=chosen.max_connections, deadlines=deadlines)


def _neighbours(emit: Emit) -> tuple[Neighbour, Neighbour]:
    """Return Redis and PostgreSQL behind their breakers."""

    def on_change(event: str, neighbour: str) -> None:
        emit(event, neighbour=neighbour)

    return (
        Neighbour("redis", "Redis", Code.REDIS, RedisUnavailable, on_change=on_change),
        Neighbour("database", "The database", Code.DATABASE, DatabaseUnavailable, on_change=on_change),
    )


def _shared(settings: Settings, door: RedisDoor, redis: Neighbour, nursery: trio.Nursery) -> RedisSource:
    return RedisSource(
        door,
        redis,
        nursery,
        instance=settings.app.name,
        pairs=settings.listed_pairs,
        exchanges=[exchange.value for exchange in settings.exchanges.enabled],
    )


def _ports(
    settings: Settings,
    *,
    live: LivePrices,
    shared: RedisSource,
    history: DatabaseSource,
    replies: KeptReplies,
    stopping: trio.Event,
) -> Ports:
    listed = settings.listed_pairs
    started_s = trio.current_time()
    return Ports(
        pairs=Pairs(
            listed=listed,
            known=frozenset(settings.pairs),
            derived=frozenset(pair for pair in listed if settings.pairs[pair].derived_from),
        ),
        exchanges=tuple(exchange.value for exchange in settings.exchanges.enabled),
        policy=Policy(
            max_price_age_ms=settings.api.max_price_age_ms,
            max_rate_age_days=settings.cbr.max_age_days,
            health_timeout_s=settings.health.timeout / 1000,
        ),
        live=live,
        shared=shared,
        history=history,
        replies=replies,
        now_ms=now_ms,
        uptime_s=lambda: trio.current_time() - started_s,
        stopping=stopping.is_set,
    )


def _server(
    settings: Settings, ports: Ports, *, broadcast: Broadcast, seats: Seats, meter: Meter, limits: Limits
) -> Server:
    registry = services.registry()
    table = Table(settings.supervisor.control_socket.with_name("limits"))
    auth = Auth(settings.auth.file, table, token_ttl_s=settings.auth.token_ttl_s, now_ms=now_ms)
    charge = settings.api.rate_limit
    callers = Callers(map(str, charge.trusted_proxies))
    client_limits = ClientLimits(table, charge.methods, auth.limit_of)
    auth.on_change = client_limits.forget
    dispatcher = Dispatcher(
        registry,
        ports,
        max_timeout_s=min(settings.api.timeout_s, MAX_TIMEOUT_S),
        limiter=client_limits if charge.enabled else None,
    )
    endpoint = Endpoint(
        dispatcher, max_batch=settings.api.max_batch, now_ms=now_ms, observe=meter.observe, now_s=perf_counter
    )
    gate = Gate(auth, callers, endpoint)
    doors = Doors(endpoint=endpoint, dispatcher=dispatcher, broadcast=broadcast, seats=seats, identify=gate.identify)
    application = app.create(
        settings,
        registry=registry,
        ports=ports,
        dispatcher=dispatcher,
        endpoint=endpoint,
        broadcast=broadcast,
        gate=gate,
        seats=seats,
    )
    busy = endpoint.refuse(CallError(Code.OVERLOADED, "Too many connections"), Head())
    ration = Ration(LINES_PER_S, settings.api.access_log_every)
    lanes = _lanes(settings, endpoint, callers, ration, is_open=lambda: settings.api.fast_lane and not ports.stopping())
    cors = Cors(settings.api.cors_origins)
    guard = Guard(application, WebSocket(doors), endpoint, ports.stopping, cors)
    return Server(guard, limits=limits, busy=_raw(busy, cors), ration=ration, lanes=lanes)


def _lanes(
    settings: Settings, endpoint: Endpoint, callers: Callers, ration: Ration, *, is_open: Callable[[], bool]
) -> Rules:
    def identify(address: str, fields: Mapping[str, str]) -> Head:
        return head_of(callers.client(address, fields.get("x-forwarded-for", "")), fields)

    access = LaneLog(ration)
    doors = {b"/netron/invoke": endpoint.begin_invoke, b"/netron/batch": endpoint.begin_batch}
    return Rules(
        doors={path: access.watched(path, door) for path, door in doors.items()},
        identify=identify,
        render=Renderer(now_ms).render,
        is_open=is_open,
        max_body_bytes=settings.api.max_body_bytes,
    )


def _raw(reply: HttpReply, cors: Cors) -> bytes:
    """Return a reply as it goes over the wire, for where no request is read: to a page of any origin, or of none."""
    extra = (
        *cors.on_answer("*"),
        ("Content-Length", str(len(reply.body))),
        ("Connection", "close"),
        ("Retry-After", "1"),
    )
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

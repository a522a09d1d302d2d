"""HealthService: whether this handler lives, whether it can serve a price, and how every part of the instance is.

live   asks nothing and nobody: the loop that answers is the proof
ready  some listed pair has a fresh price, here or in Redis: getPrice can be answered
check  healthy: all parts are up; degraded: some are down, and it is ready; unhealthy: it is not ready
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Literal

import trio

from priceverse import __version__
from priceverse.clock import iso_ms
from priceverse.model.price import Price
from priceverse.rpc.errors import CallError, Code
from priceverse.rpc.method import Params, Reply, method
from priceverse.rpc.ports import Ports
from priceverse.services import checks
from priceverse.services.checks import Bounds, Check
from priceverse.services.quotes import age_ms, quote_of

SERVICE = "HealthService@1.0.0"


class HealthReply(Reply, frozen=True, kw_only=True):
    """The whole report; `uptime` is seconds of this handler."""

    status: Literal["healthy", "degraded", "unhealthy"]
    timestamp: str
    uptime: float
    version: str
    checks: dict[str, Check]


class LiveReply(Reply, frozen=True, kw_only=True):
    """Alive."""

    status: Literal["ok"]


class ReadyReply(Reply, frozen=True, kw_only=True):
    """Able to serve getPrice, or not."""

    status: Literal["ok", "not_ready"]


@method(SERVICE, "check")
async def check(params: Params, ports: Ports) -> HealthReply:  # noqa: ARG001 - it takes none
    """Return the state of every part: stores, exchanges, prices, currency rate, supervisor."""
    seen: dict[str, Any] = {}
    questions: dict[str, Callable[[], Awaitable[object]]] = {
        "database": ports.history.ping,
        "redis": ports.shared.ping,
        "collectors": ports.shared.collectors,
        "aggregators": ports.shared.aggregators,
        "rate": ports.shared.rates,
        "ready": partial(can_serve, ports),
    }
    async with trio.open_nursery() as nursery:
        for name, question in questions.items():
            nursery.start_soon(_ask, question, ports.policy.health_timeout_s, name, seen)
    found = _checks(seen, ports)
    all_up = all(each.status == "up" for each in found.values())
    return HealthReply(
        status="unhealthy" if seen["ready"] is not True else "healthy" if all_up else "degraded",
        timestamp=iso_ms(ports.now_ms()),
        uptime=round(ports.uptime_s(), 3),
        version=__version__,
        checks=found,
    )


@method(SERVICE, "live")
async def live(params: Params, ports: Ports) -> LiveReply:  # noqa: ARG001 - it must depend on nothing
    """Tell that the process answers; no dependency is asked."""
    return LiveReply(status="ok")


@method(SERVICE, "ready")
async def ready(params: Params, ports: Ports) -> ReadyReply:  # noqa: ARG001 - it takes none
    """Tell whether this handler can serve prices."""
    seen: dict[str, Any] = {}
    await _ask(partial(can_serve, ports), ports.policy.health_timeout_s, "ready", seen)
    return ReadyReply(status="ok" if seen["ready"] is True else "not_ready")


async def can_serve(ports: Ports) -> bool:
    """Tell whether some listed pair has a fresh price in this process or in Redis. Raises CallError REDIS."""
    if ports.stopping():
        return False
    if any(_fresh(ports.live.get(pair), ports) for pair in ports.pairs.listed):
        return True
    for pair in ports.pairs.listed:
        if _fresh(await ports.shared.price(pair), ports):
            return True
    return False


def _fresh(price: Price | None, ports: Ports) -> bool:
    return price is not None and age_ms(quote_of(price), ports.now_ms()) <= ports.policy.max_price_age_ms


async def _ask(question: Callable[[], Awaitable[object]], timeout_s: float, name: str, seen: dict[str, Any]) -> None:
    """Note the answer to a question, or the CallError that stands for it."""
    with trio.move_on_after(timeout_s):
        try:
            seen[name] = await question()
        except CallError as fault:
            seen[name] = fault
        return
    seen[name] = CallError(Code.INTERNAL, f"no answer within {timeout_s:g} s")


def _checks(seen: dict[str, Any], ports: Ports) -> dict[str, Check]:
    now_ms = ports.now_ms()
    bounds = Bounds(now_ms, ports.policy.max_price_age_ms, ports.policy.max_rate_age_days)
    quotes = {pair: quote_of(price) if (price := ports.live.get(pair)) else None for pair in ports.pairs.listed}
    return {
        "database": checks.ping(seen["database"]),
        "redis": checks.ping(seen["redis"]),
        "history": checks.history(seen["aggregators"]),
        **{f"exchange.{name}": checks.exchange(seen["collectors"], name, now_ms) for name in ports.exchanges},
        **{f"price.{pair}": checks.price(quote, bounds) for pair, quote in quotes.items()},
        **({"rate": checks.rate(seen["rate"], bounds)} if ports.pairs.derived else {}),
        "supervisor": checks.supervisor(stopping=ports.stopping()),
    }

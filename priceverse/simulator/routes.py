"""Which part of the simulator answers: the first segment of the path is the venue, `cbr` or `control`. Pure.

`ws://host/<exchange>/…` and `http://host/<exchange>/…` are a venue, `http://host/cbr/XML_daily.asp` is the Bank of
Russia, `/control/faults` makes trouble, `/` tells what there is.
"""

from dataclasses import replace

from priceverse.model.exchange import Exchange
from priceverse.simulator import klines
from priceverse.simulator.control import control
from priceverse.simulator.hub import Hub
from priceverse.simulator.venues import cbr
from priceverse.simulator.venues.protocol import Request, Response, Session, reply

Upgrade = tuple[Exchange, Session]


def respond(request: Request, hub: Hub, now_ns: int) -> Response:
    """Answer a plain request."""
    prefix, inner = _split(request)
    match prefix:
        case "":
            return reply({"clients": hub.clients(), "trades": hub.trades, "slow_clients": hub.slow_clients})
        case "cbr":
            return cbr.respond(inner, now_ns)
        case "control":
            return control(inner, hub, now_ns)
        case venue if venue in set(Exchange):
            exchange = Exchange(venue)
            return _busy(hub, exchange, now_ns) or _rest(inner, hub, exchange, now_ns)
        case _:
            return reply({"error": "unknown path"}, status=404)


def upgrade(request: Request, hub: Hub, now_ns: int) -> Upgrade | Response:
    """Return the session that a WebSocket request begins, or the refusal."""
    prefix, inner = _split(request)
    if prefix not in set(Exchange):
        return reply({"error": "unknown path"}, status=404)
    exchange = Exchange(prefix)
    session = _busy(hub, exchange, now_ns) or hub.venues[exchange].session(inner, now_ns)
    return session if isinstance(session, Response) else (exchange, session)


def _rest(request: Request, hub: Hub, exchange: Exchange, now_ns: int) -> Response:
    found = hub.venues[exchange]
    return klines.respond(exchange, request, found.history, now_ns) or found.rest(request, now_ns)


def _busy(hub: Hub, exchange: Exchange, now_ns: int) -> Response | None:
    seconds = hub.faults.retry_after_s(exchange, now_ns)
    if seconds is None:
        return None
    return reply({"error": "Too many requests"}, status=429, headers=(("Retry-After", str(seconds)),))


def _split(request: Request) -> tuple[str, Request]:
    prefix, slash, rest = request.path.removeprefix("/").partition("/")
    return prefix, replace(request, path=f"{slash}{rest}")

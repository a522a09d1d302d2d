"""The control endpoint: faults on demand over HTTP.

    POST   /control/faults  {"fault": "mute", "exchange": "kraken", "for_s": 10}   begins one; no exchange: all of them
    GET    /control/faults  those in force
    DELETE /control/faults  ends all

`probability`, `skew_ms`, `delay_ms`, `factor` and `peg` go with the faults that need them.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from priceverse.model.exchange import Exchange
from priceverse.simulator.faults import Fault, Faults, Kind
from priceverse.simulator.hub import Hub
from priceverse.simulator.match import NS_PER_S
from priceverse.simulator.venues.protocol import Request, Response, reply

DECADE_MS = 315_360_000_000


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a POST. A drop of no duration cuts once."""

    fault: Kind
    exchange: Exchange | None = None
    for_s: Annotated[float, Meta(ge=0, le=86_400)] = 0.0
    probability: Annotated[float, Meta(ge=0, le=1)] = 0.1
    skew_ms: Annotated[int, Meta(ge=-DECADE_MS, le=DECADE_MS)] = 0
    delay_ms: Annotated[int, Meta(ge=0, le=600_000)] = 0
    factor: Annotated[float, Meta(gt=0, le=1e6)] = 10.0
    peg: Annotated[float, Meta(gt=0, le=100)] = 0.95


def control(request: Request, hub: Hub, now_ns: int) -> Response:
    """Obey a control request."""
    if request.path != "/faults":
        return reply({"error": "unknown path; there is /control/faults"}, status=404)
    match request.method:
        case "GET":
            return _listed(hub.faults, now_ns)
        case "DELETE":
            hub.faults.clear()
            return _listed(hub.faults, now_ns)
        case "POST":
            return _begin(request.body, hub, now_ns)
        case _:
            return reply({"error": "GET, POST or DELETE"}, status=405)


def _begin(body: bytes, hub: Hub, now_ns: int) -> Response:
    try:
        order = msgspec.json.decode(body, type=Order)
    except msgspec.ValidationError as error:
        return reply({"error": str(error), "known": [kind.value for kind in Kind]}, status=400)
    except msgspec.DecodeError as error:
        return reply({"error": f"not JSON: {error}"}, status=400)
    fault = Fault(
        kind=order.fault,
        exchange=order.exchange,
        until_ns=now_ns + int(order.for_s * NS_PER_S),
        probability=order.probability,
        skew_ms=order.skew_ms,
        delay_ms=order.delay_ms,
        factor=order.factor,
        peg=order.peg,
    )
    hub.faults.add(fault)
    if fault.kind is Kind.DROP:
        hub.cut(fault.exchange)
    return _listed(hub.faults, now_ns)


def _listed(faults: Faults, now_ns: int) -> Response:
    rows = [
        {
            "fault": fault.kind.value,
            "exchange": fault.exchange,
            "left_s": round((fault.until_ns - now_ns) / NS_PER_S, 3),
            "probability": fault.probability,
            "skew_ms": fault.skew_ms,
            "delay_ms": fault.delay_ms,
            "factor": fault.factor,
            "peg": fault.peg,
        }
        for fault in faults.active(now_ns)
    ]
    return reply({"faults": rows})

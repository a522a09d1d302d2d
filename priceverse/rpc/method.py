"""A method: declared once, next to the function that answers it; dispatch, discovery and documents read it there.

    @method("PricesService@2.0.0", "getPrice", cache_s=5, limit=Limit(100))
    async def get_price(params: GetPrice, ports: Ports) -> PriceReply:
        '''Return the current price of one pair.'''

The schemas are the annotations, the summary is the first line of the docstring. A method that can usually answer from
memory has a second function, `at_once`: the same answer without waiting, or None where only the first one can tell.
"""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from priceverse.rpc.limits import Limit
from priceverse.rpc.ports import Ports


class Params(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What a method takes; itself the parameters of a method that takes nothing."""


class Reply(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel", kw_only=True):
    """What a method answers, where that is an object; a field left at its default is left out."""


P = TypeVar("P", bound=Params)
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Method:
    """One method of one version of one service.

    `cache_s` promises clients how long an answer stays good; `limit` is what each of them may ask, unless configured
    otherwise. A method with `events` is a stream: it answers with the pairs that a connection is to follow from then
    on, whose events are of that type, and only connections that can carry a stream may call it.
    """

    service: str
    version: str
    name: str
    summary: str
    params: type[Params]
    reply: Any
    cache_s: float | None
    limit: Limit | None
    events: Any
    run: Callable[[Any, Ports], Awaitable[object]]
    at_once: Callable[[Any, Ports], object | None]
    decoder: msgspec.json.Decoder[Params]


def never(params: Params, ports: Ports) -> None:
    """Leave every call to the function that may wait."""


def method(
    service: str,
    name: str,
    *,
    cache_s: float | None = None,
    limit: Limit | None = None,
    events: Any = None,  # noqa: ANN401 - any annotation, as a reply's
    at_once: Callable[[P, Ports], object | None] = never,
) -> Callable[[Callable[[P, Ports], Awaitable[R]]], Method]:
    """Declare a method of `Service@version`; the decorated function becomes the `Method`."""
    service_name, _, version = service.partition("@")

    def declare(run: Callable[[P, Ports], Awaitable[R]]) -> Method:
        annotations = inspect.get_annotations(run, eval_str=True)
        params = annotations["params"]
        summary = (inspect.getdoc(run) or "").partition("\n")[0]
        assert all((service_name, version, summary)), f"{service} {name} is not fully declared"
        return Method(
            service=service_name,
            version=version,
            name=name,
            summary=summary,
            params=params,
            reply=annotations["return"],
            cache_s=cache_s,
            limit=limit,
            events=events,
            run=run,
            at_once=at_once,
            decoder=msgspec.json.Decoder(params),
        )

    return declare

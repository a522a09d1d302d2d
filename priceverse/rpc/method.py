"""A method: declared once, next to the function that answers it; dispatch, discovery and documents read it there.

    @method("PricesService@2.0.0", "getPrice", cache_s=5)
    async def get_price(params: GetPrice, ports: Ports) -> PriceReply:
        '''Return the current price of one pair.'''

The schemas are the annotations, the summary is the first line of the docstring.
"""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from priceverse.rpc.ports import Ports


class Params(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What a method takes; itself the parameters of a method that takes nothing."""


class Reply(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel", kw_only=True):
    """What a method answers, where that is an object; a field left at its default is left out."""


P = TypeVar("P", bound=Params)
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Method:
    """One method of one version of one service. `cache_s` promises clients how long an answer stays good."""

    service: str
    version: str
    name: str
    summary: str
    params: type[Params]
    reply: Any
    cache_s: float | None
    run: Callable[[Any, Ports], Awaitable[object]]
    decoder: msgspec.json.Decoder[Params]


def method(
    service: str, name: str, *, cache_s: float | None = None
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
            run=run,
            decoder=msgspec.json.Decoder(params),
        )

    return declare

"""PricesService: what a pair is worth now."""

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Annotated

from msgspec import Meta, Raw
from msgspec.structs import asdict

from priceverse.clock import iso_ms
from priceverse.rpc.errors import CallError, Code
from priceverse.rpc.limits import Limit
from priceverse.rpc.method import Params, Reply, method
from priceverse.rpc.ports import Ports, Quote
from priceverse.services import quotes

SERVICE = "PricesService@2.0.0"
MAX_PAIRS = 10
CENTI = Decimal("0.01")


class GetPrice(Params, frozen=True):
    """Which pair."""

    pair: str


class GetMultiplePrices(Params, frozen=True):
    """Which pairs, each once."""

    pairs: Annotated[tuple[str, ...], Meta(min_length=1, max_length=MAX_PAIRS)]


class PriceReply(Reply, frozen=True, kw_only=True):
    """A price. `timestamp` (ms) and `as_of` are the newest trade in it; `confidence` is in basis points."""

    pair: str
    price: Decimal
    timestamp: int
    price_exact: str
    as_of: str
    sources: tuple[str, ...]
    confidence: Decimal | None = None
    degraded: bool = False


class PriceEvent(PriceReply, frozen=True, kw_only=True):
    """A price in a stream, where one that has become too old still comes, marked."""

    stale: bool = False


def price_in_memory(params: GetPrice, ports: Ports) -> Raw | None:
    """Answer getPrice without waiting; a pair that is not offered here is never in memory."""
    return ports.live.rendered(params.pair)


@method(SERVICE, "getPrice", at_once=price_in_memory, cache_s=5, limit=Limit(100))
async def get_price(params: GetPrice, ports: Ports) -> PriceReply:
    """Return the current price of one pair."""
    return reply_of(await quotes.current(params.pair, ports))


@method(SERVICE, "getMultiplePrices", cache_s=5, limit=Limit(50))
async def get_multiple_prices(params: GetMultiplePrices, ports: Ports) -> list[PriceReply]:
    """Return the current prices of up to ten pairs, in the order asked for.

    One that cannot be served fails the call; the error names the pair.
    """
    for i, pair in enumerate(params.pairs):
        quotes.check_pair(pair, ports)
        if pair in params.pairs[:i]:
            where = {"path": f"$.input.pairs[{i}]", "pair": pair}
            raise CallError(Code.INVALID_PARAMETER, f"Pair asked for twice: {pair}", where)
    return [reply_of(await quotes.current(pair, ports)) for pair in params.pairs]


@method(SERVICE, "version")
async def version(params: Params, ports: Ports) -> str:  # noqa: ARG001 - a property, read as a method
    """Return the version of this service."""
    return SERVICE.partition("@")[2]


@method(SERVICE, "supportedPairs")
async def supported_pairs(params: Params, ports: Ports) -> tuple[str, ...]:  # noqa: ARG001 - as above
    """Return the pairs that may be asked for."""
    return ports.pairs.listed


def reply_of(quote: Quote) -> PriceReply:
    """Return a price as it is sent."""
    bps = quote.confidence_bps
    return PriceReply(
        pair=quote.pair,
        price=quote.price,
        timestamp=quote.as_of_ms,
        price_exact=f"{quote.price:f}",
        as_of=iso_ms(quote.as_of_ms),
        sources=quote.sources,
        confidence=None if bps is None else bps.quantize(CENTI, ROUND_HALF_EVEN),
        degraded=quote.degraded,
    )


def event_of(quote: Quote, *, stale: bool) -> PriceEvent:
    """Return a price as it is streamed."""
    return PriceEvent(**asdict(reply_of(quote)), stale=stale)

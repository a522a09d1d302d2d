"""PricesService.streamPrices: which pairs a connection follows from now on. It sends their events by itself."""

from typing import Annotated

from msgspec import Meta

from priceverse.rpc.method import Params, method
from priceverse.rpc.ports import Ports
from priceverse.services.prices import SERVICE, PriceEvent
from priceverse.services.quotes import check_pair

MAX_PAIRS = 64


class StreamPrices(Params, frozen=True):
    """Which pairs; all by default."""

    pairs: Annotated[tuple[str, ...], Meta(max_length=MAX_PAIRS)] = ()


@method(SERVICE, "streamPrices", events=PriceEvent)
async def stream_prices(params: StreamPrices, ports: Ports) -> frozenset[str]:
    """Stream the prices of pairs: first as they are now, then each change."""
    for pair in params.pairs:
        check_pair(pair, ports)
    return frozenset(params.pairs or ports.pairs.listed)

"""Says when a price rests on a single venue though more are listened to, and when that is over."""

import trio

from priceverse.log import get_logger
from priceverse.pricing.desk import Desk

FEW = 2
"""Fewer sources than these are said."""

LOOK_EVERY_S = 5.0


async def follow(desk: Desk) -> None:
    """Look for ever."""
    watch = Watch()
    while True:
        watch.look(desk)
        await trio.sleep(LOOK_EVERY_S)


class Watch:
    """Says what is so at two looks in a row, once, and its end: at the start venues come one by one."""

    def __init__(self) -> None:
        self._thin: set[str] = set()
        self.said: set[str] = set()

    def look(self, desk: Desk) -> None:
        """Compare the sources of each pair's last price with its market."""
        found = {pair: seat.priced[0].index for pair, seat in desk.seats.items() if seat.priced}
        sources = {pair: index.sources for pair, index in found.items() if index}
        possible = {pair for pair, seat in desk.seats.items() if len(seat.pricer.market.quotes) >= FEW}
        thin = {pair for pair in possible & sources.keys() if len(sources[pair]) < FEW}
        for pair in sorted(thin & self._thin - self.said):
            get_logger().warning("few_sources", pair=pair, sources=list(sources[pair]))
        for pair in sorted(self.said - thin):
            get_logger().info("enough_sources", pair=pair)
        self.said = (self.said | self._thin) & thin
        self._thin = thin

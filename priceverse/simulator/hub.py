"""The middle of the market: takes what happened from the feeds, keeps it, writes it down, hands it to the subscribers.

The rule: a trade happens once, here, whether or not anybody is connected; connections only get copies.
"""

from collections.abc import Iterable, Mapping, Sequence

import trio

from priceverse.model.exchange import Exchange
from priceverse.simulator.connection import Connection
from priceverse.simulator.faults import Faults, Kind
from priceverse.simulator.listings import listings
from priceverse.simulator.match import NS_PER_MS, Match
from priceverse.simulator.truth import Truth
from priceverse.simulator.venues.protocol import Frame, Venue

TICK_S = 0.25


class Hub:
    """All venues, their clients and the truth about them."""

    def __init__(self, venues: Mapping[Exchange, Venue], faults: Faults, truth: Truth | None = None) -> None:
        self.venues = venues
        self.faults = faults
        self.trades = dict.fromkeys(venues, 0)
        self.slow_clients = 0
        self._truth = truth
        self._connections: dict[Exchange, set[Connection]] = {exchange: set() for exchange in venues}
        self._told = {exchange: {each.symbol for each in listings(exchange) if each.default} for exchange in venues}
        self._wanted = {exchange: trio.Event() for exchange in venues}

    def clients(self) -> dict[Exchange, int]:
        """Return how many clients each venue has."""
        return {exchange: len(connections) for exchange, connections in self._connections.items()}

    async def wait_wanted(self, exchange: Exchange) -> None:
        """Return once somebody has subscribed to anything on the venue."""
        await self._wanted[exchange].wait()

    async def serve(self, connection: Connection) -> None:
        """Run a connection as one of its venue's clients."""
        clients = self._connections[connection.exchange]
        clients.add(connection)
        self._note(connection)
        try:
            await connection.run(lambda: self._note(connection))
        finally:
            clients.discard(connection)
            self.slow_clients += connection.slow

    def happened(self, exchange: Exchange, fills: Sequence[Match], now_ns: int) -> None:
        """Let the fills of one taker order happen, in the venue's own frames."""
        venue = self.venues[exchange]
        rows = venue.rows(fills)
        self._remember(exchange, fills, rows, now_ns)
        if self._connections[exchange]:
            self._relay(exchange, venue.frames(rows), now_ns)

    def replayed(self, exchange: Exchange, frame: Frame, rows: Sequence[Match], now_ns: int) -> None:
        """Let a captured frame happen, if its symbols are default ones or somebody ever subscribed to them."""
        if not frame.symbols.isdisjoint(self._told[exchange]):
            self._remember(exchange, rows, rows, now_ns)
            self._relay(exchange, (frame,), now_ns)

    def recall(self, exchange: Exchange, fills: Sequence[Match]) -> None:
        """Remember fills of before the start, that nobody can have got."""
        venue = self.venues[exchange]
        for fill in fills:
            venue.history.add(fill)
        for row in self._told_of(exchange, venue.rows(fills)):
            if self._truth:
                self._truth.write(exchange, row, row.time_ms, historical=True)

    def cut(self, exchange: Exchange | None) -> None:
        """Cut all clients of a venue, or of all."""
        for each in self.venues if exchange is None else (exchange,):
            for connection in self._connections[each]:
                connection.cut()

    def tick(self, now_ns: int) -> None:
        """Let sessions do what is due by the clock; to be called every `TICK_S`."""
        for exchange, connections in self._connections.items():
            for connection in connections:
                connection.tick(now_ns)
                if self.faults.happens(Kind.DROP, exchange, now_ns, chances=TICK_S):
                    connection.cut()

    def _note(self, connection: Connection) -> None:
        if connection.session.subscribed:
            history = self.venues[connection.exchange].history
            self._told[connection.exchange].update(each for each in connection.session.subscribed if each in history)
            self._wanted[connection.exchange].set()

    def _relay(self, exchange: Exchange, frames: Sequence[Frame], now_ns: int) -> None:
        for connection in self._connections[exchange]:
            connection.relay(frames, now_ns)

    def _remember(self, exchange: Exchange, fills: Sequence[Match], rows: Sequence[Match], now_ns: int) -> None:
        history = self.venues[exchange].history
        for fill in fills:
            history.add(fill)
        self.trades[exchange] += len(rows)
        if self._truth:
            for row in self._told_of(exchange, rows):
                self._truth.write(exchange, row, now_ns // NS_PER_MS)

    def _told_of(self, exchange: Exchange, rows: Iterable[Match]) -> Iterable[Match]:
        told = self._told[exchange]
        return (row for row in rows if row.symbol in told)

"""What one venue remembers of its trades, for REST pages and for what it shows on subscribing. Bounded, compact.

The rule: rows come out oldest first. Each is kept as one short text, its id and time beside it in arrays, so that a
page is found without unpacking 20,000 rows. Ids need not rise: a replay may hold older blocks after younger ones.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator

from priceverse.model.exchange import Side
from priceverse.simulator.match import Match

KEEP = 20_000
"""Trades kept per symbol."""

_SLACK = 1_000  # trimmed in pieces of this size
_LARGEST = 2**63 - 1


class History:
    """The last trades of one venue, by symbol."""

    def __init__(self, symbols: Iterable[str], keep: int = KEEP) -> None:
        self._keep = keep
        self._shelves = {symbol: _Shelf(symbol) for symbol in symbols}

    def __contains__(self, symbol: object) -> bool:
        """Tell whether the venue lists the symbol."""
        return symbol in self._shelves

    def __iter__(self) -> Iterator[str]:
        """Iterate over the symbols that the venue lists."""
        return iter(self._shelves)

    def list_symbols(self, symbols: Iterable[str]) -> None:
        """List more symbols."""
        for symbol in symbols:
            self._shelves.setdefault(symbol, _Shelf(symbol))

    def add(self, match: Match) -> None:
        """Remember a trade; an unknown symbol is listed by it."""
        if match.symbol not in self._shelves:
            self.list_symbols((match.symbol,))
        shelf = self._shelves[match.symbol]
        shelf.add(match)
        if len(shelf.rows) > self._keep + _SLACK:
            shelf.drop(len(shelf.rows) - self._keep)

    def last(self, symbol: str, limit: int, *, below: int | None = None, above: int | None = None) -> list[Match]:
        """Return the newest `limit` rows, of those with an id under `below` and over `above`."""
        shelf = self._shelves[symbol]
        low, high = -1 if above is None else above, _LARGEST if below is None else below
        found: list[Match] = []
        for n in range(len(shelf.rows) - 1, -1, -1):
            if len(found) >= limit:
                break
            if low < shelf.ids[n] < high:
                found.append(shelf.match(n))
        return found[::-1]

    def from_id(self, symbol: str, trade_id: int, limit: int) -> list[Match]:
        """Return the oldest `limit` rows of those with this id or a higher one."""
        shelf = self._shelves[symbol]
        return shelf.first(limit, lambda n: shelf.ids[n] >= trade_id)

    def after_time(self, symbol: str, time_ns: int, limit: int) -> list[Match]:
        """Return the oldest `limit` rows of those later than `time_ns`."""
        shelf = self._shelves[symbol]
        return shelf.first(limit, lambda n: shelf.times_ns[n] > time_ns)


class _Shelf:
    """The rows of one symbol."""

    __slots__ = ("ids", "rows", "symbol", "times_ns")

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.ids = array("q")
        self.times_ns = array("q")
        self.rows: list[str] = []

    def add(self, match: Match) -> None:
        number = int(match.trade_id) if match.trade_id.isdecimal() else 0
        self.ids.append(min(number, _LARGEST))
        self.times_ns.append(match.time_ns)
        self.rows.append(
            f"{match.trade_id} {match.price} {match.volume} {match.side.value} {match.order} {match.count}"
        )

    def drop(self, oldest: int) -> None:
        del self.ids[:oldest], self.times_ns[:oldest], self.rows[:oldest]

    def first(self, limit: int, wanted: Callable[[int], bool]) -> list[Match]:
        found: list[Match] = []
        for n in range(len(self.rows)):
            if len(found) >= limit:
                break
            if wanted(n):
                found.append(self.match(n))
        return found

    def match(self, n: int) -> Match:
        trade_id, price, volume, side, order, count = self.rows[n].split(" ")
        return Match(self.symbol, trade_id, price, volume, self.times_ns[n], Side(side), int(order), int(count))

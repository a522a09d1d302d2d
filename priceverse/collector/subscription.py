"""Which symbols a connection has been promised, and which were refused. Pure.

The rule: each symbol stands for itself. A refused one is left out for a day and costs the others nothing.
"""

from collections.abc import Iterable, Sequence

ACK_TIMEOUT_S = 10.0
ASK_TIMES = 2
UNHEARD_S = 600.0
"""A symbol that the URL subscribes is answered by its first trade; a venue may take an unknown one and never say so."""
RETRY_REFUSED_S = 86_400.0


class Refusals:
    """Symbols that the venue would not serve, with its own words, over all connections of a process."""

    def __init__(self) -> None:
        self._refused: dict[str, tuple[str, float]] = {}

    def add(self, symbol: str, detail: str, now_s: float) -> None:
        self._refused[symbol] = (detail, now_s)

    def discard(self, symbol: str) -> None:
        """Forget a refusal: the venue serves the symbol after all."""
        self._refused.pop(symbol, None)

    def postpone(self, symbol: str, now_s: float) -> None:
        """Begin the day of a refused symbol anew: it is being asked for."""
        if symbol in self._refused:
            self.add(symbol, self._refused[symbol][0], now_s)

    def left(self, symbols: Sequence[str]) -> list[str]:
        """Return the symbols to ask for on a new connection: those not refused, or all if that leaves none."""
        return [symbol for symbol in symbols if symbol not in self._refused] or list(symbols)

    def due(self, now_s: float) -> list[str]:
        """Return the refused symbols to ask for once more."""
        return [symbol for symbol, (_, since_s) in self._refused.items() if now_s - since_s >= RETRY_REFUSED_S]

    @property
    def details(self) -> dict[str, str]:
        """What the venue said of each."""
        return {symbol: detail for symbol, (detail, _) in self._refused.items()}


class Subscription:
    """The symbols of one connection: asked for, served, refused or never answered."""

    def __init__(self, symbols: Iterable[str]) -> None:
        self._known = frozenset(symbols)
        self._pending: dict[str, tuple[int, float]] = {}  # symbol → times asked, deadline
        self._is_asked = False
        self.served: set[str] = set()
        self.unanswered: set[str] = set()

    def ask(self, symbols: Iterable[str], now_s: float) -> None:
        """Note that `symbols` have been asked for: an answer is due."""
        self._is_asked = True
        for symbol in symbols:
            times, _ = self._pending.get(symbol, (0, 0.0))
            self._pending[symbol] = (times + 1, now_s + ACK_TIMEOUT_S)

    def expect(self, symbols: Iterable[str], now_s: float) -> None:
        """Note that `symbols` are subscribed unasked: nobody acknowledges them, and asking again is no use."""
        self._pending |= dict.fromkeys(symbols, (ASK_TIMES, now_s + UNHEARD_S))

    def serve(self, symbol: str) -> bool:
        """Note an acknowledgement, or a trade, which says the same; True if it is the first."""
        self._pending.pop(symbol, None)
        self.unanswered.discard(symbol)
        if symbol in self.served or symbol not in self._known:
            return False
        self.served.add(symbol)
        return True

    def refuse(self, symbol: str) -> bool:
        """Note a refusal; True if the symbol is one of ours and not served already."""
        if symbol in self.served or symbol not in self._known:
            return False
        self._pending.pop(symbol, None)
        return True

    def overdue(self, now_s: float) -> list[str]:
        """Return the symbols to ask for again; one asked for often enough becomes unanswered instead."""
        late = {symbol: times for symbol, (times, deadline_s) in self._pending.items() if now_s >= deadline_s}
        for symbol, times in late.items():
            if times >= ASK_TIMES:
                del self._pending[symbol]
                self.unanswered.add(symbol)
        return [symbol for symbol, times in late.items() if times < ASK_TIMES]

    @property
    def is_hopeless(self) -> bool:
        """True once every symbol asked for has been refused or left without an answer."""
        return self._is_asked and not self._pending and not self.served

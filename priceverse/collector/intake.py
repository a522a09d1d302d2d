"""The one way to the bus: what a current session read, or history had, and admission lets through.

The rule: of the sessions only an open generation may pass anything. One that has been stopped or superseded talks to
the wind.
"""

from collections.abc import Callable, Sequence

from priceverse.bus.trades import Received
from priceverse.collector.admission import PASSING, Admission, Verdict
from priceverse.collector.ledger import Ledger
from priceverse.model.trade import Trade

Offer = Callable[[list[Received]], Sequence[Received]]
"""Takes trades; returns those, of all it ever took, that it had to drop."""


class Intake:
    """Admit the trades of all sessions of one exchange, in the order of their arrival."""

    def __init__(self, ledger: Ledger, offer: Offer, admission: Admission | None = None) -> None:
        self._ledger = ledger
        self._offer = offer
        self.admission = admission or Admission()
        self._last = 0
        self._open: set[int] = set()

    def open(self) -> int:
        """Return a new generation, which may pass trades until it is shut."""
        self._last += 1
        self._open.add(self._last)
        self.admission.doubt()
        return self._last

    def shut(self, generation: int) -> None:
        """Let nothing of `generation` pass any more."""
        self._open.discard(generation)

    def take(self, generation: int, trades: Sequence[Trade], now_ms: int) -> None:
        """Pass on what is admitted of `trades`, received at `now_ms`."""
        if generation not in self._open:
            return
        passing = []
        for trade in trades:
            verdict = self.admission.judge(trade, now_ms)
            if verdict in PASSING:
                passing.append((verdict, Received(trade, now_ms)))
            else:
                self._ledger.judged(verdict)
        if passing:
            self._pass(passing)

    def fill(self, trades: Sequence[Trade], now_ms: int) -> int:
        """Pass on what of some history is missing; return how much that was."""
        judged = [(self.admission.judge(trade, now_ms, wanted=True), Received(trade, now_ms)) for trade in trades]
        passing = [(verdict, received) for verdict, received in judged if verdict is Verdict.BACKFILLED]
        if passing:
            self._pass(passing)
        return len(passing)

    def hint(self, symbol: str, trade_id: int, now_ms: int) -> None:
        """Note that the venue has named a trade as its last: it exists, whether it comes or not."""
        coverage = self.admission.book(symbol).coverage
        if coverage is not None:
            coverage.exists(trade_id, now_ms, now_ms)

    def _pass(self, passing: Sequence[tuple[Verdict, Received]]) -> None:
        live = [received for verdict, received in passing if verdict is Verdict.ADMITTED]
        missed = [received for verdict, received in passing if verdict is Verdict.BACKFILLED]
        if live:
            self._ledger.admitted(live)
        if missed:
            self._ledger.backfilled(missed)
        for dropped in self._offer([received for _, received in passing]):
            self.admission.book(dropped.trade.symbol).lose(dropped.trade, dropped.received_ms)

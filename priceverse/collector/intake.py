"""The one way from a session to the bus: what a current session read and admission lets through.

The rule: only an open generation may pass anything. A session that has been stopped or superseded talks to the wind.
"""

from collections.abc import Callable, Sequence

from priceverse.bus.trades import Received
from priceverse.collector.admission import Admission, Verdict
from priceverse.collector.ledger import Ledger
from priceverse.model.trade import Trade

Offer = Callable[[list[Received]], None]


class Intake:
    """Admit the trades of all sessions of one exchange, in the order of their arrival."""

    def __init__(self, ledger: Ledger, offer: Offer, admission: Admission | None = None) -> None:
        self._ledger = ledger
        self._offer = offer
        self._admission = admission or Admission()
        self._last = 0
        self._open: set[int] = set()

    def open(self) -> int:
        """Return a new generation, which may pass trades until it is shut."""
        self._last += 1
        self._open.add(self._last)
        return self._last

    def shut(self, generation: int) -> None:
        """Let nothing of `generation` pass any more."""
        self._open.discard(generation)

    def take(self, generation: int, trades: Sequence[Trade], now_ms: int) -> None:
        """Pass on what is admitted of `trades`, received at `now_ms`."""
        if generation not in self._open:
            return
        admitted = []
        for trade in trades:
            verdict = self._admission.judge(trade, now_ms)
            if verdict is Verdict.ADMITTED:
                admitted.append(Received(trade, now_ms))
            else:
                self._ledger.judged(verdict)
        if admitted:
            self._ledger.admitted(admitted)
            self._offer(admitted)

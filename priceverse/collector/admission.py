"""Which trades go on the bus: those of the market, of now, and not seen before. Pure.

The rule: a trade is remembered by (symbol, trade id) whatever becomes of it, so that no replay is ever counted twice.
"""

from enum import StrEnum

from priceverse.model.trade import Trade

MAX_AHEAD_MS = 5_000
MAX_BEHIND_MS = 3_600_000
REMEMBERED = 4096
"""Ids kept per symbol, at least (at most twice as many): more than any replay or overlap brings."""


class Verdict(StrEnum):
    """What becomes of a trade; the label under which it is counted."""

    ADMITTED = "admitted"
    DUPLICATE = "duplicate"  # counted already: a replay, or two connections at once
    HISTORICAL = "historical"  # the venue said itself that it is old
    BLOCK = "block"  # off the book: it makes no price
    CLOCK_AHEAD = "clock_ahead"
    CLOCK_BEHIND = "clock_behind"


class Recent:
    """A bounded set of the newest values: two generations, the older one forgotten as a whole.

    Remembers at least the last `capacity` values at the price of one or two set look-ups each, without a queue.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._young: set[str] = set()
        self._old: set[str] = set()

    def add(self, value: str) -> bool:
        """Remember `value`; True if it is new."""
        if value in self._young or value in self._old:
            return False
        if len(self._young) >= self._capacity:
            self._old, self._young = self._young, set()
        self._young.add(value)
        return True


class Admission:
    """Judge the trades of one exchange, over all its connections."""

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        self._seen: dict[str, Recent] = {}

    def judge(self, trade: Trade, now_ms: int) -> Verdict:
        """Return what becomes of `trade`, received at `now_ms`."""
        seen = self._seen.get(trade.symbol)
        if seen is None:  # as many as the adapter's symbol map has
            seen = self._seen[trade.symbol] = Recent(self._remembered)
        is_new = seen.add(trade.trade_id)
        if trade.historical:
            return Verdict.HISTORICAL
        if not is_new:
            return Verdict.DUPLICATE
        if trade.block:
            return Verdict.BLOCK
        if trade.timestamp_ms - now_ms > MAX_AHEAD_MS:
            return Verdict.CLOCK_AHEAD
        return Verdict.CLOCK_BEHIND if now_ms - trade.timestamp_ms > MAX_BEHIND_MS else Verdict.ADMITTED

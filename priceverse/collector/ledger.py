"""What a collector says of itself: counters since the process began, and how things are now.

`snapshot` is what the pipe and `bus.stats` carry, and what the health page reads:
exchange, connected, since_ms, last_trade_ms (exchange time), trades {pair: n}, published, rejects {reason: n},
duplicates, historical, block, reconnects, dropped, queue, skew_ms (median), latency_ms {upper bound: n} and
latency_sum_ms (live ones), gaps (holes found), gaps_open, backfilled, lost [{pair, from_ms, to_ms, reason}] (the last
few), lost_total, cut_unread (entries that Redis had no room for before they were read), refused {symbol: words},
unanswered [symbol], redis (ok | away), error and error_code (of the last failure), next_attempt_ms.

`streams` is the answer to `ctl streams`: by pair, what of its trades is in the stream and what never will be.
"""

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from statistics import median
from typing import Any

from priceverse.bus.trades import Received
from priceverse.clock import iso_ms
from priceverse.collector.admission import Verdict
from priceverse.collector.reconnect import Ended
from priceverse.model.loss import Loss

LOSSES = 20
LATENCY_BOUNDS_MS = (5, 10, 20, 50, 100, 200, 500, 1000, 5000)
SKEWS = 255
_QUIETLY = (Verdict.DUPLICATE, Verdict.HISTORICAL, Verdict.BLOCK)


class Ledger:
    """One exchange's counters; written by the session, the intake and the publisher, read by whoever asks."""

    def __init__(self, exchange: str) -> None:
        self._exchange = exchange
        self._live: dict[int, int] = {}  # generation → connected since, ms
        self._sessions = 0
        self._trades: Counter[str] = Counter()
        self._rejects: Counter[str] = Counter()
        self._quiet: Counter[Verdict] = Counter()
        self._latency: Counter[int] = Counter()
        self._latency_sum_ms = 0
        self._skews: deque[int] = deque(maxlen=SKEWS)
        self._last_trade_ms: int | None = None
        self._error = ""
        self._error_code = ""
        self._next_attempt_ms: int | None = None
        self._losses: deque[Loss] = deque(maxlen=LOSSES)
        self._lost: Counter[str] = Counter()
        self._last_loss: dict[str, Loss] = {}
        self._backfilled = 0
        self.breaks = 0
        """How often the last connection that there was has ended."""
        self.gaps = 0
        self.gaps_open = 0
        self.published = 0
        self.dropped = 0
        self.cut_unread = 0
        self.queue = 0
        self.is_redis_away = False
        self.refused: Mapping[str, str] = {}
        self.unanswered: Iterable[str] = ()

    def opened(self, generation: int, now_ms: int) -> None:
        """Note a new connection."""
        self._live[generation] = now_ms
        self._sessions += 1
        self._next_attempt_ms = None

    def closed(self, generation: int) -> None:
        """Note the end of a connection."""
        if self._live.pop(generation, None) is not None and not self._live:
            self.breaks += 1

    @property
    def is_connected(self) -> bool:
        """True while there is a connection."""
        return bool(self._live)

    def failed(self, ended: Ended, next_attempt_ms: int | None) -> None:
        """Note why a connection ended or could not be had, and when the next is due."""
        self._error = f"{ended.why}: {ended.where}: {ended.detail}"
        self._error_code = ended.code
        self._next_attempt_ms = next_attempt_ms

    def rejected(self, reason: str) -> None:
        """Note a frame or a row that was no trade."""
        self._rejects[reason] += 1

    def judged(self, verdict: Verdict) -> None:
        """Note a trade that does not go on."""
        if verdict in _QUIETLY:
            self._quiet[verdict] += 1
        else:
            self._rejects[verdict] += 1

    def admitted(self, trades: list[Received]) -> None:
        """Note the trades of one batch that go on."""
        self._trades.update(received.trade.pair for received in trades)
        last = trades[-1]
        self._last_trade_ms = last.trade.timestamp_ms
        self._skews.append(last.received_ms - last.trade.timestamp_ms)

    def backfilled(self, trades: list[Received]) -> None:
        """Note trades that had been missed and go on now."""
        self._trades.update(received.trade.pair for received in trades)
        self._backfilled += len(trades)

    def lost(self, loss: Loss) -> None:
        """Note trades that will never be had."""
        self._losses.append(loss)
        self._lost[loss.pair] += 1
        self._last_loss[loss.pair] = loss

    def written(self, trades: list[Received], now_ms: int) -> None:
        """Note trades that are in the stream since `now_ms`."""
        self.published += len(trades)
        taken_ms = [now_ms - each.trade.timestamp_ms for each in trades if not each.trade.historical]
        self._latency.update(bisect_left(LATENCY_BOUNDS_MS, each_ms) for each_ms in taken_ms)
        self._latency_sum_ms += sum(taken_ms)

    def streams(self) -> dict[str, Any]:
        """Return what the collector knows of each pair's stream, as JSON values."""
        return {pair: self._stream(pair) for pair in sorted(self._trades.keys() | self._lost.keys())}

    def _stream(self, pair: str) -> dict[str, Any]:
        loss = self._last_loss.get(pair)
        return {
            "trades": self._trades[pair],
            "losses": self._lost[pair],
            "lost_from": iso_ms(loss.from_ms) if loss else None,
            "lost_to": iso_ms(loss.to_ms) if loss else None,
            "lost_reason": loss.reason.value if loss else None,
        }

    def snapshot(self) -> dict[str, Any]:
        """Return everything, as JSON values."""
        bounds = (*map(str, LATENCY_BOUNDS_MS), "inf")
        return {
            "exchange": self._exchange,
            "connected": self.is_connected,
            "since_ms": min(self._live.values(), default=None),
            "last_trade_ms": self._last_trade_ms,
            "trades": dict(self._trades),
            "published": self.published,
            "rejects": dict(self._rejects),
            "duplicates": self._quiet[Verdict.DUPLICATE],
            "historical": self._quiet[Verdict.HISTORICAL],
            "block": self._quiet[Verdict.BLOCK],
            "reconnects": max(0, self._sessions - 1),
            "gaps": self.gaps,
            "gaps_open": self.gaps_open,
            "backfilled": self._backfilled,
            "lost": [asdict(loss) for loss in self._losses],
            "lost_total": self._lost.total(),
            "cut_unread": self.cut_unread,
            "dropped": self.dropped,
            "queue": self.queue,
            "skew_ms": median(self._skews) if self._skews else None,
            "latency_ms": {bound: self._latency[at] for at, bound in enumerate(bounds)},
            "latency_sum_ms": self._latency_sum_ms,
            "refused": dict(self.refused),
            "unanswered": sorted(self.unanswered),
            "redis": "away" if self.is_redis_away else "ok",
            "error": self._error,
            "error_code": self._error_code,
            "next_attempt_ms": self._next_attempt_ms,
        }

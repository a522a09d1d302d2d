"""How a connection's silence is read: the whole of it, and each pair's. Pure; all times on trio's clock.

The rule: no trades is the market's affair, no bytes is a dead link. A pair is called silent only measured by its own
pace, so that a quiet one is left in peace and a dead one is found.
"""

from dataclasses import dataclass, field
from enum import Enum, auto

HEALTHY_S = 30.0
"""So long valid data must have come before a connection counts as a good one."""
RENEW_EARLY_S = 600.0
RENEW_EARLY_SHARE = 0.05
"""A connection is renewed so long before the venue would cut it: ten minutes, or a twentieth of a short life."""
SILENT_LEAST_S = 300.0
SILENT_GAPS = 50
PACE_WEIGHT = 0.05


class Finding(Enum):
    """What is to be done about a connection."""

    FINE = auto()
    MUTE = auto()  # drop it
    AGED = auto()  # open its successor


@dataclass(slots=True)
class Vigil:
    """One connection's times. `lifetime_s` is the age at which the venue cuts it."""

    opened_s: float
    mute_timeout_s: float
    lifetime_s: float | None
    _first_valid_s: float | None = None
    _last_valid_s: float = 0.0

    def valid(self, now_s: float) -> bool:
        """Note that something well formed came; True for the first time."""
        self._last_valid_s = now_s
        if self._first_valid_s is not None:
            return False
        self._first_valid_s = now_s
        return True

    @property
    def was_healthy(self) -> bool:
        """True once valid data has come for long enough to trust the venue again."""
        return self._first_valid_s is not None and self._last_valid_s - self._first_valid_s >= HEALTHY_S

    def judge(self, now_s: float, last_received_s: float) -> Finding:
        """Return what the clock says; `last_received_s` is when any byte last came."""
        if now_s - max(last_received_s, self.opened_s) >= self.mute_timeout_s:
            return Finding.MUTE
        if self.lifetime_s is None:
            return Finding.FINE
        early_s = min(RENEW_EARLY_S, self.lifetime_s * RENEW_EARLY_SHARE)
        return Finding.AGED if now_s - self.opened_s >= self.lifetime_s - early_s else Finding.FINE


@dataclass(slots=True)
class Pace:
    """One pair's own rhythm: the running mean of the gaps between its trades."""

    last_s: float
    mean_gap_s: float | None = None

    def beat(self, now_s: float) -> None:
        gap_s = now_s - self.last_s
        mean_s = gap_s if self.mean_gap_s is None else self.mean_gap_s
        self.mean_gap_s = mean_s + PACE_WEIGHT * (gap_s - mean_s)
        self.last_s = now_s

    def patience_s(self) -> float:
        """Return the silence that is still nothing to worry about."""
        return max(SILENT_LEAST_S, SILENT_GAPS * (self.mean_gap_s or 0.0))


@dataclass(slots=True)
class Pulse:
    """The pairs of a venue: which of them have fallen silent. It outlives connections: a pace takes long to know."""

    _paces: dict[str, Pace] = field(default_factory=dict)

    def begin(self, now_s: float) -> None:
        """Note a new connection: no silence is older."""
        for pace in self._paces.values():
            pace.last_s = now_s

    def beat(self, symbol: str, now_s: float) -> None:
        """Note a trade of `symbol`."""
        pace = self._paces.get(symbol)
        if pace is None:
            self._paces[symbol] = Pace(now_s)
        else:
            pace.beat(now_s)

    def silent(self, now_s: float) -> list[str]:
        """Return the symbols silent beyond their own measure, which this silence widens until they trade again."""
        found = [symbol for symbol, pace in self._paces.items() if now_s - pace.last_s > pace.patience_s()]
        for symbol in found:
            self._paces[symbol].beat(now_s)
        return found

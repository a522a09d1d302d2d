"""When prices are due: history on a UTC grid that follows the stream's clock, live ones at a pace that follows ours.

Row T of history is made of the trades with `T - window <= time < T` that reached the stream before `T + lateness`, as
the ids of the stream's entries tell. So it does not matter who reads the stream, when, in what batches or how often:
the rule is that history is a function of the stream.
"""

from dataclasses import dataclass
from typing import NamedTuple

SKEW_MS = 10_000
"""A trade's own time may be so far ahead of its arrival in the stream; more is refused."""


class Position(NamedTuple):
    """How far the history of a pair is, whatever the settings that brought it there.

    Its rows up to `instant_ms` are made, and in candles are exactly those of its trades that are older than
    `instant_ms` and reached the stream before `stream_ms`.
    """

    stream_ms: int
    instant_ms: int

    def covers(self, other: "Position") -> bool:
        """Tell whether everything that is done at `other` is done here."""
        return self.stream_ms >= other.stream_ms and self.instant_ms >= other.instant_ms


@dataclass(frozen=True, slots=True)
class Grid:
    """The instants of history rows: multiples of the interval, UTC.

    A row waits `lateness_ms` for late trades: longer than a collector needs that dies to come back and fetch what it
    missed. Candles take them until they are older than `candle_lateness_ms`.
    """

    interval_ms: int = 10_000
    window_ms: int = 30_000
    lateness_ms: int = 5_000
    candle_lateness_ms: int = 3_600_000

    def closes_ms(self, instant_ms: int) -> int:
        """Return the stream time at which a row is complete: only entries with smaller ids count."""
        return instant_ms + self.lateness_ms

    def first_after(self, position_ms: int) -> int:
        """Return the first instant that is not complete at stream time `position_ms`."""
        return ((position_ms - self.lateness_ms) // self.interval_ms + 1) * self.interval_ms

    def position_at(self, stream_ms: int) -> Position:
        """Return the position of a pair with these settings that has done everything up to a stream time."""
        return Position(stream_ms, stream_ms - self.lateness_ms)

    def needed_from_ms(self, position: Position) -> int:
        """Return the stream time from which entries matter to what is not done at `position`.

        That is where the first trade may have come that could be repeated now.
        """
        return self.floor_ms(self.belongs_to(position.instant_ms)) - SKEW_MS

    def spent_before_ms(self, position: Position) -> int:
        """Return the stream time before which no entry matters to rows and candles after `position`.

        In the next window are trades of clocks ahead of Redis's that came before it begins.
        """
        return position.instant_ms - self.window_ms - SKEW_MS

    def floor_ms(self, instant_ms: int) -> int:
        """Return how old a trade may be that arrives before an instant is complete, and after the one before it is."""
        return instant_ms - max(self.window_ms, self.candle_lateness_ms)

    def belongs_to(self, at_ms: int) -> int:
        """Return the first instant after a time: the first row that a trade of it counts in."""
        return (at_ms // self.interval_ms + 1) * self.interval_ms


@dataclass(frozen=True, slots=True)
class Pace:
    """How often live prices go out: a new one at most every `publish_ms`, the last one again after `heartbeat_ms`."""

    publish_ms: int = 250
    heartbeat_ms: int = 1000

    def due_ms(self, published_ms: int | None, *, fresh: bool) -> int:
        """Return when to publish next, given when that was last done and whether there is something new."""
        return 0 if published_ms is None else published_ms + (self.publish_ms if fresh else self.heartbeat_ms)

    def is_due(self, now_ms: int, published_ms: int | None, *, fresh: bool) -> bool:
        """Tell whether to publish now; after the clock went back, at once."""
        return now_ms >= self.due_ms(published_ms, fresh=fresh) or now_ms < (published_ms or 0)

"""When a child that reports itself unhealthy is replaced (pure).

The rule: only reports at least `SPACING_S` apart count, so three mean half a minute of trouble and not a hiccup.
"""

from dataclasses import dataclass, replace

SPACING_S = 10.0
LIMIT = 3


@dataclass(frozen=True, slots=True)
class Circuit:
    """One child's health over time; open from the replacement on until it is healthy again."""

    unhealthy: int = 0
    counted_at: float | None = None
    is_open: bool = False

    def seen(self, healthy: bool, now: float) -> "Circuit":
        """Return the circuit after one report; compare `is_open` before and after to act."""
        if healthy:
            return Circuit()
        if self.counted_at is not None and now - self.counted_at < SPACING_S:
            return self
        unhealthy = self.unhealthy + 1
        return replace(self, unhealthy=unhealthy, counted_at=now, is_open=self.is_open or unhealthy >= LIMIT)

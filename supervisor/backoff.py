"""How long to wait before a child is started again (pure).

The rule: randomness comes in as a number between 0 and 1, so that a decision can be replayed.
"""

from dataclasses import dataclass

from supervisor.errors import SpecError


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Exponential delays with full jitter; the first restart after a healthy run may be immediate."""

    initial_s: float = 1.0
    factor: float = 2.0
    max_s: float = 30.0
    immediate_first: bool = True
    reset_after_s: float = 60.0

    def __post_init__(self) -> None:
        if not 0 < self.initial_s <= self.max_s:
            raise SpecError("backoff.initial_s", self.initial_s, f"above 0 and at most max_s ({self.max_s})")
        if self.factor < 1:
            raise SpecError("backoff.factor", self.factor, "1 or more")
        if self.reset_after_s <= 0:
            raise SpecError("backoff.reset_after_s", self.reset_after_s, "above 0")

    def ceiling_s(self, attempt: int) -> float:
        """Return the longest delay before the `attempt`-th delayed restart (1 is the first)."""
        exponent = min(attempt - 1, 64)  # 2.0**64 is far beyond any max_s, 2.0**1025 overflows
        return min(self.max_s, self.initial_s * self.factor**exponent)

    def delay_s(self, attempt: int, draw: float) -> float:
        """Return the delay for `draw` in [0, 1): full jitter, so that children do not restart in step."""
        return self.ceiling_s(attempt) * draw

"""Bounded logging: one line per key and period, and how many were left out. Pure."""


class Throttle:
    """Let one in each `period_s` through for each key. Keys come from closed sets."""

    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        self._open_s: dict[str, float] = {}
        self._suppressed: dict[str, int] = {}

    def passes(self, key: str, now_s: float) -> int | None:
        """Return how many were suppressed since the last one let through; None if this one is, too."""
        if now_s < self._open_s.get(key, now_s):
            self._suppressed[key] = self._suppressed.get(key, 0) + 1
            return None
        self._open_s[key] = now_s + self._period_s
        return self._suppressed.pop(key, 0)

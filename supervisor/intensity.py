"""When a child has failed too often to go on (pure).

Two limits, because one is blind: with delays of 1, 2, 4, 8 and 16 s a child that takes a few seconds to fail never
reaches five restarts in a minute, so consecutive failed starts are counted as well.
"""

from dataclasses import dataclass

from supervisor.errors import SpecError


@dataclass(frozen=True, slots=True, kw_only=True)
class Intensity:
    """At most `restarts` counted restarts within `window_s`, and `failed_starts` in a row that never got ready."""

    restarts: int = 5
    window_s: float = 60.0
    failed_starts: int = 5

    def __post_init__(self) -> None:
        for field in ("restarts", "failed_starts"):
            if getattr(self, field) < 0:
                raise SpecError(f"intensity.{field}", getattr(self, field), "0 or more")
        if self.window_s <= 0:
            raise SpecError("intensity.window_s", self.window_s, "above 0")

    def recent(self, times: tuple[float, ...], now: float) -> tuple[float, ...]:
        """Return those failure times, `now` included, that still lie in the window."""
        return (*(at for at in times if now - at < self.window_s), now)

    def exceeded(self, recent: tuple[float, ...], failed_starts: int) -> bool:
        return len(recent) > self.restarts or failed_starts > self.failed_starts

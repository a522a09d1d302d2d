"""From what is wrong now to what somebody is told: an alert begins late, ends late and is told once. Pure.

    found ──for_s──▶ firing ──not found for clear_s──▶ resolved
                       └─ every repeat_s ─▶ told again

The rule: whatever flaps faster than that is one alert.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from priceverse.alerts.rules import Figures, Rule

Key = tuple[str, str]
"""A rule's name and a subject."""


class State(StrEnum):
    """What is told of an alert."""

    FIRING = "firing"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Notice:
    """What somebody is told; `since_ms` is when it began, the same in each notice of one alert."""

    rule: str
    subject: str
    state: State
    severity: str
    message: str
    since_ms: int


@dataclass(slots=True)
class _Course:
    """How it goes with one subject of one rule."""

    found_ms: int
    seen_ms: int
    message: str
    told_ms: int | None = None


class Watch:
    """What is going on. `firing` are the alerts somebody was told of and is not yet told the end of."""

    def __init__(self, rules: Iterable[Rule], *, repeat_s: float) -> None:
        self._rules = tuple(rules)
        self._repeat_ms = repeat_s * 1000
        self._courses: dict[Key, _Course] = {}

    @property
    def firing(self) -> Mapping[Key, int]:
        """When each alert that is firing began."""
        return {key: course.found_ms for key, course in self._courses.items() if course.told_ms is not None}

    def restore(self, firing: Mapping[Key, int], now_ms: int) -> None:
        """Go on where an earlier process was: what it told is not told again."""
        known = {rule.name for rule in self._rules}
        for key, since_ms in firing.items():
            if key[0] in known:
                self._courses[key] = _Course(since_ms, now_ms, "begun before a restart", told_ms=now_ms)

    def look(self, figures: Figures, now_ms: int) -> Sequence[Notice]:
        """Take what is so now; return whatever somebody must be told."""
        return [notice for rule in self._rules for notice in self._follow(rule, figures, now_ms)]

    def _follow(self, rule: Rule, figures: Figures, now_ms: int) -> Iterable[Notice]:
        for subject, message in rule.find(figures):
            course = self._courses.setdefault((rule.name, subject), _Course(now_ms, now_ms, message))
            course.seen_ms, course.message = now_ms, message
        for key, course in list(self._courses.items()):
            if key[0] == rule.name and (state := self._turn(rule, key, course, now_ms)) is not None:
                yield Notice(rule.name, key[1], state, rule.severity, course.message, course.found_ms)

    def _turn(self, rule: Rule, key: Key, course: _Course, now_ms: int) -> State | None:
        """Return what is to be told of a course now, if anything."""
        if course.seen_ms < now_ms:  # not found this time
            if course.told_ms is None or now_ms - course.seen_ms >= rule.clear_s * 1000:
                del self._courses[key]
                return None if course.told_ms is None else State.RESOLVED
            return None
        began = course.told_ms is None and now_ms - course.found_ms >= rule.for_s * 1000
        again = course.told_ms is not None and now_ms - course.told_ms >= self._repeat_ms
        if began or again:
            course.told_ms = now_ms
            return State.FIRING
        return None

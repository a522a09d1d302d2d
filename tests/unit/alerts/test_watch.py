"""When somebody is told: late enough, once, again after long, and at the end."""

import pytest

from priceverse.alerts.rules import Figures, Rule
from priceverse.alerts.watch import State, Watch

START_MS = 1_767_225_600_000


class Course:
    """A rule that finds what it is told to, and a watch that looks every ten seconds."""

    def __init__(self, *, for_s=30.0, clear_s=60.0, repeat_s=3600.0):
        self.wrong: set[str] = set()
        rule = Rule(
            "down", "warning", for_s, lambda _: ((each, f"{each} is down") for each in sorted(self.wrong)), clear_s
        )
        self.watch = Watch([rule], repeat_s=repeat_s)
        self.now_s = 0

    def look(self, *wrong, times=1):
        """Return what is told, with the seconds at which it is."""
        self.wrong = set(wrong)
        told = []
        for _ in range(times):
            self.now_s += 10
            notices = self.watch.look(Figures([], 0.0), START_MS + self.now_s * 1000)
            told += [(self.now_s, notice.subject, notice.state) for notice in notices]
        return told


@pytest.fixture
def course():
    return Course()


def test_it_is_told_when_it_has_lasted(course):
    assert course.look("okx", times=10) == [(40, "okx", State.FIRING)]


def test_what_is_over_sooner_is_never_told(course):
    for _ in range(5):
        assert course.look("okx", times=3) == []
        assert course.look() == []
    assert course.watch.firing == {}


def test_the_end_is_told_when_it_has_lasted_too(course):
    course.look("okx", times=10)
    assert course.look(times=5) == []
    assert course.look(times=10) == [(160, "okx", State.RESOLVED)]
    assert course.watch.firing == {}


def test_a_short_pause_is_the_same_alert(course):
    course.look("okx", times=10)
    assert course.look(times=4) + course.look("okx", times=20) == []
    assert course.watch.firing == {("down", "okx"): START_MS + 10_000}


def test_each_subject_goes_its_way(course):
    course.look("okx", times=3)
    assert course.look("okx", "bybit", times=4) == [(40, "okx", State.FIRING), (70, "bybit", State.FIRING)]


def test_what_lasts_is_told_again_as_the_same_alert():
    course = Course(for_s=0, repeat_s=100)
    course.wrong = {"okx"}
    assert course.look("okx", times=21) == [(each, "okx", State.FIRING) for each in (10, 110, 210)]


def test_at_once_means_at_the_first_look():
    course = Course(for_s=0)
    course.wrong = {"okx"}
    [notice] = course.watch.look(Figures([], 0.0), START_MS)
    assert (notice.rule, notice.severity, notice.message, notice.since_ms) == (
        "down",
        "warning",
        "okx is down",
        START_MS,
    )


def test_a_new_process_tells_nothing_twice_and_tells_the_end(course):
    course.watch.restore({("down", "okx"): START_MS - 5000, ("no_more", "x"): 1}, START_MS)
    assert course.look("okx", times=20) == []
    assert course.watch.firing == {("down", "okx"): START_MS - 5000}
    assert course.look(times=10) == [(260, "okx", State.RESOLVED)]

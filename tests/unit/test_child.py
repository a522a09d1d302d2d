"""How a role begins: its part of the settings, and what it takes of new ones while it runs."""

from collections.abc import Callable
from typing import Any

import pytest

from priceverse import log
from priceverse.child import begin
from priceverse.config.grants import give
from priceverse.config.settings import Cbr, Logging, Settings


class Place:
    """A worker that is told nothing by anybody."""

    name, role = "rates", "rates"

    def __init__(self, settings: Settings) -> None:
        self.settings = give(settings, "rates")
        self.handlers: dict[str, Callable[..., Any]] = {}

    def on_ask(self, method: str, handler: Callable[..., Any]) -> None:
        self.handlers[method] = handler

    def provide(self, fn: Callable[[], Any]) -> None:
        pass

    def offer(self, settings: Settings, *, dry_run: bool) -> bool:
        return self.handlers["reload"](settings=give(settings, "rates"), dry_run=dry_run)


@pytest.fixture
def place():
    """A child that has begun, logging warnings and worse."""
    worker = Place(Settings(logging=Logging(level="warn")))
    begin(worker)
    yield worker
    log.configure(level="info", pretty=False)


def is_logged(capsys) -> bool:
    log.get_logger().info("told")
    return "told" in capsys.readouterr().out


def test_another_level_is_taken_live_and_a_dry_run_only_says_so(place, capsys):
    louder = Settings(logging=Logging(level="info"))
    assert place.offer(louder, dry_run=True)
    assert not is_logged(capsys)
    assert place.offer(louder, dry_run=False)
    assert is_logged(capsys)
    assert place.offer(Settings(logging=Logging(level="warn")), dry_run=False)
    assert not is_logged(capsys)


def test_anything_else_is_not_taken(place, capsys):
    assert not place.offer(Settings(cbr=Cbr(interval_s=5), logging=Logging(level="info")), dry_run=False)
    assert not is_logged(capsys)


def test_a_level_set_by_hand_lasts_until_the_configuration_changes_it(place, capsys):
    assert place.handlers["log_level"]("info") == "info"
    assert is_logged(capsys)
    assert place.offer(Settings(logging=Logging(level="error")), dry_run=False)
    assert not is_logged(capsys)


def test_a_level_that_does_not_exist_is_named(place):
    with pytest.raises(ValueError, match="level is 'loud', allowed: trace, debug"):
        place.handlers["log_level"]("loud")

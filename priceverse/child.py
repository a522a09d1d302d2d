"""How every role begins: its settings from the pipe, its log, and the calls that `ctl` may make to any of them.

The rule: of new settings only the logging is taken live; for any other the process is replaced.
"""

from typing import Any

from priceverse import log
from priceverse.config import grants
from priceverse.config.settings import Logging, Settings
from priceverse.metrics import tally, usage
from supervisor.wire import JSON
from supervisor.worker import Worker


def begin(worker: Worker, **bound: str) -> Settings:
    """Read the settings, set up logging (`bound` goes into every line), answer `ctl log-level` and `ctl reload`."""
    settings = grants.take(worker.settings, worker.role)
    chosen = settings.logging

    def log_as(wanted: Logging) -> None:
        nonlocal chosen
        chosen = wanted
        log.configure(level=wanted.level, pretty=wanted.pretty, file=None, child=worker.name, role=worker.role, **bound)

    def log_level(level: str) -> str:
        if level not in log.LEVELS:
            raise ValueError(f"level is {level!r}, allowed: {', '.join(log.LEVELS)}")
        log_as(chosen.model_copy(update={"level": level}))
        return level

    def reload(settings: JSON, dry_run: bool) -> bool:
        if _but_logging(settings) != _but_logging(worker.settings):
            return False
        if not dry_run:
            worker.settings = settings
            log_as(grants.take(worker.settings, worker.role).logging)
        return True

    log_as(chosen)
    worker.on_ask("log_level", log_level)
    worker.on_ask("reload", reload)
    tally.watch(usage.cpu)
    worker.provide(tally.OWN.report)
    return settings


def _but_logging(given: Any) -> dict[str, JSON]:  # noqa: ANN401 - as it came over the pipe
    return {**given, "logging": None}

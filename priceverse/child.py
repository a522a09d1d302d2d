"""How every role begins: its settings from the pipe, its log, and the calls that `ctl` may make to any of them."""

from priceverse import log
from priceverse.config.settings import Settings
from priceverse.metrics import tally, usage
from supervisor.worker import Worker


def begin(worker: Worker, **bound: str) -> Settings:
    """Read the settings, set up logging (`bound` goes into every line), answer `ctl log-level`; return the settings."""
    settings = Settings.model_validate(worker.settings["settings"])
    chosen = settings.logging

    def log_level(level: str) -> str:
        if level not in log.LEVELS:
            raise ValueError(f"level is {level!r}, allowed: {', '.join(log.LEVELS)}")
        log.configure(level=level, pretty=chosen.pretty, file=None, child=worker.name, role=worker.role, **bound)
        return level

    log_level(chosen.level)
    worker.on_ask("log_level", log_level)
    tally.watch(usage.cpu)
    worker.provide(tally.OWN.report)
    return settings

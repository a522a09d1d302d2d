"""`python -m priceverse.api`: an API handler as a child of the supervisor."""

from priceverse import log
from priceverse.api.serve import serve
from priceverse.config.settings import Settings
from supervisor.worker import Worker, run


async def main(worker: Worker) -> None:
    """Serve on the inherited socket until told to stop."""
    settings = Settings.model_validate(worker.settings["settings"])
    log.configure(level=settings.logging.level, pretty=settings.logging.pretty, child=worker.name, role=worker.role)
    listener = worker.listeners["api"]
    await serve(settings, listener, worker.stopping, ready=worker.ready, provide=worker.provide)


if __name__ == "__main__":
    run(main)

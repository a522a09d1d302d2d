"""`python -m priceverse.housekeeper`: the housekeeper as a child of the supervisor."""

from priceverse import log
from priceverse.config.settings import Settings
from priceverse.db.pool import Database
from priceverse.housekeeper.rounds import serve
from supervisor import worker


async def main(child: worker.Worker) -> None:
    """Serve from the start, whether PostgreSQL is there or not."""
    settings = Settings.model_validate(child.settings["settings"])
    log.configure(level=settings.logging.level, pretty=settings.logging.pretty, child=child.name, role=child.role)
    async with Database(settings.database) as db:
        await child.ready()
        await serve(db, settings.retention, child.stopping, child.count)


if __name__ == "__main__":
    worker.run(main)

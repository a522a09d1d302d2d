"""`python -m priceverse.housekeeper`: the housekeeper as a child of the supervisor."""

from priceverse.child import begin
from priceverse.db.pool import Database
from priceverse.housekeeper.rounds import serve
from supervisor.worker import Worker, run


async def main(worker: Worker) -> None:
    """Serve from the start, whether PostgreSQL is there or not."""
    settings = begin(worker)
    async with Database(settings.database) as db:
        await worker.ready()
        await serve(db, settings.retention, worker.stopping, worker.count)


if __name__ == "__main__":
    run(main)

"""`python -m priceverse.housekeeper`: the housekeeper as a child of the supervisor."""

import trio

from priceverse.alerts import serve as alerts
from priceverse.child import begin
from priceverse.db.pool import Database
from priceverse.housekeeper import filling, keeping, recording, rolling
from supervisor.worker import Worker, run


async def main(worker: Worker) -> None:
    """Serve from the start, whether PostgreSQL is there or not."""
    settings = begin(worker)
    async with Database(settings.database) as db, trio.open_nursery() as nursery:
        nursery.start_soon(keeping.serve, db, settings.retention, worker.stopping, worker.count)
        nursery.start_soon(rolling.serve, db, worker.stopping, worker.count)
        nursery.start_soon(recording.serve, db, settings.redis, worker.stopping, worker.count)
        nursery.start_soon(filling.serve, db, settings, worker.stopping, worker.count)
        nursery.start_soon(alerts.serve, settings, worker.stopping)
        await worker.ready()


if __name__ == "__main__":
    run(main)

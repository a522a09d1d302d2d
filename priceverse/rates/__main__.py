"""`python -m priceverse.rates`: the keeper of the official rate as a child of the supervisor."""

from priceverse.child import begin
from priceverse.metrics import tally
from priceverse.rates import figures
from priceverse.rates.keeper import Keeper
from priceverse.rates.serve import Duties, serve, today
from supervisor.worker import Worker, run


async def main(worker: Worker) -> None:
    """Keep the rate until told to stop."""
    settings = begin(worker)
    keeper = Keeper(settings.cbr.max_jump, today)
    worker.provide(keeper.snapshot)
    tally.watch(lambda: figures.samples(keeper.snapshot()))
    await serve(settings, Duties(worker.name, worker.stopping, worker.ready, worker.count), keeper)


if __name__ == "__main__":
    run(main)

"""`python -m priceverse.aggregator`: an aggregator as a child of the supervisor.

A store that is away makes it neither unready nor unhealthy: a replacement would fare no better, and knows less.
"""

from priceverse.aggregator.garbage import collect_rarely
from priceverse.aggregator.serve import Duties, serve
from priceverse.child import begin
from supervisor.worker import Worker, run


async def main(worker: Worker) -> None:
    """Aggregate the assigned pairs until told to stop."""
    settings = begin(worker)
    collect_rarely()
    duties = Duties(
        child=worker.name,
        stopping=worker.stopping,
        ready=worker.ready,
        keys=worker.keys,
        assigned=worker.assigned,
        provide=worker.provide,
        count=worker.count,
        on_ask=worker.on_ask,
    )
    await serve(settings, duties)


if __name__ == "__main__":
    run(main)

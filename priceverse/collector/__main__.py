"""`python -m priceverse.collector`: the collector of one exchange as a child of the supervisor.

An exchange that is down neither delays readiness nor makes the child unhealthy: a replacement would fare no better.
"""

from priceverse.child import begin
from priceverse.collector import figures
from priceverse.collector.ledger import Ledger
from priceverse.collector.serve import Duties, serve
from priceverse.metrics import tally
from priceverse.model.exchange import Exchange
from supervisor.errors import Unavailable
from supervisor.worker import Worker, run


async def main(worker: Worker) -> None:
    """Collect until told to stop; leave with 69 when the exchange stays away."""
    exchange = Exchange(worker.name.removeprefix("collector."))
    settings = begin(worker, exchange=exchange)
    ledger = Ledger(exchange)
    worker.provide(ledger.snapshot)
    worker.on_ask("streams", ledger.streams)
    tally.watch(lambda: figures.samples(ledger.snapshot()))
    duties = Duties(worker.name, worker.stopping, worker.ready, lambda n: worker.count("trades", n))
    ended = await serve(settings, exchange, duties, ledger)
    if ended is not None:
        raise Unavailable(f"{exchange}: {ended.why}: {ended.where}: {ended.detail}")


if __name__ == "__main__":
    run(main)

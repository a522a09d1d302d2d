"""The simulator as a child of the supervisor: settings in, readiness and progress out.

It counts the trades of all venues as `trades`, and reports clients per venue.
"""

import trio

from priceverse.child import begin
from priceverse.simulator.hub import Hub
from priceverse.simulator.market import Options, Running, StartError, serve
from supervisor.errors import Unavailable
from supervisor.wire import JSON
from supervisor.worker import Worker, run

REPORT_EVERY_S = 1.0


async def main(worker: Worker) -> None:
    """Serve until told to stop."""
    settings = begin(worker)
    chosen = settings.simulator
    options = Options(chosen.listen_port, chosen.replay, chosen.speed, chosen.seed, chosen.truth)
    async with trio.open_nursery() as nursery:
        try:
            running: Running = await nursery.start(serve, options)
        except StartError as problem:
            raise Unavailable(str(problem)) from problem
        worker.provide(lambda: _stats(running.hub))
        nursery.start_soon(_report, worker, running.hub)
        await worker.ready()
        await worker.stopping.wait()
        nursery.cancel_scope.cancel()


async def _report(worker: Worker, hub: Hub) -> None:
    told = 0
    while True:
        await trio.sleep(REPORT_EVERY_S)
        happened = sum(hub.trades.values())
        worker.count("trades", happened - told)
        told = happened


def _stats(hub: Hub) -> dict[str, JSON]:
    return {
        "clients": {exchange.value: count for exchange, count in hub.clients().items()},
        "slow_clients": hub.slow_clients,
    }


if __name__ == "__main__":
    run(main)

"""`python -m priceverse.api`: an API handler as a child of the supervisor."""

import gc

from priceverse.api.serve import serve
from priceverse.child import begin
from supervisor.worker import Worker, run


async def main(worker: Worker) -> None:
    """Serve on the inherited socket until told to stop."""
    settings = begin(worker)
    listener = worker.listeners["api"]

    async def ready() -> None:
        gc.collect()
        gc.freeze()  # what has been imported stays; looking through it for garbage would hold up every client
        await worker.ready()

    await serve(
        settings,
        listener,
        worker.stopping,
        ready=ready,
        provide=worker.provide,
        emit=worker.emit,
        on_ask=worker.on_ask,
    )


if __name__ == "__main__":
    run(main)

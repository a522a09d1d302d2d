"""`python -m priceverse.api`: an API handler as a child of the supervisor."""

from priceverse.api.serve import serve
from priceverse.child import begin
from supervisor.worker import Worker, run


async def main(worker: Worker) -> None:
    """Serve on the inherited socket until told to stop."""
    settings = begin(worker)
    listener = worker.listeners["api"]
    await serve(
        settings,
        listener,
        worker.stopping,
        ready=worker.ready,
        provide=worker.provide,
        emit=worker.emit,
        on_ask=worker.on_ask,
    )


if __name__ == "__main__":
    run(main)

"""An aggregator in a process of its own, to be stopped and killed: `owner.py SETTINGS PAIR…`, settings as JSON.

It says `owning` when it has asked for its pairs, and then lives until it is killed.
"""

import sys
from collections.abc import AsyncIterator

import structlog
import trio

from priceverse.aggregator.serve import Duties, serve
from priceverse.config.settings import Settings


async def main(settings: Settings, pairs: frozenset[str]) -> None:
    async def keys() -> AsyncIterator[frozenset[str]]:
        yield pairs
        await trio.sleep_forever()

    async def assigned(_: frozenset[str]) -> None:
        sys.stdout.write("owning\n")
        sys.stdout.flush()

    await serve(
        settings,
        Duties(
            child="aggregator.1",
            stopping=trio.Event(),
            ready=trio.lowlevel.checkpoint,
            keys=keys(),
            assigned=assigned,
            provide=lambda _: None,
            count=lambda *_: None,
            on_ask=lambda *_: None,
        ),
    )


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    trio.run(main, Settings.model_validate_json(sys.argv[1]), frozenset(sys.argv[2:]))

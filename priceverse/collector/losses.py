"""What is lost for good: told in the log and in the ledger at once, recorded in PostgreSQL as soon as it is there.

The rule: a loss is never silent, and telling of it never holds up what is not lost. Of the losses that wait for
PostgreSQL only the newest are kept.
"""

from collections import deque

import trio

from priceverse.clock import iso_ms
from priceverse.collector.ledger import Ledger
from priceverse.config.settings import Database as DatabaseSettings
from priceverse.config.settings import Pool
from priceverse.log import get_logger
from priceverse.model.loss import Loss, LossReason

WAITING_MOST = 1000
RETRY_S, RETRY_CAP_S = 1.0, 60.0


class Losses:
    """The losses of one exchange."""

    def __init__(self, exchange: str, ledger: Ledger, settings: DatabaseSettings) -> None:
        self._exchange = exchange
        self._ledger = ledger
        self._settings = settings.model_copy(update={"pool": Pool(min=0, max=1)})
        self._waiting: deque[Loss] = deque(maxlen=WAITING_MOST)
        self._noted = trio.Event()

    def note(self, pair: str, from_ms: int, to_ms: int, reason: LossReason) -> None:
        """Tell that trades of `pair` between two instants will never be had."""
        loss = Loss(self._exchange, pair, from_ms, max(to_ms, from_ms + 1), reason)
        get_logger().warning("trades_lost", pair=pair, since=iso_ms(from_ms), until=iso_ms(to_ms), reason=reason)
        self._ledger.lost(loss)
        self._waiting.append(loss)
        self._noted.set()

    def unrecorded(self) -> set[str]:
        """Return the pairs of which some loss is not recorded yet."""
        return {loss.pair for loss in self._waiting}

    async def run(self) -> None:
        """Record what is noted until cancelled."""
        await self._noted.wait()
        from priceverse.db import gaps  # noqa: PLC0415 - most collectors lose nothing and save psycopg's memory
        from priceverse.db.pool import Database, DatabaseUnavailable  # noqa: PLC0415 - as above

        async with Database(self._settings) as db:
            retry_s = RETRY_S
            while True:
                batch = list(self._waiting)
                try:
                    await gaps.record(db, batch)
                except DatabaseUnavailable as away:
                    get_logger().warning("losses_not_recorded", count=len(batch), reason=away.reason, detail=str(away))
                    await trio.sleep(retry_s)
                    retry_s = min(2 * retry_s, RETRY_CAP_S)
                    continue
                retry_s = RETRY_S
                await self._forget(batch)

    async def _forget(self, recorded: list[Loss]) -> None:
        """Drop what has been recorded and wait for more."""
        while self._waiting and self._waiting[0] in recorded:
            self._waiting.popleft()
        if not self._waiting:
            self._noted = trio.Event()
            await self._noted.wait()

"""What is lost for good: told in the log and in the ledger at once, and to the housekeeper, who records it.

The rule: a loss is never silent, and telling of it never holds up what is not lost. Of the losses that are not recorded
yet only the newest are kept.
"""

from collections import deque
from contextlib import suppress

import trio

from priceverse.bus import losses
from priceverse.bus.client import RedisDoor, RedisUnavailable
from priceverse.clock import iso_ms
from priceverse.collector.ledger import Ledger
from priceverse.config.settings import Redis as RedisSettings
from priceverse.log import get_logger
from priceverse.model.loss import Loss, LossReason

WAITING_MOST = 1000
TELL_EVERY_S = 5.0


class Losses:
    """The losses of one exchange."""

    def __init__(self, exchange: str, ledger: Ledger, settings: RedisSettings) -> None:
        self._exchange = exchange
        self._ledger = ledger
        self._settings = settings
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

    async def run(self, every_s: float = TELL_EVERY_S) -> None:
        """Tell what is noted, until it is recorded, until cancelled."""
        while True:
            await self._noted.wait()
            async with RedisDoor(self._settings) as door:
                while self._waiting:
                    with suppress(RedisUnavailable):  # the publisher says so
                        self._forget(await losses.tell(door, self._waiting))
                    await trio.sleep(every_s)
            if not self._waiting:
                self._noted = trio.Event()

    def _forget(self, recorded: set[Loss]) -> None:
        self._waiting = deque((loss for loss in self._waiting if loss not in recorded), maxlen=WAITING_MOST)

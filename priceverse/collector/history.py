"""A venue's REST history, asked at the venue's own pace: one request at a time, never sooner than it allows.

The rule: a venue that says no is left alone, for as long as it says or as its answer deserves.
"""

from collections.abc import Awaitable, Callable

import trio

from priceverse.collector.ledger import Ledger
from priceverse.collector.reconnect import stay_away_s
from priceverse.collector.throttle import Throttle
from priceverse.exchanges.protocol import Adapter, Gap, Page, PageError, Request
from priceverse.log import get_logger
from priceverse.net.errors import NetError

RETRY_S, RETRY_CAP_S = 0.5, 30.0
LOG_EVERY_S = 10.0

Ask = Callable[[Request], Awaitable[bytes]]


class History:
    """The pages of one venue; all symbols stand in one line."""

    def __init__(self, adapter: Adapter, rest_url: str, ask: Ask, ledger: Ledger) -> None:
        self._adapter = adapter
        self._rest_url = rest_url
        self._ask = ask
        self._ledger = ledger
        self._line = trio.Lock()
        self._open_s = 0.0
        self._throttle = Throttle(LOG_EVERY_S)

    async def page(self, gap: Gap, cursor: str = "") -> Page:
        """Wait for this request's turn and return the page, its rejects counted. Raises NetError, PageError."""
        async with self._line:
            await trio.sleep_until(max(self._open_s, trio.current_time()))
            self._open_s = trio.current_time() + self._adapter.request_interval_s
            try:
                reply = await self._ask(self._adapter.history(self._rest_url, gap, cursor))
            except NetError as error:
                self._open_s = max(self._open_s, trio.current_time() + stay_away_s(error.status, error.retry_after_s))
                raise
        page = self._adapter.page(gap, cursor, reply)
        for reject in page.rejects:
            self._ledger.rejected(reject.reason)
        return page

    def unanswered(self, symbol: str, error: NetError | PageError) -> None:
        """Tell, now and then, that no page could be had."""
        suppressed = self._throttle.passes(symbol, trio.current_time())
        if suppressed is not None:
            get_logger().warning("history_unavailable", symbol=symbol, error=str(error), suppressed=suppressed)


def pause_s(usual_s: float, failures: int) -> float:
    """Return when to try again: as usual, or later the longer nothing works."""
    return usual_s if not failures else max(usual_s, min(RETRY_S * 2.0 ** min(failures - 1, 10), RETRY_CAP_S))

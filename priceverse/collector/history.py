"""A venue's REST history, asked at the venue's own pace: one request at a time, never sooner than it allows.

The rule: a venue that says no is left alone, for as long as it says or as its answer deserves.
"""

from collections.abc import Awaitable, Callable

import trio

from priceverse.collector.reconnect import stay_away_s
from priceverse.exchanges.protocol import Adapter, Gap, Page, Request
from priceverse.net.errors import NetError

Ask = Callable[[Request], Awaitable[bytes]]


class History:
    """The pages of one venue; all symbols stand in one line."""

    def __init__(self, adapter: Adapter, rest_url: str, ask: Ask) -> None:
        self._adapter = adapter
        self._rest_url = rest_url
        self._ask = ask
        self._line = trio.Lock()
        self._open_s = 0.0

    async def page(self, gap: Gap, cursor: str = "") -> Page:
        """Wait for this request's turn and return the page. Raises NetError, PageError."""
        async with self._line:
            await trio.sleep_until(max(self._open_s, trio.current_time()))
            self._open_s = trio.current_time() + self._adapter.request_interval_s
            try:
                reply = await self._ask(self._adapter.history(self._rest_url, gap, cursor))
            except NetError as error:
                self._open_s = max(self._open_s, trio.current_time() + stay_away_s(error.status, error.retry_after_s))
                raise
        return self._adapter.page(gap, cursor, reply)

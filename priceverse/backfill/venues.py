"""The venues' candles over REST, each venue asked at its own pace, all at the same time.

The rule: what a venue does not say is told apart: it never has it (it is left out), it will not talk to us at all (left
out from then on), or it did not answer now (`Unanswered`: nobody may store half a candle).
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager

import trio

from priceverse.backfill.plan import Span
from priceverse.config.settings import Settings
from priceverse.exchanges.candles import CANDLES
from priceverse.exchanges.protocol import PageError, Request
from priceverse.log import get_logger
from priceverse.model.candle import Candle
from priceverse.model.exchange import Exchange
from priceverse.net.errors import NetError
from priceverse.net.http import fetch
from priceverse.net.tls import client_context

TRIES = 3
RETRY_S = 1.0
MAX_BYTES = 1 << 21
_BARRED = {401, 403, 404, 451}
"""Statuses that do not change by asking again: not for us, not from this country, not there."""
_ASKED_TOO_OFTEN_S = 10.0

Ask = Callable[[Request], Awaitable[bytes]]


class Unanswered(Exception):  # noqa: N818 - reads as the state it reports
    """A venue that has the candles did not answer; the text says which and why."""


class Venues:
    """All venues of the configuration. `ask` makes one request and raises NetError."""

    def __init__(self, settings: Settings, ask: Ask, now_ms: Callable[[], int]) -> None:
        self._settings = settings
        self._ask = ask
        self._now_ms = now_ms
        self._lines = {exchange: _Line(CANDLES[exchange].request_interval_s) for exchange in Exchange}
        self.barred: dict[Exchange, str] = {}

    async def candles(self, pair: str, span: Span) -> dict[Exchange, list[Candle]]:
        """Return what each venue has of a span, in its own currency. Raises Unanswered."""
        found: dict[Exchange, list[Candle]] = {}
        silent: list[str] = []

        async def one(exchange: Exchange) -> None:
            try:
                found[exchange] = await self._of_venue(exchange, pair, span)
            except (NetError, PageError) as error:
                silent.append(f"{exchange}: {error}")

        async with trio.open_nursery() as nursery:
            for exchange in self._having(pair, span):
                nursery.start_soon(one, exchange)
        if silent:
            raise Unanswered("; ".join(sorted(silent)))
        return {exchange: found[exchange] for exchange in sorted(found)}

    def _having(self, pair: str, span: Span) -> Iterable[Exchange]:
        """Return the venues that trade the pair, talk to us and whose history reaches back so far."""
        for exchange in self._settings.pairs[pair].symbols:
            newest = CANDLES[exchange].newest_only
            reaches = newest is None or span.from_ms > self._now_ms() - newest * span.interval.ms
            if exchange in self._settings.exchanges.enabled and exchange not in self.barred and reaches:
                yield exchange

    async def _of_venue(self, exchange: Exchange, pair: str, span: Span) -> list[Candle]:
        step_ms = CANDLES[exchange].most_rows * span.interval.ms
        found: list[Candle] = []
        for from_ms in range(span.from_ms, span.until_ms, step_ms):
            part = Span(span.interval, from_ms, min(from_ms + step_ms, span.until_ms))
            found += await self._part(exchange, pair, part)
        return found

    async def _part(self, exchange: Exchange, pair: str, span: Span) -> list[Candle]:
        """Ask a few times; [] from a venue that will not talk to us. Raises NetError, PageError."""
        for left in reversed(range(TRIES)):
            try:
                return await self._once(exchange, pair, span)
            except NetError as error:
                if error.status in _BARRED:
                    self.barred[exchange] = str(error)
                    get_logger().warning("history_barred", exchange=exchange.value, error=str(error))
                    return []
                if not left:
                    raise
                pause_s = RETRY_S * 2 ** (TRIES - left - 1)
                self._lines[exchange].rest(error.retry_after_s or (_ASKED_TOO_OFTEN_S if error.status else pause_s))
            except PageError:
                if not left:
                    raise
                self._lines[exchange].rest(RETRY_S)
        raise AssertionError("the last try returns or raises")

    async def _once(self, exchange: Exchange, pair: str, span: Span) -> list[Candle]:
        venue, symbol = CANDLES[exchange], self._settings.pairs[pair].symbols[exchange].symbol
        base = self._settings.exchanges.venue(exchange).rest_url
        async with self._lines[exchange].turn():
            reply = await self._ask(venue.request(base, symbol, span.interval, span.from_ms, span.until_ms))
        return venue.read(pair, span.interval, span.from_ms, span.until_ms, reply)


class _Line:
    """One venue's requests: one at a time, never sooner than it allows."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._lock = trio.Lock()
        self._open_s = 0.0

    def rest(self, pause_s: float) -> None:
        """Leave the venue alone for so long."""
        self._open_s = max(self._open_s, trio.current_time() + pause_s)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        async with self._lock:
            await trio.sleep_until(max(self._open_s, trio.current_time()))
            self._open_s = trio.current_time() + self._interval_s
            yield


def asking(settings: Settings) -> Ask:
    """Return how to ask over HTTP, bounded in time and size."""

    async def ask(request: Request) -> bytes:
        reply = await fetch(
            request.url,
            timeout_s=settings.exchanges.connect_timeout_s,
            max_bytes=MAX_BYTES,
            tls=client_context(request.url, settings.exchanges.tls_ca),
            method=request.method,
        )
        return reply.body

    return ask

"""ChartsService: candles, as columns for a chart or as pages of whole candles. The open candle is always among them."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from functools import partial
from typing import Annotated

import msgspec
from msgspec import Meta

from priceverse.clock import iso_ms
from priceverse.model.candle import Candle, Interval
from priceverse.model.decimals import to_places
from priceverse.rpc.errors import CallError, Code
from priceverse.rpc.limits import Limit
from priceverse.rpc.method import Params, Reply, method
from priceverse.rpc.ports import Ports, Topic
from priceverse.services import quotes, spans
from priceverse.services.filling import Asked, filled_page
from priceverse.services.spans import Instant, Period, Span

SERVICE = "ChartsService@2.0.0"
MAX_POINTS = 10_000
MAX_LIMIT = 1000
USUAL_LIMIT = 100
MAX_OFFSET = 1_000_000


class GetChartData(Params, frozen=True, kw_only=True):
    """Which pair, over which period, in steps of which length."""

    pair: str
    period: Period | None = None
    interval: Interval = Interval.HOUR
    since: Instant | None = msgspec.field(default=None, name="from")
    until: Instant | None = msgspec.field(default=None, name="to")


class Columns(Reply, frozen=True, kw_only=True):
    """The candles of a chart, one column per quality."""

    open: tuple[Decimal, ...]
    high: tuple[Decimal, ...]
    low: tuple[Decimal, ...]
    close: tuple[Decimal, ...]
    volume: tuple[Decimal, ...]


class ChartReply(Reply, frozen=True, kw_only=True):
    """A chart, oldest first: when each step begins, its last price, and the whole candles.

    `stale` says that this is an older answer, because the database does not answer now.
    """

    dates: tuple[str, ...]
    series: tuple[Decimal, ...]
    ohlcv: Columns
    stale: bool = False


class Fill(StrEnum):
    """What stands where there was no trade: nothing, or the last price before."""

    NONE = "none"
    PREVIOUS = "previous"


class GetOhlcv(Params, frozen=True, kw_only=True):
    """Which pair, candles of which length, which page of them."""

    pair: str
    interval: Interval
    limit: Annotated[int, Meta(ge=1, le=MAX_LIMIT)] = USUAL_LIMIT
    offset: Annotated[int, Meta(ge=0, le=MAX_OFFSET)] = 0
    since: Instant | None = msgspec.field(default=None, name="from")
    until: Instant | None = msgspec.field(default=None, name="to")
    fill: Fill = Fill.NONE


class CandleReply(Reply, frozen=True, kw_only=True):
    """One candle; `timestamp` is its beginning. `filled`: made by no trade; `backfilled`: told by an exchange."""

    timestamp: str
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    vwap: Decimal | None
    trades: int
    filled: bool = False
    backfilled: bool = False


class Pagination(Reply, frozen=True, kw_only=True):
    """Which of how many candles these are."""

    total: int
    limit: int
    offset: int


class OhlcvReply(Reply, frozen=True, kw_only=True):
    """Candles, newest first. `stale` as in a chart."""

    candles: tuple[CandleReply, ...]
    pagination: Pagination
    stale: bool = False


@method(SERVICE, "getChartData", cache_s=60, limit=Limit(20))
async def get_chart_data(params: GetChartData, ports: Ports) -> ChartReply:
    """Return the course of a price over a period, oldest first."""
    quotes.check_pair(params.pair, ports)
    period = params.period or (Period.WEEK if params.since is None else Period.CUSTOM)
    span = _within(spans.of_period(period, params.since, params.until, ports.now_ms()), params.interval)
    key = (params.pair, params.interval.value, period.value, _written(params.since), _written(params.until))
    make = partial(_chart, params.pair, params.interval, span, ports)
    topic = Topic.CHART if params.since is None and params.until is None else Topic.RANGE
    return await ports.replies.get(topic, key, ChartReply, make)


@method(SERVICE, "getOHLCV", cache_s=60, limit=Limit(20))
async def get_ohlcv(params: GetOhlcv, ports: Ports) -> OhlcvReply:
    """Return candles with their volumes, newest first, page by page."""
    quotes.check_pair(params.pair, ports)
    span = spans.between(params.since, params.until, ports.now_ms())
    key = (
        *(params.pair, params.interval.value, "page", str(params.limit), str(params.offset)),
        *(_written(params.since), _written(params.until), params.fill.value),
    )
    is_usual = (params.limit, params.offset, params.since, params.until) == (USUAL_LIMIT, 0, None, None)
    topic = Topic.CHART if is_usual else Topic.RANGE
    return await ports.replies.get(topic, key, OhlcvReply, partial(_page, params, span, ports))


def _within(span: Span, interval: Interval) -> Span:
    if span.length_ms > MAX_POINTS * interval.ms:
        raise spans.refusal(f"More than {MAX_POINTS} steps of {interval}", span)
    return span


async def _chart(pair: str, interval: Interval, span: Span, ports: Ports) -> ChartReply:
    page = await ports.history.candles(
        pair,
        interval,
        from_ms=interval.start_ms(span.from_ms),
        to_ms=span.to_ms,
        limit=MAX_POINTS + 1,
        offset=0,
        newest_first=False,
    )
    if not page.candles:
        raise _no_candles(pair, span)
    return chart_of(page.candles)


def chart_of(candles: Sequence[Candle]) -> ChartReply:
    """Return candles as the columns of a chart."""
    closes = tuple(candle.close for candle in candles)
    return ChartReply(
        dates=tuple(iso_ms(candle.start_ms) for candle in candles),
        series=closes,
        ohlcv=Columns(
            open=tuple(candle.open for candle in candles),
            high=tuple(candle.high for candle in candles),
            low=tuple(candle.low for candle in candles),
            close=closes,
            volume=tuple(to_places(candle.volume) for candle in candles),
        ),
    )


async def _page(params: GetOhlcv, span: Span, ports: Ports) -> OhlcvReply:
    if params.fill is Fill.PREVIOUS:
        page = await filled_page(Asked(params.pair, params.interval, span), params.limit, params.offset, ports.history)
    else:
        page = await ports.history.candles(
            params.pair,
            params.interval,
            from_ms=span.from_ms,
            to_ms=span.to_ms,
            limit=params.limit,
            offset=params.offset,
        )
    if not page.total:
        raise _no_candles(params.pair, span)
    return OhlcvReply(
        candles=tuple(candle_of(candle) for candle in page.candles),
        pagination=Pagination(total=page.total, limit=params.limit, offset=params.offset),
    )


def candle_of(candle: Candle) -> CandleReply:
    """Return a candle as it is sent."""
    vwap = candle.vwap
    return CandleReply(
        timestamp=iso_ms(candle.start_ms),
        open=candle.open,
        high=candle.high,
        low=candle.low,
        close=candle.close,
        volume=to_places(candle.volume),
        vwap=None if vwap is None else to_places(vwap),
        trades=candle.trades,
        filled=candle.trades == 0 and candle.source == "trades",
        backfilled=candle.source == "backfill",
    )


def _no_candles(pair: str, span: Span) -> CallError:
    details = {"pair": pair, "from": iso_ms(span.from_ms), "to": iso_ms(span.to_ms)}
    return CallError(Code.CHART_DATA_NOT_FOUND, f"No candles of {pair} in the range", details)


def _written(at: datetime | None) -> str:
    return "null" if at is None else at.isoformat()

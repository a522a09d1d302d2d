"""Candles as the venues tell of them over REST: what to ask, and reply → candles in the venue's own currency. Pure.

Each venue has one class: its names of the intervals, the order of its columns, the most rows that it gives at once. The
rule: a reply is good as a whole or refused, with what the venue said; a bucket without trades has no candle.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import ClassVar, Final, Protocol
from urllib.parse import quote

from priceverse.exchanges import fields, frames, pages
from priceverse.exchanges.protocol import PageError, Reason, Request
from priceverse.model.candle import Candle, Interval
from priceverse.model.decimals import EXACT
from priceverse.model.exchange import Exchange

Row = Mapping[str, object]
_START_MS, _START_S = "start_ms", "start_s"


class VenueCandles(Protocol):
    """One venue's history of candles."""

    names: ClassVar[tuple[object, object, object]]
    columns: ClassVar[Sequence[str]]
    most_rows: ClassVar[int]
    request_interval_s: ClassVar[float]
    newest_only: ClassVar[int | None] = None
    """So many of the newest buckets are all there is; None: it goes back for years."""

    def request(self, rest_url: str, symbol: str, interval: Interval, from_ms: int, until_ms: int) -> Request:
        """Return what to ask for the buckets that begin in [from_ms, until_ms), at most `most_rows`."""
        ...

    def rows(self, reply: bytes) -> object:
        """Return the rows of a success. Raises PageError."""
        ...

    def _name(self, interval: Interval) -> object:
        return dict(zip(Interval, self.names, strict=True))[interval]

    def read(self, pair: str, interval: Interval, from_ms: int, until_ms: int, reply: bytes) -> list[Candle]:
        """Return the candles of the range, by time, marked as backfill. Raises PageError, whatever comes."""
        listed = pages.columns(self.rows(reply), self.columns)
        if not isinstance(listed, list) or len(listed) > frames.MAX_ROWS:
            raise PageError(f"no rows: {frames.shown(listed)}")
        try:
            found = [candle for row in listed for candle in _candle(pair, interval, row)]
        except frames.Refused as refused:
            raise PageError(f"a row is no candle: {refused.reject().reason}: {refused.reject().sample}") from None
        inside = {candle.start_ms: candle for candle in found if from_ms <= candle.start_ms < until_ms}
        return [inside[start_ms] for start_ms in sorted(inside)]


class _Binance(VenueCandles):
    names = ("5m", "1h", "1d")
    columns = (_START_MS, "open", "high", "low", "close", "volume", "end", "quote_volume", "trades")
    most_rows = 1000
    request_interval_s = 0.1  # weighs 2; an address may weigh 6000 a minute

    def request(self, rest_url: str, symbol: str, interval: Interval, from_ms: int, until_ms: int) -> Request:
        span = {"startTime": from_ms, "endTime": until_ms - 1, "limit": self.most_rows}
        return pages.request(rest_url, "/api/v3/klines", {"symbol": symbol, "interval": self._name(interval), **span})

    def rows(self, reply: bytes) -> object:
        parsed = pages.document(reply)
        if isinstance(parsed, dict):
            raise PageError(frames.shown(parsed.get("code", ""), parsed.get("msg", "")))
        return parsed


class _Kraken(VenueCandles):
    names = (5, 60, 1440)
    columns = (_START_S, "open", "high", "low", "close", "vwap", "volume", "trades")
    most_rows = newest_only = 720
    request_interval_s = 1.0

    def request(self, rest_url: str, symbol: str, interval: Interval, from_ms: int, until_ms: int) -> Request:  # noqa: ARG002 - it has no end
        base, _, currency = symbol.partition("/")
        pair = f"{ {'BTC': 'XBT', 'DOGE': 'XDG'}.get(base, base) }{currency}"
        since_s = from_ms // 1000 - 1
        return pages.request(
            rest_url, "/0/public/OHLC", {"pair": pair, "interval": self._name(interval), "since": since_s}
        )

    def rows(self, reply: bytes) -> object:
        result = pages.answered(reply, lambda parsed: isinstance(parsed.get("result"), dict), "error")["result"]
        assert isinstance(result, dict)
        return next((value for key, value in result.items() if key != "last"), None)


class _Coinbase(VenueCandles):
    names = (300, 3600, 86_400)
    columns = (_START_S, "low", "high", "open", "close", "volume")
    most_rows = 300
    request_interval_s = 0.2

    def request(self, rest_url: str, symbol: str, interval: Interval, from_ms: int, until_ms: int) -> Request:
        span = {"start": _iso(from_ms), "end": _iso(until_ms - interval.ms), "granularity": self._name(interval)}
        return pages.request(rest_url, f"/products/{quote(symbol, safe='')}/candles", span)

    def rows(self, reply: bytes) -> object:
        parsed = pages.document(reply)
        if isinstance(parsed, dict):
            raise PageError(frames.shown(parsed.get("message", "")))
        return parsed


class _Okx(VenueCandles):
    names = ("5m", "1H", "1Dutc")  # 1D begins in Hong Kong
    columns = (_START_MS, "open", "high", "low", "close", "volume", "in_currency", "quote_volume", "confirm")
    most_rows = 100
    request_interval_s = 0.15

    def request(self, rest_url: str, symbol: str, interval: Interval, from_ms: int, until_ms: int) -> Request:
        span = {"after": until_ms, "before": from_ms - 1, "limit": self.most_rows}  # newest first: older than `after`
        query = {"instId": symbol, "bar": self._name(interval), **span}
        return pages.request(rest_url, "/api/v5/market/history-candles", query)

    def rows(self, reply: bytes) -> object:
        return pages.answered(reply, lambda parsed: parsed.get("code") == "0", "code", "msg").get("data")


class _Bybit(VenueCandles):
    names = ("5", "60", "D")
    columns = (_START_MS, "open", "high", "low", "close", "volume", "quote_volume")
    most_rows = 1000
    request_interval_s = 0.1

    def request(self, rest_url: str, symbol: str, interval: Interval, from_ms: int, until_ms: int) -> Request:
        span = {"start": from_ms, "end": until_ms - 1, "limit": self.most_rows}
        query = {"category": "spot", "symbol": symbol, "interval": self._name(interval), **span}
        return pages.request(rest_url, "/v5/market/kline", query)

    def rows(self, reply: bytes) -> object:
        result = pages.answered(reply, lambda parsed: parsed.get("retCode") == 0, "retCode", "retMsg").get("result")
        return result.get("list") if isinstance(result, dict) else result


class _Kucoin(VenueCandles):
    names = ("5min", "1hour", "1day")
    columns = (_START_S, "open", "close", "high", "low", "volume", "quote_volume")
    most_rows = 1500
    request_interval_s = 0.3

    def request(self, rest_url: str, symbol: str, interval: Interval, from_ms: int, until_ms: int) -> Request:
        span = {"startAt": from_ms // 1000, "endAt": until_ms // 1000}
        return pages.request(
            rest_url, "/api/v1/market/candles", {"symbol": symbol, "type": self._name(interval), **span}
        )

    def rows(self, reply: bytes) -> object:
        return pages.answered(reply, lambda parsed: parsed.get("code") == "200000", "code", "msg").get("data")


CANDLES: Final[Mapping[Exchange, VenueCandles]] = {
    Exchange.BINANCE: _Binance(),
    Exchange.KRAKEN: _Kraken(),
    Exchange.COINBASE: _Coinbase(),
    Exchange.OKX: _Okx(),
    Exchange.BYBIT: _Bybit(),
    Exchange.KUCOIN: _Kucoin(),
}


def _candle(pair: str, interval: Interval, row: object) -> Iterator[Candle]:
    """Yield the candle of a row; none where nothing was traded. Raises Refused."""
    if not isinstance(row, dict):
        raise frames.Refused(Reason.NOT_AN_OBJECT, row)
    volume = row.get("volume")
    if _is_zero(volume):
        return
    start_ms = fields.time_ms(row[_START_MS]) if _START_MS in row else fields.time_s(row.get(_START_S))
    opening, high, low, close = (fields.price(row.get(name)) for name in ("open", "high", "low", "close"))
    if start_ms % interval.ms or not low <= min(opening, close) <= max(opening, close) <= high:
        raise frames.Refused(Reason.BAD_PRICE, row)
    amount = fields.volume(volume)
    yield Candle(
        pair,
        interval,
        start_ms,
        opening,
        high,
        low,
        close,
        amount,
        _quote_volume(row, amount, (opening, high, low, close)),
        fields.numeric(row.get("trades")) or 0,
        start_ms,
        start_ms + interval.ms - 1,
        "backfill",
    )


def _quote_volume(row: Row, volume: Decimal, prices: Sequence[Decimal]) -> Decimal:
    """Return the sum of price × volume as the venue tells it, or by its vwap, or by the middle of its prices."""
    if "quote_volume" in row:
        return fields.volume(row["quote_volume"])
    middle = fields.price(row["vwap"]) if "vwap" in row else EXACT.divide(sum(prices, Decimal(0)), len(prices))
    return EXACT.multiply(middle, volume)


def _is_zero(value: object) -> bool:
    return value == 0 or (isinstance(value, str) and bool(value) and not value.strip("0."))


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

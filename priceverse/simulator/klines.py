"""Candles over REST, as each venue words them: of the trades remembered, and before those of a market long gone. Pure.

`routes` asks here before it asks the venue. The rule: the same bucket of the past is always the same candle, whoever
asks and whenever; venues differ from each other by as little as real ones do.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from random import Random

from priceverse.model.exchange import Exchange, Quote
from priceverse.simulator.history import History
from priceverse.simulator.listings import Listing, listings
from priceverse.simulator.match import NS_PER_MS, Match
from priceverse.simulator.venues.protocol import Request, Response, is_number, reply
from priceverse.simulator.walk import START_USD

MOST = 1500
_SWINGS = ((11 * 86_400, 0.03), (86_400, 0.01), (7_000, 0.002))
"""Period in seconds and size of what the past's prices swing by."""

Row = list[object]


@dataclass(frozen=True, slots=True)
class Kline:
    """One bucket; prices and sums are text in the venue's digits."""

    start_ms: int
    open: str
    high: str
    low: str
    close: str
    volume: str
    quote_volume: str
    trades: int

    @property
    def start_s(self) -> int:
        return self.start_ms // 1000

    @property
    def vwap(self) -> str:
        return f"{Decimal(self.quote_volume) / Decimal(self.volume):.8f}"


@dataclass(frozen=True, slots=True)
class _Query:
    """What a request asks for: buckets that begin in [from_ms, until_ms), at most `limit`, the newest of them."""

    symbol: str
    interval_ms: int
    from_ms: int
    until_ms: int
    limit: int = MOST


def respond(exchange: Exchange, request: Request, history: History, now_ns: int) -> Response | None:
    """Answer a request for candles; None if it is for something else."""
    read, write = _VENUES[exchange]
    query = read(request)
    if query is None or request.method != "GET":
        return None
    listing = next((each for each in listings(exchange) if each.symbol == query.symbol), None)
    if listing is None or query.interval_ms not in (300_000, 3_600_000, 86_400_000):
        return reply({"code": "400", "msg": "unknown symbol or interval", "message": "NotFound"}, status=400)
    klines = _klines(listing, query, history, now_ns // NS_PER_MS)
    return reply(write(klines))


def _klines(listing: Listing, query: _Query, history: History, now_ms: int) -> list[Kline]:
    width = query.interval_ms
    first = -(-query.from_ms // width) * width
    starts = range(first, min(query.until_ms, now_ms), width)
    known = history.last(listing.symbol, MOST * 20) if listing.symbol in history else []
    since_ms = known[0].time_ms if known else now_ms
    recent = _by_bucket(known, width)
    return [
        _of_trades(start_ms, recent.get(start_ms, []))
        if start_ms >= since_ms
        else _of_the_past(listing, start_ms, width)
        for start_ms in starts[-query.limit :]
        if start_ms < since_ms or start_ms in recent
    ]


def _by_bucket(trades: Iterable[Match], width: int) -> dict[int, list[Match]]:
    found: dict[int, list[Match]] = {}
    for trade in trades:
        found.setdefault(trade.time_ms // width * width, []).append(trade)
    return found


def _of_trades(start_ms: int, trades: list[Match]) -> Kline:
    prices = sorted(trades, key=lambda trade: Decimal(trade.price))
    volume = sum((Decimal(trade.volume) for trade in trades), Decimal(0))
    value = sum((Decimal(trade.price) * Decimal(trade.volume) for trade in trades), Decimal(0))
    opening, close = trades[0].price, trades[-1].price
    return Kline(start_ms, opening, prices[-1].price, prices[0].price, close, f"{volume:f}", f"{value:f}", len(trades))


def _of_the_past(listing: Listing, start_ms: int, width: int) -> Kline:
    """Return a candle that is a function of the venue, the symbol and the time alone."""
    chance = Random(f"{listing.exchange} {listing.symbol} {start_ms} {width}")  # noqa: S311 - a market, not a secret
    opening, close = _level(listing, start_ms), _level(listing, start_ms + width)
    spread = 1 + abs(chance.gauss(0, 1e-3))
    high, low = max(opening, close) * spread, min(opening, close) / spread
    middle = (opening + close + high + low) / 4
    trades = max(1, round(listing.sweeps_per_s * width / 1000))
    lots = max(1, round(trades * listing.usd / middle * chance.lognormvariate(0, 0.2) * 10**listing.volume_places))
    ticks = [listing.price(max(1, round(price * 10**listing.price_places))) for price in (opening, high, low, close)]
    volume = listing.volume(lots)
    value = sum((Decimal(tick) for tick in ticks), Decimal(0)) / 4 * Decimal(volume)
    return Kline(start_ms, ticks[0], ticks[1], ticks[2], ticks[3], volume, f"{value:f}", trades)


def _level(listing: Listing, at_ms: int) -> float:
    usdt = _swung("usdt", at_ms, 0.01)
    if listing.asset == "usdt":
        return usdt
    usd = _swung(listing.asset, at_ms, 1.0)
    return usd / usdt if listing.quote is Quote.USDT else usd


def _swung(asset: str, at_ms: int, size: float) -> float:
    swings = (share * math.sin(2 * math.pi * at_ms / 1000 / period_s) for period_s, share in _SWINGS)
    return START_USD[asset] * (1 + size * sum(swings))


def _binance(request: Request) -> _Query | None:
    if request.path != "/api/v3/klines":
        return None
    ask = request.query
    width = {"5m": 300_000, "1h": 3_600_000, "1d": 86_400_000}.get(ask.get("interval", ""), 0)
    return _Query(ask.get("symbol", ""), width, _int(ask, "startTime"), _int(ask, "endTime") + 1, 1000)


def _kraken(request: Request) -> _Query | None:
    if request.path != "/0/public/OHLC":
        return None
    pair, ask = request.query.get("pair", ""), request.query
    names = {each.symbol.replace("BTC", "XBT").replace("/", ""): each.symbol for each in listings(Exchange.KRAKEN)}
    from_ms = (_int(ask, "since") + 1) * 1000
    return _Query(names.get(pair, ""), _int(ask, "interval") * 60_000, from_ms, 1 << 62, 720)


def _coinbase(request: Request) -> _Query | None:
    match request.path.split("/"):
        case ["", "products", product, "candles"]:
            pass
        case _:
            return None
    ask = request.query
    start, end = _iso(ask.get("start", "")), _iso(ask.get("end", ""))
    return _Query(product, _int(ask, "granularity") * 1000, start, end + 1, 300)


def _okx(request: Request) -> _Query | None:
    if request.path != "/api/v5/market/history-candles":
        return None
    ask = request.query
    width = {"5m": 300_000, "1H": 3_600_000, "1Dutc": 86_400_000}.get(ask.get("bar", ""), 0)
    return _Query(ask.get("instId", ""), width, _int(ask, "before") + 1, _int(ask, "after"), 100)


def _bybit(request: Request) -> _Query | None:
    if request.path != "/v5/market/kline":
        return None
    ask = request.query
    width = {"5": 300_000, "60": 3_600_000, "D": 86_400_000}.get(ask.get("interval", ""), 0)
    return _Query(ask.get("symbol", ""), width, _int(ask, "start"), _int(ask, "end") + 1, 1000)


def _kucoin(request: Request) -> _Query | None:
    if request.path != "/api/v1/market/candles":
        return None
    ask = request.query
    width = {"5min": 300_000, "1hour": 3_600_000, "1day": 86_400_000}.get(ask.get("type", ""), 0)
    return _Query(ask.get("symbol", ""), width, _int(ask, "startAt") * 1000, _int(ask, "endAt") * 1000)


def _int(query: Mapping[str, str], key: str) -> int:
    text = query.get(key, "")
    return int(text) if is_number(text) else 0


def _iso(text: str) -> int:
    try:
        return int(datetime.fromisoformat(text).timestamp() * 1000)
    except (ValueError, OverflowError):
        return 0


def _binance_rows(klines: list[Kline]) -> list[object]:
    return [[k.start_ms, k.open, k.high, k.low, k.close, k.volume, 0, k.quote_volume, k.trades] for k in klines]


def _kraken_rows(klines: list[Kline]) -> dict[str, object]:
    rows = [[k.start_s, k.open, k.high, k.low, k.close, k.vwap, k.volume, k.trades] for k in klines]
    return {"error": [], "result": {"PAIR": rows, "last": klines[-1].start_s if klines else 0}}


def _coinbase_rows(klines: list[Kline]) -> list[object]:
    return [[k.start_s, *map(float, (k.low, k.high, k.open, k.close, k.volume))] for k in reversed(klines)]


def _okx_rows(klines: list[Kline]) -> dict[str, object]:
    rows = [
        [str(k.start_ms), k.open, k.high, k.low, k.close, k.volume, k.quote_volume, k.quote_volume, "1"] for k in klines
    ]
    return {"code": "0", "msg": "", "data": rows[::-1]}


def _bybit_rows(klines: list[Kline]) -> dict[str, object]:
    rows = [[str(k.start_ms), k.open, k.high, k.low, k.close, k.volume, k.quote_volume] for k in klines]
    return {"retCode": 0, "retMsg": "OK", "result": {"category": "spot", "list": rows[::-1]}}


def _kucoin_rows(klines: list[Kline]) -> dict[str, object]:
    rows = [[str(k.start_s), k.open, k.close, k.high, k.low, k.volume, k.quote_volume] for k in klines]
    return {"code": "200000", "data": rows[::-1]}


_VENUES: Mapping[
    Exchange,
    tuple[Callable[[Request], _Query | None], Callable[[list[Kline]], list[object] | dict[str, object]]],
] = {
    Exchange.BINANCE: (_binance, _binance_rows),
    Exchange.KRAKEN: (_kraken, _kraken_rows),
    Exchange.COINBASE: (_coinbase, _coinbase_rows),
    Exchange.OKX: (_okx, _okx_rows),
    Exchange.BYBIT: (_bybit, _bybit_rows),
    Exchange.KUCOIN: (_kucoin, _kucoin_rows),
}

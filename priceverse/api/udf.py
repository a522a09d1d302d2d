"""TradingView's Universal Data Feed over our candles: `/udf/config`, `symbols`, `search`, `history`, `time`.

The rule of that protocol: trouble is told in the body (`s`: `error` or `no_data`), times are seconds, and the oldest
bar comes first.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from quart import Response, request
from quart_trio import QuartTrio

from priceverse.api import answers
from priceverse.clock import iso_ms
from priceverse.model.candle import Interval
from priceverse.rpc.dispatch import Dispatcher
from priceverse.rpc.endpoint import NO_STORE, of_charge
from priceverse.rpc.envelope import Call, Done, Outcome, encode
from priceverse.rpc.errors import CallError, Code
from priceverse.rpc.ports import Ports
from priceverse.services import charts

EXCHANGE = "Priceverse"
TYPE = "crypto"
RESOLUTIONS: Mapping[str, Interval] = MappingProxyType(
    {"5": Interval.FIVE_MINUTES, "60": Interval.HOUR, "1D": Interval.DAY, "D": Interval.DAY}
)
SUPPORTED = ("5", "60", "1D")
PRICE_SCALE = 100_000_000
"""Prices have at most eight places."""

MAX_BARS = 5000
_WHOLE = re.compile(r"-?[0-9]{1,11}")
CONFIG: Mapping[str, Any] = MappingProxyType(
    {
        "supported_resolutions": SUPPORTED,
        "supports_group_request": False,
        "supports_marks": False,
        "supports_timescale_marks": False,
        "supports_search": True,
        "supports_time": True,
        "exchanges": [{"value": EXCHANGE, "name": EXCHANGE, "desc": "Index of six exchanges"}],
        "symbols_types": [{"name": "Crypto", "value": TYPE}],
    }
)


@dataclass(frozen=True, slots=True)
class Asked:
    """Which bars: of `pair`, `from_s` <= time < `to_s`, or the last `countback` before `to_s`."""

    pair: str
    interval: Interval
    from_s: int
    to_s: int
    countback: int | None


class Udf:
    """Answers the feed by calling methods."""

    def __init__(self, dispatcher: Dispatcher, ports: Ports) -> None:
        self._dispatcher = dispatcher
        self._ports = ports

    def add_to(self, app: QuartTrio) -> None:
        """Serve it."""
        for name in ("config", "symbols", "search", "history", "time"):
            app.add_url_rule(f"/udf/{name}", f"udf {name}", getattr(self, name))

    async def config(self) -> Response:
        """Answer what the feed can do."""
        return answers.json(dict(CONFIG))

    async def time(self) -> Response:
        """Answer the server's time."""
        return Response(str(self._ports.now_ms() // 1000), headers=dict([NO_STORE]), content_type="text/plain")

    async def symbols(self) -> Response:
        """Answer what a symbol is."""
        pair = _pair(request.args.get("symbol", ""))
        if pair not in self._ports.pairs.listed:
            return answers.json({"s": "error", "errmsg": "unknown_symbol"})
        return answers.json(_symbol(pair))

    async def search(self) -> Response:
        """Answer the symbols in whose name the query is, of the exchange and the type chosen ("": any)."""
        given = request.args
        query = _pair(given.get("query", ""))
        limit = _whole(given.get("limit", "30"))
        is_ours = given.get("exchange", "") in {"", EXCHANGE} and given.get("type", "") in {"", TYPE}
        found = [_found(pair) for pair in self._ports.pairs.listed if query in pair and is_ours]
        return answers.json(found if limit is None else found[: max(limit, 0)])

    async def history(self) -> Response:
        """Answer bars, oldest first."""
        asked = _asked(request.args, self._ports.now_ms() // 1000)
        if isinstance(asked, str):
            return answers.json({"s": "error", "errmsg": asked})
        if asked.pair not in self._ports.pairs.listed:
            return answers.json({"s": "error", "errmsg": "unknown_symbol"})
        bars: list[charts.CandleReply] = []
        first, last = await self._read(asked, bars)
        charge = of_charge(first)
        if isinstance(last, CallError) and last.code is not Code.CHART_DATA_NOT_FOUND:
            return answers.json({"s": "error", "errmsg": last.message}, charge=charge)
        return answers.json(_columns(bars) if bars else await self._nothing(asked), charge=charge)

    async def _read(self, asked: Asked, bars: list[charts.CandleReply]) -> tuple[Outcome, Outcome]:
        """Fill `bars`, newest first, page by page; return the first outcome, which is charged, and the last."""
        wanted = min(asked.countback or MAX_BARS, MAX_BARS)
        given: dict[str, object] = {"pair": asked.pair, "interval": asked.interval, "to": _iso(asked.to_s)}
        if asked.countback is None:
            given["from"] = _iso(asked.from_s)
        first: Outcome | None = None
        while True:
            limit = min(wanted - len(bars), charts.MAX_LIMIT)
            page = {**given, "limit": limit, "offset": len(bars)}
            outcome = await (self._again(page) if first else self._first(page))
            first = first or outcome
            if not isinstance(outcome, Done):
                return first, outcome
            candles: Sequence[charts.CandleReply] = outcome.data.candles  # type: ignore[attr-defined] # an OhlcvReply
            bars += candles
            if len(candles) < limit or len(bars) >= wanted:
                return first, outcome

    async def _first(self, given: Mapping[str, object]) -> Outcome:
        return await answers.call(self._dispatcher, charts.SERVICE, "getOHLCV", given)

    async def _again(self, given: Mapping[str, object]) -> Outcome:
        return await self._dispatcher.run(Call(charts.SERVICE, "getOHLCV", encode(given)))

    async def _nothing(self, asked: Asked) -> dict[str, object]:
        """Say that there are no bars, and when the last one before was."""
        outcome = await self._again(
            {"pair": asked.pair, "interval": asked.interval, "to": _iso(asked.from_s), "limit": 1}
        )
        if not isinstance(outcome, Done):
            return {"s": "no_data"}
        [last] = outcome.data.candles  # type: ignore[attr-defined] # as above
        return {"s": "no_data", "nextTime": _seconds(last.timestamp)}


def _asked(given: Mapping[str, str], now_s: int) -> Asked | str:
    """Return what a request for bars asks for, or what is wrong with it."""
    interval = RESOLUTIONS.get(given.get("resolution", ""))
    if interval is None:
        return f"resolution is one of {', '.join(SUPPORTED)}"
    numbers = {name: _whole(given.get(name, default)) for name, default in (("from", "0"), ("to", str(now_s)))}
    countback = _whole(given["countback"]) if "countback" in given else 0
    if None in numbers.values() or countback is None:
        return "from, to and countback are whole numbers"
    to_s = min(numbers["to"] or 0, now_s)
    from_s = max(numbers["from"] or 0, 0)
    if from_s >= to_s:
        return "from is not before to, or in the future"
    return Asked(_pair(given.get("symbol", "")), interval, from_s, to_s, countback if countback > 0 else None)


def _whole(text: str) -> int | None:
    return int(text) if _WHOLE.fullmatch(text) else None


def _pair(symbol: str) -> str:
    """Return the pair that a symbol means: `BTC-USD`, `Priceverse:btc-usd` and `btc-usd` are the same."""
    return symbol.rpartition(":")[2].lower()


def _symbol(pair: str) -> dict[str, object]:
    return {
        "name": pair.upper(),
        "ticker": pair,
        "description": _description(pair),
        "type": TYPE,
        "session": "24x7",
        "timezone": "Etc/UTC",
        "exchange": EXCHANGE,
        "listed_exchange": EXCHANGE,
        "format": "price",
        "minmov": 1,
        "minmovement": 1,
        "pricescale": PRICE_SCALE,
        "has_intraday": True,
        "intraday_multipliers": ["5", "60"],
        "has_daily": True,
        "has_weekly_and_monthly": False,
        "supported_resolutions": SUPPORTED,
        "volume_precision": 8,
        "data_status": "streaming",
    }


def _found(pair: str) -> dict[str, object]:
    return {
        "symbol": pair.upper(),
        "full_name": f"{EXCHANGE}:{pair.upper()}",
        "description": _description(pair),
        "exchange": EXCHANGE,
        "ticker": pair,
        "type": TYPE,
    }


def _description(pair: str) -> str:
    base, _, quote = pair.upper().partition("-")
    return f"{base} in {quote}"


def _columns(newest_first: Sequence[charts.CandleReply]) -> dict[str, object]:
    bars = newest_first[::-1]
    return {
        "s": "ok",
        "t": [_seconds(bar.timestamp) for bar in bars],
        "o": [bar.open for bar in bars],
        "h": [bar.high for bar in bars],
        "l": [bar.low for bar in bars],
        "c": [bar.close for bar in bars],
        "v": [bar.volume for bar in bars],
    }


def _seconds(iso: str) -> int:
    return int(datetime.fromisoformat(iso).timestamp())


def _iso(at_s: int) -> str:
    return iso_ms(at_s * 1000)

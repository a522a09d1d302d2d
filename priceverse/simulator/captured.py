"""Frames that were captured from a venue: which of them report live trades, what is in them, where their times stand.

One table of layouts, pure. It shares nothing with the adapters that the replayed frames will test. What a venue
replays to a new subscriber (Kraken's snapshot, Coinbase's `last_match`) is no live trade, nor is what makes no sense.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from priceverse.model.exchange import Exchange, Side
from priceverse.simulator.instants import like, read_instant
from priceverse.simulator.match import Match
from priceverse.simulator.venues.protocol import Frame

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Layout:
    """How one venue's trade frames are built.

    `times` matches everything up to a time (group 1) and the time itself (group 2). `rows` returns the trades of a
    decoded frame, none of any other. The other fields are the names in a row.
    """

    times: re.Pattern[str]
    rows: Callable[[Row], list[Row]]
    symbol: str
    trade_id: str
    price: str
    volume: str
    time: str
    taker: Callable[[Row], Side]


def frame(exchange: Exchange, text: str) -> Frame | None:
    """Return a captured text as a frame with its symbols, None if it does not report live trades."""
    try:
        symbols = frozenset(match.symbol for match in matches(exchange, text))
        newest_ns(exchange, text)
    except (ValueError, KeyError, TypeError, AttributeError):  # a captured line may hold anything
        return None
    return Frame(symbols, text) if symbols else None


def matches(exchange: Exchange, text: str) -> list[Match]:
    """Return the trades in a frame, with their numbers exactly as printed. Raises for what is no frame of the venue."""
    layout = LAYOUTS[exchange]
    return [
        Match(
            symbol=str(row[layout.symbol]),
            trade_id=row[layout.trade_id],
            price=row[layout.price],
            volume=row[layout.volume],
            time_ns=read_instant(row[layout.time]),
            side=layout.taker(row),
            count=int(row.get("count", 1)),
        )
        for row in layout.rows(json.loads(text, parse_float=str, parse_int=str))
    ]


def newest_ns(exchange: Exchange, text: str) -> int:
    """Return the latest time in a frame."""
    return max(read_instant(found[2]) for found in LAYOUTS[exchange].times.finditer(text))


def restamped(exchange: Exchange, text: str, moved: Callable[[int], int]) -> str:
    """Return the frame with each of its times `moved`; every other character stays."""
    return LAYOUTS[exchange].times.sub(lambda found: found[1] + like(found[2], moved(read_instant(found[2]))), text)


def _binance(document: Row) -> list[Row]:
    payload = document.get("data", document)
    return [payload] if payload.get("e") == "trade" else []


def _kraken(document: Row) -> list[Row]:
    return document["data"] if (document.get("channel"), document.get("type")) == ("trade", "update") else []


def _coinbase(document: Row) -> list[Row]:
    return [document] if document.get("type") == "match" else []


def _okx(document: Row) -> list[Row]:
    return document["data"] if document["arg"]["channel"] == "trades" else []


def _bybit(document: Row) -> list[Row]:
    return document["data"] if document["topic"].startswith("publicTrade.") else []


def _kucoin(document: Row) -> list[Row]:
    return [document["data"]] if document["subject"] == "trade.l3match" else []


def _times(names: str) -> re.Pattern[str]:
    return re.compile(rf'("(?:{names})"\s*:\s*"?)(\d[^",}}\]\s]*)')


LAYOUTS = {
    Exchange.BINANCE: Layout(
        _times("E|T"), _binance, "s", "t", "p", "q", "T", lambda row: Side.SELL if row["m"] else Side.BUY
    ),
    Exchange.KRAKEN: Layout(
        _times("timestamp"), _kraken, "symbol", "trade_id", "price", "qty", "timestamp", lambda row: Side(row["side"])
    ),
    Exchange.COINBASE: Layout(
        _times("time"),
        _coinbase,
        "product_id",
        "trade_id",
        "price",
        "size",
        "time",
        lambda row: Side.SELL if row["side"] == "buy" else Side.BUY,  # it names the maker's
    ),
    Exchange.OKX: Layout(_times("ts"), _okx, "instId", "tradeId", "px", "sz", "ts", lambda row: Side(row["side"])),
    Exchange.BYBIT: Layout(_times("ts|T"), _bybit, "s", "i", "p", "v", "T", lambda row: Side(row["S"].lower())),
    Exchange.KUCOIN: Layout(
        _times("time"), _kucoin, "symbol", "tradeId", "price", "size", "time", lambda row: Side(row["side"])
    ),
}

"""Kraken WebSocket v2, channel `trade`: frame → trades. Several rows a frame, each a trade.

Prices and volumes are bare JSON numbers whose trailing zeros count. A `snapshot` frame holds the last fifty trades
again. `side` is the taker's. A heartbeat comes each second once anything is subscribed; nobody needs to ping. History
is the older API's: other names of symbols, rows that are lists, forward by time in ns.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Literal

import msgspec

from priceverse.exchanges import fields, frames, pages
from priceverse.exchanges.protocol import Adapter, Control, ControlKind, Gap, Item, Page, Reason, Request
from priceverse.model.exchange import Exchange, Side
from priceverse.model.trade import Trade, made_of

_HISTORICAL = {"snapshot": True, "update": False}
_SYMBOL = re.compile(r"[0-9A-Z.]{1,20}/[0-9A-Z.]{1,20}")


class _Usual(msgspec.Struct, gc=False):
    symbol: str
    side: Side
    price: object
    qty: object
    trade_id: fields.Number
    timestamp: str


class _Frame(msgspec.Struct, gc=False):
    channel: Literal["trade"]
    type: Literal["snapshot", "update"]
    data: frames.Rows[_Usual]


class _Row(msgspec.Struct):
    symbol: object = None
    side: object = None
    price: object = None
    qty: object = None
    trade_id: object = None
    timestamp: object = None


_COLUMNS = ("price", "volume", "time", "side", "order", "misc", "trade_id")


class _PastRow(msgspec.Struct):
    price: object = None
    volume: object = None
    time: object = None
    side: object = None
    trade_id: object = None


_PAST_SIDES = {"b": Side.BUY, "s": Side.SELL}
_PAST_BASES = {"BTC": "XBT", "DOGE": "XDG"}
_PAGE = 1000
_SLACK_MS = 1000
"""History begins so long before the time of the last trade known: ids say what is new."""
_DECODER = msgspec.json.Decoder(_Frame, float_hook=fields.bare)


class Kraken(Adapter):
    """The Kraken adapter."""

    exchange = Exchange.KRAKEN
    is_numbered = True
    request_interval_s = 1.0

    def subscribe(self, symbols: Sequence[str]) -> list[str]:
        """Ask for all at once: the venue acknowledges or refuses each. The last fifty trades close a short gap."""
        params = {"channel": "trade", "symbol": list(symbols), "snapshot": True}
        return [json.dumps({"method": "subscribe", "params": params, "req_id": 1})]

    def receive(self, frame: str | bytes) -> list[Item]:
        """Return the frame's trades, or what it is instead."""
        return frames.read(frame, self._trades, self._anything)

    def _trades(self, text: str | bytes) -> list[Item]:
        frame = _DECODER.decode(text)
        historical = _HISTORICAL[frame.type]
        items: list[Item] = []
        for row in frame.data:
            symbol = row.symbol
            pair = self.pairs.get(symbol)
            if pair is None:
                raise frames.Unusual
            price, volume, at_ms = fields.amount(row.price), fields.amount(row.qty), fields.time_rfc3339(row.timestamp)
            trade_id = str(row.trade_id)
            known = (self.exchange, symbol, pair, price, volume, at_ms, trade_id, row.side, historical, False, 1)
            items.append(made_of(known))
        return items

    def _anything(self, frame: frames.Object) -> list[Item]:
        channel = frame.get("channel")
        if channel == "trade":
            return self._careful(frame)
        if channel == "heartbeat":
            return [Control(ControlKind.HEARTBEAT)]
        if channel == "status":
            return [Control(ControlKind.STATUS, detail=_system(frame.get("data")))]
        return [frames.ignored() if channel is not None else _reply(frame)]

    def _careful(self, frame: frames.Object) -> list[Item]:
        kind = frame.get("type")
        if not isinstance(kind, str):
            return [frames.reject(Reason.BAD_ENVELOPE, kind)]
        if kind not in _HISTORICAL:
            return [frames.ignored()]
        return frames.rows(frame.get("data"), _Row, partial(self._trade, historical=_HISTORICAL[kind]))

    def _trade(self, row: _Row, *, historical: bool) -> Item:
        try:
            symbol = fields.symbol(row.symbol)
            pair = self.pairs.get(symbol)
            if pair is None:
                return frames.ignored(symbol)
            return Trade(
                self.exchange,
                symbol,
                pair,
                fields.price(row.price),
                fields.volume(row.qty),
                fields.time_rfc3339(row.timestamp),
                fields.numeric_id(row.trade_id),
                fields.taker(row.side, fields.SIDES),
                historical,
            )
        except frames.Refused as refused:
            return refused.reject()

    def history(self, rest_url: str, gap: Gap, cursor: str = "") -> Request:
        """Ask by time."""
        base, _, quote = gap.symbol.partition("/")
        pair = f"{_PAST_BASES.get(base, base)}{quote}"
        query = {"pair": pair, "since": cursor or _since(gap), "count": _PAGE}
        return pages.request(rest_url, "/0/public/Trades", query)

    def page(self, gap: Gap, cursor: str, reply: bytes) -> Page:
        """Read the one list beside `last`, whatever it is called."""
        result = pages.answered(reply, lambda parsed: isinstance(parsed.get("result"), dict), "error")["result"]
        assert isinstance(result, dict)
        listed = next((value for key, value in result.items() if key != "last"), None)
        items = frames.rows(pages.columns(listed, _COLUMNS), _PastRow, partial(self._past, gap.symbol))
        page = pages.forward(gap, 0, items, _PAGE)
        last = fields.numeric(result.get("last"))
        leads_on = page.cursor is not None and last is not None and last > int(cursor or _since(gap))
        return replace(page, cursor=str(last) if leads_on else None)

    def _past(self, symbol: str, row: _PastRow) -> Item:
        try:
            return Trade(
                self.exchange,
                symbol,
                self.pairs[symbol],
                fields.price(row.price),
                fields.volume(row.volume),
                fields.time_s(row.time),
                fields.numeric_id(row.trade_id),
                fields.taker(row.side, _PAST_SIDES),
            )
        except frames.Refused as refused:
            return refused.reject()


def _since(gap: Gap) -> int:
    return (gap.after.timestamp_ms - _SLACK_MS) * 1_000_000


def _system(data: object) -> str:
    """Return `online`, `maintenance` …, as far as the status frame says it."""
    first = data[0] if isinstance(data, list) and data else None
    return frames.shown(first.get("system")) if isinstance(first, dict) else ""


def _reply(frame: frames.Object) -> Control:
    """Read the reply to a request; the refusal of a rate too high spells its key `Error`."""
    error = frame.get("error") or frame.get("Error")
    if error is not None or frame.get("success") is False:
        detail = frames.shown(error)
        named = _SYMBOL.search(detail)
        symbol = frames.symbol_of(frame.get("symbol")) or (named.group() if named else None)
        return Control(ControlKind.ERROR, symbol, detail)
    method = frame.get("method")
    if method == "pong":
        return Control(ControlKind.PONG)
    result = frame.get("result")
    if frame.get("success") is not True:
        return frames.ignored()
    ours = method == "subscribe" and isinstance(result, dict) and result.get("channel") == "trade"
    symbol = frames.symbol_of(result.get("symbol")) if ours and isinstance(result, dict) else None
    return Control(ControlKind.ACK, symbol, "" if ours else frames.shown(method))

"""OKX v5 public, channel `trades`: frame → trades. Several rows a frame; a row is a taker's fill at one price.

A row joins `count` matches of one price and carries the id of the last: one trade, one entry of the stream and one of
those that a candle counts, its volume that of all. History goes back by id, a row for each match, which is then what is
counted. The first push after subscribing is an old trade, unmarked, again on each reconnect: only its id tells. The
client pings with the text `ping` and gets the text `pong`.
"""

import json
import re
from collections.abc import Sequence
from functools import partial
from typing import Literal

import msgspec

from priceverse.exchanges import fields, frames, pages
from priceverse.exchanges.protocol import Adapter, Control, ControlKind, Endpoint, Gap, Item, Page, Reason, Request
from priceverse.model.exchange import Exchange, Side
from priceverse.model.trade import Trade, made_of

_PING_INTERVAL_S = 20.0
"""The venue cuts after 30 s without traffic."""
_PONG = "pong"
_UPGRADE = "64008"
_INSTRUMENT = re.compile(r"instId:\s*([0-9A-Za-z-]{1,64})")
_KEYS = {"symbol": "instId", "trade_id": "tradeId"}


class _Usual(msgspec.Struct, gc=False, rename=_KEYS):
    symbol: str
    trade_id: str
    px: str
    sz: str
    side: Side
    ts: str
    count: str = "1"


class _Arg(msgspec.Struct, gc=False, rename=_KEYS):
    channel: Literal["trades"]
    symbol: str


class _Frame(msgspec.Struct, gc=False):
    arg: _Arg
    data: frames.Rows[_Usual]


class _Row(msgspec.Struct, rename=_KEYS):
    symbol: object = None
    trade_id: object = None
    px: object = None
    sz: object = None
    side: object = None
    ts: object = None
    count: object = None


_OK = "0"
_PAGE = 100
_DECODER = msgspec.json.Decoder(_Frame)


class Okx(Adapter):
    """The OKX adapter."""

    exchange = Exchange.OKX
    is_numbered = True
    pages_back = True

    def endpoint(self, ws_url: str, prelude: bytes | None, connect_id: str) -> Endpoint:  # noqa: ARG002 - not needed
        """Keep the connection by pings."""
        return Endpoint(ws_url, ping_interval_s=_PING_INTERVAL_S)

    def subscribe(self, symbols: Sequence[str]) -> list[str]:
        """Send one message an instrument, so that a delisted one costs no other."""
        return [
            json.dumps({"op": "subscribe", "args": [{"channel": "trades", "instId": symbol}]}) for symbol in symbols
        ]

    def ping(self, now_ms: int) -> str:  # noqa: ARG002 - a constant
        """Return the bare text that the venue wants."""
        return "ping"

    def receive(self, frame: str | bytes) -> list[Item]:
        """Return the frame's trades, or what it is instead."""
        if len(frame) == len(_PONG) and frame in (_PONG, _PONG.encode()):
            return [Control(ControlKind.PONG)]
        return frames.read(frame, self._trades, self._anything)

    def _trades(self, text: str | bytes) -> list[Item]:
        frame = _DECODER.decode(text)
        symbol = frame.arg.symbol
        pair = self.pairs.get(symbol)
        items: list[Item] = []
        for row in frame.data:
            if pair is None or row.symbol != symbol:
                raise frames.Unusual
            price, volume, at_ms = fields.price(row.px), fields.volume(row.sz), fields.time_ms(row.ts)
            trade_id, count = fields.text_id(row.trade_id), fields.matches(row.count)
            known = (self.exchange, symbol, pair, price, volume, at_ms, trade_id, row.side, False, False, count)
            items.append(made_of(known))
        return items

    def _anything(self, frame: frames.Object) -> list[Item]:
        arg = frame.get("arg")
        if "event" in frame:
            return [_event(frame, arg if isinstance(arg, dict) else {})]
        if "data" not in frame and arg is None:
            return [frames.ignored()]
        if not isinstance(arg, dict) or not isinstance(arg.get("channel"), str):
            return [frames.reject(Reason.BAD_ENVELOPE, arg)]
        if arg["channel"] != "trades":
            return [frames.ignored()]
        return frames.rows(frame.get("data"), _Row, partial(self._trade, named=arg.get("instId")))

    def _trade(self, row: _Row, named: object) -> Item:
        try:
            symbol = fields.symbol(row.symbol)
            pair = self.pairs.get(symbol)
            if pair is None:
                return frames.ignored(symbol)
            if named is not None and named != symbol:
                return frames.reject(Reason.BAD_ENVELOPE, named)
            return Trade(
                self.exchange,
                symbol,
                pair,
                fields.price(row.px),
                fields.volume(row.sz),
                fields.time_ms(row.ts),
                fields.text_id(row.trade_id),
                fields.taker(row.side, fields.SIDES),
                count=fields.matches(row.count),
            )
        except frames.Refused as refused:
            return refused.reject()

    def history(self, rest_url: str, gap: Gap, cursor: str = "") -> Request:
        """Ask by id, from the gap's end back."""
        before, asked = _asked(gap, cursor)
        query = {"instId": gap.symbol, "type": 1, "after": before, "limit": asked}
        return pages.request(rest_url, "/api/v5/market/history-trades", query)

    def page(self, gap: Gap, cursor: str, reply: bytes) -> Page:
        """Read the rows of a success."""
        data = pages.answered(reply, lambda parsed: parsed.get("code") == _OK, "code", "msg").get("data")
        before, asked = _asked(gap, cursor)
        return pages.backward(gap, before, frames.rows(data, _Row, partial(self._past, gap.symbol)), asked)

    def _past(self, symbol: str, row: _Row) -> Item:
        try:
            row.trade_id, row.count = fields.numeric_id(row.trade_id), 1
        except frames.Refused as refused:
            return refused.reject()
        return self._trade(row, symbol)


def _asked(gap: Gap, cursor: str) -> tuple[int | None, int]:
    """Return the id under which a page lies, and its length."""
    before = int(cursor) if cursor else pages.end(gap)
    return before, pages.limit(_PAGE, pages.beginning(gap), before)


def _event(frame: frames.Object, arg: frames.Object) -> Control:
    detail = frames.shown(frame.get("code", ""), frame.get("msg", "")).strip()
    match frame["event"]:
        case "subscribe" if arg.get("channel") == "trades":
            return Control(ControlKind.ACK, frames.symbol_of(arg.get("instId")))
        case "subscribe" | "unsubscribe" as event:
            return Control(ControlKind.ACK, detail=frames.shown(event, arg.get("channel")))
        case "error":
            named = _INSTRUMENT.search(detail)
            return Control(ControlKind.ERROR, named.group(1) if named else None, detail)
        case "notice":
            closing = frames.shown(frame.get("code")) == _UPGRADE
            return Control(ControlKind.SHUTDOWN if closing else ControlKind.STATUS, detail=detail)
        case "channel-conn-count" | "channel-conn-count-error":
            return Control(ControlKind.STATUS, detail=detail)
        case _:
            return frames.ignored()

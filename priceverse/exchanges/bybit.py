"""Bybit v5 spot, topic `publicTrade`: frame → trades. Up to 1024 rows a frame, each a trade; `type` means nothing here.

`S` is the taker's. `BT` marks a block trade: real, but off the book. Ids have gaps, so that a loss cannot be seen. The
client sends a JSON ping every 20 s. History is the last 60 trades.
"""

import json
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal

import msgspec

from priceverse.exchanges import fields, frames, pages
from priceverse.exchanges.protocol import Adapter, Control, ControlKind, Endpoint, Gap, Item, Page, Reason, Request
from priceverse.model.exchange import Exchange, Side
from priceverse.model.trade import Trade, made_of

_PING_INTERVAL_S = 20.0
_TOPIC = "publicTrade."
_SIDES = {"Buy": Side.BUY, "Sell": Side.SELL}
_REFUSED = re.compile(r"publicTrade\.([^\s,\"]{1,64})")
_KEYS = {"symbol": "s", "side": "S", "price": "p", "volume": "v", "time": "T", "trade_id": "i", "block": "BT"}


class _Usual(msgspec.Struct, gc=False, rename=_KEYS):
    symbol: str
    side: Literal["Buy", "Sell"]
    price: str
    volume: str
    time: fields.Ms
    trade_id: str
    block: bool = False


class _Frame(msgspec.Struct, gc=False):
    topic: str
    data: frames.Rows[_Usual]


class _Row(msgspec.Struct, rename=_KEYS):
    symbol: object = None
    side: object = None
    price: object = None
    volume: object = None
    time: object = None
    trade_id: object = None
    block: object = None


class _PastRow(msgspec.Struct, rename={"trade_id": "execId", "block": "isBlockTrade"}):
    symbol: object = None
    side: object = None
    price: object = None
    size: object = None
    time: object = None
    trade_id: object = None
    block: object = None


_PAGE = 60
_DECODER = msgspec.json.Decoder(_Frame)


class Bybit(Adapter):
    """The Bybit adapter."""

    exchange = Exchange.BYBIT
    newest_rows = _PAGE

    def __init__(self, symbols: Mapping[str, str]) -> None:
        super().__init__(symbols)
        self._topics = {f"{_TOPIC}{symbol}": symbol for symbol in symbols}

    def endpoint(self, ws_url: str, prelude: bytes | None, connect_id: str) -> Endpoint:  # noqa: ARG002 - not needed
        """Keep the connection by pings."""
        return Endpoint(ws_url, ping_interval_s=_PING_INTERVAL_S)

    def subscribe(self, symbols: Sequence[str]) -> list[str]:
        """Send one request a symbol, named after it: the reply then tells whose it is, and a bad one costs no other."""
        return [json.dumps({"req_id": symbol, "op": "subscribe", "args": [f"{_TOPIC}{symbol}"]}) for symbol in symbols]

    def ping(self, now_ms: int) -> str:
        """Return the JSON ping; its id comes back."""
        return json.dumps({"req_id": str(now_ms), "op": "ping"})

    def receive(self, frame: str | bytes) -> list[Item]:
        """Return the frame's trades, or what it is instead."""
        return frames.read(frame, self._trades, self._anything)

    def _trades(self, text: str | bytes) -> list[Item]:
        frame = _DECODER.decode(text)
        symbol = self._topics.get(frame.topic)
        items: list[Item] = []
        for row in frame.data:
            if symbol is None or row.symbol != symbol:
                raise frames.Unusual
            price, volume, trade_id = fields.price(row.price), fields.volume(row.volume), fields.text_id(row.trade_id)
            pair, side = self.pairs[symbol], _SIDES[row.side]
            known = (self.exchange, symbol, pair, price, volume, row.time, trade_id, side, False, row.block, 1)
            items.append(made_of(known))
        return items

    def _anything(self, frame: frames.Object) -> list[Item]:
        if "topic" not in frame:
            return [self._reply(frame)]
        topic = frame["topic"]
        if not isinstance(topic, str):
            return [frames.reject(Reason.BAD_ENVELOPE, topic)]
        if not topic.startswith(_TOPIC):
            return [frames.ignored()]
        return frames.rows(frame.get("data"), _Row, partial(self._trade, topic=topic))

    def _trade(self, row: _Row, topic: str) -> Item:
        try:
            symbol = fields.symbol(row.symbol)
            pair = self.pairs.get(symbol)
            if pair is None:
                return frames.ignored(symbol)
            if self._topics.get(topic) != symbol:
                return frames.reject(Reason.BAD_ENVELOPE, topic)
            return Trade(
                self.exchange,
                symbol,
                pair,
                fields.price(row.price),
                fields.volume(row.volume),
                fields.time_ms(row.time),
                fields.text_id(row.trade_id),
                fields.taker(row.side, _SIDES),
                block=fields.flag(row.block),
            )
        except frames.Refused as refused:
            return refused.reject()

    def history(self, rest_url: str, gap: Gap, cursor: str = "") -> Request:  # noqa: ARG002 - there is one page
        """Ask for the newest."""
        query = {"category": "spot", "symbol": gap.symbol, "limit": _PAGE}
        return pages.request(rest_url, "/v5/market/recent-trade", query)

    def page(self, gap: Gap, cursor: str, reply: bytes) -> Page:  # noqa: ARG002 - there is one page
        """Read the rows of a success."""
        result = pages.answered(reply, lambda parsed: parsed.get("retCode") == 0, "retCode", "retMsg").get("result")
        listed = result.get("list") if isinstance(result, dict) else None
        return pages.unnumbered(gap, frames.rows(listed, _PastRow, partial(self._past, gap.symbol)))

    def _past(self, symbol: str, row: _PastRow) -> Item:
        moved = _Row(symbol, row.side, row.price, row.size, row.time, row.trade_id, row.block)
        return self._trade(moved, f"{_TOPIC}{symbol}") if row.symbol == symbol else frames.ignored(row.symbol)

    def _reply(self, frame: frames.Object) -> Control:
        """Read the reply to a request; spot answers a ping with `op` "ping", other products with "pong"."""
        op, said = frame.get("op"), frames.shown(frame.get("ret_msg", ""))
        if frame.get("success") is False:
            named = _REFUSED.search(said)
            return Control(ControlKind.ERROR, named.group(1) if named else self._asked(frame), said)
        if op == "pong" or (op == "ping" and said == "pong"):
            return Control(ControlKind.PONG)
        if op == "subscribe":
            return Control(ControlKind.ACK, self._asked(frame))
        return Control(ControlKind.ACK, detail="unsubscribe") if op == "unsubscribe" else frames.ignored()

    def _asked(self, frame: frames.Object) -> str | None:
        """Return the symbol whose request this answers: `req_id` comes back where one was sent."""
        symbol = frames.symbol_of(frame.get("req_id"))
        return symbol if symbol in self.pairs else None

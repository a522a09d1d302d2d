"""Coinbase Exchange, channels `matches` and `heartbeat`: frame → trades. One trade a frame; a `ticker` repeats it.

`side` is the **maker's**: "buy" means that the taker sold. `last_match` is an old trade, sent again on every
subscribing. A client that has not subscribed within 5 s is cut. No application ping. A heartbeat names the last trade.
History goes back by id, and its `side` is the maker's too.
"""

import json
import re
from collections.abc import Sequence
from functools import partial
from itertools import islice
from typing import Literal
from urllib.parse import quote

import msgspec

from priceverse.exchanges import fields, frames, pages
from priceverse.exchanges.protocol import Adapter, Control, ControlKind, Gap, Item, Page, PageError, Reason, Request
from priceverse.model.exchange import Exchange, Side
from priceverse.model.trade import Trade, made_of

_HISTORICAL = {"match": False, "last_match": True}
_TAKER_BY_MAKER = {"buy": Side.SELL, "sell": Side.BUY}
_PRODUCT = re.compile(r"\b[0-9A-Z]{2,20}-[0-9A-Z]{2,20}\b")
_MAX_PRODUCTS = 1000


class _Usual(msgspec.Struct, gc=False):
    type: Literal["match", "last_match"]
    product_id: str
    side: Literal["buy", "sell"]
    price: str
    size: str
    time: str
    trade_id: fields.Number


class _Row(msgspec.Struct):
    type: str | None = None
    product_id: object = None
    side: object = None
    price: object = None
    size: object = None
    time: object = None
    trade_id: object = None


_PAGE = 1000
_DECODER = msgspec.json.Decoder(_Usual)


class Coinbase(Adapter):
    """The Coinbase Exchange adapter."""

    exchange = Exchange.COINBASE
    is_numbered = True
    pages_back = True

    def subscribe(self, symbols: Sequence[str]) -> list[str]:
        """Send one message a product, so that a refused one costs no other."""
        return [
            json.dumps({"type": "subscribe", "product_ids": [symbol], "channels": ["matches", "heartbeat"]})
            for symbol in symbols
        ]

    def receive(self, frame: str | bytes) -> list[Item]:
        """Return the frame's trade, or what it is instead."""
        return frames.read(frame, self._trades, self._anything)

    def _trades(self, text: str | bytes) -> list[Item]:
        row = _DECODER.decode(text)
        symbol, historical = row.product_id, _HISTORICAL[row.type]
        pair = self.pairs.get(symbol)
        if pair is None:
            raise frames.Unusual
        price, volume, at_ms = fields.price(row.price), fields.volume(row.size), fields.time_rfc3339(row.time)
        trade_id, side = str(row.trade_id), _TAKER_BY_MAKER[row.side]
        return [made_of((self.exchange, symbol, pair, price, volume, at_ms, trade_id, side, historical, False, 1))]

    def _anything(self, frame: frames.Object) -> list[Item]:
        kind = frame.get("type")
        if kind == "subscriptions":
            return _accepted(frame.get("channels"))
        if isinstance(kind, str) and kind in _HISTORICAL:
            return [frames.row(frame, _Row, self._trade)]
        return [_control(kind, frame)]

    def _trade(self, row: _Row) -> Item:
        try:
            symbol = fields.symbol(row.product_id)
            pair = self.pairs.get(symbol)
            if pair is None:
                return frames.ignored(symbol)
            return Trade(
                self.exchange,
                symbol,
                pair,
                fields.price(row.price),
                fields.volume(row.size),
                fields.time_rfc3339(row.time),
                fields.numeric_id(row.trade_id),
                fields.taker(row.side, _TAKER_BY_MAKER),
                row.type == "last_match",
            )
        except frames.Refused as refused:
            return refused.reject()

    def history(self, rest_url: str, gap: Gap, cursor: str = "") -> Request:
        """Ask by id, from the gap's end back: the other way the venue may skip the middle."""
        before, asked = _asked(gap, cursor)
        path = f"/products/{quote(gap.symbol, safe='')}/trades"
        return pages.request(rest_url, path, {"limit": asked, "after": before})

    def page(self, gap: Gap, cursor: str, reply: bytes) -> Page:
        """Read a list of rows; an error comes as an object."""
        parsed = pages.document(reply)
        if not isinstance(parsed, list):
            raise PageError(frames.shown(parsed.get("message", "") if isinstance(parsed, dict) else parsed))
        before, asked = _asked(gap, cursor)
        return pages.backward(gap, before, frames.rows(parsed, _Row, partial(self._past, gap.symbol)), asked)

    def _past(self, symbol: str, row: _Row) -> Item:
        row.type, row.product_id = "match", symbol
        return self._trade(row)


def _asked(gap: Gap, cursor: str) -> tuple[int | None, int]:
    """Return the id under which a page lies, and its length."""
    before = int(cursor) if cursor else pages.end(gap)
    return before, pages.limit(_PAGE, pages.beginning(gap), before)


def _control(kind: object, frame: frames.Object) -> Item:
    match kind:
        case "heartbeat":
            last = frames.shown(frame.get("last_trade_id"))
            return Control(ControlKind.HEARTBEAT, frames.symbol_of(frame.get("product_id")), last)
        case "error":
            return _refused(frame)
        case "status":
            return Control(ControlKind.STATUS)
        case str():
            return frames.ignored()
        case _:
            return frames.reject(Reason.BAD_ENVELOPE, kind)


def _accepted(channels: object) -> list[Item]:
    """Return an ACK for each product of the channel `matches`; the list is cumulative, so a missing one was refused."""
    listed = channels if isinstance(channels, list) else []
    products = [
        product
        for channel in listed
        if isinstance(channel, dict) and channel.get("name") == "matches"
        for product in _strings(channel.get("product_ids"))
    ]
    return [Control(ControlKind.ACK, product) for product in products] or [Control(ControlKind.ACK)]


def _strings(values: object) -> list[str]:
    texts = (frames.symbol_of(value) for value in values) if isinstance(values, list) else ()
    return list(islice((text for text in texts if text), _MAX_PRODUCTS))


def _refused(frame: frames.Object) -> Control:
    message, reason = (frames.shown(frame.get(key, "")) for key in ("message", "reason"))
    named = _PRODUCT.search(reason) or _PRODUCT.search(message)
    return Control(ControlKind.ERROR, named.group() if named else None, frames.shown(f"{message}: {reason}"))

"""KuCoin, topic `/market/match`: frame → trades. One trade a frame; time in **ns** as text; `side` is the taker's.

A connection starts with a POST for a token, which names the endpoint and the ping interval and serves one connection of
at most 24 h. The token is a secret. Subscribe after `welcome`; ids have gaps, so that a loss cannot be seen. History is
the last 100 trades.
"""

import json
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal

import msgspec

from priceverse.exchanges import fields, frames, kucoin_token, pages
from priceverse.exchanges.protocol import Adapter, Control, ControlKind, Endpoint, Gap, Item, Page, Reason, Request
from priceverse.model.exchange import Exchange, Side
from priceverse.model.trade import Trade, made_of

_TOPIC = "/market/match:"
_MATCH = "trade.l3match"
_REFUSED = re.compile(r"/market/match:([^\s,\"]{1,64})")
_KEYS = {"trade_id": "tradeId"}


class _Usual(msgspec.Struct, gc=False, rename=_KEYS):
    symbol: str
    side: Side
    price: str
    size: str
    time: str
    trade_id: str


class _Frame(msgspec.Struct, gc=False):
    topic: str
    type: Literal["message"]
    subject: Literal["trade.l3match"]
    data: _Usual


class _Row(msgspec.Struct, rename=_KEYS):
    symbol: object = None
    side: object = None
    price: object = None
    size: object = None
    time: object = None
    trade_id: object = None


class _PastRow(msgspec.Struct):
    sequence: object = None
    side: object = None
    price: object = None
    size: object = None
    time: object = None


_OK = "200000"
_DECODER = msgspec.json.Decoder(_Frame)


class Kucoin(Adapter):
    """The KuCoin adapter."""

    exchange = Exchange.KUCOIN
    lifetime_s = 86_400.0
    newest_rows = 100

    def __init__(self, symbols: Mapping[str, str]) -> None:
        super().__init__(symbols)
        self._topics = {f"{_TOPIC}{symbol}": symbol for symbol in symbols}
        self._local = ""

    def prelude(self, rest_url: str) -> Request:
        """Ask for a token: one for each connection."""
        self._local = kucoin_token.local_scheme(rest_url)
        return Request("POST", f"{rest_url.rstrip('/')}{kucoin_token.PATH}")

    def endpoint(self, ws_url: str, prelude: bytes | None, connect_id: str) -> Endpoint:  # noqa: ARG002 - the reply's
        """Return the endpoint of the reply to `prelude`, if it is one of KuCoin's."""
        return kucoin_token.endpoint(prelude or b"", connect_id, local=self._local)

    def subscribe(self, symbols: Sequence[str]) -> list[str]:
        """Send one request a symbol, named after it: the reply then tells whose it is."""
        request = {"type": "subscribe", "privateChannel": False, "response": True}
        return [json.dumps(request | {"id": symbol, "topic": f"{_TOPIC}{symbol}"}) for symbol in symbols]

    def ping(self, now_ms: int) -> str:
        """Return the JSON ping; its id comes back."""
        return json.dumps({"id": str(now_ms), "type": "ping"})

    def receive(self, frame: str | bytes) -> list[Item]:
        """Return the frame's trade, or what it is instead."""
        return frames.read(frame, self._trades, self._anything)

    def _trades(self, text: str | bytes) -> list[Item]:
        frame = _DECODER.decode(text)
        row, symbol = frame.data, self._topics.get(frame.topic)
        if symbol is None or row.symbol != symbol:
            raise frames.Unusual
        price, volume, at_ms = fields.price(row.price), fields.volume(row.size), fields.time_ns(row.time)
        pair, trade_id = self.pairs[symbol], fields.text_id(row.trade_id)
        return [made_of((self.exchange, symbol, pair, price, volume, at_ms, trade_id, row.side, False, False, 1))]

    def _anything(self, frame: frames.Object) -> list[Item]:
        kind = frame.get("type")
        if kind == "message":
            return [self._message(frame)]
        return [self._control(kind, frame) if isinstance(kind, str) else frames.reject(Reason.BAD_ENVELOPE, kind)]

    def _message(self, frame: frames.Object) -> Item:
        topic, subject = frame.get("topic"), frame.get("subject", _MATCH)
        if not isinstance(topic, str):
            return frames.reject(Reason.BAD_ENVELOPE, topic)
        if not topic.startswith(_TOPIC) or subject != _MATCH:
            return frames.ignored()
        return frames.row(frame.get("data"), _Row, partial(self._trade, topic=topic))

    def _trade(self, row: _Row, topic: str) -> Item:
        try:
            symbol = fields.symbol(row.symbol)
            pair = self.pairs.get(symbol)
            if pair is None:
                return frames.ignored(symbol)
            if symbol not in topic.removeprefix(_TOPIC).split(","):
                return frames.reject(Reason.BAD_ENVELOPE, topic)
            return Trade(
                self.exchange,
                symbol,
                pair,
                fields.price(row.price),
                fields.volume(row.size),
                fields.time_ns(row.time),
                fields.text_id(row.trade_id),
                fields.taker(row.side, fields.SIDES),
            )
        except frames.Refused as refused:
            return refused.reject()

    def history(self, rest_url: str, gap: Gap, cursor: str = "") -> Request:  # noqa: ARG002 - there is one page
        """Ask for the newest."""
        return pages.request(rest_url, "/api/v1/market/histories", {"symbol": gap.symbol})

    def page(self, gap: Gap, cursor: str, reply: bytes) -> Page:  # noqa: ARG002 - there is one page
        """Read the rows of a success. A row's `sequence` is the id of its trade."""
        data = pages.answered(reply, lambda parsed: parsed.get("code") == _OK, "code", "msg").get("data")
        return pages.unnumbered(gap, frames.rows(data, _PastRow, partial(self._past, gap.symbol)))

    def _past(self, symbol: str, row: _PastRow) -> Item:
        moved = _Row(symbol, row.side, row.price, row.size, row.time, row.sequence)
        return self._trade(moved, f"{_TOPIC}{symbol}")

    def _control(self, kind: str, frame: frames.Object) -> Control:
        match kind:
            case "welcome":
                return Control(ControlKind.WELCOME)
            case "ack":
                return Control(ControlKind.ACK, self._asked(frame))
            case "pong":
                return Control(ControlKind.PONG)
            case "error":
                said = frames.shown(frame.get("code", ""), frame.get("data", ""))
                named = _REFUSED.search(said)
                return Control(ControlKind.ERROR, named.group(1) if named else self._asked(frame), said)
            case _:
                return frames.ignored()

    def _asked(self, frame: frames.Object) -> str | None:
        """Return the symbol whose request this answers: requests are named after it."""
        symbol = frames.symbol_of(frame.get("id"))
        return symbol if symbol in self.pairs else None

"""Binance spot, combined trade streams: frame → trades. `aggTrade` and tickers repeat trades and are never counted.

One trade a frame. `m` true: the buyer was the maker, so the taker sold. The URL subscribes; the venue pings on the
WebSocket level and cuts after 24 h. A symbol that it does not know is accepted and stays silent for ever. History goes
forward by id.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal
from urllib.parse import quote

import msgspec

from priceverse.exchanges import fields, frames, pages
from priceverse.exchanges.protocol import (
    Adapter,
    Control,
    ControlKind,
    Endpoint,
    Gap,
    Item,
    Page,
    PageError,
    Reason,
    Request,
)
from priceverse.model.exchange import Exchange
from priceverse.model.trade import Trade, made_of

_KEYS = {"event": "e", "symbol": "s", "price": "p", "volume": "q", "time": "T", "trade_id": "t", "buyer_is_maker": "m"}


class _Usual(msgspec.Struct, gc=False, rename=_KEYS):
    event: Literal["trade"]
    symbol: str
    price: str
    volume: str
    time: fields.Ms
    trade_id: fields.Number
    buyer_is_maker: bool


class _Frame(msgspec.Struct, gc=False):
    stream: str
    data: _Usual


class _Row(msgspec.Struct, rename=_KEYS):
    event: object = None
    symbol: object = None
    price: object = None
    volume: object = None
    time: object = None
    trade_id: object = None
    buyer_is_maker: object = None


class _PastRow(msgspec.Struct, rename={"trade_id": "id", "buyer_is_maker": "isBuyerMaker"}):
    trade_id: object = None
    price: object = None
    qty: object = None
    time: object = None
    buyer_is_maker: object = None


_PAGE = 1000
_DECODER = msgspec.json.Decoder(_Frame)


class Binance(Adapter):
    """The Binance adapter."""

    exchange = Exchange.BINANCE
    lifetime_s = 86_400.0
    is_numbered = True
    request_interval_s = 0.5  # a request weighs 25; an address may weigh 6000 a minute

    def __init__(self, symbols: Mapping[str, str]) -> None:
        super().__init__(symbols)
        self._streams = {f"{symbol.lower()}@trade": symbol for symbol in symbols}

    def endpoint(self, ws_url: str, prelude: bytes | None, connect_id: str) -> Endpoint:  # noqa: ARG002 - not needed
        """Name every stream in the URL."""
        streams = "/".join(quote(stream, safe="@") for stream in self._streams)
        return Endpoint(f"{ws_url.rstrip('/')}/stream?streams={streams}")

    def subscribe(self, symbols: Sequence[str]) -> list[str]:  # noqa: ARG002 - the URL did it
        """Send nothing: the URL subscribes."""
        return []

    def receive(self, frame: str | bytes) -> list[Item]:
        """Return the frame's trade, or what it is instead."""
        return frames.read(frame, self._trades, self._anything)

    def _trades(self, text: str | bytes) -> list[Item]:
        frame = _DECODER.decode(text)
        row, symbol = frame.data, self._streams.get(frame.stream)
        if symbol is None or row.symbol != symbol:
            raise frames.Unusual
        price, volume, trade_id = fields.price(row.price), fields.volume(row.volume), str(row.trade_id)
        pair, side = self.pairs[symbol], fields.taker_by_maker(row.buyer_is_maker)
        return [made_of((self.exchange, symbol, pair, price, volume, row.time, trade_id, side, False, False, 1))]

    def _anything(self, frame: frames.Object) -> list[Item]:
        wrapped = "stream" in frame or "data" in frame
        stream, data = (frame.get("stream"), frame.get("data")) if wrapped else (None, frame)
        event = data.get("e") if isinstance(data, dict) else None
        if event == "trade":
            return [frames.row(data, _Row, partial(self._trade, stream=stream))]
        if event == "serverShutdown" or stream == "!serverShutdown":
            return [Control(ControlKind.SHUTDOWN)]
        if isinstance(stream, str) and stream.endswith("@trade") and not isinstance(event, str):
            return [frames.reject(Reason.BAD_ENVELOPE, data)]
        return [frames.ignored() if wrapped or event is not None else _reply(frame)]

    def _trade(self, row: _Row, stream: object) -> Item:
        try:
            symbol = fields.symbol(row.symbol)
            pair = self.pairs.get(symbol)
            if pair is None:
                return frames.ignored(symbol)
            if stream is not None and (not isinstance(stream, str) or self._streams.get(stream) != symbol):
                return frames.reject(Reason.BAD_ENVELOPE, stream)
            return Trade(
                self.exchange,
                symbol,
                pair,
                fields.price(row.price),
                fields.volume(row.volume),
                fields.time_ms(row.time),
                fields.numeric_id(row.trade_id),
                fields.taker_by_maker(row.buyer_is_maker),
            )
        except frames.Refused as refused:
            return refused.reject()

    def history(self, rest_url: str, gap: Gap, cursor: str = "") -> Request:
        """Ask by id."""
        first, asked = _asked(gap, cursor)
        query = {"symbol": gap.symbol, "fromId": first, "limit": asked}
        return pages.request(rest_url, "/api/v3/historicalTrades", query)

    def page(self, gap: Gap, cursor: str, reply: bytes) -> Page:
        """Read a list of rows; an error comes as an object."""
        parsed = pages.document(reply)
        if not isinstance(parsed, list):
            said = (parsed.get("code", ""), parsed.get("msg", "")) if isinstance(parsed, dict) else (parsed,)
            raise PageError(frames.shown(*said))
        first, asked = _asked(gap, cursor)
        items = frames.rows(parsed, _PastRow, partial(self._past, gap.symbol))
        return pages.forward(gap, first, items, asked)

    def _past(self, symbol: str, row: _PastRow) -> Item:
        try:
            return Trade(
                self.exchange,
                symbol,
                self.pairs[symbol],
                fields.price(row.price),
                fields.volume(row.qty),
                fields.time_ms(row.time),
                fields.numeric_id(row.trade_id),
                fields.taker_by_maker(row.buyer_is_maker),
            )
        except frames.Refused as refused:
            return refused.reject()


def _asked(gap: Gap, cursor: str) -> tuple[int, int]:
    """Return the first id of a page and its length."""
    first = int(cursor) if cursor else pages.beginning(gap)
    return first, pages.limit(_PAGE, first, pages.end(gap))


def _reply(frame: frames.Object) -> Control:
    """Read the reply to a request: `{"result":null,"id":1}`, or an error bare or under `error`."""
    error = frame.get("error") or frame
    if isinstance(error, dict) and "code" in error:
        return Control(ControlKind.ERROR, detail=frames.shown(error["code"], error.get("msg")))
    if error is not frame:
        return Control(ControlKind.ERROR, detail=frames.shown(error))
    return Control(ControlKind.ACK) if "result" in frame else frames.ignored()

"""OKX: the `trades` channel, rows that aggregate fills, text pings, the last trade pushed on subscribing.

One row per taker order and price: `count` fills, `tradeId` the last of them. REST shows every fill by itself.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import groupby

import msgspec

from priceverse.model.exchange import Exchange
from priceverse.simulator.history import History
from priceverse.simulator.match import NS_PER_S, Match
from priceverse.simulator.venues.protocol import (
    Close,
    Frame,
    Output,
    Quiet,
    Request,
    Response,
    Session,
    cursor,
    number,
    parsed,
    reply,
    symbols,
)

SILENCE_NS = 30 * NS_PER_S
RECENT = 64  # more fills than one row ever has
LATEST_PATH, HISTORY_PATH = "/api/v5/market/trades", "/api/v5/market/history-trades"


class Okx:
    """The venue."""

    exchange = Exchange.OKX

    def __init__(self, history: History) -> None:
        self.history = history

    def session(self, request: Request, now_ns: int) -> Session | Response:  # noqa: ARG002 - the port's signature
        """Any path will do."""
        return OkxSession(self.history, now_ns)

    def rows(self, matches: Sequence[Match]) -> Sequence[Match]:
        """Return one row per taker order and price."""
        return [_aggregate(list(fills)) for _, fills in groupby(matches, key=lambda fill: (fill.order, fill.price))]

    def frames(self, rows: Sequence[Match]) -> list[Frame]:
        """Return all rows in one push."""
        return [Frame(symbols(rows), _push(rows))]

    def rest(self, request: Request, now_ns: int) -> Response:  # noqa: ARG002 - the port's signature
        """Serve the latest fills, and older pages by trade id, newest first."""
        if request.path not in (LATEST_PATH, HISTORY_PATH):
            return reply({"code": "404", "msg": "Not Found", "data": []}, status=404)
        symbol = request.query.get("instId", "")
        if symbol not in self.history:
            return reply({"code": "51001", "msg": "Instrument ID doesn't exist.", "data": []})
        if request.path == LATEST_PATH:
            rows = self.history.last(symbol, number(request, "limit", 100, 500))
        else:
            limit = number(request, "limit", 100, 100)
            rows = self.history.last(symbol, limit, below=cursor(request, "after"), above=cursor(request, "before"))
        return reply({"code": "0", "msg": "", "data": [_row(row) for row in reversed(rows)]})


class OkxSession(Quiet):
    """A connection to the public channel."""

    def __init__(self, history: History, now_ns: int) -> None:
        super().__init__()
        self._history = history
        self._heard_ns = now_ns
        self._id = f"{now_ns * 0x9E3779B1 % 2**32:08x}"

    def receive(self, text: str, now_ns: int) -> list[Output]:
        self._heard_ns = now_ns
        if text == "ping":
            return ["pong"]
        message = parsed(text)
        if message is None or message.get("op") not in ("subscribe", "unsubscribe"):
            return [_json(event="error", code="60012", msg=f"Invalid request: {text[:200]}", connId=self._id)]
        args = message.get("args")
        replies: list[Output] = []
        for arg in args if isinstance(args, list) else ():
            replies += self._argument(message, arg if isinstance(arg, dict) else {})
        return replies

    def tick(self, now_ns: int, idle_ns: int) -> list[Output]:
        """End a connection on which nothing was said for 30 s, either way, or nothing was ever subscribed."""
        silent_ns = min(now_ns - self._heard_ns, idle_ns) if self.subscribed else now_ns - self._heard_ns
        return [Close(4004, "No data received in 30s.")] if silent_ns > SILENCE_NS else []

    def _argument(self, message: dict[str, object], arg: dict[str, object]) -> list[str]:
        echo = {"id": message["id"]} if isinstance(message.get("id"), str) else {}
        channel, symbol = arg.get("channel"), arg.get("instId")
        if channel != "trades" or not isinstance(symbol, str) or symbol not in self._history:
            what = f"Wrong URL or channel:{channel},instId:{symbol} doesn't exist."
            advice = "Please use the correct URL, channel and parameters referring to API document."
            return [_json(**echo, event="error", msg=f"{what} {advice}", code="60018", connId=self._id)]
        ack = _json(**echo, event=message["op"], arg={"channel": channel, "instId": symbol}, connId=self._id)
        if message["op"] == "unsubscribe":
            self.subscribed.discard(symbol)
            return [ack]
        self.subscribed.add(symbol)
        last = Okx(self._history).rows(self._history.last(symbol, RECENT))[-1:]
        return [ack, _push(last)] if last else [ack]


def _aggregate(fills: list[Match]) -> Match:
    last = fills[-1]
    if len(fills) == 1:
        return last
    total = sum((Decimal(fill.volume) for fill in fills), Decimal())
    return replace(last, volume=f"{total:f}", count=sum(fill.count for fill in fills))


def _push(rows: Sequence[Match]) -> str:
    return f'{{"arg":{{"channel":"trades","instId":"{rows[0].symbol}"}},"data":[{",".join(_data(rows))}]}}'


def _data(rows: Iterable[Match]) -> Iterable[str]:
    for row in rows:
        yield (
            f'{{"instId":"{row.symbol}","tradeId":"{row.trade_id}","px":"{row.price}","sz":"{row.volume}",'
            f'"side":"{row.side.value}","ts":"{row.time_ms}","count":"{row.count}","source":"0",'
            f'"seqId":{row.order}}}'
        )


def _row(row: Match) -> dict[str, str]:
    return {
        "instId": row.symbol,
        "side": row.side.value,
        "sz": row.volume,
        "px": row.price,
        "tradeId": row.trade_id,
        "ts": str(row.time_ms),
    }


def _json(**fields: object) -> str:
    return msgspec.json.encode(fields).decode()

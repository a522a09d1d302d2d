"""Binance spot: combined and raw `@trade` streams, one trade a frame, pings from the server; trades by id over REST.

As in life, a stream of an unknown symbol is accepted and stays silent.
"""

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from priceverse.model.exchange import Exchange, Side
from priceverse.simulator.history import History
from priceverse.simulator.match import NS_PER_MS, NS_PER_S, Match
from priceverse.simulator.venues.protocol import (
    Close,
    Frame,
    MessageLimit,
    Output,
    Ping,
    Quiet,
    Request,
    Response,
    Session,
    cursor,
    number,
    parsed,
    reply,
    strings,
)

PING_EVERY_NS = 20 * NS_PER_S
PONG_WITHIN_NS = 60 * NS_PER_S
LIFETIME_NS = 24 * 3600 * NS_PER_S
MESSAGES_PER_S = 5
MOST_STREAMS = 1024
TRADE = "@trade"


class Binance:
    """The venue."""

    exchange = Exchange.BINANCE

    def __init__(self, history: History, lifetime_ns: int = LIFETIME_NS) -> None:
        self.history = history
        self._lifetime_ns = lifetime_ns

    def session(self, request: Request, now_ns: int) -> Session | Response:
        """`/stream?streams=a/b` wraps each payload, `/ws/a/b` does not."""
        kind, _, names = request.path.removeprefix("/").partition("/")
        if kind not in ("stream", "ws"):
            return Response(404, b"")
        combined = kind == "stream"
        streams = (request.query.get("streams", "") if combined else names).split("/")
        return BinanceSession(combined, [each for each in streams if each], now_ns, now_ns + self._lifetime_ns)

    def rows(self, matches: Sequence[Match]) -> Sequence[Match]:
        """Every fill is a row."""
        return matches

    def frames(self, rows: Sequence[Match]) -> list[Frame]:
        """Return one combined frame per trade."""
        return [Frame(frozenset((row.symbol,)), _frame(row)) for row in rows]

    def rest(self, request: Request, now_ns: int) -> Response:  # noqa: ARG002 - the port's signature
        """Serve `historicalTrades` (by id) and `trades` (the latest), oldest first."""
        if request.method != "GET" or request.path not in ("/api/v3/historicalTrades", "/api/v3/trades"):
            return Response(404, b"")
        symbol = request.query.get("symbol", "")
        if not symbol:
            return _error(-1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.")
        if symbol not in self.history:
            return _error(-1121, "Invalid symbol.")
        limit = number(request, "limit", 500, 1000)
        from_id = cursor(request, "fromId") if request.path.endswith("historicalTrades") else None
        rows = self.history.last(symbol, limit) if from_id is None else self.history.from_id(symbol, from_id, limit)
        return reply([_row(row) for row in rows])


class BinanceSession(Quiet):
    """A connection to `/stream` or `/ws`."""

    def __init__(self, combined: bool, streams: Sequence[str], now_ns: int, until_ns: int) -> None:
        super().__init__()
        self._combined = combined
        self._streams = dict.fromkeys(streams)
        self._limit = MessageLimit(MESSAGES_PER_S, NS_PER_S)
        self._pinged_ns = self._ponged_ns = now_ns
        self._until_ns = until_ns
        self._listen()

    def receive(self, text: str, now_ns: int) -> list[Output]:
        if self._limit.exceeded(now_ns):
            return [Close(1008, "Too many requests")]
        message = parsed(text)
        if message is None:
            return ['{"code":3,"msg":"Invalid JSON: expected value at line 1 column 1"}']
        if message.get("method") is None:
            return [f'{{"code":2,"msg":"Invalid request: missing field `method` at line 1 column {len(text)}"}}']
        return [self._obey(message["method"], strings(message.get("params")), _json(message.get("id")))]

    def pong(self, now_ns: int) -> None:
        self._ponged_ns = now_ns

    def tick(self, now_ns: int, idle_ns: int) -> list[Output]:  # noqa: ARG002 - the port's signature
        """Ping every 20 s; end the connection of a client that has not answered for a minute, or after a day."""
        if now_ns >= self._until_ns:
            return [Close(1008, "24 hours are over")]
        if now_ns - self._ponged_ns > PING_EVERY_NS + PONG_WITHIN_NS:
            return [Close(1008, "Pong timeout")]
        if now_ns - self._pinged_ns < PING_EVERY_NS:
            return []
        self._pinged_ns = now_ns
        return [Ping(str(now_ns // NS_PER_MS).encode())]

    def text(self, frame: Frame) -> str:
        wrapped = frame.text.startswith('{"stream":')
        if self._combined and not wrapped:
            return f'{{"stream":"{next(iter(frame.symbols)).lower()}{TRADE}","data":{frame.text}}}'
        if wrapped and not self._combined:
            return frame.text.partition('"data":')[2].removesuffix("}")
        return frame.text

    def _obey(self, method: object, params: Sequence[str], message_id: str) -> str:
        match method:
            case "SUBSCRIBE" if len(self._streams) + len(params) > MOST_STREAMS:
                return f'{{"code":2,"msg":"Invalid request: too many streams","id":{message_id}}}'
            case "SUBSCRIBE":
                self._streams.update(dict.fromkeys(params))
            case "UNSUBSCRIBE":
                self._streams = {each: None for each in self._streams if each not in params}
            case "LIST_SUBSCRIPTIONS":
                return f'{{"result":{_json(list(self._streams))},"id":{message_id}}}'
            case other:
                return f'{{"code":2,"msg":{_json(f"Invalid request: unknown variant {other}")},"id":{message_id}}}'
        self._listen()
        return f'{{"result":null,"id":{message_id}}}'

    def _listen(self) -> None:
        self.subscribed = {each.removesuffix(TRADE).upper() for each in self._streams if each.endswith(TRADE)}


def _frame(row: Match) -> str:
    ms, sold = row.time_ms, "true" if row.side is Side.SELL else "false"
    return (
        f'{{"stream":"{row.symbol.lower()}{TRADE}","data":{{"e":"trade","E":{ms},"s":"{row.symbol}","t":{row.trade_id},'
        f'"p":"{row.price}","q":"{row.volume}","T":{ms},"m":{sold},"M":true}}}}'
    )


def _row(row: Match) -> dict[str, object]:
    return {
        "id": int(row.trade_id),
        "price": row.price,
        "qty": row.volume,
        "quoteQty": f"{Decimal(row.price) * Decimal(row.volume):.8f}",
        "time": row.time_ms,
        "isBuyerMaker": row.side is Side.SELL,
        "isBestMatch": True,
    }


def _error(code: int, message: str) -> Response:
    return reply({"code": code, "msg": message}, status=400)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()

"""KuCoin: a one-time token by POST, `welcome`, `/market/match`, pings at the interval named; the last 100 by REST.

Times are nanoseconds, ids leap. A topic with one unknown symbol is refused whole.
"""

from collections.abc import Sequence

import msgspec

from priceverse.model.exchange import Exchange
from priceverse.simulator.history import History
from priceverse.simulator.match import NS_PER_MS, NS_PER_S, NS_PER_US, Match
from priceverse.simulator.venues.protocol import (
    Close,
    Frame,
    MessageLimit,
    Output,
    Quiet,
    Request,
    Response,
    Session,
    parsed,
    reply,
)

PING_INTERVAL_MS, PING_TIMEOUT_MS = 18_000, 10_000
TOKEN_NS = 24 * 3600 * NS_PER_S
MOST_TOKENS = 1000
MOST_SYMBOLS = 100
TOPIC = "/market/match:"
PAGE = 100


class Kucoin:
    """The venue."""

    exchange = Exchange.KUCOIN

    def __init__(self, history: History, ping_interval_ms: int = PING_INTERVAL_MS, lifetime_ns: int = TOKEN_NS) -> None:
        self.history = history
        self._lifetime_ns = lifetime_ns
        self._ping_interval_ms = ping_interval_ms
        self._tokens: dict[str, int] = {}
        self._issued = 0

    def session(self, request: Request, now_ns: int) -> Session | Response:
        """Take the token away: it opens one connection. A bad one gets an error frame and the door."""
        if request.path.strip("/") != "ws" or not request.path.endswith("/"):
            return Response(400, b"")
        issued_ns = self._tokens.pop(request.query.get("token", ""), None)
        until_ns = 0 if issued_ns is None else issued_ns + self._lifetime_ns
        patience_ns = (self._ping_interval_ms + PING_TIMEOUT_MS) * NS_PER_MS
        return KucoinSession(self.history, request.query.get("connectId", ""), until_ns, patience_ns, now_ns)

    def rows(self, matches: Sequence[Match]) -> Sequence[Match]:
        """Every fill is a row."""
        return matches

    def frames(self, rows: Sequence[Match]) -> list[Frame]:
        """Return one message per trade."""
        return [Frame(frozenset((row.symbol,)), _frame(row)) for row in rows]

    def rest(self, request: Request, now_ns: int) -> Response:
        """Issue tokens and serve the latest trades, oldest first."""
        match request.path:
            case "/api/v1/bullet-public" if request.method == "POST":
                return self._bullet(request, now_ns)
            case "/api/v1/bullet-public":
                return reply({"code": "405000", "msg": f"Request method '{request.method}' not supported"}, status=405)
            case "/api/v1/market/histories":
                symbol = request.query.get("symbol", "")
                if symbol not in self.history:
                    return reply({"code": "900001", "msg": "symbol not exists"})
                return reply({"code": "200000", "data": [_row(row) for row in self.history.last(symbol, PAGE)]})
            case _:
                return reply({"code": "404000", "msg": "Url Not Found"}, status=404)

    def _bullet(self, request: Request, now_ns: int) -> Response:
        self._issued += 1
        token = f"{self._issued * 0x9E3779B97F4A7C15 % 2**64:016x}{now_ns:016x}"
        self._tokens[token] = now_ns
        if len(self._tokens) > MOST_TOKENS:
            del self._tokens[next(iter(self._tokens))]
        server = {
            "endpoint": f"{'wss' if request.is_secure else 'ws'}://{request.headers.get('host', '')}/kucoin/ws/",
            "encrypt": request.is_secure,
            "protocol": "websocket",
            "pingInterval": self._ping_interval_ms,
            "pingTimeout": PING_TIMEOUT_MS,
        }
        return reply({"code": "200000", "data": {"token": token, "instanceServers": [server]}})


class KucoinSession(Quiet):
    """A connection that a token opened."""

    def __init__(self, history: History, connect_id: str, until_ns: int, patience_ns: int, now_ns: int) -> None:
        super().__init__()
        self._history = history
        self._connect_id = connect_id
        self._until_ns = until_ns
        self._patience_ns = patience_ns
        self._pinged_ns = now_ns
        self._limit = MessageLimit(100, 10 * NS_PER_S)

    def welcome(self, now_ns: int) -> list[Output]:
        if now_ns < self._until_ns:
            return [_json(id=self._connect_id, type="welcome")]
        refusal = _json(id=self._connect_id, type="error", code=401, data="token is invalid")
        return [refusal, Close(1000, "Bye")]

    def receive(self, text: str, now_ns: int) -> list[Output]:
        message = parsed(text) or {}
        message_id = str(message.get("id", ""))
        if self._limit.exceeded(now_ns):
            return [_json(id=message_id, type="error", code=509, data="exceed permitted message rate")]
        match message.get("type"):
            case "ping":
                self._pinged_ns = now_ns
                return [_json(id=message_id, type="pong", timestamp=now_ns // NS_PER_US)]
            case "subscribe" | "unsubscribe" as kind:
                return self._topic(kind, message, message_id)
            case other:
                return [_json(id=message_id, type="error", code=400, data=f"type {other} is not supported")]

    def tick(self, now_ns: int, idle_ns: int) -> list[Output]:  # noqa: ARG002 - the port's signature
        """End the connection of a client that does not ping, or whose token is a day old."""
        if now_ns >= self._until_ns:
            return [Close(1000, "token is expired")]
        return [Close(1000, "ping timeout")] if now_ns - self._pinged_ns > self._patience_ns else []

    def _topic(self, kind: str, message: dict[str, object], message_id: str) -> list[Output]:
        topic = str(message.get("topic", ""))
        wanted = [each for each in topic.removeprefix(TOPIC).split(",") if each]
        known = topic.startswith(TOPIC) and wanted and all(each in self._history for each in wanted)
        if not known or len(wanted) > MOST_SYMBOLS:
            return [_json(id=message_id, type="error", code=404, data=f"topic {topic[:200]} is not found")]
        self.subscribed = self.subscribed.union(wanted) if kind == "subscribe" else self.subscribed.difference(wanted)
        return [_json(id=message_id, type="ack")] if message.get("response") is True else []


def _frame(row: Match) -> str:
    return (
        f'{{"topic":"{TOPIC}{row.symbol}","type":"message","subject":"trade.l3match","data":{{'
        f'"makerOrderId":"{int(row.trade_id) % 2**96:024x}","price":"{row.price}","sequence":"{row.trade_id}",'
        f'"side":"{row.side.value}","size":"{row.volume}","symbol":"{row.symbol}","takerOrderId":"{row.order}",'
        f'"time":"{_time_ns(row)}","tradeId":"{row.trade_id}","type":"match"}}}}'
    )


def _row(row: Match) -> dict[str, object]:
    return {
        "sequence": row.trade_id,
        "price": row.price,
        "size": row.volume,
        "side": row.side.value,
        "time": _time_ns(row),
    }


def _time_ns(row: Match) -> int:
    """Return ns that are whole ms, as the venue prints them since 2022."""
    return row.time_ms * NS_PER_MS


def _json(**fields: object) -> str:
    return msgspec.json.encode(fields).decode()

"""Bybit v5 spot: `publicTrade`, many rows a frame, ids with gaps, JSON pings; the last 60 trades over REST.

One bad topic refuses its whole request, and a request holds at most ten.
"""

from collections.abc import Sequence

import msgspec

from priceverse.model.exchange import Exchange
from priceverse.simulator.history import History
from priceverse.simulator.match import NS_PER_MS, NS_PER_S, Match
from priceverse.simulator.venues.protocol import (
    Close,
    Frame,
    Output,
    Quiet,
    Request,
    Response,
    Session,
    number,
    parsed,
    reply,
    strings,
    symbols,
)

SILENCE_NS = 600 * NS_PER_S
MOST_ARGS = 10
PAGE = 60
TOPIC = "publicTrade."


class Bybit:
    """The venue."""

    exchange = Exchange.BYBIT

    def __init__(self, history: History) -> None:
        self.history = history

    def session(self, request: Request, now_ns: int) -> Session | Response:  # noqa: ARG002 - the port's signature
        """Any path will do."""
        return BybitSession(self.history, now_ns)

    def rows(self, matches: Sequence[Match]) -> Sequence[Match]:
        """Every fill is a row."""
        return matches

    def frames(self, rows: Sequence[Match]) -> list[Frame]:
        """Return all rows in one frame."""
        head = f'"topic":"{TOPIC}{rows[0].symbol}","ts":{rows[-1].time_ms + 1},"type":"snapshot"'
        return [Frame(symbols(rows), f'{{{head},"data":[{",".join(map(_data, rows))}]}}')]

    def rest(self, request: Request, now_ns: int) -> Response:
        """Serve the latest trades, newest first."""
        if request.path != "/v5/market/recent-trade":
            return Response(404, b"404 page not found", "text/plain")
        if request.query.get("category") != "spot":
            return _result(10001, "Illegal category", {}, now_ns)
        symbol = request.query.get("symbol", "")
        if symbol not in self.history:
            return _result(10001, "Not supported symbols", {}, now_ns)
        rows = self.history.last(symbol, number(request, "limit", PAGE, PAGE))
        return _result(0, "OK", {"category": "spot", "list": [_row(row) for row in reversed(rows)]}, now_ns)


class BybitSession(Quiet):
    """A connection to the public spot feed."""

    def __init__(self, history: History, now_ns: int) -> None:
        super().__init__()
        self._history = history
        self._heard_ns = now_ns
        self._id = f"{now_ns:x}-simul"

    def receive(self, text: str, now_ns: int) -> list[Output]:
        self._heard_ns = now_ns
        message = parsed(text)
        if message is None:
            return [_reply(False, "Invalid request", self._id, None, "")]
        op, request_id = message.get("op"), message.get("req_id")
        match op:
            case "ping":
                return [_reply(True, "pong", self._id, request_id, "ping")]
            case "subscribe" | "unsubscribe":
                args = strings(message.get("args"))
                problem = self._problem(args)
                if problem:
                    return [_reply(False, problem, self._id, request_id, str(op))]
                wanted = {arg.removeprefix(TOPIC) for arg in args}
                self.subscribed = self.subscribed | wanted if op == "subscribe" else self.subscribed - wanted
                return [_reply(True, str(op), self._id, request_id, str(op))]
            case _:
                return [_reply(False, f"error:unknown op,op:{op}", self._id, request_id, str(op))]

    def tick(self, now_ns: int, idle_ns: int) -> list[Output]:  # noqa: ARG002 - the port's signature
        """End the connection of a client silent for ten minutes."""
        return [Close(1000, "No traffic from the client")] if now_ns - self._heard_ns > SILENCE_NS else []

    def _problem(self, args: Sequence[str]) -> str | None:
        if len(args) > MOST_ARGS:
            return f"args size >{MOST_ARGS}"
        for arg in args:
            if not arg.startswith(TOPIC) or arg.removeprefix(TOPIC) not in self._history:
                return f"error:handler not found,topic:{arg}"
        return None if args else "error:args is empty"


def _reply(success: bool, text: str, connection: str, request_id: object, op: str) -> str:
    echo = {"req_id": request_id} if isinstance(request_id, str) else {}
    return msgspec.json.encode({"success": success, "ret_msg": text, "conn_id": connection, **echo, "op": op}).decode()


def _data(row: Match) -> str:
    return (
        f'{{"i":"{row.trade_id}","T":{row.time_ms},"p":"{row.price}","v":"{row.volume}","S":"{row.side.value.title()}",'
        f'"seq":{row.order},"s":"{row.symbol}","BT":false,"RPI":false}}'
    )


def _row(row: Match) -> dict[str, object]:
    return {
        "execId": row.trade_id,
        "symbol": row.symbol,
        "price": row.price,
        "size": row.volume,
        "side": row.side.value.title(),
        "time": str(row.time_ms),
        "isBlockTrade": False,
        "isRPITrade": False,
        "seq": str(row.order),
    }


def _result(code: int, text: str, result: object, now_ns: int) -> Response:
    document = {"retCode": code, "retMsg": text, "result": result, "retExtInfo": {}, "time": now_ns // NS_PER_MS}
    return reply(document)

"""Kraken WebSocket v2: status first, one ack per symbol, several trades a frame, a heartbeat when nothing else is sent.

REST is the older API: its own pair names, prices as text, pages by the time of the last row.
"""

import json
from collections.abc import Iterable, Sequence

import msgspec

from priceverse.model.exchange import Exchange, Side
from priceverse.simulator.history import History
from priceverse.simulator.instants import rfc3339
from priceverse.simulator.match import NS_PER_S, Match
from priceverse.simulator.venues.protocol import (
    Frame,
    Output,
    Quiet,
    Request,
    Response,
    Session,
    is_number,
    number,
    parsed,
    reply,
    strings,
    symbols,
)

HEARTBEAT_NS = NS_PER_S
SNAPSHOT = 50
PAGE = 1000
SECONDS_DIGITS = 13
REST_BASES = {"BTC": "XBT", "DOGE": "XDG"}
LEGACY = {"XBT", "ETH", "XMR", "LTC"}
"""Bases that the older API prefixes with X, and their quote USD with Z."""


class Kraken:
    """The venue."""

    exchange = Exchange.KRAKEN

    def __init__(self, history: History) -> None:
        self.history = history

    def session(self, request: Request, now_ns: int) -> Session | Response:  # noqa: ARG002 - the port's signature
        """Any path will do."""
        return KrakenSession(self.history)

    def rows(self, matches: Sequence[Match]) -> Sequence[Match]:
        """Every fill is a row."""
        return matches

    def frames(self, rows: Sequence[Match]) -> list[Frame]:
        """Return all rows in one update."""
        return [Frame(symbols(rows), _frame("update", rows))]

    def rest(self, request: Request, now_ns: int) -> Response:  # noqa: ARG002 - the port's signature
        """Serve `Trades`: rows after `since` (ns), oldest first, or the latest."""
        if request.path != "/0/public/Trades":
            return reply({"error": ["EGeneral:Unknown method"]})
        symbol = self._symbol(request.query.get("pair", ""))
        if symbol is None:
            return reply({"error": ["EQuery:Unknown asset pair"]})
        since, limit = request.query.get("since", ""), number(request, "count", PAGE, PAGE)
        rows = (
            self.history.after_time(symbol, _ns(since), limit)
            if is_number(since.partition(".")[0]) and is_number(since.partition(".")[2] or "0")
            else self.history.last(symbol, limit)
        )
        last = str(rows[-1].time_ns) if rows else since or "0"
        return reply({"error": [], "result": {_rest_pair(symbol): [_row(row) for row in rows], "last": last}})

    def _symbol(self, pair: str) -> str | None:
        known = (each for each in self.history if pair in (each, *_aliases(each)))
        return next(known, None)


class KrakenSession(Quiet):
    """A connection to v2."""

    def __init__(self, history: History) -> None:
        super().__init__()
        self._history = history

    def welcome(self, now_ns: int) -> list[Output]:
        status = f'"version":"2.0.10","system":"online","api_version":"v2","connection_id":{2**63 + now_ns}'
        return [
            f'{{"channel":"status","type":"update","data":[{{{status},"upcoming_maintenance":[],"emergency":[]}}]}}'
        ]

    def receive(self, text: str, now_ns: int) -> list[Output]:
        message = parsed(text)
        if message is None:
            return ['{"error":"Malformed request","success":false}']
        tail = _tail(message, now_ns)
        params = message.get("params")
        match message.get("method"):
            case "ping":
                return [f'{{"method":"pong"{tail}}}']
            case "subscribe" | "unsubscribe" as method if isinstance(params, dict) and params.get("channel") == "trade":
                snapshot = params.get("snapshot") is True
                wanted = strings(params.get("symbol"))
                return [text for each in wanted for text in self._subscription(method, each, snapshot, tail)]
            case "subscribe" | "unsubscribe" as method:
                return [f'{{"error":"Subscription channel invalid","method":"{method}","success":false{tail}}}']
            case _:
                return [f'{{"error":"Unsupported method","success":false{tail}}}']

    def tick(self, now_ns: int, idle_ns: int) -> list[Output]:  # noqa: ARG002 - the port's signature
        """Send a heartbeat about once a second, when idle and once anything is subscribed."""
        return ['{"channel":"heartbeat"}'] if self.subscribed and idle_ns >= HEARTBEAT_NS else []

    def _subscription(self, method: str, symbol: str, snapshot: bool, tail: str) -> list[str]:
        refusal = f'"method":"{method}","success":false,"symbol":{json.dumps(symbol)}{tail}}}'
        if symbol not in self._history:
            return [f'{{"error":{json.dumps(f"Currency pair not supported {symbol}")},{refusal}']
        if method == "subscribe" and symbol in self.subscribed:
            return [f'{{"error":"Already subscribed",{refusal}']
        if method == "unsubscribe":
            self.subscribed.discard(symbol)
            result = f'{{"channel":"trade","symbol":"{symbol}"}}'
            return [f'{{"method":"{method}","result":{result},"success":true{tail}}}']
        self.subscribed.add(symbol)
        flag = "true" if snapshot else "false"
        result = f'{{"channel":"trade","snapshot":{flag},"symbol":"{symbol}"}}'
        ack = f'{{"method":"{method}","result":{result},"success":true{tail}}}'
        past = self._history.last(symbol, SNAPSHOT) if snapshot else []
        return [ack, _frame("snapshot", past)] if past else [ack]


def _tail(message: dict[str, object], now_ns: int) -> str:
    request_id = message.get("req_id")
    echo = f',"req_id":{request_id}' if isinstance(request_id, int) else ""
    return f'{echo},"time_in":"{rfc3339(now_ns)}","time_out":"{rfc3339(now_ns + 40_000)}"'


def _frame(kind: str, rows: Iterable[Match]) -> str:
    return f'{{"channel":"trade","type":"{kind}","data":[{",".join(map(_trade, rows))}]}}'


def _trade(row: Match) -> str:
    return (
        f'{{"symbol":"{row.symbol}","side":"{row.side.value}","price":{row.price},"qty":{row.volume},'
        f'"ord_type":"{_order_type(row)}","trade_id":{row.trade_id},"timestamp":"{rfc3339(row.time_ns)}"}}'
    )


def _order_type(row: Match) -> str:
    return "market" if row.order % 3 == 0 else "limit"


def _row(row: Match) -> list[object]:
    seconds, ns = divmod(row.time_ns, NS_PER_S)
    time = msgspec.Raw(f"{seconds}.{ns:09d}"[:-2].encode())  # a bare JSON number with seven decimals
    price = row.price + "0" * (5 - len(row.price.partition(".")[2]))
    side, order = "b" if row.side is Side.BUY else "s", _order_type(row)[0]
    return [price, row.volume, time, side, order, "", int(row.trade_id)]


def _rest_pair(symbol: str) -> str:
    base, _, quote = symbol.partition("/")
    base = REST_BASES.get(base, base)
    if quote != "USD":
        return f"{base}{quote}"
    return f"X{base}Z{quote}" if base in LEGACY else f"{base}Z{quote}"


def _aliases(symbol: str) -> tuple[str, ...]:
    base, _, quote = symbol.partition("/")
    old = REST_BASES.get(base, base)
    return (f"{base}{quote}", f"{old}{quote}", f"{old}/{quote}", _rest_pair(symbol))


def _ns(since: str) -> int:
    """Read `since`: seconds, with decimals or not, or ns where it is as long as that."""
    seconds, _, decimals = since.partition(".")
    return int(seconds) if len(seconds) > SECONDS_DIGITS else int(seconds) * NS_PER_S + int(decimals[:9].ljust(9, "0"))

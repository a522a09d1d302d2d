"""Coinbase Exchange: `matches` with the maker's side, `last_match` on subscribing, the `heartbeat` channel.

A client that has not subscribed within five seconds is cut; one bad product refuses the whole message. REST pages
newest first, by trade id, with the cursors in headers.
"""

from collections.abc import Sequence

import msgspec

from priceverse.model.exchange import Exchange, Side
from priceverse.simulator.history import History
from priceverse.simulator.instants import rfc3339
from priceverse.simulator.match import NS_PER_S, Match
from priceverse.simulator.venues.protocol import (
    Close,
    Frame,
    MessageLimit,
    Output,
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

SUBSCRIBE_WITHIN_NS = 5 * NS_PER_S
HEARTBEAT_NS = NS_PER_S
MESSAGES_PER_S = 100
PAGE = 1000
CHANNELS = ("matches", "heartbeat")
SEQUENCE_PER_TRADE = 37
"""`sequence` counts all order events, so it jumps from one match to the next."""


class Coinbase:
    """The venue."""

    exchange = Exchange.COINBASE

    def __init__(self, history: History) -> None:
        self.history = history

    def session(self, request: Request, now_ns: int) -> Session | Response:  # noqa: ARG002 - the port's signature
        """Any path will do."""
        return CoinbaseSession(self.history, now_ns)

    def rows(self, matches: Sequence[Match]) -> Sequence[Match]:
        """Every fill is a row."""
        return matches

    def frames(self, rows: Sequence[Match]) -> list[Frame]:
        """Return one frame per trade."""
        return [Frame(frozenset((row.symbol,)), _frame("match", row)) for row in rows]

    def rest(self, request: Request, now_ns: int) -> Response:  # noqa: ARG002 - the port's signature
        """Serve `/products/<id>/trades`, newest first."""
        match request.path.split("/"):
            case ["", "products", product, "trades"]:
                pass
            case _:
                return reply({"message": "NotFound"}, status=404)
        if not request.headers.get("user-agent"):
            return reply({"message": "User-Agent header is required."}, status=400)
        if product not in self.history:
            return reply({"message": "NotFound"}, status=404)
        limit = number(request, "limit", PAGE, PAGE)
        after, before = cursor(request, "after"), cursor(request, "before")
        rows = self.history.last(product, limit, below=after, above=before)[::-1]
        cursors = (("CB-BEFORE", rows[0].trade_id), ("CB-AFTER", rows[-1].trade_id)) if rows else ()
        return reply([_row(row) for row in rows], headers=cursors)


class CoinbaseSession(Quiet):
    """A connection to the public feed."""

    def __init__(self, history: History, now_ns: int) -> None:
        super().__init__()
        self._history = history
        self._limit = MessageLimit(MESSAGES_PER_S, NS_PER_S)
        self._opened_ns = self._beat_ns = now_ns
        self._beating: set[str] = set()

    def receive(self, text: str, now_ns: int) -> list[Output]:
        if self._limit.exceeded(now_ns):
            return [Close(1008, "Too many messages")]
        message = parsed(text)
        if message is None or message.get("type") not in ("subscribe", "unsubscribe"):
            return [
                '{"type":"error","message":"Malformed JSON"}'
                if message is None
                else _refused("Type has to be either subscribe or unsubscribe")
            ]
        wanted = _wanted(message)
        if refusal := self._refusal(wanted):
            return [refusal]
        return self._obey(message["type"] == "subscribe", wanted)

    def tick(self, now_ns: int, idle_ns: int) -> list[Output]:  # noqa: ARG002 - the port's signature
        """Cut who does not subscribe; send a heartbeat for each product each second."""
        if not self.subscribed and not self._beating and now_ns - self._opened_ns > SUBSCRIBE_WITHIN_NS:
            return [Close(1008, "No subscription within 5 seconds")]
        if now_ns - self._beat_ns < HEARTBEAT_NS:
            return []
        self._beat_ns = now_ns
        return [_heartbeat(self._history, product, now_ns) for product in sorted(self._beating)]

    def _refusal(self, wanted: Sequence[tuple[str, str]]) -> str | None:
        for channel, product in wanted:
            if channel not in CHANNELS:
                return _refused(f"{channel} is not a valid channel")
            if product not in self._history:
                return _refused(f"{product} is not a valid product")
        return None if wanted else _refused("No channels provided")

    def _obey(self, subscribe: bool, wanted: Sequence[tuple[str, str]]) -> list[Output]:
        replays: list[Output] = []
        for channel, product in wanted:
            known = self.subscribed if channel == "matches" else self._beating
            if subscribe and channel == "matches" and product not in known:
                replays += [_frame("last_match", row) for row in self._history.last(product, 1)]
            (known.add if subscribe else known.discard)(product)
        return [*replays, self._ack()]

    def _ack(self) -> str:
        lists = (("matches", self.subscribed), ("heartbeat", self._beating))
        channels = [{"name": name, "product_ids": sorted(ids), "account_ids": None} for name, ids in lists if ids]
        return msgspec.json.encode({"type": "subscriptions", "channels": channels}).decode()


def _wanted(message: dict[str, object]) -> list[tuple[str, str]]:
    """Return (channel, product): a channel names its own products or takes those of the message."""
    channels = message.get("channels")
    products = strings(message.get("product_ids"))
    wanted = []
    for channel in channels if isinstance(channels, list) else ():
        if isinstance(channel, str):
            wanted += [(channel, product) for product in products]
        elif isinstance(channel, dict):
            own = strings(channel.get("product_ids")) or products
            wanted += [(str(channel.get("name")), product) for product in own]
    return wanted


def _refused(reason: str) -> str:
    return msgspec.json.encode({"type": "error", "message": "Failed to subscribe", "reason": reason}).decode()


def _maker(row: Match) -> str:
    return "buy" if row.side is Side.SELL else "sell"


def _sequence(trade_id: str) -> int:
    return int(trade_id) * SEQUENCE_PER_TRADE


def _frame(kind: str, row: Match) -> str:
    return (
        f'{{"type":"{kind}","trade_id":{row.trade_id},"maker_order_id":"{_uuid(int(row.trade_id))}",'
        f'"taker_order_id":"{_uuid(row.order)}","side":"{_maker(row)}","size":"{row.volume}","price":"{row.price}",'
        f'"product_id":"{row.symbol}","sequence":{_sequence(row.trade_id)},"time":"{rfc3339(row.time_ns)}"}}'
    )


def _heartbeat(history: History, product: str, now_ns: int) -> str:
    last = next((row.trade_id for row in history.last(product, 1)), "0")
    return (
        f'{{"type":"heartbeat","last_trade_id":{last},"product_id":"{product}","sequence":{_sequence(last)},'
        f'"time":"{rfc3339(now_ns)}"}}'
    )


def _row(row: Match) -> dict[str, object]:
    return {
        "trade_id": int(row.trade_id),
        "side": _maker(row),
        "size": row.volume,
        "price": row.price,
        "time": rfc3339(row.time_ns),
    }


def _uuid(number: int) -> str:
    """Return an order id: the same for the same number, and not like its neighbour's."""
    digits = f"{number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"

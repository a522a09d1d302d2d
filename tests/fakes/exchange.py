"""An exchange that speaks a language of words, and connections to it that a test holds at both ends.

`trade BTC 17 1000` is trade 17 at 1000 ms; `old` and `block` likewise; `ack BTC`, `error BTC delisted`, `welcome`,
`shutdown`, `beat`; anything else is rejected. Several frames come in one batch; `;` separates items of one frame.
"""

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Self

import trio

from priceverse.exchanges.protocol import Adapter, Control, ControlKind, Endpoint, Item, Reject, Request
from priceverse.model.exchange import Exchange, Side
from priceverse.model.trade import Trade
from priceverse.net.errors import NetError

WHERE = "wss://words.example"
_KINDS = {"beat": "heartbeat"}


class Words(Adapter):
    """The adapter. `subscribes_by_url`, `wants_welcome` and the like are set per test."""

    exchange = Exchange.KRAKEN

    def __init__(self, symbols: Mapping[str, str]) -> None:
        super().__init__(symbols)
        self.subscribes_by_url = False
        self.wants_welcome = False
        self.wants_prelude = False
        self.ping_interval_s: float | None = None

    def prelude(self, rest_url: str) -> Request | None:
        return Request("POST", f"{rest_url}/token") if self.wants_prelude else None

    def endpoint(self, ws_url: str, prelude: bytes | None, connect_id: str) -> Endpoint:
        token = f"?token={prelude.decode()}" if prelude else ""
        return Endpoint(f"{ws_url}/{token}", "", self.ping_interval_s, self.wants_welcome)

    def subscribe(self, symbols: Sequence[str]) -> list[str]:
        return [] if self.subscribes_by_url else [f"subscribe {symbol}" for symbol in symbols]

    def ping(self, now_ms: int) -> str:
        return "ping"

    def receive(self, frame: str | bytes) -> list[Item]:
        text = frame.decode() if isinstance(frame, bytes) else frame
        return [self._item(*part.split(" ", 3)) for part in text.split(";")]

    def _item(self, word: str, *rest: str) -> Item:
        if word in ("trade", "old", "block"):
            symbol, trade_id, timestamp = rest
            return trade(symbol, trade_id, int(timestamp), historical=word == "old", block=word == "block")
        try:
            kind = ControlKind(_KINDS.get(word, word))
        except ValueError:
            return Reject("not_a_word", word)
        return Control(kind, rest[0] if rest else None, " ".join(rest[1:]))


def trade(
    symbol: str, trade_id: str, timestamp_ms: int = 0, *, historical: bool = False, block: bool = False, count: int = 1
) -> Trade:
    """A trade of 1 at 1."""
    pair, one = f"{symbol.lower()}-usd", Decimal(1)
    known = (Exchange.KRAKEN, symbol, pair, one, one, timestamp_ms, trade_id, Side.BUY)
    return Trade(*known, historical=historical, block=block, count=count)


class WordLink:
    """A connection: `push` is the exchange's end, the rest is what a session sees."""

    def __init__(self) -> None:
        self._put, self._get = trio.open_memory_channel[list[bytes]](1000)
        self.said: list[str] = []
        self.closed = trio.Event()
        self.last_received_s = trio.current_time()
        self.farewell = "closed with 1000 bye"
        self.refuses_text = False

    def push(self, *frames: str) -> None:
        """Send frames, as one batch."""
        self.last_received_s = trio.current_time()
        self._put.send_nowait([frame.encode() for frame in frames])

    def hang_up(self) -> None:
        """Close from the exchange's side."""
        self._put.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[bytes]:
        try:
            return await self._get.receive()
        except trio.EndOfChannel:
            raise StopAsyncIteration from None

    async def send(self, text: str) -> None:
        await trio.lowlevel.checkpoint()
        if self.refuses_text:
            raise NetError(WHERE, "took nothing for 10 s")
        self.said.append(text)

    async def aclose(self) -> None:
        self.closed.set()
        await trio.lowlevel.checkpoint()


class WordExchange:
    """What `dial` reaches: each connection is handed to the test through `links`, unless it is refused."""

    def __init__(self) -> None:
        self._offer, self.links = trio.open_memory_channel[WordLink](1000)
        self._refusal: NetError | None = None
        self._refusals = 0.0
        self._dialled = trio.Event()
        self.dialled: list[tuple[str, float]] = []

    def refuse(self, error: NetError, times: float = math.inf) -> None:
        """Refuse the next `times` connections."""
        self._refusal, self._refusals = error, times

    async def dial(self, url: str) -> WordLink:
        await trio.lowlevel.checkpoint()
        self.dialled.append((url, trio.current_time()))
        self._dialled.set()
        self._dialled = trio.Event()
        if self._refusal is not None and self._refusals > 0:
            self._refusals -= 1
            raise self._refusal
        link = WordLink()
        self._offer.send_nowait(link)
        return link

    async def dials(self, count: int) -> None:
        """Wait until so many connections have been tried."""
        while len(self.dialled) < count:
            await self._dialled.wait()

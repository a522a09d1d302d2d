"""The live cache of this process: the newest price of every pair, and those who follow them. Fed in the trio thread.

The rule: a follower holds at most one event per pair. One that reads slowly misses prices in between, never memory.
"""

from collections.abc import Callable, Iterable

import msgspec
import trio

from priceverse.metrics import catalogue, tally
from priceverse.model.price import Price
from priceverse.rpc.envelope import encode
from priceverse.services.prices import event_of, reply_of
from priceverse.services.quotes import age_ms, quote_of

NOTHING = (-1, msgspec.Raw(b""))
"""What is known of a pair never heard of: always too old."""


class LivePrices:
    """The `Live` port, and the hub of the streams."""

    def __init__(self, *, max_price_age_ms: int, now_ms: Callable[[], int]) -> None:
        self._max_price_age_ms = max_price_age_ms
        self._now_ms = now_ms
        self._prices: dict[str, Price] = {}
        self._rendered: dict[str, tuple[int, msgspec.Raw]] = {}
        self._events: dict[str, bytes] = {}
        self._followers: set[Follower] = set()
        self._closed = False
        self.closing = trio.Event()

    def get(self, pair: str) -> Price | None:
        """Return the newest price heard, of any age."""
        return self._prices.get(pair)

    def rendered(self, pair: str) -> msgspec.Raw | None:
        """Return the newest price heard as getPrice answers it; None if there is none, or only one too old to serve.

        Rendered once when it came, for the thousands of times that it is asked for.
        """
        best_before_ms, reply = self._rendered.get(pair, NOTHING)
        return reply if self._now_ms() <= best_before_ms else None

    def put(self, price: Price) -> None:
        """Take a price from the bus and hand it to its followers, unless it says what the last one said."""
        event = self._event(price)
        self._prices[price.pair] = price
        reply = msgspec.Raw(encode(reply_of(quote_of(price))))
        self._rendered[price.pair] = (price.as_of_ms + self._max_price_age_ms, reply)
        if event == self._events.get(price.pair):
            return
        self._events[price.pair] = event
        for follower in self._followers:
            follower.offer(price.pair, event)

    def follow(self, pairs: Iterable[str]) -> "Follower":
        """Return a new follower, which already holds what is known now; `unfollow` it in the end."""
        follower = Follower(pairs)
        for pair in follower.pairs & self._events.keys():
            follower.offer(pair, self._events[pair])
        if self._closed:
            follower.close()
        self._followers.add(follower)
        tally.gauge(catalogue.STREAMS, len(self._followers))
        return follower

    def unfollow(self, follower: "Follower") -> None:
        """Forget a follower."""
        self._followers.discard(follower)
        tally.gauge(catalogue.STREAMS, len(self._followers))

    def close(self) -> None:
        """End every stream, the present and the future ones."""
        self._closed = True
        self.closing.set()
        for follower in self._followers:
            follower.close()

    @property
    def followers(self) -> int:
        """How many there are."""
        return len(self._followers)

    def _event(self, price: Price) -> bytes:
        quote = quote_of(price)
        return encode(event_of(quote, stale=age_ms(quote, self._now_ms()) > self._max_price_age_ms))


class Follower:
    """One slot per pair."""

    def __init__(self, pairs: Iterable[str]) -> None:
        self.pairs = frozenset(pairs)
        self.closed = False
        self._slots: dict[str, bytes] = {}
        self._woken = trio.Event()

    def offer(self, pair: str, event: bytes) -> None:
        """Put the newest event of a pair into its slot."""
        if pair in self.pairs:
            self._slots[pair] = event
            self._woken.set()

    def close(self) -> None:
        """Say that nothing more will come."""
        self.closed = True
        self._woken.set()

    async def wait(self) -> None:
        """Wait until there is something to take, or the end."""
        await self._woken.wait()

    def take(self) -> list[bytes]:
        """Empty the slots."""
        taken, self._slots = list(self._slots.values()), {}
        if not self.closed:
            self._woken = trio.Event()
        return taken

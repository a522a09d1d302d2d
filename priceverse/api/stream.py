"""`GET /stream/prices`: live prices as server-sent events. The snapshot comes first, then every change.

A class, not an async generator: what it registers is given back when the connection ends, however that happens, and not
when the garbage collector comes round.
"""

from typing import Self

import trio
from quart.wrappers.response import ResponseBody

from priceverse.api.live import Follower, LivePrices
from priceverse.api.seats import Seats

PING_S = 15.0
RETRY_MS = 2000
"""How long a browser waits before it connects anew."""


class PriceStream(ResponseBody):
    """The body of one stream: chunks of whole events, a comment when nothing was said for `PING_S`."""

    def __init__(self, live: LivePrices, pairs: frozenset[str], seats: Seats, client: str) -> None:
        self._live = live
        self._pairs = pairs
        self._seats = seats
        self._client = client
        self._follower: Follower
        self._begun = False

    async def __aenter__(self) -> Self:
        """Begin to follow; whether the client has a seat was asked before the response began."""
        self._seats.sit(self._client)
        self._follower = self._live.follow(self._pairs)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Follow no more."""
        self._live.unfollow(self._follower)
        self._seats.leave(self._client)

    def __aiter__(self) -> Self:
        """Return the chunks."""
        return self

    async def __anext__(self) -> bytes:
        """Return the next chunk; the end comes when this process leaves."""
        if not self._begun:
            self._begun = True
            return f"retry: {RETRY_MS}\n\n".encode() + self._events()
        if not self._follower.closed:
            with trio.move_on_after(PING_S):
                await self._follower.wait()
        events = self._events()
        if not events and self._follower.closed:
            raise StopAsyncIteration
        return events or b": ping\n\n"

    def _events(self) -> bytes:
        return b"".join(b"data: " + event + b"\n\n" for event in self._follower.take())

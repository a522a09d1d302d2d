"""`GET /stream/prices`: live prices as server-sent events. The snapshot comes first, then every change.

What has been sent says so in the `id` of the last event: a mark of each pair's event as the client then knows it. A
browser that connects anew shows the id, here or to another handler, and the snapshot leaves out what it names.

The head and the snapshot go through Quart and Hypercorn; from then on whole chunks of HTTP/1.1 go past them, the same
bytes for all who follow the same pairs. A class, not an async generator: what it registers is given back when the
connection ends, however that happens, and not when the garbage collector comes round.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Self
from zlib import crc32

import trio
from quart.wrappers.response import ResponseBody

from priceverse.api.broadcast import Broadcast, Channel, Events, WriteNow, never
from priceverse.api.seats import Seats

PING_S = 15.0
PING = b": ping\n\n"
RETRY_MS = 2000
"""How long a browser waits before it connects anew."""

_MARK_BYTES = 4


@dataclass(frozen=True, slots=True)
class Past:
    """How bytes get past Hypercorn: `write` waits, `write_now` does not."""

    write: Callable[[bytes], Awaitable[None]]
    write_now: WriteNow


@dataclass(frozen=True, slots=True)
class EventText:
    """A stream as text: the `Form` of who follows these pairs, in whole chunks of HTTP/1.1 or bare."""

    pairs: frozenset[str]
    chunked: bool

    def render(self, events: Events, known: Events) -> bytes:
        """Return events, the last of which has an id, as one chunk."""
        if not events:
            return b""
        *others, last = [b"data: %b\n\n" % event for event in events.values()]
        text = b"%bid: %b\n%b" % (b"".join(others), event_id(self.pairs, known), last)
        return chunk(text) if self.chunked else text


class PriceStream(ResponseBody):
    """The body of one stream, with a comment now and then. Without `past` Hypercorn sends it all.

    `last_id` is the id that the client shows of an earlier stream.
    """

    def __init__(
        self,
        broadcast: Broadcast,
        pairs: frozenset[str],
        seats: Seats,
        client: str,
        *,
        past: Past | None = None,
        last_id: str = "",
    ) -> None:
        self._broadcast = broadcast
        self._form = EventText(pairs, chunked=past is not None)
        self._seats = seats
        self._client = client
        self._past = past
        self._last_id = last_id
        self._channel: Channel
        self._begun = False
        self._is_direct = False

    async def __aenter__(self) -> Self:
        """Begin to follow; whether the client has a seat was asked before the response began."""
        self._seats.sit(self._client)
        self._channel = self._broadcast.open(self._form, self._write_now if self._past else never)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Follow no more."""
        self._broadcast.leave(self._channel)
        self._seats.leave(self._client)

    def __aiter__(self) -> Self:
        """Return the chunks that Hypercorn is to send."""
        return self

    async def __anext__(self) -> bytes:
        """Return the snapshot, then what cannot go past Hypercorn; the end comes when this process leaves."""
        if not self._begun:
            self._begun = True
            return f"retry: {RETRY_MS}\n\n".encode() + self._snapshot()
        self._is_direct = self._past is not None  # the head is out
        while text := await self._next():
            if self._past is None:
                return text
            await self._past.write(text)
        self._is_direct = False
        raise StopAsyncIteration

    def _snapshot(self) -> bytes:
        channel, pairs = self._channel, self._form.pairs
        heard = heard_of(self._last_id, pairs, channel.known)
        events = {pair: event for pair, event in channel.empty().items() if pair not in heard}
        return EventText(pairs, chunked=False).render(events, channel.known)

    async def _next(self) -> bytes:
        """Return what is to be sent, or a sign of life; nothing at the end."""
        with trio.move_on_after(PING_S):
            return await self._channel.next()
        return chunk(PING) if self._past else PING

    def _write_now(self, data: bytes) -> bool:
        return self._is_direct and self._past is not None and self._past.write_now(data)


def chunk(text: bytes) -> bytes:
    """Return text as HTTP/1.1 sends it where its length is not known beforehand."""
    return b"%x\r\n%b\r\n" % (len(text), text)


def event_id(pairs: frozenset[str], known: Events) -> bytes:
    """Return what a client knows that has heard everything: a mark for each pair, in their order by name."""
    return urlsafe_b64encode(b"".join(_mark(pair, known) for pair in sorted(pairs)))


def heard_of(last_id: str, pairs: frozenset[str], known: Events) -> frozenset[str]:
    """Return the pairs of which a client that shows `last_id` has the event that is known now."""
    try:
        marks = urlsafe_b64decode(last_id.encode())
    except ValueError:  # also one that is not ASCII, and so none of ours
        return frozenset()
    if len(marks) != _MARK_BYTES * len(pairs):
        return frozenset()
    said = {pair: marks[_MARK_BYTES * n : _MARK_BYTES * (n + 1)] for n, pair in enumerate(sorted(pairs))}
    return frozenset(pair for pair in pairs & known.keys() if said[pair] == _mark(pair, known))


def _mark(pair: str, known: Events) -> bytes:
    return crc32(known.get(pair, b"")).to_bytes(_MARK_BYTES)

"""Live prices to many connections: what is new is put into bytes once, and written to everybody who follows.

    LivePrices ─▶ Broadcast.put ─▶ run, a moment later ─▶ Channel.offer ─▶ the client's socket
                                                                      └──▶ Channel.next: the stream's own task

A client that reads costs one system call. One that does not take what is offered is left to its own task, which may
wait. The rule: a channel holds at most one event per pair; who reads slowly misses prices in between, never memory.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Protocol

import trio

PACE_S = 0.05
"""Changes within so short a time travel together: the pairs of one publishing are one write."""

TURN = 64
"""So many clients are written to before everybody else has a turn: about a millisecond."""

Events = Mapping[str, bytes]
"""The newest event of each pair, as JSON."""

WriteNow = Callable[[bytes], bool]
"""Sends bytes without waiting if nothing else is being sent; tells whether they are on their way, whole."""


class Form(Hashable, Protocol):
    """How a stream looks: equal ones share their bytes."""

    @property
    def pairs(self) -> frozenset[str]:
        """Which pairs it is about."""
        ...

    def render(self, events: Events, known: Events) -> bytes:
        """Return events as they are sent to a client that then has heard of all that is `known`."""
        ...


def never(_: bytes) -> bool:
    """Leave everything to the stream's own task: a `WriteNow`."""
    return False


class Channel:
    """One stream of one client: begins with what is `known`, and knows what its client does once all is sent."""

    def __init__(self, form: Form, write_now: WriteNow, known: Events) -> None:
        self.form = form
        self.known = known
        self.closed = False
        self._write_now = write_now
        self._begun_with = known
        self._slots = {pair: known[pair] for pair in form.pairs & known.keys()}
        self._woken = trio.Event()

    def offer(self, payload: bytes, events: Events, known: Events) -> None:
        """Send `payload`, which is `events` in the channel's form, or keep the events until they can be sent."""
        self.known = known
        if self._begun_with:  # what was new when it began is not news
            events = {pair: event for pair, event in events.items() if self._begun_with.get(pair) is not event}
            payload = self.form.render(events, known) if events else b""
            self._begun_with = {}
        if events and (self._slots or not self._write_now(payload)):
            self._slots |= events
            self._woken.set()

    async def next(self) -> bytes:
        """Return what the client is to be sent by its own task; nothing when no more will come."""
        while not self._slots and not self.closed:
            self._woken = trio.Event()
            await self._woken.wait()
        events = self.empty()
        return self.form.render(events, self.known) if events else b""

    def empty(self) -> Events:
        """Return the events that the client has not been sent yet; they are the caller's to send."""
        events, self._slots = self._slots, {}
        return events

    def close(self) -> None:
        """Say that no more will come."""
        self.closed = True
        self._woken.set()


class Broadcast:
    """All channels of this process. `run` it once, in the thread that calls the rest."""

    def __init__(self) -> None:
        self._events: dict[str, bytes] = {}
        self._news: dict[str, bytes] = {}
        self._woken = trio.Event()
        self._channels: dict[Form, set[Channel]] = {}
        self.closing = trio.Event()

    @property
    def channels(self) -> int:
        """How many there are."""
        return sum(map(len, self._channels.values()))

    def put(self, pair: str, event: bytes) -> None:
        """Take the newest event of a pair, unless it says what the last one said."""
        if self._events.get(pair) != event:
            self._events[pair] = event
            if self._channels:
                self._news[pair] = event
                self._woken.set()

    def open(self, form: Form, write_now: WriteNow = never) -> Channel:
        """Return a new channel, which already holds what is known now; `leave` it in the end."""
        channel = Channel(form, write_now, dict(self._events))
        if self.closing.is_set():
            channel.close()
        self._channels.setdefault(form, set()).add(channel)
        return channel

    def leave(self, channel: Channel) -> None:
        """Forget a channel."""
        channels = self._channels[channel.form]
        channels.discard(channel)
        if not channels:
            del self._channels[channel.form]

    def close(self) -> None:
        """End every stream, the present and the future ones, after what they are still to be sent."""
        self.closing.set()
        self._woken.set()

    async def run(self) -> None:
        """Send what is new, until closed."""
        closing = False
        while not closing:
            await self._woken.wait()
            with trio.move_on_after(PACE_S):
                await self.closing.wait()
            self._woken, closing = trio.Event(), self.closing.is_set()
            await self._send()
        for channel in self._open():
            channel.close()

    async def _send(self) -> None:
        news, self._news = self._news, {}
        known = dict(self._events)
        sent = 0
        for form, channels in tuple(self._channels.items()):
            events = {pair: event for pair, event in news.items() if pair in form.pairs}
            payload = form.render(events, known) if events else b""
            for channel in tuple(channels) if events else ():
                if channel in channels:  # it may have left during somebody else's turn
                    channel.offer(payload, events, known)
                sent += 1
                if sent % TURN == 0:
                    await trio.lowlevel.checkpoint()

    def _open(self) -> Iterable[Channel]:
        return [channel for channels in self._channels.values() for channel in channels]

"""The fast lane of one connection: calls are recognised in its bytes and answered here, below Hypercorn. No I/O.

    bytes ─▶ Lane.feed ─▶ replies, as far as nothing has to be waited for
                      └─▶ held: bytes of a call that is not complete, or that are not the lane's

Hypercorn and Quart take a thousand function calls for a request, most of them for what a call does not need. Canonical
requests do without: exactly `POST /netron/invoke` or `/netron/batch`, a small plain head that says nothing twice, and a
body of a known, permitted length. They go through the same `Endpoint`, so they get the same bytes in either lane.

The rule: the lane refuses nothing. What it does not know for certain it hands on unchanged; Hypercorn, the guard and
the application have the word.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import httptools

from priceverse.rpc.endpoint import Head, HttpReply, Rest

MAX_HEAD_BYTES = 4096
MAX_KNOWN_HEADS = 16
"""Of one connection: a client repeats itself, or it is not worth remembering."""

_PLAIN = re.compile(rb"(?:[\x21-\x7e][\x20-\x7e]*\r\n)+\r\n")
_HOST = re.compile(rb"[0-9A-Za-z._:\[\]-]+")
_LENGTH = re.compile(rb"[0-9]{1,7}")
_TYPE = re.compile(rb"application/json(?:; ?charset=utf-8)?", re.IGNORECASE)
_FOREIGN = frozenset(
    {b"transfer-encoding", b"content-encoding", b"expect", b"upgrade", b"te", b"trailer", b"origin", b"authorization"}
)
"""Headers that change what a request means, or what its answer must look like."""

Door = Callable[[bytes, Head], HttpReply | Rest]


@dataclass(frozen=True, slots=True)
class Rules:
    """What all lanes have in common: `doors` by path, how a reply is written, and whether the lanes are open at all.

    `identify` makes a call's `Head` of the client's address and the head's fields, whose names are in lower case.
    """

    doors: Mapping[bytes, Door]
    identify: Callable[[str, Mapping[str, str]], Head]
    render: Callable[[HttpReply], bytes]
    is_open: Callable[[], bool]
    max_body_bytes: int


CLOSED = Rules({}, lambda *_: Head(), lambda reply: reply.body, lambda: False, 0)
"""Everything is foreign."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a head says: which door, how long the body is, who asks."""

    door: Door
    body_bytes: int
    head: Head


class Lane:
    """The lane of the connection from `address`.

    After `feed`, `held` is what was not answered. If `foreign`, it is not the lane's; if `rest` is set, it comes behind
    a call that must be waited for; else it wants more bytes.
    """

    def __init__(self, rules: Rules, address: str) -> None:
        self._rules = rules
        self._address = address
        self._starts = {b"POST %s HTTP/1.1\r\n" % path: door for path, door in rules.doors.items()}
        self._known: dict[bytes, Known | None] = {}
        self.held = b""
        self.foreign = False
        self.rest: Rest | None = None

    def feed(self, data: bytes) -> bytes:
        """Take bytes; return the replies to the calls in them, up to the first that must be waited for."""
        buffer = self.held + data if self.held else data
        self.foreign = bool(buffer) and not self._rules.is_open()
        replies = []
        at = 0
        while at < len(buffer) and not self.foreign:
            head_end = buffer.find(b"\r\n\r\n", at) + 4
            if head_end < 4:  # not found
                self.foreign = not self._may_become_ours(buffer[at:])
                break
            raw = buffer[at:head_end]
            known = self._known.get(raw) or self._know(raw)
            if known is None:
                self.foreign = True
                break
            end = head_end + known.body_bytes
            if len(buffer) < end:
                break
            begun = known.door(buffer[head_end:end], known.head)
            at = end
            if not isinstance(begun, HttpReply):
                self.rest = begun
                break
            replies.append(self._rules.render(begun))
        self.held = buffer[at:]
        return b"".join(replies)

    async def finish(self) -> bytes:
        """Wait for the call that must be waited for; return the replies to it and to those that have come behind it."""
        rest, self.rest = self.rest, None
        assert rest is not None
        return self._rules.render(await rest()) + self.feed(b"")

    def hand_over(self) -> bytes:
        """Return what is held, for somebody else to deal with."""
        held, self.held, self.foreign = self.held, b"", False
        return held

    def _may_become_ours(self, begun: bytes) -> bool:
        if len(begun) > MAX_HEAD_BYTES:
            return False
        return any(begun.startswith(line[: len(begun)]) for line in self._starts)

    def _know(self, raw: bytes) -> Known | None:
        if raw in self._known:
            return self._known[raw]
        if len(self._known) >= MAX_KNOWN_HEADS:
            self._known.clear()
        known = self._known[raw] = self._read(raw) if len(raw) <= MAX_HEAD_BYTES else None
        return known

    def _read(self, raw: bytes) -> Known | None:
        door = self._starts.get(raw[: raw.index(b"\r\n") + 2])
        fields = _fields(raw) if door is not None else None
        if door is None or fields is None or not _is_plain(fields):
            return None
        body_bytes = int(fields[b"content-length"])
        if body_bytes > self._rules.max_body_bytes:
            return None
        named = {name.decode(): value.decode() for name, value in fields.items()}
        return Known(door, body_bytes, self._rules.identify(self._address, named))


class _Fields:
    """What httptools tells of a head."""

    def __init__(self) -> None:
        self.found: dict[bytes, bytes] = {}
        self.repeated = False

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        self.repeated |= name in self.found
        self.found[name] = value.strip()


def _fields(raw: bytes) -> dict[bytes, bytes] | None:
    """Return a head's fields by name in lower case; None for a head that anybody might read otherwise."""
    if not _PLAIN.fullmatch(raw):
        return None
    fields = _Fields()
    parser = httptools.HttpRequestParser(fields)
    try:
        parser.feed_data(raw)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        return None
    return fields.found if parser.should_keep_alive() and not fields.repeated else None


def _is_plain(fields: Mapping[bytes, bytes]) -> bool:
    """Tell whether nothing in a head asks for more than the lane can do."""
    return bool(
        _HOST.fullmatch(fields.get(b"host", b""))
        and _LENGTH.fullmatch(fields.get(b"content-length", b""))
        and _TYPE.fullmatch(fields.get(b"content-type", b""))
        and fields.get(b"connection", b"keep-alive").lower() == b"keep-alive"
        and _FOREIGN.isdisjoint(fields)
    )

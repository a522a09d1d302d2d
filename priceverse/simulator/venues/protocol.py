"""What a simulated venue is: values in and out, no socket and no clock.

`server` calls `Venue.rest` for a plain request and `Venue.session` for an upgrade; `connection` feeds the session what
the client says and sends what it answers; `hub` asks the venue for frames and sends them to those who want them.
The rule: state lives in the session (one client) or in the venue's `history`; everything else is passed in.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from priceverse.model.exchange import Exchange
from priceverse.simulator.history import History
from priceverse.simulator.match import Match

JSON = dict[str, object] | list[object]


@dataclass(frozen=True, slots=True)
class Frame:
    """A trade frame and the symbols of the trades in it."""

    symbols: frozenset[str]
    text: str


@dataclass(frozen=True, slots=True)
class Ping:
    """A WebSocket ping to send."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """End the connection."""

    code: int
    reason: str


Output = str | Ping | Close


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request, over TLS or not; `path` is what follows the venue's prefix, header names are lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""
    is_secure: bool = False


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP response."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


def reply(document: object, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    """Return a JSON response."""
    return Response(status, msgspec.json.encode(document), headers=headers)


class Session(Protocol):
    """One client's conversation with a venue, after the handshake. Times are ns UTC."""

    subscribed: set[str]
    """Symbols whose trades the client gets."""

    def welcome(self, now_ns: int) -> list[Output]:
        """Return what the venue sends unasked, first of all."""
        ...

    def receive(self, text: str, now_ns: int) -> list[Output]:
        """Return the replies to a text message; `subscribed` may change."""
        ...

    def pong(self, now_ns: int) -> None:
        """Note that the client answered a WebSocket ping."""
        ...

    def tick(self, now_ns: int, idle_ns: int) -> list[Output]:
        """Return what is due by the clock; called a few times a second. Nothing was sent for `idle_ns`."""
        ...

    def text(self, frame: Frame) -> str:
        """Return a trade frame as this connection gets it."""
        ...


class Venue(Protocol):
    """One exchange: its sessions, its trade frames, its REST."""

    exchange: Exchange
    history: History

    def session(self, request: Request, now_ns: int) -> Session | Response:
        """Return the conversation that this upgrade begins, or the refusal."""
        ...

    def rows(self, matches: Sequence[Match]) -> Sequence[Match]:
        """Return the fills of one taker order as the rows that the venue reports."""
        ...

    def frames(self, rows: Sequence[Match]) -> list[Frame]:
        """Return the frames that report rows of one symbol."""
        ...

    def rest(self, request: Request, now_ns: int) -> Response:
        """Answer an HTTP request."""
        ...


@dataclass(slots=True)
class Quiet:
    """A session that says nothing by itself; the venues' sessions begin from it."""

    subscribed: set[str] = field(default_factory=set)

    def welcome(self, now_ns: int) -> list[Output]:  # noqa: ARG002 - the port's signature
        return []

    def pong(self, now_ns: int) -> None:
        """Ignore it."""

    def tick(self, now_ns: int, idle_ns: int) -> list[Output]:  # noqa: ARG002 - the port's signature
        return []

    def text(self, frame: Frame) -> str:
        return frame.text


@dataclass(slots=True)
class MessageLimit:
    """How many messages a client may send within a time."""

    most: int
    within_ns: int
    _seen: deque[int] = field(default_factory=deque)

    def exceeded(self, now_ns: int) -> bool:
        """Count a message; tell whether it is one too many."""
        while self._seen and self._seen[0] <= now_ns - self.within_ns:
            self._seen.popleft()
        self._seen.append(now_ns)
        return len(self._seen) > self.most


def parsed(text: str) -> dict[str, object] | None:
    """Return the JSON object in a client's message, None if it is anything else."""
    try:
        document = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


LONGEST_NUMBER = 19


def is_number(text: str) -> bool:
    """Tell whether a text is a whole number of a sane length."""
    return text.isascii() and text.isdecimal() and len(text) <= LONGEST_NUMBER


def number(request: Request, key: str, default: int, most: int) -> int:
    """Return a query parameter as a number between 1 and `most`; nonsense counts as `default`."""
    text = request.query.get(key, "")
    return min(max(int(text), 1), most) if is_number(text) else default


def strings(value: object) -> list[str]:
    """Return the texts of a JSON list; anything else in it, or around it, is left out."""
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def cursor(request: Request, key: str) -> int | None:
    """Return a trade id of the query, None where there is none."""
    text = request.query.get(key, "")
    return int(text) if is_number(text) else None


def symbols(rows: Iterable[Match]) -> frozenset[str]:
    """Return the symbols of some rows."""
    return frozenset(row.symbol for row in rows)

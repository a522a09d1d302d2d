"""What an adapter is: data and pure functions that turn one venue's frames into trades. The collector does all waiting.

One adapter per venue, in the file of its name; `registry` maps the enum to them. Whatever a venue sends, `receive`
returns a list and raises nothing: what could not be understood is a `Reject`, counted and dropped by the caller.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from priceverse.model.exchange import Exchange
from priceverse.model.trade import Trade


class ControlKind(StrEnum):
    """What a frame that carries no trade means for the session."""

    ACK = "ack"  # a subscription was accepted
    STATUS = "status"  # the venue talks about itself
    HEARTBEAT = "heartbeat"  # the link lives though the market is silent
    PONG = "pong"  # reply to our ping
    WELCOME = "welcome"  # subscribe now
    SHUTDOWN = "shutdown"  # the venue will close: connect anew at once
    ERROR = "error"  # the venue refused something
    IGNORED = "ignored"  # well formed, nothing to do


@dataclass(frozen=True, slots=True)
class Control:
    """A frame, or part of one, that is not a trade. `symbol` where the venue names one; `detail` is its own text."""

    kind: ControlKind
    symbol: str | None = None
    detail: str = ""


class Reason(StrEnum):
    """Why a frame, or one row of it, cannot be a trade: the label under which rejects are counted."""

    TOO_LARGE = "too_large"
    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    TOO_DEEP = "too_deep"
    NOT_AN_OBJECT = "not_an_object"
    TOO_MANY_ROWS = "too_many_rows"
    BAD_ENVELOPE = "bad_envelope"
    BAD_SYMBOL = "bad_symbol"
    BAD_PRICE = "bad_price"
    BAD_VOLUME = "bad_volume"
    BAD_TIME = "bad_time"
    BAD_ID = "bad_id"
    BAD_SIDE = "bad_side"
    BAD_FLAG = "bad_flag"


@dataclass(frozen=True, slots=True)
class Reject:
    """A frame, or one row of it, that cannot be a trade. `reason` is a `Reason`, `sample` a bounded piece."""

    reason: str
    sample: str


Item = Trade | Control | Reject


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request to make before connecting (KuCoin's token) or for history."""

    method: str
    url: str


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to connect and how to keep the connection.

    `secret` is the part of `url` never to be logged ("" if none). `ping_interval_s` is how often the client must send
    `Adapter.ping` (None: the venue pings, or nobody does). `wait_welcome`: subscribe only after a WELCOME.
    """

    url: str
    secret: str = ""
    ping_interval_s: float | None = None
    wait_welcome: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """A trade as a place in its symbol's history."""

    trade_id: str
    timestamp_ms: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Trades of a symbol that are wanted: those between two others, or up to the newest where `before` is None."""

    symbol: str
    after: Mark
    before: Mark | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """What one REST reply holds of a gap: its trades, oldest first, and the rows that were none.

    `cursor` is the venue's word for the next page; None: there is none. `is_cut`: where ids tell nothing, that the
    venue no longer has the gap's beginning.
    """

    trades: tuple[Trade, ...]
    rejects: tuple[Reject, ...] = ()
    cursor: str | None = None
    is_cut: bool = False


class PageError(Exception):
    """A reply is no page of trades; the text says what came instead."""


class PreludeError(Exception):
    """The reply to the prelude cannot be used; the text says what came and what was expected."""


class Adapter(Protocol):
    """One venue's protocol; each venue's class inherits what is written out here and states only what differs.

    Instances hold only what follows from their symbol map (venue symbol → pair). KuCoin's also remembers whether the
    REST base given to `prelude` was on loopback.
    """

    exchange: Exchange
    pairs: Mapping[str, str]
    lifetime_s: float | None = None
    """The venue cuts a connection of this age; None where no limit is documented."""
    is_numbered: bool = False
    """A symbol's ids rise by `Trade.count`, so that a missing id is a missing trade."""
    pages_back: bool = False
    """Pages of history come newest first."""
    newest_rows: int | None = None
    """So many of the newest trades are all the history there is; None: it goes back by pages."""
    request_interval_s: float = 0.2
    """The shortest time between requests for history that is within the venue's limits."""

    def __init__(self, symbols: Mapping[str, str]) -> None:
        self.pairs = symbols

    def prelude(self, rest_url: str) -> Request | None:  # noqa: ARG002 - most venues want none
        """Return the request to make before each connection, if the venue wants one."""
        return None

    def endpoint(self, ws_url: str, prelude: bytes | None, connect_id: str) -> Endpoint:  # noqa: ARG002 - KuCoin's
        """Return where to connect, from the configured base and the reply to the prelude. Raises PreludeError."""
        return Endpoint(ws_url)

    def subscribe(self, symbols: Sequence[str]) -> list[str]:
        """Return the text frames that subscribe to `symbols` (venue spelling); none where the URL does it."""
        ...

    def ping(self, now_ms: int) -> str:  # noqa: ARG002 - some venues want a number
        """Return the keep-alive text frame for `Endpoint.ping_interval_s`."""
        return ""

    def receive(self, frame: str | bytes) -> list[Item]:
        """Return everything in one frame, in the frame's order. Never raises for what a venue may send.

        A frame of trades gives one item per row, so an item's position is the row's; a row of a symbol that is not in
        the map is a Control IGNORED. No other frame gives a Trade. Bounded in time and memory whatever comes.
        """
        ...

    def history(self, rest_url: str, gap: Gap, cursor: str = "") -> Request:
        """Return the request for a page of the gap: the first, or the one that the last page's cursor names."""
        ...

    def page(self, gap: Gap, cursor: str, reply: bytes) -> Page:
        """Read the reply to `history(…, gap, cursor)`. Raises PageError, and nothing else whatever comes.

        Only trades inside the gap are in the page, all marked as historical. A cursor always leads on: paging ends.
        """
        ...

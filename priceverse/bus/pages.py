"""One page of a trade stream, as a read of it gave it (pure).

Redis answers reads that travel together one by one: while a page is decoded here, there the next one is made. So this
is what a connection does with such a reply as soon as it has come. The rule: an entry that somebody else wrote to our
stream is counted, and costs nobody the others.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from priceverse.bus.entries import StreamId, decode
from priceverse.pricing.entry import Entry

SIZE = 1000
"""Most entries of one stream in one page."""

Raw = Sequence[tuple[bytes, Sequence[bytes]]]
"""Entries as Redis sends them: a dictionary per entry would cost more than decoding the trade."""


class Page(NamedTuple):
    """The trades in their order, how many entries were `unreadable`, and the last one's id, readable or not."""

    trades: list[Entry]
    unreadable: int
    last: StreamId | None

    @property
    def is_full(self) -> bool:
        """Tell whether there may be more: the read stopped at its limit."""
        return len(self.trades) + self.unreadable >= SIZE


def page(reply: Raw) -> Page:
    """Decode what XRANGE gave, or another read of one stream."""
    trades: list[Entry] = []
    for identifier, fields in reply:
        try:
            trades.append(decode(identifier, fields))
        except ValueError:
            continue  # counted below
    return Page(trades, len(reply) - len(trades), StreamId.parse(reply[-1][0]) if reply else None)


def pages(reply: Sequence[tuple[bytes, Raw]] | None, **_: Any) -> Mapping[str, Page]:  # noqa: ANN401 - redis-py's options
    """Decode what XREAD or XREADGROUP gave, by the stream's name; streams without a new entry are not in it."""
    return {name.decode(): page(entries) for name, entries in reply or ()}


def as_sent(reply: Raw, **_: Any) -> Raw:  # noqa: ANN401 - as above
    """Leave what XRANGE gave as it is."""
    return reply


READS: Mapping[str, Callable[..., Any]] = {"XRANGE": as_sent, "XREAD": pages, "XREADGROUP": pages}
"""What is done with the replies of these commands."""

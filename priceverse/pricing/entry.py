"""A trade as the stream tells of it: what pricing needs to know, and its place in the stream, which decides on history.

There are many of them: a named tuple costs a fifth of what a frozen dataclass costs to make.
"""

from decimal import Decimal
from typing import NamedTuple

EntryId = tuple[int, int]
"""The id of a stream entry: Redis's clock when it came (ms), and a number within that millisecond."""


class Entry(NamedTuple):
    """One entry; price and volume have exactly the digits received, in the venue's own quote currency."""

    id: EntryId
    exchange: str
    trade_id: str
    price: Decimal
    volume: Decimal
    timestamp_ms: int
    received_ms: int

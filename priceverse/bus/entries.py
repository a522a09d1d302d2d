"""One entry of a trade stream: its id, the trade in it, and how both are spelt (pure).

The rule: an entry carries exactly the digits received. What somebody else wrote into our stream raises ValueError.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

from priceverse.model.decimals import LARGEST, SMALLEST
from priceverse.model.trade import Trade
from priceverse.pricing.entry import Entry

NAMES = (b"exchange", b"price", b"volume", b"timestamp", b"trade_id", b"side", b"received")
MAX_CHARS = 100
LEAST, BEYOND = Decimal(10) ** SMALLEST, Decimal(10) ** (LARGEST + 1)


class StreamId(NamedTuple):
    """A stream entry's id; ids of one stream only grow. `ms` is Redis's clock when the entry came."""

    ms: int
    sequence: int

    def __str__(self) -> str:
        return f"{self.ms}-{self.sequence}"

    @classmethod
    def parse(cls, text: str | bytes) -> "StreamId":
        """Read `ms-sequence`. Raises ValueError."""
        ms, _, sequence = (text.decode() if isinstance(text, bytes) else text).partition("-")
        return cls(int(ms), int(sequence or 0))

    @classmethod
    def before(cls, ms: int) -> "StreamId":
        """Return the largest id below the millisecond `ms`."""
        return cls(ms - 1, MAX_SEQUENCE) if ms > 0 else BEGINNING


MAX_SEQUENCE = 2**64 - 1
BEGINNING = StreamId(0, 0)


@dataclass(frozen=True, slots=True)
class Received:
    """A trade and the moment our collector had it, ms UTC."""

    trade: Trade
    received_ms: int


def encode(received: Received) -> tuple[str | int, ...]:
    """Return the fields of an entry, names and values by turns. The stream tells the pair; the symbol is not kept."""
    trade = received.trade
    return (
        *("exchange", trade.exchange),
        *("price", str(trade.price)),
        *("volume", str(trade.volume)),
        *("timestamp", trade.timestamp_ms),
        *("trade_id", trade.trade_id),
        *("side", trade.side.value),
        *("received", received.received_ms),
    )


def decode(identifier: bytes, fields: Sequence[bytes]) -> Entry:
    """Read an entry as Redis sends it. Raises ValueError."""
    if tuple(fields[::2]) != NAMES:
        raise ValueError("not the fields of a trade")
    exchange, price, volume, timestamp, trade_id, _, received = fields[1::2]
    ms, _, sequence = identifier.partition(b"-")
    return Entry(
        (int(ms), int(sequence)),
        exchange.decode(),
        trade_id.decode(),
        _number(price),
        _number(volume),
        int(timestamp),
        int(received),
    )


def _number(spelt: bytes) -> Decimal:
    """Read a number that was admitted when it was written: here only what could spoil a sum is refused."""
    try:
        number = Decimal(spelt.decode())
        if LEAST <= number < BEYOND and len(spelt) <= MAX_CHARS:
            return number
    except InvalidOperation as error:  # not a number, or NaN
        raise ValueError("not a number") from error
    raise ValueError("not a number that is admitted")

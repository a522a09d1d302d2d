"""One entry of a trade stream: its id, the trade in it, and how both are spelt (pure).

The rule: an entry carries exactly the digits received. What somebody else wrote into our stream raises ValueError.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import NamedTuple

from priceverse.model.decimals import LARGEST, SMALLEST
from priceverse.model.exchange import Exchange
from priceverse.model.trade import Trade
from priceverse.pricing.entry import Entry

NAMES = (b"exchange", b"price", b"volume", b"timestamp", b"trade_id", b"side", b"received")
MAX_CHARS = 100
PRICES = 4096
"""Trades share few prices: so many are read once."""

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
    exchange, price, volume, timestamp, trade_id, received = _values(fields)
    ms, _, sequence = identifier.partition(b"-")
    return _new(
        Entry,
        (
            (int(ms), int(sequence)),
            _EXCHANGES.get(exchange) or exchange.decode(),
            trade_id.decode(),
            _price(price),
            _number(volume),
            int(timestamp),
            int(received),
        ),
    )


def _values(fields: Sequence[bytes]) -> tuple[bytes, bytes, bytes, bytes, bytes, bytes]:
    try:
        (  # spelt out: slices and a comparison of tuples cost three times as much
            exchange_, exchange, price_, price, volume_, volume, timestamp_, timestamp,
            trade_id_, trade_id, side_, _, received_, received,
        ) = fields  # fmt: skip
    except ValueError as error:
        raise ValueError("not the fields of a trade") from error
    names = exchange_, price_, volume_, timestamp_, trade_id_, side_, received_
    if names != NAMES:
        raise ValueError("not the fields of a trade")
    return exchange, price, volume, timestamp, trade_id, received


def _number(spelt: bytes) -> Decimal:
    """Read a number that was admitted when it was written: here only what could spoil a sum is refused."""
    try:
        number = Decimal(spelt.decode())
        if LEAST <= number < BEYOND and len(spelt) <= MAX_CHARS:
            return number
    except InvalidOperation as error:  # not a number, or NaN
        raise ValueError("not a number") from error
    raise ValueError("not a number that is admitted")


_price = lru_cache(PRICES)(_number)
_EXCHANGES = {exchange.value.encode(): exchange.value for exchange in Exchange}
_new = tuple.__new__
"""A named tuple's own constructor costs three times as much."""

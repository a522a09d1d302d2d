"""One entry of a trade stream: its id, the trade in it, and how both are spelt (pure).

The rule: an entry carries exactly the digits received. What somebody else wrote into our stream raises ValueError.
"""

from dataclasses import dataclass
from typing import NamedTuple

from priceverse.model.decimals import positive
from priceverse.model.exchange import Side
from priceverse.model.trade import Trade

SIDES = {side.value: side for side in Side}


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
    """Return the fields of an entry, name by value. The pair is the stream's; the venue's symbol is not kept."""
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


def decode(pair: str, fields: list[bytes]) -> Received:
    """Read what `encode` wrote. Raises ValueError."""
    text = [field.decode() for field in fields]
    value = dict(zip(text[::2], text[1::2], strict=True))
    try:
        trade = Trade(
            exchange=value["exchange"],
            symbol="",
            pair=pair,
            price=positive(value["price"]),
            volume=positive(value["volume"]),
            timestamp_ms=int(value["timestamp"]),
            trade_id=value["trade_id"],
            side=SIDES[value["side"]],
        )
        return Received(trade, int(value["received"]))
    except KeyError as missing:
        raise ValueError(f"no field or value {missing}") from None

"""What a venue's matching engine did: the value that runs from the feeds to frames, REST rows and the truth.

The rule: numbers are text from here on, in exactly the digits that the venue prints.
"""

from dataclasses import dataclass

from priceverse.model.exchange import Side

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
NS_PER_US = 1_000


@dataclass(frozen=True, slots=True)
class Match:
    """One fill. `side` is the taker's; fills of one taker order share `order`.

    `count` is above 1 only where a venue reports several fills as one row: `trade_id` is then the last of them.
    """

    symbol: str
    trade_id: str
    price: str
    volume: str
    time_ns: int
    side: Side
    order: int = 0
    count: int = 1

    @property
    def time_ms(self) -> int:
        """Return the time floored to ms."""
        return self.time_ns // NS_PER_MS


def fixed(units: int, places: int) -> str:
    """Print `units` × 10^-places with all its places: `fixed(65091, 2)` is `650.91`."""
    digits = f"{units:0{places + 1}d}"
    return f"{digits[:-places]}.{digits[-places:]}" if places else digits


def trimmed(number: str) -> str:
    """Drop zeros, and a point, that end a decimal number."""
    return number.rstrip("0").rstrip(".") if "." in number else number

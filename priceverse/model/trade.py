"""A trade: what one exchange frame says happened, exactly, and nothing that we concluded from it."""

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import NamedTuple, cast

from priceverse.model.exchange import Side


class Trade(NamedTuple):
    """One trade of one exchange; a tuple, because it is made in a quarter of a frozen dataclass's time.

    `price` and `volume` hold exactly the digits received, in the venue's own quote currency and in the base currency.
    `timestamp_ms` is the exchange's time, floored to ms UTC. `trade_id` is unique per exchange and symbol; `side` is
    the taker's. `historical` marks what the venue replays on subscribing: real, but maybe already counted.
    `block` marks an off-book trade, which does not make a price. `count` is above 1 where a row joins several matches:
    it stands for the ids `trade_id` - `count` + 1 to `trade_id`.
    """

    exchange: str
    symbol: str
    pair: str
    price: Decimal
    volume: Decimal
    timestamp_ms: int
    trade_id: str
    side: Side
    historical: bool = False
    block: bool = False
    count: int = 1  # type: ignore[assignment] # hides tuple.count, which nobody asks a trade for


Fields = tuple[str, str, str, Decimal, Decimal, int, str, Side, bool, bool, int]
"""All fields of a trade, in its order."""

made_of = cast("Callable[[Fields], Trade]", partial(tuple.__new__, Trade))
"""Return a trade with these fields, which are all: in half the time of `Trade(…)`."""

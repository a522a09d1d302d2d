"""The live cache of this process: the newest price of every pair, rendered when it comes. Fed in the trio thread."""

from collections.abc import Callable

import msgspec

from priceverse.model.price import Price
from priceverse.rpc.envelope import encode
from priceverse.services.prices import event_of, reply_of
from priceverse.services.quotes import age_ms, quote_of

NOTHING = (-1, msgspec.Raw(b""))
"""What is known of a pair never heard of: always too old."""


Hear = Callable[[str, bytes], None]
"""Takes the newest event of a pair as JSON."""


class LivePrices:
    """The `Live` port. `on_event` hears every price as the streams tell it."""

    def __init__(self, *, max_price_age_ms: int, now_ms: Callable[[], int], on_event: Hear) -> None:
        self._max_price_age_ms = max_price_age_ms
        self._now_ms = now_ms
        self._on_event = on_event
        self._prices: dict[str, Price] = {}
        self._rendered: dict[str, tuple[int, msgspec.Raw]] = {}

    def get(self, pair: str) -> Price | None:
        """Return the newest price heard, of any age."""
        return self._prices.get(pair)

    def rendered(self, pair: str) -> msgspec.Raw | None:
        """Return the newest price heard as getPrice answers it; None if there is none, or only one too old to serve.

        Rendered once when it came, for the thousands of times that it is asked for.
        """
        best_before_ms, reply = self._rendered.get(pair, NOTHING)
        return reply if self._now_ms() <= best_before_ms else None

    def put(self, price: Price) -> None:
        """Take a price from the bus."""
        quote = quote_of(price)
        self._prices[price.pair] = price
        reply = msgspec.Raw(encode(reply_of(quote)))
        self._rendered[price.pair] = (price.as_of_ms + self._max_price_age_ms, reply)
        is_stale = age_ms(quote, self._now_ms()) > self._max_price_age_ms
        self._on_event(price.pair, encode(event_of(quote, stale=is_stale)))

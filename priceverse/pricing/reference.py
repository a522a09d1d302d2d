"""What a USDT is worth in USD, for every pair that is quoted in it.

Whoever prices such a pair reads `stream:trades:usdt-usd` beside its own streams, without owning or acknowledging it,
and computes the index of the reference pair itself, by the same windows, grid and rules. So a conversion too is a
function of the streams, the same for whoever computes it, on the first day or on replay; nobody waits for anybody's
published price. The rule: instant T is converted by the reference's own instant T, or by its last one where the newest
trade is at most `REFERENCE_MAX_AGE_MS` older than T; without that it is not converted.
"""

from decimal import Decimal

from priceverse.pricing.convert import REFERENCE_MAX_AGE_MS, Conversions, conversion
from priceverse.pricing.pricer import Market, PairPricer
from priceverse.pricing.schedule import Grid, Position


class Reference:
    """Follows the reference pair's stream from far enough back to convert every instant from `first_ms` on."""

    def __init__(self, market: Market, grid: Grid, first_ms: int) -> None:
        self.begun = self.earlier(grid, first_ms)
        self.pricer = PairPricer(market, grid, self.begun)
        self._conversions = Conversions()
        self._live: tuple[Decimal, int] | None = None

    @staticmethod
    def earlier(grid: Grid, first_ms: int) -> Position:
        """Return the position from which the reference must be followed to serve the instants from `first_ms` on.

        A late trade of a candle is converted by the instant that it belongs to.
        """
        return grid.position_at(grid.floor_ms(first_ms) - REFERENCE_MAX_AGE_MS - grid.interval_ms)

    def settle(self) -> None:
        """Work out the conversions of the instants that are complete by now."""
        while self.pricer.closed:
            snapshot = self.pricer.closed.popleft()
            index = self.pricer.verdict_at(snapshot, None).index
            if index is not None:
                self._conversions.add(snapshot.instant_ms, conversion(index.price), index.as_of_ms)

    def is_settled(self, instant_ms: int) -> bool:
        """Tell whether the conversion of an instant is final."""
        return self.pricer.grid.closes_ms(instant_ms) <= self.pricer.reached_ms

    def at(self, instant_ms: int) -> Decimal | None:
        """Return the conversion of a settled instant."""
        return self._conversions.at(instant_ms)

    def now(self, now_ms: int) -> Decimal | None:
        """Return the conversion of this moment, for live prices."""
        if self.pricer.fresh:
            index = self.pricer.verdict(now_ms, None).index
            self._live = (conversion(index.price), index.as_of_ms) if index else self._live
        if self._live is None or now_ms - self._live[1] > REFERENCE_MAX_AGE_MS:
            return None
        return self._live[0]

    def serves(self, first_ms: int) -> bool:
        """Tell whether the instants from `first_ms` on can be served: this follows the reference from early enough."""
        return self.begun <= self.earlier(self.pricer.grid, first_ms)

    def forget(self, before_ms: int) -> None:
        """Drop what neither an instant from `before_ms` on nor a trade that is added with it can need."""
        self.begun = max(self.begun, self.earlier(self.pricer.grid, before_ms))
        self._conversions.forget(self.pricer.grid.floor_ms(before_ms))

"""Index and candles computed the slow and plain way from the simulator's truth, sharing no code with the program."""

import json
from collections import defaultdict
from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from pathlib import Path

USD_VENUES = {"kraken", "coinbase"}
EIGHT = Decimal("1e-8")
EXACT = Context(prec=100)
TWENTY = Decimal("1e-20")
BUCKET_MS = 300_000
GRID_MS, WINDOW_MS = 10_000, 30_000


@dataclass(frozen=True)
class Bar:
    """Trades of a stretch of time in USD: first, highest, lowest and last price, sums, and their number."""

    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    value: Decimal
    trades: int


class Truth:
    """Every trade that the simulator sent."""

    def __init__(self, file: Path) -> None:
        self.trades: dict[str, list[tuple[int, str, Decimal, Decimal]]] = defaultdict(list)
        self.ids: dict[str, list[str]] = defaultdict(list)
        self.worth: dict[int, Decimal] = {}
        for line in file.read_text(encoding="utf-8").splitlines():
            trade = json.loads(line)
            self.trades[trade["pair"]].append(
                (trade["timestamp"], trade["exchange"], Decimal(trade["price"]), Decimal(trade["volume"]))
            )
            self.ids[trade["pair"]].append(trade["trade_id"])

    def window(self, pair: str, start_ms: int, end_ms: int) -> list[tuple[int, str, Decimal, Decimal]]:
        return [trade for trade in self.trades[pair] if start_ms <= trade[0] < end_ms]

    def index(self, pair: str, start_ms: int, end_ms: int) -> tuple[Decimal, Decimal, set[str]]:
        """Return price, volume and venues: Σpv/Σv over [start, end), USDT venues times the usdt-usd index."""
        with localcontext() as context:
            context.prec = 100
            value, volume, venues = self._sums(pair, start_ms, end_ms)
            return (value / volume).quantize(EIGHT), volume.quantize(EIGHT), venues

    def bar(self, pair: str, start_ms: int, end_ms: int) -> Bar | None:
        """Return what the trades of [start, end) make of a candle, a USDT trade at the rate of its instant."""
        found = sorted(
            ((ms, venue, len(number), number), price, volume)
            for (ms, venue, price, volume), number in zip(self.trades[pair], self.ids[pair], strict=True)
            if start_ms <= ms < end_ms
        )
        if not found:
            return None
        with localcontext() as context:
            context.prec = 100
            usd = [(price * self._usdt(place[0], place[1]), volume) for place, price, volume in found]
            prices = [price.quantize(EIGHT) for price, _ in usd]
            volume = sum((volume for _, volume in usd), Decimal(0))
            value = sum((price * volume for price, volume in usd), Decimal(0))
        return Bar(prices[0], max(prices), min(prices), prices[-1], volume, value, len(usd))

    def _usdt(self, at_ms: int, venue: str) -> Decimal:
        """What a venue's dollar is worth at the first instant of the grid after a trade."""
        if venue in USD_VENUES:
            return Decimal(1)
        end_ms = (at_ms // GRID_MS + 1) * GRID_MS
        if end_ms not in self.worth:
            value, volume, _ = self._sums("usdt-usd", end_ms - WINDOW_MS, end_ms)
            self.worth[end_ms] = (value / volume).quantize(TWENTY)
        return self.worth[end_ms]

    def _sums(self, pair: str, start_ms: int, end_ms: int) -> tuple[Decimal, Decimal, set[str]]:
        trades = self.window(pair, start_ms, end_ms)
        usdt = Decimal(1)
        if any(venue not in USD_VENUES for _, venue, *_ in trades):
            value, volume, _ = self._sums("usdt-usd", start_ms, end_ms)
            usdt = value / volume
        value = sum((p * v * (1 if venue in USD_VENUES else usdt) for _, venue, p, v in trades), Decimal(0))
        return value, sum((v for *_, v in trades), Decimal(0)), {venue for _, venue, *_ in trades}

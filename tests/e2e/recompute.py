"""An index computed the slow and plain way from the simulator's ground truth, sharing no code with the program."""

import json
from collections import defaultdict
from decimal import Decimal, localcontext
from pathlib import Path

USD_VENUES = {"kraken", "coinbase"}
EIGHT = Decimal("1e-8")


class Truth:
    """Every trade that the simulator sent."""

    def __init__(self, file: Path) -> None:
        self.trades: dict[str, list[tuple[int, str, Decimal, Decimal]]] = defaultdict(list)
        for line in file.read_text(encoding="utf-8").splitlines():
            trade = json.loads(line)
            self.trades[trade["pair"]].append(
                (trade["timestamp"], trade["exchange"], Decimal(trade["price"]), Decimal(trade["volume"]))
            )

    def window(self, pair: str, start_ms: int, end_ms: int) -> list[tuple[int, str, Decimal, Decimal]]:
        return [trade for trade in self.trades[pair] if start_ms <= trade[0] < end_ms]

    def index(self, pair: str, start_ms: int, end_ms: int) -> tuple[Decimal, Decimal, set[str]]:
        """Return price, volume and venues: Σpv/Σv over [start, end), USDT venues times the usdt-usd index."""
        with localcontext() as context:
            context.prec = 100
            value, volume, venues = self._sums(pair, start_ms, end_ms)
            return (value / volume).quantize(EIGHT), volume.quantize(EIGHT), venues

    def _sums(self, pair: str, start_ms: int, end_ms: int) -> tuple[Decimal, Decimal, set[str]]:
        trades = self.window(pair, start_ms, end_ms)
        usdt = Decimal(1)
        if any(venue not in USD_VENUES for _, venue, *_ in trades):
            value, volume, _ = self._sums("usdt-usd", start_ms, end_ms)
            usdt = value / volume
        value = sum((p * v * (1 if venue in USD_VENUES else usdt) for _, venue, p, v in trades), Decimal(0))
        return value, sum((v for *_, v in trades), Decimal(0)), {venue for _, venue, *_ in trades}

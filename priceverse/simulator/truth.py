"""The ground truth: one JSON line per trade that happened, whether anybody listened or not.

`exchange symbol pair price volume timestamp trade_id side` say what a perfect reader would have, `sent` when it went
out (ms). `count` is there where a row stands for several fills; `historical` marks what happened before the start.
"""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from priceverse.model.exchange import Exchange
from priceverse.simulator.match import Match

FLUSH_EVERY_S = 0.05


class Truth:
    """A file that is appended to. Buffered: `flush` is to be called every `FLUSH_EVERY_S`."""

    def __init__(self, path: Path, pairs: Mapping[tuple[str, str], str]) -> None:
        """Open the file; raises OSError."""
        self._pairs = pairs
        self._file = path.open("ab", buffering=1 << 20)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, exchange: Exchange, row: Match, sent_ms: int, *, historical: bool = False) -> None:
        """Add a trade."""
        pair = self._pairs.get((exchange.value, row.symbol))
        self._file.write(truth_line(exchange, row, pair, sent_ms, historical=historical))

    def flush(self) -> None:
        """Hand what was written to the operating system."""
        self._file.flush()


def truth_line(exchange: Exchange, row: Match, pair: str | None, sent_ms: int, *, historical: bool = False) -> bytes:
    """Return the line of one trade."""
    line: dict[str, object] = {
        "exchange": exchange.value,
        "symbol": row.symbol,
        "pair": pair,
        "price": row.price,
        "volume": row.volume,
        "timestamp": row.time_ms,
        "trade_id": row.trade_id,
        "side": row.side.value,
        "sent": sent_ms,
    }
    if row.count > 1:
        line["count"] = row.count
    if historical:
        line["historical"] = True
    return msgspec.json.encode(line) + b"\n"

"""Frames on disk and what is to be seen in them: ours in `tests/frames`, captured ones where the machine has them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from priceverse.exchanges.protocol import Adapter, Reject
from priceverse.exchanges.registry import ADAPTERS
from priceverse.model.exchange import Exchange
from priceverse.model.trade import Trade
from tests.conftest import ROOT, WIRE

OURS = ROOT / "tests/frames"
FOLDERS = [OURS, WIRE] if WIRE.is_dir() else [OURS]


@dataclass(frozen=True)
class FrameFile:
    """One `NAME.jsonl` with its neighbours."""

    path: Path
    exchange: Exchange

    def beside(self, what: str) -> Path:
        return self.path.with_name(f"{self.path.stem}.{what}")

    def adapter(self) -> Adapter:
        return ADAPTERS[self.exchange](json.loads(self.beside("symbols.json").read_text(encoding="utf-8")))

    def frames(self) -> list[bytes]:
        return self.path.read_bytes().removesuffix(b"\n").split(b"\n")

    def expected(self) -> list[dict]:
        return json_lines(self.beside("expected.jsonl"))

    def __str__(self) -> str:
        return f"{'ours' if self.path.parent == OURS else 'captured'}-{self.path.stem}"


def files(suffix: str) -> list[FrameFile]:
    """Return the frame files of every venue: suffix `.jsonl` or `.edge.jsonl`."""
    return [FrameFile(folder / f"{exchange}{suffix}", exchange) for folder in FOLDERS for exchange in Exchange]


def json_lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def trade_keys(trade: Trade) -> dict:
    """Return a trade as the expectations spell it; the digits, not only the value."""
    marks = {name: True for name in ("historical", "block") if getattr(trade, name)}
    return {
        "exchange": trade.exchange,
        "symbol": trade.symbol,
        "pair": trade.pair,
        "price": f"{trade.price:f}",
        "volume": f"{trade.volume:f}",
        "timestamp": trade.timestamp_ms,
        "trade_id": trade.trade_id,
        "side": trade.side,
        **marks,
    }


def decoded(file: FrameFile) -> Iterator[dict]:
    adapter = file.adapter()
    for number, frame in enumerate(file.frames(), start=1):
        for idx, item in enumerate(adapter.receive(frame)):
            if isinstance(item, Trade):
                yield {"frame": number, "idx": idx, **trade_keys(item)}


def kind_of(item: object) -> str:
    if isinstance(item, Trade):
        return "trade"
    return "malformed" if isinstance(item, Reject) else item.kind

"""Frames per second from text to trades, per adapter, beside json.loads + Decimal doing the bare minimum by hand.

Run: `python tests/bench/decode.py [seconds]`. Prints one line a venue; on a noisy machine the ratio is what to trust.
"""

import json
import sys
import time
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal

from priceverse.exchanges.registry import ADAPTERS
from priceverse.model.exchange import Exchange
from priceverse.model.trade import Trade

FRAMES = {
    Exchange.BINANCE: '{"stream":"btcusdt@trade","data":{"e":"trade","E":1790000000001,"s":"BTCUSDT","t":12345678,'
    '"p":"61837.63000000","q":"0.02000000","T":1790000000000,"m":true,"M":true}}',
    Exchange.KRAKEN: '{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"buy","price":61837.6,'
    '"qty":0.02000000,"ord_type":"limit","trade_id":12345678,"timestamp":"2026-09-21T14:13:20.123456Z"}]}',
    Exchange.COINBASE: '{"type":"match","trade_id":12345678,"maker_order_id":"00000000-0000-0000-0000-000000000001",'
    '"taker_order_id":"00000000-0000-0000-0000-000000000002","side":"buy","size":"0.02000000","price":"61837.63",'
    '"product_id":"BTC-USD","sequence":987654321,"time":"2026-09-21T14:13:20.123456Z"}',
    Exchange.OKX: '{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"12345678",'
    '"px":"61837.6","sz":"0.02","side":"buy","ts":"1790000000000","count":"1","source":"0","seqId":987654321}]}',
    Exchange.BYBIT: '{"topic":"publicTrade.BTCUSDT","ts":1790000000001,"type":"snapshot","data":[{"i":"12345678",'
    '"T":1790000000000,"p":"61837.6","v":"0.02","S":"Buy","seq":987654321,"s":"BTCUSDT","BT":false,"RPI":false}]}',
    Exchange.KUCOIN: '{"topic":"/market/match:BTC-USDT","type":"message","subject":"trade.l3match","data":{'
    '"makerOrderId":"000000000000000000000001","price":"61837.6","sequence":"12345678","side":"buy","size":"0.02","symbol":"BTC-USDT",'
    '"takerOrderId":"000000000000000000000002","time":"1790000000000000000","tradeId":"12345678","type":"match"}}',
}
SYMBOLS = {"BTCUSDT": "btc-usd", "BTC/USD": "btc-usd", "BTC-USD": "btc-usd", "BTC-USDT": "btc-usd"}


def _row(parsed: dict) -> dict:
    data = parsed.get("data", parsed)
    return data[0] if isinstance(data, list) else data


def naive(frame: str) -> tuple:
    """Do what a quick script does: no check of anything."""
    row = _row(json.loads(frame, parse_float=Decimal))
    price = Decimal(row.get("p") or row.get("price") or row["px"])
    volume = Decimal(row.get("q") or row.get("v") or row.get("qty") or row.get("size") or row["sz"])
    moment = row.get("T") or row.get("ts") or row.get("time") or row["timestamp"]
    if isinstance(moment, str):
        moment = int(moment) if moment.isdigit() else datetime.fromisoformat(moment).timestamp() * 1000
    return price, volume, moment, str(row.get("t") or row.get("i") or row.get("tradeId") or row["trade_id"])


def rate(read: Callable[[str], object], frame: str, seconds: float) -> float:
    """Return calls per second, the best of three runs."""
    best = 0.0
    for _ in range(3):
        calls, start = 0, time.perf_counter()
        while (taken := time.perf_counter() - start) < seconds / 3:
            for _ in range(2000):
                read(frame)
            calls += 2000
        best = max(best, calls / taken)
    return best


def main() -> None:
    """Print the table."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    sys.stdout.write(f"{'venue':10}{'frames/s':>12}{'json+Decimal':>14}{'ratio':>8}\n")
    for exchange, frame in FRAMES.items():
        adapter = ADAPTERS[exchange](SYMBOLS)
        [trade] = adapter.receive(frame)
        assert isinstance(trade, Trade)
        ours, theirs = rate(adapter.receive, frame, seconds), rate(naive, frame, seconds)
        sys.stdout.write(f"{exchange:10}{ours:12,.0f}{theirs:14,.0f}{ours / theirs:8.2f}\n")


if __name__ == "__main__":
    main()

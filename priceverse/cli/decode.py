"""`priceverse decode`: raw frames of one venue on stdin, a line each, become trades on stdout, a line each.

The collector's adapters read the frames, so what this prints is what the collector would publish. Works line by line in
bounded memory: a line too long to be a frame is one reject, whatever its length.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

import click

from priceverse.cli.settings import load_or_exit
from priceverse.exchanges.frames import MAX_FRAME
from priceverse.exchanges.protocol import Control, Reject
from priceverse.exchanges.registry import ADAPTERS
from priceverse.model.exchange import Exchange
from priceverse.model.trade import Trade

Line = dict[str, object]


class _UnknownFeed(click.ClickException):
    exit_code = 2


class _BadSymbols(click.ClickException):
    exit_code = 65  # sysexits EX_DATAERR


@click.command()
@click.argument("feed")
@click.option("--symbols", type=click.Path(path_type=Path), help="JSON object: venue symbol → pair. [configured ones]")
def command(feed: str, symbols: Path | None) -> None:
    """Turn raw FEED frames on stdin, one a line, into trades on stdout, one JSON object a line.

    FEED is an exchange. What is not a trade goes to stderr, with its frame (line number) and kind.
    """
    if feed not in set(Exchange):
        raise _UnknownFeed(f"unknown feed {feed[:64]!r}, known: {', '.join(Exchange)}")
    exchange = Exchange(feed)
    pairs = _read_symbols(symbols) if symbols else load_or_exit(None).settings.symbols(exchange)
    adapter = ADAPTERS[exchange](pairs)
    for number, frame in enumerate(_lines(sys.stdin.buffer), start=1):
        for idx, item in enumerate(adapter.receive(frame)):
            line = {"frame": number, "idx": idx} | _keys(item)
            (sys.stdout if isinstance(item, Trade) else sys.stderr).write(f"{json.dumps(line)}\n")
        sys.stdout.flush()


def _lines(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield each line without its end; of a line too long for a frame, no more than shows that it is."""
    longest = MAX_FRAME + 2
    while line := stream.readline(longest):
        rest = line
        while len(rest) == longest and not rest.endswith(b"\n"):
            rest = stream.readline(longest)
        yield line.removesuffix(b"\n")


def _read_symbols(path: Path) -> Mapping[str, str]:
    try:
        symbols: object = json.loads(path.read_bytes())
    except OSError as error:
        raise _BadSymbols(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise _BadSymbols(f"{path}: not JSON: {error}") from None
    if isinstance(symbols, dict) and all(isinstance(pair, str) for pair in symbols.values()):
        return symbols
    raise _BadSymbols(f"{path}: not a JSON object of venue symbol → pair")


def _keys(item: Trade | Control | Reject) -> Line:
    if isinstance(item, Trade):
        return _trade(item)
    if isinstance(item, Reject):
        return {"kind": "malformed", "reason": item.reason, "detail": item.sample}
    said = {"symbol": item.symbol, "detail": item.detail}
    return {"kind": item.kind} | {key: value for key, value in said.items() if value}


def _trade(trade: Trade) -> Line:
    """Return a trade's keys. An exponent is written out: the value is exact either way, and any reader takes it."""
    line: Line = {
        "exchange": trade.exchange,
        "symbol": trade.symbol,
        "pair": trade.pair,
        "price": f"{trade.price:f}",
        "volume": f"{trade.volume:f}",
        "timestamp": trade.timestamp_ms,
        "trade_id": trade.trade_id,
        "side": trade.side,
    }
    marks = {"historical": trade.historical, "block": trade.block}
    return line | {name: True for name, is_set in marks.items() if is_set}

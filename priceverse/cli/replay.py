"""`priceverse replay`: recorded trades become the prices and candles that an aggregator would have stored.

Nothing is read but the file and the configuration, nothing is written but the lines: the same input gives the same
bytes. For tests, audits, and to see what other rules would have done.
"""

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeVar

import click

from priceverse.cli.settings import config_option, load_or_exit
from priceverse.exchanges.fields import price, symbol, text_id, time_ms, volume
from priceverse.exchanges.frames import Refused, document
from priceverse.model.candle import Candle, merged
from priceverse.model.decimals import positive, to_places
from priceverse.model.rate import Rate
from priceverse.pricing.convert import Rates
from priceverse.pricing.render import Row
from priceverse.pricing.replay import Recorded, Replay

if TYPE_CHECKING:
    from priceverse.config.settings import Settings

Line = dict[str, object]
T = TypeVar("T", Row, Candle)


class _BadLine(click.ClickException):
    exit_code = 65  # sysexits EX_DATAERR


class _Rate(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions of click only
    name = "DATE=RUB"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Rate:
        if isinstance(value, Rate):
            return value
        day, _, amount = str(value).partition("=")
        try:
            return Rate(positive(amount), date.fromisoformat(day), 0)
        except ValueError:
            self.fail(f"{value!r} is not like 2026-11-22=81.25", param, ctx)


@click.command()
@click.option("--trades", type=click.File("rb"), required=True, metavar="FILE", help="JSON lines; - is stdin.")
@click.option("--pair", "pairs", multiple=True, metavar="PAIR", help="Print only these. [all]")
@click.option("--rate", "rates", multiple=True, type=_Rate(), help="Roubles per dollar from a day on.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines.")
@config_option
def command(
    trades: IO[bytes], pairs: tuple[str, ...], rates: tuple[Rate, ...], config: Path | None, *, as_json: bool
) -> None:
    """Print the prices and candles of recorded trades, as the truth of `simulate` and `decode` have them.

    A line has exchange, pair, price, volume, timestamp (ms), trade_id; and sent, when it arrived, if that is known.
    """
    settings = load_or_exit(config).settings
    replay = _replay(settings, rates)
    candles: list[Candle] = []
    for done in replay.run(_recorded(trades)):
        candles += done.candles
        for row in _wanted(done.rows, pairs):
            click.echo(json.dumps(_price(row)) if as_json else _price_text(row))
    for candle in sorted(merged(_wanted(candles, pairs)), key=lambda each: (each.pair, each.start_ms)):
        click.echo(json.dumps(_candle(candle)) if as_json else _candle_text(candle))
    if replay.unknown:
        click.echo(f"priceverse: {replay.unknown} trades of pairs that are not configured", err=True)


def _replay(settings: "Settings", rates: Iterable[Rate]) -> Replay:
    from priceverse.aggregator import plan  # noqa: PLC0415 - `--help` stays fast

    markets = {pair: plan.market(settings, pair) for pair in settings.source_pairs}
    derived = {pair: settings.derived_pairs(pair) for pair in settings.source_pairs}
    return Replay(markets, derived, plan.grid(settings), Rates(max_age_days=settings.cbr.max_age_days).including(rates))


def _wanted(found: Iterable[T], pairs: tuple[str, ...]) -> Iterator[T]:
    return (each for each in found if not pairs or each.pair in pairs)


def _recorded(lines: IO[bytes]) -> Iterator[Recorded]:
    for number, line in enumerate(lines, start=1):
        row = document(line.decode("utf-8", "replace"))
        if not isinstance(row, dict):
            raise _BadLine(f"line {number} is not a JSON object")
        if row.get("pair") is None:
            continue  # the truth has symbols that nobody asked for
        try:
            yield _trade(row)
        except Refused as fault:
            raise _BadLine(f"line {number} is no trade: {fault}") from None


def _trade(row: Line) -> Recorded:
    """Read a line. Raises Refused."""
    at_ms = time_ms(row.get("timestamp"))
    return Recorded(
        symbol(row["pair"]),
        symbol(row.get("exchange")),
        text_id(row.get("trade_id")),
        price(row.get("price")),
        volume(row.get("volume")),
        at_ms,
        time_ms(row["sent"]) if "sent" in row else at_ms,
    )


def _price(row: Row) -> Line:
    return {
        "kind": "price",
        "pair": row.pair,
        "timestamp": row.timestamp_ms,
        "price": f"{row.price:f}",
        "volume": f"{row.volume:f}",
        "method": row.method,
        "sources": list(row.sources),
    }


def _candle(candle: Candle) -> Line:
    return {
        "kind": "candle",
        "pair": candle.pair,
        "interval": candle.interval,
        "timestamp": candle.start_ms,
        **{name: f"{getattr(candle, name):f}" for name in ("open", "high", "low", "close", "volume", "quote_volume")},
        "vwap": None if candle.vwap is None else f"{to_places(candle.vwap):f}",
        "trades": candle.trades,
    }


def _price_text(row: Row) -> str:
    return f"{_when(row.timestamp_ms)}  {row.pair:<10} {_short(row.price):>18}  {', '.join(row.sources)}"


def _candle_text(candle: Candle) -> str:
    ends = (candle.open, candle.high, candle.low, candle.close)
    numbers = "  ".join(f"{_short(each):>14}" for each in (*ends, candle.volume))
    return f"{_when(candle.start_ms)}  {candle.pair:<10} {numbers}  {candle.trades} trades"


def _short(number: Decimal) -> str:
    return f"{number.normalize():f}"


def _when(ms: int) -> str:
    return datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")

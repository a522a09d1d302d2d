"""`priceverse candles`: the candles of a pair as a table, CSV, JSON, or drawn in the terminal."""

import csv
import sys
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

from priceverse.cli.remote import CHARTS, console, echo_json, grouped, json_option, remote

if TYPE_CHECKING:
    from rich.text import Text

    from priceverse.net.client import Client

Candle = dict[str, Any]
INTERVALS = ("5min", "1hour", "1day")
COLUMNS = ("timestamp", "open", "high", "low", "close", "volume", "vwap", "trades")
MAX_LIMIT = 1000
CHART_ROWS = 20
AXIS_WIDTH = 16
BODY, WICK = "┃", "│"


@click.command()
@click.argument("pair")
@click.option("--interval", "-i", type=click.Choice(INTERVALS), default="1hour", show_default=True)
@click.option(
    "--limit",
    "-n",
    type=click.IntRange(1, MAX_LIMIT),
    default=None,
    help="How many, the newest. [24; --chart: as many as fit]",
)
@click.option("--chart", is_flag=True, help="Draw them.")
@click.option("--csv", "as_csv", is_flag=True, help="CSV, oldest first.")
@json_option
@remote
def command(
    client: "Client", pair: str, interval: str, limit: int | None, *, chart: bool, as_csv: bool, as_json: bool
) -> None:
    """Show the newest candles of PAIR, oldest first; the last one is still open. Times are UTC."""
    if chart + as_csv + as_json > 1:
        raise click.UsageError("--chart, --csv and --json exclude one another")
    screen = console()
    fits = max(10, min(MAX_LIMIT, screen.width - AXIS_WIDTH))
    asked = {"pair": pair, "interval": interval, "limit": limit or (fits if chart else 24)}
    found: list[Candle] = client.call(CHARTS, "getOHLCV", **asked)["candles"][::-1]
    if as_json:
        echo_json(found)
    elif as_csv:
        write_csv(found, sys.stdout)
    elif chart:
        screen.print(f"[bold]{pair}[/]  {interval}  {_stamp(found[0])} – {_stamp(found[-1])} UTC")
        for line in drawn(found[-fits:]):
            screen.print(line, no_wrap=True)
    else:
        _print_table(found)


def write_csv(candles: Iterable[Candle], file: Any, *, header: bool = True) -> None:  # noqa: ANN401 - anything to write to
    """Write candles with every digit."""
    writer = csv.writer(file, lineterminator="\n")
    if header:
        writer.writerow(COLUMNS)
    writer.writerows([[_plain(candle.get(name)) for name in COLUMNS] for candle in candles])


def _plain(value: object) -> object:
    return f"{value:f}" if isinstance(value, Decimal) else value


def _print_table(found: Sequence[Candle]) -> None:
    from rich.table import Table  # noqa: PLC0415 - rich is slow to import

    made = Table(box=None, header_style="dim")
    made.add_column("START, UTC", style="dim")
    for title in ("OPEN", "HIGH", "LOW", "CLOSE", "VOLUME", "TRADES"):
        made.add_column(title, justify="right", no_wrap=True)
    for candle in found:
        colour = "green" if candle["close"] >= candle["open"] else "red"
        prices = [grouped(Decimal(candle[name]), 2) for name in ("open", "high", "low")]
        close = f"[{colour}]{grouped(Decimal(candle['close']), 2)}[/]"
        made.add_row(_stamp(candle), *prices, close, grouped(Decimal(candle["volume"]), 3), str(candle["trades"]))
    console().print(made)


def drawn(candles: Sequence[Candle], rows: int = CHART_ROWS) -> "list[Text]":
    """Return the lines of a chart: a column a candle, body and wick, prices at the right."""
    from rich.text import Text  # noqa: PLC0415 - rich is slow to import

    top = max(Decimal(candle["high"]) for candle in candles)
    step = (top - min(Decimal(candle["low"]) for candle in candles)) / rows or Decimal(1)
    lines = []
    for row in range(rows):
        high = top - step * row
        line = Text()
        for candle in candles:
            line.append(_cell(candle, high - step, high), "green" if candle["close"] >= candle["open"] else "red")
        label = f" {grouped(high - step / 2, 2)}" if row % 4 == 0 or row == rows - 1 else ""
        lines.append(line.append(label, "dim"))
    return lines


def _cell(candle: Candle, low: Decimal, high: Decimal) -> str:
    """Return what of a candle is seen between two prices; a body is never thinner than one cell."""
    bottom, top = sorted((Decimal(candle["open"]), Decimal(candle["close"])))
    if (bottom < high and top > low) or low <= bottom < high:
        return BODY
    return WICK if candle["low"] < high and candle["high"] > low else " "


def _stamp(candle: Candle) -> str:
    return str(candle["timestamp"])[:16].replace("T", " ")

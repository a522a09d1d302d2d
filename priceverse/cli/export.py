"""`priceverse export`: all candles of a range into a file, page by page, as fast as the server lets a client ask."""

import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from priceverse.cli import parquet
from priceverse.cli.candles import COLUMNS, INTERVALS, MAX_LIMIT, write_csv
from priceverse.cli.remote import CHARTS, echo_json, remote

if TYPE_CHECKING:
    from priceverse.net.client import Client

WAIT_S = 3.0
WIDTHS_S = {"5min": 300, "1hour": 3600, "1day": 86_400}
DATES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"]


@click.command()
@click.argument("pair")
@click.option("--from", "since", required=True, type=click.DateTime(DATES), help="First start, UTC.")
@click.option("--to", "until", type=click.DateTime(DATES), help="End, UTC, not included. [now]")
@click.option("--interval", "-i", type=click.Choice(INTERVALS), default="1hour", show_default=True)
@click.option("--format", "kind", type=click.Choice(["csv", "jsonl", "parquet"]), default="csv", show_default=True)
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="File. [stdout]")
@remote
def command(  # noqa: PLR0917 - click passes options by name
    client: "Client", pair: str, since: datetime, until: datetime | None, interval: str, kind: str, output: Path | None
) -> None:
    """Write the candles of PAIR between two instants, oldest first, with every digit."""
    start, end = (at.replace(tzinfo=UTC) for at in (since, until or datetime.now(UTC)))
    if start >= end:
        raise click.UsageError("--from must be before --to")
    if kind == "parquet" and output is None and sys.stdout.isatty():
        raise click.UsageError("parquet is not for a terminal: name a file with --output")
    pages = _counted(_pages(client, pair, interval, start, end))
    if kind == "parquet":
        parquet.write(pages, COLUMNS, output or sys.stdout.buffer)
        return
    with click.open_file(str(output) if output else "-", "w", encoding="utf-8") as file:
        _write(pages, kind, file)


def _write(pages: Iterator[list[dict[str, Any]]], kind: str, file: IO[str]) -> None:
    for number, page in enumerate(pages):
        if kind == "csv":
            write_csv(page, file, header=number == 0)
        else:
            for candle in page:
                echo_json(candle, file)


def _counted(pages: Iterator[list[dict[str, Any]]]) -> Iterator[list[dict[str, Any]]]:
    """Tell a person how far it is."""
    total = 0
    for page in pages:
        total += len(page)
        if sys.stderr.isatty():
            click.echo(f"\r{total:,} candles", nl=False, err=True)
        yield page
    if sys.stderr.isatty():
        click.echo(err=True)


def _pages(
    client: "Client", pair: str, interval: str, start: datetime, end: datetime
) -> Iterator[list[dict[str, Any]]]:
    """Yield spans that fit a page, oldest first; a span without candles is passed over."""
    width_s = WIDTHS_S[interval]
    first, last = int(start.timestamp()), int(end.timestamp())
    for at_s in range(first, last, width_s * MAX_LIMIT):
        until_s = min(last, at_s + width_s * MAX_LIMIT)
        span = {"from": _iso(at_s), "to": _iso(until_s)}
        yield _asked(client, {"pair": pair, "interval": interval, "limit": MAX_LIMIT, **span})[::-1]


def _asked(client: "Client", given: dict[str, Any]) -> list[dict[str, Any]]:
    from priceverse.net.client import Refused  # noqa: PLC0415 - `--help` stays fast

    while True:
        try:
            found: list[dict[str, Any]] = client.call(CHARTS, "getOHLCV", **given)["candles"]
        except Refused as refused:
            if refused.code == "CHART_2001":
                return []
            if refused.code != "429":
                raise
            time.sleep(refused.retry_after_s or WAIT_S)
        else:
            return found


def _iso(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat()

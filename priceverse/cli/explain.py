"""`priceverse explain`: of what a price was made, and what was left out and why."""

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

from priceverse.cli.prices import age
from priceverse.cli.remote import PRICES, console, echo_json, grouped, json_option, remote

if TYPE_CHECKING:
    from priceverse.net.client import Client


@click.command()
@click.argument("pair")
@click.option("--at", help="An instant in the past, ISO 8601. [now]")
@json_option
@remote
def command(client: "Client", pair: str, at: str | None, *, as_json: bool) -> None:
    """Show every exchange's part in the price of PAIR, now or in the past, and why one does not count."""
    explained = client.call(PRICES, "explainPrice", pair=pair, **({"at": at} if at else {}))
    if as_json:
        echo_json(explained)
    else:
        _print(explained)


def _print(explained: dict[str, Any]) -> None:
    from rich.table import Table  # noqa: PLC0415 - rich is slow to import

    screen = console()
    screen.print(
        f"[bold]{explained['pair']}[/]  {grouped(Decimal(explained['priceExact']))}  as of {explained['asOf']}"
    )
    if rate := explained.get("rate"):
        screen.print(
            f"[dim]the sources are in USD, × {rate['value']} roubles of {rate.get('date', 'an unknown day')}[/]"
        )
    made = Table(box=None, header_style="dim", collapse_padding=True, pad_edge=False)  # fits in 80 columns
    made.add_column("EXCHANGE", style="bold", no_wrap=True)
    for title in ("PRICE", "VWAP", "TO USD", "WEIGHT", "VOLUME", "TRADES", "AGE"):
        made.add_column(title, justify="right", no_wrap=True)
    made.add_column("COUNTS")
    for source in explained["sources"]:
        made.add_row(*_row(source))
    screen.print(made)


def _row(source: dict[str, Any]) -> tuple[str, ...]:
    price, conversion = source["price"], source["conversion"]
    return (
        source["exchange"],
        "–" if price is None else grouped(Decimal(price), 4),
        grouped(Decimal(source["vwap"]), 4),
        "–" if conversion is None else f"{Decimal(conversion):.6f}",
        f"{Decimal(source['weight']) * 100:.1f} %",
        grouped(Decimal(source["volume"]), 4),
        str(source["trades"]),
        age(source["ageMs"]),
        f"[yellow]no: {source['excluded']}[/]" if "excluded" in source else "[green]yes[/]",
    )

"""`priceverse prices`: what pairs are worth now, once or live."""

import sys
import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

from priceverse.cli.remote import PRICES, console, echo_json, grouped, json_option, pairs_of, remote

if TYPE_CHECKING:
    from rich.table import Table

    from priceverse.net.client import Client

AGAIN_S = 2.0
DAY_S = 60.0
Price = dict[str, Any]


@click.command()
@click.argument("pairs", nargs=-1, metavar="[PAIR]...")
@click.option("--watch", "-w", is_flag=True, help="Follow the prices until Ctrl-C.")
@json_option
@remote
def command(client: "Client", pairs: tuple[str, ...], *, watch: bool, as_json: bool) -> None:
    """Show the current price of each PAIR, by default of all: price, 24 h change, age, spread, sources."""
    wanted = pairs_of(client, pairs)
    if watch:
        _watch(client, wanted, as_json=as_json)
        return
    found = [client.call(PRICES, "getPrice", pair=pair) for pair in wanted]
    if as_json:
        echo_json(found)
    else:
        console().print(table({price["pair"]: price for price in found}, _day_ago(client, wanted), wanted, _now_ms()))


def _watch(client: "Client", wanted: tuple[str, ...], *, as_json: bool) -> None:
    """Follow the stream: a line for each change; for a person a table, through every loss of the connection."""
    if as_json or not sys.stdout.isatty():
        for price in client.prices(wanted):
            if as_json:
                echo_json(price)
            else:
                click.echo(line(price))
        return
    from rich.live import Live  # noqa: PLC0415 - rich is slow to import

    from priceverse.net.errors import NetError  # noqa: PLC0415 - `--help` stays fast

    known: dict[str, Price] = {}
    with Live(console=console(), auto_refresh=False) as screen:
        while True:
            starts, asked_s = _day_ago(client, wanted), time.monotonic()
            try:
                for price in client.prices(wanted):
                    known[price["pair"]] = price
                    screen.update(table(known, starts, wanted, _now_ms()), refresh=True)
                    if time.monotonic() - asked_s > DAY_S:
                        starts, asked_s = _day_ago(client, wanted), time.monotonic()
            except NetError as lost:
                if not known:
                    raise
                screen.update(table(known, starts, wanted, _now_ms(), note=f"{lost}; trying again"), refresh=True)
                time.sleep(AGAIN_S)


def _day_ago(client: "Client", wanted: tuple[str, ...]) -> dict[str, Decimal]:
    """Return the price of a day ago of those pairs that had one."""
    from priceverse.net.client import Refused  # noqa: PLC0415 - as above
    from priceverse.net.errors import NetError  # noqa: PLC0415

    found = {}
    for pair in wanted:
        try:
            found[pair] = Decimal(client.call(PRICES, "getPriceChange", pair=pair, period="24hours")["startPrice"])
        except (Refused, NetError):
            continue
    return found


def table(
    known: dict[str, Price], starts: dict[str, Decimal], wanted: tuple[str, ...], now_ms: int, *, note: str = ""
) -> "Table":
    """Return the prices as a table, in the order wanted."""
    from rich.table import Table  # noqa: PLC0415 - rich is slow to import

    made = Table(box=None, header_style="dim", caption=note or None, caption_style="bold red")
    made.add_column("PAIR", style="bold")
    for title in ("PRICE", "24 H", "AGE", "SPREAD"):
        made.add_column(title, justify="right", no_wrap=True)
    made.add_column("SOURCES", style="dim")
    for pair in wanted:
        if pair in known:
            made.add_row(*_row(known[pair], starts.get(pair), now_ms))
    return made


def _row(price: Price, start: Decimal | None, now_ms: int) -> tuple[str, ...]:
    exact = Decimal(price["priceExact"])
    spread = price.get("confidence")
    state = " [bold red]stale[/]" if price.get("stale") else " [yellow]degraded[/]" if price.get("degraded") else ""
    return (
        price["pair"] + state,
        grouped(exact),
        change(start, exact),
        age(now_ms - price["timestamp"]),
        "–" if spread is None else f"±{spread:.1f} bp",
        " ".join(price["sources"]),
    )


def line(price: Price) -> str:
    """Write a price for a pipe."""
    return f"{price['asOf']} {price['pair']} {price['priceExact']}{' stale' if price.get('stale') else ''}"


def change(start: Decimal | None, end: Decimal) -> str:
    """Write what was gained or lost, in percent."""
    if not start:
        return "[dim]–[/]"
    percent = (end / start - 1) * 100
    colour = "green" if percent > 0 else "red" if percent < 0 else "dim"
    return f"[{colour}]{percent:+.2f} %[/]"


def age(ms: int) -> str:
    """Write how old something is; a clock that is behind the server's makes it 0."""
    seconds = max(0, ms) / 1000
    return (
        f"{seconds:.1f} s"
        if seconds < 60
        else f"{seconds / 60:.0f} min"
        if seconds < 7200
        else f"{seconds / 3600:.0f} h"
    )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000

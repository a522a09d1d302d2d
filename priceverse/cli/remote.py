"""What the commands that ask a running server have in common: `--url`, `--json`, `--debug`, and faults in one line."""

import functools
from collections.abc import Callable
from decimal import Decimal
from typing import IO, TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

    from priceverse.net.client import Client

PRICES = "PricesService@2.0.0"
CHARTS = "ChartsService@2.0.0"
LOCAL = "http://127.0.0.1:3000"
EXIT_REFUSED = 1
EXIT_UNREACHABLE = 69
"""sysexits EX_UNAVAILABLE."""

json_option = click.option("--json", "as_json", is_flag=True, help="JSON, for machines.")


class _Unreachable(click.ClickException):
    exit_code = EXIT_UNREACHABLE


def remote(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command its `client`, and turn what goes wrong into one line; `--debug` shows all of it."""

    @click.option("--url", envvar="PRICEVERSE_URL", default=LOCAL, show_default=True, help="Address of the server.")
    @click.option("--debug", is_flag=True, help="Show a traceback when something goes wrong.")
    @functools.wraps(command)
    def wrapped(*, url: str, debug: bool, **given: Any) -> None:  # noqa: ANN401 - the command's own options
        from priceverse.net.client import Client, Refused  # noqa: PLC0415 - `--help` stays fast
        from priceverse.net.errors import NetError  # noqa: PLC0415

        try:
            with Client(url) as client:
                command(client=client, **given)
        except KeyboardInterrupt:
            click.echo()
        except NetError as fault:
            if debug:
                raise
            raise _Unreachable(f"{fault}; is it running? --url names another server") from None
        except Refused as fault:
            if debug:
                raise
            raise click.ClickException(f"{fault}{_hint(fault.code)}") from None

    return wrapped


def _hint(code: str) -> str:
    hints = {
        "CHART_2001": "; a new instance has no history yet",
        "PRICE_1002": "; a new instance needs some seconds",
        "429": "; wait a moment, or use a key of your own",
    }
    return hints.get(code, "")


def pairs_of(client: "Client", asked: tuple[str, ...]) -> tuple[str, ...]:
    """Return the pairs asked for, by default all that the server has."""
    return asked or tuple(client.call(PRICES, "supportedPairs"))


def echo_json(value: object, file: "IO[str] | None" = None) -> None:
    """Print JSON on one line; a Decimal is a number with every digit."""
    import msgspec  # noqa: PLC0415 - `--help` stays fast

    click.echo(msgspec.json.Encoder(decimal_format="number").encode(value).decode(), file=file)


def console() -> "Console":
    """Return the terminal: colours only where it is one."""
    from rich.console import Console  # noqa: PLC0415 - rich is slow to import

    return Console(highlight=False)


def grouped(number: Decimal, places: int | None = None) -> str:
    """Write a number for people: thousands apart, `places` digits after the point or all it has."""
    return f"{number:,f}" if places is None else f"{number:,.{places}f}"

"""`priceverse rate`: a Bank of Russia document on stdin becomes its USD rate on stdout, or one line of refusal."""

import json
import sys

import click

from priceverse.exchanges import cbr


class _Refused(click.ClickException):
    exit_code = 65  # sysexits EX_DATAERR


@click.command()
def command() -> None:
    """Read a Bank of Russia document on stdin, print {"usd": roubles per dollar, "date": the day it is set for}."""
    try:
        document = cbr.parse(sys.stdin.buffer.read(cbr.MAX_BYTES + 1))
    except cbr.RateRefused as refused:
        raise _Refused(str(refused)) from None
    click.echo(json.dumps({"usd": f"{document.usd_rub:f}", "date": document.date.isoformat()}))

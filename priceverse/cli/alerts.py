"""`priceverse alerts`: see whether the webhooks get what they are to get."""

import sys
from functools import partial
from pathlib import Path

import click

from priceverse.cli.settings import config_option, load_or_exit

EXIT_UNDELIVERED = 69


@click.group()
def command() -> None:
    """Try the alerts."""


@command.command("test")
@config_option
def send_test(config: Path | None) -> None:
    """Send a test notice to every webhook of the configuration, once each.

    Exits 69 when one of them did not take it.
    """
    settings = load_or_exit(config).settings
    if not settings.alerts.webhooks:
        raise click.ClickException("no webhook is configured: set alerts.webhooks")
    import trio  # noqa: PLC0415 - a wrong configuration is told before anything slow

    from priceverse.alerts import trial  # noqa: PLC0415 - as above

    failed = 0
    for url, fault in trio.run(partial(trial.deliver, settings)):
        failed += fault is not None
        click.echo(f"{url}: delivered" if fault is None else str(fault))
    sys.exit(EXIT_UNDELIVERED if failed else 0)

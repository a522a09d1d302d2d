"""`priceverse run`: the daemon as systemd starts it, against the operator's own servers."""

import sys
from pathlib import Path

import click

from priceverse.cli.settings import config_option, load_or_exit


@click.command()
@config_option
def command(config: Path | None) -> None:
    """Run the daemon until SIGTERM or SIGINT; SIGHUP reloads the configuration.

    Exits 78 when the configuration or the schema must be mended first.
    """
    loaded = load_or_exit(config)
    import trio  # noqa: PLC0415 - a wrong configuration is told before anything slow

    from priceverse.cli import daemon  # noqa: PLC0415 - as above
    from priceverse.config.load import load  # noqa: PLC0415 - as above

    sys.exit(trio.run(daemon.serve, loaded.settings, lambda: load(config).settings))

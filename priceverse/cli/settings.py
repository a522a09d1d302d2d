"""How every command finds its configuration: `--config`, else /etc/priceverse/priceverse.toml, else the defaults."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from priceverse.config.load import Loaded

EXIT_CONFIG = 78
"""sysexits EX_CONFIG: nothing restarts a program that ends with it."""

config_option = click.option(
    "--config", type=click.Path(path_type=Path, dir_okay=False), help="Configuration file (TOML)."
)


def load_or_exit(file: Path | None, overrides: Mapping[str, Any] | None = None) -> "Loaded":
    """Return the valid configuration, or print each fault on a line of its own and exit 78."""
    from priceverse.config.load import ConfigError, load  # noqa: PLC0415 - pydantic is slow to import

    try:
        return load(file, overrides=dict(overrides or {}))
    except ConfigError as error:
        click.echo(f"priceverse: {error}", err=True)
        sys.exit(EXIT_CONFIG)

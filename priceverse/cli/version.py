"""`priceverse version`: which program this is, on which Python."""

import platform

import click

from priceverse import __version__
from priceverse.cli.remote import echo_json, json_option


@click.command()
@json_option
def command(*, as_json: bool) -> None:
    """Show the version of the program and of what it runs on."""
    found = {"priceverse": __version__, "python": platform.python_version(), "system": platform.platform()}
    if as_json:
        echo_json(found)
    else:
        click.echo("\n".join(f"{name:<11}{value}" for name, value in found.items()))

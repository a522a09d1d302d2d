"""`priceverse ctl`, also installed as `priceversectl`: the supervisor's commands, pointed at this program's socket."""

from pathlib import Path

import click

from supervisor.ctl import group

UP_SOCKET = Path(".priceverse/control.sock")


def _find_socket() -> Path:
    """Return the configured socket if it is there, else that of `priceverse up` in this directory."""
    from priceverse.config.load import ConfigError, load  # noqa: PLC0415 - pydantic is slow to import
    from priceverse.config.settings import Supervisor  # noqa: PLC0415 - as above

    try:
        configured = load(None).settings.supervisor.control_socket
    except ConfigError as error:  # the daemon may run all the same, and is asked what is wrong
        click.echo(f"priceverse: {error}", err=True)
        configured = Supervisor().control_socket
    return configured if configured.exists() or not UP_SOCKET.exists() else UP_SOCKET


command = group(_find_socket)

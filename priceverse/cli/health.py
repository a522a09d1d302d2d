"""`priceverse health`: how every part of a running server is."""

import sys
from typing import TYPE_CHECKING, Any

import click

from priceverse.cli.remote import console, echo_json, json_option, remote

if TYPE_CHECKING:
    from priceverse.net.client import Client

COLOURS = {"healthy": "green", "degraded": "yellow", "unhealthy": "red", "up": "green", "down": "red"}


@click.command()
@json_option
@remote
def command(client: "Client", *, as_json: bool) -> None:
    """Show the state of stores, exchanges, prices, currency rate and supervisor; exit 1 when it cannot serve prices."""
    report: dict[str, Any] = client.call("HealthService@1.0.0", "check")
    if as_json:
        echo_json(report)
    else:
        _print(report)
    sys.exit(1 if report["status"] == "unhealthy" else 0)


def _print(report: dict[str, Any]) -> None:
    from rich.table import Table  # noqa: PLC0415 - rich is slow to import

    status = report["status"]
    screen = console()
    screen.print(f"[bold {COLOURS[status]}]{status}[/]  priceverse {report['version']}")
    made = Table(box=None, show_header=False)
    for name, check in report["checks"].items():
        said = check.get("message") or (f"{check['latency']:.1f} ms" if "latency" in check else "")
        made.add_row(name, f"[{COLOURS[check['status']]}]{check['status']}[/]", f"[dim]{said}[/]")
    screen.print(made)

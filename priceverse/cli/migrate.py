"""`priceverse migrate`: the database's schema, brought up to date, back, or only looked at."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from priceverse.cli.settings import EXIT_CONFIG, config_option, load_or_exit

if TYPE_CHECKING:
    from priceverse.config.settings import Settings

EXIT_UNAVAILABLE = 69
"""sysexits EX_UNAVAILABLE: worth trying again."""


@click.command()
@click.option("--down", type=click.IntRange(min=1), metavar="N", help="Take the last N migrations and their data back.")
@click.option("--status", is_flag=True, help="List the migrations and when they were applied.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, change nothing.")
@config_option
def command(down: int | None, config: Path | None, *, status: bool, dry_run: bool) -> None:
    """Bring the database schema up to date; running it again, or from several hosts at once, does no harm."""
    from priceverse.db.errors import DatabaseUnavailable  # noqa: PLC0415 - `--help` stays fast
    from priceverse.db.migrations import SchemaOutdated  # noqa: PLC0415

    if sum((down is not None, status, dry_run)) > 1:
        raise click.UsageError("--down, --status and --dry-run exclude each other")
    settings = load_or_exit(config).settings
    try:
        if status:
            _show_status(settings)
        elif dry_run:
            _show_plan(settings)
        elif down is not None:
            _take_back(settings, down)
        else:
            _bring_up(settings)
    except DatabaseUnavailable as away:
        _fail(str(away), EXIT_UNAVAILABLE)
    except SchemaOutdated as fault:
        _fail(str(fault), EXIT_CONFIG)


def _bring_up(settings: "Settings") -> None:
    from priceverse.db import migrate  # noqa: PLC0415 - psycopg is slow to import

    done = migrate.up(settings)
    for warning in done.warnings:
        click.echo(f"warning: {warning}", err=True)
    for name in done.migrations:
        click.echo(f"applied  {name}")
    for pair in done.pairs:
        click.echo(f"added    pair {pair}")
    if done.partitions:
        click.echo(f"made     {done.partitions} daily partitions")
    if done.is_empty and not done.partitions:
        click.echo("nothing to do")


def _take_back(settings: "Settings", count: int) -> None:
    from priceverse.db import migrate  # noqa: PLC0415 - psycopg is slow to import

    for name in migrate.down(settings, count):
        click.echo(f"reverted {name}")


def _show_plan(settings: "Settings") -> None:
    from priceverse.db import migrate  # noqa: PLC0415 - psycopg is slow to import

    needed = migrate.plan(settings)
    for name in needed.migrations:
        click.echo(f"would apply {name}")
    for pair in needed.pairs:
        click.echo(f"would add pair {pair}")
    if needed.is_empty:
        click.echo("nothing to do")


def _show_status(settings: "Settings") -> None:
    from priceverse.db import migrate  # noqa: PLC0415 - psycopg is slow to import

    for step in migrate.status(settings):
        when = f"{step.applied_at:%Y-%m-%d %H:%M:%S} UTC" if step.applied_at else "not applied"
        click.echo(f"{step.name:<32} {when}")


def _fail(text: str, code: int) -> NoReturn:
    click.echo(f"priceverse: {text}", err=True)
    sys.exit(code)

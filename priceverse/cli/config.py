"""`priceverse config`: is the configuration valid, what is in force, where does each value come from."""

import json
from pathlib import Path

import click

from priceverse.cli.settings import config_option, load_or_exit


@click.group()
def command() -> None:
    """Check, show and explain the configuration."""


@command.command()
@config_option
def check(config: Path | None) -> None:
    """Validate the configuration; exit 78 with one line a fault."""
    settings = load_or_exit(config).settings
    click.echo(f"ok: {len(settings.source_pairs)} collected pairs, {len(settings.exchanges.enabled)} venues")


@command.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def show(config: Path | None, *, as_json: bool) -> None:
    """Print every value in force and its origin; secrets are masked."""
    loaded = load_or_exit(config)
    tree = loaded.settings.model_dump(mode="json")
    if as_json:
        click.echo(json.dumps({"version": 1, "values": tree, "origins": dict(loaded.origins)}, indent=1))
        return
    for key, value in _flat(tree):
        click.echo(f"{key} = {json.dumps(value, ensure_ascii=False)}  # {loaded.origins.get(key, 'default')}")


@command.command()
def schema() -> None:
    """Print the JSON Schema of the configuration."""
    from priceverse.config.settings import Settings  # noqa: PLC0415 - pydantic is slow to import

    click.echo(json.dumps(Settings.model_json_schema(), indent=1))


@command.command()
def example() -> None:
    """Print a configuration file with every key at its default."""
    from priceverse.config.render import example_toml  # noqa: PLC0415 - pydantic is slow to import

    click.echo(example_toml(), nl=False)


def _flat(tree: dict[str, object], prefix: str = "") -> list[tuple[str, object]]:
    rows: list[tuple[str, object]] = []
    for key, value in tree.items():
        rows += _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else [(f"{prefix}{key}", value)]
    return rows

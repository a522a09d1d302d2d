"""`priceverse backfill`: fill missing candles from the exchanges' own history. Run again, it goes on where it ended."""

import json
import sys
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from priceverse.cli.settings import config_option, load_or_exit
from priceverse.model.candle import Interval

if TYPE_CHECKING:
    from rich.progress import Progress

    from priceverse.backfill.fill import Filled, Tell
    from priceverse.backfill.run import Wanted
    from priceverse.config.settings import Settings

EXIT_UNAVAILABLE = 69
"""sysexits EX_UNAVAILABLE: worth trying again."""

_MOMENT = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"])
_OUTCOMES = {
    "filled": "filled",
    "empty": "without trades",
    "no_conversion": "without a price of USDT",
    "no_rate": "without an official rate",
    "unanswered": "unanswered",
}


@click.command()
@click.option("--pair", "pairs", multiple=True, metavar="PAIR", help="Pair to fill, and what it needs. [all]")
@click.option("--from", "since", type=_MOMENT, help="First moment, UTC. [30 days ago]")
@click.option("--to", "until", type=_MOMENT, help="Last moment, UTC. [two hours ago: later ones may still get trades]")
@click.option(
    "--interval",
    type=click.Choice([interval.value for interval in Interval]),
    help="Candles to fill. [the finest that is kept]",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a pair.")
@config_option
def command(
    pairs: tuple[str, ...],
    since: datetime | None,
    until: datetime | None,
    interval: str | None,
    config: Path | None,
    *,
    as_json: bool,
) -> None:
    """Fill missing candles from the REST history of the exchanges, weighted by volume, USDT and roubles converted.

    Candles made of trades are never overwritten. Exit 69: something could not be had now; run it again.
    """
    from priceverse.backfill.run import Wanted  # noqa: PLC0415 - `--help` stays fast

    settings = load_or_exit(config).settings
    wanted = pairs or settings.source_pairs + settings.listed_pairs
    unknown = [pair for pair in wanted if pair not in settings.pairs or not settings.pairs[pair].enabled]
    if unknown:
        raise click.UsageError(f"unknown pair {unknown[0]!r}, known: {', '.join(settings.pairs)}")
    from_ms = _ms(since) if since else _ms(datetime.now(UTC) - timedelta(days=30))
    until_ms = _ms(until) if until else _ms(datetime.now(UTC))
    if from_ms >= until_ms:
        raise click.UsageError("--from is not before --to")
    if since and interval:
        _require_kept(settings, Interval(interval), from_ms)
    task = Wanted(wanted, from_ms, until_ms, Interval(interval) if interval else None)
    done = _run(settings, task, quiet=as_json)
    for filled in done:
        click.echo(_json(filled) if as_json else _line(filled))
        for fault in () if as_json else dict.fromkeys(filled.faults):
            click.echo(f"  {fault}", err=True)
    if not all(filled.is_complete for filled in done):
        sys.exit(EXIT_UNAVAILABLE)


def _require_kept(settings: "Settings", interval: Interval, from_ms: int) -> None:
    from priceverse.backfill.plan import kept_from_ms  # noqa: PLC0415 - `--help` stays fast

    kept_ms = kept_from_ms(interval, _ms(datetime.now(UTC)), settings.retention)
    if from_ms < kept_ms:
        kept = f"{datetime.fromtimestamp(kept_ms / 1000, UTC):%Y-%m-%d}"
        raise click.UsageError(f"candles of {interval} are kept since {kept}: give a later --from, or no --interval")


def _run(settings: "Settings", wanted: "Wanted", *, quiet: bool) -> list["Filled"]:
    import trio  # noqa: PLC0415 - `--help` stays fast

    from priceverse.backfill.run import backfill  # noqa: PLC0415
    from priceverse.db.errors import DatabaseUnavailable  # noqa: PLC0415

    progress = None if quiet else _progress()
    try:
        with progress or nullcontext():
            tell = _teller(progress) if progress else _nobody
            return trio.run(backfill, settings, wanted, tell)
    except DatabaseUnavailable as away:
        click.echo(f"priceverse: {away}", err=True)
        sys.exit(EXIT_UNAVAILABLE)


def _progress() -> "Progress":
    """Return a bar for each pair, on stderr."""
    from rich.console import Console  # noqa: PLC0415 - only people need it
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description:<10}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True))


def _teller(progress: "Progress") -> "Tell":
    bars: dict[str, int] = {}

    def tell(pair: str, done: int, total: int) -> None:
        if pair not in bars:
            bars[pair] = progress.add_task(pair, total=total)
        progress.update(bars[pair], completed=done, total=total)  # type: ignore[arg-type]  # rich's TaskID is an int

    return tell


def _nobody(pair: str, done: int, total: int) -> None:
    """Tell nobody."""


def _json(filled: "Filled") -> str:
    counts = {outcome: filled.buckets[outcome] for outcome in _OUTCOMES}
    return json.dumps({"pair": filled.pair, **counts, "complete": filled.is_complete, "faults": filled.faults})


def _line(filled: "Filled") -> str:
    said = [f"{filled.buckets[key]} {words}" for key, words in _OUTCOMES.items() if filled.buckets[key]]
    return f"{filled.pair:<10} {', '.join(said) or 'no candle is missing'}"


def _ms(moment: datetime) -> int:
    return int(moment.replace(tzinfo=UTC).timestamp()) * 1000

"""`priceverse capture`: what one exchange really sends, a raw frame a line, for `decode` and for the simulator."""

import errno
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from priceverse.cli.settings import config_option, load_or_exit
from priceverse.model.exchange import Exchange

if TYPE_CHECKING:
    import trio

    from priceverse.config.settings import Settings

EXIT_UNAVAILABLE = 69
"""sysexits EX_UNAVAILABLE: the exchange could not be had."""


@click.command()
@click.argument("exchange", type=click.Choice([exchange.value for exchange in Exchange]))
@click.option("--seconds", default=60.0, show_default=True, type=click.FloatRange(0, min_open=True), help="How long.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="File to append to.  [default: stdout]")
@config_option
def command(exchange: str, seconds: float, output: Path | None, config: Path | None) -> None:
    """Record the raw frames of EXCHANGE from its configured endpoint, one a line, until the time is over or Ctrl-C.

    The symbols are the configured ones. A lost connection is opened anew, as a collector does it.
    """
    settings = load_or_exit(config).settings
    try:
        with output.open("ab") if output else sys.stdout.buffer as lines:
            problem = _record(settings, Exchange(exchange), seconds, lines)
    except OSError as error:
        if error.errno == errno.EPIPE:  # whoever read has had enough
            sys.stderr.close()
            return
        raise click.ClickException(f"{output or 'stdout'}: cannot be written: {error.strerror}") from None
    if problem:
        click.echo(f"Error: {problem}", err=True)
        sys.exit(EXIT_UNAVAILABLE)


def _record(settings: "Settings", exchange: Exchange, seconds: float, lines: IO[bytes]) -> str:
    """Record, and return why it ended early, "" if it did not."""
    import trio  # noqa: PLC0415 - `--help` stays fast

    from priceverse import log  # noqa: PLC0415 - as above

    log.configure(level="warn", pretty=True, file=sys.stderr)
    try:
        return trio.run(_until_stopped, settings, exchange, seconds, lines)
    except* OSError as errors:
        raise _first(errors) from None


async def _until_stopped(settings: "Settings", exchange: Exchange, seconds: float, lines: IO[bytes]) -> str:
    import signal  # noqa: PLC0415 - as above

    import trio  # noqa: PLC0415 - as above

    from priceverse.collector.capture import capture  # noqa: PLC0415 - as above

    frames, problem = 0, ""

    def write(batch: bytes) -> None:
        nonlocal frames
        frames += batch.count(b"\n")
        lines.write(batch)
        lines.flush()  # what came is kept whatever happens next

    async with trio.open_nursery() as nursery:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            nursery.start_soon(_cancel_at, signals, nursery.cancel_scope)
            ended = await capture(settings, exchange, seconds, write)
            if ended is not None:
                problem = f"{exchange} stays away: {ended.where}: {ended.detail}; see exchanges.{exchange}.ws_url"
            nursery.cancel_scope.cancel()
    click.echo(f"{frames} frames of {exchange}", err=True)
    return problem


async def _cancel_at(signals: AsyncIterator[int], scope: "trio.CancelScope") -> None:
    await anext(signals)
    scope.cancel()


def _first(group: BaseExceptionGroup[OSError]) -> OSError:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first

"""`priceverse simulate`: a market of one's own on a loopback port, and how to point the program at it."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from priceverse.simulator.market import Options

LOOPBACK = "127.0.0.1"
DEFAULT_PORT = 8700


@click.command()
@click.option("--port", default=DEFAULT_PORT, show_default=True, type=click.IntRange(0, 65535), help="0: any free one.")
@click.option(
    "--replay",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of captured frames (<exchange>.jsonl) to replay instead of a random walk.",
)
@click.option("--speed", default=1.0, type=click.FloatRange(0.01, 1000), help="Pace; 1 is real time.")
@click.option("--seed", default=0, help="Seed of the random walk and of the faults.")
@click.option("--truth", type=click.Path(dir_okay=False, path_type=Path), help="File to which every trade is appended.")
@click.option(
    "--tls",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Serve wss and https with the server.pem and server.key of this folder.",
)
def command(*, port: int, replay: Path | None, speed: float, seed: int, truth: Path | None, tls: Path | None) -> None:
    """Play the six exchanges and the Bank of Russia on loopback, until Ctrl-C.

    POST /control/faults makes trouble: {"fault": "mute", "exchange": "kraken", "for_s": 10}.

    `python -m trustme -d DIR -i 127.0.0.1 localhost` makes a test authority and a certificate for `--tls DIR`.
    """
    import trio  # noqa: PLC0415 - `--help` stays fast

    from priceverse.simulator.market import Options, StartError  # noqa: PLC0415 - as above

    try:
        trio.run(_play, Options(port, replay, speed, seed, truth, tls))
    except* StartError as problems:
        raise click.ClickException("; ".join(map(str, problems.exceptions))) from None


async def _play(options: "Options") -> None:
    import signal  # noqa: PLC0415 - as above
    import sys  # noqa: PLC0415 - as above

    import trio  # noqa: PLC0415 - as above

    from priceverse import log  # noqa: PLC0415 - as above
    from priceverse.simulator.market import serve  # noqa: PLC0415 - as above

    log.configure(level="warn", pretty=True, file=sys.stderr)
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            running = await nursery.start(serve, options)
            click.echo(_greeting(options, running.port))
            await anext(signals)
            nursery.cancel_scope.cancel()
    click.echo("stopped", err=True)


def _greeting(options: "Options", port: int) -> str:
    feed = f"a replay of {options.replay}" if options.replay else f"a random walk, seed {options.seed}"
    settings = "\n".join(f"export {name}={value}" for name, value in variables(port, options.tls).items())
    scheme = "https" if options.tls else "http"
    return (
        f"simulator: {scheme}://{LOOPBACK}:{port}/ ({feed}, speed {options.speed:g}); Ctrl-C stops it\n\n"
        f"point priceverse at it with these variables:\n{settings}"
    )


def variables(port: int, tls: Path | None = None) -> dict[str, str]:
    """Return the environment variables that make a configuration use the simulator on `port`, over TLS if `tls`."""
    from priceverse.model.exchange import Exchange  # noqa: PLC0415 - as above
    from priceverse.simulator.certificate import AUTHORITY  # noqa: PLC0415 - as above

    secure, found = "s" if tls else "", {}
    for exchange in Exchange:
        found[f"PRICEVERSE_EXCHANGES__{exchange.name}__WS_URL"] = f"ws{secure}://{LOOPBACK}:{port}/{exchange}"
        found[f"PRICEVERSE_EXCHANGES__{exchange.name}__REST_URL"] = f"http{secure}://{LOOPBACK}:{port}/{exchange}"
    found["PRICEVERSE_CBR__URL"] = f"http{secure}://{LOOPBACK}:{port}/cbr/XML_daily.asp"
    if tls:
        authority = str((tls / AUTHORITY).absolute())
        found |= {"PRICEVERSE_EXCHANGES__TLS_CA": authority, "PRICEVERSE_CBR__TLS_CA": authority}
    return found

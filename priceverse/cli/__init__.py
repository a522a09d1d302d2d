"""The `priceverse` command: one file a subcommand, imported only when it is called."""

import importlib
import sys

import click

from priceverse import __version__
from priceverse.cli.examples import EXAMPLES

COMMANDS = {
    "up": "Start everything on this machine: servers, simulator (or --live), the whole tree.",
    "run": "Run the daemon against the configured servers (what systemd starts).",
    "ctl": "Look at and steer a running daemon.",
    "prices": "Show the prices of a running server, once or live.",
    "candles": "Show candles as a table, CSV, JSON, or drawn in the terminal.",
    "explain": "Show of what a price was made.",
    "health": "Show how every part of a running server is.",
    "export": "Write the candles of a range into a file.",
    "bench": "Measure how fast a server answers from here.",
    "config": "Check, show and explain the configuration.",
    "alerts": "Try the webhooks that alerts are sent to.",
    "migrate": "Bring the database schema up to date.",
    "backfill": "Fill missing candles from the exchanges' history.",
    "keys": "Add, list and revoke API keys and users.",
    "replay": "Print the prices and candles of recorded trades.",
    "simulate": "Play the six exchanges and the Bank of Russia on loopback.",
    "decode": "Turn raw exchange frames on stdin into trades on stdout.",
    "capture": "Record the raw frames of an exchange.",
    "rate": "Read a Bank of Russia document on stdin, print its USD rate.",
    "version": "Show the version of the program and of what it runs on.",
    "completion": "Print the completion script of a shell.",
}


class _Lazy(click.Group):
    """Loads a subcommand's module on use, so that `--help` and `decode` start fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - overrides
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - overrides
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"priceverse.cli.{cmd_name}").command
        command.epilog = "\n".join(["\b", "Examples:", *(f"  {line}" for line in EXAMPLES[cmd_name])])
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - overrides
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="priceverse")
def main() -> None:
    """Run a price oracle: six exchanges in, one trustworthy price per pair out."""


if __name__ == "__main__":
    sys.exit(main())

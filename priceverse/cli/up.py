"""`priceverse up`: everything on this machine with one command, under one state directory, gone again without a trace.

Private PostgreSQL and Redis, the exchange simulator (unless `--live`), the whole supervised tree. The servers outlive
the tree: they start first, stop last, and are restarted when they die.
"""

import os
import signal
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from priceverse.cli import detached
from priceverse.cli.settings import config_option, load_or_exit
from priceverse.embedded.errors import EmbeddedError

if TYPE_CHECKING:
    from priceverse.cli.daemon import Bound
    from priceverse.config.settings import Settings

EXIT_FAULT = 1
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Plan:
    """What the command line asked for."""

    state: Path
    config: Path | None
    live: bool
    replay: Path | None
    speed: float
    seed: int
    truth: Path | None
    port: int
    verbose: bool

    def overrides(self, servers: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """Return the configuration that points the daemon at this instance's own servers and exchanges."""
        own: dict[str, Any] = {
            **{section: dict(values) for section, values in servers.items()},
            "app": {"host": LOOPBACK, "port": self.port, "environment": "development"},
            "supervisor": {"control_socket": str(self.state / "control.sock")},
            "logging": {"pretty": self.verbose},
            "metrics": {"listen": f"{LOOPBACK}:0"},
        }
        own["database"]["migrate_on_start"] = True
        return own if self.live else own | self._simulated(_free_port())

    def _simulated(self, port: int) -> dict[str, Any]:
        from priceverse.model.exchange import Exchange  # noqa: PLC0415 - only needed here

        venues: dict[str, Any] = {
            each.value: {"ws_url": f"ws://{LOOPBACK}:{port}/{each}", "rest_url": f"http://{LOOPBACK}:{port}/{each}"}
            for each in Exchange
        }
        return {
            "exchanges": venues,
            "cbr": {"url": f"http://{LOOPBACK}:{port}/cbr/XML_daily.asp"},
            "simulator": {
                "listen_port": port,
                "replay": str(self.replay.absolute()) if self.replay else None,
                "truth": str(self.truth.absolute()) if self.truth else None,
                "speed": self.speed,
                "seed": self.seed,
            },
        }


@click.command()
@click.option("--live", is_flag=True, help="Connect to the real exchanges instead of the simulator.")
@click.option(
    "--replay",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of captured frames that the simulator replays instead of a random walk.",
)
@click.option("--speed", default=1.0, type=click.FloatRange(0.01, 1000), help="Pace of the simulator; 1 is real time.")
@click.option("--seed", default=0, help="Seed of the random walk.")
@click.option(
    "--truth", type=click.Path(dir_okay=False, path_type=Path), help="File that gets every trade the simulator sent."
)
@click.option("--port", default=3000, type=click.IntRange(0, 65535), help="Port of the API and the page; 0: any free.")
@click.option(
    "--state",
    default=Path(".priceverse"),
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory for everything this instance keeps.",
)
@click.option("--detach", is_flag=True, help="Return when it is ready and leave it running.")
@click.option("--stop", is_flag=True, help="Stop the instance of this state directory.")
@click.option("-v", "--verbose", is_flag=True, help="Logs on the terminal instead of in the state directory.")
@config_option
def command(state: Path, *, detach: bool, stop: bool, **options: Any) -> None:  # noqa: ANN401 - Plan's fields
    """Start servers, exchange simulator and the whole daemon on this machine; Ctrl-C stops all of it."""
    plan = Plan(state=state.absolute(), **options)
    if plan.live and (plan.replay or plan.truth):
        raise click.UsageError("--live has no simulator: --replay and --truth do not go with it")
    try:
        if stop:
            click.echo(detached.stop(plan.state))
            return
        if detach:
            detached.start(plan.state)
            return
        sys.exit(_run(plan))
    except EmbeddedError as fault:
        raise click.ClickException(str(fault)) from None


def _run(plan: Plan) -> int:
    from priceverse.embedded.postgres import PostgresServer  # noqa: PLC0415 - `--help` stays fast
    from priceverse.embedded.redis import RedisServer  # noqa: PLC0415
    from priceverse.embedded.state import StateDir  # noqa: PLC0415

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # until the supervisor takes over
    _require_free(plan.port)
    with StateDir(plan.state), _terminal(plan) as terminal:
        servers = (RedisServer(plan.state), PostgresServer(plan.state))
        try:
            for server in servers:
                server.start()
            sections = {"redis": servers[0].settings, "database": servers[1].settings}
            overrides = plan.overrides(sections)
            settings = load_or_exit(plan.config, overrides).settings
            code = _serve(plan, settings, overrides, servers=servers, terminal=terminal)
        except KeyboardInterrupt:
            code = 128 + signal.SIGINT
        finally:
            with _deaf():
                for server in reversed(servers):
                    server.stop()
        _tell(terminal, "stopped\n")
        return code


def _serve(
    plan: Plan, settings: "Settings", overrides: dict[str, Any], *, servers: tuple[Any, ...], terminal: TextIO
) -> int:
    import trio  # noqa: PLC0415 - `--help` stays fast

    from priceverse.cli import daemon  # noqa: PLC0415
    from priceverse.config.load import load  # noqa: PLC0415
    from priceverse.embedded.keeper import keep  # noqa: PLC0415

    async def main() -> int:
        stopping = trio.Event()
        async with trio.open_nursery() as nursery:
            for server in servers:
                nursery.start_soon(keep, server, stopping)
            code = await daemon.serve(
                settings,
                lambda: load(plan.config, overrides=overrides).settings,
                lambda bound: _announce(plan, bound, terminal),
            )
            stopping.set()
        return code

    return trio.run(main)


def _announce(plan: Plan, bound: "Bound", terminal: TextIO) -> None:
    host, port = bound["api"]
    url = f"http://{host}:{port}"
    feed = "the real exchanges" if plan.live else f"a replay of {plan.replay}" if plan.replay else "the simulator"
    _tell(
        terminal,
        f"ready    listening to {feed}\n"
        f"page     {url}/\n"
        f"health   {url}/health\n"
        f"{_metrics(bound)}"
        f"log      {'this terminal' if plan.verbose else detached.log_file(plan.state)}\n"
        f"stop     Ctrl-C, or: priceverse up --stop --state {plan.state}\n",
    )


def _metrics(bound: "Bound") -> str:
    host, port = bound.get("metrics", ("", 0))
    return f"metrics  http://{host}:{port}/metrics\n" if host else ""


def _tell(terminal: TextIO, text: str) -> None:
    """Write to a person who may have gone (whoever started a detached instance does), with nothing left in a buffer."""
    with suppress(OSError):
        os.write(terminal.fileno(), text.encode())


@contextmanager
def _terminal(plan: Plan) -> Iterator[TextIO]:
    """Keep the terminal for what a person must read; the logs of all processes go to the state directory."""
    with os.fdopen(os.dup(1), "w") as terminal, os.fdopen(os.dup(2), "w") as faults:
        if not plan.verbose:
            log = os.open(detached.rotate_log(plan.state), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.dup2(log, 1)
            os.dup2(log, 2)
            os.close(log)
            sys.stderr = faults
        try:
            yield terminal
        finally:
            os.dup2(faults.fileno(), 2)
            sys.stderr = sys.__stderr__


@contextmanager
def _deaf() -> Iterator[None]:
    """Finish stopping even when somebody is impatient: a second signal must not leave a server behind."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    yield


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            raise EmbeddedError(f"port {port} on {LOOPBACK}: {error.strerror}: choose another with --port") from None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port

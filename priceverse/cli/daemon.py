"""The root process: schema first, then the supervised tree. Shared by `run` and `up`; does no price work."""

from collections.abc import Callable, Mapping

import click
import tenacity
import trio

from priceverse import __version__, log, topology
from priceverse.cli.settings import EXIT_CONFIG
from priceverse.cli.telemetry import Telemetry
from priceverse.config.settings import Logging, Settings
from priceverse.db import migrate
from priceverse.db.errors import DatabaseUnavailable
from supervisor import runtime
from supervisor.errors import SupervisorError
from supervisor.events import Event, Name
from supervisor.spec import TreeSpec

SCHEMA_WAIT_S = 30.0
"""How long a start waits for PostgreSQL before it goes on without: live prices do not need it."""

EXIT_FAULT = 1

_LINE = {"self", "method_name", "event", "child", "exception", "stack"}

Bound = Mapping[str, tuple[str, int]]


async def serve(
    settings: Settings,
    reread: Callable[[], Settings],
    on_ready: Callable[[Bound], None] | None = None,
) -> int:
    """Run the tree of `settings` until a signal stops it; return the exit code of the process.

    `reread` is asked for the settings as they are now whenever somebody wants a reload; it may raise ConfigError.
    """
    _log_as(settings.logging)
    try:
        with trio.move_on_after(SCHEMA_WAIT_S) as patience:
            await _prepare_schema(settings)
    except migrate.SchemaOutdated as fault:
        return _refuse(str(fault), EXIT_CONFIG)
    async with trio.open_nursery() as nursery:
        if patience.cancelled_caught:
            log.get_logger().error("started_without_database", effect="live prices only until it answers")
            nursery.start_soon(_prepare_late, settings)
        code = await _supervise(settings, reread, on_ready)
        nursery.cancel_scope.cancel()
    return code


async def _supervise(
    settings: Settings, reread: Callable[[], Settings], on_ready: Callable[[Bound], None] | None
) -> int:
    """Run the tree, and beside it whatever is served of its state; return when the tree has stopped."""
    telemetry = Telemetry(settings)
    latest = settings
    code = EXIT_FAULT

    def reload() -> TreeSpec:
        nonlocal latest
        latest = reread()
        return topology.tree(latest)

    def on_event(event: Event) -> None:
        telemetry.on_event(event)
        if event.name == Name.TREE_RELOADED:
            _log_as(latest.logging)
        _log(event)

    async def run(*, task_status: trio.TaskStatus[runtime.Running]) -> None:
        nonlocal code
        code = await runtime.run(
            topology.tree(settings),
            on_event=on_event,
            on_beat=telemetry.on_beat,
            reload=reload,
            on_ready=on_ready and (lambda bound: on_ready({**bound, **telemetry.bound})),
            program=f"priceverse {__version__}",
            task_status=task_status,
        )
        nursery.cancel_scope.cancel()

    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(telemetry.serve, await nursery.start(run))
    except* SupervisorError as faults:
        code = max(_refuse(str(fault), fault.exit_code) for fault in _supervisor_errors(faults))
    return code


def _supervisor_errors(faults: BaseExceptionGroup[SupervisorError]) -> list[SupervisorError]:
    return [
        leaf
        for fault in faults.exceptions
        for leaf in (_supervisor_errors(fault) if isinstance(fault, BaseExceptionGroup) else [fault])
    ]


async def _prepare_schema(settings: Settings) -> None:
    """Migrate or check, as soon as PostgreSQL answers. Raises SchemaOutdated."""
    prepare = migrate.up if settings.database.migrate_on_start else migrate.check
    retrying = tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception_type(DatabaseUnavailable),
        wait=tenacity.wait_exponential(max=30),
        before_sleep=_report,
    )
    await retrying(trio.to_thread.run_sync, prepare, settings)


def _report(state: tenacity.RetryCallState) -> None:
    away = state.outcome.exception() if state.outcome else None
    log.get_logger().error("database_unavailable", reason=getattr(away, "reason", ""), detail=str(away))


async def _prepare_late(settings: Settings) -> None:
    """Do it in the background: history begins when it is done."""
    try:
        await _prepare_schema(settings)
    except migrate.SchemaOutdated as fault:
        log.get_logger().error("schema_outdated", detail=str(fault))


def _refuse(fault: str, code: int) -> int:
    click.echo(f"priceverse: {fault}", err=True)
    return code


def _log_as(wanted: Logging) -> None:
    log.configure(level=wanted.level, pretty=wanted.pretty, child="root", role="root")


def _log(event: Event) -> None:
    """Write one line; what a child calls by a name that the line needs itself gets an underscore."""
    data = {(f"{key}_" if key in _LINE else key): value for key, value in event.data.items() if key != "level"}
    getattr(log.get_logger(), event.level)(event.name, **(data | ({"worker": event.child} if event.child else {})))

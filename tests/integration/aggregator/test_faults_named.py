"""What an aggregator says while it cannot store: in the health report and in the metrics, though no row is due yet."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import psycopg
import pytest
import trio

from priceverse.aggregator import history, report
from priceverse.api import sources
from priceverse.bus import keys, prices, stats
from priceverse.bus.client import RedisDoor
from priceverse.config.settings import Database, Redis, Settings
from priceverse.db.errors import Reason
from priceverse.embedded.postgres import PostgresServer
from priceverse.embedded.redis import RedisServer
from priceverse.metrics import catalogue, tally
from priceverse.metrics.metric import Metric, unpacked
from priceverse.services import checks
from supervisor.spec import ChildSpec
from tests.conftest import connect_database
from tests.integration.aggregator.conftest import PAIRS, Market, aggregating
from tests.integration.aggregator.test_aggregator import eventually

CHILD = "aggregator.1"
NAMED_WITHIN_S = 5.0

Fault = Callable[[PostgresServer, Database], AbstractContextManager[None]]


@contextmanager
def away(server: PostgresServer, settings: Database) -> Iterator[None]:
    server.stop()
    yield
    server.start()


@contextmanager
def read_only(server: PostgresServer, settings: Database) -> Iterator[None]:
    """As after a failover to which nobody told us the way."""
    set_read_only(settings, "on")
    yield
    set_read_only(settings, "off")


@contextmanager
def exhausted(server: PostgresServer, settings: Database) -> Iterator[None]:
    held = hold_all(settings)
    cut_others(held[0])
    held += hold_all(settings)
    yield
    for each in held:
        each.close()


def hold_all(settings: Database) -> list[psycopg.Connection]:
    held: list[psycopg.Connection] = []
    try:
        while True:
            held.append(connect_database(settings))
    except psycopg.OperationalError:
        return held


def cut_others(connection: psycopg.Connection) -> None:
    connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'priceverse'")


def set_read_only(settings: Database, value: str) -> None:
    with connect_database(settings) as connection:
        connection.execute("SET default_transaction_read_only = off")
        connection.execute(f"ALTER DATABASE {settings.database} SET default_transaction_read_only = {value}".encode())
        cut_others(connection)


@pytest.fixture
def roomy(settings: Settings, own_postgres: PostgresServer) -> Settings:
    """A grid of an hour: nothing is due for as long as a test lasts."""
    slow = settings.aggregation.model_copy(update={"interval": 3_600_000, "window_size": 3_600_000})
    own = Database.model_validate(own_postgres.settings)
    return settings.model_copy(update={"aggregation": slow, "database": own})


@pytest.mark.parametrize(
    ("fault", "reason"), [(away, Reason.AWAY), (read_only, Reason.READ_ONLY), (exhausted, Reason.EXHAUSTED)]
)
async def test_a_fault_is_named_while_it_lasts_and_not_after_it(door, roomy, own_postgres, fault: Fault, reason):
    async def health():
        return checks.history(await stats.collect(door, roomy.app.name, [CHILD]))

    async with aggregating(roomy, *PAIRS, child=CHILD):
        await eventually(health, lambda check: check.status == "up")
        before = failures(reason)
        with fault(own_postgres, roomy.database):
            await eventually(health, lambda check: check.status == "down")
            assert failures(reason) > before
        await eventually(health, lambda check: check.status == "up")


def failures(reason: Reason) -> float:
    return counted(catalogue.DATABASE_FAILURES, reason)


def counted(metric: Metric, *labels: str) -> float:
    samples = unpacked(tally.OWN.report()["metrics"], {metric.name: metric})
    return sum(float(sample.value) for sample in samples if sample.labels == labels)


async def test_redis_is_named_while_it_is_away_and_not_after_it_came_back_empty(settings, tmp_path):
    server = RedisServer(tmp_path)
    server.start()
    try:
        own = settings.model_copy(update={"redis": Redis.model_validate(server.settings)})
        market = Market(own)
        async with aggregating(own, *PAIRS, child=CHILD) as aggregator:

            async def is_away():
                await trio.lowlevel.checkpoint()
                return aggregator.stats()["redis_away"]

            for pair in sorted(PAIRS):
                await market.trade(pair)
            async with RedisDoor(own.redis) as own_door:
                await eventually(lambda: prices.current(own_door, ["btc-usd"]), bool)
            before = counted(catalogue.REDIS_FAILURES)
            server.stop()
            await eventually(is_away, bool)
            assert counted(catalogue.REDIS_FAILURES) > before
            (tmp_path / "redis").joinpath("appendonlydir").rename(tmp_path / "gone")
            server.start()
            await eventually(is_away, lambda away: not away)
        await market.aclose()
    finally:
        server.stop()


def test_what_lies_between_a_fault_and_its_name_is_shorter_than_five_seconds():
    """Found by a look, told by a report that the API keeps for a moment; or carried by a beat."""
    in_health_s = history.LOOK_EVERY_S + report.REPORT_EVERY_S + sources.KEEP_S
    in_metrics_s = history.LOOK_EVERY_S + ChildSpec.__dataclass_fields__["beat_interval_s"].default
    assert max(in_health_s, in_metrics_s) < NAMED_WITHIN_S
    assert keys.STATS_TTL_S > NAMED_WITHIN_S

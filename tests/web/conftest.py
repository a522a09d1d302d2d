"""A handler with real stores, prices that the test publishes, and a browser that looks at it."""

import json
import socket
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trio

from priceverse.config.settings import Settings, Supervisor
from priceverse.metrics import listener
from tests.integration.api.conftest import (  # noqa: F401 - pytest finds fixtures by name
    client,
    handler,
    publish,
    start,
)
from tests.web.browser import launched, tab


@pytest.fixture(scope="session")
def browser() -> Iterator[str]:
    """One browser for the run; every test has tabs of its own."""
    with launched() as address:
        yield address


@pytest.fixture
def settings(redis_settings, database_settings) -> Iterator[Settings]:
    """Settings with a place of their own for the root's sockets, with a short path."""
    with tempfile.TemporaryDirectory(prefix="pv-") as folder:
        control = Supervisor(control_socket=Path(folder) / "control.sock")
        yield Settings(redis=redis_settings, database=database_settings, supervisor=control)


@pytest.fixture
def tree() -> list[dict[str, Any]]:
    """The processes that the root tells of."""
    return [{"name": "api.0", "role": "api", "state": "ready", "restarts": 0, "uptime_s": 60.0}]


@pytest.fixture
async def root(settings, tree, nursery):
    """A root that answers its children."""
    listening = trio.socket.socket(socket.AF_UNIX)
    await listening.bind(str(settings.metrics_socket))
    listening.listen()
    pages = {"/tree": lambda _: listener.Page("application/json", json.dumps(tree).encode())}
    nursery.start_soon(listener.serve, [trio.SocketListener(listening)], pages)


@pytest.fixture
async def page(browser, root):
    async with tab(browser) as page:
        yield page


@pytest.fixture
def store_candles(connect) -> Callable[[str, int], None]:
    """Writes hourly candles up to the open one: of `btc-usd` around 64,000, rising and falling."""

    def store(pair: str = "btc-usd", hours: int = 200) -> None:
        first = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=hours - 1)
        connection = connect()
        connection.execute("SELECT ensure_candle_partitions(%s, %s)", (first.date(), datetime.now(UTC).date()))
        rows = [
            (
                pair,
                first + timedelta(hours=i),
                64_000 + i,
                64_300 + i,
                63_800 + i,
                64_000 + i + (100 if i % 2 else -100),
            )
            for i in range(hours)
        ]
        for table, width in (("price_history_1hour", 1), ("price_history_1day", 24)):
            connection.cursor().executemany(
                f"INSERT INTO {table} (pair, timestamp, open, high, low, close, volume, quote_volume, trade_count,"
                " open_time, close_time) VALUES (%s, %s, %s, %s, %s, %s, 5, 320000, 10, %s, %s)",
                [(*row, row[1], row[1]) for row in rows if row[1].hour % width == 0],
            )

    return store

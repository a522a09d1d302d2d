"""A simulator that has candles, a database that lacks them."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import trio

from priceverse.config.settings import Database as DatabaseSettings
from priceverse.config.settings import Settings
from priceverse.db.pool import Database
from priceverse.model.exchange import Exchange
from priceverse.simulator.market import Options, Running, serve


@pytest.fixture
async def running(nursery: trio.Nursery) -> AsyncIterator[Running]:
    yield await nursery.start(serve, Options(seed=1))
    nursery.cancel_scope.cancel()


@pytest.fixture
def pointed(database_settings: DatabaseSettings) -> Callable[[int], Settings]:
    """Settings that ask the simulator on a port, without any pause between requests."""

    def at(port: int) -> Settings:
        base = f"http://127.0.0.1:{port}"
        venues = {exchange.value: {"rest_url": f"{base}/{exchange}", **_quote(exchange)} for exchange in Exchange}
        return Settings.model_validate(
            {
                "database": database_settings.model_dump(context={"secrets": True}),
                "exchanges": venues,
                "cbr": {"url": f"{base}/cbr/XML_daily.asp"},
            }
        )

    return at


def _quote(exchange: Exchange) -> dict[str, str]:
    return {"quote": Settings().exchanges.venue(exchange).quote.value}


@pytest.fixture
def settings(running: Running, pointed: Callable[[int], Settings]) -> Settings:
    return pointed(running.port)


@pytest.fixture
async def db(settings: Settings) -> AsyncIterator[Database]:
    async with Database(settings.database) as database:
        yield database


Fill = Callable[..., Awaitable[object]]

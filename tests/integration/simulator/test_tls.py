"""Collectors of every venue against the simulator over wss and https, with real handshakes."""

import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio

from priceverse.cli.simulate import variables
from priceverse.collector.ledger import Ledger
from priceverse.collector.serve import Duties, serve
from priceverse.config.load import load
from priceverse.config.settings import Redis, Settings
from priceverse.model.exchange import Exchange
from priceverse.net import bank
from priceverse.net.errors import NetError
from tests.integration.simulator.conftest import Market

DEADLINE_S = 60.0
Start = Callable[..., Awaitable[Market]]


def authority(folder: Path) -> Path:
    """Make a test authority with the command that the simulator names."""
    made = [sys.executable, "-m", "trustme", "-q", "-d", str(folder), "-i", "127.0.0.1"]
    subprocess.run(made, check=True, timeout=DEADLINE_S)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return authority(tmp_path_factory.mktemp("tls"))


def pointed(market: Market, folder: Path, redis: Redis, host: str = "127.0.0.1") -> Settings:
    """Settings that lead to the simulator, as the command prints them."""
    environ = {name: value.replace("127.0.0.1", host) for name, value in variables(market.port, folder).items()}
    settings = load(None, environ=environ | {"PRICEVERSE_EXCHANGES__RECONNECT_BASE_DELAY": "10"}).settings
    return settings.model_copy(update={"redis": redis})


async def collected(settings: Settings, exchange: Exchange, wanted: Callable[[dict], bool]) -> dict:
    """Run a collector until its ledger is as wanted, and return what it says."""
    ledger, stopping = Ledger(exchange), trio.Event()
    duties = Duties(f"collector.{exchange}", stopping, trio.lowlevel.checkpoint, lambda _: None)
    with trio.fail_after(DEADLINE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve, settings, exchange, duties, ledger)
            while not wanted(seen := ledger.snapshot()):  # noqa: ASYNC110 - the ledger tells nobody
                await trio.sleep(0.02)
            stopping.set()
    return seen


async def test_every_venue_over_tls(start: Start, folder: Path, redis_settings: Redis) -> None:
    market = await start(speed=5.0, seed=1, tls=folder)
    settings = pointed(market, folder, redis_settings)
    seen: dict[Exchange, dict] = {}

    async def collect(exchange: Exchange) -> None:
        seen[exchange] = await collected(settings, exchange, lambda ledger: ledger["published"] >= 5)

    async with trio.open_nursery() as nursery:
        for exchange in Exchange:
            nursery.start_soon(collect, exchange)
    assert seen.keys() == set(Exchange)
    assert {ledger["error"] for ledger in seen.values()} == {""}


async def test_the_bank_over_tls(start: Start, folder: Path, redis_settings: Redis) -> None:
    settings = pointed(await start(tls=folder), folder, redis_settings)
    with trio.fail_after(DEADLINE_S):
        assert (await bank.read(settings.cbr)).usd_rub > 0
        with pytest.raises(NetError, match="certificate refused"):
            await bank.read(settings.cbr.model_copy(update={"tls_ca": None}))


@pytest.mark.parametrize("exchange", [Exchange.KRAKEN, Exchange.KUCOIN])
async def test_another_authority_is_refused(
    start: Start, folder: Path, redis_settings: Redis, exchange: Exchange, tmp_path: Path
) -> None:
    settings = pointed(await start(tls=folder), authority(tmp_path), redis_settings)
    seen = await collected(settings, exchange, lambda ledger: ledger["error"] != "")
    assert "certificate refused" in seen["error"]
    assert (seen["published"], seen["connected"]) == (0, False)


@pytest.mark.parametrize("exchange", [Exchange.KRAKEN, Exchange.KUCOIN])
async def test_another_name_is_refused(start: Start, folder: Path, redis_settings: Redis, exchange: Exchange) -> None:
    settings = pointed(await start(tls=folder), folder, redis_settings, host="localhost")
    seen = await collected(settings, exchange, lambda ledger: ledger["error"] != "")
    assert "certificate refused" in seen["error"]
    assert (seen["published"], seen["connected"]) == (0, False)

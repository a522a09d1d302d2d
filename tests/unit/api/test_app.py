"""The application without a server: what only a fault of ours or a configuration shows."""

import json

import pytest

from priceverse import services
from priceverse.api import app
from priceverse.api.live import LivePrices
from priceverse.config.settings import Health, Settings
from priceverse.rpc.dispatch import Dispatcher
from priceverse.rpc.endpoint import Endpoint
from tests.fakes.ports import NOW_MS, World


@pytest.fixture
def create():
    def create(settings):
        registry, world = services.registry(), World()
        dispatcher = Dispatcher(registry, world.ports, max_timeout_s=30)
        endpoint = Endpoint(dispatcher, max_batch=50, now_ms=lambda: NOW_MS, observe=lambda *_: None)
        live = LivePrices(max_price_age_ms=120_000, now_ms=lambda: NOW_MS)
        return app.create(
            settings, registry=registry, ports=world.ports, dispatcher=dispatcher, endpoint=endpoint, live=live
        )

    return create


async def test_a_view_that_fails_shows_nothing(create):
    application = create(Settings())

    @application.get("/broken")
    async def broken():
        raise RuntimeError("the secret of the house")

    reply = await application.test_client().get("/broken", headers={"X-Request-ID": "r"})
    said = json.loads(await reply.get_data())
    assert reply.status_code == 500
    assert (said["id"], said["error"]) == ("r", {"code": "SYSTEM_5003", "message": "Internal Server Error"})


async def test_health_moves_with_its_configuration(create):
    client = create(Settings(health=Health(path="/status"))).test_client()
    assert (await client.get("/status/live")).status_code == 200
    assert (await client.get("/health/live")).status_code == 404
    assert json.loads(await (await client.get("/discover")).get_data())["health"] == "/status"


async def test_health_can_be_off(create):
    client = create(Settings(health=Health(enabled=False))).test_client()
    assert (await client.get("/health")).status_code == 404
    assert json.loads(await (await client.get("/discover")).get_data())["health"] is None

"""The application without a server: what only a fault of ours or a configuration shows."""

import json

from priceverse.config.settings import Health, Settings


async def test_a_view_that_fails_shows_nothing(application):
    broken_one = application()

    @broken_one.get("/broken")
    async def broken():
        raise RuntimeError("the secret of the house")

    reply = await broken_one.test_client().get("/broken", headers={"X-Request-ID": "r"})
    said = json.loads(await reply.get_data())
    assert reply.status_code == 500
    assert (said["id"], said["error"]) == ("r", {"code": "SYSTEM_5003", "message": "Internal Server Error"})


async def test_health_moves_with_its_configuration(application):
    client = application(Settings(health=Health(path="/status"))).test_client()
    assert (await client.get("/status/live")).status_code == 200
    assert (await client.get("/health/live")).status_code == 404
    assert json.loads(await (await client.get("/discover")).get_data())["health"] == "/status"


async def test_health_can_be_off(application):
    client = application(Settings(health=Health(enabled=False))).test_client()
    assert (await client.get("/health")).status_code == 404
    assert json.loads(await (await client.get("/discover")).get_data())["health"] is None

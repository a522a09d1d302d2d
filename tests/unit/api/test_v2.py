"""Prices and candles by GET: the methods' data, kept as long as they promise, asked about by ETag."""

import json

import pytest

from priceverse.model.candle import Interval
from priceverse.rpc.limits import Quota
from tests.fakes.ports import LISTED, NOW_MS, a_candle, a_price

HOUR_MS = 3_600_000


async def told(reply):
    return json.loads(await reply.get_data())


async def test_a_price_is_the_methods_data_with_an_etag_and_a_promise(client):
    reply = await client.get("/v2/prices/btc-usd")
    assert (await told(reply))["priceExact"] == "64000.12345678"
    assert b'"price":64000.12345678,' in await reply.get_data()
    assert (reply.status_code, reply.content_type) == (200, "application/json")
    assert reply.headers["Cache-Control"] == "public, max-age=5"
    assert reply.headers["ETag"].startswith('W/"')


async def test_who_has_it_already_is_told_so_until_it_changes(client, world):
    etag = (await client.get("/v2/prices/btc-usd")).headers["ETag"]
    again = await client.get("/v2/prices/btc-usd", headers={"If-None-Match": f'"other", {etag}'})
    assert (again.status_code, await again.get_data(), again.headers["ETag"]) == (304, b"", etag)
    assert again.headers["Cache-Control"] == "public, max-age=5"
    assert again.headers["Vary"] == "Accept-Encoding"
    world.live.put(a_price(price="64001.00000000"))
    assert (await client.get("/v2/prices/btc-usd", headers={"If-None-Match": etag})).status_code == 200


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v2/prices/no-such", 400, "VALIDATION_4001"),
        ("/v2/prices/ltc-usd", 404, "PRICE_1001"),
        ("/v2/prices?pairs=btc-usd,no-such", 400, "VALIDATION_4001"),
        ("/v2/candles/btc-usd?interval=2hours", 400, "CHART_2003"),
        ("/v2/candles/btc-usd?limit=0", 400, "VALIDATION_4004"),
        ("/v2/candles/btc-usd?limit=ten", 400, "VALIDATION_4004"),
        ("/v2/candles/btc-usd?limit=99999999999999999999", 400, "VALIDATION_4004"),
        ("/v2/candles/btc-usd?from=yesterday", 400, "VALIDATION_4003"),
        ("/v2/candles/btc-usd?frm=2025-01-01T00:00:00Z", 400, "VALIDATION_4004"),
        ("/v2/candles/btc-usd?pair=eth-usd", 400, "VALIDATION_4004"),
        ("/v2/candles/btc-usd", 404, "CHART_2001"),
    ],
)
async def test_what_is_wrong_has_the_methods_code_and_envelope(client, path, status, code):
    reply = await client.get(path, headers={"X-Request-ID": "r1"})
    said = await told(reply)
    assert (reply.status_code, said["error"]["code"], said["success"], said["id"]) == (status, code, False, "r1")
    assert reply.headers["Cache-Control"] == "no-store"


async def test_all_prices_come_in_the_configured_order_and_some_in_that_asked_for(client):
    assert [each["pair"] for each in (await told(await client.get("/v2/prices")))["prices"]] == list(LISTED)
    some = await told(await client.get("/v2/prices?pairs=xmr-usd,btc-usd&pairs=btc-usd"))
    assert [each["pair"] for each in some["prices"]] == ["xmr-usd", "btc-usd"]
    assert "unavailable" not in some


async def test_a_pair_without_a_price_says_why_and_keeps_nobody_waiting(client, world):
    world.live.put(a_price("xmr-usd", age_ms=500_000))
    reply = await client.get("/v2/prices")
    said = await told(reply)
    assert [each["pair"] for each in said["prices"]] == [pair for pair in LISTED if pair != "xmr-usd"]
    assert said["unavailable"]["xmr-usd"]["code"] == "PRICE_1003"
    assert said["unavailable"]["xmr-usd"]["details"]["ageMs"] == 500_000


async def test_no_price_at_all_is_an_error(client, world):
    world.live.prices.clear()
    reply = await client.get("/v2/prices")
    assert (reply.status_code, (await told(reply))["error"]["code"]) == (503, "PRICE_1002")


async def test_candles_take_the_methods_parameters(client, world):
    world.history.stored_candles = [a_candle(NOW_MS - hour * HOUR_MS, f"{hour}.5") for hour in range(1, 6)]
    reply = await client.get("/v2/candles/btc-usd?limit=2&offset=1&from=2025-12-31T00:00:00Z")
    said = await told(reply)
    assert [each["close"] for each in said["candles"]] == [2.5, 3.5]
    assert said["pagination"] == {"total": 5, "limit": 2, "offset": 1}
    assert reply.headers["Cache-Control"] == "public, max-age=60"


@pytest.mark.parametrize("offset", ["+03:00", "%2B03:00", "-02:30", "Z"])
async def test_a_time_may_have_an_offset_as_people_type_it(client, world, offset):
    """In a query a plus is a space."""
    world.history.stored_candles = [a_candle(NOW_MS - hour * HOUR_MS) for hour in range(1, 6)]
    assert (await client.get(f"/v2/candles/btc-usd?from=2025-12-31T00:00:00{offset}")).status_code == 200


async def test_a_negative_number_is_called_what_it_is(client):
    said = await told(await client.get("/v2/candles/btc-usd?limit=-1"))
    assert said["error"]["message"] == "Invalid input: Expected `int` >= 1"


async def test_the_interval_can_be_chosen(client, world):
    world.history.stored_candles = [a_candle(NOW_MS - 86_400_000, "7.5", interval=Interval.DAY)]
    assert (await told(await client.get("/v2/candles/btc-usd?interval=1day")))["candles"][0]["close"] == 7.5


class EveryCall:
    """A limiter that lets everything through and tells each client the same."""

    def take(self, client, method, limit):
        return Quota(method, limit, 7, 3.2)


@pytest.mark.parametrize(
    ("path", "policy"),
    [("/v2/prices/btc-usd", '"getPrice";q=100;w=60'), ("/v2/prices", '"getMultiplePrices";q=50;w=60')],
)
async def test_a_read_tells_what_the_client_has_left(application, path, policy):
    client = application(limiter=EveryCall(), client="1.2.3.4").test_client()
    reply = await client.get(path)
    assert reply.headers["RateLimit-Policy"] == policy
    assert reply.headers["RateLimit"].endswith(";r=7;t=4")
    again = await client.get(path, headers={"If-None-Match": reply.headers["ETag"]})
    assert (again.status_code, again.headers["RateLimit-Policy"]) == (304, policy)

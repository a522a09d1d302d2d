"""What every answer gets: who may read it, how it is correlated, compression."""

import gzip
import json

import pytest

from priceverse.api.cors import Cors
from priceverse.api.gzip import is_wanted
from priceverse.config.settings import Api, Settings

PAGE = "https://page.example"
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def only(*origins, **given):
    return Settings(api=Api(cors_origins=origins, **given))


async def test_everybodys_pages_may_read_by_default(client):
    reply = await client.get("/v2/prices/btc-usd", headers={"Origin": PAGE})
    assert reply.headers["Access-Control-Allow-Origin"] == "*"
    assert "ETag" in reply.headers["Access-Control-Expose-Headers"]
    assert "Access-Control-Allow-Credentials" not in reply.headers


async def test_only_the_configured_origins_may_and_caches_keep_them_apart(application):
    client = application(only(PAGE)).test_client()
    mine = await client.get("/v2/prices/btc-usd", headers={"Origin": PAGE})
    assert (mine.headers["Access-Control-Allow-Origin"], mine.headers["Vary"]) == (PAGE, "Origin")
    other = await client.get("/v2/prices/btc-usd", headers={"Origin": "https://evil.example"})
    assert "Access-Control-Allow-Origin" not in other.headers
    assert (other.status_code, other.headers["Vary"]) == (200, "Origin")


async def test_no_origin_at_all_can_be_configured():
    assert Cors(()).on_answer(PAGE) == []
    assert Cors(()).on_preflight(PAGE) == []


@pytest.mark.parametrize("path", ["/netron/invoke", "/v2/prices", "/no/such/path"])
async def test_a_browser_that_asks_beforehand_is_answered_for_a_day(client, path):
    asked = {"Origin": PAGE, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    reply = await client.options(path, headers=asked)
    assert (reply.status_code, await reply.get_data()) == (204, b"")
    assert reply.headers["Access-Control-Max-Age"] == "86400"
    assert "POST" in reply.headers["Access-Control-Allow-Methods"]
    assert "Content-Type" in reply.headers["Access-Control-Allow-Headers"]


async def test_a_page_that_may_not_learns_nothing_beforehand(application):
    reply = (
        await application(only(PAGE)).test_client().options("/v2/prices", headers={"Origin": "https://evil.example"})
    )
    assert reply.status_code == 204
    assert not any(name.lower().startswith("access-control") for name, _ in reply.headers.items())


@pytest.mark.parametrize("path", ["/v2/prices", "/udf/config", "/health/live", "/discover", "/", "/no/such/path"])
async def test_every_answer_can_be_told_apart(client, path):
    reply = await client.get(path, headers={"X-Request-ID": "r1", "traceparent": PARENT})
    assert (reply.headers["X-Request-ID"], reply.headers["traceparent"]) == ("r1", PARENT)
    assert reply.headers["X-Trace-ID"] == "0af7651916cd43dd8448eb211c80319c"
    assert (await client.get(path)).headers["X-Request-ID"]
    assert "\n" not in (await client.get(path, headers={"X-Request-ID": "a b"})).headers["X-Request-ID"]


async def test_a_large_text_is_compressed_for_who_wants_it(client):
    plain = await client.get("/discover")
    small = await client.get("/discover", headers={"Accept-Encoding": "br, gzip"})
    assert (small.headers["Content-Encoding"], small.headers["Vary"]) == ("gzip", "Accept-Encoding")
    body = await small.get_data()
    assert int(small.headers["Content-Length"]) == len(body) < len(await plain.get_data()) / 4
    assert json.loads(gzip.decompress(body)) == json.loads(await plain.get_data())
    assert ("Content-Encoding" in plain.headers, plain.headers["Vary"]) == (False, "Accept-Encoding")


async def test_small_answers_and_calls_stay_as_they_are(client, application):
    wants = {"Accept-Encoding": "gzip"}
    assert "Content-Encoding" not in (await client.get("/health/live", headers=wants)).headers
    call = {"service": "HealthService", "method": "check", "input": {}}
    assert "Content-Encoding" not in (await client.post("/netron/invoke", json=call, headers=wants)).headers
    off = application(Settings(api=Api(gzip_min_bytes=0))).test_client()
    assert "Content-Encoding" not in (await off.get("/discover", headers=wants)).headers


@pytest.mark.parametrize(
    ("accepts", "wanted"),
    [
        ("", False),
        ("gzip", True),
        ("deflate, GZIP;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("*", True),
        ("*, gzip;q=0", False),
        ("identity", False),
    ],
)
def test_gzip_is_for_who_accepts_it(accepts, wanted):
    assert is_wanted(accepts) is wanted

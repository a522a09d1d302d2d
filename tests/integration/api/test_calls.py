"""The API over HTTP: what a client with any HTTP library sees."""

import json
from decimal import Decimal

import pytest

from priceverse.bus import keys, rates
from priceverse.bus.client import RedisDoor
from priceverse.bus.prices import encode
from priceverse.clock import now_ms
from priceverse.db import prices as history
from priceverse.db.pool import Database
from priceverse.db.prices import HistoryRow
from priceverse.model.price import Method
from priceverse.model.rate import Rate
from priceverse.pricing.convert import moscow_day
from tests.conftest import connect_redis
from tests.fakes.ports import LISTED
from tests.integration.api.conftest import price_now

PRICES = "PricesService@2.0.0"
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def invoke(client):
    async def invoke(method, service=PRICES, **given):
        reply = await client.post("/netron/invoke", json={"service": service, "method": method, "input": given})
        return reply.status_code, json.loads(reply.text, parse_float=Decimal)

    return invoke


async def test_a_price_comes_with_its_headers(client):
    asked = {"id": "r1", "service": PRICES, "method": "getPrice", "input": {"pair": "btc-usd"}}
    reply = await client.post("/netron/invoke", json=asked, headers={"X-Request-ID": "h1"})
    said = json.loads(reply.text, parse_float=Decimal)
    assert reply.status_code == 200
    assert (said["id"], said["success"], said["data"]["price"]) == ("r1", True, Decimal("64000.12345678"))
    assert now_ms() - said["data"]["timestamp"] < 60_000
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-request-id"] == "h1"
    assert reply.headers["x-netron-version"] == "2.0"
    assert reply.headers["cache-control"] == "max-age=5"
    assert "server" not in reply.headers


async def test_a_newer_price_is_served_as_soon_as_it_is_published(invoke, publish):
    await publish([price_now(price="65000.00000000", sequence=2)])
    while (await invoke("getPrice", pair="btc-usd"))[1]["data"]["priceExact"] != "65000.00000000":
        pass


async def test_a_batch_over_http(client):
    calls = [{"id": pair, "service": PRICES, "method": "getPrice", "input": [{"pair": pair}]} for pair in LISTED]
    reply = await client.post("/netron/batch", json={"id": "b", "requests": calls})
    said = reply.json()
    assert [each["data"]["pair"] for each in said["responses"]] == list(LISTED)
    assert said["hints"]["successCount"] == 6


async def test_a_key_that_was_never_announced_is_served(start, redis_settings):
    handler = await start()
    price = price_now("xmr-usd", "321.00000000")
    with connect_redis(redis_settings) as redis:
        redis.set(keys.price("xmr-usd"), encode(price))
    async with handler.client() as client:
        asked = {"service": PRICES, "method": "getPrice", "input": {"pair": "xmr-usd"}}
        assert (await client.post("/netron/invoke", json=asked)).json()["data"]["price"] == 321


async def test_history_is_served_while_redis_knows_nothing(start, settings):
    async with Database(settings.database) as database:
        row = HistoryRow("eth-usd", Decimal("2345.67000000"), now_ms() - 10_000, Method.VWAP, ("kraken",), Decimal(1))
        await history.insert(database, [row])
    handler = await start()
    async with handler.client() as client:
        asked = {"service": PRICES, "method": "getPrice", "input": {"pair": "eth-usd"}}
        data = (await client.post("/netron/invoke", json=asked)).json()["data"]
    assert (data["priceExact"], data["timestamp"], data["sources"]) == ("2345.67000000", row.timestamp_ms, ["kraken"])


async def test_an_old_row_of_history_is_stale(start, settings):
    async with Database(settings.database) as database:
        row = HistoryRow("eth-usd", Decimal("2345.67"), now_ms() - 200_000, Method.VWAP, ("kraken",), Decimal(1))
        await history.insert(database, [row])
    handler = await start()
    async with handler.client() as client:
        asked = {"service": PRICES, "method": "getPrice", "input": {"pair": "eth-usd"}}
        reply = await client.post("/netron/invoke", json=asked)
    assert (reply.status_code, reply.json()["error"]["code"]) == (503, "PRICE_1003")
    assert reply.json()["error"]["details"]["lastPrice"] == 2345.67


async def test_roubles_without_a_rate(start):
    handler = await start()
    async with handler.client() as client:
        asked = {"service": PRICES, "method": "getPrice", "input": {"pair": "btc-rub"}}
        error = (await client.post("/netron/invoke", json=asked)).json()["error"]
    assert (error["code"], error["details"]["reason"]) == ("PRICE_1003", "rate_missing")


async def test_known_and_unknown_pairs(invoke):
    status, said = await invoke("getPrice", pair="usdt-usd")
    assert (status, said["error"]["code"]) == (404, "PRICE_1001")
    status, said = await invoke("getPrice", pair="doge-usd")
    assert (status, said["error"]["code"]) == (400, "VALIDATION_4001")
    assert said["error"]["details"] == {"pair": "doge-usd", "availablePairs": list(LISTED)}


async def test_health_of_a_whole_instance(client, redis_settings):
    door = RedisDoor(redis_settings)
    await rates.write(door, [Rate(Decimal("78.2267"), moscow_day(now_ms()), now_ms())])
    reply = await client.get("/health")
    report = reply.json()
    up = {name for name, each in report["checks"].items() if each["status"] == "up"}
    assert (reply.status_code, report["status"]) == (200, "degraded")  # no collector runs here
    assert up == {"database", "redis", "rate", "supervisor", *(f"price.{pair}" for pair in LISTED)}
    assert (await client.get("/health/live")).json() == {"status": "ok"}
    assert (await client.get("/health/ready")).status_code == 200
    await door.aclose()


async def test_health_without_any_price(start):
    handler = await start()
    async with handler.client() as client:
        assert (await client.get("/health/live")).status_code == 200
        ready = await client.get("/health/ready")
        assert (ready.status_code, ready.json()) == (503, {"status": "not_ready"})
        report = await client.get("/health")
        assert (report.status_code, report.json()["status"]) == (503, "unhealthy")


async def test_it_serves_while_everything_is_away(start, settings, unused_port):
    away = settings.model_copy(
        update={
            "redis": settings.redis.model_copy(update={"host": "127.0.0.1", "port": unused_port, "unix_socket": None}),
            "database": settings.database.model_copy(update={"host": "127.0.0.1", "port": unused_port}),
        }
    )
    handler = await start(away)
    async with handler.client() as client:
        asked = {"service": PRICES, "method": "getPrice", "input": {"pair": "btc-usd"}}
        reply = await client.post("/netron/invoke", json=asked)
        assert (reply.status_code, reply.json()["error"]["code"]) == (503, "SYSTEM_5002")
        report = (await client.get("/health")).json()
        assert report["status"] == "unhealthy"
        assert {report["checks"][name]["status"] for name in ("database", "redis")} == {"down"}


async def test_discovery(client):
    said = (await client.get("/discover")).json()
    assert {each["name"] for each in said["services"]} == {"PricesService", "ChartsService", "HealthService"}
    assert said["limits"]["maxPriceAgeMs"] == 120_000


@pytest.mark.parametrize(
    ("method", "path", "given", "status", "code"),
    [
        ("GET", "/nowhere", {}, 404, "404"),
        ("POST", "/nowhere", {}, 404, "404"),
        ("GET", "/netron/invoke", {}, 405, "405"),
        ("POST", "/health", {}, 405, "405"),
        ("POST", "/netron/invoke", {"content": b"{}"}, 415, "415"),
        ("POST", "/netron/invoke", {"content": b"{}", "headers": {"Content-Type": "text/plain"}}, 415, "415"),
        ("POST", "/netron/batch", {"data": {"a": "b"}}, 415, "415"),
        (
            "POST",
            "/netron/invoke",
            {"content": b"{}", "headers": {"Content-Type": "application/json; charset=utf-16"}},
            415,
            "415",
        ),
        ("POST", "/netron/invoke", {"content": b"{}", "headers": JSON | {"Content-Encoding": "gzip"}}, 415, "415"),
        ("POST", "/netron/invoke", {"content": b"x", "headers": JSON}, 400, "400"),
        ("POST", "/netron/invoke", {"content": b" " * 65_537, "headers": JSON}, 413, "413"),
        ("DELETE", "/", {}, 405, "405"),
        ("GET", "/", {"headers": {"X-Long": "x" * 16_384}}, 431, "431"),
    ],
)
async def test_errors_of_the_transport_are_envelopes(client, method, path, given, status, code):  # noqa: PLR0917 - a table
    reply = await client.request(method, path, **given)
    said = reply.json()
    assert (reply.status_code, said["success"], said["error"]["code"]) == (status, False, code)
    assert reply.headers["x-request-id"] == said["id"]


async def test_a_wrong_method_names_the_right_ones(client):
    reply = await client.get("/netron/invoke")
    assert {each.strip() for each in reply.headers["allow"].split(",")} == {"POST", "OPTIONS"}


@pytest.mark.parametrize("charset", ["", "; charset=utf-8", ";charset=UTF-8"])
async def test_json_may_say_that_it_is_utf_8(client, charset):
    body = json.dumps({"id": "ключ", "service": PRICES, "method": "version"}, ensure_ascii=False).encode()
    headers = {"Content-Type": f"application/json{charset}"}
    assert (await client.post("/netron/invoke", content=body, headers=headers)).json()["id"] == "ключ"


async def test_the_page_and_nothing_beside_it(client):
    page = await client.get("/")
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["content-security-policy"].startswith("default-src 'self'")
    assert page.headers["x-content-type-options"] == "nosniff"
    again = await client.get("/", headers={"If-None-Match": page.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    for path in ("/__init__.py", "/index.html", "/../pyproject.toml", "/%2e%2e/pyproject.toml", "/static/index.html"):
        assert (await client.get(path)).status_code == 404


@pytest.mark.parametrize("path", ["/", "/health", "/stream/prices", "/discover"])
async def test_head_has_no_body_and_ends(client, path):
    reply = await client.head(path)
    assert (reply.status_code, reply.content) == (200, b"")


async def test_what_was_done_is_counted(handler, invoke):
    await invoke("getPrice", pair="btc-usd")
    await invoke("getPrice", pair="doge-usd")
    stats = handler.stats()
    assert (stats["requests"], stats["errors"]) == (2, 0)
    assert 0 < stats["latency_p99_s"] < 5
    assert 0 < stats["saturation"] < 1

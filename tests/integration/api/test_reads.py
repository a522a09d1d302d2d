"""The reads and the metrics through a real server, with PostgreSQL's candles and the root's page behind them."""

import pytest
import trio
from msgspec.structs import replace
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from priceverse.config import credentials
from priceverse.config.credentials import Role
from priceverse.config.settings import Auth, Supervisor
from priceverse.metrics import listener, pages
from priceverse.metrics.instance import Instance
from tests.fakes.ports import LISTED
from tests.integration.api.conftest import price_now

STEP_S = 300
INSERT = """
    WITH made AS (SELECT ensure_candle_partitions(current_date - 1, current_date))
    INSERT INTO price_history_5min
        (pair, "timestamp", open, high, low, close, volume, quote_volume, trade_count, open_time, close_time)
    SELECT 'btc-usd', start, 99, 110, 90, 100 + n, 2, 201, 3, start, start
    FROM generate_series(0, 4) AS n, made,
        LATERAL (SELECT to_timestamp(floor(extract(epoch FROM now()) / 300) * 300 - n * 300)) AS step (start)
"""


@pytest.fixture
def guarded(settings, tmp_path):
    """Credentials, and a place where the root's page is looked for."""
    return settings.model_copy(
        update={
            "supervisor": Supervisor(control_socket=tmp_path / "control.sock"),
            "auth": Auth(file=tmp_path / "secrets.json"),
        }
    )


@pytest.fixture
def key(tmp_path):
    """A key that may see the metrics."""
    added, text = credentials.new_key("k", (Role.METRICS,), "2026-01-01T00:00:00+00:00", {})
    credentials.change(tmp_path / "secrets.json", lambda known: replace(known, keys=(added,)))
    return text


@pytest.fixture
async def handler(start, publish, guarded):
    await publish([price_now(pair) for pair in LISTED])
    return await start(guarded)


@pytest.fixture
async def root(nursery, tmp_path):
    """The root's page on its socket."""
    socket = trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM)
    await socket.bind(str(tmp_path / "metrics.sock"))
    socket.listen()
    shown = pages.private(Instance("2.0.0"))
    nursery.start_soon(listener.serve, [trio.SocketListener(socket)], shown)


OF_A_BODY = {"content-length", "content-type"}
"""What an answer without one must not have."""


async def test_a_price_is_read_kept_and_asked_about(client):
    reply = await client.get("/v2/prices/btc-usd")
    assert (reply.status_code, reply.json()["priceExact"]) == (200, "64000.12345678")
    again = await client.get("/v2/prices/btc-usd", headers={"If-None-Match": reply.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert not OF_A_BODY & again.headers.keys()
    head = await client.head("/v2/prices/btc-usd")
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", reply.headers["etag"])


async def test_all_prices_come_compressed(client):
    reply = await client.get("/v2/prices")
    assert reply.headers["content-encoding"] == "gzip"
    assert [each["pair"] for each in reply.json()["prices"]] == list(LISTED)


async def test_candles_are_those_of_the_database(client, connect):
    connect().execute(INSERT)
    reply = await client.get("/v2/candles/btc-usd?interval=5min&limit=2&offset=1")
    assert [each["close"] for each in reply.json()["candles"]] == [101, 102]
    assert reply.json()["pagination"]["total"] == 5
    bars = (await client.get(f"/udf/history?symbol=BTC-USD&resolution=5&from=0&to={2**33}&countback=3")).json()
    assert bars["c"] == [102, 101, 100]
    assert [later - earlier for earlier, later in zip(bars["t"], bars["t"][1:], strict=False)] == [STEP_S, STEP_S]


async def test_a_page_of_somebody_elses_may_call(client):
    origin = {"Origin": "https://page.example"}
    asked = origin | {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    beforehand = await client.options("/netron/invoke", headers=asked)
    assert beforehand.status_code == 204
    assert not OF_A_BODY & beforehand.headers.keys()
    call = {"service": "PricesService", "method": "getPrice", "input": {"pair": "btc-usd"}}
    reply = await client.post("/netron/invoke", json=call, headers=origin)
    assert (reply.status_code, reply.headers["access-control-allow-origin"]) == (200, "*")


async def test_a_method_that_there_is_not_is_refused_with_those_that_there_are(client):
    reply = await client.delete("/v2/prices", headers={"X-Request-ID": "mine"})
    assert (reply.status_code, reply.headers["allow"]) == (405, "GET, HEAD, POST, OPTIONS")
    assert (reply.headers["x-request-id"], reply.json()["id"]) == ("mine", "mine")


async def test_the_metrics_are_the_roots_and_for_bearers(client, key, root):
    assert (await client.get("/metrics")).status_code == 401
    bearer = {"Authorization": f"Bearer {key}"}
    page = await client.get("/metrics", headers=bearer)
    assert page.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    families = {family.name for family in text_string_to_metric_families(page.text)}
    assert {"priceverse_trades", "priceverse_build"} <= families
    summary = await client.get("/metrics", headers=bearer | {"Accept": "application/json"})
    assert set(summary.json()) == {"prices", "exchanges", "database", "redis", "system"}


async def test_without_a_root_there_are_no_metrics(client, key):
    reply = await client.get("/metrics", headers={"Authorization": f"Bearer {key}"})
    assert (reply.status_code, reply.json()["error"]["code"]) == (503, "SYSTEM_5004")

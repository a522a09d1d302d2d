"""A client of a proxy gets what a client of the handler gets: calls, streams as they happen, a limit of its own."""

import json

import httpx
import pytest
import trio
from trio_websocket import open_websocket_url

from priceverse.api import limits
from tests.integration.api.conftest import WAIT_S, price_now
from tests.integration.api.test_stream import Events
from tests.integration.front.conftest import LIMIT

CALL = {"service": "PricesService@2.0.0", "method": "getPrice", "input": {"pair": "btc-usd"}}


@pytest.fixture(autouse=True)
def _standing_clock(monkeypatch):
    """However slow the machine is, no call comes free meanwhile."""
    monkeypatch.setattr(limits, "monotonic_ns", lambda: 10**15)


@pytest.fixture
def client(front):
    """Opens clients with addresses of their own."""

    def client(address="127.0.0.2"):
        transport = httpx.AsyncHTTPTransport(verify=front.trust, local_address=address)
        return httpx.AsyncClient(base_url=front.url, transport=transport, timeout=WAIT_S)

    return client


async def test_a_call_is_answered(client):
    async with client() as one:
        reply = await one.post("/netron/invoke", json=CALL)
        assert (reply.status_code, reply.json()["data"]["priceExact"]) == (200, "64000.12345678")
        page = await one.get("/")
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")


async def test_each_client_has_a_limit_whatever_it_says_of_itself(client):
    """The proxy says who asks: a client that names others on its left is still itself."""
    async with client() as one, client("127.0.0.3") as other:
        replies = [
            await one.post("/netron/invoke", json=CALL, headers={"X-Forwarded-For": f"192.0.2.{i}, 127.0.0.1"})
            for i in range(LIMIT + 1)
        ]
        assert [reply.status_code for reply in replies] == [200] * LIMIT + [429]
        assert (await other.post("/netron/invoke", json=CALL)).status_code == 200


async def test_a_stream_of_events_is_not_held_back(front, publish):
    async with await trio.open_ssl_over_tcp_stream(
        "127.0.0.1", front.port, ssl_context=front.trust, https_compatible=True
    ) as stream:
        events = await Events(stream).open("?pairs=btc-usd")
        assert "content-type: text/event-stream" in events.head
        assert (await events.next())["priceExact"] == "64000.12345678"
        await publish([price_now(price="64001.5")])
        assert (await events.next())["priceExact"] == "64001.5"


async def test_a_websocket_goes_through(front, publish):
    ask = {"id": "s", "service": "PricesService", "method": "streamPrices", "input": {"pairs": ["btc-usd"]}}
    with trio.fail_after(WAIT_S):
        async with open_websocket_url(f"wss://127.0.0.1:{front.port}/netron/ws", front.trust) as socket:
            await socket.send_message(json.dumps(ask))
            assert json.loads(await socket.get_message())["data"]["priceExact"] == "64000.12345678"
            await publish([price_now(price="64001.5")])
            assert json.loads(await socket.get_message())["data"]["priceExact"] == "64001.5"


async def test_metrics_are_not_for_everybody(client):
    async with client() as one:
        assert (await one.get("/metrics")).status_code == 404

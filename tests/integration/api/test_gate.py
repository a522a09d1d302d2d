"""Limits and credentials over HTTP: the same in both lanes, in every handler, and behind a proxy."""

import json
import socket

import pytest
from msgspec.structs import replace

from priceverse.api import limits
from priceverse.config import credentials
from priceverse.config.credentials import Role, User
from priceverse.config.settings import Api, Auth, RateLimit, Supervisor
from tests.fakes.ports import LISTED
from tests.integration.api.conftest import price_now

CALL = {"service": "PricesService", "method": "getPrice", "input": {"pair": "btc-usd"}}
SLOW = {"Origin": "http://elsewhere"}
"""What the fast lane leaves to the application."""


@pytest.fixture(autouse=True)
def _standing_clock(monkeypatch):
    """However slow the machine is, no call comes free meanwhile."""
    monkeypatch.setattr(limits, "monotonic_ns", lambda: 10**15)


@pytest.fixture
def limited(settings, tmp_path):
    """Five calls of getPrice, in a place that handlers share."""
    api = Api(rate_limit=RateLimit.model_validate({"methods": {"getPrice": 5}, "trusted_proxies": ["127.0.0.0/8"]}))
    supervisor = Supervisor(control_socket=tmp_path / "control.sock")
    return settings.model_copy(
        update={"api": api, "supervisor": supervisor, "auth": Auth(file=tmp_path / "secrets.json")}
    )


@pytest.fixture
async def handler(start, publish, limited):
    await publish([price_now(pair) for pair in LISTED])
    return await start(limited)


async def call(client, **headers):
    return await client.post("/netron/invoke", json=CALL, headers=headers)


@pytest.mark.parametrize("lane", [{}, SLOW], ids=["fast", "slow"])
async def test_five_calls_are_five(client, lane):
    replies = [await call(client, **lane) for _ in range(7)]
    assert [reply.status_code for reply in replies] == [200] * 5 + [429] * 2
    assert [reply.headers["ratelimit"].partition(";t=")[0] for reply in replies[:3]] == [
        '"getPrice";r=4',
        '"getPrice";r=3',
        '"getPrice";r=2',
    ]
    refused = replies[-1]
    assert refused.headers["ratelimit-policy"] == '"getPrice";q=5;w=60'
    assert 1 <= int(refused.headers["retry-after"]) <= 12
    assert refused.json()["error"]["code"] == "429"


async def test_both_lanes_charge_one_client(client):
    replies = [await call(client, **lane) for lane in ({}, SLOW, {}, SLOW, {}, SLOW, {})]
    assert [reply.status_code for reply in replies] == [200] * 5 + [429] * 2


async def test_two_handlers_charge_one_client(client, start, limited):
    other = await start(limited)
    async with other.client() as second:
        statuses = [(await call(each)).status_code for each in (client, second) * 4]
    assert statuses == [200] * 5 + [429] * 3


async def test_the_calls_of_a_batch_are_charged_and_answered_one_by_one(client):
    calls = [CALL | {"id": str(i)} for i in range(8)]
    said = (await client.post("/netron/batch", json={"requests": calls})).json()
    assert (said["hints"]["successCount"], said["hints"]["failureCount"]) == (5, 3)


async def test_other_methods_and_other_paths_are_not_charged(client):
    for _ in range(8):
        assert (await client.get("/health/live")).status_code == 200
    for _ in range(6):
        await call(client)
    other = CALL | {"method": "getMultiplePrices", "input": {"pairs": ["btc-usd"]}}
    assert (await client.post("/netron/invoke", json=other)).status_code == 200


@pytest.mark.parametrize("lane", [{}, SLOW], ids=["fast", "slow"])
async def test_behind_a_proxy_each_client_has_its_own(client, lane):
    for host in range(1, 4):
        replies = [await call(client, **lane, **{"X-Forwarded-For": f"6.6.6.6, 198.51.100.{host}"}) for _ in range(6)]
        assert [reply.status_code for reply in replies] == [200] * 5 + [429]


async def test_what_a_stranger_says_of_itself_is_not_believed(start, limited, publish):
    await publish([price_now("btc-usd")])
    alone = limited.model_copy(update={"api": Api(rate_limit=RateLimit(methods={"getPrice": 5}))})
    handler = await start(alone, listener=socket.create_server(("127.0.0.1", 0)))
    async with handler.client() as client:
        statuses = [(await call(client, **{"X-Forwarded-For": f"1.2.3.{n}"})).status_code for n in range(6)]
    assert statuses == [200] * 5 + [429]


async def test_limits_can_be_off(start, settings, publish):
    await publish([price_now("btc-usd")])
    handler = await start(settings)
    async with handler.client() as client:
        replies = [await call(client) for _ in range(150)]
    assert {reply.status_code for reply in replies} == {200}
    assert "ratelimit" not in replies[0].headers


@pytest.fixture
def key(tmp_path):
    """A key that may see the documents and call getPrice eight times."""
    added, text = credentials.new_key("k", (Role.DOCS,), "2026-01-01T00:00:00+00:00", {"getPrice": 8})
    user = User("alice", (Role.METRICS,), credentials.hashed("open sesame"))
    edit = lambda known: replace(known, keys=(added,), users=(user,))  # noqa: E731 - three words
    credentials.change(tmp_path / "secrets.json", edit)
    return text


async def test_a_key_is_charged_by_its_own_limit(key, client):
    statuses = [(await call(client, Authorization=f"Bearer {key}")).status_code for _ in range(9)]
    assert statuses == [200] * 8 + [429]
    assert (await call(client)).status_code == 200


async def test_a_wrong_key_is_refused_everywhere(key, client):
    reply = await call(client, Authorization=f"Bearer {key}x")
    assert (reply.status_code, reply.json()["error"]["code"]) == (401, "401")
    assert reply.headers["www-authenticate"] == "Bearer"


async def log_in(client, **given):
    reply = await client.post("/netron/authenticate", json={"id": "a"} | given)
    return reply.status_code, reply.json()


@pytest.mark.parametrize("nested", [True, False])
async def test_a_password_becomes_a_token(key, client, nested):
    given = {"username": "alice", "password": "open sesame"}
    status, said = await log_in(client, **({"credentials": given} if nested else given))
    assert (status, said["id"], said["success"]) == (200, "a", True)
    assert (said["data"]["tokenType"], said["data"]["expiresIn"], said["data"]["roles"]) == ("Bearer", 900, ["metrics"])
    token = {"Authorization": f"Bearer {said['data']['token']}"}
    assert (await client.get("/metrics", headers=token)).status_code != 401
    assert (await client.get("/openapi.json", headers=token)).status_code == 401


async def test_a_key_becomes_a_token(key, client):
    _, said = await log_in(client, apiKey=key)
    token = {"Authorization": f"Bearer {said['data']['token']}"}
    assert (await client.get("/openapi.json", headers=token)).status_code == 200
    assert (await client.get("/metrics", headers=token)).status_code == 401
    assert (await client.get("/openapi.json")).status_code == 401


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({}, 400),
        ({"username": "alice"}, 400),
        ({"username": 7, "password": "x"}, 400),
        ({"username": "alice", "password": "wrong"}, 401),
        ({"username": "bob", "password": "open sesame"}, 401),
        ({"apiKey": "pv_00000000_x"}, 401),
        ({"apiKey": ""}, 401),
    ],
)
async def test_what_opens_nothing(key, client, given, status):
    found, said = await log_in(client, **given)
    assert (found, said["success"], said["error"]["code"], said["id"]) == (status, False, str(status), "a")


async def test_guessing_is_locked_out(key, client):
    wrong = {"username": "alice", "password": "wrong"}
    assert [(await log_in(client, **wrong))[0] for _ in range(7)] == [401] * 5 + [429] * 2
    assert (await log_in(client, username="alice", password="open sesame"))[0] == 429


async def test_not_json_is_no_login(client):
    reply = await client.post("/netron/authenticate", content=b"{", headers={"Content-Type": "application/json"})
    assert (reply.status_code, json.loads(reply.text)["error"]["code"]) == (400, "400")

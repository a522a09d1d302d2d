"""GCRA: what a client may do, what it is told, and how the pipeline charges it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from priceverse.rpc.dispatch import Dispatcher
from priceverse.rpc.endpoint import Endpoint, Head
from priceverse.rpc.limits import Limit, spend
from priceverse.rpc.method import Params, method
from priceverse.rpc.registry import Registry
from tests.fakes.ports import NOW_MS, World

START_US = 1_000_000_000


def admitted(limit, arrivals_us):
    """Return the instants at which a call was let through."""
    quiet_at_us, through = 0, []
    for now_us in arrivals_us:
        quota, quiet_at_us = spend("m", limit, quiet_at_us, now_us)
        if not quota.wait_s:
            through.append(now_us)
    return through


def test_a_quiet_client_may_call_all_at_once_and_no_more():
    assert len(admitted(Limit(100), [START_US] * 500)) == 100


def test_then_one_call_comes_free_at_a_time():
    arrivals = [START_US] * 100 + [START_US + step * 100_000 for step in range(1, 601)]
    assert len(admitted(Limit(100), arrivals)) == 100 + 100


@given(st.lists(st.integers(0, 200_000_000), max_size=400), st.integers(1, 50), st.integers(1, 60))
def test_no_stretch_of_time_has_more_than_its_share(offsets, requests, per_s):
    limit = Limit(requests, per_s)
    through = admitted(limit, sorted(START_US + offset for offset in offsets))
    for first in range(len(through)):
        for last in range(first, len(through)):
            free = (through[last] - through[first]) // limit.step_us
            assert last - first + 1 <= limit.window_us // limit.step_us + free + 1


def test_a_refused_call_costs_nothing_and_says_when_to_come_back():
    limit = Limit(2, 60)
    _, first = spend("m", limit, 0, START_US)
    _, second = spend("m", limit, first, START_US)
    told, after = spend("m", limit, second, START_US)
    assert (told.remaining, told.wait_s, told.reset_s, after) == (0, 30.0, 30.0, second)
    assert spend("m", limit, second, START_US + 30_000_000)[0].wait_s == 0


def test_what_is_left_counts_down_and_comes_back():
    limit = Limit(3, 60)
    quiet_at_us, left = 0, []
    for _ in range(3):
        quota, quiet_at_us = spend("m", limit, quiet_at_us, START_US)
        left.append(quota.remaining)
    assert left == [2, 1, 0]
    assert spend("m", limit, quiet_at_us, START_US + 40_000_000)[0].remaining == 1


@pytest.mark.parametrize("rubbish", [-(2**63), -1, START_US + 60_000_001, 2**63 - 1])
def test_what_no_call_has_written_is_not_believed(rubbish):
    assert spend("m", Limit(3, 60), rubbish, START_US)[0].remaining == 2


@method("Dear@1.0.0", "dear", limit=Limit(2))
async def dear(params: Params, ports) -> str:
    """Return a word that costs."""
    return "word"


@method("Dear@1.0.0", "free")
async def free(params: Params, ports) -> str:
    """Return a word that does not."""
    return "word"


class Counting:
    """A limiter on a clock that stands still."""

    def __init__(self):
        self.quiet_at_us = {}

    def take(self, client, method, limit):
        known = self.quiet_at_us.get((client, method), 0)
        quota, self.quiet_at_us[client, method] = spend(method, limit, known, START_US)
        return quota


@pytest.fixture
def endpoint():
    dispatcher = Dispatcher(Registry([dear, free]), World().ports, max_timeout_s=30, limiter=Counting())
    return Endpoint(dispatcher, max_batch=50, now_ms=lambda: NOW_MS, observe=lambda *_: None)


@pytest.fixture
def ask(endpoint):
    async def ask(method="dear", client="a", **fields):
        body = json.dumps({"service": "Dear", "method": method, **fields}).encode()
        reply = await endpoint.invoke(body, Head(client=client))
        return reply.status, dict(reply.headers), json.loads(reply.body)

    return ask


async def test_a_limited_call_says_what_is_left(ask):
    status, headers, _ = await ask()
    assert (status, headers["RateLimit-Policy"], headers["RateLimit"]) == (200, '"dear";q=2;w=60', '"dear";r=1;t=30')


async def test_a_call_too_many_is_refused(ask):
    await ask()
    await ask()
    status, headers, said = await ask()
    assert (status, headers["Retry-After"], headers["RateLimit"]) == (429, "30", '"dear";r=0;t=30')
    assert said["error"]["code"] == "429"
    assert said["error"]["details"] == {"limit": 2, "windowMs": 60_000, "retryAfterMs": 30_000}


async def test_clients_are_charged_apart_and_nobody_is_charged_nothing(ask):
    for _ in range(2):
        await ask(client="a")
    assert (await ask(client="b"))[0] == 200
    assert (await ask(client="a"))[0] == 429
    for _ in range(5):
        status, headers, _ = await ask(client="")
        assert status == 200
        assert "RateLimit" not in headers


async def test_an_unlimited_method_is_never_refused(ask):
    for _ in range(20):
        status, headers, _ = await ask("free")
        assert status == 200
        assert "RateLimit" not in headers


async def test_a_call_that_is_refused_for_its_input_is_charged(ask):
    for _ in range(2):
        status, headers, _ = await ask(input={"unknown": 1})
        assert status == 400
        assert "RateLimit" in headers
    assert (await ask())[0] == 429


async def test_each_call_of_a_batch_costs_its_own(endpoint):
    calls = [{"id": str(i), "service": "Dear", "method": "dear"} for i in range(5)]
    reply = await endpoint.batch(json.dumps({"requests": calls}).encode(), Head(client="a"))
    codes = [each.get("error", {}).get("code", "") for each in json.loads(reply.body)["responses"]]
    assert reply.status == 200
    assert sorted(codes) == ["", "", "429", "429", "429"]

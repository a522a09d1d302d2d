"""What a request's hints and the kind of a method change in the pipeline."""

import json

import pytest

from priceverse import services
from priceverse.rpc.dispatch import Dispatcher
from priceverse.rpc.endpoint import Endpoint, Head
from tests.fakes.ports import NOW_MS, a_candle

OHLCV = {"service": "ChartsService", "method": "getOHLCV", "input": {"pair": "btc-usd", "interval": "1hour"}}


@pytest.fixture
def ask(world):
    async def ask(**fields):
        dispatcher = Dispatcher(services.registry(), world.ports, max_timeout_s=30)
        endpoint = Endpoint(dispatcher, max_batch=50, now_ms=lambda: NOW_MS, observe=lambda *_: None)
        reply = await endpoint.invoke(json.dumps(fields).encode(), Head())
        return reply.status, json.loads(reply.body)

    return ask


@pytest.mark.parametrize(
    ("hints", "max_age_s"),
    [(None, None), ({}, None), ({"cache": None}, None), ({"cache": {}}, None), ({"cache": {"maxAge": 2500}}, 2.5)],
)
async def test_a_client_says_how_old_an_answer_it_takes(ask, world, hints, max_age_s):
    world.history.stored_candles = [a_candle(NOW_MS - 3_600_000)]
    status, said = await ask(**OHLCV, hints=hints)
    assert (status, said["hints"]["cache"]["maxAge"]) == (200, 60_000)
    assert world.replies.max_age_s == max_age_s


@pytest.mark.parametrize("max_age", [-1, "1", True, [1]])
async def test_an_age_that_is_none_is_refused_with_its_path(ask, max_age):
    status, said = await ask(**OHLCV, hints={"cache": {"maxAge": max_age}})
    assert (status, said["error"]["code"]) == (400, "400")
    assert said["error"]["details"]["path"] == "$.hints.cache.maxAge"


async def test_a_stream_is_not_for_one_reply(ask):
    status, said = await ask(service="PricesService", method="streamPrices", input={"pairs": ["btc-usd"]})
    assert (status, said["error"]["code"]) == (405, "405")
    assert "WebSocket" in said["error"]["message"]

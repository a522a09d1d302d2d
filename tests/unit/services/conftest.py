"""A dispatcher over the fakes: services are tested through the pipeline that serves them."""

import json

import pytest

from priceverse import services
from priceverse.rpc.dispatch import Dispatcher
from priceverse.rpc.envelope import Call, Done, encode
from tests.fakes.ports import World


@pytest.fixture
def world():
    return World()


@pytest.fixture
def call(world):
    """Calls a method; returns the data as JSON, or the CallError."""

    async def call(service, name, **given):
        dispatcher = Dispatcher(services.registry(), world.ports, max_timeout_s=30)
        outcome = await dispatcher.run(Call(service, name, json.dumps(given).encode()))
        return json.loads(encode(outcome.data)) if isinstance(outcome, Done) else outcome

    return call

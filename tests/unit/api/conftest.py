"""The application without a server, and the world that its methods see."""

from dataclasses import dataclass
from typing import Any

import pytest
from quart import g

from priceverse import services
from priceverse.api import app
from priceverse.api.broadcast import Broadcast
from priceverse.api.gate import Caller
from priceverse.api.seats import Seats
from priceverse.config.settings import Settings
from priceverse.rpc.dispatch import Dispatcher
from priceverse.rpc.endpoint import Endpoint
from tests.fakes.ports import LISTED, NOW_MS, World, a_price


@dataclass
class FakeGate:
    """Knows nobody; `permits` says what their credentials open."""

    permits: Any
    client: str

    def add_to(self, app):
        @app.before_request
        async def ask():
            g.caller = Caller(self.client, "", None)


@pytest.fixture
def world():
    """Every pair has a price."""
    world = World()
    world.live.put(*(a_price(pair) for pair in LISTED))
    return world


@pytest.fixture
def application(world):
    """Makes applications in that world."""

    def create(settings=None, *, permits=lambda *_: False, limiter=None, client=""):
        registry = services.registry()
        dispatcher = Dispatcher(registry, world.ports, max_timeout_s=30, limiter=limiter)
        return app.create(
            settings or Settings(),
            registry=registry,
            ports=world.ports,
            dispatcher=dispatcher,
            endpoint=Endpoint(dispatcher, max_batch=50, now_ms=lambda: NOW_MS, observe=lambda *_: None),
            broadcast=Broadcast(),
            gate=FakeGate(permits, client),
            seats=Seats(None),
        )

    return create


@pytest.fixture
def client(application):
    """A client of one of them."""
    return application().test_client()

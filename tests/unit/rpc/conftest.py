"""A small service to call, and the pipeline round it."""

from decimal import Decimal
from typing import Annotated

import msgspec
import pytest
import trio

from priceverse.rpc.dispatch import Dispatcher
from priceverse.rpc.endpoint import Endpoint
from priceverse.rpc.errors import CallError, Code
from priceverse.rpc.method import Params, method
from priceverse.rpc.ports import Ports
from priceverse.rpc.registry import Registry
from tests.fakes.ports import NOW_MS, World


class Take(Params, frozen=True):
    pair: str
    how_many: Annotated[int, msgspec.Meta(ge=1, le=10)] = 1


@method("Echo@1.0.0", "take", cache_s=5)
async def take(params: Take, ports: Ports) -> dict[str, object]:
    """Return what came."""
    return {"pair": params.pair, "howMany": params.how_many}


@method("Echo@1.9.0", "old")
async def old(params: Params, ports: Ports) -> str:
    """Return a word."""
    return "old"


@method("Echo@1.10.0", "exact")
async def exact(params: Params, ports: Ports) -> Decimal:
    """Return a number that no float holds."""
    return Decimal("64000.12345678901234567890")


@method("Echo@1.10.0", "nothing")
async def nothing(params: Params, ports: Ports) -> None:
    """Return nothing."""


@method("Echo@1.10.0", "slow")
async def slow(params: Params, ports: Ports) -> str:
    """Return a word after a minute."""
    await trio.sleep(60)
    return "at last"


@method("Echo@1.10.0", "brief")
async def brief(params: Params, ports: Ports) -> None:
    """Return nothing after a quarter of a second."""
    await trio.sleep(0.25)


@method("Echo@1.10.0", "broken")
async def broken(params: Params, ports: Ports) -> str:
    """Fail as no method should."""
    raise RuntimeError("the secret of the house")


@method("Echo@1.10.0", "refuse")
async def refuse(params: Params, ports: Ports) -> str:
    """Refuse politely."""
    raise CallError(Code.PRICE_STALE, "Too old", {"lastPrice": Decimal("1.10")})


@pytest.fixture
def registry():
    return Registry([take, old, exact, nothing, slow, brief, broken, refuse])


@pytest.fixture
def dispatcher(registry):
    return Dispatcher(registry, World().ports, max_timeout_s=30)


@pytest.fixture
def observed():
    return []


@pytest.fixture
def endpoint(dispatcher, observed):
    return Endpoint(
        dispatcher, max_batch=50, now_ms=lambda: NOW_MS, observe=lambda _, outcome, took_s: observed.append(outcome)
    )

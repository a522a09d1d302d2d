"""Whatever the door does, it does with one server and with a cluster."""

import pytest

from priceverse.config.settings import Redis
from tests.conftest import emptied


@pytest.fixture(params=["redis_server", "redis_cluster"])
def redis_settings(request: pytest.FixtureRequest) -> Redis:
    """An empty Redis: one server, then a cluster."""
    return emptied(request.getfixturevalue(request.param))

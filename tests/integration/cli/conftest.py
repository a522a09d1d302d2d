"""A handler with real stores for the commands that ask a server."""

from tests.integration.api.conftest import handler, publish, settings, start  # noqa: F401 - fixtures, found by name
from tests.web.conftest import store_candles  # noqa: F401 - as above

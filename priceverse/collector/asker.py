"""A venue's REST as history asks it: one connection for all requests, opened by the first.

The rule: who has nothing to ask loads no HTTP library, which is megabytes of a process.
"""

from typing import TYPE_CHECKING

from priceverse.config.settings import Exchanges
from priceverse.exchanges.frames import MAX_FRAME
from priceverse.exchanges.protocol import Request
from priceverse.net.tls import client_context

if TYPE_CHECKING:
    from priceverse.net.http import Fetcher


class Asker:
    """Ask one venue, whose REST base is `rest_url`."""

    def __init__(self, settings: Exchanges, rest_url: str) -> None:
        self._settings = settings
        self._rest_url = rest_url
        self._fetcher: Fetcher | None = None

    async def ask(self, request: Request) -> bytes:
        """Return the body of a success. Raises NetError."""
        if self._fetcher is None:
            from priceverse.net.http import Fetcher  # noqa: PLC0415 - the module's rule

            tls = client_context(self._rest_url, self._settings.tls_ca)
            self._fetcher = Fetcher(timeout_s=self._settings.connect_timeout_s, max_bytes=MAX_FRAME, tls=tls)
        return (await self._fetcher.fetch(request.url, method=request.method)).body

    async def aclose(self) -> None:
        """Close the connection, if there is one."""
        if self._fetcher is not None:
            await self._fetcher.aclose()

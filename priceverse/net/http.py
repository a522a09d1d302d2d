"""One HTTP request: bounded in time and size, without leaving the host it was meant for.

The rule: a reply is a value only when it is a success; everything else is a NetError with the status.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import trio

from priceverse import __version__
from priceverse.lean import without
from priceverse.net.errors import NetError, origin, reason, retry_after_s

with without("click", "rich", "pygments"):
    import httpcore
    import httpx

    from priceverse.net.backend import Backend

USER_AGENT = f"priceverse/{__version__}"
MAX_REDIRECTS = 3
KEEP_S = 30.0
"""How long a connection waits for another request."""
CLOSE_S = 1.0


@dataclass(frozen=True, slots=True)
class Reply:
    """What a host answered: `content_type` in lower case without parameters, `body` as sent."""

    content_type: str
    body: bytes


async def fetch(
    url: str,
    *,
    timeout_s: float,
    max_bytes: int,
    tls: ssl.SSLContext,
    method: str = "GET",
    content: bytes = b"",
    headers: Mapping[str, str] = MappingProxyType({}),
) -> Reply:
    """Make one request and return its reply, `timeout_s` for everything together. Raises NetError."""
    async with Fetcher(timeout_s=timeout_s, max_bytes=max_bytes, tls=tls, headers=headers) as fetcher:
        return await fetcher.fetch(url, method=method, content=content)


class Fetcher(trio.abc.AsyncResource):
    """Make requests, `timeout_s` for each; those to one host share a connection while it is there.

    No proxy, cookie or credential of the environment is used. Compression is not offered: a compressed body could
    unpack to any size.
    """

    def __init__(
        self,
        *,
        timeout_s: float,
        max_bytes: int,
        tls: ssl.SSLContext,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._timeout_s = timeout_s
        self._max_bytes = max_bytes
        transport = httpx.AsyncHTTPTransport(verify=tls, trust_env=False)
        transport._pool = httpcore.AsyncConnectionPool(  # noqa: SLF001 - httpx hands no backend on
            tls, max_keepalive_connections=1, keepalive_expiry=KEEP_S, network_backend=Backend()
        )
        self._client = httpx.AsyncClient(
            transport=transport,
            timeout=timeout_s,
            headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity", **headers},
            trust_env=False,
        )

    async def fetch(self, url: str, *, method: str = "GET", content: bytes = b"") -> Reply:
        """Make one request and return its reply. Raises NetError."""
        try:
            with trio.fail_after(self._timeout_s):
                return await _follow(self._client, method, httpx.URL(url), content, self._max_bytes)
        except (trio.TooSlowError, httpx.TimeoutException):
            raise NetError(origin(url), f"no answer within {self._timeout_s:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as fault:
            raise NetError(origin(url), reason(fault)) from None
        finally:
            self._client.cookies.clear()  # what a host sets is not said back to it

    async def aclose(self) -> None:
        """Close the connection, within a moment whatever the host does."""
        with trio.move_on_after(CLOSE_S, shield=True):
            await self._client.aclose()


async def _follow(client: httpx.AsyncClient, method: str, url: httpx.URL, content: bytes, max_bytes: int) -> Reply:
    for _ in range(MAX_REDIRECTS + 1):
        async with client.stream(method, url, content=content or None) as response:
            if response.next_request is None:
                return await _read(response, max_bytes)
            target = response.next_request.url
        if (target.host, target.scheme, target.port) != (url.host, url.scheme, url.port):
            raise NetError(origin(str(url)), "redirects to another host")
        url = target
    raise NetError(origin(str(url)), f"more than {MAX_REDIRECTS} redirects")


async def _read(response: httpx.Response, max_bytes: int) -> Reply:
    where, headers = origin(str(response.url)), response.headers
    if not response.is_success:
        asked = retry_after_s(headers.get("retry-after"))
        raise NetError(where, f"HTTP {response.status_code}", status=response.status_code, retry_after_s=asked)
    if headers.get("content-encoding", "identity") != "identity":
        raise NetError(where, "a compressed reply, which was not asked for")
    body = bytearray()
    with trio.CancelScope() as reading:  # leaving the loop would leave httpx's generators to the garbage collector
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > max_bytes:
                reading.cancel()
    if len(body) > max_bytes:
        raise NetError(where, f"a reply of more than {max_bytes} bytes")
    return Reply(headers.get("content-type", "").partition(";")[0].strip().lower(), bytes(body))

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
_KEEPING_METHOD = (307, 308)
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

    No proxy, cookie or credential but the URL's own is used. Compression is not offered: a compressed body could unpack
    to any size.
    httpx's client is passed over for its transport: it looks into cookies and redirects nobody asked for, and raises
    what is no HTTPError.
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
        self._headers = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": USER_AGENT, **headers}
        self._transport = httpx.AsyncHTTPTransport(verify=tls, trust_env=False)
        self._transport._pool = httpcore.AsyncConnectionPool(  # noqa: SLF001 - httpx hands no backend on
            tls, max_keepalive_connections=1, keepalive_expiry=KEEP_S, network_backend=Backend()
        )

    async def fetch(self, url: str, *, method: str = "GET", content: bytes = b"") -> Reply:
        """Make one request and return its reply. Raises NetError."""
        try:
            with trio.fail_after(self._timeout_s):
                return await self._follow(self._request(method, httpx.URL(url), content))
        except trio.TooSlowError:
            raise NetError(origin(url), f"no answer within {self._timeout_s:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as fault:
            raise NetError(origin(url), reason(fault)) from None

    async def aclose(self) -> None:
        """Close the connection, within a moment whatever the host does."""
        with trio.move_on_after(CLOSE_S, shield=True):
            await self._transport.aclose()

    async def _follow(self, request: httpx.Request) -> Reply:
        where = origin(str(request.url))
        for _ in range(MAX_REDIRECTS + 1):
            response = await self._transport.handle_async_request(request)
            try:
                if not response.has_redirect_location:
                    return await _read(where, response, self._max_bytes)
            finally:
                await response.aclose()
            request = self._redirected(request, response, where)
        raise NetError(where, f"more than {MAX_REDIRECTS} redirects")

    def _redirected(self, request: httpx.Request, response: httpx.Response, where: str) -> httpx.Request:
        """Return the request that a redirect asks for."""
        try:
            target = request.url.join(response.headers["location"])
        except ValueError:  # what httpx takes for a URL, the standard library need not
            raise NetError(where, "redirects to no URL") from None
        if origin(str(target)) != where:
            raise NetError(where, "redirects to another host")
        keeps = response.status_code in _KEEPING_METHOD
        return self._request(request.method, target, request.content) if keeps else self._request("GET", target, b"")

    def _request(self, method: str, url: httpx.URL, content: bytes) -> httpx.Request:
        request = httpx.Request(method, url, headers=self._headers, content=content or None)
        if url.userinfo:
            next(httpx.BasicAuth(url.username, url.password).auth_flow(request))
        return request


async def _read(where: str, response: httpx.Response, max_bytes: int) -> Reply:
    headers = response.headers
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

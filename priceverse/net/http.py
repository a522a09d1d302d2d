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
    import httpx

USER_AGENT = f"priceverse/{__version__}"
MAX_REDIRECTS = 3


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
    """Make one request and return its reply, `timeout_s` for everything together.

    No proxy, cookie or credential of the environment is used. Compression is not offered: a compressed body could
    unpack to any size. Raises NetError.
    """
    client = httpx.AsyncClient(
        verify=tls,
        timeout=timeout_s,
        headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity", **headers},
        trust_env=False,
    )
    try:
        with trio.fail_after(timeout_s):
            async with client:
                return await _follow(client, method, httpx.URL(url), content, max_bytes)
    except trio.TooSlowError:
        raise NetError(origin(url), f"no answer within {timeout_s:g} s") from None
    except httpx.TimeoutException:
        raise NetError(origin(url), f"no answer within {timeout_s:g} s") from None
    except (httpx.HTTPError, httpx.InvalidURL) as fault:
        raise NetError(origin(url), reason(fault)) from None


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

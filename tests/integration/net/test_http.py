"""Requests to real servers on loopback: bounds, redirects and refusals."""

import gzip

import pytest
import trio

from priceverse.net.errors import NetError
from priceverse.net.http import Fetcher, Reply, fetch
from priceverse.net.tls import client_context
from tests.fakes.remote import HOST, Authority, raw_server, read_request

PLAIN = client_context("http:", None)


async def asked(
    nursery: trio.Nursery, *replies: bytes, path: str = "/", **options: object
) -> tuple[Reply, list[bytes]]:
    """Fetch from a server that gives `replies` one after another and return the reply and the requests it saw."""
    requests: list[bytes] = []

    async def script(stream: trio.abc.Stream) -> None:
        while len(requests) < len(replies) and (request := await read_request(stream)):
            requests.append(request)
            await stream.send_all(replies[len(requests) - 1].replace(b"PORT", str(port).encode()))

    port = await raw_server(nursery, script)
    with trio.fail_after(10):
        limits = {"timeout_s": 5.0, "max_bytes": 1000, "tls": PLAIN} | options
        return await fetch(f"http://{HOST}:{port}{path}", **limits), requests  # type: ignore[arg-type]


def reply(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def test_a_reply(nursery: trio.Nursery) -> None:
    got, requests = await asked(
        nursery, reply(b"<x/>", "Content-Type: Application/XML; charset=windows-1251"), path="/a?b=c"
    )
    assert got == Reply("application/xml", b"<x/>")
    assert requests[0].startswith(b"GET /a?b=c HTTP/1.1\r\n")
    assert b"user-agent: priceverse/" in requests[0].lower()
    assert b"accept-encoding: identity" in requests[0].lower()


async def test_a_post_without_a_body(nursery: trio.Nursery) -> None:
    _, requests = await asked(nursery, reply(b"{}"), method="POST")
    assert requests[0].startswith(b"POST / HTTP/1.1\r\n")


async def test_a_body_of_exactly_the_bound(nursery: trio.Nursery) -> None:
    got, _ = await asked(nursery, reply(b"x" * 1000))
    assert len(got.body) == 1000


@pytest.mark.parametrize(
    ("bad", "what", "status", "retry_after_s"),
    [
        (reply(b"x" * 1001), "a reply of more than 1000 bytes", None, None),
        (reply(b"", "Retry-After: 30", status="429 Slow"), "HTTP 429", 429, 30.0),
        (reply(b"<html>", status="403 No"), "HTTP 403", 403, None),
        (reply(b"", status="500 Oops"), "HTTP 500", 500, None),
        (reply(b"", status="304 Not Modified"), "HTTP 304", 304, None),
        (reply(b"", "Location: http://example.org/", status="302 Found"), "redirects to another host", None, None),
        (reply(b"", f"Location: https://{HOST}/", status="302 Found"), "redirects to another host", None, None),
        (reply(b"", "Location: http://xn--zzz-.org/", status="302 Found"), "redirects to another host", None, None),
        (reply(b"", "Location: http:////]", status="302 Found"), "redirects to no URL", None, None),
        (
            reply(gzip.compress(bytes(10_000)), "Content-Encoding: gzip"),
            "a compressed reply, which was not asked for",
            None,
            None,
        ),
        (b"SSH-2.0\r\n\r\n", "illegal status line: bytearray(b'SSH-2.0')", None, None),
    ],
)
async def test_refusals(
    nursery: trio.Nursery, bad: bytes, what: str, status: int | None, retry_after_s: float | None
) -> None:
    with pytest.raises(NetError) as caught:
        await asked(nursery, bad)
    error = caught.value
    assert (error.what, error.status, error.retry_after_s) == (what, status, retry_after_s)


async def test_a_redirect_within_the_host_is_followed(nursery: trio.Nursery) -> None:
    there = reply(b"", f"Location: http://{HOST}:PORT/there", "Connection: close", status="301 Moved")
    got, requests = await asked(nursery, there, reply(b"found"))
    assert got.body == b"found"
    assert requests[1].startswith(b"GET /there ")


@pytest.mark.parametrize(("status", "method"), [("308 Permanent", b"POST"), ("303 See Other", b"GET")])
async def test_what_a_redirect_makes_of_a_post(nursery: trio.Nursery, status: str, method: bytes) -> None:
    requests: list[bytes] = []

    async def script(stream: trio.abc.Stream) -> None:
        requests.append(await read_request(stream))
        is_first = len(requests) == 1
        await stream.send_all(
            reply(b"", "Location: /there", "Connection: close", status=status) if is_first else reply(b"")
        )

    port = await raw_server(nursery, script)
    with trio.fail_after(10):
        where = f"http://{HOST}:{port}/"
        await fetch(where, timeout_s=5.0, max_bytes=1000, tls=PLAIN, method="POST", content=b"hook")
    assert requests[1].startswith(method + b" /there ")
    assert (b"content-length: 4" in requests[1].lower()) is (method == b"POST")


async def test_the_name_and_password_of_a_url_are_said(nursery: trio.Nursery) -> None:
    requests: list[bytes] = []

    async def script(stream: trio.abc.Stream) -> None:
        requests.append(await read_request(stream))
        await stream.send_all(reply(b"{}"))

    port = await raw_server(nursery, script)
    with trio.fail_after(10):
        await fetch(f"http://me:secret@{HOST}:{port}/", timeout_s=5.0, max_bytes=1000, tls=PLAIN)
    assert b"authorization: basic bWU6c2VjcmV0" in requests[0].replace(b"Authorization: Basic", b"authorization: basic")


async def test_a_cookie_that_no_jar_takes_is_no_matter(nursery: trio.Nursery) -> None:
    got, _ = await asked(nursery, reply(b"{}", "Set-Cookie: a=b; expires=Mon, 32 Foo 0000 99:99:99 GMT"))
    assert got.body == b"{}"


async def test_redirects_come_to_an_end(nursery: trio.Nursery) -> None:
    with pytest.raises(NetError, match="more than 3 redirects"):
        await asked(nursery, *[reply(b"", "Location: /again", status="302 Found")] * 9)


async def test_a_server_that_trickles_is_cut_off(nursery: trio.Nursery) -> None:
    async def script(stream: trio.abc.Stream) -> None:
        await read_request(stream)
        await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            await stream.send_all(b"x")
            await trio.sleep(0.02)

    port = await raw_server(nursery, script)
    with trio.fail_after(10), pytest.raises(NetError, match=r"no answer within 0\.2 s"):
        await fetch(f"http://{HOST}:{port}", timeout_s=0.2, max_bytes=1000, tls=PLAIN)


async def test_nobody_there() -> None:
    with trio.socket.socket() as unused:
        await unused.bind((HOST, 0))
        url = f"http://{HOST}:{unused.getsockname()[1]}/?token=secret"
        with trio.fail_after(10), pytest.raises(NetError, match="Connection refused") as caught:
            await fetch(url, timeout_s=5, max_bytes=1000, tls=PLAIN)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "not a url", "http://[broken"])
async def test_only_http_urls(url: str) -> None:
    with pytest.raises(NetError):
        await fetch(url, timeout_s=5, max_bytes=1000, tls=PLAIN)


async def test_https_needs_a_known_authority(nursery: trio.Nursery) -> None:
    authority = Authority()

    async def script(stream: trio.abc.Stream) -> None:
        await read_request(stream)
        await stream.send_all(reply(b"secret rate"))

    port = await raw_server(nursery, script, authority.server())
    url = f"https://{HOST}:{port}/"
    with trio.fail_after(10):
        got = await fetch(url, timeout_s=5, max_bytes=1000, tls=authority.client())
        assert got.body == b"secret rate"
        with pytest.raises(NetError, match="certificate refused"):
            await fetch(url, timeout_s=5, max_bytes=1000, tls=client_context(url, None))


async def test_requests_share_a_connection_while_it_is_there(nursery: trio.Nursery) -> None:
    """The second server connection is the third request's: the first one hung up after two."""
    seen: list[int] = []
    connections = 0

    async def script(stream: trio.abc.Stream) -> None:
        nonlocal connections
        connections += 1
        mine = connections
        for _ in range(2):
            if not await read_request(stream):
                return
            seen.append(mine)
            await stream.send_all(reply(b"x", "Set-Cookie: a=b"))
        hung_up.set()

    hung_up = trio.Event()
    url = f"http://{HOST}:{await raw_server(nursery, script)}"
    with trio.fail_after(30):
        async with Fetcher(timeout_s=5.0, max_bytes=1000, tls=PLAIN) as fetcher:
            for _ in range(2):
                assert (await fetcher.fetch(url)).body == b"x"
            await hung_up.wait()
            await trio.testing.wait_all_tasks_blocked()
            assert (await fetcher.fetch(url)).body == b"x"
    assert seen == [1, 1, 2]


async def test_a_failure_does_not_spoil_the_next_request(nursery: trio.Nursery) -> None:
    answers = iter([reply(b"x" * 5000), reply(b"fine"), reply(b"", status="500 Oops"), reply(b"fine")])

    async def script(stream: trio.abc.Stream) -> None:
        while await read_request(stream):
            await stream.send_all(next(answers))

    url = f"http://{HOST}:{await raw_server(nursery, script)}"
    with trio.fail_after(30):
        async with Fetcher(timeout_s=5.0, max_bytes=1000, tls=PLAIN) as fetcher:
            for what in ("more than 1000 bytes", "HTTP 500"):
                with pytest.raises(NetError, match=what):
                    await fetcher.fetch(url)
                assert (await fetcher.fetch(url)).body == b"fine"


async def test_a_handshake_given_up_leaves_no_connection(nursery: trio.Nursery) -> None:
    closed = trio.Event()

    async def mute(stream: trio.abc.Stream) -> None:
        while await stream.receive_some():
            pass
        closed.set()

    port = await raw_server(nursery, mute)
    async with Fetcher(timeout_s=0.2, max_bytes=1000, tls=client_context("https:", None)) as fetcher:
        with pytest.raises(NetError, match="no answer within"):
            await fetcher.fetch(f"https://{HOST}:{port}/")
        with trio.fail_after(20):
            await closed.wait()

"""The bytes of HTTP: what clients that are broken, slow, hostile or merely old can do, and what they cannot."""

import json

import pytest
import trio

from tests.integration.api.conftest import WAIT_S, limits, raw, read_all, until

LIVE = b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = b"GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
CALL = b'{"service":"PricesService","method":"version"}'


def post(body: bytes, extra: bytes = b"") -> bytes:
    head = b"POST /netron/invoke HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    return head + b"Content-Length: %d\r\n" % len(body) + extra + b"\r\n" + body


async def exchange(stream: trio.SocketStream, request: bytes) -> bytes:
    """Send a request and read its whole answer."""
    await stream.send_all(request)
    said = b""
    with trio.fail_after(WAIT_S):
        while not said.endswith(b"}"):
            data = await stream.receive_some()
            assert data, "no answer"
            said += data
    return said


async def test_pipelined_requests_are_answered_in_order(handler):
    calls = [post(CALL.replace(b"{", b'{"id":"%d",' % i, 1)) for i in range(20)]
    async with raw(handler) as stream:
        await stream.send_all(b"".join(calls) + LAST)
        said = await read_all(stream)
    bodies = [json.loads(part[: part.index(b"\r\n") if b"\r\n" in part else None]) for part in _bodies(said)]
    assert [each["id"] for each in bodies[:-1]] == [str(i) for i in range(20)]
    assert bodies[-1] == {"status": "ok"}


def _bodies(said: bytes) -> list[bytes]:
    bodies = []
    while said:
        head, _, said = said.partition(b"\r\n\r\n")
        length = int(
            next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")).split()[1]
        )
        bodies.append(said[:length])
        said = said[length:]
    return bodies


async def test_a_request_in_single_bytes_is_a_request(handler):
    async with raw(handler) as stream:
        for byte in post(CALL, b"Connection: close\r\n"):
            await stream.send_all(bytes([byte]))
        assert (await read_all(stream)).startswith(b"HTTP/1.1 200")


async def test_chunked_bodies_are_bodies(handler):
    async with raw(handler) as stream:
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (CALL[:7], CALL[7:])) + b"0\r\n\r\n"
        await stream.send_all(
            b"POST /netron/invoke HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nConnection: close\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n" + chunks
        )
        assert (await read_all(stream)).startswith(b"HTTP/1.1 200")


async def test_content_length_with_transfer_encoding_ends_the_connection(handler):
    """Else what stands after the body is a second request that a proxy in front never saw."""
    async with raw(handler) as stream:
        await stream.send_all(
            b"POST /netron/invoke HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 5\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + LIVE
        )
        said = await read_all(stream)
    assert said.startswith(b"HTTP/1.1 400")
    assert said.count(b"HTTP/1.1") == 1
    assert b"connection: close" in said.lower()


async def test_a_page_learns_why_it_was_refused(handler):
    async with raw(handler) as stream:
        await stream.send_all(b"DELETE / HTTP/1.1\r\nHost: a\r\nOrigin: https://page.example\r\n\r\n")
        said = await read_all(stream)
    assert said.startswith(b"HTTP/1.1 405")
    assert b"access-control-allow-origin: *" in said.lower()
    assert b"retry-after" in said.lower().partition(b"access-control-expose-headers: ")[2].partition(b"\r\n")[0]


@pytest.mark.parametrize(
    "head",
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
        b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n",
        b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nBad Header: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\r\n\r\n\x00\xff\xfe garbage\r\n\r\n",
    ],
)
async def test_what_is_not_for_us_is_refused_and_the_connection_ended(handler, client, head):
    async with raw(handler) as stream:
        await stream.send_all(head + LIVE)
        said = await read_all(stream)
    assert said[:12] in {b"HTTP/1.1 400", b"HTTP/1.1 405"}
    assert said.count(b"HTTP/1.1") == 1
    assert (await client.get("/health/live")).status_code == 200


async def test_h2c_is_not_spoken(handler):
    async with raw(handler) as stream:
        await stream.send_all(
            b"GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: close, Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
            b"HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
        )
        assert (await read_all(stream)).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("size", [17_000, 60_000, 200_000])
async def test_a_head_too_large_is_a_431(handler, size):
    async with raw(handler) as stream:
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: a\r\nX-Big: " + b"x" * size + b"\r\n\r\n")
        assert (await read_all(stream)).startswith(b"HTTP/1.1 431")


async def test_a_body_too_large_is_a_413_that_the_client_gets_to_read(handler):
    """Closing with unread bytes resets the connection, and the answer with it."""
    async with raw(handler) as stream:
        await stream.send_all(post(b"x" * 1_000_000))
        said = await read_all(stream)
    assert said.startswith(b"HTTP/1.1 413")
    assert said.endswith(b"}")


@pytest.mark.parametrize("start_line", [b"DELETE / HTTP/1.1", b"GET /health/live HTTP/1.1", b"POST /nowhere HTTP/1.1"])
async def test_a_body_that_nobody_reads_holds_nothing_up(handler, start_line):
    async with raw(handler) as stream:
        await stream.send_all(start_line + b"\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 3_000_000)
        assert (await read_all(stream)).startswith(b"HTTP/1.1 ")
    await until(lambda: handler.connections == 0)


async def test_a_body_that_grows_too_large_is_a_413(handler):
    async with raw(handler) as stream:
        head = b"POST /netron/invoke HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        await stream.send_all(head + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(20):
            await stream.send_all(b"2000\r\n" + b" " * 8192 + b"\r\n")
        assert (await read_all(stream)).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("begun", [b"", b"GET / HTT", b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: "])
async def test_a_slow_head_is_not_waited_for(start, begun):
    """Half a second here, from the first byte of the head to the last; bytes that trickle in win no time."""
    handler = await start(its_limits=limits(head_s=0.5))
    async with raw(handler) as stream:
        began = trio.current_time()
        await stream.send_all(begun)
        with trio.move_on_after(5) as trickling:
            while begun:
                await trio.sleep(0.1)
                try:
                    await stream.send_all(b"x")
                except trio.BrokenResourceError:
                    break
        assert not trickling.cancelled_caught
        await read_all(stream)
        assert trio.current_time() - began < 3


async def test_a_good_client_may_be_idle_for_longer_than_a_head_may_take(handler):
    async with raw(handler) as stream:
        for _ in range(2):
            assert (await exchange(stream, LIVE)).startswith(b"HTTP/1.1 200")
            await trio.sleep(0.8)


async def test_an_idle_connection_ends(start):
    handler = await start(its_limits=limits(idle_s=0.3))
    async with raw(handler) as stream:
        await stream.send_all(LIVE)
        said = await read_all(stream)
    assert said.startswith(b"HTTP/1.1 200")


async def test_one_client_too_many_is_told_so(start):
    handler = await start(its_limits=limits(connections=2))
    async with raw(handler) as first, raw(handler) as second:
        for stream in (first, second):
            assert (await exchange(stream, LIVE)).startswith(b"HTTP/1.1 200")
        async with raw(handler) as third:
            said = await read_all(third)
    assert said.startswith(b"HTTP/1.1 503")
    assert b"Retry-After: 1" in said
    assert b"Access-Control-Allow-Origin: *" in said
    assert json.loads(said.partition(b"\r\n\r\n")[2])["error"]["code"] == "SYSTEM_5004"
    with trio.fail_after(WAIT_S):
        while True:  # the two are gone, their places are free again
            async with raw(handler) as stream:
                await stream.send_all(LAST)
                if (await read_all(stream)).startswith(b"HTTP/1.1 200"):
                    break


async def test_clients_that_vanish_in_the_middle_leave_nothing_behind(handler):
    for part in (10, 60, len(post(CALL)) - 3, len(post(CALL))):
        stream = await handler.connect()
        await stream.send_all(post(CALL)[:part])
        await trio.aclose_forcefully(stream)
    await until(lambda: handler.connections == 0)

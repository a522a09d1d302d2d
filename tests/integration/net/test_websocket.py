"""Links to real servers on loopback: what is delivered, what is answered, how refusals and endings read."""

import base64
import hashlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio_websocket import WebSocketRequest

from priceverse.net.errors import NetError
from priceverse.net.tls import client_context
from priceverse.net.websocket import Link, LinkLimits, open_link
from tests.fakes.remote import HOST, Authority, raw_server, read_request, websocket_server

LIMITS = LinkLimits(connect_timeout_s=5.0, max_message_bytes=1 << 16)
PLAIN = client_context("ws:", None)
DEADLINE_S = 10.0


@asynccontextmanager
async def opened(url: str, tls: ssl.SSLContext = PLAIN, limits: LinkLimits = LIMITS) -> AsyncIterator[Link]:
    with trio.fail_after(DEADLINE_S):
        async with trio.open_nursery() as nursery, await open_link(nursery, url, limits, tls) as link:
            yield link


async def refused(url: str, tls: ssl.SSLContext = PLAIN, limits: LinkLimits = LIMITS) -> NetError:
    with trio.fail_after(DEADLINE_S):
        async with trio.open_nursery() as nursery:
            try:
                async with await open_link(nursery, url, limits, tls):
                    pass
            except NetError as error:
                return error
    raise AssertionError("the link opened")


async def everything(link: Link) -> list[bytes]:
    return [frame async for batch in link for frame in batch]


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


async def test_frames_come_whole_and_in_order_and_the_goodbye_is_told(nursery: trio.Nursery) -> None:
    sent = [f"frame {n} ".encode() * (n % 50) for n in range(2000)]

    async def script(request: WebSocketRequest) -> None:
        socket = await request.accept()
        for frame in sent:
            await socket.send_message(frame.decode())
        await socket.aclose(1001, "see you")

    async with opened(await websocket_server(nursery, script)) as link:
        assert await everything(link) == sent
        assert link.farewell == "closed with 1001 see you"


async def test_frames_over_tls_come_whole_and_in_order(nursery: trio.Nursery, authority: Authority) -> None:
    sent = [b"x" * n for n in range(1500)]

    async def script(request: WebSocketRequest) -> None:
        socket = await request.accept()
        for frame in sent:
            await socket.send_message(frame)
        await socket.aclose()

    url = await websocket_server(nursery, script, authority.server())
    async with opened(url, authority.client()) as link:
        assert await everything(link) == sent


async def test_the_request_names_host_path_query_and_agent(nursery: trio.Nursery) -> None:
    heads = []

    async def script(stream: trio.abc.Stream) -> None:
        heads.append(await read_request(stream))

    port = await raw_server(nursery, script)
    await refused(f"ws://{HOST}:{port}/stream?streams=a@trade/b@trade")
    assert heads[0].startswith(b"GET /stream?streams=a@trade/b@trade HTTP/1.1\r\n")
    assert f"host: {HOST}:{port}\r\n".encode() in heads[0].lower()
    assert b"user-agent: priceverse/" in heads[0].lower()


async def test_pings_of_the_server_are_answered(nursery: trio.Nursery) -> None:
    answered = trio.Event()

    async def script(request: WebSocketRequest) -> None:
        socket = await request.accept()
        await socket.ping(b"there?")
        answered.set()
        await socket.aclose()

    async with opened(await websocket_server(nursery, script)) as link:
        assert await everything(link) == []
        await answered.wait()


async def test_text_arrives_at_the_server(nursery: trio.Nursery) -> None:
    async def script(request: WebSocketRequest) -> None:
        socket = await request.accept()
        await socket.send_message("you said " + await socket.get_message())
        await socket.aclose()

    async with opened(await websocket_server(nursery, script)) as link:
        await link.send("subscribe")
        assert await everything(link) == [b"you said subscribe"]


@pytest.mark.parametrize("status", [403, 418, 429, 451, 503])
async def test_a_refused_handshake_is_a_value(nursery: trio.Nursery, status: int) -> None:
    async def script(request: WebSocketRequest) -> None:
        await request.reject(status, extra_headers=[(b"Retry-After", b"17")], body=b"go away")

    error = await refused(await websocket_server(nursery, script))
    assert (error.status, error.retry_after_s) == (status, 17.0)


async def test_a_refusal_need_not_end(nursery: trio.Nursery) -> None:
    """No length, no end of the body: the status is known all the same, at once."""

    async def script(stream: trio.abc.Stream) -> None:
        await read_request(stream)
        await stream.send_all(b"HTTP/1.1 429 Slow down\r\n\r\n")
        while True:
            await stream.send_all(b"x" * 65536)

    error = await refused(f"ws://{HOST}:{await raw_server(nursery, script)}")
    assert error.status == 429


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"HTTP/1.1 101",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: forged\r\n\r\n",
        b"HTTP/1.1 101 X\r\nbroken header\r\n\r\n",
        b"\x00" * 100_000,
    ],
)
async def test_nonsense_instead_of_a_handshake_is_a_net_error(nursery: trio.Nursery, reply: bytes) -> None:
    async def script(stream: trio.abc.Stream) -> None:
        await read_request(stream)
        await stream.send_all(reply)

    error = await refused(f"ws://{HOST}:{await raw_server(nursery, script)}")
    assert error.status is None


async def test_a_silent_server_times_out(nursery: trio.Nursery) -> None:
    async def script(stream: trio.abc.Stream) -> None:
        await trio.sleep_forever()

    port = await raw_server(nursery, script)
    error = await refused(f"ws://{HOST}:{port}", limits=LinkLimits(0.1, 1000))
    assert error.what == "no connection within 0.1 s"
    error = await refused(f"wss://{HOST}:{port}", limits=LinkLimits(0.1, 1000))
    assert error.what == "no connection within 0.1 s"


async def test_nobody_there() -> None:
    with trio.socket.socket() as unused:
        await unused.bind((HOST, 0))
        error = await refused(f"ws://{HOST}:{unused.getsockname()[1]}/secret?token=1")
    assert error.what == "cannot connect: Connection refused"
    assert "token" not in str(error)


@pytest.mark.parametrize("url", ["http://127.0.0.1", "ws://", "127.0.0.1", "ws://user:pw@127.0.0.1"])
async def test_only_websocket_urls(url: str) -> None:
    error = await refused(url)
    assert error.what == "not a WebSocket URL"


async def test_an_unknown_authority_is_refused(nursery: trio.Nursery, authority: Authority) -> None:
    url = await websocket_server(nursery, _never_reached, Authority().server())
    error = await refused(url, authority.client())
    assert error.what.startswith("no TLS: certificate refused")


async def _never_reached(request: WebSocketRequest) -> None:
    raise AssertionError


async def test_a_certificate_for_another_name_is_refused(nursery: trio.Nursery, authority: Authority) -> None:
    url = await websocket_server(nursery, _never_reached, authority.server("example.org"))
    error = await refused(url, authority.client())
    assert "certificate refused" in error.what


def accepted(request: bytes) -> bytes:
    key = next(line for line in request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key")).split(b": ")[1]
    token = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    return head + b"Sec-WebSocket-Accept: " + token + b"\r\n\r\n"


async def raw_link(nursery: trio.Nursery, after: bytes, *, step: int = 1 << 16) -> str:
    """A server that accepts, sends `after` in steps and neither answers nor leaves."""

    async def script(stream: trio.abc.Stream) -> None:
        data = accepted(await read_request(stream)) + after
        for at in range(0, len(data), step):
            await stream.send_all(data[at : at + step])
            await trio.lowlevel.checkpoint()
        while await stream.receive_some():
            pass

    return f"ws://{HOST}:{await raw_server(nursery, script)}"


async def test_frames_right_behind_the_handshake_and_in_single_bytes(nursery: trio.Nursery) -> None:
    traffic = b"\x81\x02hi" + b"\x01\x03fra" + b"\x89\x01p" + b"\x80\x05gment" + b"\x88\x02\x03\xe8"
    for step in (1, 1 << 16):
        url = await raw_link(nursery, traffic, step=step)
        async with opened(url) as link:
            assert await everything(link) == [b"hi", b"fragment"]
            assert link.farewell == "closed with 1000 normal_closure"


@pytest.mark.parametrize(
    ("traffic", "code"),
    [
        (b"\x81\x80\x00\x00\x00\x00", 1002),  # masked
        (b"\x80\x01x", 1002),  # continues nothing
        (b"\xc1\x01x", 1002),  # compressed, which nobody agreed on
        (b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x01" + bytes(65537), 1009),  # one byte too long
        (b"\x02\x7e\xff\xff" + bytes(65535) + b"\x80\x02ab", 1009),  # the same in two fragments
    ],
)
async def test_a_protocol_fault_ends_the_link_with_its_code(nursery: trio.Nursery, traffic: bytes, code: int) -> None:
    url = await raw_link(nursery, b"\x81\x02ok" + traffic)
    async with opened(url) as link:
        assert await everything(link) == [b"ok"]
        assert link.farewell.startswith(f"closed with {code}")


async def test_a_reset_reads_as_lost(nursery: trio.Nursery) -> None:
    async def script(stream: trio.abc.Stream) -> None:
        await stream.send_all(accepted(await read_request(stream)) + b"\x81\x05hello"[:3])

    async with opened(f"ws://{HOST}:{await raw_server(nursery, script)}") as link:
        assert await everything(link) == []
        assert link.farewell == "connection lost"
        with pytest.raises(NetError):
            await link.send("anybody?")


async def test_closing_is_quick_though_the_server_neither_answers_nor_leaves(nursery: trio.Nursery) -> None:
    url = await raw_link(nursery, b"\x81\x02hi" * 1_000_000)
    started = trio.current_time()
    async with opened(url) as link:
        async for _batch in link:
            break
    assert trio.current_time() - started < 4


async def test_a_slow_consumer_leaves_the_socket_unread(nursery: trio.Nursery) -> None:
    frame, sent = b"\x82\x7e\xff\xff" + bytes(65535), 0

    async def script(stream: trio.abc.Stream) -> None:
        nonlocal sent
        await stream.send_all(accepted(await read_request(stream)))
        while True:
            await stream.send_all(frame)
            sent += 1

    url = f"ws://{HOST}:{await raw_server(nursery, script)}"
    async with opened(url):
        with trio.move_on_after(1.0):
            await trio.sleep_forever()
        assert sent < 300  # about 20 MB: the batches that may wait, and the kernel's own buffers


async def test_any_byte_counts_as_life(nursery: trio.Nursery) -> None:
    async def script(request: WebSocketRequest) -> None:
        socket = await request.accept()
        while True:
            await socket.ping()

    async with opened(await websocket_server(nursery, script)) as link:
        before = link.last_received_s
        while link.last_received_s <= before:
            await trio.lowlevel.checkpoint()

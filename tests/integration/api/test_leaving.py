"""Leaving: a handler that is told to stop loses nobody's request and waits for nobody's good will."""

import socket

import pytest
import trio

from tests.integration.api.conftest import limits, raw, read_all
from tests.integration.api.test_wire import CALL, LIVE, exchange, post


async def test_a_request_that_has_begun_is_answered_and_the_connection_ended(start):
    handler = await start(its_limits=limits(farewell_s=1.0))
    async with raw(handler) as stream:
        request = post(CALL)
        await stream.send_all(request[:-5])
        handler.stopping.set()
        await trio.sleep(0.1)
        await stream.send_all(request[-5:])
        said = await read_all(stream)
    assert said.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in said.lower()


async def test_idle_connections_are_ended(handler):
    async with raw(handler) as stream:
        await exchange(stream, LIVE)
        took_s = await handler.stop()
        assert await read_all(stream) == b""
    assert took_s < 2


async def test_nobody_is_let_in_any_more(handler):
    await handler.stop()
    with pytest.raises(OSError):
        await handler.connect()


async def test_a_client_that_sends_half_a_request_is_not_waited_for_beyond_the_grace(start):
    handler = await start(its_limits=limits(grace_s=0.5))
    async with raw(handler) as stream:
        await stream.send_all(post(CALL)[:-5])
        assert await handler.stop() < 3


async def test_health_tells_the_balancer_before_the_end(start):
    handler = await start(its_limits=limits(farewell_s=1.0))
    async with raw(handler) as stream:
        await exchange(stream, LIVE)
        handler.stopping.set()
        said = await exchange(stream, b"GET /health/ready HTTP/1.1\r\nHost: a\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 503")


async def test_replacing_a_handler_under_load_fails_no_request(start):
    """Two handlers on one socket, as in the pool; twenty clients keep their connections; one handler leaves."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=100)
    first = await start(listener=listener.dup(), its_limits=limits(farewell_s=0.5))
    await start(listener=listener)
    answered = failed = 0
    done = trio.Event()

    async def client() -> None:
        nonlocal answered, failed
        while not done.is_set():
            async with raw(first) as stream:
                said = b""
                while not done.is_set() and b"close" not in said.lower():
                    try:
                        said = await exchange(stream, LIVE)
                    except (AssertionError, trio.BrokenResourceError):
                        failed += 1
                        break
                    answered += 1

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(client)
        await trio.sleep(0.5)
        await first.stop()
        assert first.connections == 0
        before = answered
        await trio.sleep(0.5)
        done.set()
    assert answered > before > 0
    assert failed == 0

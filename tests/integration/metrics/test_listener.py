"""The root's web server on real sockets: answers what it should, and lets nobody hold it up."""

import json
from functools import partial

import h11
import httpx
import pytest
import trio
import trio.testing

from priceverse.metrics import listener
from priceverse.metrics.listener import Page, at, fetch, serve

WAIT_S = 20.0
BODY = b"x" * 100_000


def page(accept):
    return Page("application/json" if accept == "application/json" else "text/plain", BODY)


@pytest.fixture
async def port(nursery):
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    nursery.start_soon(serve, listeners, {"/metrics": page})
    yield listeners[0].socket.getsockname()[1]
    nursery.cancel_scope.cancel()


@pytest.fixture
async def client(port):
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=WAIT_S) as client:
        yield client


async def test_a_page_comes_whole_and_by_what_is_accepted(client):
    plain = await client.get("/metrics?x=1")
    assert (plain.status_code, plain.headers["content-type"], plain.content) == (200, "text/plain", BODY)
    wanted = await client.get("/metrics", headers={"Accept": "application/json"})
    assert wanted.headers["content-type"] == "application/json"


async def test_head_has_the_length_and_no_body(client):
    head = await client.head("/metrics")
    assert (head.headers["content-length"], head.content) == (str(len(BODY)), b"")


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/", 404), ("POST", "/metrics", 405)])
async def test_anything_else_is_refused(client, method, path, status):
    assert (await client.request(method, path)).status_code == status


async def said(port, data):
    """Everything that is answered to `data`."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(data)
        answer = b""
        with trio.fail_after(WAIT_S):
            try:
                async for part in stream:
                    answer += part
            except trio.BrokenResourceError:
                pass
        return answer


async def test_what_is_not_http_is_told_so(port):
    assert (await said(port, b"\x16\x03\x01 nonsense\r\n\r\n")).startswith(b"HTTP/1.1 400")


async def test_a_head_too_long_is_refused(port):
    answer = await said(port, b"GET /metrics HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20_000)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 431")  # unread bytes may reset the connection


async def test_who_says_nothing_is_let_go_and_then_others_are_served(port, client, monkeypatch):
    monkeypatch.setattr(listener, "DEADLINE_S", 0.2)
    async with trio.open_nursery() as nursery:
        for _ in range(listener.CONNECTIONS):
            nursery.start_soon(said, port, b"GET /metrics HT")
        await trio.testing.wait_all_tasks_blocked(0.05)
    assert (await client.get("/metrics")).status_code == 200


async def test_who_comes_when_all_places_are_taken_is_turned_away(port, monkeypatch):
    monkeypatch.setattr(listener, "DEADLINE_S", WAIT_S)
    streams = []
    for _ in range(listener.CONNECTIONS):
        streams.append(await trio.open_tcp_stream("127.0.0.1", port))
        await streams[-1].send_all(b"GET /metrics HT")
    assert await said(port, b"") == b""
    for stream in streams:
        await stream.aclose()


async def test_our_own_processes_ask_over_a_unix_socket(nursery, tmp_path):
    path = str(tmp_path / "metrics.sock")
    socket = trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM)
    await socket.bind(path)
    socket.listen()
    answers = {"/samples": lambda accept: Page("application/json", json.dumps([accept]).encode())}
    nursery.start_soon(serve, [trio.SocketListener(socket)], answers)
    with trio.fail_after(WAIT_S):
        found = await fetch(at(path), "/samples", "application/json")
        missing = await fetch(at(path), "/nothing", "")
    assert found == Page("application/json", b'["application/json"]')
    assert missing.status == 404
    nursery.cancel_scope.cancel()


async def test_a_server_that_speaks_no_http_is_told_from_one_that_does(nursery, tmp_path):
    async def babble(stream):
        async with stream:
            await stream.send_all(b"hello\r\n\r\n")

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    nursery.start_soon(partial(trio.serve_listeners, babble, listeners))
    address = listeners[0].socket.getsockname()
    with trio.fail_after(WAIT_S), pytest.raises((h11.RemoteProtocolError, trio.BrokenResourceError)):
        await fetch(partial(trio.open_tcp_stream, *address), "/metrics", "")
    nursery.cancel_scope.cancel()

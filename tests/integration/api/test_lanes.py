"""The two lanes on one connection: which of them answers, in what order, and that nobody can tell."""

import socket
from pathlib import Path

import pytest
import trio

from priceverse.api.access import Ration
from priceverse.api.connection import PATIENCE_S
from priceverse.api.lane import Rules
from priceverse.api.listener import Server
from priceverse.rpc.endpoint import Head, HttpReply
from tests.integration.api.conftest import WAIT_S, limits, read_all, until

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
BIG = 4_000_000


async def application(scope, receive, send):
    """What stands for Quart: answers `slow:` and the body."""
    body, more = b"", True
    while more:
        event = await receive()
        body += event.get("body", b"")
        more = event.get("more_body", False)
    reply = b"slow:" + body + b";"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(reply))]})
    await send({"type": "http.response.body", "body": reply, "more_body": False})


def invoke(body: bytes, head: Head):
    """Answer `fast:` and the body, or do what it says."""
    match body:
        case b"wait":
            return _later
        case b"big":
            return HttpReply(200, (), b"x" * BIG)
        case b"raise":
            raise RuntimeError("a fault of ours")
    return HttpReply(200, (), b"fast:" + body + b";")


async def _later() -> HttpReply:
    await trio.sleep(0.05)
    return HttpReply(200, (), b"fast:waited;")


def render(reply: HttpReply) -> bytes:
    return b"HTTP/1.1 200 \r\ncontent-length: %d\r\n\r\n" % len(reply.body) + reply.body


def post(body: bytes, extra: bytes = b"") -> bytes:
    head = b"POST /netron/invoke HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    return head + extra + b"Content-Length: %d\r\n\r\n" % len(body) + body


def foreign(body: bytes) -> bytes:
    return post(body, b"TE: trailers\r\n")


class Running:
    """A server with both lanes."""

    def __init__(self, its_limits):
        self.stopping = trio.Event()
        self.gone = trio.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        rules = Rules(
            doors={b"/netron/invoke": invoke},
            identify=lambda address, fields: Head(),
            render=render,
            is_open=lambda: not self.stopping.is_set(),
            max_body_bytes=1000,
        )
        self.server = Server(application, limits=its_limits, busy=b"", ration=Ration(10, 0), lanes=rules)

    async def run(self, task_status=trio.TASK_STATUS_IGNORED):
        await self.server.serve(self.listener, self.stopping, lambda: None, task_status=task_status)
        self.gone.set()

    async def connect(self):
        return await trio.open_tcp_stream("127.0.0.1", self.port)

    async def say(self, *portions: bytes) -> list[bytes]:
        """Send portions, each when the one before is likely read; return the bodies of the answers until the end."""
        async with await self.connect() as stream:
            for portion in portions:
                await stream.send_all(portion)
                await trio.sleep(0.002)
            return bodies(await read_all(stream))


def bodies(said: bytes) -> list[bytes]:
    return [part.rpartition(b"\r\n\r\n")[2] for part in said.replace(b";HTTP", b";\0HTTP").split(b"\0")]


@pytest.fixture
async def start(nursery):
    servers = []

    async def start(**given):
        running = Running(limits(**{"head_s": 5.0} | given))
        await nursery.start(running.run)
        servers.append(running)
        return running

    yield start
    for each in servers:
        each.stopping.set()
        with trio.fail_after(WAIT_S):
            await each.gone.wait()


@pytest.fixture
async def server(start):
    return await start()


async def test_each_lane_answers_what_is_its_own_in_the_order_of_asking(server):
    said = post(b"1") + post(b"2") + GET + post(b"3") + foreign(b"4") + LAST
    assert await server.say(said) == [b"fast:1;", b"fast:2;", b"slow:;", b"slow:3;", b"slow:4;", b"slow:;"]


async def test_a_connection_comes_back_to_the_lane(server):
    async with await server.connect() as stream:
        for i in range(5):
            for request, answer in ((post(b"%d" % i), b"fast:%d;" % i), (foreign(b"%d" % i), b"slow:%d;" % i)):
                await stream.send_all(request)
                with trio.fail_after(WAIT_S):
                    assert (await receive(stream)).endswith(answer)


async def receive(stream: trio.SocketStream) -> bytes:
    said = b""
    while not said.endswith(b";"):
        data = await stream.receive_some()
        assert data, said
        said += data
    return said


async def test_the_bytes_may_be_cut_anywhere(server):
    said = post(b"1") + foreign(b"2") + post(b"3") + LAST
    cuts = [i for i in range(1, len(said)) if i % 7 == 0 or said[i - 1 : i + 1] in {b"\r\n", b"\n\r"}]
    found = [await server.say(said[:cut], said[cut:]) for cut in cuts]
    assert {tuple(b.partition(b":")[2] for b in each) for each in found} == {(b"1;", b"2;", b"3;", b";")}


async def test_a_call_that_waits_holds_back_those_behind_it(server):
    said = post(b"1") + post(b"wait") + post(b"2") + LAST
    assert await server.say(said) == [b"fast:1;", b"fast:waited;", b"fast:2;", b"slow:;"]


async def test_a_client_that_pipelines_without_end_gets_every_answer(server):
    assert await server.say(post(b"1") * 5000 + LAST) == [b"fast:1;"] * 5000 + [b"slow:;"]


async def test_a_neighbour_is_served_beside_one_that_pipelines_without_end(server):
    async with await server.connect() as greedy, trio.open_nursery() as nursery:

        async def ask() -> None:
            while True:
                await greedy.send_all(post(b"1") * 100)

        async def read() -> None:
            while await greedy.receive_some(65536):
                pass

        nursery.start_soon(ask)
        nursery.start_soon(read)
        for _ in range(20):
            assert await server.say(post(b"2"), LAST) == [b"fast:2;", b"slow:;"]
        nursery.cancel_scope.cancel()


async def test_a_call_that_is_not_completed_is_hypercorns_after_a_while(server):
    """The lane refuses nothing, so it cannot time out either."""
    async with await server.connect() as stream:
        await stream.send_all(post(b"12345")[:-3])
        await trio.sleep(2 * PATIENCE_S)
        await stream.send_all(b"345")
        with trio.fail_after(WAIT_S):
            assert (await receive(stream)).endswith(b"slow:12345;")


@pytest.mark.parametrize("begun", [b"", b"POST /netron/inv", post(b"1")[:60]])
async def test_a_head_that_does_not_come_ends_the_connection(start, begun):
    server = await start(head_s=0.3)
    async with await server.connect() as stream:
        await stream.send_all(begun)
        assert await read_all(stream) == b""


async def test_a_client_that_is_idle_between_calls_is_let_go(start):
    server = await start(idle_s=0.3)
    async with await server.connect() as stream:
        await stream.send_all(post(b"1"))
        assert (await read_all(stream)).endswith(b"fast:1;")


async def test_a_client_that_keeps_calling_is_not(start):
    server = await start(idle_s=2.0)
    async with await server.connect() as stream:
        for _ in range(8):
            await stream.send_all(post(b"1"))
            with trio.fail_after(WAIT_S):
                assert (await receive(stream)).endswith(b"fast:1;")
            await trio.sleep(0.3)


@pytest.mark.parametrize("request_", [post(b"big"), post(b"big") * 3, post(b"big") + GET])
async def test_a_client_that_does_not_read_is_given_up(server, request_):
    async with await server.connect() as stream:
        await stream.send_all(request_)
        await until(lambda: server.server.connections == 1)
        await until(lambda: server.server.connections == 0)


async def test_a_client_that_reads_slowly_gets_everything(start):
    server = await start(send_s=WAIT_S)
    async with await server.connect() as stream:
        await stream.send_all(post(b"big") + LAST)
        said = b""
        with trio.fail_after(WAIT_S):
            while data := await stream.receive_some(200_000):
                said += data
                await trio.sleep(0.005)
    assert said.count(b"x") >= BIG
    assert said.endswith(b"slow:;")


async def test_a_fault_of_ours_ends_its_own_connection_only(server):
    async with await server.connect() as neighbour:
        await neighbour.send_all(GET)
        with trio.fail_after(WAIT_S):
            assert (await receive(neighbour)).endswith(b"slow:;")
        assert await server.say(post(b"raise")) == [b""]
        await neighbour.send_all(post(b"1"))
        with trio.fail_after(WAIT_S):
            assert (await receive(neighbour)).endswith(b"fast:1;")


async def test_clients_that_vanish_leave_nothing_behind(server):
    for said in (b"", post(b"1")[:30], post(b"1")[:-1], post(b"1"), post(b"wait"), post(b"big"), foreign(b"1"), GET):
        stream = await server.connect()
        await stream.send_all(said)
        await trio.aclose_forcefully(stream)
    await until(lambda: server.server.connections == 0)


async def test_while_leaving_nothing_is_answered_in_the_lane(start):
    """So that every answer says that it is the last."""
    server = await start(farewell_s=0.5)
    async with await server.connect() as stream:
        await stream.send_all(post(b"1"))
        with trio.fail_after(WAIT_S):
            assert (await receive(stream)).endswith(b"fast:1;")
            server.stopping.set()
            await stream.send_all(post(b"2"))
            assert (await receive(stream)).endswith(b"slow:2;")


async def test_a_call_being_waited_for_is_answered_before_the_end(start):
    server = await start(farewell_s=0.01)
    async with await server.connect() as stream:
        await stream.send_all(post(b"wait"))
        await trio.sleep(0.01)
        server.stopping.set()
        assert (await read_all(stream)).endswith(b"fast:waited;")


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_idle_connections_cost_no_file_and_no_time_to_end(start):
    server = await start(connections=300)
    before = open_files()
    streams = [await server.connect() for _ in range(200)]
    await until(lambda: server.server.connections == 200)
    assert open_files() - before == 400  # one here, one there
    server.stopping.set()
    with trio.fail_after(WAIT_S):
        await server.gone.wait()
    for stream in streams:
        await stream.aclose()

"""The alerts with a real Redis, a root's page on a real socket and a receiver on another."""

import hashlib
import hmac
import json
from dataclasses import dataclass, field

import h11
import pytest
import trio
import trio.testing

from priceverse.alerts.serve import serve
from priceverse.bus import alerts as memory
from priceverse.bus.client import RedisDoor
from priceverse.config.settings import Alerts, Exchanges, Settings, Supervisor
from priceverse.metrics import catalogue as metric
from priceverse.metrics import listener
from priceverse.metrics.listener import Page
from priceverse.metrics.metric import packed
from tests.conftest import connect_redis

WAIT_S = 30.0


@dataclass
class Root:
    """The root's page: which venues are connected. `asked` counts the looks."""

    connected: dict[str, int] = field(default_factory=lambda: {"okx": 1})
    asked: int = 0
    looked: trio.Event = field(default_factory=trio.Event)

    def samples(self, accept):
        self.asked += 1
        self.looked.set()
        self.looked = trio.Event()
        values = {(metric.CONNECTED, (name,)): value for name, value in self.connected.items()}
        return Page("application/json", json.dumps(packed(values)).encode())

    async def looks(self, times):
        with trio.fail_after(WAIT_S):
            until = self.asked + times
            while self.asked < until:
                await self.looked.wait()


@dataclass
class Receiver:
    """An HTTP server that refuses the first delivery and keeps the others."""

    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    refused: int = 0
    arrived: trio.Event = field(default_factory=trio.Event)

    async def handle(self, stream):
        async with stream:
            connection, headers, body = h11.Connection(h11.SERVER), {}, b""
            while True:
                event = connection.next_event()
                if event is h11.NEED_DATA:
                    connection.receive_data(await stream.receive_some(65536))
                elif isinstance(event, h11.Request):
                    headers = {name.decode(): value.decode() for name, value in event.headers}
                elif isinstance(event, h11.Data):
                    body += event.data
                else:
                    break
            status = 503 if not self.refused else 200
            self.refused += 1
            answer = h11.Response(status_code=status, headers=[("Content-Length", "0"), ("Connection", "close")])
            await stream.send_all(connection.send(answer) + connection.send(h11.EndOfMessage()))
            if status == 200:
                self.got.append((headers, body))
                self.arrived.set()
                self.arrived = trio.Event()

    async def notices(self, count):
        with trio.fail_after(WAIT_S):
            while len(self.got) < count:
                await self.arrived.wait()
        return [(said["rule"], said["subject"], said["state"]) for said in (json.loads(body) for _, body in self.got)]


async def open_page(nursery, tmp_path, root):
    """Let the root answer from now on."""
    socket = trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM)
    await socket.bind(str(tmp_path / "metrics.sock"))
    socket.listen()
    nursery.start_soon(listener.serve, [trio.SocketListener(socket)], {"/samples": root.samples})


@pytest.fixture
async def root(nursery, tmp_path):
    root = Root()
    await open_page(nursery, tmp_path, root)
    return root


@pytest.fixture
async def receiver(nursery):
    receiver = Receiver()
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    receiver.url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}/in"
    nursery.start_soon(trio.serve_listeners, receiver.handle, listeners)
    yield receiver
    nursery.cancel_scope.cancel()


@pytest.fixture
def settings(redis_settings, tmp_path, receiver):
    """Only a venue can be down here: no pair, one exchange, told at once."""
    return Settings(
        redis=redis_settings,
        pairs={},
        exchanges=Exchanges(enabled=("okx",)),
        supervisor=Supervisor(control_socket=tmp_path / "control.sock"),
        alerts=Alerts(webhooks=(receiver.url,), webhook_secret="s3cret", interval_s=1, exchange_down_s=1),
    )


async def stored(settings):
    async with RedisDoor(settings.redis) as door:
        return set(await memory.load(door, settings.app.name))


async def test_an_exchange_that_is_down_is_told_once_even_across_a_restart(nursery, root, receiver, settings):
    root.connected["okx"] = 0
    for _ in range(2):
        stopping, stopped = trio.Event(), trio.Event()

        async def run(stopping=stopping, stopped=stopped):
            await serve(settings, stopping)
            stopped.set()

        nursery.start_soon(run)
        assert await receiver.notices(1) == [("exchange_down", "okx", "firing")]
        await root.looks(2)
        stopping.set()
        with trio.fail_after(WAIT_S):
            await stopped.wait()
        assert await stored(settings) == {("exchange_down", "okx")}
    headers, body = receiver.got[0]
    signed = hmac.new(b"s3cret", headers["x-priceverse-timestamp"].encode() + b"." + body, hashlib.sha256).hexdigest()
    assert headers["x-priceverse-signature"] == f"sha256={signed}"
    assert len(receiver.got) == 1
    assert receiver.refused == 2  # the first attempt met a receiver that was not well


async def test_a_root_that_does_not_answer_is_waited_for(nursery, receiver, settings, tmp_path):
    nursery.start_soon(serve, settings, trio.Event())
    await trio.testing.wait_all_tasks_blocked()
    root = Root(connected={"okx": 0})
    await open_page(nursery, tmp_path, root)
    assert await receiver.notices(1) == [("exchange_down", "okx", "firing")]


async def test_the_memory_of_redis_is_a_share(redis_settings):
    async with RedisDoor(redis_settings) as door:
        assert 0 < await memory.used_ratio(door) < 1


async def test_what_somebody_else_wrote_is_no_memory(settings):
    with connect_redis(settings.redis) as client:
        client.set(f"alerts:{settings.app.name}", b'{"not": "ours"}')
    assert await stored(settings) == set()

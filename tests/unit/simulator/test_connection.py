"""One client on a WebSocket, over streams in memory: what is sent, what is heard, and how it ends."""

from dataclasses import dataclass, field
from random import Random

import pytest
import trio
import wsproto
from trio.testing import MemoryReceiveStream, memory_stream_pair
from wsproto import events

from priceverse.model.exchange import Exchange
from priceverse.simulator.connection import Connection
from priceverse.simulator.faults import Faults
from priceverse.simulator.venues.protocol import Close, Output, Ping, Quiet

NOW_NS = 1_790_446_152_678_901_234


@dataclass(slots=True)
class Listener(Quiet):
    """A session that says what it is told to, and remembers what it heard."""

    owed: list[Output] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)
    pongs: int = 0

    def receive(self, text: str, now_ns: int) -> list[Output]:
        self.heard.append(text)
        return []

    def pong(self, now_ns: int) -> None:
        self.pongs += 1

    def tick(self, now_ns: int, idle_ns: int) -> list[Output]:
        owed, self.owed = self.owed, []
        return owed


class Peer:
    """The client's end, driven by hand."""

    def __init__(self, stream: trio.StapledStream, websocket: wsproto.WSConnection) -> None:
        self.stream = stream
        self.websocket = websocket

    async def say(self, event: events.Event) -> None:
        await self.stream.send_all(self.websocket.send(event))

    async def hear(self) -> events.Event:
        while True:
            for event in self.websocket.events():
                return event
            self.websocket.receive_data(bytes(await self.stream.receive_some()) or None)


def shaken_hands() -> tuple[wsproto.WSConnection, wsproto.WSConnection]:
    client = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
    server = wsproto.WSConnection(wsproto.ConnectionType.SERVER)
    server.receive_data(client.send(events.Request(host="x", target="/")))
    list(server.events())
    client.receive_data(server.send(events.AcceptConnection()))
    list(client.events())
    return client, server


@pytest.fixture
async def link(nursery):
    """A running connection, its session, its peer, and an event set when it has ended."""
    near, far = memory_stream_pair()
    client, server = shaken_hands()
    session = Listener()
    connection = Connection(
        near, server, session, exchange=Exchange.OKX, faults=Faults(Random(0)), now_ns=lambda: NOW_NS
    )
    ended = trio.Event()

    async def run() -> None:
        await connection.run(lambda: None)
        await near.aclose()
        ended.set()

    nursery.start_soon(run)
    return connection, session, Peer(far, client), ended


async def test_a_ping_of_the_server_is_answered_to_its_session(link):
    connection, session, peer, _ = link
    session.owed = [Ping(b"17")]
    connection.tick(NOW_NS)
    ping = await peer.hear()
    assert isinstance(ping, events.Ping)
    assert bytes(ping.payload) == b"17"
    await peer.say(ping.response())
    await trio.testing.wait_all_tasks_blocked()
    assert session.pongs == 1


async def test_a_ping_of_the_client_gets_a_pong(link):
    _, _, peer, _ = link
    await peer.say(events.Ping(payload=b"hello"))
    assert isinstance(await peer.hear(), events.Pong)


async def test_nothing_follows_a_close(link, autojump_clock):
    connection, session, peer, ended = link
    session.owed = ["before", Close(4004, "why"), "after"]
    connection.tick(NOW_NS)
    assert (await peer.hear()).data == "before"
    closed = await peer.hear()
    assert (closed.code, closed.reason) == (4004, "why")
    await ended.wait()
    assert await peer.stream.receive_some() == b""


async def test_a_message_in_pieces_is_heard_whole(link):
    _, session, peer, _ = link
    await peer.say(events.TextMessage(data="sub", message_finished=False))
    await peer.say(events.TextMessage(data="scribe"))
    await trio.testing.wait_all_tasks_blocked()
    assert session.heard == ["subscribe"]


async def test_binary_messages_end_the_connection(link, autojump_clock):
    _, _, peer, ended = link
    await peer.say(events.BytesMessage(data=b"x"))
    assert (await peer.hear()).code == 1003
    await ended.wait()


async def test_a_frame_that_is_none_ends_the_connection_with_its_code(link, autojump_clock):
    _, _, peer, ended = link
    await peer.stream.send_all(b"\xff\xff\xff\xff")
    assert (await peer.hear()).code == 1002
    await ended.wait()


async def test_a_client_that_says_goodbye_is_answered(link):
    _, _, peer, ended = link
    await peer.say(events.CloseConnection(code=1000))
    assert (await peer.hear()).code == 1000
    await ended.wait()


async def test_a_client_that_vanishes_ends_its_connection(link):
    connection, session, peer, ended = link
    receiving: MemoryReceiveStream = peer.stream.receive_stream
    receiving.close()
    session.owed = ["into the void"]
    connection.tick(NOW_NS)
    await ended.wait()


async def test_the_end_of_the_stream_ends_the_connection(link):
    _, _, peer, ended = link
    await peer.stream.aclose()
    await ended.wait()


async def test_a_client_that_does_not_read_is_cut_at_the_bound(link):
    connection, session, _, ended = link
    session.owed = ["x" * 1000] * 5000
    connection.tick(NOW_NS)
    await ended.wait()
    assert connection.slow

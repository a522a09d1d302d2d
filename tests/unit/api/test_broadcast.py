"""Broadcast: the same bytes for all, one event per pair for who is slow, an end for everybody."""

from dataclasses import dataclass

import pytest
import trio
import trio.testing

from priceverse.api import broadcast as module
from priceverse.api.broadcast import PACE_S, TURN, Broadcast


@dataclass(frozen=True)
class Words:
    """A form that can be read: `name:` and the events; after `|` how many pairs its client then knows."""

    pairs: frozenset
    name: str = "a"

    def render(self, events, known):
        said = b",".join(events.values())
        return b"%b:%b|%d;" % (self.name.encode(), said, len(known))


class Socket:
    """What a client has been sent; while `full` it takes nothing."""

    def __init__(self):
        self.got = []
        self.full = False

    def write_now(self, data):
        if not self.full:
            self.got.append(data)
        return not self.full


BOTH = Words(frozenset({"btc", "eth"}))


@pytest.fixture
async def broadcast(nursery):
    broadcast = Broadcast()
    nursery.start_soon(broadcast.run)
    return broadcast


async def settled():
    await trio.sleep(2 * PACE_S)
    await trio.testing.wait_all_tasks_blocked()


async def test_what_is_new_is_written_once_and_to_everybody(broadcast, autojump_clock):
    sockets = [Socket() for _ in range(3 * TURN)]
    for socket in sockets:
        broadcast.open(BOTH, socket.write_now)
    broadcast.put("btc", b"1")
    broadcast.put("eth", b"2")
    broadcast.put("xmr", b"3")
    await settled()
    assert all(socket.got == [b"a:1,2|3;"] for socket in sockets)
    assert len({id(socket.got[0]) for socket in sockets}) == 1


async def test_a_channel_begins_with_what_is_known_and_hears_it_once(broadcast, autojump_clock):
    broadcast.put("btc", b"1")
    broadcast.put("xmr", b"3")
    socket = Socket()
    channel = broadcast.open(BOTH, socket.write_now)
    assert await channel.next() == b"a:1|2;"
    await settled()
    assert socket.got == []
    broadcast.put("btc", b"2")
    await settled()
    assert socket.got == [b"a:2|2;"]


async def test_what_says_nothing_new_is_not_sent(broadcast, autojump_clock):
    socket = Socket()
    broadcast.open(BOTH, socket.write_now)
    for _ in range(3):
        broadcast.put("btc", b"1")
        await settled()
    assert socket.got == [b"a:1|1;"]


async def test_who_takes_nothing_holds_one_event_per_pair(broadcast, autojump_clock):
    socket = Socket()
    channel = broadcast.open(BOTH, socket.write_now)
    socket.full = True
    for n in range(100):
        broadcast.put("btc", b"%d" % n)
        broadcast.put("eth", b"x")
        await settled()
    socket.full = False
    broadcast.put("eth", b"y")
    await settled()
    assert socket.got == []  # nothing overtakes what waits
    assert await channel.next() == b"a:99,y|2;"
    broadcast.put("btc", b"100")
    await settled()
    assert socket.got == [b"a:100|2;"]


async def test_its_own_task_is_told_of_what_the_socket_does_not_take(broadcast, nursery, autojump_clock):
    socket = Socket()
    socket.full = True
    channel = broadcast.open(BOTH, socket.write_now)
    heard = []

    async def listen():
        heard.append(await channel.next())

    nursery.start_soon(listen)
    await trio.testing.wait_all_tasks_blocked()
    broadcast.put("btc", b"1")
    await settled()
    assert heard == [b"a:1|1;"]


async def test_forms_that_differ_get_bytes_of_their_own(broadcast, autojump_clock):
    one, two = Socket(), Socket()
    broadcast.open(Words(frozenset({"btc"}), "one"), one.write_now)
    broadcast.open(Words(frozenset({"eth"}), "two"), two.write_now)
    broadcast.put("btc", b"1")
    await settled()
    broadcast.put("eth", b"2")
    await settled()
    assert (one.got, two.got) == ([b"one:1|1;"], [b"two:2|2;"])


async def test_who_has_left_is_sent_nothing_even_in_the_middle_of_a_turn(broadcast, monkeypatch, autojump_clock):
    monkeypatch.setattr(module, "TURN", 1)
    sockets = [Socket() for _ in range(4)]
    channels = []

    def leave_all(data):
        for channel in channels:
            broadcast.leave(channel)
        return True

    channels += [broadcast.open(BOTH, socket.write_now) for socket in sockets]
    for channel in channels:
        channel._write_now = leave_all
    broadcast.put("btc", b"1")
    await settled()
    assert broadcast.channels == 0


async def test_the_end_comes_after_the_last_news(broadcast, autojump_clock):
    socket = Socket()
    channel = broadcast.open(BOTH, socket.write_now)
    broadcast.put("btc", b"1")
    broadcast.close()
    await settled()
    assert socket.got == [b"a:1|1;"]
    assert await channel.next() == b""


async def test_a_channel_opened_after_the_end_gets_what_is_known_and_ends(broadcast, autojump_clock):
    broadcast.put("btc", b"1")
    broadcast.close()
    channel = broadcast.open(BOTH)
    assert await channel.next() == b"a:1|1;"
    assert await channel.next() == b""


async def test_the_pairs_of_one_publishing_travel_together(broadcast, autojump_clock):
    socket = Socket()
    broadcast.open(BOTH, socket.write_now)
    broadcast.put("btc", b"1")
    await trio.sleep(PACE_S / 2)
    broadcast.put("eth", b"2")
    await settled()
    assert socket.got == [b"a:1,2|2;"]

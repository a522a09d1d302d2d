"""One task for many sockets: who has a turn when, and whose fault ends what."""

import socket
from contextlib import ExitStack

import pytest
import trio

from priceverse.api.poller import Poller
from tests.integration.api.conftest import WAIT_S


class Party:
    """Reads what comes, notes when it has its turns, and ends with the last word."""

    def __init__(self, name: str, turns: list[str]) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.name = name
        self._turns = turns
        self._heard = b""

    def hear(self, now_s: float) -> None:
        self._heard = self.ours.recv(100)
        self._turns.append(f"hear {self.name}")
        if self._heard == b"fault":
            raise ValueError(self.name)

    def speak(self) -> bytes | None:
        self._turns.append(f"speak {self.name}")
        return self._heard if self._heard == b"end" else None


@pytest.fixture
def turns():
    return []


@pytest.fixture
def parties(turns):
    with ExitStack() as stack:
        made = [Party(name, turns) for name in "ab"]
        for each in made:
            stack.enter_context(each.ours)
            stack.enter_context(each.theirs)
        yield made


@pytest.fixture
async def poller(nursery):
    poller = Poller()
    nursery.start_soon(poller.run)
    return poller


async def test_everybody_is_heard_before_anybody_is_spoken_to(poller, parties, turns):
    for each in parties:
        each.theirs.send(b"end")
    results = []

    async def watch(party):
        results.append(await poller.watch(party.ours.fileno(), party))

    with trio.fail_after(WAIT_S):
        async with trio.open_nursery() as watching:
            for each in parties:
                watching.start_soon(watch, each)
    assert results == [b"end", b"end"]
    assert [turn.split()[0] for turn in turns] == ["hear", "hear", "speak", "speak"]


async def test_a_fault_is_raised_where_its_party_is_watched_and_nowhere_else(poller, parties, turns):
    bad, good = parties
    bad.theirs.send(b"fault")
    good.theirs.send(b"more")

    async def fail():
        with pytest.raises(ValueError, match="a"):
            await poller.watch(bad.ours.fileno(), bad)
        good.theirs.send(b"end")

    with trio.fail_after(WAIT_S):
        async with trio.open_nursery() as watching:
            watching.start_soon(fail)
            assert await poller.watch(good.ours.fileno(), good) == b"end"
    assert "speak a" not in turns


async def test_who_is_not_watched_any_more_is_not_heard(poller, parties, turns):
    left, stays = parties
    with trio.move_on_after(0):
        await poller.watch(left.ours.fileno(), left)
    left.theirs.send(b"end")
    stays.theirs.send(b"end")
    with trio.fail_after(WAIT_S):
        await poller.watch(stays.ours.fileno(), stays)
    assert turns == ["hear b", "speak b"]

"""One question for everybody."""

import pytest
import trio

from priceverse.api.memo import Memo
from priceverse.rpc.errors import CallError, Code


class Neighbour:
    """Answers after a second with the number of times it was asked."""

    def __init__(self):
        self.asked = 0
        self.away = False

    async def ask(self):
        self.asked += 1
        await trio.sleep(1)
        if self.away:
            raise CallError(Code.REDIS, "away", {"n": self.asked})
        return self.asked


@pytest.fixture
def neighbour():
    return Neighbour()


@pytest.fixture
def memo(nursery, neighbour):
    return Memo(nursery, neighbour.ask, keep_s=1.0)


async def test_all_who_ask_at_once_share_one_question(memo, neighbour, nursery, autojump_clock):
    answers = []

    async def ask():
        answers.append(await memo.get())

    async with trio.open_nursery() as asking:
        for _ in range(100):
            asking.start_soon(ask)
    assert answers == [1] * 100
    assert neighbour.asked == 1


async def test_an_answer_is_kept_for_a_while(memo, neighbour, autojump_clock):
    assert await memo.get() == 1
    await trio.sleep(0.9)
    assert await memo.get() == 1
    await trio.sleep(0.2)
    assert await memo.get() == 2


async def test_a_fault_is_an_answer(memo, neighbour, autojump_clock):
    neighbour.away = True
    for _ in range(3):
        with pytest.raises(CallError) as raised:
            await memo.get()
        assert (raised.value.code, raised.value.details) == (Code.REDIS, {"n": 1})
    neighbour.away = False
    await trio.sleep(1.1)
    assert await memo.get() == 2


async def test_who_gives_up_does_not_take_the_answer_away(memo, neighbour, autojump_clock):
    with trio.move_on_after(0.5) as impatient:
        await memo.get()
    assert impatient.cancelled_caught
    assert await memo.get() == 1

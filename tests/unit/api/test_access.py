"""How much is logged of requests that fail."""

import pytest

from priceverse.api.access import LaneLog, Ration
from priceverse.rpc.endpoint import Head, HttpReply


def test_a_flood_is_counted_instead_of_written():
    ration = Ration(3, 0)
    assert [ration.take(7.0 + i / 100) for i in range(5)] == [0, 0, 0, None, None]
    assert ration.take(8.0) == 2
    assert ration.take(8.5) == 0


@pytest.mark.parametrize("status", [200, 404, 503])
async def test_a_watched_door_answers_as_it_would_unwatched(status):
    reply = HttpReply(status, (("X-Request-ID", "r"),), b"{}")

    async def rest():
        return reply

    log = LaneLog(Ration(10, 1))
    assert log.watched(b"/x", lambda body, head: reply)(b"", Head()) is reply
    begun = log.watched(b"/x", lambda body, head: rest)(b"", Head())
    assert await begun() is reply


def test_one_of_so_many_good_requests_is_logged_and_each_that_is_not():
    ration = Ration(10, 3)
    assert [ration.is_worth_it(200, 0.1) for _ in range(7)] == [False, False, True, False, False, True, False]
    assert [ration.is_worth_it(503, 0.1), ration.is_worth_it(200, 1.1)] == [True, True]


def test_no_good_request_need_be_logged():
    ration = Ration(10, 0)
    assert not any(ration.is_worth_it(404, 0.1) for _ in range(5000))

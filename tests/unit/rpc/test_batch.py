"""Many calls in one request."""

import json

import pytest

from priceverse.rpc.endpoint import Head

NOTHING = {"service": "Echo", "method": "nothing"}
BROKEN = {"service": "Echo", "method": "refuse"}
SLOW = {"service": "Echo", "method": "slow"}


@pytest.fixture
def ask(endpoint):
    async def ask(requests, **fields):
        body = json.dumps({"id": "b1", "requests": requests, **fields}).encode()
        reply = await endpoint.batch(body, Head())
        return reply.status, json.loads(reply.body)

    return ask


def codes(said):
    return [each.get("error", {}).get("code") for each in said["responses"]]


async def test_replies_stand_in_request_order_with_their_ids(ask, autojump_clock):
    status, said = await ask(
        [{"id": "s", **SLOW, "hints": {"timeout": 10}}, {"id": "n", **NOTHING}, {"id": "r", **BROKEN}]
    )
    assert status == 200
    assert list(said) == ["id", "version", "timestamp", "responses", "hints"]
    assert [each["id"] for each in said["responses"]] == ["s", "n", "r"]
    assert codes(said) == ["408", None, "PRICE_1003"]
    assert said["responses"][1] == {"id": "n", "success": True, "data": None}
    assert said["hints"] == {"totalTime": 10.0, "successCount": 1, "failureCount": 2}


@pytest.mark.parametrize(("parallel", "took_ms"), [(True, 100), (False, 300)])
async def test_parallel_or_one_after_the_other(ask, parallel, took_ms, autojump_clock):
    slow = SLOW | {"hints": {"timeout": 100}}
    _, said = await ask([{"id": str(i), **slow} for i in range(3)], options={"parallel": parallel})
    assert said["hints"]["totalTime"] == pytest.approx(took_ms)


async def test_stop_on_error_in_order_answers_the_rest_as_aborted(ask):
    _, said = await ask([NOTHING, BROKEN, NOTHING, BROKEN], options={"parallel": False, "stopOnError": True})
    assert codes(said) == [None, "PRICE_1003", "BATCH_ABORTED", "BATCH_ABORTED"]
    assert said["hints"]["failureCount"] == 3


async def test_stop_on_error_in_parallel_cancels_what_still_runs(ask, autojump_clock):
    _, said = await ask([SLOW, BROKEN], options={"stopOnError": True})
    assert codes(said) == ["BATCH_ABORTED", "PRICE_1003"]
    assert said["hints"]["totalTime"] == 0


async def test_without_it_every_call_is_run(ask):
    _, said = await ask([BROKEN, NOTHING], options={"parallel": False})
    assert codes(said) == ["PRICE_1003", None]


async def test_an_item_that_is_no_call_fails_alone(ask):
    _, said = await ask([{"id": "a", "service": "Echo"}, 5, {"id": "c", **NOTHING}])
    assert codes(said) == ["400", "400", None]
    assert said["responses"][0]["id"] == "a"
    assert said["responses"][0]["error"]["details"]["path"] == "$.requests[0].method"


async def test_items_without_an_id_get_one_each(ask):
    _, said = await ask([NOTHING, NOTHING])
    ids = [each["id"] for each in said["responses"]]
    assert len(set(ids)) == 2
    assert all(ids)


async def test_fifty_are_a_batch_and_fifty_one_are_not(ask):
    status, said = await ask([NOTHING] * 50)
    assert (status, said["hints"]["successCount"]) == (200, 50)
    status, said = await ask([NOTHING] * 51)
    assert (status, said["error"]["code"], said["id"]) == (400, "400", "b1")


async def test_repeated_ids_are_refused(ask):
    status, said = await ask([{"id": "a", **NOTHING}, {"id": "b", **NOTHING}, {"id": "a", **NOTHING}])
    assert (status, said["error"]["code"], said["error"]["details"]["ids"]) == (400, "400", ["a"])


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b'{"requests":{}}', b'{"requests":[],"options":{"parallel":1}}', b"\xff"]
)
async def test_what_is_no_batch_is_a_400(endpoint, body):
    reply = await endpoint.batch(body, Head(request_id="r"))
    said = json.loads(reply.body)
    assert (reply.status, said["success"], said["error"]["code"], said["id"]) == (400, False, "400", "r")


async def test_an_empty_batch_is_answered(ask):
    status, said = await ask([])
    assert (status, said["responses"]) == (200, [])


@pytest.mark.parametrize("parallel", [True, False])
async def test_all_together_take_no_longer_than_one_call_may(ask, parallel, autojump_clock):
    _, said = await ask([NOTHING, SLOW, SLOW], options={"parallel": parallel})
    assert codes(said) == [None, "408", "408"]
    assert said["hints"]["totalTime"] == pytest.approx(30_000)

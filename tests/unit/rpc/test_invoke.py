"""One call, from the bytes of its request to the bytes of its reply."""

import json
import uuid

import pytest

from priceverse.rpc.endpoint import Head
from tests.fakes.ports import NOW_MS


@pytest.fixture
def ask(endpoint):
    """Sends a request given by its fields (or raw) and returns status, headers and the decoded reply."""

    async def ask(head=None, *, raw=None, **fields):
        body = raw if raw is not None else json.dumps(fields).encode()
        reply = await endpoint.invoke(body, head or Head())
        return reply.status, dict(reply.headers), json.loads(reply.body)

    return ask


async def test_a_success_has_every_field_in_the_order_of_the_seed(endpoint):
    body = b'{"id":"r1","version":"2.0","timestamp":1,"service":"Echo@1.0.0","method":"take","input":{"pair":"x"}}'
    reply = await endpoint.invoke(body, Head())
    said = json.loads(reply.body)
    assert list(said) == ["id", "version", "timestamp", "success", "data", "hints"]
    assert said["id"] == "r1"
    assert said["timestamp"] == NOW_MS
    assert said["success"] is True
    assert said["data"] == {"pair": "x", "howMany": 1}
    assert said["hints"]["cache"] == {"maxAge": 5000}
    assert said["hints"]["metrics"]["serverTime"] >= 0
    assert reply.status == 200


async def test_server_time_is_milliseconds(ask, autojump_clock):
    _, _, said = await ask(service="Echo", method="brief")
    assert said["hints"] == {"metrics": {"serverTime": 250.0}}


@pytest.mark.parametrize(
    "given",
    [{"pair": "x", "howMany": 2}, [{"pair": "x", "howMany": 2}]],
    ids=["object", "array of one"],
)
async def test_input_may_be_an_object_or_an_array_of_one(ask, given):
    _, _, said = await ask(service="Echo@1.0.0", method="take", input=given)
    assert said["data"] == {"pair": "x", "howMany": 2}


@pytest.mark.parametrize(
    "fields", [{}, {"input": {}}, {"input": []}, {"input": [{}]}, {"input": None}, {"input": [None]}]
)
async def test_input_may_be_absent_where_nothing_is_taken(ask, fields):
    status, _, said = await ask(service="Echo@1.10.0", method="nothing", **fields)
    assert (status, said["success"]) == (200, True)


async def test_data_is_there_even_when_it_is_null(ask):
    _, _, said = await ask(service="Echo", method="nothing")
    assert said["data"] is None


async def test_decimals_leave_as_numbers_with_every_digit(endpoint):
    reply = await endpoint.invoke(b'{"service":"Echo","method":"exact"}', Head())
    assert b'"data":64000.12345678901234567890,' in reply.body


@pytest.mark.parametrize(("sent", "echoed"), [("2.0", "2.0"), ("1.1", "1.1"), (None, "2.0"), ("", "2.0")])
async def test_the_version_comes_back(ask, sent, echoed):
    _, headers, said = await ask(service="Echo", method="nothing", version=sent)
    assert said["version"] == headers["X-Netron-Version"] == echoed


@pytest.mark.parametrize("sent", ["2.0\r\nX: y", "2 0", "2.0\n", "é", "2" * 17])
async def test_a_version_that_cannot_stand_in_a_header_is_a_400(ask, sent):
    status, headers, said = await ask(service="Echo", method="nothing", version=sent)
    assert (status, said["error"]["details"], headers["X-Netron-Version"]) == (400, {"path": "$.version"}, "2.0")


async def test_a_missing_id_is_the_request_id_header(ask):
    _, headers, said = await ask(Head(request_id="from-header"), service="Echo", method="nothing")
    assert said["id"] == headers["X-Request-ID"] == "from-header"


async def test_an_id_of_its_own_stays_beside_the_request_id_header(ask):
    _, headers, said = await ask(Head(request_id="from-header"), id="mine", service="Echo", method="nothing")
    assert (said["id"], headers["X-Request-ID"]) == ("mine", "from-header")


@pytest.mark.parametrize("header", ["", "with space", "x" * 129, "line\nbreak", "é"])
async def test_without_a_usable_id_one_is_made(ask, header):
    _, headers, said = await ask(Head(request_id=header), service="Echo", method="nothing")
    assert uuid.UUID(said["id"])
    assert headers["X-Request-ID"] == said["id"]


async def test_an_id_that_no_header_can_hold_stays_in_the_body(ask):
    _, headers, said = await ask(id="ключ\r\nX-Evil: 1", service="Echo", method="nothing")
    assert said["id"] == "ключ\r\nX-Evil: 1"
    assert uuid.UUID(headers["X-Request-ID"])


async def test_an_id_has_at_most_128_characters(ask):
    status, _, said = await ask(id="x" * 128, service="Echo", method="nothing")
    assert (status, said["id"]) == (200, "x" * 128)
    status, _, said = await ask(id="x" * 129, service="Echo", method="nothing")
    assert (status, said["error"]["code"]) == (400, "400")
    assert said["error"]["details"]["path"] == "$.id"


async def test_unknown_fields_of_the_envelope_are_ignored(ask):
    status, _, _ = await ask(
        service="Echo", method="nothing", extra={"deep": [1]}, hints={"cache": {"maxAge": 1}, "x": 1}
    )
    assert status == 200


async def test_unknown_fields_of_the_input_are_refused_with_their_path(ask):
    status, _, said = await ask(service="Echo@1.0.0", method="take", input={"pair": "x", "piar": "y"})
    assert (status, said["error"]["code"]) == (400, "VALIDATION_4004")
    assert said["error"]["details"]["path"] == "$.input.piar"


@pytest.mark.parametrize(
    ("given", "code", "path"),
    [
        ({}, "VALIDATION_4001", "$.input.pair"),
        ({"pair": 5}, "VALIDATION_4001", "$.input.pair"),
        ([{"pair": None}], "VALIDATION_4001", "$.input[0].pair"),
        ({"pair": "x", "howMany": 11}, "VALIDATION_4004", "$.input.howMany"),
        ({"pair": "x", "howMany": 1.5}, "VALIDATION_4004", "$.input.howMany"),
        ({"pair": "x", "howMany": 10**30}, "VALIDATION_4004", "$.input.howMany"),
        ("x", "VALIDATION_4004", "$.input"),
        (5, "VALIDATION_4004", "$.input"),
        ([["x"]], "VALIDATION_4004", "$.input[0]"),
    ],
)
async def test_bad_input_is_refused_by_parameter(ask, given, code, path):
    status, _, said = await ask(service="Echo@1.0.0", method="take", input=given)
    assert (status, said["error"]["code"], said["error"]["details"]["path"]) == (400, code, path)


async def test_a_refused_pair_names_the_available_ones(ask):
    _, _, said = await ask(service="Echo@1.0.0", method="take", input={})
    assert "btc-usd" in said["error"]["details"]["availablePairs"]


async def test_two_arguments_are_no_input(ask):
    status, _, said = await ask(service="Echo@1.0.0", method="take", input=[{"pair": "x"}, 2])
    assert (status, said["error"]["code"]) == (400, "400")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b'{"service":"Echo"}',
        b'{"service":5,"method":"x"}',
        b'{"service":"Echo","method":"nothing","input":{"a":NaN}}',
        b'{"service":"Echo","method":"nothing","hints":{"timeout":0}}',
        b'{"service":"Echo","method":"nothing","hints":{"timeout":-5}}',
        b'{"service":"Echo","method":"nothing","timestamp":1e999}',
        b'{"service":"Echo","method":"nothing","timestamp":"now"}',
        b'{"service":"Echo","method":"nothing","x":"\xff"}',
        b'{"service":"Echo","method":"nothing","x":' + b"[" * 40 + b"]" * 40 + b"}",
    ],
)
async def test_what_is_no_request_is_a_400(ask, raw):
    status, headers, said = await ask(Head(request_id="r"), raw=raw)
    assert (status, said["success"], said["error"]["code"]) == (400, False, "400")
    assert said["id"] == headers["X-Request-ID"] == "r"
    assert headers["Cache-Control"] == "no-store"


async def test_a_bad_request_still_gets_its_own_id_and_version_back(ask):
    _, headers, said = await ask(id="mine", version="3.1", service="Echo")
    assert (said["id"], said["version"], headers["X-Netron-Version"]) == ("mine", "3.1", "3.1")


async def test_a_failure_has_every_field_in_order(ask):
    status, _, said = await ask(id="r", service="Echo", method="refuse")
    assert status == 503
    assert list(said) == ["id", "version", "timestamp", "success", "error"]
    assert said["error"] == {"code": "PRICE_1003", "message": "Too old", "details": {"lastPrice": 1.10}}


@pytest.mark.parametrize(
    ("service", "method"),
    [
        ("Nope@1.0.0", "x"),
        ("Echo@9.0.0", "take"),
        ("Echo@", "old"),
        ("", "x"),
        ("Echo", "nope"),
        ("Echo", "take"),
        ("Echo", ""),
    ],
)
async def test_unknown_services_and_methods_are_a_404(ask, service, method):
    status, _, said = await ask(service=service, method=method)
    assert (status, said["error"]["code"]) == (404, "404")


async def test_a_service_without_version_is_the_newest_by_number(ask):
    _, _, said = await ask(service="Echo", method="exact")
    assert said["success"]
    status, _, _ = await ask(service="Echo", method="old")
    assert status == 404


@pytest.mark.parametrize(("asked_ms", "expected"), [(50, 50), (1_000_000, 30_000), (None, 30_000)])
async def test_a_call_ends_in_its_time(ask, asked_ms, expected, autojump_clock):
    status, _, said = await ask(service="Echo", method="slow", hints={"timeout": asked_ms})
    assert (status, said["error"]["code"], said["error"]["details"]) == (408, "408", {"timeout": expected})


async def test_a_fault_of_ours_shows_nothing(endpoint, observed):
    reply = await endpoint.invoke(b'{"service":"Echo","method":"broken"}', Head())
    said = json.loads(reply.body)
    assert (reply.status, said["error"]) == (500, {"code": "SYSTEM_5003", "message": "Internal error"})
    assert [outcome.code for outcome in observed] == ["SYSTEM_5003"]


async def test_only_cacheable_success_may_be_kept(ask):
    _, headers, _ = await ask(service="Echo@1.0.0", method="take", input={"pair": "x"})
    assert headers["Cache-Control"] == "max-age=5"
    for name in ("nothing", "refuse"):
        _, headers, _ = await ask(service="Echo", method=name)
        assert headers["Cache-Control"] == "no-store"


TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.mark.parametrize(
    ("head", "context", "expected"),
    [
        (Head(traceparent=f"00-{TRACE}-b7ad6b7169203331-01", trace_id="t1"), "t2", TRACE),
        (Head(trace_id="t1"), "t2", "t1"),
        (Head(traceparent="00-junk"), "t2", "t2"),
        (Head(traceparent=f"ff-{TRACE}-b7ad6b7169203331-01"), "t2", "t2"),
        (Head(traceparent=f"00-{'0' * 32}-b7ad6b7169203331-01"), "t2", "t2"),
        (Head(traceparent=f"00-{TRACE}-{'0' * 16}-01"), "t2", "t2"),
        (Head(trace_id="bad\r\nvalue"), None, None),
        (Head(), None, None),
    ],
)
async def test_a_trace_is_passed_on(ask, head, context, expected):
    _, headers, _ = await ask(head, service="Echo", method="nothing", context={"traceId": context})
    assert headers.get("X-Trace-ID") == expected
    assert ("traceparent" in headers) == (expected == TRACE)

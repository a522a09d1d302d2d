"""Which bytes the lane answers, which it hands on, and in what portions they may come."""

import pytest
import trio

from priceverse.api.lane import CLOSED, MAX_HEAD_BYTES, MAX_KNOWN_HEADS, Lane, Rules
from priceverse.rpc.endpoint import Head, HttpReply


def at_once(body: bytes, head: Head) -> HttpReply:
    return HttpReply(200, (), b"<" + head.request_id.encode() + b":" + body + b">")


def later(body: bytes, head: Head):
    async def rest() -> HttpReply:
        await trio.lowlevel.checkpoint()
        return HttpReply(200, (), b"<later " + body + b">")

    return rest


def identify(address, fields):
    return Head(request_id=fields.get("x-request-id", ""), client=address)


def rules(**given):
    doors = {b"/netron/invoke": at_once, b"/netron/batch": later}
    return Rules(
        **{
            "doors": doors,
            "identify": identify,
            "render": lambda reply: reply.body,
            "is_open": lambda: True,
            "max_body_bytes": 1000,
        }
        | given
    )


@pytest.fixture
def lane():
    return Lane(rules(), "10.0.0.1")


HEAD = b"POST /netron/invoke HTTP/1.1\r\nHost: a:3000\r\nContent-Type: application/json\r\n"


def call(body: bytes = b"{}", extra: bytes = b"") -> bytes:
    return HEAD + extra + b"Content-Length: %d\r\n\r\n" % len(body) + body


def test_a_call_is_answered(lane):
    assert lane.feed(call(b"{1}", b"X-Request-ID: r\r\n")) == b"<r:{1}>"
    assert (lane.held, lane.foreign, lane.rest) == (b"", False, None)


@pytest.mark.parametrize("calls", [1, 3])
def test_it_may_come_in_any_two_portions(calls):
    said = b"".join(call(b"{%d}" % i) for i in range(calls))
    for cut in range(len(said)):
        lane = Lane(rules(), "")
        assert lane.feed(said[:cut]) + lane.feed(said[cut:]) == b"".join(b"<:{%d}>" % i for i in range(calls))
        assert not lane.held


def test_it_may_come_byte_by_byte(lane):
    said = call(b"{1}") + call(b"{2}")
    assert b"".join(lane.feed(bytes([byte])) for byte in said) == b"<:{1}><:{2}>"


def test_calls_before_something_foreign_are_answered_and_the_rest_is_handed_on(lane):
    foreign = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" + call()
    assert lane.feed(call(b"{1}") + foreign) == b"<:{1}>"
    assert lane.foreign
    assert lane.hand_over() == foreign
    assert lane.feed(call(b"{2}")) == b"<:{2}>"


async def test_a_call_that_must_be_waited_for_keeps_those_behind_it_waiting(lane):
    slow = call(b"{2}").replace(b"/invoke", b"/batch")
    assert lane.feed(call(b"{1}") + slow + call(b"{3}") + slow) == b"<:{1}>"
    assert await lane.finish() == b"<later {2}><:{3}>"
    assert await lane.finish() == b"<later {2}>"
    assert lane.rest is None
    assert not lane.held


@pytest.mark.parametrize(
    "extra",
    [
        b"Connection: keep-alive\r\n",
        b"Accept: */*\r\nAccept-Encoding: gzip\r\nUser-Agent: x\r\n",
        b"x-forwarded-for: 1.2.3.4\r\n",
        b"traceparent:00-1-2-3\r\n",
    ],
)
def test_what_a_plain_head_may_say(lane, extra):
    assert lane.feed(call(b"{}", extra)) == b"<:{}>"


FOREIGN = [
    b"Connection: close\r\n",
    b"Connection: keep-alive, upgrade\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: identity\r\n",
    b"Expect: 100-continue\r\n",
    b"Upgrade: h2c\r\n",
    b"TE: trailers\r\n",
    b"Content-Encoding: gzip\r\n",
    b"Authorization: Bearer x\r\n",
    b"Origin: http://a\r\n",
    b"Content-Length: 2\r\n",
    b"Host: b\r\n",
    b"X-Twice: 1\r\nX-Twice: 1\r\n",
    b"X-Folded: 1\r\n 2\r\n",
    b"X-Not-Ascii: \xe9\r\n",
    b"X-Control: \x01\r\n",
    b"X-Null: \x00\r\n",
    b"X-Bare: 1\n",
    b"X-Return: 1\rX-Y: 2\r\n",
    b"X Space: 1\r\n",
    b"X-Space : 1\r\n",
    b": 1\r\n",
    b"no colon\r\n",
    b"X-Big: " + b"x" * MAX_HEAD_BYTES + b"\r\n",
]


@pytest.mark.parametrize("extra", FOREIGN, ids=[repr(each[:30]) for each in FOREIGN])
def test_what_is_not_plain_is_foreign(lane, extra):
    said = call(b"{}", extra)
    assert lane.feed(said) == b""
    assert lane.hand_over() == said


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"POST ", b"GET "),
        (b"POST ", b"post "),
        (b"POST ", b" POST "),
        (b"/netron/invoke", b"/netron/invoke/"),
        (b"/netron/invoke", b"/netron/invoke?x=1"),
        (b"/netron/invoke", b"/netron/%69nvoke"),
        (b"/netron/invoke", b"http://a/netron/invoke"),
        (b" HTTP/1.1", b" HTTP/1.0"),
        (b" HTTP/1.1", b"  HTTP/1.1"),
        (b"Host: a:3000\r\n", b""),
        (b"Host: a:3000", b"Host: "),
        (b"Host: a:3000", b"Host: a b"),
        (b"Content-Type: application/json\r\n", b""),
        (b"application/json", b"text/plain"),
        (b"application/json", b"application/json; charset=latin-1"),
        (b"Content-Length: 2", b"Content-Length: +2"),
        (b"Content-Length: 2", b"Content-Length: 0x2"),
        (b"Content-Length: 2", b"Content-Length: 2, 2"),
        (b"Content-Length: 2", b"Content-Length: -2"),
        (b"Content-Length: 2", b"Content-Length: 1001"),
        (b"Content-Length: 2", b"Content-Length: 99999999999999999999"),
        (b"Content-Length: 2", b"X-Length: 2"),
    ],
)
def test_another_request_is_foreign(lane, old, new):
    said = call().replace(old, new)
    assert lane.feed(said) == b""
    assert lane.hand_over() == said


@pytest.mark.parametrize("begun", [b"G", b"PRI * HTTP/2.0\r\n", b"POST /netron/other", b"\x16\x03\x01", b"\r\n"])
def test_what_cannot_become_a_call_is_not_held(lane, begun):
    lane.feed(begun)
    assert lane.foreign


def test_a_head_that_does_not_end_is_not_held_for_ever(lane):
    said = HEAD + b"X: " + b"x" * MAX_HEAD_BYTES
    lane.feed(said)
    assert lane.foreign
    assert lane.hand_over() == said


def test_a_closed_lane_takes_nothing():
    lane = Lane(CLOSED, "")
    assert lane.feed(b"") == b""
    assert not lane.foreign
    lane.feed(call())
    assert lane.hand_over() == call()


def test_a_lane_that_closes_in_the_middle_of_a_call_hands_over_all_of_it():
    is_open = True
    lane = Lane(rules(is_open=lambda: is_open), "")
    lane.feed(call()[:50])
    is_open = False
    lane.feed(call()[50:])
    assert lane.hand_over() == call()


def test_it_remembers_so_many_heads_and_no_more(lane):
    for i in range(10 * MAX_KNOWN_HEADS):
        assert lane.feed(call(b"{}", b"X-Request-ID: %d\r\n" % i)) == b"<%d:{}>" % i
    assert len(lane._known) <= MAX_KNOWN_HEADS

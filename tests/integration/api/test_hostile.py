"""HTTP at random against both lanes: the same bytes from both, no 5xx, no crash.

Hypothesis makes a conversation and damages it. Two real handlers hear it, one with its fast lane closed. Behind it come
so many more requests, each asking for the end, that any body or head left open is filled and the end does come.
"""

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
import trio
from hypothesis import HealthCheck, example, given
from hypothesis import settings as tried
from hypothesis import strategies as st

from priceverse.bus.client import RedisDoor
from priceverse.bus.prices import PriceWriter
from tests.conftest import ROOT
from tests.fakes.ports import LISTED
from tests.integration.api.conftest import WAIT_S, price_now
from tests.integration.api.test_same_answer import masked

HANDLER = str(ROOT / "tests/bench/http/handler.py")
LAST = b"GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
ENDING = LAST * 1200  # more than the largest body
PLAIN = b"Host: a\r\nContent-Type: application/json\r\n"
GOOD = b'{"id":"1","service":"PricesService","method":"getPrice","input":{"pair":"btc-usd"}}'
BODIES = [
    GOOD,
    GOOD.replace(b"btc-usd", b"nope"),
    GOOD.replace(b'"pair"', b'"pair":"eth-usd","pair"'),
    GOOD.replace(b'"btc-usd"', b"NaN"),
    GOOD.replace(b'"btc-usd"', b"1" * 2000),
    GOOD.replace(b'"btc-usd"', b"1e99999"),
    GOOD.replace(b"btc-usd", b"\xff\xfe"),
    GOOD.replace(b'"btc-usd"', b"[" * 1000 + b"]" * 1000),
    b'{"requests":[' + b",".join([GOOD.replace(b'"1"', b'"%d"' % i) for i in range(51)]) + b"]}",
    b'{"requests":[' + GOOD + b"]}",
    b"{" * 2000,
    b"",
]
DAMAGE = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b"\x00",
    b"\xff",
    b" ",
    b":",
    b"Transfer-Encoding: chunked\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: 70000\r\n",
    b"Expect: 100-continue\r\n",
    b"Connection: close\r\n",
    b"Host: b\r\n",
    b"HTTP/2.0",
    b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
]


def post(path: bytes, body: bytes) -> bytes:
    return b"POST %s HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n%s" % (path, PLAIN, len(body), body)


def chunked(path: bytes, body: bytes) -> bytes:
    head = b"POST %s HTTP/1.1\r\n%sTransfer-Encoding: chunked\r\n\r\n" % (path, PLAIN)
    return head + (b"%x\r\n%s\r\n" % (len(body), body) if body else b"") + b"0\r\n\r\n"


paths = st.sampled_from([b"/netron/invoke", b"/netron/batch", b"/netron/nowhere", b"/health/live"])
bodies = st.sampled_from(BODIES) | st.binary(max_size=60)
requests = st.builds(post, paths, bodies) | st.builds(chunked, paths, bodies) | st.just(LAST.replace(b"close", b"x"))
conversations = st.lists(requests, min_size=1, max_size=4).map(b"".join)
wounds = st.tuples(st.floats(0, 1), st.integers(0, 3), st.sampled_from(DAMAGE) | st.binary(max_size=3))


def damaged(said: bytes, hurts: list[tuple[float, int, bytes]]) -> bytes:
    for where, cut, put in hurts:
        at = int(where * min(len(said), 400))
        said = said[:at] + put + said[at + cut :]
    return said


def settled(said: bytes) -> bytes:
    """Return a conversation up to the first request that is refused unread.

    What comes then is chance, in either lane: Hypercorn's answer races with the rest of the body, and it ends the
    connection with or without another complaint, or goes on.
    """
    answers = re.split(rb"(?=HTTP/1.1 \d{3} )", said)
    unread = (i for i, answer in enumerate(answers) if answer[9:12] in {b"404", b"405", b"413", b"415"})
    return b"".join(answers[: next(unread, len(answers)) + 1])


@pytest.fixture
def ports(settings) -> Iterator[list[int]]:
    """Two handlers in processes of their own: Hypothesis wants this one's random numbers to itself."""

    async def publish() -> None:
        door = RedisDoor(settings.redis)
        await PriceWriter(door).publish([price_now(pair) for pair in LISTED])
        await door.aclose()

    trio.run(publish)
    with ExitStack() as stack:
        yield [stack.enter_context(handler(settings, fast_lane=fast_lane)) for fast_lane in (True, False)]


@contextmanager
def handler(settings, *, fast_lane: bool) -> Iterator[int]:
    api = settings.api.model_copy(update={"fast_lane": fast_lane, "max_price_age_ms": 3_600_000})
    chosen = settings.model_copy(update={"api": api})
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = subprocess.Popen(
            [sys.executable, HANDLER, str(listener.fileno())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=(listener.fileno(),),
            env=os.environ | {"PYTHONHASHSEED": "0"},  # Quart lists the methods it allows in the order of a set
        )
        process.stdin.write(json.dumps(chosen.for_child()).encode())
        process.stdin.close()
        try:
            assert process.stdout.readline() == b"ready\n"
            yield listener.getsockname()[1]
            assert process.poll() is None, "it died"
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


def talk(port: int, *portions: bytes) -> bytes:
    """Say it, and return everything that is said back until the end."""
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as client:
        try:
            for portion in portions:
                client.sendall(portion)
                time.sleep(0.001 * (portion is not portions[-1]))
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has heard enough
        said = b""
        while data := client.recv(65536):
            said += data
    return said


@tried(
    max_examples=60,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(conversations, st.lists(wounds, max_size=3), st.floats(0, 1))
@example(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", [], 1.0)
@example(post(b"/netron/invoke", GOOD) * 200, [], 0.5)
@example(chunked(b"/netron/batch", b"").replace(b"chunked", b"chunkd"), [], 0.5)
@example(b"GET / HTTP/1.1\r\nX: " + b"x" * 1_000_000, [], 0.1)
def test_both_lanes_answer_the_same_to_whatever_is_said(ports, said, hurts, cut):
    said = damaged(said, hurts)
    at = int(cut * len(said))
    fast, slow = [masked(talk(port, said[:at], said[at:] + ENDING)) for port in ports]
    assert settled(fast) == settled(slow)
    assert not re.search(rb"HTTP/1.1 5", fast + slow)

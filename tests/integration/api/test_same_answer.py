"""Whatever is asked, a client cannot tell from the answer which lane it came through.

Two handlers over the same Redis and PostgreSQL; one has its fast lane closed. What differs from run to run in either
(times, durations, ids that were made) is masked; everything else must be equal to the byte.
"""

import json
import re

import pytest
import trio

from priceverse import services
from tests.fakes.ports import LISTED
from tests.integration.api.conftest import WAIT_S, price_now

PRICES = "PricesService@2.0.0"
_MASKED = re.compile(
    rb'(?<="serverTime":)[\d.e-]+|(?<="totalTime":)[\d.e-]+|(?<="timestamp":)\d{13}|(?<="timestamp":")[^"]+'
    rb'|(?<="uptime":)[\d.e-]+|(?<="latency":)[\d.e-]+|[\d.]+(?= s ago)|(?<="ageMs":)\d+'
    rb"|\d{4}-\d\d-\d\dT[\d:.]+Z|(?<=date: )[^\r]+|[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"
)
_QUOTA = re.compile(rb'(?<="retryAfterMs":)\d+|(?<=;t=)\d+|(?<=retry-after: )\d+')
_LENGTH = re.compile(rb"content-length: \d+")
JSON = b"Content-Type: application/json\r\n"
TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
async def both(start, settings, publish):
    """A handler with a fast lane, and one without."""
    await publish([price_now(pair) for pair in LISTED if pair != "xmr-rub"])
    await publish([price_now("xmr-rub", age_ms=300_000)])
    free = settings.api.rate_limit.model_copy(update={"enabled": False})

    async def with_lane(fast_lane: bool):
        chosen = settings.api.model_copy(update={"fast_lane": fast_lane, "rate_limit": free})
        return await start(settings.model_copy(update={"api": chosen}))

    return await with_lane(True), await with_lane(False)


async def ask(handler, body: bytes, *, path: bytes = b"/netron/invoke", extra: bytes = JSON) -> bytes:
    """Return the whole answer, masked."""
    request = b"POST %s HTTP/1.1\r\nHost: a\r\n%sContent-Length: %d\r\n\r\n%s" % (path, extra, len(body), body)
    async with await handler.connect() as stream:
        await stream.send_all(request)
        said = b""
        with trio.fail_after(WAIT_S):
            while not is_whole(said):
                data = await stream.receive_some()
                assert data, said
                said += data
    return masked(said)


def masked(said: bytes) -> bytes:
    """Return what was said without what is different each time it is said."""
    return _LENGTH.sub(b"content-length: N", _MASKED.sub(b"M", said))


def is_whole(said: bytes) -> bool:
    head, end, body = said.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head)
    return bool(end and length and len(body) >= int(length[1]))


def call(method: str, service: str = PRICES, **fields: object) -> dict[str, object]:
    return {"id": "r1", "service": service, "method": method, **fields}


EVERY_METHOD = [
    call(each.name, f"{each.service}@{each.version}", input=given)
    for each in services.registry()
    for given in ({}, {"pair": "btc-usd"}, {"pair": "btc-usd", "period": "24hours"}, {"pairs": ["btc-usd", "eth-rub"]})
]
CALLS = [
    *EVERY_METHOD,
    *(call("getPrice", input={"pair": pair}) for pair in (*LISTED, "usdt-usd", "nope", "", "x" * 500)),
    *(call("getPrice", input=given) for given in ([{"pair": "btc-usd"}], [], None, "x", [1, 2], {"piar": "x"})),
    call("getOHLCV", "ChartsService@2.0.0", input={"pair": "btc-usd", "interval": "1minute"}),
    call("getChartData", "ChartsService@2.0.0", input={"pair": "btc-usd", "from": "yesterday"}),
    call("getPriceChange", input={"pair": "btc-usd", "period": "custom"}),
    call("getPrice", "PricesService", input={"pair": "btc-usd"}),
    call("getPrice", "PricesService@9.0.0", input={"pair": "btc-usd"}),
    call("nope"),
    call("getPrice", input={"pair": "btc-usd"}, version="1.1", timestamp=5, context={"traceId": "t"}, more=[1]),
    call("getPrice", input={"pair": "btc-usd"}, hints={"timeout": 100, "cache": {"maxAge": 1}}),
    call("getPrice", input={"pair": "btc-usd"}, hints={"timeout": -1}),
    call("getPrice", input={"pair": "btc-usd"}) | {"id": ""},
    call("getPrice", input={"pair": "btc-usd"}) | {"id": "ключ\r\n"},
    call("getPrice", input={"pair": "btc-usd"}) | {"id": "x" * 129},
]
RAW = [
    b"",
    b"[]",
    b"null",
    b"{",
    b'{"service":"PricesService","method":"version","input":{"a":NaN}}',
    b'{"service":"PricesService","method":"version","x":"\xff"}',
    b'{"service":"PricesService","method":"version","x":' + b"[" * 40 + b"]" * 40 + b"}",
    b'{"service":"PricesService","service":"HealthService","method":"live"}',
    b'{"service":"PricesService","method":"version","timestamp":1e999}',
    b'{"id":"\\ud800","service":"PricesService","method":"version"}',
    b'\xef\xbb\xbf{"service":"PricesService","method":"version"}',
    b" " * 60_000 + b'{"service":"PricesService","method":"version"}',
    b" " * 70_000,
]
BATCHES = [
    {"id": "b", "requests": []},
    {"id": "b", "requests": [call("getPrice", input={"pair": "btc-usd"}), call("version") | {"id": "r2"}]},
    {"id": "b", "requests": [call("version"), call("version")]},
    {"id": "b", "requests": [call("version") | {"id": str(i)} for i in range(51)]},
    {"requests": [call("nope"), call("version") | {"id": "2"}], "options": {"stopOnError": True, "parallel": False}},
    {"id": "b", "version": "1", "requests": [5, {}, call("check", "HealthService") | {"id": "c"}]},
    {"id": "b"},
]
HEADS = [
    b"X-Request-ID: mine\r\n",
    b"X-Request-ID:   spaces   \r\n",
    b"X-Request-ID: not usable\r\n",
    b"X-Trace-ID: t1\r\n",
    b"traceparent: 00-%s-b7ad6b7169203331-01\r\n" % TRACE.encode(),
    b"traceparent: nonsense\r\n",
    b"Connection: keep-alive\r\nAccept: */*\r\nUser-Agent: x\r\n",
    b"Accept-Encoding: gzip, br\r\n",
    b"X-Forwarded-For: 1.2.3.4, 5.6.7.8\r\n",
    b"Authorization: Bearer nonsense\r\n",
    b"Origin: http://elsewhere\r\n",
]


def shown(case: object) -> str:
    return repr(case)[:60]


async def test_every_method_and_every_error_of_a_call(both):
    for case in CALLS:
        fast, slow = [await ask(handler, json.dumps(case).encode()) for handler in both]
        assert fast == slow, shown(case)


async def test_every_body_that_is_no_call(both):
    for case in RAW:
        fast, slow = [await ask(handler, case) for handler in both]
        assert fast == slow, shown(case)


async def test_every_batch(both):
    for case in BATCHES:
        fast, slow = [await ask(handler, json.dumps(case).encode(), path=b"/netron/batch") for handler in both]
        assert fast == slow, shown(case)


async def test_every_head(both):
    body = json.dumps(call("getPrice", input={"pair": "btc-usd"})).encode()
    for case in HEADS:
        fast, slow = [await ask(handler, body, extra=JSON + case) for handler in both]
        assert fast == slow, shown(case)


@pytest.mark.parametrize(
    "extra",
    [b"", b"Content-Type: text/plain\r\n", b"Content-Type: application/json; charset=latin-1\r\n"],
)
async def test_every_content_type(both, extra):
    fast, slow = [await ask(handler, b"{}", extra=extra) for handler in both]
    assert fast == slow
    assert fast.startswith(b"HTTP/1.1 415")


async def test_a_limit_that_is_reached(start, settings, publish, tmp_path):
    """Each handler charges for itself here; what it says of it is the same."""
    await publish([price_now(pair) for pair in LISTED])
    found = []
    limit = settings.api.rate_limit.model_copy(update={"enabled": True, "methods": {"getPrice": 2}})
    body = json.dumps(call("getPrice", input={"pair": "btc-usd"})).encode()
    for fast_lane in (True, False):
        folder = tmp_path / str(fast_lane)
        folder.mkdir()
        api = settings.api.model_copy(update={"fast_lane": fast_lane, "rate_limit": limit})
        supervisor = settings.supervisor.model_copy(update={"control_socket": folder / "socket"})
        handler = await start(settings.model_copy(update={"api": api, "supervisor": supervisor}))
        found.append([_QUOTA.sub(b"M", await ask(handler, body)) for _ in range(3)])
    assert found[0] == found[1]
    assert [each[:12] for each in found[0]] == [b"HTTP/1.1 200", b"HTTP/1.1 200", b"HTTP/1.1 429"]

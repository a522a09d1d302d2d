"""The same JSON work for Python's servers: `answer`, a bare ASGI application, and a Quart-Trio one.

uvicorn peer:asgi     granian --interface asgi peer:asgi     hypercorn -k trio peer:quart
"""

import time

import msgspec

KNOWN = {
    "btc-usd": {
        "pair": "btc-usd",
        "price": 64000.12345678,
        "timestamp": 1767225599900,
        "priceExact": "64000.12345678",
        "asOf": "2025-12-31T23:59:59.900Z",
        "sources": ["binance", "kraken"],
        "confidence": 1.23,
    }
}


class Input(msgspec.Struct, forbid_unknown_fields=True):
    pair: str


class Call(msgspec.Struct):
    service: str
    method: str
    input: Input
    id: str
    version: str
    timestamp: float | None = None


decode = msgspec.json.Decoder(Call).decode
encode = msgspec.json.Encoder().encode


def answer(body):
    began = time.perf_counter()
    call = decode(body)
    assert (call.service, call.method) == ("PricesService@2.0.0", "getPrice")
    reply = {
        "id": call.id,
        "version": call.version,
        "timestamp": time.time_ns() // 1_000_000,
        "success": True,
        "data": KNOWN[call.input.pair],
        "hints": {
            "metrics": {"serverTime": round((time.perf_counter() - began) * 1000, 3)},
            "cache": {"maxAge": 5000},
        },
    }
    headers = [
        (b"content-type", b"application/json"),
        (b"x-request-id", call.id.encode()),
        (b"x-netron-version", call.version.encode()),
        (b"cache-control", b"max-age=5"),
        (b"x-content-type-options", b"nosniff"),
    ]
    return headers, encode(reply)


async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            event = await receive()
            await send({"type": event["type"] + ".complete"})
            if event["type"] == "lifespan.shutdown":
                return
    body, more = b"", True
    while more:
        event = await receive()
        body += event.get("body", b"")
        more = event.get("more_body", False)
    headers, reply = answer(body)
    headers.append((b"content-length", b"%d" % len(reply)))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": reply})

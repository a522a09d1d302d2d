"""Between Quart and the rest: what a request says, and how an answer becomes Quart's response."""

import hashlib
from collections.abc import Iterable, Mapping

from quart import Response, g, request

from priceverse.api.heads import head_of
from priceverse.rpc.dispatch import Dispatcher
from priceverse.rpc.endpoint import NO_STORE, Endpoint, Head, Header, HttpReply, of_charge
from priceverse.rpc.envelope import Call, Done, Outcome, encode
from priceverse.rpc.errors import CallError

NOSNIFF = ("X-Content-Type-Options", "nosniff")
JSON = "application/json"


def head() -> Head:
    """Return what the head of the present request says."""
    return head_of(g.caller.client if "caller" in g else "", request.headers)


def response(reply: HttpReply) -> Response:
    """Return a reply of the endpoint as it is."""
    answer = Response(reply.body, reply.status)
    for name, value in (*reply.headers, NOSNIFF):
        answer.headers[name] = value
    return answer


def refused(endpoint: Endpoint, error: CallError) -> Response:
    """Return an error as the envelope that every error comes in."""
    return response(endpoint.refuse(error, head()))


def json(value: object, status: int = 200, charge: Iterable[Header] = ()) -> Response:
    """Return a value that nobody should keep; `charge` are headers that tell what it cost."""
    return Response(encode(value), status, headers=dict([NO_STORE, NOSNIFF, *charge]), content_type=JSON)


def cacheable(value: object, done: Done) -> Response:
    """Return a value that clients and proxies may keep as long as the method promises, and ask about later."""
    body = encode(value)
    etag = f'W/"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    headers = {"ETag": etag, **dict([NOSNIFF]), **_kept(done)}
    if request.if_none_match.contains_weak(etag[3:-1]):
        return Response(b"", 304, headers=headers)
    return Response(body, 200, headers=headers, content_type=JSON)


def _kept(done: Done) -> Mapping[str, str]:
    kept = {"Cache-Control": f"public, max-age={done.cache_s:.0f}"} if done.cache_s else dict([NO_STORE])
    return kept | dict(of_charge(done))


async def call(dispatcher: Dispatcher, service: str, method: str, given: Mapping[str, object]) -> Outcome:
    """Call a method for the present request: its client pays."""
    asking = head()
    return await dispatcher.run(Call(service, method, encode(given), request_id=asking.request_id), asking.client)

"""The two doors of the RPC: the body of `POST /netron/invoke` or `/netron/batch` in, status, headers and body out.

It knows HTTP's words but no server: whatever reads the socket calls the same `Endpoint` and gets the same bytes.
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache, partial
from math import ceil

import msgspec
import trio

from priceverse.rpc import batch, envelope
from priceverse.rpc.batch import Batch, Run
from priceverse.rpc.dispatch import Dispatcher, Waiting
from priceverse.rpc.envelope import Done, Outcome, Request
from priceverse.rpc.errors import CallError, Code
from priceverse.rpc.limits import Quota

MAX_SHOWN_CHARS = 128
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?P<trace>(?!0{32})[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_JSON = ("Content-Type", "application/json")
NO_STORE = ("Cache-Control", "no-store")

Header = tuple[str, str]
Observe = Callable[[str, Outcome, float], None]


@dataclass(frozen=True, slots=True)
class Head:
    """What a request's headers say of it, every value as received ("" if absent).

    `client` is who is charged for the calls: whoever reads the socket finds it out; nobody ("") is charged nothing.
    """

    request_id: str = ""
    trace_id: str = ""
    traceparent: str = ""
    client: str = ""


class HttpReply(msgspec.Struct, frozen=True):
    """What goes back."""

    status: int
    headers: tuple[Header, ...]
    body: bytes


Rest = Callable[[], Awaitable[HttpReply]]
"""The part of an answer that has to be waited for."""


class Endpoint:
    """Answers bodies. `observe` hears which method each call named, its outcome and how many seconds it took.

    `now_s` is any clock that does not go back.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        *,
        max_batch: int,
        now_ms: Callable[[], int],
        observe: Observe,
        now_s: Callable[[], float] = trio.current_time,
    ) -> None:
        self._dispatcher = dispatcher
        self._now_s = now_s
        self._max_batch = max_batch
        self._now_ms = now_ms
        self._observe = observe

    async def invoke(self, body: bytes, head: Head) -> HttpReply:
        """Answer one call."""
        begun = self.begin_invoke(body, head)
        return begun if isinstance(begun, HttpReply) else await begun()

    async def batch(self, body: bytes, head: Head) -> HttpReply:
        """Answer a batch: 200 with an outcome per call, or one error if it is no batch."""
        begun = self.begin_batch(body, head)
        return begun if isinstance(begun, HttpReply) else await begun()

    def begin_invoke(self, body: bytes, head: Head) -> HttpReply | Rest:
        """Answer one call if nothing has to be waited for; else return what to await for the answer."""
        started_s = self._now_s()
        given_id = head.request_id and _usable(head.request_id)
        request = envelope.parse(body, given_id)
        content = request.content
        begun = content if isinstance(content, CallError) else self._dispatcher.begin(content, head.client)
        if isinstance(begun, Waiting):
            return partial(self._finish_invoke, begun, request, head, started_s)
        return self._answer(request, begun, head, started_s)

    def begin_batch(self, body: bytes, head: Head) -> HttpReply | Rest:
        """Answer a batch if nothing in it has to be waited for; else return what to await for the answer."""
        started_s = self._now_s()
        asked = batch.parse(body, _usable(head.request_id), max_calls=self._max_batch)
        if asked.error is not None:
            self._observe("", asked.error, self._now_s() - started_s)
            return self._refusal(asked.error, head, asked.id, asked.version)
        run = batch.Run(asked, self._dispatcher, head.client)
        if run.begin():
            return self._answer_batch(asked, run, head, started_s)
        return partial(self._finish_batch, asked, run, head, started_s)

    async def _finish_invoke(self, waiting: Waiting, request: Request, head: Head, started_s: float) -> HttpReply:
        return self._answer(request, await self._dispatcher.finish(waiting), head, started_s)

    async def _finish_batch(self, asked: Batch, run: Run, head: Head, started_s: float) -> HttpReply:
        await run.finish()
        return self._answer_batch(asked, run, head, started_s)

    def _answer(self, request: Request, outcome: Outcome, head: Head, started_s: float) -> HttpReply:
        took_s = self._now_s() - started_s
        self._observe(_named(request), outcome, took_s)
        return self._reply(request, outcome, head, took_s)

    def _answer_batch(self, asked: Batch, run: Run, head: Head, started_s: float) -> HttpReply:
        outcomes = run.outcomes
        took_s = self._now_s() - started_s
        for request, outcome in zip(asked.requests, outcomes, strict=True):
            self._observe(_named(request), outcome, took_s)
        rendered = batch.render(asked, outcomes, now_ms=self._now_ms(), took_s=took_s)
        return HttpReply(200, (*_headers(head, asked.id, asked.version, asked.trace_id), NO_STORE), rendered)

    def reply(self, request: Request, outcome: Outcome, head: Head) -> HttpReply:
        """Answer a request that was worked on elsewhere."""
        return self._reply(request, outcome, head, 0)

    def _reply(self, request: Request, outcome: Outcome, head: Head, took_s: float) -> HttpReply:
        rendered = envelope.render(request, outcome, now_ms=self._now_ms(), took_s=took_s)
        headers = _headers(head, request.id, request.version, request.trace_id)
        status = 200 if isinstance(outcome, Done) else outcome.code.status
        return HttpReply(status, (*headers, *_of_outcome(outcome)), rendered)

    def refuse(self, error: CallError, head: Head) -> HttpReply:
        """Answer a request whose body was never looked at."""
        return self._refusal(error, head, _usable(head.request_id) or envelope.new_id(), envelope.DEFAULT_VERSION)

    def _refusal(self, error: CallError, head: Head, request_id: str, version: str) -> HttpReply:
        return self.reply(Request(request_id, version, None, error), error, head)


def _usable(text: str) -> str:
    """Return what a client sent if it can stand in a header and be an id, else ""."""
    is_usable = text.isascii() and text.isprintable() and " " not in text and len(text) <= MAX_SHOWN_CHARS
    return text if is_usable else ""


def correlation(head: Head) -> tuple[Header, ...]:
    """Return what tells a request's answer apart, where no call is in it."""
    return (("X-Request-ID", _usable(head.request_id) or envelope.new_id()), *_tracing(head, None))


def _headers(head: Head, request_id: str, version: str, trace_id: str | None) -> tuple[Header, ...]:
    """Return the headers of correlation: what the client sent comes back if it can stand in a header."""
    given = head.request_id
    shown_id = (given and _usable(given)) or _usable(request_id) or envelope.new_id()
    plain = (_JSON, ("X-Request-ID", shown_id), ("X-Netron-Version", version))
    if not (head.traceparent or head.trace_id or trace_id):
        return plain
    return (*plain, *_tracing(head, trace_id))


def _tracing(head: Head, trace_id: str | None) -> list[Header]:
    parent = _TRACEPARENT.fullmatch(head.traceparent)
    headers = [("traceparent", head.traceparent)] if parent else []
    traces = (parent["trace"] if parent else "", head.trace_id, trace_id or "")
    return headers + [("X-Trace-ID", trace) for trace in traces if _usable(trace)][:1]


def _named(request: Request) -> str:
    return "" if isinstance(request.content, CallError) else request.content.method


def _of_outcome(outcome: Outcome) -> tuple[Header, ...]:
    """Return the headers that tell how long the answer is good, what it cost, and when to ask again."""
    if isinstance(outcome, Done):
        return (_cache_control(outcome.cache_s), *of_charge(outcome))
    challenge = (("WWW-Authenticate", "Bearer"),) if outcome.code is Code.UNAUTHORIZED else ()
    return (NO_STORE, *challenge, *of_charge(outcome))


def of_charge(outcome: Outcome) -> tuple[Header, ...]:
    """Return the headers that tell what a call cost its client, and when a refused one is worth another try."""
    quota = () if outcome.quota is None else _of_quota(outcome.quota)
    if isinstance(outcome, Done) or outcome.retry_after_s is None:
        return quota
    return (*quota, ("Retry-After", str(max(1, ceil(outcome.retry_after_s)))))


def _of_quota(quota: Quota) -> tuple[Header, Header]:
    """Return the headers that tell a client what it has left of a limited method."""
    policy, limit = quota.policy, quota.limit
    return (
        ("RateLimit-Policy", f'"{policy}";q={limit.requests};w={limit.per_s}'),
        ("RateLimit", f'"{policy}";r={quota.remaining};t={ceil(quota.reset_s)}'),
    )


@cache
def _cache_control(cache_s: float | None) -> Header:
    return ("Cache-Control", f"max-age={cache_s:.0f}") if cache_s is not None else NO_STORE
